"""Files that Pillow decodes to other pixels than they declare, or whose pixels are no photo: why each is refused."""

import math
import pathlib
from collections.abc import Callable
from typing import Any

from PIL import Image

from blursynth import errors
from blursynth.media import completeness, headers

_SQUARE = 0.03  # what the sides of a pixel may differ by; densities in files are rounded
_LAST_INTENT = 3  # PNG (Third Edition), 11.3.2.5

# TIFF's tags, and EXIF's.
_COMPRESSION, _PHOTOMETRIC, _OLD_JPEG = 259, 262, 6
_BITS, _FILL_ORDER, _PLANAR = 258, 266, 284
_UNCOMPRESSED, _WHITE_IS_ZERO = 1, 0
_SUBFILE_TYPE, _WHITE_POINT, _INK_SET, _SAMPLE_FORMAT = 254, 318, 332, 339
_COEFFICIENTS, _BLACK_WHITE = 529, 532
_COLOUR_MAP, _TRANSFER_RANGE, _DNG_VERSION = 320, 342, 50706
_REDUCED, _MASK = 1, 4
_CMYK_INKS, _SIGNED = 1, 2
_BT601 = (0.299, 0.587, 0.114)
_D50 = (0.3457, 0.3585)


def check(image: Image.Image, path: pathlib.Path) -> None:
    """Raise InputError for an opened file of which `docs/declarations/photos.md` says that it is refused so."""
    for rule in _RULES:
        reason = rule(image)
        if reason is not None:
            raise errors.InputError(f"{path} {reason}")


def _chunks(image: Image.Image) -> str | None:
    known = headers.notes(image)
    if "unknown" in known:
        return (
            f"has a PNG chunk {known['unknown']}, which a reader has to know and this one does not; save it again as "
            "plain PNG."
        )
    if "misplaced" in known:
        return (
            f"has its PNG chunk {known['misplaced']} twice or behind the pixels, where it does not count, or of a "
            "wrong length; save it again, or remove the chunk."
        )
    if known.get("srgb", 0) > _LAST_INTENT:
        return (
            f"has the rendering intent {known['srgb']} in its PNG chunk sRGB, which is not defined (0 to 3 are): it is "
            "damaged; save it again."
        )
    return "holds two pictures side by side (PNG's sTER chunk); cut it in two." if "stereo" in known else None


def _shape(image: Image.Image) -> str | None:
    sizes = [headers.notes(image).get(key) or (1, 1) for key in ("pixel", "scale")]
    width, height = max(sizes, key=lambda size: abs(math.log(size[0] / size[1])))
    if 1 / (1 + _SQUARE) <= width / height <= 1 + _SQUARE:
        return None
    return (
        f"says that its pixels are not square (they are {width / height:.3g} times as wide as high), and blur is made "
        "and measured in square ones; scale it to square pixels, or correct what it says of its resolution."
    )


def _hdr_base(image: Image.Image) -> str | None:
    if headers.notes(image).get("hdr_base"):
        return "is an HDR photo with a map to SDR, which cannot be converted here; save it as SDR (sRGB) first."
    return None


def _xmp(image: Image.Image) -> str | None:
    if headers.notes(image).get("orientation") != 0 or headers.exif_orientation(image) is not None:
        return None
    return (
        "has XMP that speaks of an orientation and cannot be read, and no EXIF orientation; which way is up is not "
        "known. Save it again upright, or remove the XMP."
    )


def _inks(image: Image.Image) -> str | None:
    if image.format not in ("JPEG", "MPO") or image.mode != "CMYK" or "adobe" in image.info:
        return None
    return "has inks (CMYK) without Adobe's marker, and may have them inverted or not; save it as RGB."


def _tiff(image: Image.Image) -> str | None:
    tags: Any = getattr(image, "tag_v2", None)
    if tags is None:
        return None
    if completeness.lacks_strips(image):
        return "has fewer rows of pixels than its header says: it is damaged or cut short."
    if _PHOTOMETRIC not in tags and tags.get(_COMPRESSION) != _OLD_JPEG:
        return "does not say whether zero is black or white (TIFF's PhotometricInterpretation); save it again."
    if _DNG_VERSION in tags:
        return "is a raw file (DNG), whose values are no photo yet; develop it and save it as TIFF or PNG."
    if image.mode in ("P", "PA") and max(tags.get(_COLOUR_MAP, (0,))) < 256:
        return "has a palette of values below 256, where TIFF's go to 65535; save it as RGB."
    if not _is_whole_range(tags.get(_TRANSFER_RANGE), tags.get(_BITS, (1,))[0]):
        return "has a TransferRange, which no decoder follows; save it again as sRGB."
    kind = tags.get(_SUBFILE_TYPE, 0)
    if isinstance(kind, int) and kind & (_REDUCED | _MASK):
        return "begins with a page that is a preview or a mask of another one; save the photo alone in its own file."
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        return "has signed values, whose black and white are not known; save it with 8 or 16 unsigned bits."
    if image.mode == "CMYK" and tags.get(_INK_SET, _CMYK_INKS) != _CMYK_INKS:
        return "is made for other inks than cyan, magenta, yellow and black; save it as RGB."
    if tags.get(_PLANAR, 1) == 2 and _planes_go_wrong(image, tags):
        return (
            "has each colour in a plane of its own (TIFF's PlanarConfiguration 2), which is decoded to wrong pixels of "
            "this kind; save it with interleaved colours (PlanarConfiguration 1)."
        )
    white = tags.get(_WHITE_POINT)
    if (
        image.mode == "LAB"
        and white is not None
        and "icc_profile" not in headers.notes(image)
        and _apart(white, _D50) > 0.001
    ):
        return f"has L*a*b* values for the white {white}, not D50; save it as RGB."
    return None


def _is_whole_range(values: Any, bits: int) -> bool:
    """Whether a TransferRange is none: black is 0 and white the greatest value, of each channel."""
    return values is None or tuple(values) == (0, (1 << bits) - 1) * (len(values) // 2)


def _planes_go_wrong(image: Image.Image, tags: Any) -> bool:
    """Pillow reads uncompressed planes as bytes that mean what they say, decodes only the upper byte of 16 bits in any
    planes, and those of L*a*b* as if all were unsigned."""
    bits = set(tags.get(_BITS, (1,)))
    if image.mode == "LAB" or (len(image.getbands()) > 1 and bits != {8}):
        return True
    plain = tags.get(_FILL_ORDER, 1) == 1 and tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO and bits == {8}
    return tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED and not plain


def _luma(image: Image.Image) -> str | None:
    try:
        exif = Image.Image.getexif(image)
        weights, range_ = exif.get(_COEFFICIENTS), exif.get(_BLACK_WHITE)
        known = (weights is None or _apart(weights, _BT601) < 0.002) and (
            range_ is None or any(_apart(range_, (0, 255, low, 255, low, 255)) < 1.5 for low in (0, 128))
        )
    except Exception:  # damaged EXIF declares nothing
        return None
    if known:
        return None
    return (
        f"declares the YCbCr coefficients {weights} and the black and white {range_}, which no decoder follows; "
        "expected are those of JFIF. Save it again as sRGB."
    )


def _apart(values: Any, expected: tuple[float, ...]) -> float:
    numbers = [float(value) for value in values]
    if len(numbers) != len(expected):
        return float("inf")
    return max(abs(value - other) for value, other in zip(numbers, expected, strict=True))


_RULES: tuple[Callable[[Image.Image], str | None], ...] = (_chunks, _shape, _hdr_base, _xmp, _inks, _tiff, _luma)
