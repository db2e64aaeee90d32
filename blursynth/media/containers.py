"""Whether a video file is whole, as far as its container can tell; FFmpeg's readers skip what is damaged in silence.

Each check reads the structure of the whole file. What a container does not state cannot be checked: a stream (H.264,
HEVC, MJPEG, Y4M, MPEG transport) that was cut between two frames or packets looks like one that ends there. Containers
that are not known here are named as such, because damage of theirs would lose frames in silence.
"""

import itertools
import pathlib
import re
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy
import numpy.typing

from blursynth.media import asf, ebml, mp4_boxes, program_stream, simple_streams

_AT_ONCE = 8 * 2**20  # bytes read at a time
_TS_SIZES = ((188, 0), (192, 4), (204, 0))  # bytes of a packet, and of what stands before its sync byte
_ZEROS = 64  # zero bytes in a row that stand nowhere between the units of a raw stream but in a hole
_TS_SYNC, _TS_NULL = 0x47, 0x1FFF
_BOXES = frozenset(
    {b"ftyp", b"moov", b"mdat", b"styp", b"wide", b"free", b"skip", b"pnot", b"moof", b"sidx", b"udta", b"uuid"}
    | {b"jP  ", b"junk", b"PICT"}
)
# A first unit of H.264 (information, parameters, delimiter), HEVC (parameters, delimiter, information) or VVC. MPEG-1,
# -2 and -4 and VC-1 begin with other codes, and have no rule of bytes that cannot stand in them.
_UNIT = re.compile(
    rb"\x00{2,3}\x01(?:[\x06\x26\x46\x66\x07\x27\x47\x67\x09\x29\x40\x42\x44\x4e]|\x00[\x61\x69\x71\x79\xa1])"
)
UNKNOWN = (
    "FFmpeg reads it, but its container is of a kind that cannot be checked for damage here, and frames that it lost "
    "would go unseen. Remux it to MP4 or Matroska (ffmpeg -i IN -c copy OUT.mkv) if you know it to be whole"
)
_AVI_CHUNK = re.compile(rb"[\x20-\x7e]{4}")
_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def flaw(path: pathlib.Path) -> str | None:
    """What shows that a video file is damaged or ends early, as it stands after its name; None where nothing does.

    Knows MP4, QuickTime, fragmented MP4, Matroska, WebM, AVI, FLV, MPEG transport and program streams, Ogg, ASF (WMV),
    MXF, IVF, Y4M, and raw MJPEG, H.264, HEVC and VVC; UNKNOWN for any other. Raises the operating system's errors
    (OSError).
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(1024)
        file.seek(0)
        check = _check(head)
        if check is not None:
            return check(file, size)
        if _UNIT.match(head):
            return _annex_b(file)
        for length, before in _TS_SIZES:
            if head[before::length] and all(byte == _TS_SYNC for byte in head[before::length]) and size > 2 * length:
                return _transport_stream(file, length, before)
    return UNKNOWN


def _check(head: bytes) -> Callable[[BinaryIO, int], str | None] | None:
    """What checks a file that begins so, where its size is all that the check needs to be told."""
    if head[4:8] in _BOXES:
        return mp4_boxes.flaw
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        return _avi
    begins = {
        b"\x1a\x45\xdf\xa3": ebml.flaw,
        b"FLV": _flv,
        b"OggS": _ogg,
        asf.HEADER: asf.flaw,
        b"\0\0\1\xba": program_stream.flaw,
        b"DKIF": simple_streams.ivf,
        b"YUV4MPEG2 ": simple_streams.y4m,
        b"\xff\xd8\xff": simple_streams.mjpeg,
        b"\x06\x0e\x2b\x34": simple_streams.mxf,
    }
    return next((check for begin, check in begins.items() if head.startswith(begin)), None)


def _avi(file: BinaryIO, size: int) -> str | None:
    """RIFF chunks follow one another, and as many frames as the index lists, or, without one, as the headers state."""
    place = listed = 0
    chunks: dict[bytes, int] = {}
    stated: dict[bytes, int] = {}
    last = b""
    while place < size:
        file.seek(place)
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF":
            return None if place and not head.strip(b"\0") else f"there is no RIFF chunk at byte {place}"
        end = place + 8 + struct.unpack("<I", head[4:8])[0]
        if end > size:
            return f"its RIFF chunk ends {end - size} bytes behind the file's end"
        inside = place + 12
        while inside + 8 <= end:
            file.seek(inside)
            name, length = struct.unpack("<4sI", file.read(8))
            if not _AVI_CHUNK.fullmatch(name):
                return f"there is no chunk at byte {inside}"
            follows = inside + 8 + length + (length & 1)
            if follows > end + 1:
                return f"the chunk {name.decode('latin-1')} at byte {inside} is larger than what it is in"
            last = name
            if name == b"LIST":
                last = file.read(4)
                if last in (b"movi", b"rec "):
                    inside += 12
                    continue
                stated |= _avi_lengths(file.read(min(length, _AT_ONCE))) if last == b"hdrl" else {}
            if name[2:] in (b"dc", b"db", b"wb"):
                chunks[name[:2]] = chunks.get(name[:2], 0) + 1
            listed += length // 16 if name == b"idx1" else 0
            inside = follows
        place = end + (end & 1)
    if last == b"movi" or not chunks:
        return "it ends within its frames"
    there = sum(chunks.values())
    if listed > there:
        return f"its index lists {listed} chunks, and {there} are there"
    short = next((stream for stream, count in stated.items() if not listed and count > chunks.get(stream, 0)), None)
    if short is None:
        return None
    return f"it says that it has {stated[short]} frames, and {chunks.get(short, 0)} are there"


def _avi_lengths(headers: bytes) -> dict[bytes, int]:
    """How many frames the headers (the list hdrl) state for each picture stream, by its number as chunks have it."""
    streams = (headers[at.end() + 4 :] for at in re.finditer(rb"LIST.{4}strlstrh", headers, re.DOTALL))
    lengths = {b"%02d" % k: (header[:4], int.from_bytes(header[32:36], "little")) for k, header in enumerate(streams)}
    return {stream: length for stream, (kind, length) in lengths.items() if kind == b"vids"}


def _flv(file: BinaryIO, size: int) -> str | None:
    """Tags, each followed by its own length; and the file's length in its metadata, or else its duration."""
    head = file.read(4096)
    length, duration = (_flv_number(head, name) for name in (b"filesize", b"duration"))
    if length > size:
        return f"it says that it has {length:.0f} bytes, and {size} are there"
    place = struct.unpack(">I", head[5:9])[0] + 4
    times: list[int] = []
    while place < size:
        file.seek(place)
        tag = file.read(16)
        if len(tag) < 11 or tag[0] & 0x1F not in (8, 9, 18):
            return f"there is no tag at byte {place}"
        if tag[0] & 0x1F == 9:
            times.append(_flv_time(tag))
        end = 11 + int.from_bytes(tag[1:4], "big")
        file.seek(place + end)
        behind = file.read(4)
        if len(behind) < 4:
            return "its last tag is cut off"
        if int.from_bytes(behind, "big") not in (end, 0):
            return f"the tag at byte {place} has another length than it says"
        place += end + 4
    if length == size:
        return None
    if not duration > 0:
        return "it says neither how long nor how large it is, as one that was not finished"
    times.sort()
    steps = sorted(b - a for a, b in itertools.pairwise(times) if b > a)
    until = (times[-1] if times else 0) + 1.5 * (steps[len(steps) // 2] if steps else 0) + 1
    if 1000 * duration <= until:
        return None
    return f"it says that it lasts {duration:.3f} s, and its last frame is of {times[-1] / 1000 if times else 0:.3f} s"


def _flv_number(head: bytes, name: bytes) -> float:
    """A number in a file's metadata, 0 where there is none."""
    at = head.find(name + b"\0") + len(name) + 1
    return struct.unpack(">d", head[at : at + 8])[0] if at > len(name) and len(head) >= at + 8 else 0.0


def _flv_time(tag: bytes) -> int:
    """When the picture in a tag is shown, in ms: H.264 is stored in the order of decoding."""
    time = int.from_bytes(tag[7:8] + tag[4:7], "big")
    delayed = len(tag) > 15 and tag[11] & 0x8F == 7 and tag[12] == 1
    return time + (int.from_bytes(tag[13:16], "big", signed=True) if delayed else 0)


def _ogg(file: BinaryIO, size: int) -> str | None:
    """Pages with their checksums, numbered in each stream, and a last one for each."""
    numbers: dict[int, int] = {}
    ended: set[int] = set()
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return f"there is no page at byte {place}"
        flags, _, serial, number, stated, segments = struct.unpack("<BqIIIB", head[5:27])
        table = file.read(segments)
        body = file.read(sum(table))
        if len(body) < sum(table):
            return "its last page is cut off"
        if _ogg_checksum(head[:22] + bytes(4) + head[26:] + table + body) != stated:
            return f"the page at byte {place} has another checksum than it says"
        if serial in numbers and number != numbers[serial] + 1:
            return f"pages are missing before byte {place}"
        numbers[serial] = number
        if flags & 4:
            ended.add(serial)
        place += 27 + segments + len(body)
    return None if ended >= set(numbers) else "its last page is missing"


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 of polynomial 0x04c11db7, most significant bit first, from zlib's, which is mirrored."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _transport_stream(file: BinaryIO, length: int, before: int) -> str | None:
    """Whole packets with their sync bytes, none marked as damaged, and counted without a gap in each stream."""
    counters: dict[int, int] = {}
    place = 0
    while data := file.read(length * (_AT_ONCE // length)):
        packets = numpy.frombuffer(data[: len(data) // length * length], numpy.uint8).reshape(-1, length)[:, before:]
        wrong = numpy.flatnonzero(packets[:, 0] != _TS_SYNC)
        if wrong.size:
            return f"there is no packet at byte {place + int(wrong[0]) * length}"
        if (packets[:, 1] & 0x80).any():
            return "some of its packets are marked as damaged"
        gap = _gap(packets, counters)
        if gap is not None:
            return f"packets are missing before byte {place + gap * length}"
        if len(data) % length:
            return "its last packet is cut off"
        place += len(data)
    return None


def _gap(packets: numpy.typing.NDArray[numpy.uint8], counters: dict[int, int]) -> int | None:
    """The first packet that does not follow the one before of its stream. counters: of each stream's last packet."""
    streams = (packets[:, 1] & 0x1F).astype(numpy.int32) << 8 | packets[:, 2]
    control = packets[:, 3] >> 4 & 3
    restarts = (control >= 2) & (packets[:, 4] > 0) & (packets[:, 5] & 0x80 > 0)
    for stream in numpy.unique(streams).tolist():
        of = numpy.flatnonzero((streams == stream) & (control & 1 == 1))
        if stream == _TS_NULL or not of.size:
            continue
        counts = (packets[of, 3] & 15).astype(numpy.int32)
        previous = numpy.concatenate([[counters.get(stream, counts[0])], counts[:-1]])
        gap = numpy.flatnonzero(((counts - previous & 15) > 1) & ~restarts[of])
        if gap.size:
            return int(of[gap[0]])
        counters[stream] = int(counts[-1])
    return None


def _annex_b(file: BinaryIO) -> str | None:
    """Within a unit of H.264 or HEVC, two zero bytes are followed by neither a zero nor a two (ITU-T H.264, 7.4.1).

    Zeros between units are allowed, but nothing writes many.
    """
    kept = b""
    while part := file.read(_AT_ONCE):
        data = kept + part
        found = re.search(rb"\x00\x00(?:\x02|\x00+[^\x00\x01])", data)
        if found is not None:
            return f"there are bytes near {file.tell() - len(data) + found.start()} that cannot stand in such a stream"
        hole = data.find(bytes(_ZEROS))
        if hole >= 0:
            return f"there are nothing but zeros near byte {file.tell() - len(data) + hole}"
        kept = bytes(min(_ZEROS - 1, len(data) - len(data.rstrip(b"\0"))))
    return None
