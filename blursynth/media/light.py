"""Which light a photo's file declares, as an ICC profile: the table of `docs/declarations/photos.md`, in its order.

PNG's chunks count in the order of PNG (Third Edition), 4.3: cICP, iCCP, sRGB, gAMA with cHRM. In every other format
the profile counts. A file that has neither may say by EXIF (in TIFF, by its own tags) what its light is.
"""

import pathlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from blursynth import errors
from blursynth.media import headers, icc

_ADVICE = "save the photo again as sRGB"

# ITU-T H.273, table 2: the number of primaries -> their (x, y) and white's, as PNG's cICP uses them.
_UNSPECIFIED = 2
_OTHER_CHUNKS = ("icc_name", "srgb", "gamma", "chromaticity")  # of PNG, as `headers.notes` has them
_C = (0.310, 0.316)
_BT601_525 = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_PRIMARIES = {
    1: (icc.SRGB_PRIMARIES, icc.D65),
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), _C),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), icc.D65),
    6: (_BT601_525, icc.D65),
    7: (_BT601_525, icc.D65),
    8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), _C),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), icc.D65),
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), (0.314, 0.351)),
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), icc.D65),
}
_PRIMARIES[_UNSPECIFIED] = _PRIMARIES[1]
# Table 3. The curves of BT.709, BT.601 and BT.2020 are cameras'; such values are shown as sRGB's are, and a clip with
# the same tags is read so. As players do, it takes primaries of television as sRGB's, so frames saved from it do, too.
_VIDEO, _VIDEO_PRIMARIES = (1, 6, 14, 15), (1, 2, 5, 6, 7)
_TRANSFERS = dict.fromkeys((*_VIDEO, _UNSPECIFIED, 13), icc.SRGB) | {
    4: icc.power(2.2),
    5: icc.power(2.8),
    8: icc.power(1.0),
}

# PNG's gAMA of 1 / 2.2, by which programs mean sRGB; 0.45 is as common.
_SRGB_GAMMA, _AROUND = 45455, 500

_EXIF_IFD, _INTEROPERABILITY_IFD = 0x8769, 0xA005
_COLOUR_SPACE, _GAMMA, _INTEROPERABILITY_INDEX = 0xA001, 0xA500, 1
_UNCALIBRATED = 65535
_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARY_CHROMATICITIES = 301, 318, 319

_JP2_SRGB_LIKE = (16, 17, 18)  # sRGB, grey with its curve, and sYCC, which OpenJPEG decodes to RGB
_JP2_CMYK = 12


def declared(image: Image.Image, path: pathlib.Path, pixels: str) -> bytes | None:
    """The ICC profile of the light that an opened file declares; None where that is sRGB, or nothing is declared.

    `pixels`: their mode, as for `icc.converter`. Raises InputError where what is declared is HDR, damaged, or not known
    here. What is found before the pixels are decoded holds afterwards, too.
    """
    known = headers.notes(image)
    if "light" not in known:
        known["light"] = _declared(image, path, pixels)
    found: bytes | None = known["light"]
    return found


def _declared(image: Image.Image, path: pathlib.Path, pixels: str) -> bytes | None:
    known, grey = headers.notes(image), pixels == "L"
    if "cicp" in known:
        light = _profile(_coded(known["cicp"], path), path, grey)
        unspecified = known["cicp"][:2].count(_UNSPECIFIED)
        if unspecified == 1 and any(key in known for key in _OTHER_CHUNKS):
            srgb = _profile(icc.Light(), path, grey)
            if not {light, _below_cicp(image, path, pixels)} <= {srgb, None}:
                raise errors.InputError(
                    f"{path} says by its cICP chunk {tuple(known['cicp'])} half of its light, and by other chunks what "
                    f"may be the other half; {_ADVICE}."
                )
        if unspecified < 2:
            return light
    return _below_cicp(image, path, pixels)


