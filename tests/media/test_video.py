"""Clips in and out of order, damaged, tagged and untagged: what is indexed and what is decoded."""

import pathlib

import av
import clip_files
import numpy as np
import numpy.typing as npt
import pytest
import reference_frames
from PIL import Image

from blursynth import errors
from blursynth.kernels import frames as kernel
from blursynth.kernels import linear_sum
from blursynth.kernels import yuv as rows
from blursynth.media import decode, picture, video

H264 = {"crf": "12", "preset": "veryfast", "g": "12", "bf": "3"}


def read(index: video.Index, first: int = 0, stop: int | None = None) -> list[picture.Picture | decode.Loss]:
    return list(decode.Reader(index).frames(first, index.frames if stop is None else stop))


def same(a: picture.Picture | decode.Loss, b: picture.Picture | decode.Loss) -> bool:
    if isinstance(a, decode.Loss) or isinstance(b, decode.Loss):
        return a is b
    return all(np.array_equal(left, right) for left, right in zip(a.planes, b.planes, strict=True))


def rgb(frame: picture.Picture | decode.Loss) -> npt.NDArray[np.float64]:
    assert isinstance(frame, picture.Picture)
    if frame.coding is None:
        return frame.planes[0] / 255
    coding = frame.coding
    return reference_frames.planes_to_rgb(frame.planes, coding.matrix, coding.full_range, coding.bits, coding.centred)


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("a.mp4", "libx264", "yuv420p", H264),
        ("open.mkv", "libx264", "yuv420p", H264 | {"x264-params": "open-gop=1"}),
        ("odd.webm", "libvpx-vp9", "yuv420p", {"crf": "10", "b:v": "0", "deadline": "realtime"}),
        ("deep.mp4", "libx264", "yuv420p10le", H264),
        ("full.mp4", "libx264", "yuv444p", H264),
        ("intra.mov", "mjpeg", "yuvj422p", {"q:v": "2"}),
        ("packets.ts", "libx264", "yuv420p", H264),
        ("bare.h264", "libx264", "yuv420p", H264),
        ("colours.avi", "rawvideo", "bgr24", {}),
    ],
)
def test_frames_come_in_order_wherever_reading_begins(
    tmp_path: pathlib.Path, name: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    size = (49, 65) if name.startswith("odd") else (48, 64)
    made = clip_files.moving(50, *size)
    index = video.index(clip_files.write(tmp_path / name, made, codec=codec, pixels=pixels, options=options))
    assert (index.height, index.width, index.frames) == (*size, 50)
    everything = read(index)
    for frame, expected in zip(everything, made, strict=True):
        assert np.abs(rgb(frame) * 255 - expected).mean() < 8, "frames are out of order, or colours wrong"
    going_on = decode.Reader(index)
    for first, stop in [(0, 3), (3, 9), (20, 31), (31, 50), (13, 14), (11, 25), (49, 50), (0, 50)]:
        for number, frame, other in zip(
            range(first, stop), going_on.frames(first, stop), read(index, first, stop), strict=True
        ):
            assert same(frame, everything[number])
            assert same(other, everything[number])


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("layout", ["420", "422", "444"])
def test_tags_are_respected(tmp_path: pathlib.Path, matrix: str, full: bool, bits: int, layout: str) -> None:
    halved = {"420": (True, True), "422": (False, True), "444": (False, False)}[layout]
    size = (15, 21)
    small = (-(-size[0] // 2) if halved[0] else size[0], -(-size[1] // 2) if halved[1] else size[1])
    draws, dtype = np.random.default_rng(bits), np.uint8 if bits == 8 else np.uint16
    planes = [tuple(draws.integers(0, 2**bits, shape, dtype) for shape in (size, small, small)) for _ in range(3)]
    tags = {"colorspace": {"bt601": 6, "bt709": 1}[matrix], "color_range": 2 if full else 1}
    pixels = f"yuv{layout}p{'10le' if bits == 10 else ''}"
    index = video.index(clip_files.write_planes(tmp_path / "a.mkv", planes, pixels=pixels, tags=tags))
    assert index.coding == picture.Coding(matrix, full, bits, halved)
    for frame, parts in zip(read(index), planes, strict=True):
        assert isinstance(frame, picture.Picture)
        assert all(np.array_equal(found, made) for found, made in zip(frame.planes, parts, strict=True))
        exact = 255 * reference_frames.planes_to_rgb(parts, matrix, full, bits, centred=False)
        weights = rows.coefficients(matrix, full, bits)
        stacked = tuple(plane[None] for plane in frame.planes)
        mean = kernel.average_planes(
            rows.stack(stacked, weights, halved, False), 0, linear_sum.tables(linear_sum.curve("gamma2.2"), 1)
        )
        assert np.abs(mean.sharp - exact).max() <= 0.51


def test_untagged_is_bt601_and_can_be_overridden(tmp_path: pathlib.Path) -> None:
    path = clip_files.write(tmp_path / "a.mp4", clip_files.moving(4))
    assert video.index(path).coding == picture.Coding("bt601", False, 8, (True, True))
    assert video.index(path, "bt709").coding == picture.Coding("bt709", False, 8, (True, True))


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_rotation_is_reported(tmp_path: pathlib.Path, angle: int) -> None:
    made = clip_files.moving(3)
    index = video.index(clip_files.write(tmp_path / "a.mov", made, rotation=angle))
    with av.open(str(index.path)) as container:
        shown = next(container.decode(video=0)).rotation
    assert index.orientation.turns == shown / 90 % 4 != 0
    assert (index.height, index.width) == ((48, 64) if angle == 180 else (64, 48))
    assert np.abs(rgb(read(index)[0]) * 255 - made[0]).mean() < 8  # as stored


def test_dropped_frames_are_seen(tmp_path: pathlib.Path) -> None:
    times = [k + (k > 20) + 3 * (k > 30) for k in range(40)]
    index = video.index(clip_files.write(tmp_path / "a.mp4", clip_files.moving(40), times=times))
    usual = video.interval(index.seconds)
    assert usual == pytest.approx(1 / 240)
    assert video.is_even(index.seconds[:21], usual)
    assert not video.is_even(index.seconds[15:25], usual)
    assert video.is_even(index.seconds[21:31], usual)
    assert index.seconds.tolist() == pytest.approx([time / 240 for time in times])


def test_damage_loses_frames_and_nothing_else(tmp_path: pathlib.Path) -> None:
    made = clip_files.moving(60, 96, 128)
    path = clip_files.write(tmp_path / "a.mp4", made, options=H264)
    whole = read(video.index(path))
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    hurt = next(packet for packet in packets[26:] if packet.size > 40)
    data[hurt.pos + 8 : hurt.pos + hurt.size - 4] = bytes(hurt.size - 12)
    path.write_bytes(data)
    index = video.index(path)
    after = read(index)
    lost = [number for number, frame in enumerate(after) if isinstance(frame, decode.Loss)]
    assert lost
    bounds = [*index.keys.tolist(), 60]
    part = np.searchsorted(index.keys, lost[0], side="right")
    assert lost[-1] < bounds[part], "damage went beyond the next key frame"
    for number, frame in enumerate(after):
        assert number in lost or same(frame, whole[number])
    for first in range(0, 60, 7):
        assert all(same(a, b) for a, b in zip(read(index, first, min(60, first + 9)), after[first:], strict=False))


def test_truncated_files(tmp_path: pathlib.Path) -> None:
    made = clip_files.moving(60, 96, 128)
    end = clip_files.write(tmp_path / "end.mp4", made)
    end.write_bytes(end.read_bytes()[:-3000])
    with pytest.raises(errors.InputError, match="cut off"):
        video.index(end)
    front, fast = clip_files.write(tmp_path / "front.mp4", made, options=H264), tmp_path / "fast.mp4"
    with av.open(str(front)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    data = fast.read_bytes()
    fast.write_bytes(data[: len(data) * 2 // 3])
    index = video.index(fast)
    assert 10 < index.frames < 60
    assert index.missing == 60 - index.frames
    frames = read(index)
    good = [frame for frame in frames if isinstance(frame, picture.Picture)]
    assert len(good) > index.frames - 13  # the last packet is cut, with what is built on it
    assert all(np.abs(rgb(frame) * 255 - made[k]).mean() < 8 for k, frame in enumerate(good))


def test_a_change_of_size_in_the_middle(tmp_path: pathlib.Path) -> None:
    first = clip_files.write(tmp_path / "1.h264", clip_files.moving(12), options=H264)
    second = clip_files.write(tmp_path / "2.h264", clip_files.moving(12, 64, 80), options=H264)
    both = tmp_path / "both.h264"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    frames = read(video.index(both))
    assert all(isinstance(frame, picture.Picture) for frame in frames[:12])
    assert frames[12:] == [decode.Loss.CHANGED] * 12


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_not_a_video(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(errors.InputError, match="not a video"):
        video.index(path)
    with pytest.raises(errors.SourceError):
        video.index(tmp_path / "none.mp4")


def test_letters_and_pictures_are_not_clips(tmp_path: pathlib.Path) -> None:
    """FFmpeg plays both: text as on a terminal, a picture as a clip of one frame."""
    (tmp_path / "a.txt").write_text("Words.\n" * 100, encoding="utf-8")
    with pytest.raises(errors.InputError, match="is text, not a video"):
        video.index(tmp_path / "a.txt")
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (16, 16)).save(tmp_path / name)
        with pytest.raises(errors.InputError, match="is a single picture, not a video"):
            video.index(tmp_path / name)


def test_sound_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(errors.InputError, match=r"no video stream \(it holds audio\)"):
        video.index(path)


def test_hdr_is_refused(tmp_path: pathlib.Path) -> None:
    planes = [tuple(np.full(shape, 512, np.uint16) for shape in ((16, 16), (8, 8), (8, 8)))] * 2
    tags = {"colorspace": 9, "color_range": 1, "color_trc": 16}
    path = clip_files.write_planes(tmp_path / "a.mkv", planes, pixels="yuv420p10le", tags=tags)
    with pytest.raises(errors.InputError, match="HDR video"):
        video.index(path)
