"""What files declare of their colours and Pillow does not read, put beside what it does: into the image's `info`.

Keys, where the file has it: `cicp`, the four bytes of PNG's cICP chunk. `icc_name`, the name of PNG's profile.
`unknown`, a PNG chunk that a reader has to know. `misplaced`, a PNG chunk of colours that stands behind the pixels or
twice. `stereo`: PNG's two pictures side by side. `bitmap`, a BMP's header from its size on. `enumerated`, JPEG 2000's
number of a colour space, -1 where none can be read. `icc_profile` of BMP, GIF and JPEG 2000, and `aspect` of GIF, are
Pillow's own keys of other formats. EXIF and XMP behind a PNG's pixels are put where Pillow puts those before them.
"""

import struct
from typing import IO

from PIL import Image, PngImagePlugin

from blursynth.media import isobmff

_SIGNATURE = 8
_METADATA = (b"eXIf", b"iTXt", b"zTXt", b"tEXt")
_METADATA_KEYS = ("exif", "XML:com.adobe.xmp", "xmp", "Raw profile type exif")
_COLOURS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_KNOWN_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_BITMAP_START = 14
_GIF_PROFILE = b"\x21\xff\x0bICCRGBG1012"


def note(image: Image.Image, file: IO[bytes]) -> None:
    """Add to `image.info` what Pillow passes over. `file`: what the image was opened from; its position is kept."""
    reader = {"PNG": _png, "BMP": _bmp, "GIF": _gif, "JPEG2000": _jpeg2000}.get(image.format or "")
    if reader is None:
        return
    position = file.tell()
    try:
        reader(image, file)
    finally:
        file.seek(position)


def _png(image: Image.Image, file: IO[bytes]) -> None:
    start, seen = _SIGNATURE, set[bytes]()
    while True:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return  # cut short, which decoding tells
        size, name = struct.unpack(">I4s", head)
        if name == b"IEND":
            return
        if name in _COLOURS and (name in seen or b"IDAT" in seen):
            image.info["misplaced"] = name.decode()
        elif name == b"cICP":
            image.info["cicp"] = file.read(min(size, 16))
        elif name == b"iCCP":
            image.info["icc_name"] = file.read(min(size, 80)).partition(b"\0")[0].decode("latin-1")
        elif not name[0] & 0x20 and name not in _KNOWN_CRITICAL:
            image.info.setdefault("unknown", name.decode("latin-1"))
        elif name == b"sTER":
            image.info["stereo"] = True
        elif b"IDAT" in seen and name in _METADATA:
            _late(image, file, start, size, name)
        seen.add(name)
        start += 12 + size


def _late(image: Image.Image, file: IO[bytes], start: int, size: int, name: bytes) -> None:
    """A chunk behind the pixels, as Pillow reads it when it decodes; orientation is wanted before."""
    stream = PngImagePlugin.PngStream(file)
    stream.call(name, start + 8, size)
    for key in _METADATA_KEYS:
        if key in stream.im_info:
            image.info.setdefault(key, stream.im_info[key])


def _bmp(image: Image.Image, file: IO[bytes]) -> None:
    file.seek(_BITMAP_START)
    header = file.read(124)
    size = int.from_bytes(header[:4], "little")
    image.info["bitmap"] = header[:size]
    if size == 124 and header[56:60] == b"DEBM":  # PROFILE_EMBEDDED, little-endian
        offset, length = struct.unpack_from("<2I", header, 112)
        file.seek(_BITMAP_START + offset)
        image.info["icc_profile"] = file.read(length)


def _gif(image: Image.Image, file: IO[bytes]) -> None:
    file.seek(0)
    data = file.read()
    if len(data) > 12 and data[12]:
        image.info["aspect"] = ((data[12] + 15) / 64, 1.0)  # GIF89a, 18: width of a pixel over its height
    found = data.find(_GIF_PROFILE)
    if found < 0:
        return
    at, profile = found + len(_GIF_PROFILE), b""
    while at < len(data) and data[at]:
        profile += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    image.info["icc_profile"] = profile


def _jpeg2000(image: Image.Image, file: IO[bytes]) -> None:
    file.seek(0)
    if file.read(4) == b"\xff\x4f\xff\x51":
        return  # a bare codestream, which has no place for a declaration
    end = file.seek(0, 2)
    header = next((box for box in isobmff.boxes(file, 0, end) if box.name == b"jp2h"), None)
    inner = isobmff.boxes(file, header.start, header.end) if header is not None else ()
    colour = next((box for box in inner if box.name == b"colr"), None)  # others are for readers that know JPX
    if colour is None:
        image.info["enumerated"] = -1
        return
    file.seek(colour.start)
    content = file.read(colour.end - colour.start)
    method = content[0] if content else 0
    if method in (2, 3):
        image.info["icc_profile"] = content[3:]
    else:
        image.info["enumerated"] = int.from_bytes(content[3:7]) if method == 1 and len(content) >= 7 else -1
