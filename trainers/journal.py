"""What a run says while it trains: JSON lines and TensorBoard, both cut back to the checkpoint a run continues from."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pydantic
from numpy import typing as npt
from torch.utils import tensorboard

from blursynth import errors, recipe_file, records
from blursynth.media import listing

LOG = "log.jsonl"


class _Entry(recipe_file.Model):
    """A line of the log, as far as it is read back."""

    model_config = pydantic.ConfigDict(extra="allow", allow_inf_nan=True)

    images: Annotated[int, pydantic.Field(ge=0)]


class Journal:
    """The log of one run folder; to be closed. Everything is dated by images seen."""

    def __init__(self, folder: pathlib.Path, images: int) -> None:
        self._log = folder / LOG
        listing.require_file(self._log)
        _cut_back(self._log, images)
        self._file = self._log.open("a", encoding="utf-8")
        self._board = tensorboard.SummaryWriter(str(folder / "tensorboard"), purge_step=images + 1)

    def close(self) -> None:
        """Nothing is written after this."""
        self._file.close()
        self._board.close()

    def write(self, kind: str, images: int, values: Mapping[str, Any]) -> None:
        """One line, and every number in it (tables included) as a TensorBoard scalar KIND/TABLE/NAME."""
        assert not {"kind", "images"} & values.keys(), sorted(values)
        self._file.write(json.dumps({"kind": kind, "images": images, **values}) + "\n")
        self._file.flush()
        self._scalars(kind, images, values)

    def picture(self, name: str, images: int, pixels: npt.NDArray[np.uint8]) -> None:
        """uint8 (H, W, 3), RGB, into TensorBoard."""
        self._board.add_image(name, pixels, images, dataformats="HWC")

    def sync(self) -> None:
        """Everything written so far is on disk when this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._board.flush()

    def _scalars(self, prefix: str, images: int, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, Mapping):
                self._scalars(f"{prefix}/{key}", images, value)
            elif isinstance(value, int | float):
                self._board.add_scalar(f"{prefix}/{key}", value, images)


def _cut_back(log: pathlib.Path, images: int) -> None:
    """Keep the lines up to `images`; later ones will be written again, and a half-written one at the end is no line.

    InputError names another line that is none.
    """
    if not log.exists():
        return
    kept = []
    lines = log.read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        name = f"line {number} of {log}"
        try:
            entry = records.check(records.parse(line, name, finite=False), _Entry, name)
        except errors.InputError as error:
            if number == len(lines):
                break
            raise errors.InputError(
                f"{error} Move {log} away to go on without it: it holds curves alone, and the checkpoint is kept."
            ) from None
        if entry.images > images:
            break
        kept.append(line + b"\n")
    shorter = log.with_name(f"{log.name}.partial")
    shorter.write_bytes(b"".join(kept))
    shorter.replace(log)
