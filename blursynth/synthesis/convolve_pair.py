"""Make pairs from a photo and a PSF, or a field of PSFs: motion blur as a convolution in linear intensity."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.config import photo_pairs
from blursynth.kernels import psf, random
from blursynth.synthesis import crop as crops
from blursynth.synthesis import field, pair, realism, trajectories, uniform


@dataclasses.dataclass(frozen=True, eq=False)
class Draws(pair.Draws[photo_pairs.Convolve]):
    """Draws of N items.

    exposure: float32 (N,), fraction of the path. path: columns that say where the path came from. psf: float32, of
    shape (N, K, K), or (N, GY, GX, K, K) for a field; sums to 1. variation: float32 (N,), with a field.
    """

    exposure: npt.NDArray[np.float32]
    path: Mapping[str, npt.NDArray[Any]]
    psf: npt.NDArray[np.float32]
    variation: npt.NDArray[np.float32] | None

    def arrays(self) -> pair.Arrays:
        columns = {"exposure": self.exposure, **self.path}
        if self.variation is None:
            return columns | {"psf": self.psf}
        return columns | {"psf_field": self.psf, "variation": self.variation}

    def blur(self, row: int, crop: crops.Crop, camera: realism.Camera) -> pair.Blurred:
        if self.variation is not None:
            return pair.Blurred(camera.blurred(field.light(crop, self.psf[row], camera.table)))
        if camera.is_plain:  # in one pass, twice as fast
            return pair.Blurred(uniform.blur(crop, self.psf[row], self.config.transfer))
        return pair.Blurred(camera.blurred(uniform.light(crop, self.psf[row], camera.table)))


def draw(
    config: photo_pairs.Convolve, seed: int, items: npt.NDArray[np.int64], paths: trajectories.Stored | None = None
) -> Draws:
    """Draw exposures and paths for items, and render their PSFs.

    paths: the items' paths from a dataset of trajectories, where the config names one.
    """
    fractions = random.uniforms(seed, random.Stream.EXPOSURE, items, 1)[:, 0]
    exposure = config.exposure.at(fractions).astype(np.float32)
    span = trajectories.from_start(exposure)
    if config.field is not None:
        assert config.motion is not None
        motions = trajectories.simulate(config.motion, seed, items)
        kernels = field.kernels(config, seed, items, motions, span)
        return Draws(config, seed, items, exposure, motions.columns(), kernels.psf_NYXKK, kernels.variation)
    if config.motion is None:
        assert paths is not None, "the paths of the dataset that the config names"
        columns, position = paths.columns(), paths.position_NM2
    else:
        motions = trajectories.simulate(config.motion, seed, items)
        columns, position = motions.columns(), motions.pixels()
    return Draws(config, seed, items, exposure, columns, psf.rasterise(position, span, config.psf_size), None)


def make(
    photo_HWC: npt.NDArray[np.uint8],
    config: photo_pairs.Convolve,
    *,
    seed: int = 0,
    item: int = 0,
    path_M2: npt.NDArray[np.float32] | None = None,
) -> pair.Pair:
    """Make one pair: the bytes that a dataset with this config and seed holds for the item.

    Parameters
    ----------
    photo_HWC : uint8, RGB, encoded
    path_M2
        Positions in px, x then y, of the item's path, where the config takes paths from a dataset.

    Raises
    ------
    InputError
        The photo is too small.
    """
    number = np.array([item], np.int64)
    paths = None if path_M2 is None else trajectories.Stored(number, path_M2[None])
    return draw(config, seed, number, paths).only(photo_HWC)
