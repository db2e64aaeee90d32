"""Whether files that are no more than a row of frames are whole: IVF, YUV4MPEG2 (Y4M), Motion JPEG, and MXF."""

import itertools
import re
import struct
from typing import BinaryIO

_ZEROS = 100  # zero bytes in a row, fewer than a JPEG header has, that coded data hold in a hole or a flat area alone
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of which a picture has one
_UNKNOWN = 0xFFFFFFFF
_PLANES = {"420": (2, 2), "411": (4, 1), "410": (4, 4), "422": (2, 1), "440": (1, 2), "444": (1, 1), "mono": (0, 0)}
_COLOURS = re.compile(r"(420|411|410|422|440|444|mono)(alpha|jpeg|mpeg2|paldv)?(?:p?(\d{1,2}))?")

_KLV = b"\x06\x0e\x2b\x34"
_PARTITION = bytes.fromhex("060e2b34020501010d01020101")
_FOOTER, _INDEX = 4, 17  # kinds of partition pack; the random index pack


def ivf(file: BinaryIO, size: int) -> str | None:
    """Frames with their sizes and ascending times, as many as the header says: a count, or (FFmpeg) a duration."""
    head = file.read(32)
    place = int.from_bytes(head[6:8], "little")
    stated = int.from_bytes(head[24:28], "little")
    if len(head) < 32 or place < 32:
        return "its header is cut off"
    if stated in (0, _UNKNOWN):
        return "it does not say how many frames it has, as one that was not finished"
    times: list[int] = []
    while place < size:
        file.seek(place)
        head = file.read(12)
        length, time = struct.unpack("<IQ", head) if len(head) == 12 else (0, 0)
        if not length or (times and time < times[-1]):
            return f"there is no frame at byte {place}"
        place += 12 + length
        times.append(time)
    if place > size:
        return "its last frame is cut off"
    steps = sorted(b - a for a, b in itertools.pairwise(times) if b > a)
    until = times[-1] - times[0] + 2 * steps[len(steps) // 2] if steps else 2
    if stated > len(times) and (stated > until or not steps):
        return f"it says that it has {stated} frames, and {len(times)} are there"
    return None


def y4m(file: BinaryIO, size: int) -> str | None:
    """Frames of one size, each behind its line. How many there should be is not stated."""
    header = file.readline(1024)
    words = {word[:1]: word[1:] for word in header.decode("latin-1").split()[1:] if word[0] != "X"}
    colours = _COLOURS.fullmatch(words.get("C", "420"))
    try:
        width, height = int(words["W"]), int(words["H"])
    except (KeyError, ValueError):
        return "its header states no size"
    if colours is None or not header.endswith(b"\n") or min(width, height) < 1:
        return "its header cannot be read"
    across, down = _PLANES[colours[1]]
    chroma = 2 * (-(-width // across) * -(-height // down)) if across else 0
    planes = 2 if colours[2] == "alpha" else 1
    length = (planes * width * height + chroma) * (2 if int(colours[3] or 8) > 8 else 1)
    place = len(header)
    while place < size:
        file.seek(place)
        line = file.readline(1024)
        if not (line.startswith((b"FRAME\n", b"FRAME ")) and line.endswith(b"\n")):
            return f"there is no frame at byte {place}"
        place += len(line) + length
    return "its last frame is cut off" if place > size else None


def mjpeg(file: BinaryIO, size: int) -> str | None:
    """Pictures from their first marker to their last, one behind the other, without holes of zeros."""
    place = 0
    while place < size:
        file.seek(place)
        if file.read(2) != b"\xff\xd8":
            return f"there is no picture at byte {place}"
        end = _picture(file, place + 2)
        if isinstance(end, str):
            return end
        place = end
    return None


def _picture(file: BinaryIO, place: int) -> int | str:
    """Where a JPEG picture ends, its first marker read; or what is wrong with it."""
    sized = False
    while True:
        file.seek(place)
        head = file.read(4)
        if head[:2] == b"\xff\xd9":
            return place + 2
        if head[:2] == b"\xff\xff":
            place += 1
            continue
        if len(head) < 4 or head[0] != 0xFF or head[1] < 0xC0 or 0xD0 <= head[1] <= 0xD8:
            return f"there is no marker at byte {place}" if len(head) == 4 else "its last picture is cut off"
        if sized and head[1] in _SIZES:
            return f"a picture ends within another before byte {place}"
        sized = sized or head[1] in _SIZES
        place += 2 + int.from_bytes(head[2:4], "big")
        if head[1] == 0xDA:
            found = _coded(file, place)
            if isinstance(found, str):
                return found
            place = found


def _coded(file: BinaryIO, place: int) -> int | str:
    """Where a JPEG picture's coded data, which begin at a place, give way to a marker that is not part of them."""
    file.seek(place)
    kept = b""
    at = place
    while part := file.read(64 * 1024):
        data = kept + part
        marker = re.search(rb"\xff[^\x00\xd0-\xd7\xff]", data)
        hole = data.find(bytes(_ZEROS), 0, marker.start() if marker else len(data))
        if hole >= 0:
            return f"there are nothing but zeros at byte {at + hole}"
        if marker is not None:
            return at + marker.start()
        at += len(data) - min(len(data), _ZEROS)
        kept = data[-_ZEROS:]
    return "its last picture is cut off"


def mxf(file: BinaryIO, size: int) -> str | None:
    """Keys, lengths and values fill the file (SMPTE ST 377-1), up to its footer partition."""
    place, closed = 0, False
    while place < size:
        file.seek(place)
        head = file.read(25)
        if head[:4] != _KLV or len(head) < 17:
            return f"there is no key at byte {place}"
        closed = closed or (head[:13] == _PARTITION and head[13] in (_FOOTER, _INDEX))
        long = head[16] & 127 if head[16] & 128 else 0
        if head[16] == 128 or long > 8 or len(head) < 17 + long:
            return f"there is no length at byte {place + 16}"
        place += 17 + long + (int.from_bytes(head[17 : 17 + long], "big") if long else head[16])
    if place > size:
        return f"what it holds ends {place - size} bytes behind the file's end"
    return None if closed else "its footer is missing"
