"""Read photos for a network with everything that their file holds, and write restored ones as PNG.

Grey photos stay grey, alpha is kept, and PNG and TIFF files of 16 bits are read in full (unless they have an ICC
profile of tables, which is applied to 8 bits only). Results are sRGB and tagged so, whatever the file declared.
"""

import dataclasses
import fractions
import logging
import pathlib
import struct
import zlib
from typing import Any, Literal

import av
import numpy as np
import torch
from numpy import typing as npt
from PIL import Image

from blursynth.media import atomic_file, photos, source_file

_log = logging.getLogger(__name__)

Bits = Literal[8, 16]
Samples = npt.NDArray[Any]  # uint8 or uint16

_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_HEADER = 8 + 25  # of a PNG: its signature and its first chunk
_LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A photo as a network takes it. `alpha`: (H, W), uint8 or uint16; None where everything is opaque."""

    blurred_NCHW: torch.Tensor
    """float32 (1, 3, H, W) in [0, 1], RGB, encoded light (sRGB), upright."""
    alpha: Samples | None
    grey: bool


def read(path: pathlib.Path, data: bytes | None = None) -> Picture:
    """Read a photo; raises as `photos.read` does. `data`: its bytes, where they have been read already."""
    data = source_file.read(path) if data is None else data
    pixels, found_alpha = photos.read_apart(path, data)
    with photos.opened(path, data) as image:
        grey, deep = image.mode in _GREY_MODES, _has_sixteen_bits(image)
    stored: Samples = pixels
    alpha: Samples | None = found_alpha
    samples = photos.read_deep(path, data) if deep else None
    if samples is not None:
        stored, alpha = samples[:, :, :3], None if alpha is None else samples[:, :, 3]
    elif deep:
        _log.warning("%s: its 16 bits a sample cannot be read here, the upper 8 are taken.", path)
    whole = float(np.iinfo(stored.dtype).max)
    blurred = torch.from_numpy(stored.astype(np.float32) / whole)
    return Picture(blurred.permute(2, 0, 1)[None].contiguous(), alpha, grey)


def write(path: pathlib.Path, restored_NCHW: torch.Tensor, picture: Picture, bits: Bits) -> None:
    """Write float (1, 3, H, W) in [0, 1] as PNG of 8 or 16 bits a sample.

    The result has the picture's alpha, and is grey (Rec. 601 luma) if the picture was. The file is written whole or not
    at all; OSError where the folder cannot be written.
    """
    values: npt.NDArray[np.float32] = restored_NCHW[0].permute(1, 2, 0).numpy()
    if picture.grey:
        values = (values @ np.array(_LUMA, np.float32))[:, :, None]
    samples = _rounded(values, bits)
    if picture.alpha is not None:
        whole = np.iinfo(picture.alpha.dtype).max
        alpha = _rounded(picture.alpha[:, :, None].astype(np.float32) / np.float32(whole), bits)
        samples = np.concatenate([samples, alpha], axis=2)
    if bits == 8:
        photos.write_png(path, samples[:, :, 0] if samples.shape[2] == 1 else samples)
    else:
        atomic_file.replace(path, _deep_png(samples))


def _rounded(values: npt.NDArray[np.float32], bits: Bits) -> Samples:
    whole = 2**bits - 1
    scaled = values * np.float32(whole)
    np.clip(np.rint(scaled, out=scaled), 0, whole, out=scaled)
    rounded: Samples = scaled.astype(np.uint8 if bits == 8 else np.uint16)
    return rounded


def _has_sixteen_bits(image: Image.Image) -> bool:
    """Return whether the file stores 16 bits; Pillow decodes 16-bit colour to 8 bits."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))


def _deep_png(samples: Samples) -> bytes:
    """Encode uint16 (H, W, 1 to 4) as PNG; grey with alpha becomes colour with alpha."""
    if samples.shape[2] == 2:
        samples = samples[:, :, [0, 0, 0, 1]]
    form = {1: "gray16be", 3: "rgb48be", 4: "rgba64be"}[samples.shape[2]]
    pixels = samples[:, :, 0] if samples.shape[2] == 1 else samples
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
    codec: Any = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, form
    codec.time_base = fractions.Fraction(1, 25)  # a codec wants one, a picture has none
    content = b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
    name, body = photos.SRGB_CHUNK
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return content[:_HEADER] + chunk + content[_HEADER:]
