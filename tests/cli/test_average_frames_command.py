"""`blursynth average-frames` as users type it, and the sentence for everything that goes wrong."""

import pathlib

import av
import clip_files
import numpy as np
import pytest
from PIL import Image

from blursynth.media import photos as media
from blursynth.storage import reader

from .conftest import Run


@pytest.fixture
def clip(tmp_path: pathlib.Path) -> pathlib.Path:
    return clip_files.write(tmp_path / "walk.mp4", clip_files.moving(40, 120, 160))


def assert_sentence(result: object, *fragments: str) -> None:
    assert result.code == 2, result  # type: ignore[attr-defined]
    message = result.err  # type: ignore[attr-defined]
    assert "Traceback" not in message
    for fragment in fragments:
        assert fragment in message, message


def test_a_video_becomes_pairs_that_can_be_looked_at(run: Run, clip: pathlib.Path, tmp_path: pathlib.Path) -> None:
    made = run("average-frames", clip, "--frames", "3-7")
    assert made.code == 0, made
    pairs = reader.open("walk-pairs.zarr")
    assert pairs.kind == "pairs"
    assert pairs.items >= 5
    info = run("info", "walk-pairs.zarr").out
    assert "frames in a window (M)" in info
    assert "motion over the window, px" in info
    assert run("preview", "walk-pairs.zarr", "--count", 3, "--cell", 96).code == 0
    with_frames = media.read(tmp_path / "walk-pairs.png")
    clip.unlink()
    assert run("preview", "walk-pairs.zarr", "--count", 3, "--cell", 96).code == 0
    without = media.read(tmp_path / "walk-pairs.png")
    assert with_frames.shape == without.shape
    strip = np.s_[:, 3 * 104 + 8 :]
    assert np.array_equal(with_frames[:, : 3 * 104], without[:, : 3 * 104])
    assert with_frames[strip].std() > without[strip].std(), "the frames used are not shown"


def test_the_report_prints_a_table(run: Run, tmp_path: pathlib.Path) -> None:
    for folder in ("GOPR1_03_00", "published/blur"):
        (tmp_path / folder).mkdir(parents=True)
    codes = clip_files.moving(9)
    for k, frame in enumerate(codes):
        Image.fromarray(frame).save(tmp_path / "GOPR1_03_00" / f"{k}.png")
    mean = np.rint(codes[:3].mean(axis=0)).astype(np.uint8)
    Image.fromarray(mean).save(tmp_path / "published" / "blur" / "1.png")
    report = run("average-frames", "GOPR1_03_00", "--gopro-report", "published")
    assert report.code == 0, report
    assert "M = 3, 3 windows" in report.out
    assert "100.000%" in report.out
    assert "1 images and 3 windows" in report.out
    assert not list(tmp_path.glob("*.zarr"))


@pytest.mark.parametrize("m", ["00", "01", "08", "99", "300", "9" * 200, "1" * 9])
def test_an_m_that_cannot_be_is_refused_in_a_sentence(run: Run, tmp_path: pathlib.Path, m: str) -> None:
    """By the report, whichever of the two names says it, and by the command itself, unless --frames says another."""
    named, plain = f"GOPR1_{m}_00", "walk"
    for folder in (f"a/{named}", f"b/{plain}", f"published/{named}/blur", f"published/{plain}/blur"):
        (tmp_path / folder).mkdir(parents=True)
    for k, frame in enumerate(clip_files.moving(9)):
        for folder in (f"a/{named}", f"b/{plain}"):
            Image.fromarray(frame).save(tmp_path / folder / f"{k}.png")
    report = "average-frames", "--gopro-report"
    for source, against in ((f"a/{named}", plain), (f"b/{plain}", named)):
        assert_sentence(run(*report, f"published/{against}", source), "M = ")
    assert_sentence(run("average-frames", f"a/{named}", "--no-motion", "--out", "no.zarr"), "frames")
    assert not (tmp_path / "no.zarr").exists()
    assert run(*report, f"published/{named}", f"a/{named}", "--frames", 3).code == 0


def test_a_name_without_a_number_leaves_m_to_the_options(run: Run, tmp_path: pathlib.Path) -> None:
    for folder in ("GOPR1_xx_00", "published/GOPR1_xx_00/blur"):
        (tmp_path / folder).mkdir(parents=True)
    for k, frame in enumerate(clip_files.moving(12)):
        Image.fromarray(frame).save(tmp_path / "GOPR1_xx_00" / f"{k}.png")
    report = run("average-frames", "GOPR1_xx_00", "--gopro-report", "published/GOPR1_xx_00")
    assert report.code == 0
    assert "M = 11, 1 windows (M: --frames)" in report.out


