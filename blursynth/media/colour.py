"""Any of Pillow's pixel modes to 8-bit RGB in sRGB's encoded light; the rules are in `photos`."""

import pathlib
from collections.abc import Callable

import numpy
from PIL import Image

from blursynth import errors
from blursynth.media import icc, light, refusals

Converter = Callable[[Image.Image], Image.Image]

_BITS_PER_SAMPLE = 258  # TIFF tags
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0

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


def converter(image: Image.Image, path: pathlib.Path, *, over_white: bool = True) -> Converter:
    """The function that takes any part of this image to mode RGB. To be called behind `check`.

    Transparency is laid over white, or left out where `over_white` is not set.
    """
    to_srgb = _to_srgb(image, path)
    if _is_deep_grey(image):
        bits, inverted = _deep_grey_range(image)
        return lambda part: to_srgb(_full_range(part, bits, inverted))
    if image.has_transparency_data and not over_white:
        return lambda part: to_srgb(part.convert("RGBA").convert("RGB"))
    if image.has_transparency_data:
        return lambda part: to_srgb(_over_white(part))
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return to_srgb
    return lambda part: to_srgb(part.convert("RGB"))


def _is_deep_grey(image: Image.Image) -> bool:
    """16-bit grey. Pillow's mode I is so for PPM alone (scaled to 65535); elsewhere it is 32-bit integers."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def _deep_grey_range(image: Image.Image) -> tuple[int, bool]:
    """(bits that the values use, whether zero is white); only TIFF differs from (16, False)."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    return bits, tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _full_range(part: Image.Image, bits: int, inverted: bool) -> Image.Image:
    """9- to 16-bit grey as I;16 with values up to 65535, whose upper bytes are those of `bits` values."""
    grey = numpy.asarray(part).astype(numpy.int32).clip(0, (1 << bits) - 1)
    grey = (grey << (16 - bits)) | (grey >> (2 * bits - 16))
    return Image.fromarray((65535 - grey if inverted else grey).astype(numpy.uint16))


def _over_white(part: Image.Image) -> Image.Image:
    with_alpha = part.convert("RGBA")
    white = Image.new("RGB", part.size, (255, 255, 255))
    white.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return white


def _to_srgb(image: Image.Image, path: pathlib.Path) -> Converter:
    """Mode L, I;16, RGB, CMYK or LAB to RGB in sRGB."""
    pixels = _pixels(image)
    profile = light.declared(image, path, pixels)
    through = None if profile is None else icc.converter(profile, pixels, path)
    if through is None:
        return _without_profile
    return lambda part: through(part if part.mode == pixels else part.convert(pixels))


def _pixels(image: Image.Image) -> str:
    """The mode in which profiles take the pixels."""
    if _is_deep_grey(image):
        return "I;16"
    if image.mode in ("CMYK", "LAB"):
        return image.mode
    return "L" if image.mode in ("1", "L", "LA", "La") else "RGB"


def _without_profile(part: Image.Image) -> Image.Image:
    if part.mode == "I;16":
        part = Image.fromarray((numpy.asarray(part) >> 8).astype(numpy.uint8))
    return part if part.mode == "RGB" else part.convert("RGB")


