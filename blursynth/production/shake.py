"""Maker of pairs datasets from photos or scenes, blurred by a camera that moves in six dimensions."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from blursynth import errors, recipe_file
from blursynth.kernels import pose, random
from blursynth.media import opencv, source_file
from blursynth.production import photo_options, photo_pairs
from blursynth.sources import beside, photos, source
from blursynth.storage import provenance, schema
from blursynth.synthesis import crop as crops
from blursynth.synthesis import depth, draw, gyroscope, shake, shake_recipe

Arrays = photo_pairs.Arrays
Request = TypeVar("Request", bound=shake_recipe.Shake)

AnyMaker = TypeVar("AnyMaker", bound="ShakeMaker")

_COLUMNS = {
    "motion_px": ("path of the crop's fastest point during the exposure", "px"),
    "focal_px": ("focal length", "px"),
    "centre_x": ("column of the principal point, from the crop's first", "px"),
    "centre_y": ("row of the principal point, from the crop's first", "px"),
    "depth": ("distance of the plane that the photo shows; with depth maps the median of the crop", "m"),
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
        arrays = [path] if self.recipe.store_path else []
        if self.recipe.depth_maps is not None:
            columns.append(schema.column("layers", "int32", long_name="planes at different depths", units="1"))
            arrays += [self._depth_map] if self.recipe.store_path else []
        return arrays, columns

    @property
    def _depth_map(self) -> schema.ArraySpec:
        name = "distance of the plane that each pixel of the sharp image was put on"
        attributes = {"units": "m", "long_name": name}
        return schema.ArraySpec("depth_map", "float32", self.frame, ("y", "x"), attributes=attributes)

    @classmethod
    def belonging(cls, request: shake_recipe.Shake, inputs: Mapping[str, str]) -> beside.Beside | None:
        if request.depth_maps is None:
            return None
        maps_ = request.depth_maps
        return beside.DepthMaps(
            pathlib.Path(inputs["depth"]), maps_.scale, photos.folder(inputs["photos"]), maps_.orientation
        )

    def prepare(self, item: npt.NDArray[np.int64]) -> Arrays:
        found = shake.paths(self.recipe, self.seed, item, self._log)
        drawn = random.uniforms(self.seed, random.Stream.EXPOSURE, item, 1)[:, 0]
        wanted = None if self.recipe.motion is None else self.recipe.motion.at(drawn)
        made: Arrays = {name: np.zeros(len(item), np.float32) for name in _COLUMNS}
        made |= {"camera_path": found.path_NK6, "depth": found.depth, "moments": np.zeros(len(item), np.int32)}
        if self.recipe.depth_maps is not None:
            made |= {"layers": np.zeros(len(item), np.int32)}
            made |= {"depth_map": np.zeros((len(item), *self.frame), np.float32)}
        # What is asked for stands here until `blur` puts down what came of it.
        made["motion_px"][:] = np.nan if wanted is None else wanted
        return made

    def light(
        self, made: Arrays, row: int, crop: crops.Crop, table: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        asked = None if np.isnan(made["motion_px"][row]) else float(made["motion_px"][row])
        path = made["camera_path"][row]
        if self.recipe.depth_maps is None:
            done = shake.blur(self.recipe, crop, path, float(made["depth"][row]), asked, table)
        else:
            found = depth.blur(self.recipe, crop, crop.belonging, path, asked, table)
            done, made["depth_map"][row], made["layers"][row] = found.shaken, found.depth_HW, found.layers
            made["depth"][row] = np.median(found.depth_HW)
        self.put(made, row, done)
        return done.light_HWC

    def put(self, made: Arrays, row: int, done: shake.Shaken) -> None:
        """Store how the camera moved."""
        frame = done.view
        made["camera_path"][row] = done.path_K6
        values = {"motion_px": done.motion, "moments": done.moments, "focal_px": frame.focal}
        for name, value in (values | {"centre_x": frame.centre_x, "centre_y": frame.centre_y}).items():
            made[name][row] = value

    def unmade(self, made: Arrays, rows: npt.NDArray[np.intp]) -> None:
        """Nothing was seen: no numbers stand for it."""
        for name in ("motion_px", "camera_path"):
            made[name][rows] = 0

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), the largest photo, and a crop with its margin as light."""
        height, width = self.frame
        margin = min(height, width) if self.recipe.motion is None else int(self.recipe.motion.maximum) + 2
        mapped = self.recipe.depth_maps is not None
        light = (height + 2 * margin) * (width + 2 * margin) * (3 * 9 + 16 * self._layers + 64 * mapped)
        unstored = 0 if self.recipe.store_path else items * (self.recipe.knots * 24 + height * width * 4)
        photo = (2 + 4 * mapped) * self.largest_photo + self.largest_file
        return 2 * items * self.schema.bytes_per_item + unstored + photo + light + self.camera_bytes

    @property
    def _layers(self) -> int:
        """How many planes there can be: two for each px by which a path that long can part near and far."""
        if self.recipe.depth_maps is None:
            return 0
        longest = min(self.frame) if self.recipe.motion is None else self.recipe.motion.maximum
        return self.recipe.depth_maps.layers or 2 * int(longest) + 2

    @functools.cached_property
    def _log(self) -> gyroscope.Log | None:
        if self.recipe.gyro is None:
            return None
        path = self.inputs["gyro"]
        data = source_file.recorded(path, source_file.read(path), self.recipe.gyro)
        return gyroscope.read(path, data=data, columns=self.recipe.gyro_columns)


