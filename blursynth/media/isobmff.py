"""Boxes, of which JPEG 2000, HEIF, AVIF and MP4 files are made: a size, a name and a content, which may be boxes.

ISO/IEC 14496-12, 4.2, and ISO/IEC 15444-1, annex I.4.
"""

import contextlib
import dataclasses
import re
import struct
from collections.abc import Iterator
from typing import IO

_NAME = re.compile(rb"[\x20-\x7e\xa9]{4}")


@dataclasses.dataclass(frozen=True)
class Box:
    """A box: its name, where its content begins, and where it ends (as it says, beyond the file's end or not)."""

    name: bytes
    begin: int
    end: int


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
        yield Box(name, content, place + size)
        place += size


def whole(file: IO[bytes], begin: int, end: int) -> Iterator[Box]:
    """As `walk`, up to the first bytes that are no box or one that ends beyond `end`: decoding tells what is cut."""
    with contextlib.suppress(BrokenError):
        for box in walk(file, begin, end):
            if box.end > end:
                return
            yield box
