"""Colours of 16 bits a sample, of which Pillow decodes the upper 8: all of them, and their way to sRGB in floats.

In linear light a step of the upper 8 bits is up to 13 steps of sRGB, so values that are converted need all 16.
"""

import dataclasses
import struct
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from blursynth.media import headers, icc

Samples = npt.NDArray[np.uint16]

_WHOLE = 65535
_NATIVE, _OTHER = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_SWAPPED = {"B": "L", "L": "B", "N": _OTHER}
_MODES = ("RGB;16", "RGBA;16", "RGBX;16", "LA;16B")


def is_deep(image: Image.Image) -> bool:
    """Whether an opened image has colours of 16 bits a sample, of which `decode_lower` can give the lower ones."""
    return headers.notes(image).get("deep", False) or any(
        _rawmode(tile).startswith(_MODES) for tile in getattr(image, "tile", [])
    )


def note(image: Image.Image) -> None:
    """Keep in `headers.notes` what `is_deep` finds, which is gone once the image is loaded."""
    headers.notes(image)["deep"] = is_deep(image)


def decode_lower(image: Image.Image) -> None:
    """Make a deep image that is opened and not loaded give the lower bytes of its samples.

    It unpacks them as if they were stored in the other byte order; grey with alpha, which knows but one order, as if
    its four bytes were the four channels of colours.
    """
    tiles = []
    for tile in image.tile:  # type: ignore[attr-defined]  # of every image that is read from a file
        rawmode = _rawmode(tile)
        swapped = rawmode[:-1] + _SWAPPED[rawmode[-1]]
        if rawmode == "LA;16B":
            swapped = "RGBA"
            headers.notes(image)["grey_alpha"] = True
        tiles.append(tile._replace(args=swapped if isinstance(tile.args, str) else (swapped, *tile.args[1:])))
    image.tile = tiles  # type: ignore[attr-defined]


def _rawmode(tile: Any) -> str:
    return str(tile.args if isinstance(tile.args, str) else tile.args[0])


def samples(upper: Image.Image, lower: Image.Image) -> Samples:
    """uint16 (H, W, C) of the same part of an image, decoded both ways."""
    if "grey_alpha" in headers.notes(lower):
        every = np.asarray(lower).astype(np.uint16)
        grey_and_alpha: Samples = every[:, :, 0::2] << np.uint16(8) | every[:, :, 1::2]
        return grey_and_alpha
    joined: Samples = np.asarray(upper).astype(np.uint16) << np.uint16(8) | np.asarray(lower).astype(np.uint16)
    return joined


def keyed(colours: Samples, key: object) -> Samples:
    """With alpha behind, which is nothing where a PNG's transparent colour `key` is and everything elsewhere."""
    if not isinstance(key, int | tuple) or colours.shape[2] % 2 == 0:
        return colours
    clear = (colours == np.array(key)).all(axis=2)
    return np.concatenate([colours, np.where(clear, 0, _WHOLE)[:, :, None].astype(np.uint16)], axis=2)


def over_white(values: Samples) -> Samples:
    """Grey or colours laid over white, where they have alpha behind: (H, W, 2 or 4) gives (H, W, 1 or 3)."""
    if values.shape[2] % 2:
        return values
    colours, alpha = values[:, :, :-1].astype(np.uint32), values[:, :, -1:].astype(np.uint32)
    mixed: Samples = ((colours * alpha + _WHOLE // 2) // _WHOLE + (_WHOLE - alpha)).astype(np.uint16)
    return mixed


@dataclasses.dataclass(frozen=True, eq=False)
class ToSrgb:
    """A profile's way to sRGB. linear: float32 (3, 65536), intensity of each value; matrix: (3, 3), to sRGB's."""

    linear: npt.NDArray[np.float32]
    matrix: npt.NDArray[np.float32]

    def apply(self, values: Samples, whole: int) -> npt.NDArray[Any]:
        """uint16 (H, W, 1 or 3) to sRGB, (H, W, 3), uint8 or uint16 by what white is then, 255 or 65535."""
        channels = (0, 1, 2) if values.shape[2] == 3 else (0, 0, 0)
        linear = np.stack([self.linear[k][values[:, :, c]] for k, c in enumerate(channels)], axis=2) @ self.matrix.T
        np.clip(linear, 0, 1, out=linear)
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055)
        result: npt.NDArray[Any] = np.rint(encoded * whole).astype(np.uint8 if whole == 255 else np.uint16)
        return result


def to_srgb(data: bytes) -> ToSrgb | None:
    """The way to sRGB of an ICC profile of curves and a matrix, or of grey; None for one of tables."""
    if icc.tag(data, b"A2B0") or icc.tag(data, b"A2B1"):
        return None
    with np.errstate(all="ignore"):
        return _curves_and_matrix(data)


def _curves_and_matrix(data: bytes) -> ToSrgb | None:
    ours = icc.profile(icc.Light(), grey=False)
    assert ours is not None
    try:
        if data[16:20] == b"GRAY":
            return ToSrgb(np.repeat(_curve(icc.tag(data, b"kTRC"))[None], 3, axis=0), np.eye(3, dtype=np.float32))
        linear = np.stack([_curve(icc.tag(data, name)) for name in (b"rTRC", b"gTRC", b"bTRC")])
        matrix = np.linalg.solve(_colorants(ours), _colorants(data)).astype(np.float32)
    except (ValueError, IndexError, struct.error, np.linalg.LinAlgError):
        return None
    return ToSrgb(linear, matrix)


def _colorants(data: bytes) -> npt.NDArray[np.float64]:
    return np.array(
        [struct.unpack_from(">3i", icc.tag(data, name), 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], np.float64
    ).T


def _curve(content: bytes) -> npt.NDArray[np.float32]:
    """ICC.1:2022, 10.6 and 10.18: intensity of each of the 65536 values."""
    value = np.arange(_WHOLE + 1) / _WHOLE
    (count,) = struct.unpack_from(">I", content, 8)
    if content[:4] == b"curv" and count > 1:
        table = np.frombuffer(content, ">u2", count, 12) / _WHOLE
        return _floats(np.interp(value, np.linspace(0, 1, count), table))
    if content[:4] == b"curv":
        return _floats(value ** (struct.unpack_from(">H", content, 12)[0] / 256 if count else 1))
    if content[:4] != b"para":
        raise ValueError
    kind = count >> 16
    numbers = struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", content, 12)
    g, a, b, c, d, e, f = ([number / 65536 for number in numbers] + 7 * [0.0])[:7]
    if kind == 0:
        return _floats(value**g)
    # Kinds 1 and 2 begin where the base of the power is positive, with c under it; c is a slope from kind 3 on.
    start = -b / a if kind < 3 else d
    add, below = {1: (0, 0 * value), 2: (c, c + 0 * value), 3: (0, c * value), 4: (e, c * value + f)}[kind]
    powered = np.maximum(a * value + b, 0) ** g + add
    return _floats(np.where(value >= start, powered, below).clip(0, 1))


def _floats(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise ValueError
    return values.astype(np.float32)
