"""Make pairs from a photo whose objects move by themselves before a moving camera."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blursynth.config import objects as objects_config
from blursynth.synthesis import crop as crops
from blursynth.synthesis import gyroscope, objects, pair, realism, shake, shake_pair


class Instance(Protocol):
    """An annotated object: its number and its category."""

    @property
    def id(self) -> int: ...

    @property
    def category(self) -> int: ...


class Outlines(Protocol):
    """The annotated objects of one photo."""

    @property
    def instances(self) -> Sequence[Instance]: ...

    def mask(self, which: int, height: int, width: int) -> objects.Mask:
        """Return where an object is, bool (height, width), in the photo scaled to that size."""


@dataclasses.dataclass(frozen=True, eq=False)
class Draws(shake_pair.Draws[objects_config.Objects]):
    """Draws of N items: those of the camera's shake, and of up to B objects, which the config's `objects` says.

    choice: how many objects move, and which. own_NBK3: float32, their own motion, see `objects.paths`.
    """

    choice: objects.Choice
    own_NBK3: npt.NDArray[np.float32]

    def corner(
        self, row: int, photo_size: tuple[int, int], crop_size: tuple[int, int], beside: Outlines
    ) -> tuple[int, int]:
        """Return a crop that holds the whole of one object, or nothing but parts of one that is larger."""
        ranked = objects.ranked(self.choice.order[row], len(beside.instances))
        masks = (beside.mask(which, *photo_size) for which in ranked)
        # Where a photo is made small, tiny objects can vanish, and with the last of them the crop lies anywhere.
        mask = next((mask for mask in masks if mask.any()), np.ones(photo_size, bool))
        top, left = (
            objects.begin(
                np.flatnonzero(mask.any(axis=1 - axis)), crop_size[axis], photo_size[axis], self.corner_draws[row, axis]
            )
            for axis in (0, 1)
        )
        return top, left

    def blur(self, row: int, crop: crops.Crop, camera: realism.Camera) -> pair.Blurred:
        chosen = self._chosen(row, crop)
        moved = objects.blur(
            self.config,
            crop,
            [mask for _, mask in chosen],
            self.path_NK6[row],
            self.own_NBK3[row, : len(chosen)],
            float(self.depth[row]),
            self.target_motion(row),
            camera.table,
        )
        measured = shake_pair.followed(moved.shaken) | self._measured(row, [instance for instance, _ in chosen], moved)
        return pair.Blurred(camera.blurred(moved.shaken.light_HWC), measured)

    def _chosen(self, row: int, crop: crops.Crop) -> list[tuple[Instance, objects.Mask]]:
        """Return the object that the crop was laid around, and others of which enough is in it, as many as drawn."""
        outlines: Outlines = crop.belonging
        chosen: list[tuple[Instance, objects.Mask]] = []
        for which in objects.ranked(self.choice.order[row], len(outlines.instances)):
            mask = outlines.mask(which, *crop.photo_size)
            seen = np.count_nonzero(mask[crop.inside])
            if seen and (not chosen or seen >= self.config.least * crop.height * crop.width):
                chosen.append((outlines.instances[which], mask))
            if len(chosen) == self.choice.count[row]:
                break
        return chosen

    def _measured(self, row: int, instances: Sequence[Instance], moved: objects.Moved) -> dict[str, Any]:
        """Return what a dataset stores of the objects: B entries each, 0 where no object is."""
        return {
            "objects": np.int32(len(instances)),
            "object_mask": moved.mask_HW,
            "object_share": np.float32((moved.mask_HW > 0).mean()),
            "object_motion_px": np.float32(max(moved.motions, default=0)),
            "object_id": self._padded([instance.id for instance in instances], np.int64),
            "object_category": self._padded([instance.category for instance in instances], np.int64),
            "object_px": self._padded(moved.motions, np.float32),
            "object_path": self._padded(self.own_NBK3[row, : len(instances)], np.float32),
            "object_pivot": self._padded(moved.pivots_B2, np.float32),
            "object_box": self._padded(moved.boxes_B4, np.float32),
        }

    def _padded(self, values: Any, dtype: type[np.generic]) -> npt.NDArray[Any]:
        """Return values of the objects that move, with zeros for the rest of B."""
        of_objects = np.asarray(values, dtype)
        padded = np.zeros((self.config.objects, *of_objects.shape[1:]), dtype)
        padded[: len(of_objects)] = of_objects
        return padded


def draw(
    config: objects_config.Objects, seed: int, items: npt.NDArray[np.int64], log: gyroscope.Log | None = None
) -> Draws:
    """Draw the paths of the camera and of objects for items. log: the recording, where the config has one."""
    camera = shake.paths(config, seed, items, log)
    motion_px = shake_pair.target_motions(config, seed, items)
    choice, own_NBK3 = objects.choice(config, seed, items), objects.paths(config, seed, items)
    return Draws(config, seed, items, camera.path_NK6, camera.depth, motion_px, choice, own_NBK3)


def make(
    photo_HWC: npt.NDArray[np.uint8],
    config: objects_config.Objects,
    outlines: Outlines,
    *,
    seed: int = 0,
    item: int = 0,
    log: gyroscope.Log | None = None,
) -> pair.Pair:
    """Make one pair: the bytes that a dataset with this config and seed holds for the item.

    Parameters
    ----------
    photo_HWC : uint8, RGB, encoded
    outlines
        The photo's objects, at least one.
    log
        The gyroscope's recording, where the config has one.

    Raises
    ------
    InputError
        The photo is too small, or the path moves the scene out of the frame.
    """
    return draw(config, seed, np.array([item], np.int64), log).only(photo_HWC, outlines)
