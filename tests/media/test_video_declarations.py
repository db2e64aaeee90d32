"""What a video file declares is honoured or refused: each row of docs/declarations/video.md, on a file that has it."""

import fractions
import pathlib
import struct

import av
import clip_files
import declared_files
import numpy as np
import numpy.typing as npt
import pytest
import reference_frames
from av import bitstream

from blursynth import errors
from blursynth.media import decode, picture, video
from blursynth.sources import clip_files as clips
from blursynth.synthesis import frames

LOSSLESS = {"qp": "0", "preset": "veryfast"}
HEVC = {"x265-params": "log-level=none", "preset": "ultrafast", "crf": "4"}
ONE = 1 << 16
EIGHT = [
    (1, 0, 0, 1),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (-1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, 1, -1, 0),
    (0, -1, 1, 0),
    (0, -1, -1, 0),
]


def with_matrix(path: pathlib.Path, numbers: tuple[int, ...]) -> pathlib.Path:
    """An MP4 file with other numbers in the matrix of its `tkhd` box: a, b, u, c, d, v, x, y, w."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(data)
    return path


def shown(stored: npt.NDArray[np.uint8], a: int, b: int, c: int, d: int) -> npt.NDArray[np.uint8]:
    """Each pixel (x, y) put at (a x + c y, b x + d y), and all moved to begin at 0."""
    height, width = stored.shape[:2]
    y, x = np.mgrid[:height, :width]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    made = np.empty((down.max() + 1, across.max() + 1, 3), np.uint8)
    made[down, across] = stored
    return made


def first_pair(path: pathlib.Path, box: frames.Box | None = None) -> npt.NDArray[np.uint8]:
    """The sharp image of the first frame alone."""
    clip = clips.one("a", path, hashed=False)
    frame = next(iter(clip.open().frames(0, 1)))
    assert isinstance(frame, picture.Picture)
    return frames.Window([frame], frames.Light("srgb"), 0, clip.orientation).pair(box).sharp


@pytest.mark.parametrize(("a", "b", "c", "d"), EIGHT)
def test_display_matrices_of_the_eight_orientations(tmp_path: pathlib.Path, a: int, b: int, c: int, d: int) -> None:
    path = clip_files.write(tmp_path / "a.mp4", clip_files.moving(2), options=LOSSLESS, tags={"color_range": 1})
    stored = first_pair(path)
    with_matrix(path, (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 7 * ONE, 0, 1 << 30))
    expected = shown(stored, a, b, c, d)
    index = video.index(path)
    assert (index.height, index.width) == expected.shape[:2]
    assert np.array_equal(first_pair(path), expected)
    assert np.array_equal(first_pair(path, (5, 9, 20, 30)), expected[5:25, 9:39])


@pytest.mark.parametrize(
    "numbers",
    [
        (46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30),  # 45 degrees
        (2 * ONE, 0, 0, 2 * ONE, 0, 0, 0, 0, 1 << 30),
        (2 * ONE, 0, 0, 0, 2 * ONE, 0, 0, 0, 1 << 30),
        (ONE, ONE // 2, 0, 0, ONE, 0, 0, 0, 1 << 30),  # shear
        (ONE, 0, 99999, 0, ONE, 0, 0, 0, 1 << 30),  # perspective
    ],
)
def test_other_display_matrices_are_refused(tmp_path: pathlib.Path, numbers: tuple[int, ...]) -> None:
    path = with_matrix(clip_files.write(tmp_path / "a.mp4", clip_files.moving(2)), numbers)
    with pytest.raises(errors.InputError):
        clips.one("a", path, hashed=False)


def trimmed(path: pathlib.Path, hidden: int, frames_: int = 40) -> pathlib.Path:
    """Packets copied from a key frame on, with times that begin before 0: the muxer writes an edit list."""
    whole = clip_files.write(path.with_name("whole.mp4"), clip_files.moving(frames_), options={"g": "50", "crf": "18"})
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                ticks = round(hidden / 240 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, stream
                out.mux(packet)
    return path


@pytest.mark.parametrize("hidden", [1, 7, 23])
def test_what_an_edit_list_hides_is_decoded_and_not_shown(tmp_path: pathlib.Path, hidden: int) -> None:
    path = trimmed(tmp_path / "a.mp4", hidden)
    whole = list(decode.Reader(video.index(path.with_name("whole.mp4"))).frames(0, 40))
    index = video.index(path)
    assert index.frames == 40 - hidden
    assert index.seconds == pytest.approx(np.arange(40 - hidden) / 240, abs=1.1e-3)
    for first, stop in [(0, index.frames), (5, 9), (0, 1), (index.frames - 1, index.frames)]:
        for number, frame in zip(range(first, stop), decode.Reader(index).frames(first, stop), strict=True):
            expected = whole[number + hidden]
            assert isinstance(frame, picture.Picture)
            assert isinstance(expected, picture.Picture)
            assert all(np.array_equal(a, b) for a, b in zip(frame.planes, expected.planes, strict=True))


def with_edits(path: pathlib.Path, edits: list[tuple[int, int, float]]) -> pathlib.Path:
    """An MP4 file of 24 frames with other edits: first frame (-1: none), number of frames, media rate."""
    clip_files.write(path, clip_files.moving(24))
    data = bytearray(path.read_bytes())
    at = data.index(b"mvhd") + 16
    data[at : at + 8] = struct.pack(">II", 15360, 24 * 64)  # as the track, so that no time is rounded
    at = data.index(b"edts") - 4
    length, begin = struct.unpack(">I", data[at : at + 4])[0], struct.unpack(">i", data[at + 28 : at + 32])[0]
    entries = b"".join(
        struct.pack(">IiI", 64 * count, -1 if first < 0 else begin + 64 * first, round(rate * ONE) & 0xFFFFFFFF)
        for first, count, rate in edits
    )
    box = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    data[at : at + length] = struct.pack(">I4s", 8 + len(box), b"edts") + box
    for name in (b"moov", b"trak"):
        place = data.index(name) - 4
        size = struct.unpack(">I", data[place : place + 4])[0] + 8 + len(box) - length
        data[place : place + 4] = struct.pack(">I", size)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "edits",
    [
        [(0, 15, 1), (15, 9, 1)],
        [(0, 8, 1), (12, 8, 1)],
        [(14, 6, 1), (2, 8, 1)],
        [(0, 12, 1), (-1, 3, 1), (12, 12, 1)],
        [(0, 24, 1), (-1, 5, 1)],
        [(0, 24, 0.5)],
        [(0, 12, 2)],
        [(0, 12, 0)],
        [(0, 24, -1)],
    ],
)
def test_edit_lists_of_several_parts_or_other_speeds_are_refused(
    tmp_path: pathlib.Path, edits: list[tuple[int, int, float]]
) -> None:
    path = with_edits(tmp_path / "a.mp4", edits)
    with pytest.raises(errors.InputError):
        video.index(path)


@pytest.mark.parametrize(("edits", "frames_"), [([(0, 24, 1)], 24), ([(-1, 5, 1), (6, 18, 1)], 18), ([], 24)])
def test_edit_lists_of_one_part_are_followed(
    tmp_path: pathlib.Path, edits: list[tuple[int, int, float]], frames_: int
) -> None:
    assert video.index(with_edits(tmp_path / "a.mp4", edits)).frames == frames_


def with_box(path: pathlib.Path, name: bytes, content: bytes) -> pathlib.Path:
    """An MP4 or QuickTime file whose sample entry, of a codec without boxes before it but `hvcC`, has one more."""
    data = path.read_bytes()
    box = struct.pack(">I4s", 8 + len(content), name) + content
    at = data.index(b"hvcC") - 4 if b"hvcC" in data else data.index(b"stsd", data.index(b"moov")) + 12 + 86
    grown = bytearray(data[:at] + box + data[at:])
    for outer in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1", b"hvc1", b"jpeg"):
        place = data.find(outer, data.index(b"moov"))
        if place >= 0:
            grown[place - 4 : place] = struct.pack(">I", struct.unpack(">I", data[place - 4 : place])[0] + len(box))
    assert data.index(b"mdat") < data.index(b"moov"), "places of frames would move"
    path.write_bytes(grown)
    return path


def with_colr(path: pathlib.Path, primaries: int, transfer: int, matrix: int, full: bool) -> pathlib.Path:
    """An MP4 file whose HEVC stream says nothing of colour, and whose `colr` box does."""
    clip_files.write(path, clip_files.moving(3), codec="libx265", options=HEVC, pixels="yuv444p")
    return with_box(path, b"colr", struct.pack(">4sHHHB", b"nclx", primaries, transfer, matrix, full << 7))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"dvcC", bytes([1, 0, 5 << 1, 0b11101, 0]) + bytes(19)),  # profile 5, compatible with nothing
        (b"dvvC", bytes([1, 0, 8 << 1, 0b11101, 1 << 4]) + bytes(19)),  # profile 8.1, HDR10
        (b"colr", b"prof" + bytes(128)),
        (b"gama", struct.pack(">I", ONE)),
    ],
)
def test_colours_that_only_a_box_tells_are_refused(tmp_path: pathlib.Path, name: bytes, content: bytes) -> None:
    path = clip_files.write(tmp_path / "a.mp4", clip_files.moving(3), codec="libx265", options=HEVC)
    with pytest.raises(errors.InputError):
        video.index(with_box(path, name, content))


@pytest.mark.parametrize(
    ("name", "content"),
    [(b"dvvC", bytes([1, 0, 8 << 1, 0b11101, 2 << 4]) + bytes(19)), (b"gama", struct.pack(">I", 0x23333))],
)
def test_boxes_that_say_what_is_taken_anyway_are_taken(tmp_path: pathlib.Path, name: bytes, content: bytes) -> None:
    path = clip_files.write(tmp_path / "a.mp4", clip_files.moving(3), codec="libx265", options=HEVC)
    assert video.index(with_box(path, name, content)).frames == 3


@pytest.mark.parametrize("number", [0, 3, 8, 10, 11])
def test_matrices_that_are_not_known_are_refused_or_given(tmp_path: pathlib.Path, number: int) -> None:
    path = with_colr(tmp_path / "a.mp4", 1, 1, number, False)
    with pytest.raises(errors.InputError):
        video.index(path)
    coding = video.index(path, "bt709").coding
    assert coding is not None
    assert coding.matrix == "bt709"


@pytest.mark.parametrize(("number", "name"), [(None, "bt601"), (1, "bt709"), (6, "bt601"), (10, None)])
def test_motion_jpeg_is_as_its_container_says(tmp_path: pathlib.Path, number: int | None, name: str | None) -> None:
    path = clip_files.write(
        tmp_path / "a.mov", clip_files.moving(3), codec="mjpeg", pixels="yuvj420p", options={"q": "3"}
    )
    if number is not None:
        with_box(path, b"colr", struct.pack(">4sHHH", b"nclc", 1, 1, number))
    if name is None:
        with pytest.raises(errors.InputError):
            video.index(path)
        return
    coding = video.index(path).coding
    assert coding is not None
    assert (coding.matrix, coding.full_range) == (name, True)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("number", "name"), [(1, "bt709"), (6, "bt601"), (9, "bt2020"), (7, "smpte240m")])
def test_matrix_and_range_of_the_container(tmp_path: pathlib.Path, number: int, name: str, full: bool) -> None:
    path = with_colr(tmp_path / "a.mp4", 1, 1, number, full)
    clip = clips.one("a", path, hashed=False)
    frame = next(iter(clip.open().frames(0, 1)))
    assert isinstance(frame, picture.Picture)
    exact = reference_frames.planes_to_rgb(frame.planes, name, full, 8, False)
    assert np.abs(first_pair(path) - 255 * exact).max() <= 0.51
    assert (clip.record["matrix"], clip.record["range"]) == (name, "full" if full else "limited")


@pytest.mark.parametrize("full", [False, True])
def test_matroska_says_it_for_streams_that_do_not(tmp_path: pathlib.Path, full: bool) -> None:
    tags = {"colorspace": 1, "color_range": 1 + full, "color_primaries": 1, "color_trc": 1}
    planes = [tuple(np.full((16, 16), value, np.uint8) for value in (90, 110, 150))] * 2
    index = video.index(clip_files.write_planes(tmp_path / "a.mkv", planes, pixels="yuv444p", tags=tags))
    assert index.coding == picture.Coding("bt709", full, 8, (False, False))


def test_the_stream_counts_before_the_container(tmp_path: pathlib.Path) -> None:
    tags = {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1}
    path = clip_files.write(tmp_path / "a.mp4", clip_files.moving(3), tags=tags)
    data = bytearray(path.read_bytes())
    at = data.index(b"colrnclx") + 8
    data[at : at + 7] = struct.pack(">HHHB", 6, 6, 6, 0x80)
    path.write_bytes(data)
    coding = video.index(path).coding
    assert coding is not None
    assert (coding.matrix, coding.full_range) == ("bt709", False)


@pytest.mark.parametrize("transfer", [16, 18, 8, 9, 10, 17])
@pytest.mark.parametrize("says", ["stream", "container"])
def test_curves_that_no_response_stands_for_are_refused(tmp_path: pathlib.Path, transfer: int, says: str) -> None:
    if says == "container":
        path = with_colr(tmp_path / "a.mp4", 1, transfer, 1, False)
    else:
        path = clip_files.write(tmp_path / "a.h264", clip_files.moving(3), tags={"color_trc": transfer})
    with pytest.raises(errors.InputError):
        video.index(path)


@pytest.mark.parametrize(("transfer", "name"), [(4, "gamma22"), (5, "gamma28"), (13, "srgb"), (7, "smpte240m")])
def test_other_curves_are_recorded(tmp_path: pathlib.Path, transfer: int, name: str) -> None:
    assert clips.one("a", with_colr(tmp_path / "a.mp4", 1, transfer, 1, False)).record["transfer"] == name


@pytest.mark.parametrize("primaries", [4, 8, 9, 10, 11, 12, 22])
def test_other_primaries_are_refused_or_kept_by_name(tmp_path: pathlib.Path, primaries: int) -> None:
    path = with_colr(tmp_path / "a.mp4", primaries, 1, 1, False)
    with pytest.raises(errors.InputError):
        video.index(path)
    assert "primaries" in clips.one("a", path, clips.Rules(primaries="keep")).record


@pytest.mark.parametrize("primaries", [1, 2, 5, 6, 7])
def test_primaries_near_to_srgb_are_taken(tmp_path: pathlib.Path, primaries: int) -> None:
    assert "primaries" not in clips.one("a", with_colr(tmp_path / "a.mp4", primaries, 1, 1, False)).record


def with_rate(path: pathlib.Path, value: str, key: str = "com.android.capture.fps") -> pathlib.Path:
    """A clip that plays at 30 frames per second, and says that it was recorded at another rate."""
    whole = clip_files.write(path.with_name("plain.mkv"), clip_files.moving(12), rate=30)
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as out:
        out.metadata[key] = value
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return path


@pytest.mark.parametrize(
    "key", ["com.android.capture.fps", "com.example.CaptureFrameRate", "com.arri.camera.SensorFps"]
)
def test_capture_rates_are_the_frame_rate(tmp_path: pathlib.Path, key: str) -> None:
    clip = clips.one("a", with_rate(tmp_path / "a.mp4", "240.000000", key))
    assert clip.seconds == pytest.approx(np.arange(12) / 240, abs=2e-5)
    assert (clip.rate, clip.record["rate"], clip.record["rate_from"]) == (pytest.approx(240), 240, key)
    assert clips.one("a", with_rate(tmp_path / "b.mp4", "2")).seconds == pytest.approx(np.arange(12) / 2)


@pytest.mark.parametrize(("mode", "rate"), [(12, 240), (13, 120), (21, 960)])
def test_capture_rates_in_boxes_of_samsung(tmp_path: pathlib.Path, mode: int, rate: int) -> None:
    path = clip_files.write(tmp_path / "a.mp4", clip_files.moving(6), rate=30)
    saut = struct.pack(">I4s4sBBBB", 16, b"saut", b"sams", 0, mode, 1, 4)
    smta = struct.pack(">I4sI", 12 + 16 + 12, b"smta", 0) + saut + struct.pack(">I4sI", 12, b"srfr", 960 << 16)
    box = struct.pack(">I4s", 8 + len(smta), b"udta") + smta
    data = bytearray(path.read_bytes())
    at = data.index(b"moov")
    data[at - 4 : at] = struct.pack(">I", struct.unpack(">I", data[at - 4 : at])[0] + len(box))
    path.write_bytes(data + box)
    assert clips.one("a", path).rate == pytest.approx(rate)


def test_capture_rates_in_xml_of_sony(tmp_path: pathlib.Path) -> None:
    path = clip_files.write(tmp_path / "a.mp4", clip_files.moving(6), rate=30)
    xml = b'<NonRealTimeMeta><VideoFrame videoCodec="AVC" captureFps="239.76p" formatFps="29.97p"/></NonRealTimeMeta>'
    path.write_bytes(path.read_bytes() + struct.pack(">I4sI", 12 + len(xml), b"meta", 0) + xml)
    assert clips.one("a", path).rate == pytest.approx(239.76)


@pytest.mark.parametrize("value", ["0", "-240", "nan", "inf", "1e9", "fast", "1/0", ""])
def test_capture_rates_that_no_camera_has_are_refused(tmp_path: pathlib.Path, value: str) -> None:
    path = with_rate(tmp_path / "a.mp4", value)
    with pytest.raises(errors.InputError):
        clips.one("a", path)
    assert clips.one("a", path, clips.Rules(fps=100)).seconds[1] == pytest.approx(0.01)


def test_pixels_that_are_not_square_are_refused(tmp_path: pathlib.Path) -> None:
    for aspect in ("4/3", "1/2"):
        options = {"aspect": aspect, "crf": "20"}
        path = tmp_path / f"{aspect[0]}.mkv"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=240, options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            numerator, denominator = map(int, aspect.split("/"))
            stream.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio = fractions.Fraction(
                numerator, denominator
            )
            for codes in clip_files.moving(3):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="rgb24").reformat(format="yuv420p")))
            out.mux(stream.encode(None))
        with pytest.raises(errors.InputError):
            clips.one("a", path)


def test_interlaced_clips_are_refused(tmp_path: pathlib.Path) -> None:
    options = {"flags": "+ilme+ildct", "crf": "20", "x264-params": "tff=1"}
    with pytest.raises(errors.InputError):
        video.index(clip_files.write(tmp_path / "a.mp4", clip_files.moving(4), options=options))


@pytest.mark.parametrize("kind", [0, 3, 5])
def test_stereoscopic_clips_are_refused(tmp_path: pathlib.Path, kind: int) -> None:
    options = {"crf": "20", "x264-params": f"frame-packing={kind}"}
    with pytest.raises(errors.InputError):
        video.index(clip_files.write(tmp_path / "a.mp4", clip_files.moving(4), options=options))


def test_transparent_clips_are_refused(tmp_path: pathlib.Path) -> None:
    for alpha, refused in ((255, False), (254, True)):
        path = tmp_path / f"{alpha}.mov"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("qtrle", rate=240)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "argb"
            for codes in clip_files.moving(3):
                layers = np.dstack([np.full((48, 64), 255, np.uint8), codes])
                layers[20, 30, 0] = alpha
                out.mux(stream.encode(av.VideoFrame.from_ndarray(layers, format="argb")))
            out.mux(stream.encode(None))
        if refused:
            with pytest.raises(errors.InputError):
                video.index(path)
        else:
            assert np.array_equal(first_pair(path), clip_files.moving(3)[0])


def test_clean_apertures_are_refused(tmp_path: pathlib.Path) -> None:
    for size, refused in (((64, 48), False), ((60, 48), True)):
        path = clip_files.write(tmp_path / f"{size[0]}.mp4", clip_files.moving(3))
        data = path.read_bytes()
        box = struct.pack(">I4s8i", 40, b"clap", size[0], 1, size[1], 1, 0, 1, 0, 1)
        at = data.index(b"avcC") - 4
        grown = bytearray(data[:at] + box + data[at:])
        for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
            place = data.index(name, data.index(b"moov"))
            grown[place - 4 : place] = struct.pack(">I", struct.unpack(">I", data[place - 4 : place])[0] + len(box))
        path.write_bytes(grown)
        if refused:
            with pytest.raises(errors.InputError):
                video.index(path)
        else:
            assert video.index(path).frames == 3


def test_the_track_with_the_most_frames_is_taken(tmp_path: pathlib.Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        with av.open(str(tmp_path / name), "w") as out:
            tracks = []
            for width, count in ((128, 3), (64, 9), (32, 9)):
                stream = out.add_stream("mpeg4", rate=240)
                stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
                tracks.append((stream, clip_files.moving(count, 48, width)))
            for stream, codes in tracks:
                for frame in codes:
                    shaped = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                    out.mux(stream.encode(shaped.reformat(format="yuv420p")))
                out.mux(stream.encode(None))
        index = video.index(tmp_path / name)
        assert (index.width, index.frames) == (64, 9)
        assert sum(isinstance(each, picture.Picture) for each in decode.Reader(index).frames(0, 9)) == 9


def remuxed(source: pathlib.Path, path: pathlib.Path, metadata: dict[str, str], **options: str) -> pathlib.Path:
    """The same packets in another file, whose picture track has this metadata."""
    with av.open(str(source)) as given, av.open(str(path), "w", options=options) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        stream.metadata.update(metadata)
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return path


def test_stereoscopic_matroska_is_refused(tmp_path: pathlib.Path) -> None:
    plain = clip_files.write(tmp_path / "a.mp4", clip_files.moving(3), options={"bf": "0"})
    with pytest.raises(errors.InputError):
        video.index(remuxed(plain, tmp_path / "b.mkv", {"stereo_mode": "left_right"}))


def test_cropped_matroska_is_refused(tmp_path: pathlib.Path) -> None:
    plain = clip_files.write(tmp_path / "a.mp4", clip_files.moving(3), options={"bf": "0"})
    data = remuxed(plain, tmp_path / "b.mkv", {}, write_crc32="0").read_bytes()
    assert video.index(tmp_path / "b.mkv").frames == 3
    unit, crop = b"\x54\xb2\x81\x04", b"\x54\xcc\x81\x02"  # the unit of display; two pixels at the left
    assert data.count(unit) == 1
    (tmp_path / "b.mkv").write_bytes(data.replace(unit, crop))
    with pytest.raises(errors.InputError):
        video.index(tmp_path / "b.mkv")


def test_matroska_that_says_interlaced_is_refused(tmp_path: pathlib.Path) -> None:
    plain = clip_files.write(tmp_path / "a.mp4", clip_files.moving(3), options={"bf": "0"})
    data = remuxed(plain, tmp_path / "b.mkv", {}, write_crc32="0").read_bytes()
    assert data.count(b"\x9a\x81\x02") == 1
    (tmp_path / "b.mkv").write_bytes(data.replace(b"\x9a\x81\x02", b"\x9a\x81\x01"))
    with pytest.raises(errors.InputError):
        video.index(tmp_path / "b.mkv")


@pytest.mark.parametrize(("asked", "turns", "mirrored"), [("rotate=90", 1, False), ("rotate=180", 2, False)])
def test_orientation_in_the_stream(tmp_path: pathlib.Path, asked: str, turns: int, mirrored: bool) -> None:
    plain = clip_files.write(tmp_path / "a.h264", clip_files.moving(3), options={"bf": "0"})
    with av.open(str(plain)) as source, av.open(str(tmp_path / "b.h264"), "w") as out:
        filtered = bitstream.BitStreamFilterContext(
            f"h264_metadata=display_orientation=insert:{asked}", source.streams.video[0]
        )
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            for made in filtered.filter(packet if packet.size else None):
                made.stream = stream
                out.mux(made)
    index = video.index(tmp_path / "b.h264")
    assert index.orientation == picture.Orientation(turns, mirrored)
    assert all(isinstance(frame, picture.Picture) for frame in decode.Reader(index).frames(0, 3))


def test_metadata_in_any_encoding(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        out.metadata["title"] = "Cafe_am_See"
        stream = out.add_stream("libx264", rate=240)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for codes in clip_files.moving(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="rgb24").reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"Cafe_am", b"Caf\xe9_am"))
    assert video.index(path).frames == 3


def test_lists_of_other_files_are_no_clips(tmp_path: pathlib.Path) -> None:
    clip_files.write(tmp_path / "a.ts", clip_files.moving(3))
    (tmp_path / "list.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n", encoding="utf-8"
    )
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile a.ts\n", encoding="utf-8")
    for name in ("list.mp4", "list.ffconcat"):
        with pytest.raises(errors.InputError):
            video.index(tmp_path / name)


def test_names_with_colons_are_names(tmp_path: pathlib.Path) -> None:
    path = clip_files.write(tmp_path / "plain.mp4", clip_files.moving(3))
    path = path.rename(tmp_path / "concat:12:30.mp4")
    assert video.index(path).frames == 3


def with_pictures(path: pathlib.Path, codec: str, pixels: str, pictures: list[bytes]) -> pathlib.Path:
    """Whole pictures as a clip."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=240)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for k, data in enumerate(pictures):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, k, k, True
            packet.time_base = fractions.Fraction(1, 240)
            out.mux(packet)
    return path


