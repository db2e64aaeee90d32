"""What cameras write beside a recording: at which rate it was made, and by which curve."""

import dataclasses
import fractions
import math
import pathlib
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import av
import av.container

from blursynth import errors
from blursynth.media import container_says, isobmff, mp4_tracks

FASTEST = 1e6  # frames per second that a camera may claim
_EQUAL = 0.01  # what two statements of one rate may differ by: 960 and 959.04, which NTSC rates are
_CAPTURE = re.compile(r"capture[ ._-]?(fps|(frame[ ._-]?)?rate)$|sensor[ ._-]?fps$", re.IGNORECASE)
_CUSTOM_GAMMA = re.compile(r"(^|\.)customgamma$", re.IGNORECASE)

# Samsung's recording modes of constant rate (androidx.media3, SmtaAtomUtil).
_SAMSUNG = {12: 240.0, 13: 120.0}
# Sony's NonRealTimeMeta: an attribute of its own, and <Item name="..." value="..."/>.
_SONY_RATE = re.compile(rb"""\bcaptureFps\s*=\s*["']([^"']{0,40})["']""")
_SONY_ITEM = re.compile(rb"<Item\b([^>]{0,400})>")
_SONY_ATTRIBUTE = re.compile(rb"""\b(name|value)\s*=\s*["']([^"']{0,80})["']""")
_GAMMA, _PRIMARIES = "CaptureGammaEquation", "CaptureColorPrimaries"
_PLAIN = {_GAMMA: ("rec709", "rec709-xvycc", "rec601", "rec2020"), _PRIMARIES: ("rec709", "rec601")}

# Types of a value in QuickTime's metadata (QuickTime File Format, "Well-known types"), and how each is read.
_TEXTS = {0: "utf-8", 1: "utf-8", 2: "utf-16-be"}
_NUMBERS = {
    (23, 4): ">f", (24, 8): ">d", (65, 1): ">b", (66, 2): ">h", (67, 4): ">i", (74, 8): ">q", (75, 1): ">B",
    (76, 2): ">H", (77, 4): ">I", (78, 8): ">Q",
}  # fmt: skip
_SIGNED, _UNSIGNED = 21, 22


@dataclasses.dataclass(frozen=True)
class Statement:
    """A text under a key."""

    key: str
    text: str


def statements(container: av.container.InputContainer, stream: av.VideoStream, path: pathlib.Path) -> list[Statement]:
    """All that a file's metadata say of the recording of this stream.

    Read are what FFmpeg passes on, and of MP4 and QuickTime files all keys with values of any type, Samsung's `smta`
    box and Sony's XML, whose keys are then smta, captureFps, CaptureGammaEquation and CaptureColorPrimaries.
    """
    said = [Statement(*item) for metadata in (container.metadata, stream.metadata) for item in metadata.items()]
    if container_says.is_mp4(container):
        with path.open("rb") as file:
            said += _of_mp4(file, file.seek(0, 2), stream.id)
    return said


def is_capture_rate(key: str) -> bool:
    """Whether a key of metadata is one of those in which cameras state their rate, such as com.android.capture.fps."""
    return _CAPTURE.search(key) is not None or key == "smta"


def capture_rate(said: list[Statement], path: pathlib.Path) -> tuple[float, str] | None:
    """Frames per second at which a camera recorded, where the file says so, and where it does; None where not.

    Raises InputError for what no camera records at, and for statements that contradict one another.
    """
    rates = [(_rate(each, path), each.key) for each in said if is_capture_rate(each.key)]
    if not rates:
        return None
    rate, key = rates[0]
    other = next((each for each in rates if abs(each[0] / rate - 1) > _EQUAL), None)
    if other is not None:
        raise errors.InputError(
            f"{path} says in {key[:60]} that it was recorded at {rate:g} frames per second, and in {other[1][:60]} at "
            f"{other[0]:g}; expected one rate. Give the true one with --fps."
        )
    return rate, key


def _rate(said: Statement, path: pathlib.Path) -> float:
    try:
        rate = float(fractions.Fraction(said.text)) if "/" in said.text else float(said.text)
    except (ValueError, ZeroDivisionError, OverflowError):
        rate = math.nan
    if not 0 < rate <= FASTEST:
        raise errors.InputError(
            f"{path} says in {said.key[:60]} that it was recorded at {said.text[:40]!r} frames per second; expected a "
            f"number above 0 and up to {FASTEST:g}. Give its true rate with --fps."
        )
    return rate


