"""Polygons and run lengths of COCO as masks, by the rules of its own library, pycocotools (`common/maskApi.c`).

Our own code, since that library trusts what it is given: it reads beyond strings and counts that are damaged, and
overflows on far coordinates.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

_FINE = 5  # steps a pixel at which an outline is followed
MOST_POINTS = 2**23
"""Steps of one outline: five for each px along x or y, whichever is more."""


def length(points_P2: npt.NDArray[np.float64]) -> float:
    """Steps at which the outline of a polygon is followed, as a float64, so that it cannot overflow."""
    return float(np.abs(points_P2 - np.roll(points_P2, -1, axis=0)).max(axis=1).sum()) * _FINE + len(points_P2)


def polygons(parts: Sequence[npt.NDArray[np.float64]], height: int, width: int) -> Mask:
    """The union of polygons, bool (height, width). parts: float64 (P, 2), x then y, (0, 0) being the photo's corner."""
    mask = np.zeros((height, width), bool)
    for part in parts:
        _fill(mask, part)
    return mask


def area(parts: Sequence[npt.NDArray[np.float64]], height: int, width: int) -> int:
    """How many pixels `polygons` fills."""
    if len(parts) != 1:
        return int(np.count_nonzero(polygons(parts, height, width)))
    columns, rows = _changes(parts[0], height, width)
    ends = np.sort(columns * height + rows)  # each column has an even number of them
    return int((ends[1::2] - ends[::2]).sum())


def _fill(mask: Mask, points_P2: npt.NDArray[np.float64]) -> None:
    height, width = mask.shape
    columns, rows = _changes(points_P2, height, width)
    if not len(columns):
        return
    first, last = int(columns.min()), int(columns.max()) + 1
    changes = np.zeros((last - first) * height + 1, np.uint8)  # row `height` is the next column's first
    np.bitwise_xor.at(changes, (columns - first) * height + rows, 1)
    inside = np.bitwise_xor.accumulate(changes[:-1]).astype(bool)
    mask[:, first:last] |= inside.reshape(last - first, height).T


def _changes(
    points_P2: npt.NDArray[np.float64], height: int, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Columns and rows (0 to `height`) at which one polygon begins or ends as `rleFrPoly` fills it: a column changes
    where the outline crosses its middle."""
    u, v = _outline((_FINE * points_P2 + 0.5).astype(np.int64))
    at = np.flatnonzero(np.diff(u))
    crossed = np.minimum(u[at], u[at + 1])
    middle = (crossed % _FINE == _FINE // 2) & (crossed >= 0) & (crossed < _FINE * width)
    rows = (np.minimum(v[at], v[at + 1])[middle] + 0.5) / _FINE - 0.5
    return crossed[middle] // _FINE, np.ceil(np.clip(rows, 0, height)).astype(np.int64)


def _outline(corners_P2: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Dense points along a closed outline, int64 (N,) each: a step of 1 along x or y, whichever changes more."""
    first, last = corners_P2, np.roll(corners_P2, -1, axis=0)
    extent = np.abs(last - first)
    flat = extent[:, 0] >= extent[:, 1]
    flip = np.where(flat, first[:, 0] > last[:, 0], first[:, 1] > last[:, 1])
    low, high = np.where(flip[:, None], last, first), np.where(flip[:, None], first, last)
    steps = extent.max(axis=1)
    rise = np.where(flat, high[:, 1] - low[:, 1], high[:, 0] - low[:, 0]) / np.maximum(steps, 1)
    edge = np.repeat(np.arange(len(steps)), steps + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)
    step = np.where(flip[edge], steps[edge] - step, step)
    along = step + np.where(flat, low[:, 0], low[:, 1])[edge]
    across = (np.where(flat, low[:, 1], low[:, 0])[edge] + rise[edge] * step + 0.5).astype(np.int64)
    return np.where(flat[edge], along, across), np.where(flat[edge], across, along)


def runs(counts: npt.NDArray[np.int64], height: int, width: int) -> Mask:
    """Lengths of runs of 0, 1, 0, ... down the columns, which come to height * width: bool (height, width)."""
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(values.reshape(width, height).T)


def counts_of_text(text: str) -> list[int]:
    """The counts in COCO's compressed form (`rleFrString`): 6 bits a character, differences from the third on.

    Raises ValueError for what is not that form.
    """
    counts: list[int] = []
    value = shift = 0
    for sign in text.encode("ascii"):
        bits = sign - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("it is not COCO's compressed form")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its last number is cut off")
    return counts
