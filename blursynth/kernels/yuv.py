"""Rows of decoded planes, luma and two colour differences, as encoded RGB at 1/256 of a grey level."""

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, linear_sum

HALF = np.float32(0.5)
QUARTER = np.float32(0.25)
THREE_QUARTERS = np.float32(0.75)
ZERO = np.float32(0.0)
HIGHEST = np.float32(linear_sum.LEVELS - 1)

# Kr and Kb of ITU-R BT.601, BT.709, BT.2020 (non-constant luminance) and SMPTE 240M.
MATRICES = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
}


class Stack(NamedTuple):
    """M frames as planes: luma (M, H, W), blue and red difference (M, h, w) of the same dtype, uint8 or uint16.

    h and w are half of H and W, rounded up, as the two `halved_*` say. centred: where halved columns lie
    (media.picture.Coding). weights: from `coefficients`. Colour is interpolated linearly between its samples.
    """

    luma: npt.NDArray[Any]
    blue: npt.NDArray[Any]
    red: npt.NDArray[Any]
    weights: npt.NDArray[np.float32]
    halved_rows: bool
    halved_columns: bool
    centred: bool


def stack(
    planes: tuple[npt.NDArray[Any], ...], weights: npt.NDArray[np.float32], halved: tuple[bool, bool], centred: bool
) -> Stack:
    """The planes as kernels take them: contiguous, and of sizes that fit."""
    luma, blue, red = (np.ascontiguousarray(plane) for plane in planes)
    frames, height, width = luma.shape
    expected = (frames, -(-height // 2) if halved[0] else height, -(-width // 2) if halved[1] else width)
    assert blue.shape == red.shape == expected, (blue.shape, red.shape, expected)
    return Stack(luma, blue, red, weights, halved[0], halved[1], centred)


@functools.lru_cache(maxsize=64)
def coefficients(matrix: str, full_range: bool, bits: int) -> npt.NDArray[np.float32]:
    """What takes planes to encoded RGB in [0, light.LEVELS - 1]: offset and scale of luma, offset of colour, and the
    weights of red difference in red, blue and red difference in green, blue difference in blue: float32 (7,).

    ITU-T H.273, equations 30 to 34 and 38 to 40: R = Y + 2 (1 - Kr) Cr, B = Y + 2 (1 - Kb) Cb, G from Y.
    """
    red, blue = MATRICES[matrix]
    green = 1 - red - blue
    largest, unit = (1 << bits) - 1, 1 << (bits - 8)
    dark, span, colour_span = (0, largest, largest) if full_range else (16 * unit, 219 * unit, 224 * unit)
    weights = [2 * (1 - red), -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green, 2 * (1 - blue)]
    scaled = [weight / colour_span * (linear_sum.LEVELS - 1) for weight in weights]
    return np.array([dark, (linear_sum.LEVELS - 1) / span, 128 * unit, *scaled], np.float32)


@jit.inline
def encoded_row(
    planes: Stack, frame: int, row: int, colour: npt.NDArray[np.float32], at: npt.NDArray[np.uint16]
) -> None:
    """A row of one frame as red, green and blue in `at`, (3, W). colour: room for (3, 2 w + 1) values."""
    blue, red = planes.blue[frame], planes.red[frame]
    near = far = row
    if planes.halved_rows:
        near = row >> 1
        far = min(near + 1, blue.shape[0] - 1) if row & 1 else max(near - 1, 0)
    middle, halved, centred = planes.weights[2], planes.halved_columns, planes.centred
    _colour_row(blue[near], blue[far], middle, halved, centred, colour[0], colour[1])
    _colour_row(red[near], red[far], middle, halved, centred, colour[0], colour[2])
    _rgb_row(planes.luma[frame, row], colour[1], colour[2], planes.weights, at)


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
    at: npt.NDArray[np.uint16],
) -> None:
    """Encoded RGB of a row, in steps of 1 / FINE grey level, rounded."""
    dark, scale, _, red_r, blue_g, red_g, blue_b = weights
    offset = HALF - dark * scale
    red_at, green_at, blue_at = at[0], at[1], at[2]
    for x in range(luma.size):
        y = np.float32(luma[x]) * scale + offset
        red_at[x] = np.uint16(min(max(y + red_r * red[x], ZERO), HIGHEST))
        green_at[x] = np.uint16(min(max(y + blue_g * blue[x] + red_g * red[x], ZERO), HIGHEST))
        blue_at[x] = np.uint16(min(max(y + blue_b * blue[x], ZERO), HIGHEST))
