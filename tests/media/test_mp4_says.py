"""What only the boxes of MP4 and QuickTime files say, each row of docs/declarations/video.md on a file that has it."""

import pathlib
import struct
from typing import Any

import av
import clip_files
import mp4_files
import numpy as np
import pytest

from blursynth import errors
from blursynth.media import containers, decode, mp4_fragments, picture, video
from blursynth.sources import clip_files as clips

FRAMES = 24
UNIT = 64  # of the media's time, that a frame lasts
EVERY = FRAMES * UNIT
CLAP = [b"clap", struct.pack(">8i", 32, 1, 48, 1, 0, 1, 0, 1)]
PROFILE = [b"colr", b"prof" + bytes(128)]
CAPTURE = b"com.android.capture.fps"


def plain(path: pathlib.Path, **options: Any) -> pathlib.Path:
    """A clip whose movie and media have the same units of time."""
    clip_files.write(path, clip_files.moving(FRAMES), options={"g": "12", "crf": "12"}, **options)

    def same_units(parts: mp4_files.Boxes) -> None:
        head = mp4_files.find(parts, b"moov", b"mvhd")
        head[1] = head[1][:12] + struct.pack(">II", 15360, EVERY) + head[1][20:]
        mp4_files.set_edits(mp4_files.track(parts), mp4_files.edit_list((EVERY, begin_of(parts), 1)))

    return mp4_files.changed(path, same_units)


def begin_of(parts: mp4_files.Boxes) -> int:
    """Where in the media the first frame is shown."""
    return struct.unpack(">i", mp4_files.find(mp4_files.track(parts), b"edts", b"elst")[1][12:16])[0]


@pytest.mark.parametrize("first", [b"ftyp", b"styp", b"udta", b"junk", b"PICT", b"sidx", b"jP  ", b"xxxx", b"skip"])
@pytest.mark.parametrize("kind", [b"vmhd", b"gmhd", b"free"])
def test_parts_are_seen_however_a_file_begins(tmp_path: pathlib.Path, first: bytes, kind: bytes) -> None:
    def change(parts: mp4_files.Boxes) -> None:
        begin, inside = begin_of(parts), mp4_files.track(parts)
        parts[0][0] = first
        mp4_files.find(inside, b"mdia", b"minf", b"vmhd")[0] = kind
        mp4_files.set_edits(inside, mp4_files.edit_list((8 * UNIT, begin, 1), (8 * UNIT, begin + 12 * UNIT, 1)))

    with pytest.raises(errors.InputError):
        video.index(mp4_files.changed(plain(tmp_path / "a.mp4"), change))


@pytest.mark.parametrize("first", [b"styp", b"udta"])
@pytest.mark.parametrize("box", [PROFILE, [b"gama", struct.pack(">I", 65536)], CLAP])
def test_boxes_are_read_however_a_file_begins(tmp_path: pathlib.Path, first: bytes, box: mp4_files.Boxes) -> None:
    def change(parts: mp4_files.Boxes) -> None:
        parts[0][0] = first
        mp4_files.add_to_entry(mp4_files.track(parts), box)

    with pytest.raises(errors.InputError):
        video.index(mp4_files.changed(plain(tmp_path / "a.mp4"), change))


@pytest.mark.parametrize(
    "edits",
    [
        [(EVERY, 0, 1), (5 * UNIT, None, 1)],  # nothing is shown behind a part
        [(5 * UNIT, None, 1), (EVERY, 0, 1), (5 * UNIT, None, 1)],
        [(EVERY, -2 * UNIT, 1)],  # before the media, and no empty edit
        [(EVERY, -2, 1)],
    ],
)
def test_edits_that_are_no_one_part_of_the_media(
    tmp_path: pathlib.Path, edits: list[tuple[int, int | None, int]]
) -> None:
    def change(parts: mp4_files.Boxes) -> None:
        begin = begin_of(parts)
        places = [(length, -1 if at is None else at if at < 0 else begin + at, rate) for length, at, rate in edits]
        mp4_files.set_edits(mp4_files.track(parts), mp4_files.edit_list(*places))

    with pytest.raises(errors.InputError):
        video.index(mp4_files.changed(plain(tmp_path / "a.mp4"), change))


