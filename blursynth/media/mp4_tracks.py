"""What a track of an MP4 or QuickTime file says of its pictures (ISO/IEC 14496-12) that FFmpeg does not pass on."""

import dataclasses
import fractions
import io
import struct
from typing import BinaryIO

from blursynth.media import isobmff

_VISUAL = 78  # bytes of a visual sample entry before its own boxes
_CONTAINERS = frozenset({b"edts", b"mdia", b"minf", b"stbl"})
NOTHING = -1  # an edit that begins there shows nothing


@dataclasses.dataclass(frozen=True)
class Edit:
    """A part of an edit list (8.6.6).

    duration: s, 0 for all that is left. begin: in the media, in units of its time. rate: in 1 / 65536.
    """

    duration: fractions.Fraction
    begin: int
    rate: int


@dataclasses.dataclass(frozen=True)
class Entry:
    """A sample entry: width and height in px, and the contents of its own boxes by name, such as `colr`."""

    size: tuple[int, int]
    boxes: dict[bytes, list[bytes]]


@dataclasses.dataclass(frozen=True)
class Track:
    """edits: those of each edit list. fragmented: whether the file is in fragments."""

    edits: list[list[Edit]]
    entries: list[Entry]
    fragmented: bool


class UnreadableError(ValueError):
    """A track that is missing, or whose boxes cannot be read; the message says why."""


def track(file: BinaryIO, size: int, wanted: int) -> Track:
    """The track of a number (track_ID). Raises UnreadableError."""
    top = list(isobmff.whole(file, 0, size))
    whole = isobmff.Box(b"", 0, top[-1].end if top else 0)
    try:
        found = [box for box in isobmff.inside(file, whole, (b"moov", b"trak")) if number(file, box) == wanted]
        if len(found) != 1:
            raise UnreadableError(f"it describes {len(found)} tracks of the number {wanted}")
        fragmented = any(any(isobmff.inside(file, whole, path)) for path in ((b"moof",), (b"moov", b"mvex")))
        lists = _lists(file, found[0])
        unit = fractions.Fraction(1, timescale(file, whole, (b"moov", b"mvhd"))) if lists else fractions.Fraction(1)
        edits = [_edits(isobmff.content(file, box), unit) for box in lists]
        return Track(edits, _entries(file, found[0]), fragmented)
    except isobmff.BrokenError as error:
        raise UnreadableError(str(error)) from error
    except (struct.error, LookupError, ArithmeticError, RecursionError) as error:
        raise UnreadableError("its boxes are cut off") from error


def number(file: BinaryIO, box: isobmff.Box) -> int:
    """The number (track_ID) of a `trak` box."""
    head = isobmff.content(file, isobmff.first(file, box, (b"tkhd",)))
    return int(struct.unpack_from(">I", head, 20 if head[0] == 1 else 12)[0])


def timescale(file: BinaryIO, box: isobmff.Box, path: tuple[bytes, ...]) -> int:
    """Units a second of a `mvhd` or `mdhd` box."""
    head = isobmff.content(file, isobmff.first(file, box, path))
    return int(struct.unpack_from(">I", head, 20 if head[0] == 1 else 12)[0])


def _lists(file: BinaryIO, box: isobmff.Box, depth: int = 0) -> list[isobmff.Box]:
    """All `elst` boxes in a box, wherever they are."""
    found = []
    for inner in isobmff.walk(file, box.begin, box.end):
        if inner.name == b"elst":
            found.append(inner)
        elif inner.name in _CONTAINERS and depth < 8:
            found += _lists(file, inner, depth + 1)
    return found


def _edits(data: bytes, unit: fractions.Fraction) -> list[Edit]:
    """Those of an `elst` box. unit: of the movie's time, in s."""
    if data[0] > 1:
        raise UnreadableError(f"its edit list has version {data[0]}, which is not known")
    entry = struct.Struct(">QqI" if data[0] else ">IiI")
    count = struct.unpack_from(">I", data, 4)[0]
    if count * entry.size > len(data) - 8:
        raise UnreadableError(f"its edit list says that it has {count} parts, and has fewer")
    listed = [entry.unpack_from(data, 8 + k * entry.size) for k in range(count)]
    return [Edit(duration * unit, begin, rate) for duration, begin, rate in listed]


def _entries(file: BinaryIO, box: isobmff.Box) -> list[Entry]:
    found = []
    for table in isobmff.inside(file, box, (b"mdia", b"minf", b"stbl", b"stsd")):
        for each in isobmff.walk(file, table.begin + 8, table.end):
            entry = isobmff.content(file, each)
            width, height = struct.unpack_from(">HH", entry, 24)
            boxes: dict[bytes, list[bytes]] = {}
            for inner in isobmff.whole(io.BytesIO(entry), _VISUAL, len(entry)):
                boxes.setdefault(inner.name, []).append(entry[inner.begin : inner.end])
            found.append(Entry((width, height), boxes))
    return found
