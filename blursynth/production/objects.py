"""Maker of pairs datasets from photos whose objects move by themselves before a moving camera."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blursynth.kernels import bodies
from blursynth.media import opencv
from blursynth.production import photo_options, photo_pairs, shake
from blursynth.sources import beside, masks, outlines
from blursynth.sources import photos as sources_
from blursynth.storage import provenance, schema
from blursynth.synthesis import crop as crops
from blursynth.synthesis import objects, objects_recipe

Arrays = photo_pairs.Arrays


@dataclasses.dataclass(frozen=True)
class ObjectsMaker(shake.ShakeMaker):
    """Makes items of `blursynth objects`."""

    recipe: objects_recipe.Objects

    name: ClassVar[str] = "objects"
    Recipe: ClassVar[type[Any]] = objects_recipe.Objects

    @classmethod
    def belonging(cls, request: Any, inputs: Mapping[str, str]) -> beside.Beside:
        crop = None if request.size is None or request.fit == "resize" else request.size**2
        root = sources_.folder(inputs["photos"])
        return masks.Masks(
            pathlib.Path(inputs["masks"]), request.least, request.greatest, crop, root, request.masks_orientation
        )

    def own_arrays(self) -> tuple[list[schema.ArraySpec], list[schema.ArraySpec]]:
        arrays, columns = super().own_arrays()
        columns += [
            schema.column("objects", "int32", long_name="objects that move", units="1"),
            schema.column("object_motion_px", "float32", long_name="path of the fastest corner of any", units="px"),
            schema.column("object_share", "float32", long_name="share of the crop that they cover", units="1"),
        ]
        many = self.recipe.objects
        described: list[tuple[str, str, tuple[tuple[str, int], ...], str, str]] = [
            ("object_id", "int64", (), "1", "the annotation's number; 0 where no object is"),
            ("object_category", "int64", (), "1", "the annotation's category"),
            ("object_px", "float32", (), "px", "path of its fastest corner, with the camera's motion"),
        ]
        if self.recipe.store_path:
            moving = (
                "own motion: how far it slid along x and y and turned, at the knots of the camera's path; the camera's "
                "motion comes on top"
            )
            described.append(
                ("object_path", "float32", (("knot", self.recipe.knots), ("own", len(bodies.OWN))), "px, rad", moving)
            )
            pivot = "what it turns about, in the crop: column, then row"
            described.append(("object_pivot", "float32", (("axis", 2),), "px", pivot))
            box = "the box around its mask, in the crop: first column and row, last column and row"
            described.append(("object_box", "float32", (("corner", 4),), "px", box))
            whose = {"units": "1", "long_name": "whose each pixel of the sharp image is: 1 + the object, or 0"}
            arrays.append(schema.ArraySpec("object_mask", "uint8", self.frame, ("y", "x"), attributes=whose))
        for name, dtype, extents, units, text in described:
            shape, names = (many, *(size for _, size in extents)), ("object", *(extent for extent, _ in extents))
            arrays.append(schema.ArraySpec(name, dtype, shape, names, attributes={"units": units, "long_name": text}))
        return arrays, columns

    def prepare(self, item: npt.NDArray[np.int64]) -> Arrays:
        count, many = len(item), self.recipe.objects
        made = super().prepare(item)
        drawn = objects.choice(self.recipe, self.seed, item)
        made |= {"objects": drawn.count.astype(np.int32), "object_order": drawn.order}
        made |= {name: np.zeros(count, np.float32) for name in ("object_motion_px", "object_share")}
        made |= {name: np.zeros((count, many), np.int64) for name in ("object_id", "object_category")}
        extents = {"object_px": (), "object_pivot": (2,), "object_box": (4,)}
        made |= {name: np.zeros((count, many, *more), np.float32) for name, more in extents.items()}
        made["object_mask"] = np.zeros((count, *self.frame), np.uint8)
        made["object_path"] = objects.paths(self.recipe, self.seed, item)
        return made

    def corners(
        self,
        uniform: npt.NDArray[np.float64],
        item: npt.NDArray[np.int64],
        photo: tuple[int, int],
        belonging: outlines.Outlines,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Each crop holds the whole of one object, or nothing but parts of one that is larger."""
        order = objects.choice(self.recipe, self.seed, item).order
        found = np.zeros((len(item), 2), np.int32)
        for row, draws in enumerate(order):
            ranked = objects.ranked(draws, len(belonging.instances))
            masks_ = (belonging.mask(which, *photo) for which in ranked)
            # Where a photo is made small, tiny objects can vanish, and with the last of them the crop lies anywhere.
            mask = next((mask for mask in masks_ if mask.any()), np.ones(photo, bool))
            for axis, extent in enumerate(self.frame):
                there = np.flatnonzero(mask.any(axis=1 - axis))
                found[row, axis] = objects.begin(there, extent, photo[axis], uniform[row, axis])
        return found[:, 0], found[:, 1]

    def light(
        self, made: Arrays, row: int, crop: crops.Crop, table: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        chosen = self._chosen(made, row, crop)
        asked = None if np.isnan(made["motion_px"][row]) else float(made["motion_px"][row])
        done = objects.blur(
            self.recipe,
            crop,
            [mask for _, mask in chosen],
            made["camera_path"][row],
            made["object_path"][row, : len(chosen)],
            float(made["depth"][row]),
            asked,
            table,
        )
        self.put(made, row, done.shaken)
        made["objects"][row], made["object_mask"][row] = len(chosen), done.mask_HW
        made["object_share"][row] = (done.mask_HW > 0).mean()
        made["object_motion_px"][row] = max(done.motions, default=0)
        made["object_path"][row, len(chosen) :] = 0
        count = len(chosen)
        made["object_id"][row, :count] = [instance.id for instance, _ in chosen]
        made["object_category"][row, :count] = [instance.category for instance, _ in chosen]
        made["object_px"][row, :count] = done.motions
        made["object_pivot"][row, :count], made["object_box"][row, :count] = done.pivots_B2, done.boxes_B4
        return done.shaken.light_HWC

    def _chosen(
        self, made: Arrays, row: int, crop: crops.Crop
    ) -> list[tuple[outlines.Instance, npt.NDArray[np.bool_]]]:
        """The object that the crop was laid around, and others of which enough is in it, as many as were drawn."""
        known: outlines.Outlines = crop.belonging
        chosen: list[tuple[outlines.Instance, npt.NDArray[np.bool_]]] = []
        for which in objects.ranked(made["object_order"][row], len(known.instances)):
            mask = known.mask(which, *crop.photo_size)
            seen = np.count_nonzero(mask[crop.inside])
            if seen and (not chosen or seen >= self.recipe.least * crop.height * crop.width):
                chosen.append((known.instances[which], mask))
            if len(chosen) == made["objects"][row]:
                break
        return chosen

    def unmade(self, made: Arrays, rows: npt.NDArray[np.intp]) -> None:
        super().unmade(made, rows)
        for name in ("objects", "object_path"):
            made[name][rows] = 0

    def peak_bytes(self, items: int) -> int:
        """What `ShakeMaker` takes, masks at the size of the largest photo, and a layer for each object."""
        height, width = self.frame
        reach = int(self.recipe.object_motion.maximum) + self.recipe.grow
        reach += min(height, width) if self.recipe.motion is None else int(self.recipe.motion.maximum)
        window = (height + 2 * reach) * (width + 2 * reach)
        unstored = 0 if self.recipe.store_path else items * self.recipe.objects * self.recipe.knots * 12
        masked = (self.recipe.objects + 6) * self.largest_photo // 3
        return super().peak_bytes(items) + window * 17 * (self.recipe.objects + 1) + unstored + masked


def maker(photos: str, options: Mapping[str, Any], command: str = "") -> ObjectsMaker:
    """Scan the photos and their masks; see `objects_recipe.Objects` for what `options` may hold.

    Raises as `shake.maker` does, and InputError where masks are not understood.
    """
    opencv.load("Masks are grown and backgrounds continued with it")
    request, inputs = shake.requested(options, objects_recipe.Objects)
    if request.object_path == "boracchi-foi":
        photo_options.refuse(options, ("object_correlation",), "about random trajectories, only about gaussian paths")
    inputs["masks"] = options["masks"]
    masks.Masks(pathlib.Path(options["masks"])).check()
    return shake.noted(photo_options.build(ObjectsMaker, photos, request, {**options, "command": command}, inputs))


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> ObjectsMaker:
    """The maker of a dataset with this record."""
    return photo_options.rebuilt(ObjectsMaker, record, shard_length, inputs)
