"""What is asked for when frames of video are averaged."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from blursynth.config import options, photo_pairs, toml
from blursynth.config import realism as realism_config

# `gopro`: Nah et al. 2017, M from the sequence's name, 11 where it has none. `deblurgan-detection`: Kupyn et al. 2018,
# section 6.3, M in 5..25. `kohler`: Nah et al.'s training data for the Köhler benchmark, g = identity.
PRESETS: dict[str, dict[str, Any]] = {
    "gopro": {"frames": "11", "frames_from_name": True, "transfer": "gamma2.2"},
    "deblurgan-detection": {"frames": "5-25", "frames_from_name": False, "transfer": "gamma2.2"},
    "kohler": {"frames": "11", "frames_from_name": True, "transfer": "linear"},
}

Preset = Literal["gopro", "deblurgan-detection", "kohler"]
MOST = 255  # frames of video in a window


def _counts(value: Any) -> Any:
    """11, "7,11,13" or "7-13" (the odd numbers in it) as numbers of frames."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    text = str(value).strip()
    span = re.fullmatch(r"(\d+)\s*[-:]\s*(\d+)", text)
    if span:
        odd = tuple(count for count in range(int(span[1]), int(span[2]) + 1) if count % 2)
        if not odd:
            raise ValueError(f"{text} has no odd number in it; the middle frame is the sharp one")
        return odd
    if not re.fullmatch(r"\d+(\s*,\s*\d+)*", text):
        raise ValueError(f"{text!r} is not a number, a list such as 7,11,13 or a range such as 7-13")
    return tuple(int(part) for part in text.split(","))


Count = Annotated[int, pydantic.Field(ge=2, le=MOST)]


def _place(value: Any) -> Any:
    """A place in a window as a number, where it is a text."""
    if not isinstance(value, str) or value == "middle":
        return value
    if not value.isdecimal():
        raise ValueError("expected middle, or a whole number from 0")
    return int(value)