PROFILED = [("jpeg", "a.mov"), ("jpeg", "a.mkv"), ("jpeg", "a.avi"), ("png", "a.mov"), ("png", "a.avi")]


@pytest.mark.parametrize(("kind", "name"), PROFILED)
def test_profiles_in_the_stream(tmp_path: pathlib.Path, kind: str, name: str) -> None:
    """Those that are sRGB change nothing; from a picture on that has another than the first, nothing is taken."""
    codec, pixels = ("mjpeg", "yuvj420p") if kind == "jpeg" else ("png", "rgb24")
    linear = declared_files.rgb_profile(declared_files.gamma_tag(1.0))
    srgb = declared_files.rgb_profile(declared_files.srgb_tag())
    made = {
        profile: [declared_files.saved(codes, kind, icc_profile=profile) for codes in clip_files.moving(4)]
        for profile in (linear, srgb, None)
    }
    assert video.index(with_pictures(tmp_path / name, codec, pixels, made[srgb])).frames == 4
    index = video.index(with_pictures(tmp_path / name, codec, pixels, made[None][:2] + made[linear][2:]))
    assert [isinstance(frame, picture.Picture) for frame in decode.Reader(index).frames(0, 4)] == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(errors.InputError):
        video.index(with_pictures(tmp_path / name, codec, pixels, made[linear]))


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("name", ["a.mov", "a.mkv", "a.avi", "a.mjpeg"])
def test_exif_in_the_stream_is_refused(tmp_path: pathlib.Path, name: str, turn: int) -> None:
    tags = declared_files.exif({0x10F: "a camera", 0x112: turn})
    pictures = [declared_files.saved(codes, "jpeg", exif=tags) for codes in clip_files.moving(3)]
    path = tmp_path / name
    if path.suffix == ".mjpeg":
        path.write_bytes(b"".join(pictures))
    else:
        with_pictures(path, "mjpeg", "yuvj420p", pictures)
    with pytest.raises(errors.InputError):
        video.index(path)


