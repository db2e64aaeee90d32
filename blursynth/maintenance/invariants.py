"""What the values of a dataset have to satisfy, whoever made it: ranges, paths, kernels, crops.

Everything is judged by what the dataset says of itself: the arrays' attributes, their names and the other columns.
"""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.storage import schema as schemas

Arrays = Mapping[str, npt.NDArray[Any]]
Bad = npt.NDArray[np.bool_]  # (items,)

ARRAYS = ("position", "psf", "psf_field")  # those that `check_array` knows rules of
SUM_WITHIN = 1e-6
CENTROID_WITHIN = 1e-4  # px


@dataclasses.dataclass(frozen=True)
class Broken:
    """Items (rows, int64) of one array that break one rule; `problem` as it stands after the array's name."""

    array: str
    rows: npt.NDArray[np.int64]
    problem: str


@dataclasses.dataclass(frozen=True)
class Frames:
    """Sizes of what crops are cut from and of the crops, px. extents (sources, 2): height and width of each source."""

    extents: npt.NDArray[np.int64]
    crop: tuple[int, int]


def frames(attributes: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], documents: Mapping[str, Any]) -> Frames:
    """What crops have to lie in: the sources, or, where they were scaled, nothing beyond the crop itself."""
    height, width = documents["sharp"]["shape"][1:3]
    if tomllib.loads(attributes["recipe"]).get("fit") == "resize":
        extents = np.tile(np.array([[height, width]], np.int64), (len(sources), 1))
    else:
        extents = np.array([[source["height"], source["width"]] for source in sources], np.int64).reshape(-1, 2)
    return Frames(extents, (height, width))


def check_column(name: str, values: npt.NDArray[Any], attributes: Mapping[str, Any]) -> Iterator[Broken]:
    """Values of a column lie in its `valid_range`."""
    if "valid_range" in attributes:
        low, high = attributes["valid_range"]
        outside = ~((values >= low) & (values <= high))  # so that a NaN is outside
        yield from _broken(name, outside, f"has values outside of [{low:g}, {high:g}]")


def check_crops(columns: Arrays, frames: Frames) -> Iterator[Broken]:
    """Crops lie wholly in their sources. Rows whose source does not exist break another rule and are passed over."""
    known = (columns[schemas.SOURCE] >= 0) & (columns[schemas.SOURCE] < len(frames.extents))
    extents = np.zeros((len(known), 2), np.int64)
    extents[known] = frames.extents[columns[schemas.SOURCE][known]]
    for axis, name in enumerate(("crop_y", "crop_x")):
        if name in columns:
            begin = columns[name].astype(np.int64)
            outside = (begin < 0) | (begin + frames.crop[axis] > extents[:, axis])
            yield from _broken(name, known & outside, "has crops that reach beyond their source")


def check_array(
    name: str, values: npt.NDArray[Any], attributes: Mapping[str, Any], columns: Arrays
) -> Iterator[Broken]:
    """Paths start at 0 and stay within their length; kernels are light that was spread, and centred."""
    if name == "position":
        yield from _check_paths(name, values, attributes["scale_factor"], columns)
    if name in ("psf", "psf_field"):
        kernels = values.reshape(-1, *values.shape[-2:])
        points = len(kernels) // max(len(values), 1)  # of the grid that each item has
        for broken in _check_kernels(name, kernels, centred=attributes.get("centring", "centroid") == "centroid"):
            yield dataclasses.replace(broken, rows=np.unique(broken.rows // points))


def _check_paths(name: str, position_NMA: npt.NDArray[Any], scale: float, columns: Arrays) -> Iterator[Broken]:
    yield from _broken(name, np.any(position_NMA[:, 0], axis=1), "has paths that do not start at 0")
    if "length" in columns:
        # No point is farther from the start than the path is long; each coordinate was rounded by half a step.
        farthest = np.hypot(*np.moveaxis(position_NMA.astype(np.float32), 2, 0)).max(axis=1) * scale
        yield from _broken(
            name, farthest > columns["length"] * (1 + 1e-6) + scale, "has paths that reach farther than their length"
        )


def _check_kernels(name: str, psf_NKK: npt.NDArray[Any], centred: bool) -> Iterator[Broken]:
    values = psf_NKK.astype(np.float64)
    yield from _broken(
        name, ~np.all(values >= 0, axis=(1, 2)), "has kernels with weights that are negative or not a number"
    )
    total = values.sum(axis=(1, 2))
    yield from _broken(name, ~(np.abs(total - 1) <= SUM_WITHIN), "has kernels that do not sum to 1")
    if centred:
        grid = np.arange(values.shape[1]) - values.shape[1] // 2
        x, y = values.sum(axis=1) @ grid, values.sum(axis=2) @ grid
        off = ~((np.abs(x) <= CENTROID_WITHIN) & (np.abs(y) <= CENTROID_WITHIN))
        yield from _broken(name, off, "has kernels whose centroid is not on the centre pixel")


def _broken(name: str, bad: Bad, problem: str) -> Iterator[Broken]:
    rows = np.flatnonzero(bad)
    if rows.size:
        yield Broken(name, rows, problem)
