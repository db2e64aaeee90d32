"""Elements of Matroska and WebM files (RFC 8794, RFC 9559): whether a file is whole, and what it says of pictures."""

import dataclasses
import math
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
_TRACK, _KIND, _PICTURES, _VIDEO = 0xAE, 0x83, 1, 0xE0
PROJECTION, COLOUR, MASTERING = 0x7670, 0x55B0, 0x55D0
_CHAPTERS, _EDITION, _ORDERED = 0x1043A770, 0x45B9, 0x45DD
_GROUP, _ADDITIONS = 0xA0, 0x75A1  # a block and what goes with it; more than its picture, such as its alpha
_OUTER = frozenset({_TRACKS, _TRACK, _VIDEO, PROJECTION, COLOUR, MASTERING, _CHAPTERS, _EDITION, _GROUP})


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


@dataclasses.dataclass(frozen=True)
class Video:
    """What a picture track's Video element and what is in it say: contents by the number of their element."""

    contents: dict[int, bytes]

    def number(self, element_: int) -> int:
        """An unsigned number, 0 where it is not said."""
        return int.from_bytes(self.contents.get(element_, b"")[:8], "big")

    def real(self, element_: int) -> float | None:
        """A number with a fraction; None where it is not said, NaN where it is none."""
        data = self.contents.get(element_)
        kind = {0: "", 4: ">f", 8: ">d"}.get(len(data or b""))
        if data is None or kind is None:
            return None if data is None else math.nan
        return float(struct.unpack(kind, data)[0]) if kind else 0.0


def videos(file: BinaryIO, size: int) -> list[Video]:
    """What is said of each picture track, in their order. Raises BrokenError where the tracks cannot be read."""
    for tracks in _top(file, size):
        if tracks.number == _TRACKS:
            return [found for track in _children(file, tracks) for found in _video(file, track)]
    raise BrokenError("there are no tracks")


def _video(file: BinaryIO, track: Element) -> list[Video]:
    inside = list(_children(file, track))
    kinds = [_content(file, each) for each in inside if each.number == _KIND]
    if int.from_bytes(kinds[-1] if kinds else b"", "big") != _PICTURES:
        return []
    elements = [each for each in inside if each.number == _VIDEO]
    contents: dict[int, bytes] = {}
    while elements:
        outer = elements.pop()
        contents[outer.number] = _content(file, outer)
        elements += _children(file, outer)
    return [Video(contents)]


def is_put_together(file: BinaryIO, size: int) -> bool:
    """Whether chapters say which parts of the file are shown, and in which order (EditionFlagOrdered)."""
    try:
        for chapters in _top(file, size):
            for edition in _children(file, chapters) if chapters.number == _CHAPTERS else ():
                flags = (each for each in _children(file, edition) if each.number == _ORDERED)
                if any(any(_content(file, flag)) for flag in flags):
                    return True
    except BrokenError:
        pass  # `flaw` names it
    return False


def has_additions(file: BinaryIO, size: int) -> bool:
    """Whether any block has BlockAdditions, in which VP8 and VP9 keep their alpha; also where that cannot be told."""
    try:
        clusters = (each for each in _top(file, size) if each.number == _CLUSTER)
        groups = (each for cluster in clusters for each in _blocks(file, cluster, size) if each.number == _GROUP)
        return any(inner.number == _ADDITIONS for group in groups for inner in _children(file, group))
    except BrokenError:
        return True


def _blocks(file: BinaryIO, cluster: Element, size: int) -> Iterator[Element]:
    place, end = cluster.begin, size if cluster.length == _UNKNOWN else cluster.begin + cluster.length
    while place < end:
        inner = element(file, place)
        if inner.number not in _IN_CLUSTER:
            return
        yield inner
        place = inner.begin + max(0, inner.length)


def _top(file: BinaryIO, size: int) -> Iterator[Element]:
    """What the first segment holds; clusters are not entered. Raises BrokenError."""
    header = element(file, 0)
    segment = element(file, header.begin + header.length)
    while segment.number in (_VOID, _CRC):
        segment = element(file, segment.begin + segment.length)
    end = size if segment.length == _UNKNOWN else min(size, segment.begin + segment.length)
    place = segment.begin
    while place < end:
        inner = element(file, place)
        yield inner
        known = inner.length != _UNKNOWN
        place = inner.begin + inner.length if known else _cluster(file, inner.begin, end, True)


def _children(file: BinaryIO, outer: Element) -> Iterator[Element]:
    """What an element holds, nothing where it is none that holds others."""
    place, end = outer.begin, outer.begin + max(0, outer.length)
    if outer.number in _OUTER:
        while place < end:
            inner = element(file, place)
            yield inner
            place = inner.begin + max(0, inner.length)


def _content(file: BinaryIO, each: Element) -> bytes:
    file.seek(each.begin)
    return file.read(max(0, min(each.length, _LARGEST)))
