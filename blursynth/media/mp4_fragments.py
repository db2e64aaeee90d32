"""Fragments of MP4 and QuickTime files (ISO/IEC 14496-12, 8.8 and 8.16): whether all of them are there."""

import dataclasses
import fractions
import itertools
import struct
from collections.abc import Iterator
from typing import BinaryIO

from blursynth.media import isobmff, mp4_tracks

UNKNOWN = (
    "it is a fragmented file without a list of its fragments (the box mfra, or one sidx of all) or their duration "
    "(mehd), so fragments missing at its end would go unseen. Remux it if you know it to be whole: ffmpeg -i IN -c "
    "copy OUT.mp4"
)
# What stands at the top of such files; anything else there is damage.
_TOP = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"meta", b"sidx"}
    | {b"ssix", b"mfra", b"emsg", b"prft", b"udta", b"pdin", b"bloc", b"imda", b"meco", b"PICT"}
)
# Bytes of a tfhd's and a trun's optional fields, by flag, in their order.
_TRACK_FIELDS = ((0x1, 8), (0x2, 4))
_DEFAULT_DURATION = 0x8
_RUN_FIELDS = ((0x1, 4), (0x4, 4))
_SAMPLE_DURATION, _SAMPLE_FIELDS = 0x100, (0x100, 0x200, 0x400, 0x800)


def are_in(file: BinaryIO, whole: isobmff.Box) -> bool:
    """Whether a file is, or announces to be, in fragments."""
    return any(any(isobmff.inside(file, whole, path)) for path in ((b"moof",), (b"moov", b"mvex")))


def flaw(file: BinaryIO, whole: isobmff.Box) -> str | None:
    """What shows that fragments are damaged or missing, None where nothing does; UNKNOWN where nothing could.

    Each `moof` is followed by its `mdat`, and their numbers by one another, from 0 or 1. What the file says of all of
    them is compared: the places in `mfra`, the sizes in `sidx`, the duration in `mehd`.
    """
    numbers: list[int] = []
    places: list[int] = []
    waiting = False
    for box in isobmff.walk(file, whole.begin, whole.end):
        if box.name == b"moof":
            if waiting:
                return f"the data of fragment {numbers[-1]} are missing"
            waiting = True
            heads = [isobmff.content(file, each) for each in isobmff.inside(file, box, (b"mfhd",))]
            numbers += [struct.unpack(">I", head[4:8])[0] for head in heads]
            places.append(box.place)
        elif box.name == b"mdat":
            if not waiting and numbers:
                return f"data at byte {box.begin} belong to no fragment"
            waiting = False
        elif box.name not in _TOP:
            return f"the box {box.name.decode('latin-1')} at byte {box.place} is none that is known"
    if waiting:
        return f"the data of the last fragment, {numbers[-1] if numbers else '?'}, are missing"
    if numbers and numbers[0] > 1:
        return f"its first fragment has the number {numbers[0]}, so those before it are missing"
    gap = next((a for a, b in itertools.pairwise(numbers) if b != a + 1), None)
    if gap is not None:
        return f"what follows fragment {gap} is missing"
    return _end(file, whole, places)


def _end(file: BinaryIO, whole: isobmff.Box, places: list[int]) -> str | None:
    """Whether the last fragment is the last: None where something says so, UNKNOWN where nothing does."""
    listed = [place for box in isobmff.inside(file, whole, (b"mfra", b"tfra")) for place in _listed(file, box)]
    missing = next((place for place in listed if place not in places), None)
    if missing is not None:
        return f"its list of fragments (mfra) names one at byte {missing}, where none begins"
    indices = list(isobmff.inside(file, whole, (b"sidx",)))
    ends = [_indexed_end(file, box) for box in indices]
    beyond = next((end for _, end in ends if end > whole.end), None)
    if beyond is not None:
        return f"its index (sidx) lists fragments up to byte {beyond}, and the file ends at {whole.end}"
    stated, there, step = _durations(file, whole)
    if stated and there + step < stated:
        return f"it says (mehd) that it lasts {float(stated):.3f} s, and its fragments last {float(there):.3f} s"
    indexed = len(ends) == 1 and ends[0][0] > 1 and all(place < ends[0][1] for place in places)
    return None if listed or stated or indexed else UNKNOWN


