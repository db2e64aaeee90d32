"""What points of light across a stored pair's image became, from the motion that is stored with it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blursynth.kernels import pose
from blursynth.synthesis import objects, shake


class Stored(Protocol):
    """A dataset of pairs, as its reader gives it."""

    @property
    def columns(self) -> Mapping[str, npt.NDArray[Any]]: ...

    @property
    def names(self) -> Sequence[str]: ...

    def read(self, name: str, indices: Sequence[int]) -> npt.NDArray[Any]: ...

    def shape_of(self, name: str) -> tuple[int, ...]: ...

    def attributes_of(self, name: str) -> Mapping[str, Any]: ...


def psfs(stored: Stored, item: int, points: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float32]:
    """PSFs at pixels (P, 2), row then column, of a pair: float32 (P, size, size); see `kernels.warp.point`.

    A point is at the depth of its pixel in the stored map, if there is one, and moves with the object that it is on.
    What hides it for a while is not counted.
    """
    height, width = stored.shape_of("sharp")[:2]
    focal, x, y, depth = (float(stored.columns[name][item]) for name in ("focal_px", "centre_x", "centre_y", "depth"))
    frame = pose.View(height, width, focal, x, y)
    path = stored.read("camera_path", [item])[0]
    readout = float(stored.attributes_of("camera_path")["readout"])
    if "object_mask" in stored.names:
        owns, pivots, boxes = (stored.read(f"object_{name}", [item])[0] for name in ("path", "pivot", "box"))
        parts = [objects.part(owns[k], pivots[k], boxes[k], frame) for k in range(int(stored.columns["objects"][item]))]
        whose = stored.read("object_mask", [item])[0][points[:, 0], points[:, 1]]
        return objects.psfs(path, parts, whose, frame, depth, readout, points, size)
    depths = np.full(len(points), depth)
    if "depth_map" in stored.names:
        depths = stored.read("depth_map", [item])[0][points[:, 0], points[:, 1]].astype(np.float64)
    found = np.empty((len(points), size, size), np.float32)
    for one in np.unique(depths):
        here = depths == one
        found[here] = shake.psfs(path, frame, float(one), readout, points[here], size)
    return found


def size_for(stored: Stored, item: int | None = None) -> int:
    """The odd size that holds every kernel, or those of one pair: nothing goes further than its path is long."""
    motion = stored.columns["motion_px"]
    if "object_motion_px" in stored.columns:
        motion = np.maximum(motion, stored.columns["object_motion_px"])
    return 2 * (int(np.ceil(motion.max() if item is None else motion[item])) + 2) + 1
