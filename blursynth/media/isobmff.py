"""Boxes, of which JPEG 2000, HEIF, AVIF and MP4 files are made: a size, a name and a content, which may be boxes.

ISO/IEC 14496-12, 4.2, and ISO/IEC 15444-1, annex I.4.
"""

import dataclasses
import struct
from collections.abc import Iterator
from typing import IO


@dataclasses.dataclass(frozen=True)
class Box:
    """name: four bytes. start, end: where its content lies in the file."""

    name: bytes
    start: int
    end: int


def boxes(file: IO[bytes], start: int, end: int) -> Iterator[Box]:
    """The boxes that lie one after another from `start` to `end`; ends early where one says a size it cannot have."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name = struct.unpack_from(">I4s", head)
        content = start + 8
        if size == 1 and len(head) == 16:
            size, content = struct.unpack_from(">Q", head, 8)[0], start + 16
        elif size == 0:
            size = end - start
        if not content - start <= size <= end - start:
            return
        yield Box(name, content, start + size)
        start += size
