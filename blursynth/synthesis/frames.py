"""A window of successive frames -> a blurred/sharp pair."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from blursynth.kernels import frames as kernel
from blursynth.kernels import linear_sum as lights
from blursynth.kernels import yuv as rows
from blursynth.media import picture
from blursynth.synthesis import flow

Box = tuple[int, int, int, int]
"""top, left, height, width in px."""

_CONTEXT = 2  # px around a crop that interpolated colour reaches


class Light:
    """How codes become light and back, with the tables of each number of frames kept.

    transfer, table: see `lights.curve`. rounding: of a mean to a code, "nearest" or "floor".
    """

    def __init__(self, transfer: str, table: Sequence[float] | None = None, rounding: str = "nearest") -> None:
        self._curve = lights.curve(transfer, None if table is None else np.reshape(table, (-1, 256)))
        self._rounding = rounding
        self._tables: dict[int, lights.Tables] = {}

    def raised(self, saturation: float) -> npt.NDArray[np.float32]:
        """Light in steps of 1 / lights.FINE, float32 (3, lights.LEVELS), with white raised by `saturation`."""
        light = self._curve.astype(np.float32)
        light[:, -1] += np.float32(saturation)
        return light

    def tables(self, frames: int) -> lights.Tables:
        """For the mean of so many frames."""
        if frames not in self._tables:
            self._tables[frames] = lights.tables(self._curve, frames, self._rounding)
        return self._tables[frames]


class Window:
    """Successive frames, as stored, that are averaged into pairs.

    light: the response. target: which frame is the sharp one. orientation: what makes them upright. interpolate:
    frames put into each interval.
    """

    def __init__(
        self,
        frames: Sequence[picture.Picture],
        light: Light,
        target: int,
        orientation: picture.Orientation = picture.UPRIGHT,
        interpolate: int = 0,
    ) -> None:
        self.frames = frames
        self.target = target
        self.orientation = orientation
        self._interpolate = interpolate
        self._light = light
        self._table = light.tables((len(frames) - 1) * (interpolate + 1) + 1)
        self._single = light.tables(1)

    def pair(self, box: Box | None = None, out: kernel.Mean | None = None) -> kernel.Mean:
        """The pair of a box of the upright frame, or of all of it: blurred and sharp uint8 (h, w, 3), RGB, encoded.

        blurred = g(mean of g^-1 of all frames), Nah et al. 2017, equation 2; sharp = the target frame. A crop equals
        that part of the whole pair to the bit. out: contiguous images to be filled and given back.
        """
        stored = self.stored_box(box)
        mean = self._average(stored, out if self.orientation == picture.UPRIGHT else None)
        if mean is out:
            return mean
        upright = kernel.Mean(self.orientation.upright(mean.blurred), self.orientation.upright(mean.sharp))
        if out is None:
            return upright
        out.blurred[:], out.sharp[:] = upright.blurred, upright.sharp
        return out

    def light(self, box: Box | None = None, saturation: float = 0.0) -> npt.NDArray[np.float32]:
        """The mean of all frames' light in a box of the upright frame, linear, float32 (h, w, 3).

        saturation: white is brighter than white by this much, in parts of white.
        """
        raised = self._light.raised(saturation)
        coding = self.frames[0].coding
        if coding is None or self._interpolate:
            mean = self._mean_of_codes(self.stored_box(box), raised[:, :: lights.FINE])
        else:
            stack, inside = _part(self.frames, coding, self.stored_box(box))
            mean = kernel.light_planes(stack, raised, inside)
        return self.orientation.upright(mean)

    def stored_box(self, box: Box | None) -> Box:
        """Where a box of the upright frame lies in the stored one."""
        height, width = self.frames[0].size
        if box is None:
            return 0, 0, height, width
        return self.orientation.stored_box(box, (height, width))

    def _average(self, box: Box, out: kernel.Mean | None) -> kernel.Mean:
        """The pair of a box of the stored frame, in `out` where that saves a copy."""
        top, left, height, width = box
        if self._interpolate:
            both = (self._whole.blurred, self._whole.sharp)
            return kernel.Mean(*(image[top : top + height, left : left + width] for image in both))
        coding = self.frames[0].coding
        if coding is not None:
            return _average_planes(self.frames, coding, box, self.target, self._table, out)
        parts = [frame.planes[0][top : top + height, left : left + width] for frame in self.frames]
        total = np.zeros((height, width, 3), np.int32)
        for part in parts:
            lights.accumulate(total, part, self._table)
        return kernel.Mean(lights.encode(total, self._table), parts[self.target].copy())

    def _mean_of_codes(self, box: Box, light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The mean light of a box of all frames as 8-bit RGB. light: float32 (3, 256)."""
        top, left, height, width = box
        total = np.zeros((height, width, 3), np.float32)
        count = 0
        for codes in self._all_codes():
            part = codes[top : top + height, left : left + width]
            for c in range(3):
                total[..., c] += light[c][part[..., c]]
            count += 1
        return total / np.float32(count)

    @functools.cached_property
    def _whole(self) -> kernel.Mean:
        """The whole stored frame, with frames interpolated in between, which are 8-bit RGB."""
        total = np.zeros((*self.frames[0].size, 3), np.int32)
        for codes in self._all_codes():
            lights.accumulate(total, codes, self._table)
        return kernel.Mean(lights.encode(total, self._table), self._codes(self.frames[self.target]))

    def _all_codes(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Every stored frame as 8-bit RGB, with frames interpolated in between."""
        before = None
        for frame in self.frames:
            codes = self._codes(frame)
            if before is not None and self._interpolate:
                yield from flow.between(before, codes, self._interpolate)
            yield codes
            before = codes

    def _codes(self, frame: picture.Picture) -> npt.NDArray[np.uint8]:
        """A stored frame as 8-bit RGB."""
        if frame.coding is None:
            return np.ascontiguousarray(frame.planes[0])
        return _average_planes([frame], frame.coding, (0, 0, *frame.size), 0, self._single).sharp


def sharp(
    frame: picture.Picture,
    light: Light,
    count: int,
    orientation: picture.Orientation,
    box: Box,
    interpolate: int = 0,
) -> npt.NDArray[np.uint8]:
    """The sharp image of a window of `count` frames from its target frame alone: uint8 (h, w, 3), RGB, encoded."""
    window = Window([frame], light, 0, orientation)
    if frame.coding is None or interpolate:
        return window.pair(box).sharp
    # Codes of one frame depend on its window's steps of light.
    table = dataclasses.replace(light.tables(count), frames=1)
    return orientation.upright(_average_planes([frame], frame.coding, window.stored_box(box), 0, table).sharp)


def _part(
    frames: Sequence[picture.Picture], coding: picture.Coding, box: Box
) -> tuple[rows.Stack, tuple[slice, slice]]:
    """A box of frames with some context, which interpolated colour needs, and where the box lies in it."""
    height, width = frames[0].size
    top, left = max(0, box[0] - _CONTEXT) & ~1, max(0, box[1] - _CONTEXT) & ~1
    bottom, right = min(height, box[0] + box[2] + _CONTEXT), min(width, box[1] + box[3] + _CONTEXT)
    down, across = (2 if halved else 1 for halved in coding.halved)
    luma = np.s_[top:bottom, left:right]
    colour = np.s_[top // down : -(-bottom // down), left // across : -(-right // across)]
    parts = (luma, colour, colour)
    planes = tuple(np.stack([frame.planes[k][part] for frame in frames]) for k, part in enumerate(parts))
    weights = rows.coefficients(coding.matrix, coding.full_range, coding.bits)
    inside = slice(box[0] - top, box[0] - top + box[2]), slice(box[1] - left, box[1] - left + box[3])
    return rows.stack(planes, weights, coding.halved, coding.centred), inside


def _average_planes(
    frames: Sequence[picture.Picture],
    coding: picture.Coding,
    box: Box,
    target: int,
    table: lights.Tables,
    out: kernel.Mean | None = None,
) -> kernel.Mean:
    stack, inside = _part(frames, coding, box)
    return kernel.average_planes(stack, target, table, inside, out)
