"""Maker of pairs datasets from photos or scenes, blurred by a camera that moves in six dimensions."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import options as options_
from blursynth.config import ranges
from blursynth.config import shake as shake_config
from blursynth.kernels import pose
from blursynth.makers import photo_pairs, photo_pairs_request
from blursynth.media import opencv, source_file
from blursynth.sources import photos, sidecars, source
from blursynth.storage import provenance, schema
from blursynth.synthesis import gyroscope, shake_pair

Request = TypeVar("Request", bound=shake_config.Shake)

AnyMaker = TypeVar("AnyMaker", bound="ShakeMaker")

_COLUMNS = {
    "motion_px": ("path of the crop's fastest point during the exposure", "px"),
    "focal_px": ("focal length", "px"),
    "centre_x": ("column of the principal point, from the crop's first", "px"),
    "centre_y": ("row of the principal point, from the crop's first", "px"),
    "depth": ("distance of the plane that the photo shows; with depth maps the median of the crop", "m"),
}


@dataclasses.dataclass(frozen=True)
class ShakeMaker(photo_pairs.PhotoPairsMaker[shake_config.Shake]):
    """Makes items of `blursynth shake`."""

    name: ClassVar[str] = "shake"
    Recipe: ClassVar[type[Any]] = shake_config.Shake

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
    def belonging(cls, request: shake_config.Shake, inputs: Mapping[str, str]) -> sidecars.Beside | None:
        if request.depth_maps is None:
            return None
        maps_ = request.depth_maps
        return sidecars.DepthMaps(
            pathlib.Path(inputs["depth"]), maps_.scale, photos.folder(inputs["photos"]), maps_.orientation
        )

    def draw(self, items: npt.NDArray[np.int64]) -> shake_pair.Draws[Any]:
        return shake_pair.draw(self.recipe, self.seed, items, self.log)

    @property
    def margin(self) -> int:
        return 2 * (min(self.frame) if self.recipe.motion is None else int(self.recipe.motion.maximum) + 2)

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), their paths, the largest photo, a crop and its margin as light."""
        height, width = self.frame
        mapped = self.recipe.depth_maps is not None
        light = (height + self.margin) * (width + self.margin) * (3 * 9 + 16 * self._layers + 64 * mapped)
        drawn = items * self.recipe.knots * 24
        photo = (2 + 4 * mapped) * self.largest_photo + self.largest_file
        return 2 * items * self.schema.bytes_per_item + drawn + photo + light + self.camera_bytes

    @property
    def _layers(self) -> int:
        """How many planes there can be: two for each px by which a path that long can part near and far."""
        if self.recipe.depth_maps is None:
            return 0
        longest = min(self.frame) if self.recipe.motion is None else self.recipe.motion.maximum
        return self.recipe.depth_maps.layers or 2 * int(longest) + 2

    @functools.cached_property
    def log(self) -> gyroscope.Log | None:
        """The gyroscope's recording, where the recipe has one."""
        if self.recipe.gyro is None:
            return None
        path = self.inputs["gyro"]
        data = source_file.recorded(path, source_file.read(path), self.recipe.gyro)
        return gyroscope.read(path, data=data, columns=self.recipe.gyro_columns)


def maker(photos: str, options: Mapping[str, Any], command: str = "") -> ShakeMaker:
    """Scan the photos and check the request; see `config.shake` for what `options` may hold.

    Raises RecipeError for values out of range, InputError where no photo can be used, where full frames differ in
    size, where the recording cannot be used, and, with options["strict"], at the first photo that cannot be used.
    """
    request, inputs = requested(options, shake_config.Shake)
    return noted(photo_pairs_request.build(ShakeMaker, photos, request, {**options, "command": command}, inputs))


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
    values = photo_pairs_request.values(options, model)
    values = {name: value for name, value in values.items() if name not in ("depth", "depth_maps", "gyro")}
    inputs: dict[str, str] = {}
    values |= _depth(options, inputs)
    if options.get("gyro"):
        values |= _recorded(options)
        inputs["gyro"] = options["gyro"]
    else:
        photo_pairs_request.refuse(
            options, ("exposure", "gyro_scale", "gyro_columns"), "without a recording (--gyro FILE)"
        )
    request = options_.build(values, model)
    if request.path == "boracchi-foi":
        photo_pairs_request.refuse(options, ("correlation",), "about random trajectories, only about gaussian paths")
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
    photo_pairs_request.refuse(options, random_only, "about a recorded path (--gyro)")
    return {"gyro": gyroscope.read(options["gyro"], columns=options.get("gyro_columns")).sha256, "path": "gyro"}


def _depth(options: Mapping[str, Any], inputs: dict[str, str]) -> dict[str, Any]:
    """--depth as metres or as a folder of maps, with --depth-scale and --layers."""
    given = options.get("depth")
    about = {"scale": options.get("depth_scale"), "layers": options.get("layers")}
    about["orientation"] = options.get("depth_orientation")
    if given is None or ranges.is_draw(given):
        for name, value in about.items():
            if value is not None:
                option = {"scale": "--depth-scale", "orientation": "--depth-orientation"}.get(name, "--layers")
                raise errors.RecipeError(f"{option} is of depth maps; give their folder too, with --depth FOLDER.")
        return {} if given is None else {"depth": given}
    if not source_file.is_folder(given):
        raise errors.InputError(
            f"--depth {given} is neither metres (a number, a range LOW:HIGH, a list A,B,C) nor a folder of depth maps."
        )
    opencv.load("Planes at several depths are continued with it")
    inputs["depth"] = str(given)
    return {"depth_maps": {name: value for name, value in about.items() if value is not None}}


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> ShakeMaker:
    """The maker of a dataset with this record."""
    return photo_pairs_request.rebuilt(ShakeMaker, record, shard_length, inputs)
