"""What files declare of their colours, taken from their bytes where Pillow does not read it or not apart from texts.

`notes` of an opened image has, where its file has it: `cicp`, the four bytes of PNG's cICP chunk; `icc_name`, the name
of PNG's profile; `gamma`, `chromaticity` and `srgb`, PNG's gAMA, cHRM and sRGB; `unknown`, a PNG chunk that a reader
has to know; `misplaced`, a PNG chunk of colours that stands behind the pixels, twice, or has another length; `stereo`,
PNG's two pictures side by side; `bitmap`, a BMP's header from its size on; `enumerated`, JPEG 2000's number of a colour
space, -1 where none can be read; `icc_profile`, None where it cannot be put together; `pixel`, width and height of a
pixel; `scale`, the same by PNG's sCAL; `orientation`, XMP's, 0 where it is there and cannot be read; `hdr_base`,
whether a gain map's base is HDR. EXIF behind a PNG's pixels is put into `info`, where Pillow puts that before them. XMP
is taken out of it, of which Pillow would read an orientation by the letters alone.
"""

import io
import struct
from typing import IO, Any

from PIL import ExifTags, Image, PngImagePlugin

from blursynth.media import isobmff, xmp

_NOTES = (0, 0)  # a key in `info` that no text chunk of a PNG can have: those are strings
_SIGNATURE = 8
_METADATA = (b"eXIf", b"iTXt", b"zTXt", b"tEXt")
_XMP_KEYS = ("XML:com.adobe.xmp", "xmp")
_METADATA_KEYS = ("exif", *_XMP_KEYS, "Raw profile type exif")
_COLOURS = {b"cICP": None, b"iCCP": None, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}  # and their sizes
_KNOWN_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_BITMAP_START = 14
_GIF_PROFILE = b"\x21\xff\x0bICCRGBG1012"


def notes(image: Image.Image) -> dict[str, Any]:
    """What is known of the image's file beside Pillow's `info`; to be added to."""
    known: dict[str, Any] = image.info.setdefault(_NOTES, {})
    return known


def note(image: Image.Image, file: io.BytesIO) -> None:
    """Fill `notes(image)`. `file`: what the image was opened from; its position is kept."""
    known = notes(image)
    if image.format != "PNG":
        if "icc_profile" in image.info:
            known["icc_profile"] = image.info["icc_profile"]
        for key in ("dpi", "resolution", "jfif_density"):
            if key in image.info:
                known["pixel"] = _pixel(image.info[key])
    reader = {"BMP": _bmp, "GIF": _gif, "JPEG2000": _jpeg2000}.get(image.format or "")
    position = file.tell()
    try:
        if image.format == "PNG":
            _png(image, file, known)
        elif reader is not None:
            reader(file, known)
    finally:
        file.seek(position)
    _xmp(image, file, known)


def _xmp(image: Image.Image, file: io.BytesIO, known: dict[str, Any]) -> None:
    packets = [image.info.pop(key) for key in _XMP_KEYS if key in image.info]
    texts = [text.encode(errors="replace") if isinstance(text, str) else bytes(text) for text in packets]
    whole = [file.getvalue()] if image.format in ("JPEG", "MPO") else []
    known["hdr_base"] = any(map(xmp.has_hdr_base, [text.replace(b"\0", b"") for text in texts] + whole))
    try:
        said = [number for number in map(xmp.orientation, texts) if number is not None]
    except ValueError:
        said = [0]
    if said:
        known["orientation"] = said[0]


def exif_orientation(image: Image.Image) -> Any:
    """EXIF's orientation, whatever it is; None where there is none or EXIF cannot be parsed."""
    try:
        # Not image.getexif(): a PNG's own would decode the whole file to look for EXIF behind the pixels.
        return Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except Exception:  # EXIF is parsed from arbitrary bytes; a photo is worth more than its metadata.
        return None


def _pixel(density: Any) -> tuple[float, float] | None:
    """Width and height of a pixel by the number of them in a length; None where that says nothing."""
    try:
        across, down = (float(value) for value in density)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return (down, across) if across > 0 < down else None


