"""Maker of pairs datasets from photos whose objects move by themselves before a moving camera."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blursynth.config import objects as objects_config
from blursynth.kernels import rigid_motion
from blursynth.makers import photo_pairs_request, shake
from blursynth.media import opencv
from blursynth.sources import masks, sidecars
from blursynth.sources import photos as sources_
from blursynth.storage import provenance, schema
from blursynth.synthesis import objects_pair


@dataclasses.dataclass(frozen=True)
class ObjectsMaker(shake.ShakeMaker):
    """Makes items of `blursynth objects`."""

    recipe: objects_config.Objects

    name: ClassVar[str] = "objects"
    Recipe: ClassVar[type[Any]] = objects_config.Objects

    @classmethod
    def belonging(cls, request: Any, inputs: Mapping[str, str]) -> sidecars.Beside:
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
                (
                    "object_path",
                    "float32",
                    (("knot", self.recipe.knots), ("own", len(rigid_motion.OWN))),
                    "px, rad",
                    moving,
                )
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

    def draw(self, items: npt.NDArray[np.int64]) -> objects_pair.Draws:
        return objects_pair.draw(self.recipe, self.seed, items, self.log)

    def peak_bytes(self, items: int) -> int:
        """What `ShakeMaker` takes, masks at the size of the largest photo, and a layer for each object."""
        height, width = self.frame
        reach = int(self.recipe.object_motion.maximum) + self.recipe.grow
        reach += min(height, width) if self.recipe.motion is None else int(self.recipe.motion.maximum)
        window = (height + 2 * reach) * (width + 2 * reach)
        drawn = items * self.recipe.objects * self.recipe.knots * 12
        masked = (self.recipe.objects + 6) * self.largest_photo // 3
        return super().peak_bytes(items) + window * 17 * (self.recipe.objects + 1) + drawn + masked


def maker(photos: str, options: Mapping[str, Any], command: str = "") -> ObjectsMaker:
    """Scan the photos and their masks; see `config.objects` for what `options` may hold.

    Raises as `shake.maker` does, and InputError where masks are not understood.
    """
    opencv.load("Masks are grown and backgrounds continued with it")
    request, inputs = shake.requested(options, objects_config.Objects)
    if request.object_path == "boracchi-foi":
        photo_pairs_request.refuse(
            options, ("object_correlation",), "about random trajectories, only about gaussian paths"
        )
    inputs["masks"] = options["masks"]
    masks.Masks(pathlib.Path(options["masks"])).check()
    return shake.noted(
        photo_pairs_request.build(ObjectsMaker, photos, request, {**options, "command": command}, inputs)
    )


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> ObjectsMaker:
    """The maker of a dataset with this record."""
    return photo_pairs_request.rebuilt(ObjectsMaker, record, shard_length, inputs)