@pytest.mark.parametrize("transfer", [2, 1, 14])
@pytest.mark.parametrize("box", [b"clli", b"mdcv"])
def test_what_is_mastered_for_hdr_and_names_no_curve(tmp_path: pathlib.Path, box: bytes, transfer: int) -> None:
    content = {b"clli": struct.pack(">HH", 1000, 400), b"mdcv": struct.pack(">8HII", *range(1, 9), 10**7, 50)}[box]
    path = with_box(with_colr(tmp_path / "a.mp4", 1, transfer, 1, False), box, content)
    if transfer == 2:
        with pytest.raises(errors.InputError):
            video.index(path)
    else:
        assert video.index(path).frames == 3


@pytest.mark.parametrize("numbers", [(99, 1, 1), (1, 99, 1), (1, 1, 99), (1, 65535, 1)])
def test_numbers_that_are_not_known_are_refused(tmp_path: pathlib.Path, numbers: tuple[int, int, int]) -> None:
    path = with_colr(tmp_path / "a.mp4", *numbers, False)
    with pytest.raises(errors.InputError):
        video.index(path)
    if numbers[1] == 1:
        assert video.index(path, "bt709", primaries="keep").frames == 3


SECOND = [(b"nclx", 1, 1, 1, 0), (b"nclx", 9, 16, 9, 0), (b"nclx", 1, 1, 1, 128), (b"nclc", 1, 6, 1, 0)]


