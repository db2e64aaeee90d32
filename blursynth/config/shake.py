"""What is asked of camera shake: how the camera moves in six dimensions, what it looks at, and through which lens."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic

from blursynth.config import options, photo_pairs, ranges, toml

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

Angle = Annotated[ranges.Draw, ranges.within(0.0, 60.0)]
Shift = Annotated[ranges.Draw, ranges.within(0.0, 1000.0)]
Depth = Annotated[ranges.Draw, ranges.within(0.01, 1e6)]


_PRESET = "the preset's"


class DepthMaps(toml.Model):
    """A depth map for each photo instead of one plane: the photo becomes planes, the nearer laid over the farther."""

    scale: float | None = options.field(
        None,
        "Of 1 in a depth map.",
        name="depth_scale",
        metavar="METRES",
        gt=0,
        le=1e6,
        default="0.001 in a PNG, 1 in a .npy",
    )
    layers: int | None = options.field(
        None,
        "With depth maps: planes, evenly spaced in 1 / depth from the farthest to the nearest pixel of a crop.",
        ge=1,
        le=1024,
        default="as many as it takes for neighbours to part by less than half a pixel",
    )
    orientation: Literal["upright", "stored"] | None = options.field(
        None,
        "Whether depth maps lie over photos as they are seen, by their EXIF orientation, or over the pixels as they "
        "are stored.",
        name="depth_orientation",
        default="what their size says; photos where it says nothing are left out",
    )


class Shake(photo_pairs.PhotoPairs):
    """`blursynth shake`: photos seen by a camera that rotates and moves while the shutter is open.

    The principal point is the photo's centre. A "gaussian" path is, on each axis, a Gaussian process of unit variance
    with Matern covariance of order 3/2; "boracchi-foi" a random trajectory of unit length; "gyro" a recording.
    convention "lai", for one plane, is that of Lai et al.'s code: the photo's edges are repeated for 20 px and nothing
    lies beyond, instead of its reflection; the field of view is that along the longer side of the photo with these 20
    px on each side; the principal point is half a pixel to the left of the centre and above it; a recording's axes x, y
    and z are the camera's -y, -x and -z, and its angles are added up about each axis by itself.
    """

    BEFORE: ClassVar[Mapping[str, Any]] = {"convention": None, "gyro_reference": None}
    ONE_PLANE: ClassVar[bool] = True
    """Nothing but one plane, unless there are depth maps."""

    preset: Literal["handheld", "lai"] = options.field(
        "handheld", "handheld: a hand's slow sway. lai: Lai et al. 2016, rotation only, codes taken for light."
    )
    path: Literal["gaussian", "boracchi-foi", "gyro"] = options.field(
        ..., "How each axis moves.", unsaid=("gyro",), default=_PRESET
    )
    correlation: Annotated[ranges.Draw, ranges.within(0.01, 100.0)] = options.field(
        "0.5", "Of a gaussian path, in exposures: how slowly it changes.", default="the preset's, or 0.5"
    )
    rotation: Angle = options.field(
        ...,
        "Pitch and yaw: what the unit of a path stands for, unless --motion scales it.",
        metavar="DEGREES",
        default=_PRESET,
    )
    roll: Angle = options.field(..., "The same about the optical axis.", metavar="DEGREES", default=_PRESET)
    translation: Shift = options.field(..., "The same sideways.", metavar="METRES", default=_PRESET)
    forward: Shift = options.field(..., "The same along the optical axis.", metavar="METRES", default=_PRESET)
    depth: Depth | None = options.field(
        None,
        "Distance of the plane that the photo shows, or a folder of depth maps: a 16-bit PNG or .npy for each photo.",
        metavar="METRES|FOLDER",
        default=_PRESET,
    )
    depth_maps: DepthMaps | None = options.field(None, "", inline=True)
    motion: Annotated[ranges.Draw, ranges.within(0.0, 2000.0)] | None = options.field(
        None,
        "Scale each path until the crop's fastest point travels this far.",
        metavar="PX",
        default="the preset's; paths are left as they are where one of --rotation, --roll, --translation, --forward is "
        "given, other than as 0",
    )
    field_of_view: float | None = options.field(
        None, "Along the photo's longer side.", metavar="DEGREES", gt=0, lt=175, default=_PRESET
    )
    focal: float | None = options.field(None, "Focal length in px of the photo, instead.", metavar="PX", gt=0, le=1e9)
    target: Literal["middle", "first"] = options.field(
        "middle",
        "The sharp image: the view in the middle of the exposure, or at its beginning.",
        default="middle; lai first",
    )
    readout: float = options.field(
        0.0, "Rolling shutter: time from the first row's start to the last row's.", metavar="EXPOSURES", ge=0, le=10
    )
    knots: int = options.field(
        256, "Poses that a path is kept as, at equal steps in time, linear in between.", ge=2, le=10_000
    )
    gyro: str | None = options.field(
        None,
        "A recorded path: lines of a time and three rates. A heading says which column is which and in which unit; "
        "without one they are seconds and rates about x, y, z in rad/s (with lai in the axes of their recordings). "
        "Its SHA-256 is recorded.",
        metavar="FILE",
    )
    gyro_columns: str | None = options.field(
        None,
        "With --gyro: what its columns are, instead of its heading: 'time_ns,x,y,z', or "
        "'x (deg/s),y (deg/s),z (deg/s),-,time' (- is not read).",
        metavar="NAMES",
    )
    exposure: Annotated[ranges.Draw, ranges.within(1e-4, 60.0)] | None = options.field(
        None, "With --gyro: how much of the recording is one exposure.", metavar="SECONDS"
    )
    gyro_scale: float = options.field(
        1.0, "With --gyro: factor on its angles.", metavar="FACTOR", gt=0, le=10, default="1; lai 0.5"
    )
    gyro_reference: Literal["target"] | None = options.field(
        None,
        "With --gyro: the sharp image is where --target says; or (false) always the middle of the recorded path, as "
        "before this could be said.",
        key=True,
    )
    convention: Literal["lai"] | None = options.field(None, "Of Lai et al.'s code, or (false) none.", key=True)
    store_path: bool = options.field(True, "Do not store each pair's camera path.", name="no_path", negated=True)

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        unsaid = {"gyro_scale"} | ({"correlation"} if table["path"] == "boracchi-foi" else set())
        if table.get("gyro"):
            unsaid = {"path", "correlation", *AMOUNTS}
        return {key: value for key, value in table.items() if key not in unsaid}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = values | {name: None for name in cls.BEFORE if values.get(name) is False}
        if values.get("gyro") is not None and values.get("target") == "first":
            values = {"gyro_reference": "target"} | values
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
    if amount is None or not ranges.is_draw(amount):
        return False
    return ranges.Draw.model_validate(amount).maximum > 0