class AverageFrames(toml.Model):
    """`blursynth average-frames`: windows of successive frames, averaged in linear light."""

    preset: Preset = options.field(
        "gopro",
        "gopro: M from names such as GOPR0372_07_00, else 11. deblurgan-detection: odd M in 5-25. kohler: as gopro, "
        "but averages codes instead of light.",
    )
    frames: Annotated[tuple[Count, ...], pydantic.BeforeValidator(_counts)] = options.field(
        ...,
        "Frames in a window: 11, a list 7,11,13 or odd ones of a range 7-13, each with equal chance.",
        metavar="M",
        min_length=1,
        default="the preset's",
    )
    frames_from_name: bool = options.field(
        ..., "Take M from names such as GOPR0372_07_00 instead, where a clip has one.", key=True
    )
    target: Annotated[
        Literal["middle"] | Annotated[int, pydantic.Field(ge=0, lt=MOST)], pydantic.BeforeValidator(_place)
    ] = options.field("middle", "The sharp frame: middle, or its place in the window from 0.", metavar="PLACE")
    stride: int | None = options.field(
        None, "Frames from a window's start to the next.", ge=1, le=100_000, default="M: windows do not overlap"
    )
    duty_cycle: float | None = options.field(
        None, "Instead: share of the time between starts that the shutter is open.", ge=1e-6, le=1
    )
    transfer: Literal["gamma2.2", "srgb", "linear", "table"] = options.field(
        ..., "The response by its name: how codes relate to light.", unsaid=("table",), default="the preset's"
    )
    response: tuple[float, ...] | None = options.field(
        None, "A measured response: 256 rows with the light of each code, of one number or three.", metavar="FILE"
    )
    rounding: Literal["nearest", "floor"] = options.field("nearest", "Of the mean, to a code.")
    interpolate: int = options.field(
        0, "Frames put into each interval by optical flow before averaging.", metavar="K", ge=0, le=63
    )
    motion: bool = options.field(True, "Measure motion (needs OpenCV).")
    max_step: float | None = options.field(
        None, "Leave out windows where anything moves further a step (after interpolation).", metavar="PX", gt=0
    )
    min_motion: float | None = options.field(None, "Leave out windows where less moves than this.", metavar="PX", gt=0)
    size: int | None = options.field(
        None, "Side of square crops in px.", ge=8, le=16384, default="whole frames, all of one size"
    )
    crop: Literal["random", "grid"] = options.field("random", "Where crops lie.")
    per_window: int = options.field(1, "Random crops of each window.", metavar="N", ge=1, le=10_000)
    matrix: Literal["auto", "bt601", "bt709", "bt2020", "smpte240m"] = options.field(
        "auto", "Colour matrix, where the file's is wrong.", default="auto: the file's, bt601 where it has none"
    )
    primaries: Literal["auto", "keep"] = options.field(
        "auto", "keep: values of BT.2020, P3 and other primaries as they are.", default="auto: such clips are refused"
    )
    fps: float | None = options.field(
        None,
        "Frames per second of the recording.",
        metavar="RATE",
        gt=0,
        le=1e6,
        default="what videos say; 240 for folders of frames",
    )
    splits: photo_pairs.Splits = options.field(
        photo_pairs.Splits(),
        "Shares of the clips; or `folder`: clips lie in folders named train, val, test.",
        metavar="NAME=SHARE,...",
        default="train=0.9,val=0.1",
    )
    split_by: Literal["share", "folder"] = pydantic.Field("share", description="As --splits says.")
    realism: realism_config.Realism | None = realism_config.option()

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        unsaid = {"split_by"} | ({"per_window"} if table["crop"] == "grid" else set())
        preset = PRESETS[table["preset"]]
        if (
            table["frames_from_name"]
            and preset["frames_from_name"]
            and list(_counts(preset["frames"])) == table["frames"]
        ):
            unsaid |= {"frames", "frames_from_name"}
        kept = {key: value for key, value in table.items() if key not in unsaid}
        return kept | ({"splits": "folder"} if table["split_by"] == "folder" else {})

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = PRESETS.get(values.get("preset", "gopro"), PRESETS["gopro"]) | values
        if "frames" in values and "frames_from_name" not in values:
            filled["frames_from_name"] = False  # what is asked for counts
        return filled

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "AverageFrames":
        for count in self.frames:
            self.require_window(count)
        if self.stride is not None and self.duty_cycle is not None:
            raise ValueError("stride and duty_cycle both say when the next window begins: give one")
        if (self.response is not None) != (self.transfer == "table"):
            raise ValueError('transfer = "table" and a response table go together')
        if self.response is not None and len(self.response) not in (256, 768):
            raise ValueError(f"a response table has 256 values, or 3 x 256; this one has {len(self.response)}")
        if not self.motion and (self.max_step is not None or self.min_motion is not None):
            raise ValueError("max_step and min_motion need motion to be measured")
        if self.size is None and (self.crop == "grid" or self.per_window > 1):
            raise ValueError("crops need a size")
        return self

    def require_window(self, count: int) -> None:
        """Raise ValueError where no window of `count` frames can be averaged as asked for."""
        if not 2 <= count <= MOST:
            raise ValueError(f"a window has 2 to {MOST} frames, not {count}")
        self.target_of(count)
        from blursynth.kernels import linear_sum  # here, so that help is immediate

        if (count - 1) * (self.interpolate + 1) + 1 > linear_sum.MOST_FRAMES:
            raise ValueError(
                f"{count} frames with {self.interpolate} between are more than {linear_sum.MOST_FRAMES} in one mean"
            )

    def target_of(self, count: int) -> int:
        """Place of the sharp frame in a window of `count` frames."""
        if self.target == "middle":
            if count % 2 == 0:
                raise ValueError(f"{count} frames have no middle one: give an odd number, or say which with target")
            return count // 2
        if self.target >= count:
            raise ValueError(f"there is no frame {self.target} in a window of {count}, which count from 0")
        return self.target

    def stride_of(self, count: int) -> int:
        """Frames from the start of a window of `count` frames to the next one's."""
        if self.stride is not None:
            return self.stride
        return count if self.duty_cycle is None else max(1, round(count / self.duty_cycle))