@pytest.mark.parametrize("apart", [False, True])
def test_second_edit_lists_are_refused(tmp_path: pathlib.Path, apart: bool) -> None:
    def change(parts: mp4_files.Boxes) -> None:
        begin, inside = begin_of(parts), mp4_files.track(parts)
        lists = [mp4_files.edit_list((10 * UNIT, begin + at * UNIT, 1)) for at in (0, 12)]
        mp4_files.set_edits(inside, *(lists[:1] if apart else lists))
        if apart:
            inside.insert(1, [b"edts", lists[1:]])

    with pytest.raises(errors.InputError):
        video.index(mp4_files.changed(plain(tmp_path / "a.mp4"), change))


@pytest.mark.parametrize("count", [2, 0x7FFFFFFF])
def test_edit_lists_that_are_cut_off_are_refused(tmp_path: pathlib.Path, count: int) -> None:
    def change(parts: mp4_files.Boxes) -> None:
        mp4_files.set_edits(mp4_files.track(parts), mp4_files.edit_list((EVERY, begin_of(parts), 1), count=count))

    with pytest.raises(errors.InputError):
        video.index(mp4_files.changed(plain(tmp_path / "a.mp4"), change))


def in_fragments(path: pathlib.Path, *edits: tuple[int, int, float]) -> pathlib.Path:
    """A file of two fragments, with an edit list in the media's units."""
    whole = plain(path.with_name("whole.mp4"))
    mp4_files.remuxed(whole, path, mp4_files.FRAGMENTS)

    def change(parts: mp4_files.Boxes) -> None:
        head = mp4_files.find(parts, b"moov", b"mvhd")
        head[1] = head[1][:12] + struct.pack(">I", 15360) + head[1][16:]
        if edits:
            mp4_files.set_edits(mp4_files.track(parts), mp4_files.edit_list(*edits))
            parts[:] = [box for box in parts if box[0] != b"mfra"]  # whose places would be others

    return mp4_files.changed(path, change)


@pytest.mark.parametrize("delay", [0, 7 * UNIT])
@pytest.mark.parametrize("length", [0, 19 * UNIT, 50 * UNIT])
def test_edit_lists_of_fragments_hide_frames(tmp_path: pathlib.Path, delay: int, length: int) -> None:
    usual = list(decode.Reader(video.index(plain(tmp_path / "usual.mp4"))).frames(5, FRAMES))
    empty = [(delay, -1, 1.0)] if delay else []
    index = video.index(in_fragments(tmp_path / "a.mp4", *empty, (length, 2 * UNIT + 5 * UNIT, 1.0)))
    frames = list(decode.Reader(index).frames(0, index.frames))
    assert len(frames) == len(usual) == 19
    for frame, expected in zip(frames, usual, strict=True):
        assert isinstance(frame, picture.Picture)
        assert isinstance(expected, picture.Picture)
        assert np.array_equal(frame.planes[0], expected.planes[0])


@pytest.mark.parametrize(
    "edits", [[(10 * UNIT, 2 * UNIT, 1.0)], [(18 * UNIT, 7 * UNIT, 1.0)], [(9, -1, 1.0)] * 2 + [(0, 128, 1.0)]]
)
def test_edit_lists_of_fragments_that_end_early_are_refused(
    tmp_path: pathlib.Path, edits: list[tuple[int, int, float]]
) -> None:
    with pytest.raises(errors.InputError):
        video.index(in_fragments(tmp_path / "a.mp4", *edits))


@pytest.mark.parametrize("other", [0, 2])
@pytest.mark.parametrize("what", ["edits", "profile"])
def test_only_the_track_that_is_taken_counts(tmp_path: pathlib.Path, other: int, what: str) -> None:
    def write() -> pathlib.Path:
        path = tmp_path / "a.mp4"
        with av.open(str(path), "w") as out:
            tracks = []
            for width, count in ((128, 3), (64, 9), (32, 9)):
                stream = out.add_stream("mpeg4", rate=240)
                stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
                tracks.append((stream, clip_files.moving(count, 48, width)))
            for stream, frames in tracks:
                for codes in frames:
                    shaped = av.VideoFrame.from_ndarray(np.ascontiguousarray(codes), format="rgb24")
                    out.mux(stream.encode(shaped.reformat(format="yuv420p")))
                out.mux(stream.encode(None))
        return path

    def change(parts: mp4_files.Boxes, number: int) -> None:
        inside = mp4_files.track(parts, number)
        if what == "profile":
            mp4_files.add_to_entry(inside, PROFILE)
        else:
            mp4_files.set_edits(inside, mp4_files.edit_list((8, 0, 1), (8, 512, 1)))

    index = video.index(mp4_files.changed(write(), lambda parts: change(parts, other)))
    assert (index.width, index.frames) == (64, 9)
    with pytest.raises(errors.InputError):
        video.index(mp4_files.changed(write(), lambda parts: change(parts, 1)))


