"""Make pairs from successive frames of a video: their mean in linear intensity, and the middle one of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.config import average_frames
from blursynth.kernels import frames as kernel
from blursynth.kernels import random
from blursynth.media import picture
from blursynth.synthesis import crop as crops
from blursynth.synthesis import flow, frames, pair, realism


def expose(
    window: frames.Window, box: frames.Box | None, camera: realism.Camera, out: kernel.Mean | None = None
) -> kernel.Mean:
    """Make the pair of a box of a window's upright frame, or of all of it, as a dataset stores it.

    out: contiguous images to be filled and returned.
    """
    mean = window.pair(box, out)
    if camera.is_plain:
        return mean
    blurred = camera.blurred(window.light(box, camera.saturation))
    sharp = camera.sharp(mean.sharp)
    if out is None:
        return kernel.Mean(blurred, sharp)
    out.blurred[:], out.sharp[:] = blurred, sharp
    return out


def boxes(
    seed: int, items: npt.NDArray[np.int64], frame_size: tuple[int, int], crop_size: tuple[int, int]
) -> list[frames.Box]:
    """Return a box anywhere in a frame for each item. Sizes are (height, width) in px."""
    draws = random.uniforms(seed, random.Stream.CROP, items, 2)
    return [(*crops.corner(uniform, frame_size, crop_size), *crop_size) for uniform in draws]


def make(
    frames_HWC: Sequence[npt.NDArray[np.uint8]],
    config: average_frames.AverageFrames,
    *,
    seed: int = 0,
    item: int = 0,
) -> pair.Pair:
    """Make one pair: the images that a dataset with this config and seed holds for the item.

    Parameters
    ----------
    frames_HWC
        Successive frames: uint8, RGB, encoded, of one size. All of them are averaged.

    Raises
    ------
    ValueError
        The config cannot average so many frames.
    """
    config.require_window(len(frames_HWC))
    light = frames.Light(config.transfer, config.response, config.rounding)
    pictures = [picture.Picture((np.ascontiguousarray(frame),), None) for frame in frames_HWC]
    window = frames.Window(pictures, light, config.target_of(len(pictures)), interpolate=config.interpolate)
    number, size = np.array([item], np.int64), pictures[0].size
    drawn = {} if config.realism is None else realism.draw(config.realism, seed, number)
    side = config.size
    (box,) = boxes(seed, number, size, size if side is None else (side, side))
    camera = realism.Camera(config.realism, config.transfer, config.response, realism.of_item(drawn, 0), seed, item)
    mean = expose(window, box, camera)
    measured: dict[str, Any] = {"frames": np.int32(len(pictures)), "interpolated": np.int32(config.interpolate)}
    if config.motion:
        motion = flow.measure(flow.shrink(pictures)).largest(*window.stored_box(box))
        measured |= {"step_px": np.float32(motion.max()), "motion_px": np.float32(motion.sum())}
    return pair.Pair(mean.blurred, mean.sharp, box[0], box[1], measured, {n: v[0] for n, v in drawn.items()})
