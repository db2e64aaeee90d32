"""What makers of pairs datasets share: their images, splits and checks."""

import collections
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.storage import schema

CHUNK = 256  # px: the longest side of a chunk
SPLITS = ("train", "val", "test")


class Sized(Protocol):
    """Something with a size in px."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...


def image_arrays(height: int, width: int, transfer: str) -> list[schema.ArraySpec]:
    """`blurred` and `sharp`. A patch is one chunk; a full frame is cut so that a crop reads only what it needs.

    It is cut evenly: a chunk that reaches beyond the frame is coded as a whole.
    """
    chunk = (*(-(-extent // -(-extent // CHUNK)) for extent in (height, width)), 3)
    return [
        schema.ArraySpec(
            name=name,
            dtype="uint8",
            shape=(height, width, 3),
            dimensions=("y", "x", "channel"),
            chunk=chunk,
            attributes={"long_name": f"{name} RGB image", "units": "1", "transfer_function": transfer},
        )
        for name in ("blurred", "sharp")
    ]


def columns(sources: int, thing: str) -> list[schema.ArraySpec]:
    """What every pair records: whether it is one, its split, and which part of which source it is."""
    last = len(SPLITS) - 1
    return [
        schema.column("valid", "uint8", long_name="1 where the item could be made", valid_range=(0, 1)),
        schema.column("split", "uint8", long_name="index into the dataset's splits", valid_range=(0, last)),
        schema.column("source", "int64", long_name="index into this array's sources", valid_range=(0, sources - 1)),
        schema.column("crop_y", "int32", long_name=f"top row of the crop in the {thing}", units="px"),
        schema.column("crop_x", "int32", long_name=f"left column of the crop in the {thing}", units="px"),
    ]


def unmade(
    frame: tuple[int, int], source: npt.NDArray[np.int64], split: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[Any]]:
    """What `image_arrays` and `columns` describe, for one item of each of `source`: black, at the corner, not valid."""
    images = (len(source), *frame, 3)
    return {
        "blurred": np.zeros(images, np.uint8),
        "sharp": np.zeros(images, np.uint8),
        "valid": np.zeros(len(source), np.uint8),
        "split": split,
        "source": source,
        "crop_y": np.zeros(len(source), np.int32),
        "crop_x": np.zeros(len(source), np.int32),
    }


def parse_splits(text: str) -> dict[str, float]:
    """`train=0.8,val=0.2` as a mapping; a split that is not named gets nothing. Raises RecipeError."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            if name.strip() in shares:
                raise ValueError("given twice")
            shares[name.strip()] = float(share)
        except ValueError:
            raise errors.RecipeError(
                f"--splits {text[:80]} is not understood: give shares such as train=0.8,val=0.1,test=0.1, each once."
            ) from None
    return dict.fromkeys(SPLITS, 0.0) | shares


def check_one_size(things: str, sources: Sequence[Sized]) -> None:
    """Raise InputError where whole `things` (photos, clips) have several sizes."""
    sizes = collections.Counter((source.width, source.height) for source in sources)
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height} ({count})" for (width, height), count in sizes.most_common(4))
        raise errors.InputError(
            f"The {things} have {len(sizes)} sizes: {shown}. A dataset of whole {things} has one size; give --size to "
            f"cut crops, or {things} of one size."
        )
