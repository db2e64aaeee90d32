"""Boxes of MP4 and QuickTime files (ISO/IEC 14496-12): what FFmpeg does not pass on, and whether a file is whole."""

import io
import itertools
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from blursynth.media import isobmff

_LARGEST = 64 * 2**20  # bytes of a box that is read into memory
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf"})
# What stands at the top of such files; anything else there is damage unless all media came before it.
_TOP = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"meta", b"sidx"}
    | {b"ssix", b"mfra", b"emsg", b"prft", b"udta", b"pdin", b"bloc", b"imda", b"meco", b"PICT"}
)
_VISUAL = 78  # bytes of a visual sample entry before its own boxes

# Samsung's recording modes of constant rate (androidx.media3, SmtaAtomUtil).
_SAMSUNG = {12: 240.0, 13: 120.0}
_SONY = re.compile(rb'captureFps="([^"]{1,20})"')


def flaw(file: BinaryIO, size: int) -> str | None:
    """What shows that an MP4 or QuickTime file is damaged or ends early; None where nothing does."""
    names: list[bytes] = []
    try:
        for box in isobmff.walk(file, 0, size):
            if box.end > size:
                return f"its box {box.name.decode('latin-1')} ends {box.end - size} bytes behind the file's end"
            names.append(box.name)
            if box.name in _CONTAINERS:
                _require_tiled(file, box)
        _require_equal_tables(file, size)
    except isobmff.BrokenError as error:
        if b"moov" not in names or b"mdat" not in names or b"moof" in names:
            return str(error)
        # What cameras append to a complete file is not ours to judge.
    except (struct.error, RecursionError):
        return "its boxes cannot be read"
    return _fragments(file, size) if b"moof" in names else None


def _require_tiled(file: BinaryIO, box: isobmff.Box, depth: int = 0) -> None:
    """Boxes within boxes fill them. Raises isobmff.BrokenError."""
    for inner in isobmff.walk(file, box.begin, box.end):
        if inner.end > box.end:
            name = inner.name.decode("latin-1")
            raise isobmff.BrokenError(f"the box {name} at byte {inner.begin - 8} is larger than what it is in")
        if inner.name in _CONTAINERS and depth < 8:
            _require_tiled(file, inner, depth + 1)


