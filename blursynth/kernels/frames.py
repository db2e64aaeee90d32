"""The mean of successive frames in linear light, from decoded planes or from RGB, and its 8-bit codes.

    blurred = g( (1 / M) * sum over m of g^-1(frame_m) )            Nah et al. 2017, equation 2

with g the response curve. Light is added up as whole numbers, so that the order of frames does not matter, equal
frames give exactly themselves, and the only rounding that counts is the last one, to a code.

Planes become RGB at 1/256 of a grey level; a table takes that to light. A row of all frames is finished before the
next is begun, so that the sums stay in the processor's cache.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.kernels import jit, response

FINE = 256  # steps between two grey levels
LEVELS = 255 * FINE + 1
MOST_FRAMES = 1025  # in one mean: beyond, the darkest codes would not have enough steps of light
TOGETHER = 4  # frames whose light is added at a time
FEWEST_BUCKETS, MOST_BUCKETS = 1 << 11, 1 << 15
HALF = np.float32(0.5)
QUARTER = np.float32(0.25)
THREE_QUARTERS = np.float32(0.75)
ZERO = np.float32(0.0)
ONE = np.float32(1.0)
HIGHEST = np.float32(LEVELS - 1)

# Kr and Kb of ITU-R BT.601, BT.709, BT.2020 (non-constant luminance) and SMPTE 240M.
MATRICES = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
}

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


def tables(light: Curve, frames: int, rounding: str = "nearest") -> Tables:
    """Tables for the mean of `frames` frames, 1 to MOST_FRAMES.

    light: see `curve`. rounding: to the "nearest" code, or "floor".
    """
    assert 1 <= frames <= MOST_FRAMES, frames
    assert light.shape == (3, LEVELS), light.shape
    # White is a multiple of 255, so that with g = identity every code's light is a whole number.
    white = 255 << int(np.log2((2**31 - 1) / (255 * frames)))
    linear = np.rint(light * white).astype(np.int32)
    first = FINE // 2 if rounding == "nearest" else FINE
    steps = linear[:, first::FINE].astype(np.int64)  # as rounded, so that one frame's code does not depend on `frames`
    single = np.stack([np.searchsorted(steps[c], linear[c], side="right") for c in range(3)]).astype(np.uint8)
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


@functools.lru_cache(maxsize=64)
def coefficients(matrix: str, full_range: bool, bits: int) -> npt.NDArray[np.float32]:
    """What takes planes to encoded RGB in [0, LEVELS - 1]: offset and scale of luma, offset of colour, and the weights
    of red difference in red, blue and red difference in green, blue difference in blue: float32 (7,).

    ITU-T H.273, equations 30 to 34 and 38 to 40: R = Y + 2 (1 - Kr) Cr, B = Y + 2 (1 - Kb) Cb, G from Y.
    """
    red, blue = MATRICES[matrix]
    green = 1 - red - blue
    largest, unit = (1 << bits) - 1, 1 << (bits - 8)
    dark, span, colour_span = (0, largest, largest) if full_range else (16 * unit, 219 * unit, 224 * unit)
    weights = [2 * (1 - red), -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green, 2 * (1 - blue)]
    scaled = [weight / colour_span * (LEVELS - 1) for weight in weights]
    return np.array([dark, (LEVELS - 1) / span, 128 * unit, *scaled], np.float32)


@dataclasses.dataclass(frozen=True)
class Mean:
    """blurred: mean of all frames; sharp: the target frame. Both uint8 (H, W, 3), RGB, encoded."""

    blurred: npt.NDArray[np.uint8]
    sharp: npt.NDArray[np.uint8]


def average_planes(
    planes: tuple[npt.NDArray[Any], ...],
    weights: npt.NDArray[np.float32],
    halved: tuple[bool, bool],
    centred: bool,
    target: int,
    table: Tables,
) -> Mean:
    """Mean in linear light of M frames given as luma and two colour planes.

    planes: luma (M, H, W), blue and red difference (M, h, w) of the same dtype, uint8 or uint16; h and w are half of H
    and W, rounded up, as `halved` says. weights: from `coefficients`. centred: where halved columns lie
    (media.picture.Coding). Colour is interpolated linearly between its samples. target: which frame is the sharp one.
    """
    luma, blue, red = (np.ascontiguousarray(plane) for plane in planes)
    frames, height, width = luma.shape
    expected = (frames, -(-height // 2) if halved[0] else height, -(-width // 2) if halved[1] else width)
    assert blue.shape == red.shape == expected, (blue.shape, red.shape, expected)
    assert frames == table.frames
    assert 0 <= target < frames
    made = Mean(np.empty((height, width, 3), np.uint8), np.empty((height, width, 3), np.uint8))
    light = table.linear[:1] if table.alike else table.linear
    _average_planes(
        luma, blue, red, weights, halved[0], halved[1], centred, target,
        light, table.single, table.start, table.step, table.unit, made.blurred, made.sharp,
    )  # fmt: skip
    return made


def light_planes(
    planes: tuple[npt.NDArray[Any], ...],
    weights: npt.NDArray[np.float32],
    halved: tuple[bool, bool],
    centred: bool,
    light: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """The mean itself, float32 (H, W, 3), in the units of `light`: of codes in steps of 1 / FINE, float32 (3, LEVELS).

    Everything else is as in `average_planes`.
    """
    luma, blue, red = (np.ascontiguousarray(plane) for plane in planes)
    made = np.zeros((*luma.shape[1:], 3), np.float32)
    _light_planes(luma, blue, red, weights, halved[0], halved[1], centred, np.ascontiguousarray(light), made)
    return made


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
def _encode_row(
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


@jit.inline
def _colour_row(
    near: npt.NDArray[Any],
    far: npt.NDArray[Any],
    offset: np.float32,
    halved: bool,
    centred: bool,
    half: npt.NDArray[np.float32],
    full: npt.NDArray[np.float32],
) -> None:
    """A row of a colour plane at every pixel. near, far: its two nearest sample rows, weighted 3/4 and 1/4."""
    samples = near.size
    for i in range(samples):
        half[i] = np.float32(near[i]) * THREE_QUARTERS + np.float32(far[i]) * QUARTER - offset
    if not halved:
        full[:samples] = half[:samples]
        return
    half[samples] = half[samples - 1]
    if centred:
        full[0] = half[0]
        for i in range(1, samples):
            full[2 * i] = half[i] * THREE_QUARTERS + half[i - 1] * QUARTER
        for i in range(samples):
            full[2 * i + 1] = half[i] * THREE_QUARTERS + half[i + 1] * QUARTER
    else:
        for i in range(samples):
            full[2 * i] = half[i]
            full[2 * i + 1] = (half[i] + half[i + 1]) * HALF


@jit.inline
def _rgb_row(
    luma: npt.NDArray[Any],
    blue: npt.NDArray[np.float32],
    red: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    red_at: npt.NDArray[np.uint16],
    green_at: npt.NDArray[np.uint16],
    blue_at: npt.NDArray[np.uint16],
) -> None:
    """Encoded RGB of a row, in steps of 1 / FINE grey level, rounded."""
    dark, scale, _, red_r, blue_g, red_g, blue_b = weights
    offset = HALF - dark * scale
    for x in range(luma.size):
        y = np.float32(luma[x]) * scale + offset
        red_at[x] = np.uint16(min(max(y + red_r * red[x], ZERO), HIGHEST))
        green_at[x] = np.uint16(min(max(y + blue_g * blue[x] + red_g * red[x], ZERO), HIGHEST))
        blue_at[x] = np.uint16(min(max(y + blue_b * blue[x], ZERO), HIGHEST))


@jit.inline
def _add_four(total: npt.NDArray[np.int32], at: npt.NDArray[np.uint16], light: npt.NDArray[np.int32]) -> None:
    """The light of TOGETHER rows, uint16 (TOGETHER, W): each sum is fetched and stored once for all of them."""
    for x in range(total.size):
        total[x] += (light[at[0, x]] + light[at[1, x]]) + (light[at[2, x]] + light[at[3, x]])


@jit.kernel
def _average_planes(
    luma: npt.NDArray[Any],
    blue: npt.NDArray[Any],
    red: npt.NDArray[Any],
    weights: npt.NDArray[np.float32],
    halved_rows: bool,
    halved_columns: bool,
    centred: bool,
    target: int,
    linear: npt.NDArray[np.int32],
    single: npt.NDArray[np.uint8],
    start: npt.NDArray[np.uint8],
    step: npt.NDArray[np.int32],
    unit: np.float32,
    blurred: npt.NDArray[np.uint8],
    sharp: npt.NDArray[np.uint8],
) -> None:
    frames, height, width = luma.shape
    middle = weights[2]
    # One table for all channels where they are alike: it has to share the cache with nothing then.
    alike = linear.shape[0] == 1
    red_light, green_light, blue_light = linear[0], linear[0 if alike else 1], linear[0 if alike else 2]
    half = np.empty(blue.shape[2] + 1, np.float32)
    blue_row = np.empty(2 * blue.shape[2], np.float32)
    red_row = np.empty(2 * blue.shape[2], np.float32)
    at = np.empty((3, TOGETHER, width), np.uint16)
    total = np.empty((3, width), np.int32)
    for row in range(height):
        near = far = row
        if halved_rows:
            near = row >> 1
            far = min(near + 1, blue.shape[1] - 1) if row & 1 else max(near - 1, 0)
        total[:] = 0
        waiting = 0
        for m in range(frames):
            _colour_row(blue[m, near], blue[m, far], middle, halved_columns, centred, half, blue_row)
            _colour_row(red[m, near], red[m, far], middle, halved_columns, centred, half, red_row)
            _rgb_row(luma[m, row], blue_row, red_row, weights, at[0, waiting], at[1, waiting], at[2, waiting])
            if m == target:
                for c in range(3):
                    for x in range(width):
                        sharp[row, x, c] = single[c, at[c, waiting, x]]
            waiting += 1
            if waiting == TOGETHER or m == frames - 1:
                at[:, waiting:] = 0  # black, which adds nothing
                _add_four(total[0], at[0], red_light)
                _add_four(total[1], at[1], green_light)
                _add_four(total[2], at[2], blue_light)
                waiting = 0
        for c in range(3):
            _encode_row(total[c], start[c], step[c], unit, at[c, 0], blurred[row, :, c])


@jit.kernel
def _light_planes(
    luma: npt.NDArray[Any],
    blue: npt.NDArray[Any],
    red: npt.NDArray[Any],
    weights: npt.NDArray[np.float32],
    halved_rows: bool,
    halved_columns: bool,
    centred: bool,
    light: npt.NDArray[np.float32],
    made: npt.NDArray[np.float32],
) -> None:
    frames, height, width = luma.shape
    half = np.empty(blue.shape[2] + 1, np.float32)
    blue_row = np.empty(2 * blue.shape[2], np.float32)
    red_row = np.empty(2 * blue.shape[2], np.float32)
    at = np.empty((3, width), np.uint16)
    share = ONE / np.float32(frames)
    for row in range(height):
        near = far = row
        if halved_rows:
            near = row >> 1
            far = min(near + 1, blue.shape[1] - 1) if row & 1 else max(near - 1, 0)
        for m in range(frames):
            _colour_row(blue[m, near], blue[m, far], weights[2], halved_columns, centred, half, blue_row)
            _colour_row(red[m, near], red[m, far], weights[2], halved_columns, centred, half, red_row)
            _rgb_row(luma[m, row], blue_row, red_row, weights, at[0], at[1], at[2])
            for c in range(3):
                for x in range(width):
                    made[row, x, c] += light[c, at[c, x]]
        made[row] *= share


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
            _encode_row(total[row, :, c], start[c], step[c], unit, bucket, codes[row, :, c])
