"""What is asked of camera shake: how the camera moves in six dimensions, what it looks at, and through which lens."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic

from blursynth import recipe_file
from blursynth.synthesis import draw, recipe

# `handheld`: a hand's slow sway about all axes. `lai`: as the public code of Lai et al. 2016 computes it
# (`synthesize_nonuniform_blur.m`, `compute_Kpose_6D.m`): rotation alone at half the recorded angles, poses relative to
# the first one, codes taken for light, and the conventions of `Shake.convention`. What differs: a path is seen as
# continuous, where their code adds up poses 1/300 s apart, each with the same weight and turned by the rates at the end
# of its step; their 1 % of noise is `--realism lai`; and since their recordings are not public, random paths stand in
# without --gyro. Objects and depth maps, which their code does not have, keep this package's own conventions.
PRESETS: dict[str, dict[str, Any]] = {
    "handheld": {
        "path": "gaussian",
        "correlation": "0.3:1",
        "rotation": "0.2:1",
        "roll": "0:1",
        "translation": "0:0.005",
        "forward": "0:0.005",
        "depth": "1:10",
        "motion": "5:40",
        "field_of_view": 60.0,
    },
    "lai": {
        "path": "boracchi-foi",
        "rotation": 1,
        "roll": "0:1",
        "translation": 0,
        "forward": 0,
        "depth": 1,
        "motion": "10:60",
        "field_of_view": 53.13010235415598,
        "gyro_scale": 0.5,
        "target": "first",
        "convention": "lai",
        "transfer": "linear",
    },
}

PADDING = 20
"""Px by which Lai et al.'s code continues a photo on each side."""

AMOUNTS = ("rotation", "roll", "translation", "forward")
"""What the unit of a path stands for."""

Angle = Annotated[draw.Draw, draw.within(0.0, 60.0)]
Shift = Annotated[draw.Draw, draw.within(0.0, 1000.0)]


class DepthMaps(recipe_file.Model):
    """A depth map for each photo instead of one plane: the photo becomes planes, the nearer laid over the farther.

    scale: metres that 1 in a map stands for; none: 0.001 in a PNG, 1 in a .npy. layers: planes, evenly spaced in 1 /
    depth from the farthest to the nearest pixel of a crop; none: as many as it takes for neighbours to move by less
    than half a pixel differently. orientation: whether maps lie over the photo as it is seen, by its EXIF orientation
    ("upright"), or over its pixels as they are stored ("stored"); none: their size says it.
    """

    scale: float | None = pydantic.Field(default=None, gt=0, le=1e6)
    layers: int | None = pydantic.Field(default=None, ge=1, le=1024)
    orientation: Literal["upright", "stored"] | None = None


