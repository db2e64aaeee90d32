"""What makers of pairs datasets share: their images, splits and checks."""

import collections
from collections.abc import Mapping, Sequence
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
    arrays: Sequence[schema.ArraySpec], items: int, known: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of so many items before they are made: those that are known, and zeros for the others."""
    return {
        spec.name: known[spec.name] if spec.name in known else np.zeros((items, *spec.shape), spec.dtype)
        for spec in arrays
    }


def check_one_size(things: str, sources: Sequence[Sized]) -> None:
    """Raise InputError where whole `things` (photos, clips) have several sizes."""
    sizes = collections.Counter((source.width, source.height) for source in sources)
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height} ({count})" for (width, height), count in sizes.most_common(4))
        raise errors.InputError(
            f"The {things} have {len(sizes)} sizes: {shown}. A dataset of whole {things} has one size; give --size to "
            f"cut crops, or {things} of one size."
        )
