"""What is asked of realism: the steps between blurred light and an image file that a camera would have left."""

from typing import Annotated, Any, Literal

import pydantic

from blursynth.config import options, ranges, toml

# `rsblur`, `realblur`: Rim et al. 2022 with the noise that they measured on either set's camera, and the white balance
# and saturation that they draw. `lai`: the noise of Lai et al. 2016's public code, which is one-sided. `gaussian`:
# white noise alone, as most denoising work has it; its size is our choice.
PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "rsblur": {"saturation": "0.25:1.75", "sensor": {"shot": 1.0e-4, "read": 9.1504e-4}},
    "realblur": {"saturation": "0.25:1.75", "sensor": {"shot": 8.8915e-5, "read": 2.9430e-5}},
    "gaussian": {"gaussian": 0.01},
    "lai": {"uniform": 0.01},
}

# From CIE XYZ (D65) to the sensor of a Sony A7R III, the camera behind RSBlur, in parts of 10,000; of the table of
# Adobe's matrices that dcraw carries.
SONY_A7R3 = (6640, -1847, -503, -5238, 13010, 2474, -993, 1673, 6527)

Gain = Annotated[ranges.Draw, ranges.within(0.1, 10.0)]


class Sensor(toml.Model):
    """A Bayer sensor, and the way back from it."""

    shot: float = options.field(..., "beta1: the light of one photon, of white before white balance.", ge=0, le=1)
    read: float = options.field(
        ..., "beta2: standard deviation of read noise, of white before white balance.", ge=0, le=1
    )
    gain: Annotated[ranges.Draw, ranges.within(0.0, 100.0)] = options.field(
        "0.5:1.5", "Factor on shot and read, drawn for each."
    )
    red: Gain = options.field("1.9:2.4", "Gain of red in the white balance; green has 1.")
    blue: Gain = options.field("1.5:1.9", "Gain of blue.")
    pattern: Literal["random", "rggb", "grbg", "gbrg", "bggr"] = options.field(
        "random", "Of the colours; random is one of the four for each item."
    )
    matrix: tuple[float, ...] = options.field(
        SONY_A7R3,
        "Nine numbers, row by row, from CIE XYZ to the sensor.",
        default="a Sony A7R III's",
        min_length=9,
        max_length=9,
    )


class Realism(toml.Model):
    """Steps in this order; what is not given is not done. The preset fills what is not given."""

    preset: Literal["none", "rsblur", "realblur", "gaussian", "lai"] = options.field("none", "Where steps come from.")
    off: tuple[Literal["saturation", "sensor", "response", "gaussian", "uniform", "jpeg"], ...] = options.field(
        (), "Steps of the preset that are left out; so do steps that are given as false, or off.", key=True
    )
    saturation: Annotated[ranges.Draw, ranges.within(0.0, 1000.0)] | None = options.field(
        None,
        "What shows as white (code 255) is brighter by this, in parts of white, before it is blurred; then clipped.",
    )
    sensor: Sensor | None = options.field(None, "Noise and demosaicing.")
    response: tuple[float, ...] | None = options.field(
        None,
        "A camera's, for blurred and sharp: a file as of --response of average-frames, recorded as the light of each "
        "8-bit code (256, or 3 x 256 by channel).",
    )
    gaussian: Annotated[ranges.Draw, ranges.within(0.0, 1.0)] | None = options.field(
        None, "Standard deviation of noise on codes, in parts of white."
    )
    uniform: Annotated[ranges.Draw, ranges.within(0.0, 1.0)] | None = options.field(
        None, "Width of one-sided uniform noise on codes, in parts of white."
    )
    jpeg: Annotated[ranges.Draw, ranges.within(1, 100)] | None = options.field(
        None, "Quality of a JPEG file that the blurred image goes through."
    )

    @pydantic.field_validator("response")
    @classmethod
    def _of_every_code(cls, response: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if response is not None and len(response) not in (256, 768):
            raise ValueError("a response has 256 values, or 3 x 256")
        return response

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        off = [*values.get("off", ()), *(name for name, value in values.items() if value is False)]
        preset = PRESETS.get(values.get("preset", "none"), {})
        filled = {name: value for name, value in preset.items() if name not in off}
        # A record has to keep what is left out: built from it, the preset would fill it in again.
        filled |= {"off": tuple(off)} if off else {}
        for name, value in values.items():
            if name == "off" or value is False:
                continue
            both = isinstance(value, dict) and isinstance(filled.get(name), dict)
            filled[name] = filled[name] | value if both else value
        return filled


def option() -> Any:
    """The field of a command whose blurred light a camera takes."""
    return options.field(
        None,
        "What a camera makes of the blurred light: rsblur, realblur (saturation, sensor noise, demosaicing), gaussian, "
        "lai or none; and single steps, such as jpeg=70:95, saturation=off, sensor.read=1e-3 or response=FILE. May "
        "repeat.",
        metavar="PRESET|NAME=VALUE",
        words=True,
    )
