"""Whether MP4 and QuickTime files are whole (ISO/IEC 14496-12)."""

import struct
from typing import BinaryIO

from blursynth.media import isobmff, mp4_fragments

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf"})


def flaw(file: BinaryIO, size: int) -> str | None:
    """What shows that an MP4 or QuickTime file is damaged or ends early; None where nothing does."""
    top: list[isobmff.Box] = []
    try:
        for box in isobmff.walk(file, 0, size):
            if box.end > size:
                return f"its box {box.name.decode('latin-1')} ends {box.end - size} bytes behind the file's end"
            top.append(box)
    except isobmff.BrokenError as error:
        names = {box.name for box in top}
        if not names >= {b"moov", b"mdat"} or b"moof" in names:
            return str(error)
        # What cameras append to a complete file is not ours to judge.
    whole = isobmff.Box(b"", 0, top[-1].end if top else 0)
    try:
        for box in top:
            if box.name in _CONTAINERS:
                _require_tiled(file, box)
        _require_equal_tables(file, whole)
        return mp4_fragments.flaw(file, whole) if mp4_fragments.are_in(file, whole) else None
    except isobmff.BrokenError as error:
        return str(error)
    except (struct.error, LookupError, ArithmeticError, RecursionError):
        return "its boxes cannot be read"


def _require_tiled(file: BinaryIO, box: isobmff.Box, depth: int = 0) -> None:
    """Boxes within boxes fill them. Raises isobmff.BrokenError."""
    for inner in isobmff.walk(file, box.begin, box.end):
        if inner.end > box.end:
            name = inner.name.decode("latin-1")
            raise isobmff.BrokenError(f"the box {name} at byte {inner.place} is larger than what it is in")
        if inner.name in _CONTAINERS and depth < 8:
            _require_tiled(file, inner, depth + 1)


def _require_equal_tables(file: BinaryIO, whole: isobmff.Box) -> None:
    """A picture track has as many times as sizes of frames. Raises isobmff.BrokenError."""
    for media in isobmff.inside(file, whole, (b"moov", b"trak", b"mdia")):
        handlers = [isobmff.content(file, box)[8:12] for box in isobmff.inside(file, media, (b"hdlr",))]
        if b"vide" not in handlers:
            continue
        for table in isobmff.inside(file, media, (b"minf", b"stbl")):
            tables = {box.name: isobmff.content(file, box) for box in isobmff.walk(file, table.begin, table.end)}
            if b"stsz" not in tables or b"stts" not in tables:
                continue
            sizes = struct.unpack(">I", tables[b"stsz"][8:12])[0]
            runs = tables[b"stts"][8:]
            times = sum(run for run, _ in struct.iter_unpack(">II", runs[: len(runs) // 8 * 8]))
            if sizes != times:
                raise isobmff.BrokenError(f"its tables list {sizes} sizes and {times} times of frames")
