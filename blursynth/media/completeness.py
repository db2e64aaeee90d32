"""Files with fewer rows than their header says, which Pillow fills without a word: PNG and TIFF, and most JPEG."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

_SIGNATURE = 8
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of PNG's kinds of colour
# PNG (Third Edition), 8.1: first column and row of each pass of an interlaced image, and the steps between them.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20
_STRIPS, _ROWS_PER_STRIP, _TILES, _PLANAR = 273, 278, 324, 284


def may_be_cut(image: Image.Image) -> bool:
    """Whether the row of a loaded PNG that is stored last is zeros, as it is where its data end early."""
    last = image.height - 1
    if "interlace" in image.info and last > 0:
        last -= 1 - last % 2  # the last pass has every row of an odd number
    return not np.asarray(image.crop((0, last, image.width, last + 1))).any()


def has_all_rows(png: bytes) -> bool:
    """Whether the data of a sound PNG file unpack to as many bytes as its header asks for."""
    width, height, bits, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", png, _SIGNATURE + 8)
    pixel = bits * _CHANNELS.get(kind, 1)
    expected = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((left - width) // across), -((top - height) // down)
        expected += rows * (1 + (columns * pixel + 7) // 8) if columns > 0 and rows > 0 else 0
    inflate, found = zlib.decompressobj(), 0
    for part in _packed(png):
        while part and found < expected:
            found += len(inflate.decompress(part, _PIECE))
            part = inflate.unconsumed_tail
    return found + len(inflate.flush()) >= expected


def _packed(png: bytes) -> Iterator[bytes]:
    start = _SIGNATURE
    while start + 12 <= len(png):
        size, name = struct.unpack_from(">I4s", png, start)
        if name == b"IDAT":
            yield png[start + 8 : start + 8 + size]
        start += 12 + size


def lacks_strips(image: Image.Image) -> bool:
    """Whether an opened TIFF lists fewer strips than its height asks for."""
    tags: Any = getattr(image, "tag_v2", None)
    if tags is None or _TILES in tags or _STRIPS not in tags:
        return False
    height = tags[257]
    rows = min(tags.get(_ROWS_PER_STRIP, height), height)
    planes = len(image.getbands()) if tags.get(_PLANAR) == 2 else 1
    return bool(rows < 1 or len(tags[_STRIPS]) < -(-height // rows) * planes)


def jpeg_may_be_cut(image: Image.Image) -> bool:
    """Whether the last block of a loaded JPEG is one colour, as libjpeg leaves it where the data end early, or any may.

    Those of a progressive one lose detail everywhere.
    """
    if "progressive" in image.info:
        return True
    block = np.asarray(image.crop((max(0, image.width - 8), max(0, image.height - 8), image.width, image.height)))
    return bool((np.ptp(block, axis=(0, 1)) <= 1).all())


def jpeg_ends_early(data: bytes) -> bool:
    """Whether FFmpeg reads a JPEG and says that its data are damaged. About 5 ms a megapixel."""
    return _jpeg_is_read(data, strictly=False) and not _jpeg_is_read(data, strictly=True)


def _jpeg_is_read(data: bytes, *, strictly: bool) -> bool:
    import av  # costs 0.1 s, and few photos are looked at so

    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode"} if strictly else {}
    try:
        return bool(decoder.decode(av.Packet(data)))
    except av.FFmpegError:
        return False
