"""Boxes of MP4 files for tests, taken apart and put together again (ISO/IEC 14496-12, 4.2)."""

import pathlib
import struct
from collections.abc import Callable
from typing import Any

import av

Boxes = list[Any]  # of [name, content], where a content is bytes or Boxes again
HOLD = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"mvex", b"mfra")
ENTRY = 78  # bytes of a visual sample entry before its own boxes
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def boxes(data: bytes) -> Boxes:
    made: Boxes = []
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + size]
        made.append([name, boxes(content) if name in HOLD else content])
        at += size
    return made


def joined(parts: Boxes) -> bytes:
    made = b""
    for name, content in parts:
        inside = joined(content) if isinstance(content, list) else content
        made += struct.pack(">I4s", 8 + len(inside), name) + inside
    return made


def find(parts: Boxes, *names: bytes, number: int = 0) -> Any:
    """A box at the end of a path, the number-th of its first name."""
    found = [box for box in parts if box[0] == names[0]][number]
    return find(found[1], *names[1:]) if names[1:] else found


def track(parts: Boxes, number: int = 0) -> Boxes:
    """What the number-th `trak` holds."""
    return find(find(parts, b"moov")[1], b"trak", number=number)[1]


def changed(path: pathlib.Path, change: Callable[[Boxes], Any]) -> pathlib.Path:
    """The file with its boxes changed in place; its frames stand before `moov`, so that they do not move."""
    parts = boxes(path.read_bytes())
    change(parts)
    path.write_bytes(joined(parts))
    return path


def edit_list(*edits: tuple[int, int, float], version: int = 0, count: int | None = None) -> Boxes:
    """An `elst` box: duration and begin in units, media rate."""
    layout = ">QqI" if version else ">IiI"
    body = b"".join(struct.pack(layout, length, begin, round(rate * 65536)) for length, begin, rate in edits)
    return [b"elst", struct.pack(">II", version << 24, len(edits) if count is None else count) + body]


def set_edits(inside: Boxes, *lists: Boxes) -> None:
    """Give a track these edit lists alone."""
    inside[:] = [box for box in inside if box[0] != b"edts"]
    inside.insert(1, [b"edts", list(lists)])


def add_to_entry(inside: Boxes, *more: Boxes, remove: tuple[bytes, ...] = ()) -> None:
    """Put boxes behind those of a track's sample entry."""
    table = find(inside, b"mdia", b"minf", b"stbl", b"stsd")
    size, name = struct.unpack_from(">I4s", table[1], 8)
    entry = table[1][16 : 8 + size]
    kept = [box for box in boxes(entry[ENTRY:]) if box[0] not in remove]
    body = entry[:ENTRY] + joined([*kept, *more])
    table[1] = table[1][:8] + struct.pack(">I4s", 8 + len(body), name) + body


def keyed(*items: tuple[bytes, int, bytes], full: bool = False) -> Boxes:
    """A `meta` box of QuickTime's (or ISO's) with these keys, and values with their type."""
    names = b"".join(struct.pack(">I4s", 8 + len(key), b"mdta") + key for key, _, _ in items)
    values = b""
    for k, (_, kind, value) in enumerate(items):
        data = struct.pack(">I4sII", 16 + len(value), b"data", kind, 0) + value
        values += struct.pack(">II", 8 + len(data), k + 1) + data
    handler, listed = [b"hdlr", bytes(8) + b"mdta" + bytes(12)], struct.pack(">II", 0, len(items)) + names
    inner = joined([handler, [b"keys", listed], [b"ilst", values]])
    return [b"meta", (bytes(4) if full else b"") + inner]


def remuxed(source: pathlib.Path, path: pathlib.Path, options: dict[str, str]) -> pathlib.Path:
    """The same packets in another file."""
    with av.open(str(source)) as given, av.open(str(path), "w", options=options) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return path