VALUES = [
    (1, b"960"), (0, b"960"), (2, "960".encode("utf-16-be")),
    (21, struct.pack(">h", 960)), (22, struct.pack(">I", 960)),
    (23, struct.pack(">f", 960)), (24, struct.pack(">d", 960)), (66, struct.pack(">h", 960)),
    (67, struct.pack(">i", 960)), (74, struct.pack(">q", 960)), (76, struct.pack(">H", 960)),
    (77, struct.pack(">I", 960)), (78, struct.pack(">Q", 960)),
]  # fmt: skip


@pytest.mark.parametrize("where", ["moov", "udta", "trak"])
@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_capture_rates_of_every_type_and_place(tmp_path: pathlib.Path, kind: int, value: bytes, where: str) -> None:
    def change(parts: mp4_files.Boxes) -> None:
        movie = mp4_files.find(parts, b"moov")[1]
        inside = mp4_files.track(parts) if where == "trak" else movie
        meta = mp4_files.keyed((CAPTURE, kind, value), full=where == "udta")
        movie[:] = [box for box in movie if box[0] != b"udta"]
        inside.append([b"udta", [meta]] if where == "udta" else meta)

    assert clips.one("a", mp4_files.changed(plain(tmp_path / "a.mp4"), change)).rate == pytest.approx(960)


@pytest.mark.parametrize("number", [(65, b"\x78"), (75, b"\x78"), (21, b"\x78")])
def test_capture_rates_of_one_byte(tmp_path: pathlib.Path, number: tuple[int, bytes]) -> None:
    path = plain(tmp_path / "a.mp4")
    mp4_files.changed(path, lambda parts: mp4_files.find(parts, b"moov")[1].append(mp4_files.keyed((CAPTURE, *number))))
    assert clips.one("a", path).rate == pytest.approx(120)


@pytest.mark.parametrize(
    "items",
    [
        [(CAPTURE, 23, struct.pack(">f", 960)), (CAPTURE, 23, struct.pack(">f", 480))],
        [(CAPTURE, 23, struct.pack(">f", 960)), (b"com.example.SensorFps", 1, b"480")],
        [(CAPTURE, 30, b"960")],  # no type of a number
        [(CAPTURE, 1, b"960 fps")],
    ],
)
def test_capture_rates_that_contradict_or_are_none(
    tmp_path: pathlib.Path, items: list[tuple[bytes, int, bytes]]
) -> None:
    path = plain(tmp_path / "a.mp4")
    mp4_files.changed(path, lambda parts: mp4_files.find(parts, b"moov")[1].append(mp4_files.keyed(*items)))
    with pytest.raises(errors.InputError):
        clips.one("a", path)
    assert clips.one("a", path, clips.Rules(fps=100)).rate == pytest.approx(100)


SONY = (
    '<?xml version="1.0"?><NonRealTimeMeta><VideoFrame videoCodec="AVC" captureFps="{}" formatFps="30p"/>'
    '<Item name="CaptureGammaEquation" value="{}"/><Item value="{}" name="CaptureColorPrimaries"/></NonRealTimeMeta>'
)


def with_xml(path: pathlib.Path, xml: bytes) -> pathlib.Path:
    box = mp4_files.joined([[b"hdlr", bytes(8) + b"nrtm" + bytes(13)], [b"xml ", bytes(4) + xml]])
    return mp4_files.changed(plain(path), lambda parts: parts.append([b"meta", bytes(4) + box]))


@pytest.mark.parametrize("kind", ["double", "single", "spaced", "utf-16"])
def test_capture_rates_in_xml_as_sony_may_write_it(tmp_path: pathlib.Path, kind: str) -> None:
    text = SONY.format("959.04p", "rec709", "rec709")
    text = {"single": text.replace('"', "'"), "spaced": text.replace("=", " = ")}.get(kind, text)
    path = with_xml(tmp_path / "a.mp4", text.encode("utf-16" if kind == "utf-16" else "utf-8"))
    assert clips.one("a", path).rate == pytest.approx(959.04)


