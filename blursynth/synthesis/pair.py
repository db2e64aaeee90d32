"""Make blurred/sharp pairs in memory: a pair is a function of the photo, the config, the seed and the item's number.

Each kind of blur has a module here with a function `draw(config, seed, items, ...)`. It returns a subclass of `Draws`,
which holds everything that is random about N items and blurs a crop for each of them. Nothing here reads a file.
"""

import abc
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import photo_pairs
from blursynth.kernels import random
from blursynth.media import photos
from blursynth.synthesis import crop as crops
from blursynth.synthesis import realism

Arrays = dict[str, npt.NDArray[Any]]
Config = TypeVar("Config", bound=photo_pairs.PhotoPairs)


@dataclasses.dataclass(frozen=True, eq=False)
class Blurred:
    """The blurred crop of one item.

    image_HWC: uint8, encoded, as a dataset stores it. measured: what became known of the item while its crop was
    blurred, by the names and with the dtypes of a dataset's arrays.
    """

    image_HWC: npt.NDArray[np.uint8]
    measured: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """One pair: what a dataset with this config and seed stores of an item.

    blurred, sharp: uint8 (height, width, 3), RGB, encoded. crop_y, crop_x: px, the crop's first row and column in the
    photo. measured: see `Blurred`. drawn: what was drawn for the item, by the names of a dataset's arrays.
    """

    blurred: npt.NDArray[np.uint8]
    sharp: npt.NDArray[np.uint8]
    crop_y: int
    crop_x: int
    measured: Mapping[str, Any]
    drawn: Mapping[str, Any]

    @property
    def arrays(self) -> dict[str, Any]:
        """Every array and column of the item, by the names that they have in a dataset."""
        crop = {"crop_y": np.int32(self.crop_y), "crop_x": np.int32(self.crop_x)}
        return {"blurred": self.blurred, "sharp": self.sharp, **crop, **self.drawn, **self.measured}


@dataclasses.dataclass(frozen=True, eq=False)
class Draws(abc.ABC, Generic[Config]):
    """What is drawn for N items: a function of (config, seed, item), whatever other items are drawn with it.

    items: int64 (N,), the numbers of the items. Subclasses add what their kind of blur draws.
    """

    config: Config
    seed: int
    items: npt.NDArray[np.int64]

    @abc.abstractmethod
    def arrays(self) -> Arrays:
        """Return those draws that a dataset stores: (N, ...) each, by the names of its arrays."""

    @abc.abstractmethod
    def blur(self, row: int, crop: crops.Crop, camera: realism.Camera) -> Blurred:
        """Blur the crop of the item in this row, and let the camera turn its linear intensity into an image."""

    def corner(self, row: int, photo_size: tuple[int, int], crop_size: tuple[int, int], beside: Any) -> tuple[int, int]:
        """Return the first row and column of an item's crop: anywhere in the photo, with equal probability.

        Sizes are (height, width) in px. beside: see `pair`.
        """
        del beside
        return crops.corner(self.corner_draws[row], photo_size, crop_size)

    def pair(self, row: int, photo_HWC: npt.NDArray[np.uint8], beside: Any = None) -> Pair:
        """Make the pair of the item in this row.

        photo_HWC: uint8, RGB, encoded, as `fitted` returns it. beside: what else the kind of blur has to know of the
        photo, such as its depth map.
        """
        photo_size = photo_HWC.shape[0], photo_HWC.shape[1]
        side = self.config.size
        height, width = photo_size if side is None else (side, side)
        top, left = self.corner(row, photo_size, (height, width), beside)
        crop = crops.Crop(photo_HWC, top, left, height, width, beside)
        camera = realism.Camera(
            self.config.realism,
            self.config.transfer,
            values=realism.of_item(self.camera_draws, row),
            seed=self.seed,
            item=int(self.items[row]),
        )
        blurred = self.blur(row, crop, camera)
        drawn = {name: values[row] for name, values in self.stored.items()}
        return Pair(blurred.image_HWC, camera.sharp(photo_HWC[crop.inside]), top, left, blurred.measured, drawn)

    def only(self, photo_HWC: npt.NDArray[np.uint8], beside: Any = None) -> Pair:
        """Make the pair of the one item, from a photo as it was decoded.

        Raises
        ------
        InputError
            The photo is too small.
        """
        assert len(self.items) == 1, "one item"
        reason = self.config.too_small(photo_HWC.shape[0], photo_HWC.shape[1])
        if reason is not None:
            raise errors.InputError(f"The photo cannot be used: {reason}.")
        return self.pair(0, fitted(self.config, photo_HWC), beside)

    @functools.cached_property
    def stored(self) -> Arrays:
        """What was drawn for the blur and for the camera: (N, ...) each, by the names of a dataset's arrays."""
        return {**self.arrays(), **self.camera_draws}

    @functools.cached_property
    def camera_draws(self) -> Arrays:
        """The values of `realism.COLUMNS` that the config draws, (N,) each."""
        return {} if self.config.realism is None else realism.draw(self.config.realism, self.seed, self.items)

    @functools.cached_property
    def corner_draws(self) -> npt.NDArray[np.float64]:
        """Uniform draws in [0, 1) for the rows and columns of the crops: float64 (N, 2)."""
        return random.uniforms(self.seed, random.Stream.CROP, self.items, 2)


def fitted(config: photo_pairs.PhotoPairs, photo_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the photo that crops are cut from: scaled to the size of a crop where `fit` says so."""
    if config.fit == "crop":
        return photo_HWC
    assert config.size is not None
    return photos.resize(photo_HWC, config.size, config.size)
