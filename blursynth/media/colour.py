"""Any of Pillow's pixel modes to 8-bit RGB in sRGB's encoded light; the rules are in `photos`."""

import io
import pathlib
from collections.abc import Callable

import numpy
from PIL import Image, ImageCms

from blursynth import errors

Converter = Callable[[Image.Image], Image.Image]

_BITS_PER_SAMPLE = 258  # TIFF tags
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0

_COLOUR_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB"})


def check(image: Image.Image, path: pathlib.Path) -> None:
    """Raise InputError for pixels that have no known white."""
    known = image.mode in _COLOUR_MODES or _is_deep_grey(image)
    if not known:
        raise errors.InputError(
            f"{path} has pixels of Pillow's mode {image.mode}, whose white is not known; save it with 8 or 16 bits."
        )


def converter(image: Image.Image, path: pathlib.Path, *, over_white: bool = True) -> Converter:
    """The function that takes any part of this image to mode RGB. Raises InputError as `check` does.

    Transparency is laid over white, or left out where `over_white` is not set.
    """
    check(image, path)
    to_srgb = _profile_converter(image)
    if _is_deep_grey(image):
        bits, inverted = _deep_grey_range(image)
        return lambda part: to_srgb(_upper_byte(part, bits, inverted))
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


def _upper_byte(part: Image.Image, bits: int, inverted: bool) -> Image.Image:
    """8-bit grey from 9- to 16-bit grey."""
    grey = (numpy.asarray(part).astype(numpy.int32) >> (bits - 8)).clip(0, 255).astype(numpy.uint8)
    return Image.fromarray(255 - grey if inverted else grey)


def _over_white(part: Image.Image) -> Image.Image:
    with_alpha = part.convert("RGBA")
    white = Image.new("RGB", part.size, (255, 255, 255))
    white.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return white


def _profile_converter(image: Image.Image) -> Converter:
    """Mode L, RGB, CMYK or LAB to RGB in sRGB, through the image's ICC profile where that is needed and possible."""
    data = image.info.get("icc_profile")
    if not data:
        return _without_profile
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return _without_profile  # converting would change values by rounding alone
        mode = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}[profile.profile.xcolor_space.strip()]
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):
        return _without_profile
    return lambda part: _with_profile(part, mode, transform)


def _without_profile(part: Image.Image) -> Image.Image:
    return part if part.mode == "RGB" else part.convert("RGB")


def _with_profile(part: Image.Image, mode: str, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    """Through the transform, unless the profile is for another kind of pixel than the part's."""
    if part.mode != mode:
        return _without_profile(part)
    converted = ImageCms.applyTransform(part, transform)
    assert converted is not None  # None stands for "in place" alone
    return converted
