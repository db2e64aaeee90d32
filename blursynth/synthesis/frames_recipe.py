"""What is asked for when frames of video are averaged."""

import re
from typing import Annotated, Any, Literal

import pydantic

from blursynth import recipe_file
from blursynth.kernels import light
from blursynth.synthesis import realism_recipe, recipe

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


class AverageFrames(recipe_file.Model):
    """`blursynth average-frames`: windows of successive frames, averaged in linear light.

    frames: M, one of these for each window with equal chance. frames_from_name: take M from names such as
    GOPR0372_07_00 instead, where a clip has one. target: the sharp frame, by its place in the window from 0, or the
    middle one. stride: frames from one window's start to the next; none: M, so that windows do not overlap.
    duty_cycle: instead of stride, the share of the time between two starts in which the shutter is open. transfer:
    how codes relate to light; "table" needs response, the light of each 8-bit code (256, or 3 x 256 by channel).
    rounding: of the mean, to a code. interpolate: frames put into each interval before averaging. motion: whether to
    measure it. max_step, min_motion: leave out windows with larger steps (after interpolation) or less motion, in px.
    size: side of the square crop; none: whole frames. crop: where crops lie. per_window: random crops of each
    window. matrix: overrides the colour matrix that clips name. primaries: "keep" takes clips whose primaries are not
    BT.709's or BT.601's by their values. fps: frames per second of the recording, instead of what clips say or, of
    folders of frames, 240. splits: shares of the clips. split_by: "share", or
    "folder" for clips in folders named train, val and test. realism: what becomes of blurred light in a camera.
    """

    preset: Preset = "gopro"
    frames: Annotated[tuple[Count, ...], pydantic.BeforeValidator(_counts), pydantic.Field(min_length=1)]
    frames_from_name: bool
    target: Literal["middle"] | Annotated[int, pydantic.Field(ge=0, lt=MOST)] = "middle"
    stride: int | None = pydantic.Field(None, ge=1, le=100_000)
    duty_cycle: float | None = pydantic.Field(None, ge=1e-6, le=1)
    transfer: Literal["gamma2.2", "srgb", "linear", "table"]
    response: tuple[float, ...] | None = None
    rounding: Literal["nearest", "floor"] = "nearest"
    interpolate: int = pydantic.Field(0, ge=0, le=63)
    motion: bool = True
    max_step: float | None = pydantic.Field(None, gt=0)
    min_motion: float | None = pydantic.Field(None, gt=0)
    size: int | None = pydantic.Field(None, ge=8, le=16384)
    crop: Literal["random", "grid"] = "random"
    per_window: int = pydantic.Field(1, ge=1, le=10_000)
    matrix: Literal["auto", "bt601", "bt709", "bt2020", "smpte240m"] = "auto"
    primaries: Literal["auto", "keep"] = "auto"
    fps: float | None = pydantic.Field(None, gt=0, le=1e6)
    splits: recipe.Splits = recipe.Splits()
    split_by: Literal["share", "folder"] = "share"
    realism: realism_recipe.Realism | None = None

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
        if (count - 1) * (self.interpolate + 1) + 1 > light.MOST_FRAMES:
            raise ValueError(
                f"{count} frames with {self.interpolate} between are more than {light.MOST_FRAMES} in one mean"
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