def maker(photos: str, options: Mapping[str, Any], command: str = "") -> ShakeMaker:
    """Scan the photos and check the request; see `shake_recipe.Shake` for what `options` may hold.

    Raises RecipeError for values out of range, InputError where no photo can be used, where full frames differ in
    size, where the recording cannot be used, and, with options["strict"], at the first photo that cannot be used.
    """
    request, inputs = requested(options, shake_recipe.Shake)
    return noted(photo_options.build(ShakeMaker, photos, request, {**options, "command": command}, inputs))


def noted(maker: AnyMaker) -> AnyMaker:
    """The maker, with the columns of its recording that are not read among what is left out."""
    if maker.recipe.gyro is None:
        return maker
    log = gyroscope.read(maker.inputs["gyro"], columns=maker.recipe.gyro_columns)
    if not log.ignored:
        return maker
    reason = f"has columns that are not read: {', '.join(log.ignored)}"
    left = source.Skipped(pathlib.Path(maker.inputs["gyro"]).name, reason)
    return dataclasses.replace(maker, left_out=(*maker.left_out, left))


def requested(options: Mapping[str, Any], model: type[Request]) -> tuple[Request, dict[str, str]]:
    """The recipe and the inputs that the options of a command give."""
    names = set(model.model_fields) - {"splits", "gyro", "store_path", "depth", "depth_maps", "realism"}
    values = photo_options.common(options) | photo_options.given(options, sorted(names))
    values["store_path"] = not options.get("no_path", False)
    inputs: dict[str, str] = {}
    values |= _depth(options, inputs)
    if options.get("gyro"):
        values |= _recorded(options)
        inputs["gyro"] = options["gyro"]
    else:
        photo_options.refuse(options, ("exposure", "gyro_scale", "gyro_columns"), "without a recording (--gyro FILE)")
    if options.get("gyro") and values.get("target") == "first":
        values["gyro_reference"] = "target"
    request = recipe_file.from_options(values, model, {"depth_maps.scale": "--depth-scale"})
    if request.path == "boracchi-foi":
        photo_options.refuse(options, ("correlation",), "about random trajectories, only about gaussian paths")
    if request.exposure is not None:
        longest = request.exposure.maximum * (1 + request.readout)
        gyroscope.read(options["gyro"], longest, request.exposure.minimum, columns=request.gyro_columns)
    return request, inputs


def _recorded(options: Mapping[str, Any]) -> dict[str, Any]:
    """What --gyro says of the path."""
    if options.get("path") not in (None, "gyro"):
        raise errors.RecipeError("--gyro is a recorded path and --path a random one; give one of them.")
    if options.get("exposure") is None:
        raise errors.RecipeError("--gyro needs --exposure SECONDS: how much of the recording is one exposure.")
    random_only = ("rotation", "roll", "translation", "forward", "correlation")
    photo_options.refuse(options, random_only, "about a recorded path (--gyro)")
    return {"gyro": gyroscope.read(options["gyro"], columns=options.get("gyro_columns")).sha256, "path": "gyro"}


def _depth(options: Mapping[str, Any], inputs: dict[str, str]) -> dict[str, Any]:
    """--depth as metres or as a folder of maps, with --depth-scale and --layers."""
    given = options.get("depth")
    about = {"scale": options.get("depth_scale"), "layers": options.get("layers")}
    about["orientation"] = options.get("depth_orientation")
    if given is None or draw.is_draw(given):
        for name, value in about.items():
            if value is not None:
                option = {"scale": "--depth-scale", "orientation": "--depth-orientation"}.get(name, "--layers")
                raise errors.RecipeError(f"{option} is of depth maps; give their folder too, with --depth FOLDER.")
        return {} if given is None else {"depth": given}
    if not pathlib.Path(given).is_dir():
        raise errors.InputError(
            f"--depth {given} is neither metres (a number, a range LOW:HIGH, a list A,B,C) nor a folder of depth maps."
        )
    opencv.load("Planes at several depths are continued with it")
    inputs["depth"] = str(given)
    return {"depth_maps": {name: value for name, value in about.items() if value is not None}}


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> ShakeMaker:
    """The maker of a dataset with this record."""
    return photo_options.rebuilt(ShakeMaker, record, shard_length, inputs)
