"""What PNG does to rows before they are compressed: each byte becomes its difference from a prediction. And back.

PNG (Third Edition), section 9.2 "Filter types for filter method 0" and 9.4 "Filter type 4: Paeth". Written is the same
filter on every row: on photographs, sharp and blurred, a choice for each row saves 1 % of bytes and costs more than
compressing. Read are all five.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit

NONE, SUB, UP, AVERAGE, PAETH = range(5)
CHANNELS = 3  # of images whose filters are undone here
LANES = 16  # rows side by side: 48 bytes, whole vectors of all processors


def paeth(pixels_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The filtered rows of an image, each after the byte that names the filter.

    pixels_HWC: uint8 (H, W, C), as stored. Returns uint8 (H, 1 + W C).
    """
    assert pixels_HWC.dtype == np.uint8
    height, width, channels = pixels_HWC.shape
    rows = np.ascontiguousarray(pixels_HWC).reshape(height, width * channels)
    filtered = np.empty((height, 1 + width * channels), np.uint8)
    _paeth(rows, channels, filtered)
    return filtered


@jit.kernel
def _paeth(rows: npt.NDArray[np.uint8], step: int, filtered: npt.NDArray[np.uint8]) -> None:
    height, width = rows.shape
    for y in range(height):
        filtered[y, 0] = PAETH
        for x in range(width):
            left = np.int64(rows[y, x - step]) if x >= step else np.int64(0)
            above = np.int64(rows[y - 1, x]) if y > 0 else np.int64(0)
            corner = np.int64(rows[y - 1, x - step]) if x >= step and y > 0 else np.int64(0)
            filtered[y, 1 + x] = np.uint8((np.int64(rows[y, x]) - _predicted(left, above, corner)) & 255)


def restore(filtered: npt.NDArray[np.uint8], image_HWC: npt.NDArray[np.uint8], top: int) -> bool:
    """Put the pixels that filtered rows stand for into an image from row `top` on, undoing the filter each row names.

    filtered: uint8 (N, 1 + 3 W). image_HWC: uint8 (H, W, 3), contiguous, restored above `top`. False, with some of the
    rows put there, where one names a filter that there is not.
    """
    assert filtered.dtype == image_HWC.dtype == np.uint8
    height, width, channels = image_HWC.shape
    assert channels == CHANNELS
    assert filtered.shape[1] == 1 + CHANNELS * width
    assert top + filtered.shape[0] <= height
    rows = image_HWC.reshape(height, CHANNELS * width)
    assert np.shares_memory(rows, image_HWC), "the image is not contiguous"
    return bool(_restore(np.ascontiguousarray(filtered), rows, top))


@jit.kernel
def _restore(filtered: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], top: int) -> bool:
    slanted = np.empty((rows.shape[1] // CHANNELS + LANES + 1, CHANNELS * (LANES + 1)), np.uint8)
    first = 0
    while first < filtered.shape[0]:
        alike = 0
        while alike < LANES and first + alike < filtered.shape[0] and filtered[first + alike, 0] == PAETH:
            alike += 1
        if alike:
            _restore_paeth(filtered[first : first + alike, 1:], rows, top + first, slanted)
        elif filtered[first, 0] < PAETH:
            _restore_row(filtered[first], rows, top + first)
        else:
            return False
        first += max(alike, 1)
    return True


@jit.inline
def _restore_row(filtered: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], y: int) -> None:
    """One row, of any filter but Paeth's."""
    kind = filtered[0]
    for x in range(rows.shape[1]):
        left = np.int32(rows[y, x - CHANNELS]) if x >= CHANNELS else np.int32(0)
        above = np.int32(rows[y - 1, x]) if y > 0 else np.int32(0)
        predicted = np.int32(0)
        if kind == SUB:
            predicted = left
        elif kind == UP:
            predicted = above
        elif kind == AVERAGE:
            predicted = (left + above) >> 1
        rows[y, x] = (np.int32(filtered[1 + x]) + predicted) & 255


@jit.inline
def _restore_paeth(
    filtered: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], top: int, slanted: npt.NDArray[np.uint8]
) -> None:
    """Several rows of Paeth's filter, one pixel of each at a time, side by side.

    A pixel waits for those to the left and above, so each row goes one pixel behind the one above it: in `slanted`,
    lane k is the k-th of these rows (lane 0 the row above them) and its pixel x stands at x + k + 1. A step then takes
    all lanes at once from the two steps before.
    """
    count, width = filtered.shape[0], rows.shape[1] // CHANNELS
    for k in range(count + 1):
        slanted[: k + 1, CHANNELS * k : CHANNELS * (k + 1)] = 0
        lane = slanted[k + 1 : k + 1 + width, CHANNELS * k : CHANNELS * (k + 1)]
        if k > 0:
            _spread(filtered[k - 1], lane)
        elif top > 0:
            _spread(rows[top - 1], lane)
        else:
            lane[:] = 0
    for step in range(2, width + count + 1):
        low, high = CHANNELS * max(1, step - width), CHANNELS * min(count + 1, step)  # lanes that have begun, not ended
        before, earlier = slanted[step - 1], slanted[step - 2]
        above, corner = before[low - CHANNELS : high - CHANNELS], earlier[low - CHANNELS : high - CHANNELS]
        _restore_step(slanted[step, low:high], before[low:high], above, corner)
    for k in range(1, count + 1):
        row, lane = rows[top + k - 1], slanted[k + 1 : k + 1 + width, CHANNELS * k : CHANNELS * (k + 1)]
        for x in range(width):
            row[3 * x], row[3 * x + 1], row[3 * x + 2] = lane[x, 0], lane[x, 1], lane[x, 2]


@jit.inline
def _spread(row: npt.NDArray[np.uint8], lane: npt.NDArray[np.uint8]) -> None:
    for x in range(lane.shape[0]):
        lane[x, 0], lane[x, 1], lane[x, 2] = row[3 * x], row[3 * x + 1], row[3 * x + 2]


@jit.inline
def _restore_step(
    now: npt.NDArray[np.uint8],
    left: npt.NDArray[np.uint8],
    above: npt.NDArray[np.uint8],
    corner: npt.NDArray[np.uint8],
) -> None:
    for k in range(now.size):
        predicted = _predicted(np.int16(left[k]), np.int16(above[k]), np.int16(corner[k]))
        now[k] = (np.int16(now[k]) + predicted) & np.int16(255)


@jit.inline
def _predicted(left: Any, above: Any, corner: Any) -> Any:
    """Paeth's: of the three, the one nearest to left + above - corner; ties in this order."""
    from_left, from_above, from_corner = abs(above - corner), abs(left - corner), abs(left + above - corner - corner)
    other = above if from_above <= from_corner else corner
    nearest = from_above if from_above <= from_corner else from_corner
    return left if from_left <= nearest else other
