"""Light as whole numbers: from codes and encoded values to it, and from sums of it back to codes.

Whole numbers make a sum independent of the order of frames, and the mean of equal frames exactly themselves; the only
rounding that counts is the last one, to a code.
"""

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.kernels import jit, response

FINE = 256  # steps between two grey levels
LEVELS = 255 * FINE + 1
MOST_FRAMES = 1025  # in one mean: beyond, the darkest codes would not have enough steps of light
FEWEST_BUCKETS, MOST_BUCKETS = 1 << 11, 1 << 15

Curve = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
    """What takes codes to light and the sum of `frames` lights to a code.

    linear: int32 (3, LEVELS), light of each channel's encoded value in steps of 1 / FINE. single: uint8 (3, LEVELS),
    the code of one such value. start: uint8 (3, B) and step: int32 (3, B), for each bucket of sums, which number
    floor(sqrt(sum * unit)): the code that it begins with, and the smallest sum of the next code, of which a bucket has
    one at most.
    """

    frames: int
    linear: npt.NDArray[np.int32]
    single: npt.NDArray[np.uint8]
    start: npt.NDArray[np.uint8]
    step: npt.NDArray[np.int32]
    unit: np.float32

    @functools.cached_property
    def alike(self) -> bool:
        """Whether the three channels have one response."""
        return bool((self.linear == self.linear[:1]).all())


def curve(transfer: str, table: npt.ArrayLike | None = None) -> Curve:
    """Linear light of encoded values in steps of 1 / FINE grey level: float64 (3, LEVELS), from 0 to 1.

    transfer: one of `response.TRANSFER_FUNCTIONS`, or "table" with the linear light of each 8-bit code, increasing,
    (256,) or one row a channel (3, 256); between codes it is interpolated, and it is scaled to end at 1.
    """
    if transfer != "table":
        return np.tile(response.to_linear(np.arange(LEVELS) / (LEVELS - 1), transfer), (3, 1))
    given = np.broadcast_to(np.asarray(table, np.float64), (3, 256))
    if not (np.isfinite(given).all() and (np.diff(given) > 0).all()):
        raise errors.InputError("A response table has to grow with every code; this one does not.")
    scaled = (given - given[:, :1]) / (given[:, -1:] - given[:, :1])
    codes = np.arange(256) * FINE
    return np.stack([np.interp(np.arange(LEVELS), codes, row) for row in scaled])


def tables(curve: Curve, frames: int, rounding: str = "nearest") -> Tables:
    """Tables for the mean of `frames` frames, 1 to MOST_FRAMES.

    curve: see the function `curve`. rounding: of the mean, to the "nearest" code, or "floor".
    """
    assert 1 <= frames <= MOST_FRAMES, frames
    assert curve.shape == (3, LEVELS), curve.shape
    # White is a multiple of 255, so that with g = identity every code's light is a whole number.
    white = 255 << int(np.log2((2**31 - 1) / (255 * frames)))
    linear = np.rint(curve * white).astype(np.int32)
    nearest = linear[:, FINE // 2 :: FINE].astype(np.int64)  # as integers, so that equal frames have their own mean
    steps = nearest if rounding == "nearest" else linear[:, FINE::FINE].astype(np.int64)
    # A single frame is no mean: it is rounded to the nearest code whatever becomes of means.
    single = np.stack([np.searchsorted(nearest[c], linear[c], side="right") for c in range(3)]).astype(np.uint8)
    return Tables(frames, linear, single, *_buckets((steps * frames).astype(np.int32), frames * white))


def _buckets(
    steps: npt.NDArray[np.int32], white: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], np.float32]:
    """start, step and unit of `Tables`. steps: int32 (3, 255), the smallest sums of codes 1 to 255."""
    count = FEWEST_BUCKETS
    while True:
        unit = np.float32(count * count / white)
        bucket = np.sqrt(steps.astype(np.float32) * unit).astype(np.int64)
        if (np.diff(bucket) > 0).all():
            break
        count *= 2
        if count > MOST_BUCKETS:
            raise errors.InputError("The response has codes whose light is too much the same to tell them apart.")
    buckets = np.arange(count + 2)
    start = np.stack([np.searchsorted(row, buckets) for row in bucket]).astype(np.uint8)
    step = np.full(start.shape, np.iinfo(np.int32).max, np.int32)
    np.put_along_axis(step, bucket, steps, axis=1)
    return start, step, unit


def accumulate(total: npt.NDArray[np.int32], codes: npt.NDArray[np.uint8], table: Tables) -> None:
    """Add the light of a frame, uint8 (H, W, 3), encoded, to a sum, int32 (H, W, 3), in place."""
    assert total.shape == codes.shape
    _accumulate(total, np.ascontiguousarray(codes), np.ascontiguousarray(table.linear[:, ::FINE]))


def encode(total: npt.NDArray[np.int32], table: Tables) -> npt.NDArray[np.uint8]:
    """Codes of the mean of `table.frames` accumulated frames: uint8 (H, W, 3)."""
    codes = np.empty(total.shape, np.uint8)
    _encode(total, table.start, table.step, table.unit, codes)
    return codes


@jit.inline
def encode_row(
    total: npt.NDArray[np.int32],
    start: npt.NDArray[np.uint8],
    step: npt.NDArray[np.int32],
    unit: np.float32,
    bucket: npt.NDArray[np.uint16],
    codes: npt.NDArray[np.uint8],
) -> None:
    """Codes of a row of sums of one channel."""
    for x in range(total.size):
        bucket[x] = np.uint16(np.sqrt(np.float32(total[x]) * unit))
    for x in range(total.size):
        codes[x] = start[bucket[x]] + np.uint8(total[x] >= step[bucket[x]])


@jit.kernel
def _accumulate(total: npt.NDArray[np.int32], codes: npt.NDArray[np.uint8], linear: npt.NDArray[np.int32]) -> None:
    for row in range(codes.shape[0]):
        for x in range(codes.shape[1]):
            for c in range(3):
                total[row, x, c] += linear[c, codes[row, x, c]]


@jit.kernel
def _encode(
    total: npt.NDArray[np.int32],
    start: npt.NDArray[np.uint8],
    step: npt.NDArray[np.int32],
    unit: np.float32,
    codes: npt.NDArray[np.uint8],
) -> None:
    bucket = np.empty(total.shape[1], np.uint16)
    for row in range(total.shape[0]):
        for c in range(3):
            encode_row(total[row, :, c], start[c], step[c], unit, bucket, codes[row, :, c])
