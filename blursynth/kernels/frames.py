"""The mean of successive frames in linear light, from decoded planes.

    blurred = g( (1 / M) * sum over m of g^-1(frame_m) )            Nah et al. 2017, equation 2

with g the response curve. Planes become RGB at 1/256 of a grey level (`planes`), and a table takes that to light
(`light`). A row of all frames is finished before the next is begun, so that the sums stay in the processor's cache.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, light
from blursynth.kernels import planes as rows

TOGETHER = 4  # frames whose light is added at a time
ONE = np.float32(1.0)

Planes = tuple[npt.NDArray[Any], ...]
Inside = tuple[slice, slice]
"""Rows and columns of planes that an image is wanted of; what lies around them only lends its colour."""


@dataclasses.dataclass(frozen=True)
class Mean:
    """blurred: mean of all frames; sharp: the target frame. Both uint8 (H, W, 3), RGB, encoded."""

    blurred: npt.NDArray[np.uint8]
    sharp: npt.NDArray[np.uint8]

    @classmethod
    def empty(cls, height: int, width: int) -> "Mean":
        return cls(np.empty((height, width, 3), np.uint8), np.empty((height, width, 3), np.uint8))


def average_planes(
    planes: Planes,
    weights: npt.NDArray[np.float32],
    halved: tuple[bool, bool],
    centred: bool,
    target: int,
    table: light.Tables,
    inside: Inside = np.s_[:, :],
    out: Mean | None = None,
) -> Mean:
    """Mean in linear light of M frames given as luma and two colour planes.

    planes: luma (M, H, W), blue and red difference (M, h, w) of the same dtype, uint8 or uint16; h and w are half of H
    and W, rounded up, as `halved` says. weights: from `planes.coefficients`. centred: where halved columns lie
    (media.picture.Coding). Colour is interpolated linearly between its samples. target: which frame is the sharp one.
    out: contiguous images to be filled and given back.
    """
    luma, blue, red = _checked(planes, halved)
    assert len(luma) == table.frames
    assert 0 <= target < len(luma)
    rows_, columns = _bounds(luma, inside)
    made = out or Mean.empty(len(rows_), len(columns))
    assert made.blurred.shape == made.sharp.shape == (len(rows_), len(columns), 3), made.blurred.shape
    linear = table.linear[:1] if table.alike else table.linear
    _average_planes(
        luma, blue, red, weights, halved[0], halved[1], centred, target, linear, table.single, table.start, table.step,
        table.unit, rows_.start, columns.start, made.blurred, made.sharp,
    )  # fmt: skip
    return made


def light_planes(
    planes: Planes,
    weights: npt.NDArray[np.float32],
    halved: tuple[bool, bool],
    centred: bool,
    linear: npt.NDArray[np.float32],
    inside: Inside = np.s_[:, :],
) -> npt.NDArray[np.float32]:
    """The mean itself, float32 (H, W, 3), in the units of `linear`: light of encoded values in steps of 1 / light.FINE,
    float32 (3, light.LEVELS).

    Everything else is as in `average_planes`.
    """
    luma, blue, red = _checked(planes, halved)
    rows_, columns = _bounds(luma, inside)
    made = np.zeros((len(rows_), len(columns), 3), np.float32)
    _light_planes(
        luma, blue, red, weights, halved[0], halved[1], centred, np.ascontiguousarray(linear), rows_.start,
        columns.start, made,
    )  # fmt: skip
    return made


def _checked(planes: Planes, halved: tuple[bool, bool]) -> Planes:
    luma, blue, red = (np.ascontiguousarray(plane) for plane in planes)
    frames, height, width = luma.shape
    expected = (frames, -(-height // 2) if halved[0] else height, -(-width // 2) if halved[1] else width)
    assert blue.shape == red.shape == expected, (blue.shape, red.shape, expected)
    return luma, blue, red


def _bounds(luma: npt.NDArray[Any], inside: Inside) -> tuple[range, range]:
    return range(luma.shape[1])[inside[0]], range(luma.shape[2])[inside[1]]


@jit.inline
def _add_four(
    total: npt.NDArray[np.int32], at: npt.NDArray[np.uint16], channel: int, linear: npt.NDArray[np.int32]
) -> None:
    """The light of TOGETHER rows, uint16 (TOGETHER, 3, W): each sum is fetched and stored once for all of them."""
    one, two, three, four = at[0, channel], at[1, channel], at[2, channel], at[3, channel]
    for x in range(total.size):
        total[x] += (linear[one[x]] + linear[two[x]]) + (linear[three[x]] + linear[four[x]])


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
    top: int,
    left: int,
    blurred: npt.NDArray[np.uint8],
    sharp: npt.NDArray[np.uint8],
) -> None:
    frames, _, width = luma.shape
    # One table for all channels where they are alike: it has to share the cache with nothing then.
    alike = linear.shape[0] == 1
    red_light, green_light, blue_light = linear[0], linear[0 if alike else 1], linear[0 if alike else 2]
    colour = np.empty((3, 2 * blue.shape[2] + 1), np.float32)
    at = np.empty((TOGETHER, 3, width), np.uint16)
    total = np.empty((3, width), np.int32)
    for row in range(blurred.shape[0]):
        total[:] = 0
        waiting = 0
        for m in range(frames):
            rows.encoded_row(
                luma[m], blue[m], red[m], top + row, weights, halved_rows, halved_columns, centred, colour, at[waiting]
            )
            if m == target:
                for c in range(3):
                    for x in range(blurred.shape[1]):
                        sharp[row, x, c] = single[c, at[waiting, c, left + x]]
            waiting += 1
            if waiting == TOGETHER or m == frames - 1:
                at[waiting:] = 0  # black, which adds nothing
                _add_four(total[0], at, 0, red_light)
                _add_four(total[1], at, 1, green_light)
                _add_four(total[2], at, 2, blue_light)
                waiting = 0
        for c in range(3):
            seen = total[c, left : left + blurred.shape[1]]
            light.encode_row(seen, start[c], step[c], unit, at[0, c], blurred[row, :, c])


@jit.kernel
def _light_planes(
    luma: npt.NDArray[Any],
    blue: npt.NDArray[Any],
    red: npt.NDArray[Any],
    weights: npt.NDArray[np.float32],
    halved_rows: bool,
    halved_columns: bool,
    centred: bool,
    linear: npt.NDArray[np.float32],
    top: int,
    left: int,
    made: npt.NDArray[np.float32],
) -> None:
    frames, _, width = luma.shape
    colour = np.empty((3, 2 * blue.shape[2] + 1), np.float32)
    at = np.empty((3, width), np.uint16)
    share = ONE / np.float32(frames)
    for row in range(made.shape[0]):
        for m in range(frames):
            rows.encoded_row(
                luma[m], blue[m], red[m], top + row, weights, halved_rows, halved_columns, centred, colour, at
            )
            for c in range(3):
                for x in range(made.shape[1]):
                    made[row, x, c] += linear[c, at[c, left + x]]
        made[row] *= share