def require_plain(said: list[Statement], primaries: str, path: pathlib.Path) -> None:
    """Raise InputError for curves of cameras (log, HDR), and for their primaries unless those are kept."""
    for each in said:
        if _CUSTOM_GAMMA.search(each.key) or (each.key == _GAMMA and each.text.lower() not in _PLAIN[_GAMMA]):
            raise errors.InputError(
                f"{path} says in {each.key[:60]} that it was recorded with the curve {each.text[:60]!r}, which none of "
                "the response curves offered here is. Convert it to BT.709 (Rec. 709) first, with the camera's own "
                "program or a look-up table."
            )
        if each.key == _PRIMARIES and each.text.lower() not in _PLAIN[_PRIMARIES] and primaries != "keep":
            raise errors.InputError(
                f"{path} says in {each.key} that its primaries are {each.text[:60]!r}, and images are taken as sRGB "
                "(BT.709). Convert it first, or give --primaries keep to take its values as they are."
            )


def _of_mp4(file: BinaryIO, size: int, number: int) -> list[Statement]:
    """What the boxes of an MP4 or QuickTime file say, up to where they cannot be read."""
    said: list[Statement] = []
    for box in isobmff.whole(file, 0, size):
        if box.name == b"meta":
            said += _metadata(isobmff.content(file, box))
        for inner in isobmff.whole(file, box.begin, box.end) if box.name == b"moov" else ():
            if inner.name != b"trak" or _is(file, inner, number):
                said += _around(file, inner)
    return said


def _is(file: BinaryIO, track: isobmff.Box, number: int) -> bool:
    try:
        return mp4_tracks.number(file, track) == number
    except (isobmff.BrokenError, struct.error, LookupError):
        return False


def _around(file: BinaryIO, box: isobmff.Box) -> Iterator[Statement]:
    """What `meta` and `smta` boxes say that are, or are in, a box of `moov`."""
    if box.name == b"meta":
        yield from _metadata(isobmff.content(file, box))
    elif box.name == b"smta":
        rate = _samsung(isobmff.content(file, box))
        if rate is not None:
            yield Statement("smta", str(rate))
    elif box.name in (b"udta", b"trak"):
        for inner in isobmff.whole(file, box.begin, box.end):
            yield from _around(file, inner)


def _metadata(data: bytes) -> Iterator[Statement]:
    """A `meta` box: QuickTime's keys with their values, or Sony's XML."""
    begin = 0 if data[4:8] in (b"hdlr", b"keys") else 4  # ISO's have a version and flags before their boxes
    boxes = dict(_sized(data[begin:]))
    keys = [content.decode("utf-8", "replace") for _, content in _sized(boxes.get(b"keys", b"")[8:])]
    for name, content in _sized(boxes.get(b"ilst", b"")):
        place = int.from_bytes(name, "big") - 1
        for kind, value in _sized(content) if 0 <= place < len(keys) else ():
            if kind == b"data" and len(value) >= 8:
                yield Statement(keys[place], _text(int.from_bytes(value[:4], "big"), value[8:]))
    if b"NonRealTimeMeta" in (plain := data.replace(b"\0", b"")):  # in UTF-16, too
        yield from _sony(plain)


def _sized(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of what follows one another with a size each, names of any bytes."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield name, data[at + 8 : at + size]
        at += size


def _text(kind: int, value: bytes) -> str:
    """A value of QuickTime's metadata; what cannot be read is named, and is no number."""
    if kind in _TEXTS:
        return value.decode(_TEXTS[kind], "replace").strip("\0 ")
    if kind in (_SIGNED, _UNSIGNED) and value:
        return str(int.from_bytes(value, "big", signed=kind == _SIGNED))
    if (kind, len(value)) in _NUMBERS:
        return str(struct.unpack(_NUMBERS[kind, len(value)], value)[0])
    return f"data of type {kind}"


def _sony(xml: bytes) -> Iterator[Statement]:
    for rate in _SONY_RATE.findall(xml):
        yield Statement("captureFps", rate.decode("latin-1").rstrip("pi"))
    for item in _SONY_ITEM.findall(xml):
        attributes = {name: value.decode("latin-1") for name, value in _SONY_ATTRIBUTE.findall(item)}
        if attributes.get(b"name") in _PLAIN:
            yield Statement(attributes[b"name"], attributes.get(b"value", ""))


def _samsung(content: bytes) -> float | None:
    """The rate in a `smta` box: a recording mode in `saut`, and for one of them the rate itself in `srfr`."""
    at = content.find(b"saut")
    if at < 4 or len(content) < at + 12:
        return None
    pairs = dict(zip(content[at + 8 : at + 12 : 2], content[at + 9 : at + 12 : 2], strict=False))
    mode = pairs.get(0)
    if mode == 21:
        rate = content.find(b"srfr", at)
        return 0.0 if rate < 0 or len(content) < rate + 8 else struct.unpack_from(">I", content, rate + 4)[0] / 65536
    return _SAMSUNG.get(mode) if mode is not None else None
