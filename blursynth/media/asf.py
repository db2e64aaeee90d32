"""Packets of ASF (WMV) files: whether a file is whole (Advanced Systems Format, 01.20.05, chapters 3 and 5)."""

import itertools
import struct
from typing import BinaryIO

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_LIVE = 1  # flag: the file was never finished, and its sizes and counts mean nothing
_WIDE = (0, 1, 2, 4)  # bytes of a field of each length type


class _BrokenError(ValueError):
    """A packet that is none; the message says why."""


class _Pieces:
    """Whether payloads follow one another: objects (frames) without a gap, and the parts of each."""

    def __init__(self) -> None:
        self._number: dict[int, int] = {}  # of each stream's object, and how far it has come, and its size
        self._came: dict[int, tuple[int, int]] = {}

    def add(self, stream: int, number: int, offset: int, size: int, length: int) -> None:
        """A part of an object. Raises _BrokenError where it does not follow the one before of its stream."""
        before, (came, whole) = self._number.get(stream), self._came.get(stream, (0, 0))
        if offset:
            follows = number == before and offset == came and size == whole
        else:
            follows = before is None or (came == whole and (number - before) % 256 == 1)
        if not follows or offset + length > size:
            raise _BrokenError("holds a part of a frame that does not follow the one before")
        self._number[stream], self._came[stream] = number, (offset + length, size)

    @property
    def whole(self) -> bool:
        return all(came == size for came, size in self._came.values())


def flaw(file: BinaryIO, size: int) -> str | None:
    """What shows that an ASF file is damaged or ends early; None where nothing does.

    Objects follow one another, the file has the size and the packets that it states, and the payloads in its packets
    are the parts of frames without a gap.
    """
    head = file.read(64 * 1024)
    at = head.find(_FILE)
    if at < 0 or len(head) < at + 100:
        return "its file properties are missing"
    stated, flags, least, most = struct.unpack("<Q40x3I", head[at + 40 : at + 100])
    live = bool(flags & _LIVE)
    if stated > size and not live:
        return f"it says that it has {stated} bytes, and {size} are there"
    place, found = 0, False
    while place < size:
        file.seek(place)
        name, length = file.read(16), file.read(8)
        long = struct.unpack("<Q", length)[0] if len(length) == 8 else 0
        end = size if name == _DATA and live and long < 50 else place + long
        if end < place + 24:
            return f"there is no object at byte {place}"
        if end > size:
            return f"its last object ends {end - size} bytes behind the file's end"
        if name == _DATA:
            found = True
            reason = _packets(file, place, end, most, live) if least == most else "its packets differ in size"
            if reason is not None:
                return reason
        place = end
    return None if found else "its frames are missing"


def _packets(file: BinaryIO, place: int, end: int, length: int, live: bool) -> str | None:
    """A data object's packets, all of one length."""
    file.seek(place + 40)
    head = file.read(10)
    if len(head) < 10 or length < 16 or (end - place - 50) % length:
        return "its last packet is cut off"
    stated, there = struct.unpack("<Q", head[:8])[0], (end - place - 50) // length
    if stated != there and not live:
        return f"it says that it has {stated} packets, and {there} are there"
    pieces = _Pieces()
    for number in range(there):
        try:
            _payloads(file.read(length), pieces)
        except (_BrokenError, struct.error, IndexError) as error:
            why = error if isinstance(error, _BrokenError) else "is none"
            return f"the packet at byte {place + 50 + number * length} {why}"
    return None if pieces.whole else "its last frame is not whole"


class _Fields:
    """Numbers one after the other. Raises IndexError or struct.error behind the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, kind: int) -> int:
        """A number of a length type (0: none, which is 0)."""
        begin, self.at = self.at, self.at + _WIDE[kind]
        if self.at > len(self.data):
            raise IndexError
        return int.from_bytes(self.data[begin : self.at], "little")


def _payloads(data: bytes, pieces: _Pieces) -> None:
    """One packet. Raises _BrokenError, IndexError or struct.error where it is none."""
    fields = _Fields(data)
    if data[0] & 0x80:  # what is for the correction of errors: two zero bytes, where there is any
        if data[0] & 0x7F != 2 or data[1] or data[2]:
            raise _BrokenError("has other error correction data than all have")
        fields.at = 3
    lengths, kinds = fields.take(1), fields.take(1)
    if kinds >> 6 != 1:
        raise _BrokenError("has numbers of streams of another size than a byte")
    size = fields.take(lengths >> 5 & 3) or len(data)
    fields.take(lengths >> 1 & 3)
    padding = fields.take(lengths >> 3 & 3) + len(data) - size
    fields.at += 6  # time and duration
    end = len(data) - padding
    if not lengths & 1:
        _payload(fields, kinds, None, end, pieces)
    else:
        count = fields.take(1)
        for _ in itertools.repeat(None, count & 63):
            _payload(fields, kinds, count >> 6, end, pieces)
    if fields.at != end or padding < 0:
        raise _BrokenError("is not filled by what it holds")


def _payload(fields: _Fields, kinds: int, wide: int | None, end: int, pieces: _Pieces) -> None:
    """One payload. wide: length type of its length; None where it fills the packet."""
    stream = fields.take(1) & 127
    number, offset, repeated = fields.take(kinds >> 4 & 3), fields.take(kinds >> 2 & 3), fields.take(kinds & 3)
    size = None
    if repeated >= 8:
        size = int.from_bytes(fields.data[fields.at : fields.at + 4], "little")
    elif repeated > 1 or not stream:
        raise _BrokenError("has a part that is none")
    fields.at += repeated
    length = end - fields.at if wide is None else fields.take(wide)
    if length < 0 or fields.at + length > end:
        raise _BrokenError("has a part that is larger than the packet")
    if size is not None:  # else several small objects in one
        pieces.add(stream, number & 255, offset, size, length)
    fields.at += length