def test_options_that_do_not_go_together(run: Run, clip: pathlib.Path) -> None:
    assert_sentence(run("average-frames", clip, "--frames", 8), "no middle one", "target")
    assert_sentence(run("average-frames", clip, "--gamma", 1, "--transfer", "srgb"), "--gamma and --transfer")
    assert_sentence(run("average-frames", clip, "--size", 32, "--crop", "grid", "--per-window", 3), "--per-window")
    assert_sentence(run("average-frames", clip, "--gamma", 9), "expected 0.2 to 5")
    assert_sentence(run("average-frames", clip, "--target", "last"), "expected middle")
    assert_sentence(run("average-frames", clip, "--splits", "half"), "train=0.8")
    assert_sentence(run("average-frames", clip, "--response", "none.txt"), "none.txt cannot be read")
    pathlib.Path("short.txt").write_text("1\n2\n")
    assert_sentence(run("average-frames", clip, "--response", "short.txt"), "2 rows of 1", "256 rows")
    assert_sentence(run("average-frames", clip, "--frames", 255), "has 40 frames, fewer than the 255")
    assert_sentence(run("average-frames", clip, "--size", 128), "160x120 px, smaller than the crop")


def test_clips_that_cannot_be_used(run: Run, tmp_path: pathlib.Path, clip: pathlib.Path) -> None:
    slow = clip_files.write(tmp_path / "slow.mp4", clip_files.moving(20), rate=30)
    assert_sentence(run("average-frames", slow), "30 frames per second", "row of copies", "--interpolate")
    assert run("average-frames", slow, "--allow-fps", "--frames", 5).code == 0
    (tmp_path / "text.mp4").write_text("not a video " * 50)
    assert_sentence(run("average-frames", "text.mp4"), "not a video")
    assert_sentence(run("average-frames", "none.mp4"), "There is no file or folder none.mp4")
    assert_sentence(run("average-frames", clip, slow, "--allow-fps"), "The clips have 2 sizes", "give --size")
    both = run("average-frames", clip, "text.mp4", "--out", "both.zarr")
    assert both.code == 0
    assert "text.mp4: text.mp4 is not a video" in both.out
    assert_sentence(run("average-frames", clip, "text.mp4", "--strict", "--out", "c.zarr"), "Without --strict")
    times = [15 * (k // 3) + (0, 2, 7)[k % 3] for k in range(20)]
    uneven = clip_files.write(tmp_path / "uneven.mp4", clip_files.moving(20), times=times, rate=1000)
    assert_sentence(run("average-frames", uneven, "--frames", 3), "variable frame rate")


def test_the_same_command_goes_on(run: Run, clip: pathlib.Path) -> None:
    assert run("average-frames", clip).code == 0
    assert "complete already" in run("average-frames", clip).out
    assert_sentence(run("average-frames", clip, "--frames", 5), "frames")


def test_an_assumed_rate_is_printed(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "frames").mkdir()
    for k, frame in enumerate(clip_files.moving(9)):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{k}.png")
    asked = ("average-frames", "frames", "--frames", "3", "--no-motion")
    assumed = run(*asked, "--out", "a.zarr")
    assert (assumed.code, "240" in assumed.err, "--fps" in assumed.err) == (0, True, True), assumed
    stated = run(*asked, "--out", "b.zarr", "--fps", "300")
    assert (stated.code, "--fps" in stated.err) == (0, False), stated
    assert reader.open("b.zarr").columns["time_s"].tolist() == pytest.approx([1 / 300, 4 / 300, 7 / 300])


def test_a_damaged_clip_is_refused_or_its_loss_is_listed(run: Run, clip: pathlib.Path) -> None:
    with av.open(str(clip)) as source, av.open("a.mkv", "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    cut = pathlib.Path("a.mkv")
    cut.write_bytes(cut.read_bytes()[:-500])
    asked = ("average-frames", "a.mkv", "--frames", "5", "--no-motion", "--out", "a.zarr")
    assert_sentence(run(*asked), "--allow-damaged")
    assert run(*asked, "--allow-damaged").code == 0
    assert "a.mkv" in run("info", "a.zarr").out
    folder = run("average-frames", ".", "--frames", "5", "--no-motion", "--out", "b.zarr")
    assert folder.code == 0, folder
    assert [each["name"] for each in reader.open("b.zarr").sources] == ["walk.mp4"]
    assert "a.mkv" in run("info", "b.zarr").out