@pytest.mark.parametrize("second", [*SECOND, (b"any ", 1, 1, 1, 0)])
def test_second_descriptions_of_colour(tmp_path: pathlib.Path, second: tuple[bytes, int, int, int, int]) -> None:
    path = with_box(with_colr(tmp_path / "a.mp4", 1, 1, 1, False), b"colr", struct.pack(">4sHHHB", *second))
    if second[1:] == (1, 1, 1, 0) and second[0] == b"nclx":
        assert video.index(path).frames == 3
    else:
        with pytest.raises(errors.InputError):
            video.index(path)


@pytest.mark.parametrize(("tkhd", "refused"), [((-1, 0, 0, -1), True), ((0, -1, 1, 0), False)])
def test_orientations_of_stream_and_container(tmp_path: pathlib.Path, tkhd: tuple[int, ...], refused: bool) -> None:
    plain = clip_files.write(tmp_path / "a.mp4", clip_files.moving(3), options={"bf": "0"})
    path = tmp_path / "b.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        asked = "h264_metadata=display_orientation=insert:rotate=90"
        filtered = bitstream.BitStreamFilterContext(asked, source.streams.video[0])
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            for made in filtered.filter(packet if packet.size else None):
                made.stream = stream
                out.mux(made)
    alone = video.index(path).orientation
    a, b, c, d = (side * ONE for side in tkhd)
    with_matrix(path, (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    if refused:
        with pytest.raises(errors.InputError):
            video.index(path)
    else:
        assert video.index(path).orientation == alone
