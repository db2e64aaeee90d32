"""Make pairs from a photo and a PSF, or a field of PSFs: motion blur as a convolution in linear intensity."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.config import photo_pairs
from blursynth.kernels import psf, random
from blursynth.synthesis import crop as crops
from blursynth.synthesis import field, own_kernels, pair, realism, trajectories, uniform


@dataclasses.dataclass(frozen=True, eq=False)
class Draws(pair.Draws[photo_pairs.Convolve]):
    """Draws of N items.

    path: columns that say where the path or the PSF came from, and how much of the path is exposed. psf: float32, of
    shape (N, K, K), or (N, GY, GX, K, K) for a field; sums to 1. variation: float32 (N,), with a field.
    """

    path: Mapping[str, npt.NDArray[Any]]
    psf: npt.NDArray[np.float32]
    variation: npt.NDArray[np.float32] | None

    def arrays(self) -> pair.Arrays:
        if self.variation is None:
            return {**self.path, "psf": self.psf}
        return {**self.path, "psf_field": self.psf, "variation": self.variation}

    def blur(self, row: int, crop: crops.Crop, camera: realism.Camera) -> pair.Blurred:
        if self.variation is not None:
            return pair.Blurred(camera.blurred(field.light(crop, self.psf[row], camera.table)))
        if camera.is_plain:  # in one pass, twice as fast
            return pair.Blurred(uniform.blur(crop, self.psf[row], self.config.transfer))
        return pair.Blurred(camera.blurred(uniform.light(crop, self.psf[row], camera.table)))


def draw(
    config: photo_pairs.Convolve,
    seed: int,
    items: npt.NDArray[np.int64],
    paths: trajectories.Stored | None = None,
    kernels: own_kernels.Read | None = None,
) -> Draws:
    """Draw exposures and paths for items, and render their PSFs; or draw which of the user's kernels they have.

    paths: the items' paths from a dataset of trajectories, where the config names one. kernels: reads the user's.
    """
    if config.kernels is not None:
        assert kernels is not None, "the kernels that the config names"
        number = own_kernels.choose(seed, items, config.kernels.n)
        return Draws(config, seed, items, {"kernel": number}, kernels(number, config.psf_size), None)
    fractions = random.uniforms(seed, random.Stream.EXPOSURE, items, 1)[:, 0]
    exposure = config.exposure.at(fractions).astype(np.float32)
    span = trajectories.from_start(exposure)
    if config.field is not None:
        assert config.motion is not None
        motions = trajectories.simulate(config.motion, seed, items)
        fields = field.kernels(config, seed, items, motions, span)
        columns = {"exposure": exposure, **motions.columns()}
        return Draws(config, seed, items, columns, fields.psf_NYXKK, fields.variation)
    if config.motion is None:
        assert paths is not None, "the paths of the dataset that the config names"
        columns, position = paths.columns(), paths.position_NM2
    else:
        motions = trajectories.simulate(config.motion, seed, items)
        columns, position = motions.columns(), motions.pixels()
    columns = {"exposure": exposure, **columns}
    return Draws(config, seed, items, columns, psf.rasterise(position, span, config.psf_size), None)


def make(
    photo_HWC: npt.NDArray[np.uint8],
    config: photo_pairs.Convolve,
    *,
    seed: int = 0,
    item: int = 0,
    path_M2: npt.NDArray[np.float32] | None = None,
    kernels: own_kernels.Read | None = None,
) -> pair.Pair:
    """Make one pair: the bytes that a dataset with this config and seed holds for the item.

    Parameters
    ----------
    photo_HWC : uint8, RGB, encoded
    path_M2
        Positions in px, x then y, of the item's path, where the config takes paths from a dataset.
    kernels
        Reads the user's kernels, where the config has some.

    Raises
    ------
    InputError
        The photo is too small.
    """
    number = np.array([item], np.int64)
    paths = None if path_M2 is None else trajectories.Stored(number, path_M2[None])
    return draw(config, seed, number, paths, kernels).only(photo_HWC)