def _png(image: Image.Image, file: IO[bytes], known: dict[str, Any]) -> None:
    start, seen = _SIGNATURE, set[bytes]()
    while True:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return  # cut short, which decoding tells
        size, name = struct.unpack(">I4s", head)
        if name == b"IEND":
            return
        if name in _COLOURS:
            if name in seen or b"IDAT" in seen or _COLOURS[name] not in (None, size):
                known["misplaced"] = name.decode()
            else:
                _png_colours(image, name, file.read(min(size, 80)), known)
        elif name == b"pHYs" and size == 9:
            known["pixel"] = _pixel(struct.unpack(">II", file.read(8)))
        elif name == b"sCAL":
            known["scale"] = _scale(file.read(min(size, 200)))
        elif not name[0] & 0x20 and name not in _KNOWN_CRITICAL:
            known.setdefault("unknown", name.decode("latin-1"))
        elif name == b"sTER":
            known["stereo"] = True
        elif b"IDAT" in seen and name in _METADATA:
            _late(image, file, start, size, name)
        seen.add(name)
        start += 12 + size


def _png_colours(image: Image.Image, name: bytes, content: bytes, known: dict[str, Any]) -> None:
    if name == b"cICP":
        known["cicp"] = content
    elif name == b"iCCP":
        profile = image.info.get("icc_profile")
        known["icc_name"] = content.partition(b"\0")[0].decode("latin-1")
        known["icc_profile"] = profile if isinstance(profile, bytes) else None
    elif name == b"sRGB":
        known["srgb"] = content[0]
    elif name == b"gAMA":
        known["gamma"] = int.from_bytes(content) / 100_000
    else:
        known["chromaticity"] = tuple(value / 100_000 for value in struct.unpack(">8I", content))


def _scale(content: bytes) -> tuple[float, float] | None:
    """Width and height of a pixel by PNG's sCAL: a unit, and two numbers as texts."""
    try:
        width, height = (float(part) for part in content[1:].split(b"\0"))
    except ValueError:
        return None
    return (width, height) if 0 < width < 1e300 > height > 0 and 1e-300 < width / height < 1e300 else None


def _late(image: Image.Image, file: IO[bytes], start: int, size: int, name: bytes) -> None:
    """A chunk behind the pixels, as Pillow reads it when it decodes; orientation is wanted before."""
    stream = PngImagePlugin.PngStream(file)
    stream.call(name, start + 8, size)
    for key in _METADATA_KEYS:
        if key in stream.im_info:
            image.info.setdefault(key, stream.im_info[key])


def _bmp(file: IO[bytes], known: dict[str, Any]) -> None:
    file.seek(_BITMAP_START)
    header = file.read(124)
    size = int.from_bytes(header[:4], "little")
    known["bitmap"] = header[:size]
    if size == 124 and header[56:60] == b"DEBM":  # PROFILE_EMBEDDED, little-endian
        offset, length = struct.unpack_from("<2I", header, 112)
        file.seek(_BITMAP_START + offset)
        known["icc_profile"] = file.read(length)


def _gif(file: IO[bytes], known: dict[str, Any]) -> None:
    file.seek(0)
    data = file.read()
    if len(data) > 12 and data[12]:
        known["pixel"] = ((data[12] + 15) / 64, 1.0)  # GIF89a, 18: width of a pixel over its height
    found = data.find(_GIF_PROFILE)
    if found < 0:
        return
    at, parts = found + len(_GIF_PROFILE), []
    while at < len(data) and data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    known["icc_profile"] = b"".join(parts)


def _jpeg2000(file: IO[bytes], known: dict[str, Any]) -> None:
    file.seek(0)
    if file.read(4) == b"\xff\x4f\xff\x51":
        return  # a bare codestream, which has no place for a declaration
    end = file.seek(0, 2)
    header = next((box for box in isobmff.whole(file, 0, end) if box.name == b"jp2h"), None)
    inner = isobmff.whole(file, header.begin, header.end) if header is not None else ()
    colour = next((box for box in inner if box.name == b"colr"), None)  # others are for readers that know JPX
    known["enumerated"] = -1
    if colour is None:
        return
    file.seek(colour.begin)
    content = file.read(colour.end - colour.begin)
    method = content[0] if content else 0
    if method in (2, 3):
        known["icc_profile"] = content[3:]
    elif method == 1 and len(content) >= 7:
        known["enumerated"] = int.from_bytes(content[3:7])
