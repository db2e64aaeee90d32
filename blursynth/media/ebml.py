"""Elements of Matroska and WebM files (RFC 8794, RFC 9559): whether a file is whole, and what it crops."""

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

_LARGEST = 64 * 2**20  # bytes of an element that is read into memory
_HEADER, _SEGMENT, _CLUSTER, _TRACKS = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B
_CRC, _VOID = 0xBF, 0xEC
_IN_SEGMENT = frozenset(
    {0x114D9B74, 0x1549A966, _CLUSTER, _TRACKS, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, _CRC, _VOID}
)
_IN_CLUSTER = frozenset({0xE7, 0x5854, 0xA7, 0xAB, 0xA0, 0xA3, 0xAF, _CRC, _VOID})
_UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class Element:
    """An element: its number, where it and its content begin, and how long the content is (_UNKNOWN: to the end)."""

    number: int
    place: int
    begin: int
    length: int


class BrokenError(ValueError):
    """Bytes that are no element; the message says where."""


def element(file: BinaryIO, place: int) -> Element:
    """The element that begins at a place. Raises BrokenError where none does."""
    file.seek(place)
    head = file.read(12)
    if not head:
        raise BrokenError(f"there is nothing at byte {place}")
    wide = 9 - head[0].bit_length() if head[0] else 9
    if wide > 4 or len(head) <= wide or not head[wide]:
        raise BrokenError(f"there is no element at byte {place}")
    long = 9 - head[wide].bit_length()
    if len(head) < wide + long:
        raise BrokenError(f"the element at byte {place} is cut off")
    length = int.from_bytes(head[wide : wide + long], "big") & (1 << 7 * long) - 1
    unknown = length == (1 << 7 * long) - 1
    return Element(int.from_bytes(head[:wide], "big"), place, place + wide + long, _UNKNOWN if unknown else length)


def flaw(file: BinaryIO, size: int) -> str | None:
    """What shows that a Matroska file is damaged or ends early; None where nothing does."""
    try:
        header = element(file, 0)
        segment = element(file, header.begin + header.length)
        while segment.number in (_VOID, _CRC):
            segment = element(file, segment.begin + segment.length)
        if segment.number != _SEGMENT:
            return f"there is no segment at byte {segment.place}"
        end = size if segment.length == _UNKNOWN else segment.begin + segment.length
        if end > size:
            return f"its segment ends {end - size} bytes behind the file's end"
        for inner in _segment(file, segment.begin, end):
            _require_checksum(file, inner)
    except BrokenError as error:
        return str(error)
    return None


def _segment(file: BinaryIO, begin: int, end: int) -> Iterator[Element]:
    """What a segment holds. Raises BrokenError where something is unknown, or larger than what it is in."""
    place = begin
    while place < end:
        inner = element(file, place)
        if inner.number not in _IN_SEGMENT:
            raise BrokenError(f"there is no known element at byte {place}")
        limit = end if inner.length == _UNKNOWN else inner.begin + inner.length
        if limit > end:
            raise BrokenError(f"the element at byte {place} ends {limit - end} bytes behind what it is in")
        place = _cluster(file, inner.begin, limit, inner.length == _UNKNOWN) if inner.number == _CLUSTER else limit
        yield inner


def _cluster(file: BinaryIO, place: int, end: int, unknown: bool) -> int:
    """Where a cluster ends. Raises BrokenError where its elements do not fill it."""
    while place < end:
        inner = element(file, place)
        if inner.number not in _IN_CLUSTER:
            if unknown and inner.number in _IN_SEGMENT:
                return place
            raise BrokenError(f"there is no known element at byte {place}")
        place = inner.begin + inner.length
        if place > end or inner.length == _UNKNOWN:
            raise BrokenError(f"the element at byte {inner.place} ends behind what it is in")
    return place


def _require_checksum(file: BinaryIO, outer: Element) -> None:
    """An element's first child may be the CRC-32 of all others (RFC 8794, 11.3.1). Raises BrokenError."""
    if outer.length < 6 or outer.number in (_VOID, _CRC) or outer.length > _LARGEST:
        return
    file.seek(outer.begin)
    data = file.read(outer.length)
    if data[:2] == b"\xbf\x84" and struct.unpack("<I", data[2:6])[0] != zlib.crc32(data[6:]):
        raise BrokenError(f"the element at byte {outer.place} has another checksum than it says")


def crops(file: BinaryIO, size: int) -> list[tuple[int, int, int, int]]:
    """For each picture track that is cropped: pixels left out at its bottom, top, left and right."""
    every = [tuple(track.get(number, 0) for number in (0x54AA, 0x54BB, 0x54CC, 0x54DD)) for track in _video(file, size)]
    return [(crop[0], crop[1], crop[2], crop[3]) for crop in every if any(crop)]


def interlaced(file: BinaryIO, size: int) -> bool:
    """Whether a picture track says so (FlagInterlaced 1), whatever it says of the order of fields."""
    return any(track.get(0x9A) == 1 for track in _video(file, size))


def _video(file: BinaryIO, size: int) -> list[dict[int, int]]:
    """For each picture track, the numbers in its Video element."""
    found: list[dict[int, int]] = []
    try:
        header = element(file, 0)
        segment = element(file, header.begin + header.length)
        end = size if segment.length == _UNKNOWN else min(size, segment.begin + segment.length)
        for tracks in _segment(file, segment.begin, end):
            if tracks.number != _TRACKS:
                continue
            for track in _children(file, tracks):
                videos = (inner for inner in _children(file, track) if inner.number == 0xE0)
                found += [{each.number: _number(file, each) for each in _children(file, video)} for video in videos]
            break
    except BrokenError:
        return []
    return found


def _children(file: BinaryIO, outer: Element) -> Iterator[Element]:
    place, end = outer.begin, outer.begin + max(0, outer.length)
    if outer.number in (_TRACKS, 0xAE, 0xE0):
        while place < end:
            inner = element(file, place)
            yield inner
            place = inner.begin + max(0, inner.length)


def _number(file: BinaryIO, each: Element) -> int:
    file.seek(each.begin)
    return int.from_bytes(file.read(min(8, max(0, each.length))), "big")
