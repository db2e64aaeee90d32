"""Make pairs from a photo and the path of a camera that moves in six dimensions."""

import dataclasses
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from blursynth.config import shake as shake_config
from blursynth.kernels import random
from blursynth.synthesis import crop as crops
from blursynth.synthesis import depth, gyroscope, pair, realism, shake

Config = TypeVar("Config", bound=shake_config.Shake)


@dataclasses.dataclass(frozen=True, eq=False)
class Draws(pair.Draws[Config]):
    """Draws of N items.

    path_NK6, depth: see `shake.Paths`. motion_px: float32 (N,), how far the crop's fastest point is to travel, to which
    paths are scaled; NaN: they are followed as they are.
    """

    path_NK6: npt.NDArray[np.float32]
    depth: npt.NDArray[np.float32]
    motion_px: npt.NDArray[np.float32]

    def arrays(self) -> pair.Arrays:
        return {"depth": self.depth}

    def blur(self, row: int, crop: crops.Crop, camera: realism.Camera) -> pair.Blurred:
        config, path, motion = self.config, self.path_NK6[row], self.target_motion(row)
        if config.depth_maps is None:
            shaken = shake.blur(config, crop, path, float(self.depth[row]), motion, camera.table)
            return pair.Blurred(camera.blurred(shaken.light_HWC), followed(shaken))
        deep = depth.blur(config, crop, crop.belonging, path, motion, camera.table)
        measured = {
            "depth": np.float32(np.median(deep.depth_HW)),
            "depth_map": deep.depth_HW,
            "layers": np.int32(deep.layers),
        }
        return pair.Blurred(camera.blurred(deep.shaken.light_HWC), followed(deep.shaken) | measured)

    def target_motion(self, row: int) -> float | None:
        """Return the px to which the path of a row is scaled, or None where it is not."""
        motion = float(self.motion_px[row])
        return None if np.isnan(motion) else motion


def followed(shaken: shake.Shaken) -> dict[str, Any]:
    """Return what a dataset stores of the camera's motion."""
    return {
        "camera_path": shaken.path_K6,
        "motion_px": np.float32(shaken.motion),
        "moments": np.int32(shaken.moments),
        "focal_px": np.float32(shaken.view.focal),
        "centre_x": np.float32(shaken.view.centre_x),
        "centre_y": np.float32(shaken.view.centre_y),
    }


def draw(config: Config, seed: int, items: npt.NDArray[np.int64], log: gyroscope.Log | None = None) -> Draws[Config]:
    """Draw the camera's paths for items. log: the recording, where the config has one."""
    paths = shake.paths(config, seed, items, log)
    return Draws(config, seed, items, paths.path_NK6, paths.depth, target_motions(config, seed, items))


def target_motions(config: shake_config.Shake, seed: int, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Draw the px to which the paths of items are scaled: float32 (N,), NaN where the config does not scale them."""
    if config.motion is None:
        return np.full(len(items), np.nan, np.float32)
    uniform = random.uniforms(seed, random.Stream.EXPOSURE, items, 1)[:, 0]
    return config.motion.at(uniform).astype(np.float32)


def make(
    photo_HWC: npt.NDArray[np.uint8],
    config: shake_config.Shake,
    *,
    seed: int = 0,
    item: int = 0,
    depth_HW: npt.NDArray[np.float32] | None = None,
    log: gyroscope.Log | None = None,
) -> pair.Pair:
    """Make one pair: the bytes that a dataset with this config and seed holds for the item.

    Parameters
    ----------
    photo_HWC : uint8, RGB, encoded
    depth_HW
        Metres, where the config has `depth_maps`; NaN where unknown. Is scaled to the photo's size.
    log
        The gyroscope's recording, where the config has one.

    Raises
    ------
    InputError
        The photo is too small, or the path moves the scene out of the frame.
    """
    return draw(config, seed, np.array([item], np.int64), log).only(photo_HWC, depth_HW)