@pytest.mark.parametrize("curve", ["s-log2", "s-log3-cine", "rec2100-hlg", "rec2100-pq", "any other", ""])
def test_curves_in_xml_are_refused(tmp_path: pathlib.Path, curve: str) -> None:
    path = with_xml(tmp_path / "a.mp4", SONY.format("240p", curve, "rec709").encode())
    for capture in (True, False):
        with pytest.raises(errors.InputError):
            video.index(path, capture=capture, primaries="keep")


PLAIN = [("rec709", "rec709"), ("rec709-xvycc", "rec601"), ("rec709", "s-gamut3-cine")]


@pytest.mark.parametrize(("curve", "space"), PLAIN)
def test_plain_curves_in_xml_are_taken(tmp_path: pathlib.Path, curve: str, space: str) -> None:
    path = with_xml(tmp_path / "a.mp4", SONY.format("240p", curve, space).encode())
    if space.startswith("s-"):
        with pytest.raises(errors.InputError):
            video.index(path)
    assert video.index(path, primaries="keep").frames == FRAMES


def test_custom_gamma_is_refused(tmp_path: pathlib.Path) -> None:
    path = plain(tmp_path / "a.mp4")
    meta = mp4_files.keyed((b"com.apple.proapps.customgamma", 1, b"com.apple.log"))
    mp4_files.changed(path, lambda parts: mp4_files.find(parts, b"moov")[1].append(meta))
    with pytest.raises(errors.InputError):
        video.index(path)


def fragments(path: pathlib.Path, options: str = "") -> mp4_files.Boxes:
    """The boxes of a file of four fragments of six frames."""
    whole = clip_files.write(path.with_name("whole.mp4"), clip_files.moving(FRAMES), options={"g": "6", "crf": "20"})
    mp4_files.remuxed(whole, path, {"movflags": mp4_files.FRAGMENTS["movflags"] + options})
    return mp4_files.boxes(path.read_bytes())


def flaw(path: pathlib.Path, parts: mp4_files.Boxes) -> str | None:
    path.write_bytes(mp4_files.joined(parts))
    return containers.flaw(path)


def test_fragments_that_are_missing_are_seen(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.mp4"
    parts = fragments(path)
    first = next(k for k, box in enumerate(parts) if box[0] == b"moof")
    assert [box[0] for box in parts[first:]] == [b"moof", b"mdat"] * 4 + [b"mfra"]
    assert flaw(path, parts) is None
    for cut in (2, 4):
        assert flaw(path, parts[: -1 - cut]) == mp4_fragments.UNKNOWN  # cut between fragments
        assert flaw(path, parts[: -1 - cut] + parts[-1:]) not in (None, mp4_fragments.UNKNOWN)  # the list kept
        assert flaw(path, parts[:first] + parts[first + cut :]) not in (None, mp4_fragments.UNKNOWN)
        assert flaw(path, parts[:first] + parts[first + cut : -1]) not in (None, mp4_fragments.UNKNOWN)
    assert flaw(path, parts[:-1]) == mp4_fragments.UNKNOWN
    assert flaw(path, parts[:first]) == mp4_fragments.UNKNOWN  # announced, and none there


def test_fragments_are_compared_with_a_stated_duration(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.mp4"
    parts = fragments(path)[:-1]
    units = struct.unpack(">I", mp4_files.find(parts, b"moov", b"mvhd")[1][12:16])[0]
    mp4_files.find(parts, b"moov", b"mvex")[1].insert(0, [b"mehd", struct.pack(">II", 0, round(units * FRAMES / 240))])
    assert flaw(path, parts) is None
    assert flaw(path, parts[:-2]) not in (None, mp4_fragments.UNKNOWN)


def test_fragments_are_compared_with_an_index(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.mp4"
    parts = [box for box in fragments(path, "+global_sidx") if box[0] != b"mfra"]
    assert [box[0] for box in parts].count(b"sidx") == 1
    assert flaw(path, parts) is None
    assert flaw(path, parts[:-2]) not in (None, mp4_fragments.UNKNOWN)