def _require_equal_tables(file: BinaryIO, size: int) -> None:
    """A picture track has as many times as sizes of frames. Raises isobmff.BrokenError."""
    for table in _inside(file, isobmff.Box(b"", 0, size), (b"moov", b"trak", b"mdia", b"minf")):
        if not any(box.name == b"vmhd" for box in isobmff.walk(file, table.begin, table.end)):
            continue
        for inside in _inside(file, table, (b"stbl",)):
            tables = {box.name: _content(file, box) for box in isobmff.walk(file, inside.begin, inside.end)}
            if b"stsz" not in tables or b"stts" not in tables:
                continue
            sizes = struct.unpack(">I", tables[b"stsz"][8:12])[0]
            runs = tables[b"stts"][8:]
            times = sum(run for run, _ in struct.iter_unpack(">II", runs[: len(runs) // 8 * 8]))
            if sizes != times:
                raise isobmff.BrokenError(f"its tables list {sizes} sizes and {times} times of frames")


def _fragments(file: BinaryIO, size: int) -> str | None:
    """Each `moof` is followed by its `mdat`, and their numbers by one another."""
    numbers: list[int] = []
    waiting = False
    for box in isobmff.walk(file, 0, size):
        if box.name == b"moof":
            if waiting:
                return f"the data of fragment {numbers[-1]} are missing"
            waiting = True
            heads = [_content(file, inner) for inner in isobmff.walk(file, box.begin, box.end) if inner.name == b"mfhd"]
            numbers += [struct.unpack(">I", head[4:8])[0] for head in heads]
        elif box.name == b"mdat":
            if not waiting and numbers:
                return f"data at byte {box.begin} belong to no fragment"
            waiting = False
        elif box.name not in _TOP:
            return f"the box {box.name.decode('latin-1')} at byte {box.begin - 8} is none that is known"
    if waiting:
        return f"the data of the last fragment, {numbers[-1] if numbers else '?'}, are missing"
    gap = next((a for a, b in itertools.pairwise(numbers) if b != a + 1), None)
    return None if gap is None else f"what follows fragment {gap} is missing"


def capture_rate(file: BinaryIO, size: int) -> tuple[str, str] | None:
    """The rate at which a camera recorded, as it wrote it, and where; None without one.

    Samsung's `smta` box, and Sony's XML (`captureFps="239.76p"`) in a `meta` box at the top.
    """
    try:
        for box in isobmff.walk(file, 0, size):
            if box.name == b"moov":
                for inner in isobmff.walk(file, box.begin, box.end):
                    if inner.name == b"udta":
                        for part in isobmff.walk(file, inner.begin, inner.end):
                            rate = _samsung(_content(file, part)) if part.name == b"smta" else None
                            if rate is not None:
                                return str(rate), "smta"
            elif box.name == b"meta":
                stated = _SONY.search(_content(file, box))
                if stated:
                    return stated[1].decode("latin-1").rstrip("pi"), "captureFps"
    except (isobmff.BrokenError, struct.error):
        return None
    return None


def _samsung(content: bytes) -> float | None:
    """The rate in a `smta` box: a recording mode in `saut`, and for one of them the rate itself in `srfr`."""
    at = content.find(b"saut")
    if at < 4 or len(content) < at + 12:
        return None
    pairs = dict(zip(content[at + 8 : at + 12 : 2], content[at + 9 : at + 12 : 2], strict=False))
    mode = pairs.get(0)
    if mode == 21:
        rate = content.find(b"srfr", at)
        return None if rate < 0 else float(struct.unpack(">I", content[rate + 4 : rate + 8])[0] / 65536)
    return _SAMSUNG.get(mode) if mode is not None else None


def crops(file: BinaryIO, size: int) -> list[tuple[int, int, int, int]]:
    """For each picture track with a clean aperture (`clap`): coded width and height, and those of the aperture.

    Apertures are rounded; QuickTime and ISO/IEC 14496-12, 12.1.4.
    """
    cropped = []
    try:
        for entry in _visual_entries(file, size):
            width, height = struct.unpack(">HH", entry[24:28])
            at = entry.find(b"clap", _VISUAL)
            if at >= 0 and len(entry) >= at + 36:
                a, b, c, d = struct.unpack(">4I", entry[at + 4 : at + 20])
                if b and d:
                    cropped.append((width, height, round(a / b), round(c / d)))
    except (isobmff.BrokenError, struct.error):
        return []
    return cropped


def edits(file: BinaryIO, size: int) -> list[list[tuple[int, int]]]:
    """For each picture track with an edit list: where in the media each edit begins, and its rate in 1 / 65536.

    Empty edits, which only delay a track, are left out. ISO/IEC 14496-12, 8.6.6.
    """
    found = []
    try:
        for track in _inside(file, isobmff.Box(b"", 0, size), (b"moov", b"trak")):
            if not any(True for media in _inside(file, track, (b"mdia", b"minf", b"vmhd"))):
                continue
            for box in _inside(file, track, (b"edts", b"elst")):
                content = _content(file, box)
                entry = struct.Struct(">QqI" if content[0] else ">IiI")
                count = min(struct.unpack(">I", content[4:8])[0], (len(content) - 8) // entry.size)
                listed = [entry.unpack_from(content, 8 + k * entry.size) for k in range(count)]
                found.append([(begin, rate) for _, begin, rate in listed if begin != -1])
    except (isobmff.BrokenError, struct.error, IndexError):
        return []
    return found


def said(file: BinaryIO, size: int) -> list[dict[bytes, list[bytes]]]:
    """For each sample entry of the picture tracks: contents of its own boxes by name, such as `colr`."""
    found = []
    try:
        for entry in _visual_entries(file, size):
            inside = io.BytesIO(entry)
            boxes: dict[bytes, list[bytes]] = {}
            for box in isobmff.whole(inside, _VISUAL, len(entry)):
                boxes.setdefault(box.name, []).append(entry[box.begin : box.end])
            found.append(boxes)
    except (isobmff.BrokenError, struct.error):
        return found
    return found


def _visual_entries(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Contents of the sample entries of picture tracks."""
    for path in _inside(file, isobmff.Box(b"", 0, size), (b"moov", b"trak", b"mdia", b"minf")):
        names = {box.name: box for box in isobmff.walk(file, path.begin, path.end)}
        if b"vmhd" not in names:
            continue
        for table in _inside(file, path, (b"stbl", b"stsd")):
            for entry in isobmff.walk(file, table.begin + 8, table.end):
                yield _content(file, entry)


def _inside(file: BinaryIO, box: isobmff.Box, names: tuple[bytes, ...]) -> Iterator[isobmff.Box]:
    if not names:
        yield box
        return
    for inner in isobmff.walk(file, box.begin, box.end):
        if inner.name == names[0]:
            yield from _inside(file, inner, names[1:])


def _content(file: BinaryIO, box: isobmff.Box) -> bytes:
    file.seek(box.begin)
    return file.read(max(0, min(box.end - box.begin, _LARGEST)))
