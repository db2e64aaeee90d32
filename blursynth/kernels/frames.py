"""The mean of successive frames in linear light, from decoded planes.

    blurred = g( (1 / M) * sum over m of g^-1(frame_m) )            Nah et al. 2017, equation 2

with g the response curve. Planes become RGB at 1/256 of a grey level (`planes`), and a table takes that to light
(`light`). A row of all frames is finished before the next is begun, so that the sums stay in the processor's cache.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, linear_sum, yuv

TOGETHER = 4  # frames whose light is added at a time
ONE = np.float32(1.0)

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
    stack: yuv.Stack, target: int, table: linear_sum.Tables, inside: Inside = np.s_[:, :], out: Mean | None = None
) -> Mean:
    """Mean in linear light of M frames given as planes. target: which frame is the sharp one.

    out: contiguous images to be filled and given back.
    """
    assert len(stack.luma) == table.frames
    assert 0 <= target < table.frames
    rows, columns = _bounds(stack, inside)
    made = out or Mean.empty(len(rows), len(columns))
    assert made.blurred.shape == made.sharp.shape == (len(rows), len(columns), 3), made.blurred.shape
    linear = table.linear[:1] if table.alike else table.linear
    _average_planes(
        stack, target, linear, table.single, table.start, table.step, table.unit, rows.start, columns.start,
        made.blurred, made.sharp,
    )  # fmt: skip
    return made


def light_planes(
    stack: yuv.Stack, linear: npt.NDArray[np.float32], inside: Inside = np.s_[:, :]
) -> npt.NDArray[np.float32]:
    """The mean itself, float32 (H, W, 3), in the units of `linear`.

    linear: light of encoded values in steps of 1 / light.FINE, float32 (3, light.LEVELS).
    """
    rows, columns = _bounds(stack, inside)
    made = np.zeros((len(rows), len(columns), 3), np.float32)
    _light_planes(stack, np.ascontiguousarray(linear), rows.start, columns.start, made)
    return made


def _bounds(stack: yuv.Stack, inside: Inside) -> tuple[range, range]:
    return range(stack.luma.shape[1])[inside[0]], range(stack.luma.shape[2])[inside[1]]


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
    stack: yuv.Stack,
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
    frames, _, width = stack.luma.shape
    # One table for all channels where they are alike: it has to share the cache with nothing then.
    alike = linear.shape[0] == 1
    red_light, green_light, blue_light = linear[0], linear[0 if alike else 1], linear[0 if alike else 2]
    colour = np.empty((3, 2 * stack.blue.shape[2] + 1), np.float32)
    at = np.empty((TOGETHER, 3, width), np.uint16)
    total = np.empty((3, width), np.int32)
    for row in range(blurred.shape[0]):
        total[:] = 0
        waiting = 0
        for m in range(frames):
            yuv.encoded_row(stack, m, top + row, colour, at[waiting])
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
            linear_sum.encode_row(seen, start[c], step[c], unit, at[0, c], blurred[row, :, c])


@jit.kernel
def _light_planes(
    stack: yuv.Stack,
    linear: npt.NDArray[np.float32],
    top: int,
    left: int,
    made: npt.NDArray[np.float32],
) -> None:
    frames, _, width = stack.luma.shape
    colour = np.empty((3, 2 * stack.blue.shape[2] + 1), np.float32)
    at = np.empty((3, width), np.uint16)
    share = ONE / np.float32(frames)
    for row in range(made.shape[0]):
        for m in range(frames):
            yuv.encoded_row(stack, m, top + row, colour, at)
            for c in range(3):
                for x in range(made.shape[1]):
                    made[row, x, c] += linear[c, at[c, left + x]]
        made[row] *= share
