"""Write a run's log: JSON lines and TensorBoard.

A run that continues from a checkpoint first removes what was logged after that checkpoint.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pydantic
from numpy import typing as npt
from torch.utils import tensorboard

from blursynth import errors
from blursynth.config import records, toml
from blursynth.media import atomic_file, source_file

LOG = "log.jsonl"


class _Entry(toml.Model):
    """The part of a log line that is read back."""

    model_config = pydantic.ConfigDict(extra="allow", allow_inf_nan=True)

    images: Annotated[int, pydantic.Field(ge=0)]


class Log:
    """The log of one run folder, to be closed. Every entry has the number of images seen."""

    def __init__(self, folder: pathlib.Path, images: int) -> None:
        path = folder / LOG
        source_file.require_file(path)
        _cut_back(path, images)
        self._file = path.open("a", encoding="utf-8")
        self._board = tensorboard.SummaryWriter(str(folder / "tensorboard"), purge_step=images + 1)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._board.close()

    def write(self, kind: str, images: int, values: Mapping[str, Any]) -> None:
        """Write one line, and every number in it (also in tables) to TensorBoard as KIND/TABLE/NAME."""
        assert not {"kind", "images"} & values.keys(), sorted(values)
        self._file.write(json.dumps({"kind": kind, "images": images, **values}) + "\n")
        self._file.flush()
        self._scalars(kind, images, values)

    def picture(self, name: str, images: int, pixels: npt.NDArray[np.uint8]) -> None:
        """Write an image, uint8 (H, W, 3), RGB, to TensorBoard."""
        self._board.add_image(name, pixels, images, dataformats="HWC")

    def sync(self) -> None:
        """Return once everything written so far is on disk."""
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
    """Keep the log's lines up to `images`; later ones will be written again.

    A half-written line at the end is dropped; InputError names any other line that cannot be read.
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
    atomic_file.replace(log, b"".join(kept))