def _below_cicp(image: Image.Image, path: pathlib.Path, pixels: str) -> bytes | None:
    """What is declared beside cICP, which counts where that specifies neither primaries nor transfer function."""
    known, grey = headers.notes(image), pixels == "L"
    if known.get("icc_name") == "ITUR_2100_PQ_FULL":  # W3C, "Using the ITU BT.2100 PQ EOTF with the PNG Format"
        raise errors.InputError(f"{path} {icc.hdr_sentence('PQ', 'its ICC profile')}")
    if "icc_profile" in known:
        # None where Pillow could not put its parts together: littleCMS then says that it is damaged.
        return known["icc_profile"] or b"damaged"
    if "srgb" in known:
        return None
    if "gamma" in known or "chromaticity" in known:
        return _profile(_by_gamma(known.get("gamma"), known.get("chromaticity"), path), path, grey)
    if "bitmap" in known:
        return _profile(_bitmap(known["bitmap"], path), path, grey)
    if known.get("enumerated", 16) not in (*_JP2_SRGB_LIKE, *((_JP2_CMYK,) if image.mode == "CMYK" else ())):
        raise errors.InputError(
            f"{path} is a JPEG 2000 file whose colour space (number {known['enumerated']}) is not known; expected is "
            f"sRGB, grey, sYCC or an ICC profile: {_ADVICE}."
        )
    if pixels in ("CMYK", "LAB"):
        return None  # EXIF's declarations are about RGB
    return _profile(_by_exif(image, path), path, grey)


def _profile(light: icc.Light | None, path: pathlib.Path, grey: bool) -> bytes | None:
    if light is None:
        return None
    profile = icc.profile(light, grey=grey)
    if profile is None:
        raise errors.InputError(f"{path} declares primaries or a white that no light has; {_ADVICE}.")
    return profile


def _coded(chunk: bytes, path: pathlib.Path) -> icc.Light:
    """PNG's cICP chunk: H.273's numbers of primaries, transfer function and matrix, and whether the range is full."""
    if len(chunk) != 4:
        raise errors.InputError(f"{path} has a cICP chunk of {len(chunk)} bytes, not 4: it is damaged; {_ADVICE}.")
    primaries, transfer, matrix, full = chunk
    if transfer in icc.HIGH_DYNAMIC_RANGE:
        raise errors.InputError(f"{path} {icc.hdr_sentence(icc.HIGH_DYNAMIC_RANGE[transfer], 'its cICP chunk')}")
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS or matrix != 0 or full != 1:
        raise errors.InputError(
            f"{path} says by its cICP chunk {tuple(chunk)}: primaries, transfer function, matrix and range. Expected "
            f"are an SDR transfer function, known primaries, matrix 0 and the full range (1); {_ADVICE}."
        )
    if transfer in _VIDEO and primaries in _VIDEO_PRIMARIES:
        return icc.Light()
    return icc.Light((_TRANSFERS[transfer],) * 3, *_PRIMARIES[primaries])


def _by_gamma(gamma: float | None, chromaticity: Sequence[float] | None, path: pathlib.Path) -> icc.Light:
    """PNG's gAMA and cHRM. A gAMA of about 1 / 2.2 stands for sRGB's curve, and so does its lack."""
    curve = icc.SRGB
    if gamma is not None and abs(gamma * 100_000 - _SRGB_GAMMA) > _AROUND:
        if not 0.05 <= gamma <= 20:
            raise errors.InputError(f"{path} has a gAMA chunk of {gamma:g}, which no picture is made with; {_ADVICE}.")
        curve = icc.power(1 / gamma)
    if chromaticity is None:
        return icc.Light((curve,) * 3)
    white, red, green, blue = (tuple(chromaticity[k : k + 2]) for k in range(0, 8, 2))
    return icc.Light((curve,) * 3, (red, green, blue), white)  # type: ignore[arg-type]  # pairs, all of them


