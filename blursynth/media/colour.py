"""Any of Pillow's pixel modes to 8-bit RGB in sRGB's encoded light; the rules are in `photos`."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from blursynth import errors
from blursynth.media import deep, icc, light, refusals

Box = tuple[int, int, int, int]  # left, top, right, bottom
Converter = Callable[[Box], Image.Image | npt.NDArray[Any]]
Lower = Callable[[], Image.Image | None]

_BITS_PER_SAMPLE = 258  # TIFF tags
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
_KEY = "transparency"  # Pillow's name of a transparent colour

_COLOUR_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB"})


def check(image: Image.Image, path: pathlib.Path) -> None:
    """Raise InputError for an image whose header tells already that `converter` cannot give its colours.

    Those are pixels that have no known white, and declarations that can be neither followed nor passed over.
    """
    known = image.mode in _COLOUR_MODES or _is_deep_grey(image)
    if not known:
        raise errors.InputError(
            f"{path} has pixels of Pillow's mode {image.mode}, whose white is not known; save it with 8 or 16 bits."
        )
    refusals.check(image, path)
    _to_srgb(image, path)


def is_converted(image: Image.Image, path: pathlib.Path) -> bool:
    """Whether the image declares light other than sRGB. To be called behind `check`."""
    return _to_srgb(image, path) is not _without_profile


def converter(image: Image.Image, path: pathlib.Path, lower: Lower, *, over_white: bool = True) -> Converter:
    """The function that gives any part of this loaded image in mode RGB, or as an array. To be called behind `check`.

    Transparency is laid over white, or left out where `over_white` is not set. `lower`: gives the image's lower bytes,
    as `deep.decode_lower` makes them, which are asked for where colours of 16 bits are converted.
    """
    to_srgb = _to_srgb(image, path)
    if _is_deep_grey(image):
        return _deep_grey_converter(image, path, to_srgb, over_white)
    all_bits = deep.is_deep(image) and (is_converted(image, path) or _KEY in image.info)
    exact = _exact(image, path, lower) if all_bits else None
    if exact is not None:
        return lambda box: exact.bytes(box, over_white)
    if image.has_transparency_data and not over_white:
        return lambda box: to_srgb(image.crop(box).convert("RGBA").convert("RGB"))
    if image.has_transparency_data:
        return lambda box: to_srgb(_over_white(image.crop(box)))
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return lambda box: to_srgb(image.crop(box))
    return lambda box: to_srgb(image.crop(box).convert("RGB"))


def deep_converter(image: Image.Image, path: pathlib.Path, lower: Lower) -> Converter | None:
    """The function that gives any part of an image of 16 bits a sample: uint16 (H, W, 4), RGB in sRGB and alpha.

    None for images of fewer bits, and for those whose bits cannot be had: a profile of tables, or premultiplied alpha.
    """
    if _is_deep_grey(image):
        known, way = _way(image, path)
        return (lambda box: _with_alpha(_deep_grey_samples(image, box), way)) if known else None
    exact = _exact(image, path, lower)
    return None if exact is None else lambda box: _with_alpha(exact.samples(box), exact.way)


@dataclasses.dataclass(frozen=True, eq=False)
class _Exact:
    """Colours of 16 bits a sample: the image decoded both ways, and the way to sRGB, None where it is in it."""

    upper: Image.Image
    lower: Image.Image
    way: deep.ToSrgb | None

    def samples(self, box: Box) -> deep.Samples:
        """uint16 (H, W, 3 or 4), as stored, with the alpha that a transparent colour stands for."""
        samples = deep.samples(self.upper.crop(box), self.lower.crop(box))
        return deep.keyed(samples, self.upper.info.get(_KEY))

    def bytes(self, box: Box, over_white: bool) -> npt.NDArray[Any]:
        """uint8 (H, W, 3) in sRGB."""
        samples = self.samples(box)
        colours = deep.over_white(samples) if over_white else samples[:, :, : 3 if samples.shape[2] > 2 else 1]
        if self.way is not None:
            return self.way.apply(colours, 255)
        return np.broadcast_to((colours >> 8).astype(np.uint8), (*colours.shape[:2], 3))


def _exact(image: Image.Image, path: pathlib.Path, lower: Lower) -> _Exact | None:
    known, way = _way(image, path)
    low = lower() if known and deep.is_deep(image) else None
    return None if low is None else _Exact(image, low, way)


def _way(image: Image.Image, path: pathlib.Path) -> tuple[bool, deep.ToSrgb | None]:
    """Whether values of 16 bits can be taken to sRGB, and how; None where they are in it."""
    if not is_converted(image, path):
        return True, None
    way = deep.to_srgb(light.declared(image, path, _pixels(image)) or b"")
    return way is not None, way


def _with_alpha(samples: deep.Samples, way: deep.ToSrgb | None) -> deep.Samples:
    if samples.shape[2] < 3:
        samples = samples[:, :, [0, 0, 0, 1][: samples.shape[2] + 2]]
    colours = samples[:, :, :3] if way is None else way.apply(samples[:, :, :3], 65535)
    alpha = samples[:, :, 3:] if samples.shape[2] == 4 else np.full((*samples.shape[:2], 1), 65535, np.uint16)
    return np.concatenate([colours, alpha], axis=2)


def _is_deep_grey(image: Image.Image) -> bool:
    """16-bit grey. Pillow's mode I is so for PPM alone (scaled to 65535); elsewhere it is 32-bit integers."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def _deep_grey_converter(image: Image.Image, path: pathlib.Path, to_srgb: icc.Converter, over_white: bool) -> Converter:
    way = _way(image, path)[1]

    def convert(box: Box) -> Image.Image | npt.NDArray[Any]:
        samples = _deep_grey_samples(image, box)
        grey = deep.over_white(samples) if over_white else samples[:, :, :1]
        if way is not None:
            return way.apply(grey, 255)
        return to_srgb(Image.fromarray((grey[:, :, 0] >> 8).astype(np.uint8)))

    return convert


def _deep_grey_samples(image: Image.Image, box: Box) -> deep.Samples:
    """16-bit grey, uint16 (H, W, 1), or 2 with alpha. TIFF has it of 9 to 15 bits, too, and with zero for white."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    grey = np.asarray(image.crop(box)).astype(np.int32).clip(0, (1 << bits) - 1)
    grey = (grey << (16 - bits)) | (grey >> (2 * bits - 16))
    samples = (65535 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey).astype(np.uint16)
    return deep.keyed(samples[:, :, None], image.info.get(_KEY))


def _over_white(part: Image.Image) -> Image.Image:
    with_alpha = part.convert("RGBA")
    white = Image.new("RGB", part.size, (255, 255, 255))
    white.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return white


def _to_srgb(image: Image.Image, path: pathlib.Path) -> icc.Converter:
    """Mode L, RGB, CMYK or LAB to RGB in sRGB."""
    pixels = _pixels(image)
    profile = light.declared(image, path, pixels)
    through = None if profile is None else icc.converter(profile, pixels, path)
    if through is None:
        return _without_profile
    return lambda part: through(part if part.mode == pixels else part.convert(pixels))


def _pixels(image: Image.Image) -> str:
    """The mode in which profiles take the pixels."""
    if image.mode in ("CMYK", "LAB"):
        return image.mode
    return "L" if image.mode in ("1", "L", "LA", "La") or _is_deep_grey(image) else "RGB"


def _without_profile(part: Image.Image) -> Image.Image:
    return part if part.mode == "RGB" else part.convert("RGB")