class Shake(recipe.PhotoPairs):
    """`blursynth shake`: photos seen by a camera that rotates and moves while the shutter is open.

    path: "gaussian" (each axis a Gaussian process of unit variance with Matern covariance of order 3/2), "boracchi-foi"
    (random trajectories of unit length) or "gyro" (a recording). rotation, roll: degrees, and translation, forward:
    metres, what that unit stands for in pitch and yaw, in roll, sideways and along the axis; where one of them is given
    that is not 0, the preset's motion does not hold. correlation: of a Gaussian
    path, in exposures. depth: metres from the camera to the plane that the photo shows; or depth_maps. motion: px; the
    path is scaled until the crop's fastest point travels this far, or left as it is (none). field_of_view: degrees
    along the photo's longer side; focal: px of the photo, instead. The principal point is the photo's centre.
    target: the sharp image is the view at the exposure's middle, or at its beginning. readout: time from the first
    row's start to the last row's, in exposures; 0 is a global shutter. knots: poses that a path is kept as, at equal
    steps in time, linear in between. gyro: SHA-256 of the recording; gyro_columns: what its columns are, where its
    heading does not say it; exposure: seconds of it that are taken; gyro_scale: factor on its angles; gyro_reference:
    the sharp image is where `target` says, or (none) always the middle of the recorded path, as before this could be
    said. convention: "lai", for one plane, is that of Lai et al.'s code: the photo's edges are repeated for 20 px and
    nothing lies beyond, instead of its reflection; the field of view is that along the longer side of the photo with
    these 20 px on each side; the principal point is half a pixel to the left of the centre and above it; a recording's
    axes x, y and z are the camera's -y, -x and -z, and its angles are added up about each axis by itself.
    """

    BEFORE: ClassVar[Mapping[str, Any]] = {"convention": None}
    ONE_PLANE: ClassVar[bool] = True
    """Nothing but one plane, unless there are depth maps."""

    preset: Literal["handheld", "lai"] = "handheld"
    path: Literal["gaussian", "boracchi-foi", "gyro"]
    correlation: Annotated[draw.Draw, draw.within(0.01, 100.0)] = pydantic.Field(default="0.5", validate_default=True)
    rotation: Angle
    roll: Angle
    translation: Shift
    forward: Shift
    depth: Annotated[draw.Draw, draw.within(0.01, 1e6)] | None = None
    depth_maps: DepthMaps | None = None
    motion: Annotated[draw.Draw, draw.within(0.0, 2000.0)] | None = None
    field_of_view: float | None = pydantic.Field(default=None, gt=0, lt=175)
    focal: float | None = pydantic.Field(default=None, gt=0, le=1e9)
    target: Literal["middle", "first"] = "middle"
    readout: float = pydantic.Field(default=0.0, ge=0, le=10)
    knots: int = pydantic.Field(default=256, ge=2, le=10_000)
    gyro: str | None = None
    gyro_columns: str | None = None
    exposure: Annotated[draw.Draw, draw.within(1e-4, 60.0)] | None = None
    gyro_scale: float = pydantic.Field(default=1.0, gt=0, le=10)
    gyro_reference: Literal["target"] | None = None
    convention: Literal["lai"] | None = None
    store_path: bool = True

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        preset = dict(PRESETS.get(values.get("preset", "handheld"), PRESETS["handheld"]))
        if values.get("focal") is not None:
            preset.pop("field_of_view")
        if values.get("depth_maps") is not None:
            preset.pop("depth")
        if values.get("depth_maps") is not None or not cls.ONE_PLANE:
            # Their code knows one plane: its edges and its sharp image are not defined for several.
            preset = {key: value for key, value in preset.items() if key not in ("convention", "target")}
        if values.get("gyro") is not None or values.get("path") == "gyro":
            preset |= {"path": "gyro", "motion": None, "translation": 0, "forward": 0, "rotation": 1, "roll": 1}
        elif any(_is_some(values.get(name)) for name in AMOUNTS):
            preset["motion"] = None
        return preset | values

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.field_of_view is None) == (self.focal is None):
            raise ValueError("give either a field of view (degrees along the longer side) or a focal length (px)")
        if (self.depth is None) == (self.depth_maps is None):
            raise ValueError("give either depth (metres) or depth_maps (a map for each photo)")
        if self.focal is not None and self.fit == "resize":
            raise ValueError(
                "a focal length in px has no meaning where photos are resized; give a field of view instead"
            )
        if (self.path == "gyro") != (self.gyro is not None):
            raise ValueError('path = "gyro" needs a recording, and a recording path = "gyro"')
        if self.convention is not None and (self.depth_maps is not None or not type(self).ONE_PLANE):
            raise ValueError("convention is of photos before one plane; leave it out")
        if self.gyro is None and self.gyro_columns is not None:
            raise ValueError("gyro_columns are those of a recording; leave them out without one")
        if (self.gyro is None) != (self.exposure is None):
            raise ValueError("a recording needs the exposure in seconds, and nothing else takes one")
        still = not any((self.rotation.maximum, self.roll.maximum, self.translation.maximum, self.forward.maximum))
        if still and self.gyro is None and self.motion is not None and self.motion.maximum > 0:
            raise ValueError(
                f"rotation, roll, translation and forward are all 0, so that no path can be scaled to {self.motion} px"
            )
        if self.motion is not None and self.size is not None and self.motion.maximum > self.size:
            raise ValueError(
                f"motion of up to {self.motion.maximum:g} px would move the scene out of a crop of {self.size} px; ask "
                "for less motion or larger crops"
            )
        return self


def _is_some(amount: Any) -> bool:
    """Whether a number, a range or a list is there and not all 0."""
    if amount is None or not draw.is_draw(amount):
        return False
    return draw.Draw.model_validate(amount).maximum > 0
