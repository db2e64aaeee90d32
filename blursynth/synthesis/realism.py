"""Turn blurred linear intensity into a camera's image: saturation, noise, demosaicing, response, JPEG.

The order, and the sensor's part, are those of Rim et al. 2022 ("Realistic blur synthesis for learning image
deblurring", section 4). Saturation acts before the blur: see `decode_table`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.config import realism
from blursynth.kernels import random, response, sensor
from blursynth.media import photos

# Linear sRGB to CIE XYZ (D65): IEC 61966-2-1.
_SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

PEAK_BYTES = 40
"""Of a pixel on its way through the steps, beside its light: clipped, mosaic, demosaiced, in sRGB."""

COLUMNS = {
    "saturation": ("float32", "light above white of what shows as white"),
    "shot_noise": ("float32", "light of one photon on the sensor, in parts of white"),
    "read_noise": ("float32", "standard deviation of read noise on the sensor, in parts of white"),
    "red_gain": ("float32", "white balance of red"),
    "blue_gain": ("float32", "white balance of blue"),
    "bayer": ("uint8", "pattern of the sensor: rggb, grbg, gbrg, bggr"),
    "noise_sigma": ("float32", "standard deviation of normal noise on codes, in parts of white"),
    "noise_width": ("float32", "width of uniform, one-sided noise on codes, in parts of white"),
    "jpeg_quality": ("uint8", "quality of the JPEG file that the blurred image went through"),
}
"""What may be drawn for each item: dtype and meaning."""


def drawn(wanted: realism.Realism) -> list[str]:
    """Which of COLUMNS this recipe draws."""
    return list(draw(wanted, 0, np.zeros(0, np.int64)))


def draw(wanted: realism.Realism, seed: int, items: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    """The values of each item, (N,), by the names of `drawn`."""
    uniform = random.uniforms(seed, random.Stream.SENSOR, items, 9)
    values: dict[str, npt.NDArray[Any]] = {}
    if wanted.saturation is not None:
        values["saturation"] = wanted.saturation.at(uniform[:, 0]).astype(np.float32)
    if wanted.sensor is not None:
        own = wanted.sensor
        if own.pattern == "random":
            bayer = (uniform[:, 5] * len(sensor.PATTERNS)).astype(np.uint8)
        else:
            bayer = np.full(len(items), sensor.PATTERNS.index(own.pattern), np.uint8)
        values |= {
            "shot_noise": (own.shot * own.gain.at(uniform[:, 1])).astype(np.float32),
            "read_noise": (own.read * own.gain.at(uniform[:, 2])).astype(np.float32),
            "red_gain": own.red.at(uniform[:, 3]).astype(np.float32),
            "blue_gain": own.blue.at(uniform[:, 4]).astype(np.float32),
            "bayer": bayer,
        }
    for k, name, wish in ((6, "noise_sigma", wanted.gaussian), (7, "noise_width", wanted.uniform)):
        if wish is not None:
            values[name] = wish.at(uniform[:, k]).astype(np.float32)
    if wanted.jpeg is not None:
        values["jpeg_quality"] = np.rint(wanted.jpeg.at(uniform[:, 8])).astype(np.uint8)
    return values


def of_item(draws: Mapping[str, npt.NDArray[Any]], row: int) -> dict[str, float]:
    """Return what `draw` drew for the item in this row."""
    return {name: float(values[row]) for name, values in draws.items()}


def decode_table(transfer: str, saturation: float) -> npt.NDArray[np.float32]:
    """Linear light of each 8-bit code, float32 (256,), with white raised by `saturation`.

    A photo shows everything from white up as 255. Blurring light that is raised before clipping what comes out is the
    same as adding saturation times the blurred mask of white, as Rim et al. do: a lamp becomes a streak, not a smear.
    """
    table = response.decode_table(transfer).copy()
    table[255] += np.float32(saturation)
    return table


@dataclasses.dataclass(frozen=True)
class Camera:
    """The camera of one item: how linear intensity becomes its blurred image.

    config: None where the image is only encoded. transfer: how the sharp image's 8-bit values relate to intensity.
    response: the intensity of each value (256, or 3 x 256 by channel) where transfer is "table". values: what `draw`
    drew for the item.
    """

    config: realism.Realism | None
    transfer: str
    response: tuple[float, ...] | None = None
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seed: int = 0
    item: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether the blurred image is only encoded."""
        return self.config is None

    @property
    def saturation(self) -> float:
        """Intensity above white of what shows as white, in parts of white."""
        return self.values.get("saturation", 0.0)

    @property
    def table(self) -> npt.NDArray[np.float32]:
        """The linear intensity of each 8-bit value of a sharp image, float32 (256,); see `decode_table`."""
        return decode_table(self.transfer, self.saturation)

    def blurred(self, light_HWC: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Return the image of blurred linear intensity: uint8 (H, W, 3), encoded.

        light_HWC: float32, linear RGB, 1 = white, not clipped.
        """
        if self.config is None:
            return self.encode(light_HWC)
        values = self.values
        clipped = np.clip(light_HWC, 0, 1)
        if self.config.sensor is not None:
            clipped = _seen(clipped, self.config.sensor, values, self.seed, self.item)
        codes = self.encode(clipped)
        sigma, width = values.get("noise_sigma", 0.0), values.get("noise_width", 0.0)
        if sigma or width:
            codes = sensor.add_plain_noise(codes, sigma, width, self.seed, self.item)
        return photos.through_jpeg(codes, int(values["jpeg_quality"])) if "jpeg_quality" in values else codes

    def sharp(self, codes_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the sharp image as it is stored: as it is, or with the config's response in place of its own."""
        if self.config is None or self.config.response is None:
            return codes_HWC
        own = response.to_linear(np.arange(256) / 255, self.transfer) if self.response is None else self.response
        seen = _nearest(_curves(own).T, self.config.response)
        return np.stack([seen[codes_HWC[..., c], c] for c in range(3)], axis=-1)

    def encode(self, light_HWC: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Encode linear intensity with the config's response, or the transfer function."""
        table = self.response if self.config is None else self.config.response or self.response
        if table is not None:
            return _nearest(light_HWC, table)
        return response.encode(np.ascontiguousarray(light_HWC, np.float32), self.transfer)


def to_sensor(wanted: realism.Sensor, red: float, blue: float) -> npt.NDArray[np.float64]:
    """The matrix (3, 3) from linear sRGB to the sensor's colours before white balance.

    The sensor's response to white is 1 in each colour after white balance, as in Brooks et al. 2019 ("Unprocessing
    images for learned raw denoising", section 3.2): rows add up to 1 before they are divided by the gains.
    """
    matrix = np.reshape(wanted.matrix, (3, 3)) @ _SRGB_TO_XYZ
    matrix = matrix / matrix.sum(axis=1, keepdims=True)
    balanced: npt.NDArray[np.float64] = matrix / np.array([red, 1.0, blue])[:, None]
    return balanced


def _seen(
    light_HWC: npt.NDArray[np.float32], wanted: realism.Sensor, values: Mapping[str, float], seed: int, item: int
) -> npt.NDArray[np.float32]:
    """Light in [0, 1] as the sensor shows it: mosaic, noise, white balance, demosaicing, back to linear sRGB."""
    pattern = int(values["bayer"])
    forward = to_sensor(wanted, values["red_gain"], values["blue_gain"])
    raw = sensor.mosaic(light_HWC, forward.astype(np.float32), pattern)
    raw = sensor.add_noise(raw, values["shot_noise"], values["read_noise"], seed, item)
    # White balance and the way back to sRGB in one; demosaicing is linear in each colour.
    gains = np.array([values["red_gain"], 1.0, values["blue_gain"]])
    _balance(raw, gains.astype(np.float32), pattern)
    back = np.linalg.inv(forward) / gains
    found = sensor.recolour(sensor.demosaic(raw, pattern), back.astype(np.float32))
    np.clip(found, 0, 1, out=found)
    found[light_HWC >= 1] = 1  # what is at white has no noise: it is far above it
    return found


def _balance(raw_HW: npt.NDArray[np.float32], gains: npt.NDArray[np.float32], pattern: int) -> None:
    """White balance of a mosaic, in place. Malvar's corrections mix colours, which must be of equal size in grey."""
    red = pattern >> 1, pattern & 1
    for y in range(2):
        for x in range(2):
            raw_HW[y::2, x::2] *= gains[(y ^ red[0]) + (x ^ red[1])]


def _nearest(light: npt.NDArray[np.floating[Any]], table: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """The codes (..., 3) whose light is nearest."""
    codes = np.empty(light.shape, np.uint8)
    for c, curve in enumerate(_curves(table)):
        codes[..., c] = np.searchsorted((curve[1:] + curve[:-1]) / 2, light[..., c], side="right")
    return codes


def _curves(table: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A response table of one or three channels as light from 0 to 1: float64 (3, 256)."""
    curve = np.broadcast_to(np.reshape(np.asarray(table, np.float64), (-1, 256)), (3, 256))
    scaled: npt.NDArray[np.float64] = (curve - curve[:, :1]) / (curve[:, -1:] - curve[:, :1])
    return scaled
