"""ICC profiles: the way from a profile's colours to sRGB, and profiles of light that a file declares in other words.

A profile counts by its content. It is taken as sRGB, and pixels stay as they are to the byte, where littleCMS maps a
grid of colours through it to sRGB with no value changed by more than one; its description says nothing.
"""

import dataclasses
import functools
import io
import pathlib
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from blursynth import errors

Converter = Callable[[Image.Image], Image.Image]
Point = tuple[float, float]  # CIE 1931 (x, y)

_KEPT = 32  # profiles and transforms in memory: sources have few, and one for inks is a megabyte
_STEPS = 9  # of the grid, along each channel
_APART = 8  # of 255, by which black and white of any photo differ at least
_MOST = 1  # by which a value may differ from sRGB's, through rounding alone

# Pillow's mode of pixels -> ICC's name of colour spaces that they may be in -> the mode in which littleCMS takes them.
_MODES = {
    "L": {"GRAY": "L", "RGB": "RGB"},
    "RGB": {"RGB": "RGB"},
    "CMYK": {"CMYK": "CMYK"},
    "LAB": {"Lab": "LAB"},
}
_NAMES = {"L": "grey", "LAB": "L*a*b*"}

# ITU-T H.273's numbers of transfer functions that are HDR, in a profile's `cicp` tag as everywhere.
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}

D50 = (0.9642, 1.0, 0.8249)  # ICC.1:2022, 7.2.16, XYZ of the profile connection space's white
D65 = (0.3127, 0.3290)
SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
# Bradford's matrix, ICC.1:2022, annex E.
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclasses.dataclass(frozen=True)
class Curve:
    """How a channel's value V in [0, 1] gives linear intensity, as an ICC curve tag. See `power`, `table` and SRGB."""

    content: bytes


def power(exponent: float) -> Curve:
    """V ** exponent; 1 is linear light."""
    return Curve(b"para" + struct.pack(">4xHxxi", 0, round(exponent * 65536)))


def table(values: npt.NDArray[np.float64]) -> Curve:
    """A curve through evenly spaced values in [0, 1], between which it is straight. At most 4096 are kept."""
    count = min(len(values), 4096)
    at = np.linspace(0, len(values) - 1, count)
    kept = np.rint(65535 * np.interp(at, np.arange(len(values)), values)).astype(">u2")
    return Curve(b"curv" + struct.pack(">4xI", count) + kept.tobytes())


# IEC 61966-2-1: ((V + 0.055) / 1.055) ** 2.4 from 0.04045 on, V / 12.92 below.
SRGB = Curve(
    b"para"
    + struct.pack(">4xHxx5i", 3, *(round(65536 * v) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
)


@dataclasses.dataclass(frozen=True)
class Light:
    """The colours of RGB values: a curve for each channel, and what each channel and white look like."""

    curves: tuple[Curve, Curve, Curve] = (SRGB, SRGB, SRGB)
    primaries: tuple[Point, Point, Point] = SRGB_PRIMARIES
    white: Point = D65


ADOBE_RGB = Light((power(563 / 256),) * 3, ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)))
"""Adobe RGB (1998) color image encoding, version 2005-05, 4.3.1."""


def profile(light: Light, *, grey: bool) -> bytes | None:
    """An ICC profile (version 4.3) of this light; `grey`: of its second curve alone. None where it is no light.

    White is adapted to the connection space's by Bradford's matrix. No light: primaries on one line, or without y.
    """
    tags = [(b"desc", _text("declared")), (b"cprt", _text("none")), (b"wtpt", _xyz(D50))]
    if grey:
        return _assemble(b"GRAY", [*tags, (b"kTRC", light.curves[1].content)])
    colours = _colorants(light)
    if colours is None:
        return None
    tags += [(name, _xyz(tuple(colour))) for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colours.T, strict=True)]
    tags += [(name, curve.content) for name, curve in zip((b"rTRC", b"gTRC", b"bTRC"), light.curves, strict=True)]
    return _assemble(b"RGB ", tags)


def converter(data: bytes, pixels: str, path: pathlib.Path) -> Converter | None:
    """The function that takes images of Pillow's mode `pixels` to sRGB (mode RGB); None where they are in sRGB.

    `pixels`: L, RGB, CMYK or LAB. Relative colorimetric with black point compensation.
    Raises InputError for a profile that is damaged, for another kind of pixel, or HDR. Grey pixels may have an RGB
    profile, in which they are R = G = B.
    """
    try:
        found = _transform(bytes(data), pixels)
    except _UnusableError as error:
        raise errors.InputError(f"{path} {error}") from None
    if found is None:
        return None
    mode, transform = found
    return lambda part: _through(part, mode, transform)


class _UnusableError(Exception):
    """What is wrong with a profile, as it stands behind the file's name."""