def _bitmap(header: bytes, path: pathlib.Path) -> icc.Light | None:
    """BITMAPV4HEADER's and BITMAPV5HEADER's colour space; endpoints in XYZ and a gamma for each channel."""
    space = header[56:60]
    if len(header) < 108 or space in (b"BGRs", b" niW"):  # LCS_sRGB, and Windows' default, which is sRGB
        return None
    numbers = struct.unpack_from("<12I", header, 60)
    if space != bytes(4):
        raise errors.InputError(
            f"{path} has its colours in a profile that lies in another file, or in a colour space that is not known "
            f"({space[::-1]!r}); {_ADVICE}."
        )
    if not any(numbers):
        return None  # a calibrated space of which nothing is said: written by programs that know of none
    points = np.array(numbers[:9]).reshape(3, 3) / 2**30
    exponents = [number / 65536 for number in numbers[9:]]
    if (points.sum(axis=1) <= 0).any() or not all(1 <= exponent <= 5 for exponent in exponents):
        raise errors.InputError(f"{path} has a header with impossible colours or gammas: it is damaged; {_ADVICE}.")
    whole = points.sum(axis=0)
    red, green, blue, white = ((float(x / (x + y + z)), float(y / (x + y + z))) for x, y, z in (*points, whole))
    curves = (icc.power(exponents[0]), icc.power(exponents[1]), icc.power(exponents[2]))
    return icc.Light(curves, (red, green, blue), white)


def _by_exif(image: Image.Image, path: pathlib.Path) -> icc.Light | None:
    """EXIF 2.32, 4.6.5 and 4.6.6, and TIFF 6.0, section 20. EXIF that cannot be parsed declares nothing."""
    try:
        exif = Image.Image.getexif(image)  # not a PNG's own, which decodes the whole file
        details = exif.get_ifd(_EXIF_IFD)
        index = str(exif.get_ifd(_INTEROPERABILITY_IFD).get(_INTEROPERABILITY_INDEX, "")).strip("\0 ")
        tags = {tag: exif.get(tag) for tag in (_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARY_CHROMATICITIES)}
    except Exception:  # arbitrary bytes; a photo is worth more than its metadata
        return None
    space, gamma = details.get(_COLOUR_SPACE), details.get(_GAMMA)
    if space == 1:
        return None
    if index == "R03" or space == 2:  # DCF's optional colour space; 2 is what some cameras write for it
        return icc.ADOBE_RGB
    if space not in (None, 0, _UNCALIBRATED):
        raise errors.InputError(
            f"{path} has the EXIF ColorSpace {space}, which is not known without an ICC profile; {_ADVICE}."
        )
    if gamma is None and all(value is None for value in tags.values()):
        return None
    try:
        return _by_tags(tags, gamma)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError, AttributeError):
        raise errors.InputError(
            f"{path} has tags of gamma, transfer function, white point or primaries that make no sense; {_ADVICE}."
        ) from None


def _by_tags(tags: dict[int, Any], gamma: Any) -> icc.Light:
    curves = (icc.SRGB,) * 3
    if tags[_TRANSFER_FUNCTION] is not None:
        values = np.array(tags[_TRANSFER_FUNCTION], np.float64) / 65535
        count = len(values) // 3 if len(values) % 3 == 0 else len(values)
        if count < 2 or count & (count - 1):  # a power of two
            raise ValueError
        thirds = [values[:count], values[-2 * count :][:count], values[-count:]]
        curves = (icc.table(thirds[0]), icc.table(thirds[1]), icc.table(thirds[2]))
    elif gamma is not None:
        if not 0.05 <= float(gamma) <= 20:
            raise ValueError
        curves = (icc.power(float(gamma)),) * 3
    white, primaries = (tags[tag] for tag in (_WHITE_POINT, _PRIMARY_CHROMATICITIES))
    x, y = icc.D65 if white is None else (float(value) for value in white)
    flat = [float(value) for point in icc.SRGB_PRIMARIES for value in point]
    if primaries is not None:
        flat = [float(value) for value in primaries]
    (a, b), (c, d), (e, f) = (flat[0:2], flat[2:4], flat[4:])
    return icc.Light(curves, ((a, b), (c, d), (e, f)), (x, y))