def _listed(file: BinaryIO, box: isobmff.Box) -> Iterator[int]:
    """Where fragments begin, by a `tfra` box."""
    data = isobmff.content(file, box)
    lengths, count = struct.unpack(">II", data[8:16])
    kind = ">QQ" if data[0] else ">II"
    step = struct.calcsize(kind) + sum(1 + (lengths >> shift & 3) for shift in (0, 2, 4))
    for k in range(count):
        yield struct.unpack_from(kind, data, 16 + k * step)[1]


def _indexed_end(file: BinaryIO, box: isobmff.Box) -> tuple[int, int]:
    """How many parts a `sidx` box refers to, and where the last of them ends."""
    data = isobmff.content(file, box)
    kind = ">QQHH" if data[0] else ">IIHH"
    _, first, _, count = struct.unpack_from(kind, data, 12)
    at = 12 + struct.calcsize(kind)
    sizes = (struct.unpack_from(">I8x", data, at + 12 * k)[0] & 0x7FFFFFFF for k in range(count))
    return count, box.end + first + sum(sizes)


@dataclasses.dataclass
class _Length:
    """Of a track: units a second, units that a sample lasts where nothing else is said, and what is there."""

    timescale: int
    usual: int = 0
    samples: int = 0
    units: int = 0


def _durations(file: BinaryIO, whole: isobmff.Box) -> tuple[fractions.Fraction, fractions.Fraction, fractions.Fraction]:
    """How long a file in fragments says that it lasts (0: nothing), how long its longest track does, and a tolerance.

    In s. The tolerance is half a sample, and a unit of the movie's time.
    """
    stated = [isobmff.content(file, box) for box in isobmff.inside(file, whole, (b"moov", b"mvex", b"mehd"))]
    length = int.from_bytes(stated[0][4:12] if stated[0][0] else stated[0][4:8], "big") if stated else 0
    if not length:
        return (fractions.Fraction(0),) * 3
    unit = fractions.Fraction(1, mp4_tracks.timescale(file, whole, (b"moov", b"mvhd")))
    tracks = _tracks(file, whole)
    for box in isobmff.inside(file, whole, (b"moof", b"traf")):
        _add(file, box, tracks)
    there = {fractions.Fraction(each.units, each.timescale): each for each in tracks.values()}
    longest = max(there, default=fractions.Fraction(0))
    step = longest / max(1, there[longest].samples) if there else fractions.Fraction(0)
    return length * unit, longest, step / 2 + unit


def _tracks(file: BinaryIO, whole: isobmff.Box) -> dict[int, _Length]:
    """Those of `moov`, with the samples that it lists itself."""
    tracks: dict[int, _Length] = {}
    for box in isobmff.inside(file, whole, (b"moov", b"trak")):
        number = mp4_tracks.number(file, box)
        tracks[number] = _Length(mp4_tracks.timescale(file, box, (b"mdia", b"mdhd")))
        for table in isobmff.inside(file, box, (b"mdia", b"minf", b"stbl", b"stts")):
            runs = isobmff.content(file, table)[8:]
            for count, duration in struct.iter_unpack(">II", runs[: len(runs) // 8 * 8]):
                tracks[number].samples += count
                tracks[number].units += count * duration
    for box in isobmff.inside(file, whole, (b"moov", b"mvex", b"trex")):
        number, _, duration = struct.unpack(">III", isobmff.content(file, box)[4:16])
        if number in tracks:
            tracks[number].usual = duration
    return tracks


def _add(file: BinaryIO, box: isobmff.Box, tracks: dict[int, _Length]) -> None:
    """Add the samples of a `traf` box to its track."""
    head = isobmff.content(file, isobmff.first(file, box, (b"tfhd",)))
    flags, number = struct.unpack(">II", head[:8])
    track = tracks[number]
    at = 8 + sum(length for flag, length in _TRACK_FIELDS if flags & flag)
    usual = struct.unpack_from(">I", head, at)[0] if flags & _DEFAULT_DURATION else track.usual
    for run in isobmff.inside(file, box, (b"trun",)):
        data = isobmff.content(file, run)
        flags, count = struct.unpack(">II", data[:8])
        at = 8 + sum(length for flag, length in _RUN_FIELDS if flags & flag)
        step = 4 * sum(bool(flags & flag) for flag in _SAMPLE_FIELDS)
        track.samples += count
        if flags & _SAMPLE_DURATION:
            track.units += sum(struct.unpack_from(">I", data, at + k * step)[0] for k in range(count))
        else:
            track.units += count * usual