@functools.lru_cache(maxsize=_KEPT)
def _transform(data: bytes, pixels: str) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    hdr = HIGH_DYNAMIC_RANGE.get(_transfer(data) or 0)
    if hdr is not None:
        raise _UnusableError(hdr_sentence(hdr, "its ICC profile"))
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = opened.profile.xcolor_space.strip()
        mode = _MODES[pixels].get(space)
        if mode is None:
            raise _UnusableError(
                f"has {_NAMES.get(pixels, pixels)} pixels and an ICC profile for {space}; the colours are not known. "
                "Save it again with a profile for its pixels, or remove the profile if the photo is sRGB."
            )
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        if mode == "L":  # littleCMS would put a table in place of the curve, up to 10 values off where it is steep
            flags |= ImageCms.Flags.NOOPTIMIZE
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=flags,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        raise _UnusableError(
            "has an ICC profile that is damaged or that littleCMS cannot use; the colours are not known. Save it again "
            "with a sound profile, or remove the profile if the photo is sRGB."
        ) from None
    if _is_flat(mode, transform):
        raise _UnusableError(
            "has an ICC profile in which black, white and the colours of all channels are alike; it is damaged. Save "
            "it again with a sound profile, or remove the profile if the photo is sRGB."
        )
    return None if _is_srgb(mode, transform) else (mode, transform)


def hdr_sentence(name: str, where: str) -> str:
    """What is said of HDR stills, behind the file's name."""
    return f"is an HDR photo ({name}, says {where}), which cannot be converted here; save it as SDR (sRGB) first."


def _is_flat(mode: str, transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether black, greys, white and each channel alone come to nearly the same colour."""
    channels = Image.getmodebands(mode)
    corners = np.concatenate([np.zeros((1, channels)), np.full((1, channels), 128), np.full((1, channels), 255)])
    values = np.concatenate([corners, 255 * np.eye(channels)]).astype(np.uint8)[None]
    size = (values.shape[1], 1)
    shown = np.asarray(_through(Image.frombytes(mode, size, values.tobytes()), mode, transform), np.int16)
    return bool((np.ptp(shown, axis=(0, 1)) < _APART).all())


def _is_srgb(mode: str, transform: ImageCms.ImageCmsTransform) -> bool:
    ramp = np.arange(256, dtype=np.uint8)
    if mode == "RGB":
        steps = np.rint(np.linspace(0, 255, _STEPS)).astype(np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
        ramps = np.concatenate([np.outer(ramp, channels) for channels in ((1, 1, 1), *np.eye(3))])
        grid = np.concatenate([cube, ramps.astype(np.uint8)])[None]
    elif mode == "L":
        grid = ramp[None]
    else:
        return False
    shown = np.asarray(_through(Image.fromarray(grid), mode, transform), np.int16)
    return bool(np.abs(shown - (grid[:, :, None] if mode == "L" else grid)).max() <= _MOST)


def _through(part: Image.Image, mode: str, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(part if part.mode == mode else part.convert(mode), transform)
    assert converted is not None  # None stands for "in place" alone
    return converted


def tag(data: bytes, name: bytes) -> bytes:
    """The content of a profile's tag; empty where it has none."""
    count = int.from_bytes(data[128:132])
    for k in range(min(count, 200)):
        entry = data[132 + 12 * k : 144 + 12 * k]
        if entry[:4] == name and len(entry) == 12:
            start, size = struct.unpack(">2I", entry[4:])
            return data[start : start + size]
    return b""


def _transfer(data: bytes) -> int | None:
    """H.273's number of the transfer function in a profile's `cicp` tag (ICC.1:2022, 10.3), where it has one."""
    content = tag(data, b"cicp")
    return content[9] if content[:4] == b"cicp" and len(content) >= 12 else None


def _colorants(light: Light) -> npt.NDArray[np.float64] | None:
    """XYZ of each channel alone, as columns, adapted to D50; None where there is no such light."""
    points = np.array([*light.primaries, light.white])
    if not (np.isfinite(points).all() and (points[:, 1] > 5e-6).all() and (points >= 0).all() and points.max() <= 2):
        return None
    xyz = np.stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)]) / points[:, 1]
    channels, white = xyz[:, :3], xyz[:, 3]
    if abs(np.linalg.det(channels)) < 1e-6:
        return None
    unadapted = channels * np.linalg.solve(channels, white)
    cones = _BRADFORD @ np.array(D50) / (_BRADFORD @ white)
    adapted: npt.NDArray[np.float64] = np.linalg.solve(_BRADFORD, cones[:, None] * (_BRADFORD @ unadapted))
    return adapted if np.abs(adapted).max() < 32 else None


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *(round(value * 65536) for value in values))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _assemble(space: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    position = 128 + 4 + 12 * len(tags)
    directory, body = struct.pack(">I", len(tags)), b""
    for name, content in tags:
        directory += name + struct.pack(">II", position + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s", position + len(body), 0x04300000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s28x", 2026, 1, 1, 0, 0, 0, b"acsp") + _xyz(D50)[8:]
    return head + bytes(128 - len(head)) + directory + body
