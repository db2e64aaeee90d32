"""Whether MPEG program streams (MPG, VOB) are whole (ISO/IEC 11172-1, 13818-1)."""

import re
from typing import BinaryIO

_ZEROS = 64  # zero bytes in a row between packets, and bytes of one value within coded pictures, that are no stuffing
_HOLE = re.compile(rb"\x00{%d,}(?!\x00)" % _ZEROS)
_SEQUENCE = b"\0\0\1\xb3"  # with which MPEG-1 and -2 video begins
_ONES = b"\xff" * _ZEROS  # whose blocks each end with a zero bit after 64 codes of three bits at most
_LAST_SLICE, _END, _PACK = 0xAF, 0xB9, 0xBA
NOT_ENDED = (
    "it does not end with its end code (00 00 01 B9), so what is missing at its end would go unseen. Remux it to "
    "Matroska (ffmpeg -i IN -c copy OUT.mkv) if you know it to be whole"
)


def flaw(file: BinaryIO, size: int) -> str | None:
    """What shows that a stream is damaged; NOT_ENDED where it may go on; None where nothing does.

    Packs and packets follow one another, with few zeros between them, and coded pictures have no holes.
    """
    place, ended = 0, False
    pictures: dict[int, _Pictures] = {}
    while place < size:
        file.seek(place)
        head = file.read(_ZEROS + 4)
        if head[:3] != b"\0\0\1" or len(head) < 4:
            zeros = len(head) - len(head.lstrip(b"\0"))
            if place + zeros == size and zeros <= _ZEROS:
                break
            if not 3 <= zeros <= _ZEROS + 2 or head[zeros : zeros + 1] != b"\1":
                return f"there is no packet at byte {place}"
            place += zeros - 2
            continue
        code = head[3]
        if code < _END:
            return f"there is no packet at byte {place}"
        if code == _END:
            end = place + 4
        elif code == _PACK:
            end = place + (14 + (head[13] & 7) if len(head) > 13 and head[4] >> 6 == 1 else 12)
        else:
            end = place + 6 + int.from_bytes(head[4:6], "big")
            if code >> 4 == 0xE:
                file.seek(place + 6)
                found = pictures.setdefault(code, _Pictures()).flaw(file.read(end - place - 6))
                if found is not None:
                    return f"the packet at byte {place} {found}"
        place, ended = end, code == _END
    if place > size:
        return "its last packet is cut off"
    if any(each.waiting for each in pictures.values()):
        return "its last pictures end in a hole of zeros"
    return None if ended else NOT_ENDED


class _Pictures:
    """Coded pictures of a stream, packet by packet."""

    def __init__(self) -> None:
        self._mpeg: bool | None = None  # 1 or 2, whose pictures hold no run of ones
        self.waiting = False  # whether the last packet ended with zeros that a start code has to follow

    def flaw(self, packet: bytes) -> str | None:
        data = packet[_header(packet) :]
        if self._mpeg is None and data:
            self._mpeg = data.lstrip(b"\0").startswith(_SEQUENCE.lstrip(b"\0"))
        holes = [(hole.start(), hole.end()) for hole in _HOLE.finditer(data)]
        if self.waiting and data:
            zeros = len(data) - len(data.lstrip(b"\0"))
            holes.append((0, zeros))
        self.waiting = any(stop == len(data) for _, stop in holes) if data else self.waiting
        if any(stop < len(data) and not self._may_follow(data[stop : stop + 2]) for _, stop in holes):
            return "has a hole of zeros"
        return "has a hole of ones" if self._mpeg and _ONES in data else None

    def _may_follow(self, code: bytes) -> bool:
        """Whether these bytes may follow a row of zeros: a start code, but that of a slice within a picture."""
        return code[0] == 1 and not (self._mpeg and code[1:] and 1 <= code[1] <= _LAST_SLICE)


def _header(packet: bytes) -> int:
    """Bytes of a packet's own header, its code and length not counted (13818-1, 2.4.3.6; 11172-1, 2.4.3.3)."""
    if packet[:1] and packet[0] >> 6 == 2:
        return 3 + packet[2] if len(packet) > 2 else len(packet)
    at = len(packet) - len(packet.lstrip(b"\xff"))
    if at < len(packet) and packet[at] >> 6 == 1:
        at += 2
    if at < len(packet):
        at += {2: 5, 3: 10}.get(packet[at] >> 4, 1)
    return at
