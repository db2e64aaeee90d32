"""Boxes, of which JPEG 2000, HEIF, AVIF and MP4 files are made: a size, a name and a content, which may be boxes.

ISO/IEC 14496-12, 4.2, and ISO/IEC 15444-1, annex I.4.
"""

import contextlib
import dataclasses
import re
import struct
from collections.abc import Iterator
from typing import IO

_LARGEST = 64 * 2**20  # bytes of a box that is read into memory
_NAME = re.compile(rb"[\x20-\x7e\xa9]{4}")


@dataclasses.dataclass(frozen=True)
class Box:
    """A box: its name, where its content begins, and where it ends (as it says, beyond the file's end or not).

    place: where the box itself begins.
    """

    name: bytes
    begin: int
    end: int
    place: int = 0


class BrokenError(ValueError):
    """Bytes that are no sequence of boxes; the message says where."""


def walk(file: IO[bytes], begin: int, end: int) -> Iterator[Box]:
    """The boxes between two places, one after the other. Raises BrokenError where there is none."""
    place = begin
    while place < end:
        file.seek(place)
        head = file.read(16)
        if end - place < 8 or len(head) < 8:
            if any(head[: end - place]):
                raise BrokenError(f"{end - place} bytes at {place} are no box")
            return  # QuickTime ends lists with four zero bytes
        size, name = struct.unpack(">I4s", head[:8])
        content = place + 8
        if size == 1:
            if len(head) < 16:
                raise BrokenError(f"the box at {place} is cut off")
            size, content = struct.unpack(">Q", head[8:])[0], place + 16
        elif size == 0:
            size = end - place
        if not _NAME.fullmatch(name) or size < content - place:
            raise BrokenError(f"there is no box at byte {place}")
        yield Box(name, content, place + size, place)
        place += size


def whole(file: IO[bytes], begin: int, end: int) -> Iterator[Box]:
    """As `walk`, up to the first bytes that are no box or one that ends beyond `end`: decoding tells what is cut."""
    with contextlib.suppress(BrokenError):
        for box in walk(file, begin, end):
            if box.end > end:
                return
            yield box


def inside(file: IO[bytes], box: Box, names: tuple[bytes, ...]) -> Iterator[Box]:
    """The boxes within a box at the end of a path of names. Raises BrokenError."""
    if not names:
        yield box
        return
    for inner in walk(file, box.begin, box.end):
        if inner.name == names[0]:
            yield from inside(file, inner, names[1:])


def first(file: IO[bytes], box: Box, names: tuple[bytes, ...]) -> Box:
    """The first box within a box at the end of a path of names. Raises BrokenError where there is none."""
    found = next(inside(file, box, names), None)
    if found is None:
        path = "/".join(name.decode("latin-1") for name in names)
        raise BrokenError(f"the box at byte {box.place} holds no {path}")
    return found


def content(file: IO[bytes], box: Box) -> bytes:
    """What a box holds."""
    file.seek(box.begin)
    return file.read(max(0, min(box.end - box.begin, _LARGEST)))
