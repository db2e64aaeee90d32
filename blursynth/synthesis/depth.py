"""Sharp photo + its depth map + path of the camera -> blurred photo: planes at several depths, the near over the far.

Pixels are put on planes evenly spaced in 1 / depth, in which displacements are nearly linear. A plane goes on behind
the nearer ones as far as motion may uncover it, with the light of its nearest pixel that is seen. The farthest goes on
everywhere, so that no moment has a hole.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.config import shake as shake_config
from blursynth.kernels import layer_compositing, pose
from blursynth.media import maps, opencv
from blursynth.synthesis import crop as crops
from blursynth.synthesis import shake

_APART = 0.5  # px: neighbouring planes move by less than this differently
_BAND = 2.0  # px that a plane goes on beyond what is uncovered: the pixels beside, and OpenCV's distances are near

Floats32 = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Shaken:
    """shaken: the light, and how it was made. depth_HW: float32, m, the plane that each pixel of the crop was put on.

    layers: planes that hold a pixel."""

    shaken: shake.Shaken
    depth_HW: Floats32
    layers: int


def filled(depth_HW: Floats32) -> Floats32:
    """The map with every NaN as its nearest pixel that is known, of which there is one."""
    unknown = np.isnan(depth_HW)
    if not unknown.any():
        return depth_HW
    result: Floats32 = depth_HW.reshape(-1)[opencv.nearest(unknown).index_HW]
    return result


def blur(
    request: shake_config.Shake,
    crop: crops.Crop,
    depth_HW: Floats32,
    path_K6: Floats32,
    motion_px: float | None,
    table: Floats32,
) -> Shaken:
    """As `shake.blur`, for a photo with a depth map (h, w) in metres; the map is put at the photo's size.

    motion_px: of a point at the corner of the crop that moves fastest, as near as the nearest or as far as the
    farthest pixel. What lies beyond the crop and is nearer or farther than anything in it moves like that.
    """
    assert request.depth_maps is not None
    frame = shake.view(request, crop)
    inverse_HW = (1 / filled(maps.nearest(depth_HW, *crop.photo_size))).astype(np.float32)
    far, near = float(inverse_HW[crop.inside].min()), float(inverse_HW[crop.inside].max())
    path = path_K6 if motion_px is None else shake.scaled(path_K6, frame, [far, near], motion_px)
    margin = shake.reach_within(path, frame, [far, near]) + 2
    taken = shake.samples(path, frame, [far, near], request.readout)
    planes, apart = spaced(taken.pose_T6, frame, far, near, request.depth_maps.layers)
    index_HW = _quantised(crop.around(inverse_HW, margin), far, near, len(planes))
    used, layers_L4HW = stacked(table[crop.window(margin)], index_HW, apart)
    back = np.stack([pose.maps(taken.pose_T6, frame.focal, planes[k])[1] for k in used])
    light = layer_compositing.composite(layers_L4HW, margin, back, taken.weights_RT, frame)
    inner = slice(margin, margin + frame.height), slice(margin, margin + frame.width)
    with np.errstate(divide="ignore"):
        seen = (1 / np.asarray(planes))[index_HW[inner]].astype(np.float32)
    return Shaken(shake.Shaken(light, path, frame, taken.motion, len(taken.pose_T6)), seen, len(used))


def spaced(
    pose_T6: npt.NDArray[np.float64], frame: pose.View, far: float, near: float, layers: int | None
) -> tuple[list[float], float]:
    """1 / depth of the planes, and the px by which motion parts neighbours at most; see `shake_recipe.DepthMaps`."""
    count = layers or 1
    while True:
        planes = np.linspace(far, near, count).tolist() if count > 1 else [(far + near) / 2]
        if layers is not None:
            return planes, pose.parting(pose_T6, frame, planes)
        apart = pose.parting(pose_T6, frame, planes if count > 1 else [far, near])
        if apart < _APART:
            return planes, apart
        count = int(np.floor(apart * max(count - 1, 1) / _APART)) + 2


def stacked(light_HWC: Floats32, index_HW: npt.NDArray[np.int32], apart: float) -> tuple[list[int], Floats32]:
    """The planes that hold a pixel, from far to near, as layers for `stack.composite`.

    light_HWC: linear light. index_HW: the plane of each pixel. apart: px by which neighbouring planes are parted.
    """
    used = np.unique(index_HW).tolist()
    height, width = index_HW.shape
    layers_L4HW = np.zeros((len(used), 4, height, width), np.float32)
    for layer, plane in zip(layers_L4HW, used, strict=True):
        own = index_HW == plane
        here = own
        colours_HWC = light_HWC
        if plane != used[-1]:
            behind = opencv.nearest(index_HW > plane)
            uncovered = behind.distance_HW <= apart * (index_HW - plane) + _BAND
            here = own | (uncovered & own.reshape(-1)[behind.index_HW])
            colours_HWC = light_HWC.reshape(-1, 3)[behind.index_HW]
        if plane == used[0]:
            here = np.ones_like(own)
        layer[:3] = np.where(here, colours_HWC.transpose(2, 0, 1), 0)
        layer[3] = here
    return used, layers_L4HW


def _quantised(inverse_HW: Floats32, far: float, near: float, planes: int) -> npt.NDArray[np.int32]:
    """The nearest plane of each pixel."""
    if planes == 1:
        return np.zeros(inverse_HW.shape, np.int32)
    place = (np.clip(inverse_HW, far, near).astype(np.float64) - far) / (near - far) * (planes - 1)
    return np.rint(place).astype(np.int32)
