"""Maker of pairs datasets from photos or scenes, blurred by a camera that moves in six dimensions."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blursynth import errors, recipe_file
from blursynth.kernels import pose, random
from blursynth.production import photo_pairs
from blursynth.storage import provenance, schema
from blursynth.synthesis import gyroscope, shake, shake_recipe

Arrays = photo_pairs.Arrays

_COLUMNS = {
    "motion_px": ("path of the crop's fastest point during the exposure", "px"),
    "focal_px": ("focal length", "px"),
    "centre_x": ("column of the principal point, from the crop's first", "px"),
    "centre_y": ("row of the principal point, from the crop's first", "px"),
    "depth": ("distance of the plane that the photo shows", "m"),
}


@dataclasses.dataclass(frozen=True)
class ShakeMaker(photo_pairs.PhotoPairsMaker[shake_recipe.Shake]):
    """Makes items of `blursynth shake`."""

    name: ClassVar[str] = "shake"
    Recipe: ClassVar[type[Any]] = shake_recipe.Shake

    def own_arrays(self) -> tuple[list[schema.ArraySpec], list[schema.ArraySpec]]:
        columns = [
            schema.column(name, "float32", long_name=text, units=unit) for name, (text, unit) in _COLUMNS.items()
        ]
        columns.append(schema.column("moments", "int32", long_name="views of the scene that were added up", units="1"))
        path = schema.ArraySpec(
            name="camera_path",
            dtype="float32",
            shape=(self.recipe.knots, len(pose.POSE)),
            dimensions=("knot", "pose"),
            attributes={
                "units": "rad, m",
                "long_name": "poses of the camera over the exposure of all rows, at equal steps in time, relative to "
                "that of the sharp image: rotation vector rx, ry, rz and translation tx, ty, tz; x to the right, y "
                "down, z into the scene",
                "readout": self.recipe.readout,
            },
        )
        return ([path] if self.recipe.store_path else []), columns

    def prepare(self, item: npt.NDArray[np.int64]) -> Arrays:
        found = shake.paths(self.recipe, self.seed, item, self._log)
        drawn = random.uniforms(self.seed, random.Stream.EXPOSURE, item, 1)[:, 0]
        wanted = None if self.recipe.motion is None else self.recipe.motion.at(drawn)
        made: Arrays = {name: np.zeros(len(item), np.float32) for name in _COLUMNS}
        made |= {"camera_path": found.path_NK6, "depth": found.depth, "moments": np.zeros(len(item), np.int32)}
        # What is asked for stands here until `blur` puts down what came of it.
        made["motion_px"][:] = np.nan if wanted is None else wanted
        return made

    def light(
        self, made: Arrays, row: int, crop: photo_pairs.Crop, table: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        photo = crop.photo_HWC.shape[0], crop.photo_HWC.shape[1]
        frame = shake.view(self.recipe, photo, crop.top, crop.left, crop.height, crop.width)
        asked = float(made["motion_px"][row])
        done = shake.blur(
            self.recipe,
            crop.photo_HWC,
            made["camera_path"][row],
            float(made["depth"][row]),
            None if np.isnan(asked) else asked,
            frame,
            crop.top,
            crop.left,
            table,
        )
        made["camera_path"][row] = done.path_K6
        values = {"motion_px": done.motion, "moments": done.moments, "focal_px": frame.focal}
        for name, value in (values | {"centre_x": frame.centre_x, "centre_y": frame.centre_y}).items():
            made[name][row] = value
        return done.light_HWC

    def unmade(self, made: Arrays, rows: npt.NDArray[np.intp]) -> None:
        """Nothing was seen: no numbers stand for it."""
        for name in ("motion_px", "camera_path"):
            made[name][rows] = 0

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), the largest photo, and a crop with its margin as light."""
        height, width = self.frame
        margin = min(height, width) if self.recipe.motion is None else int(self.recipe.motion.maximum) + 2
        light = (height + 2 * margin) * (width + 2 * margin) * 3 * 9
        unstored = 0 if self.recipe.store_path else items * self.recipe.knots * 24
        return 2 * items * self.schema.bytes_per_item + unstored + 2 * self.largest_photo + light

    @functools.cached_property
    def _log(self) -> gyroscope.Log | None:
        if self.recipe.gyro is None:
            return None
        log = gyroscope.read(self.inputs["gyro"])
        if log.sha256 != self.recipe.gyro:
            raise errors.InputError(f"{self.inputs['gyro']} is another recording than the one that was recorded.")
        return log


def maker(photos: str, options: Mapping[str, Any], command: str = "") -> ShakeMaker:
    """Scan the photos and check the request; see `shake_recipe.Shake` for what `options` may hold.

    Raises RecipeError for values out of range, InputError where no photo can be used, where full frames differ in
    size, where the recording cannot be used, and, with options["strict"], at the first photo that cannot be used.
    """
    names = set(shake_recipe.Shake.model_fields) - {"splits", "gyro", "store_path", "realism"}
    values = photo_pairs.common(options) | photo_pairs.given(options, sorted(names))
    values["store_path"] = not options.get("no_path", False)
    inputs = {}
    if options.get("gyro"):
        inputs["gyro"] = options["gyro"]
        values |= {"gyro": gyroscope.read(options["gyro"]).sha256, "path": "gyro"}
    request = recipe_file.build(values, shake_recipe.Shake, "The command")
    if request.exposure is not None:
        gyroscope.read(options["gyro"], request.exposure.maximum * (1 + request.readout))
    return photo_pairs.build(ShakeMaker, photos, request, {**options, "command": command}, inputs)


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> ShakeMaker:
    """The maker of a dataset with this record."""
    return photo_pairs.rebuilt(ShakeMaker, record, shard_length, inputs)
