"""Windows of frames to pairs: crops, rotation, interpolation, motion, scene cuts."""

import sys

import clip_files
import numpy as np
import numpy.typing as npt
import pytest
import reference_frames as reference

from blursynth import errors
from blursynth.kernels import response
from blursynth.media import picture
from blursynth.synthesis import flow, frames

CODING = picture.Coding("bt709", False, 8, (True, True))


def rgb_frames(codes: npt.NDArray[np.uint8]) -> list[picture.Picture]:
    return [picture.Picture((frame,), None) for frame in codes]


def plane_frames(count: int, height: int, width: int, seed: int = 0) -> list[picture.Picture]:
    draws = np.random.default_rng(seed)
    sizes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    return [
        picture.Picture(tuple(draws.integers(0, 256, size, np.uint8) for size in sizes), CODING) for _ in range(count)
    ]


def measured(pictures: list[picture.Picture]) -> flow.Steps:
    return flow.measure(flow.shrink(pictures))


def has_cut(pictures: list[picture.Picture]) -> bool:
    """By means that need OpenCV; without it the answers are the same, but where a small frame moves fast."""
    found = flow.has_cut(flow.shrink(pictures))
    assert flow.has_cut(flow.shrink(pictures, opencv=False)) >= found
    return found


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [(40, 52), (41, 53)])
def test_a_crop_is_part_of_the_whole(turns: int, mirrored: bool, size: tuple[int, int]) -> None:
    orientation = picture.Orientation(turns, mirrored)
    for pictures in (
        plane_frames(3, *size),
        rgb_frames(np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)),
    ):
        window = frames.Window(pictures, frames.Light("gamma2.2"), 1, orientation)
        whole = window.pair()
        upright = size if turns % 2 == 0 else size[::-1]
        assert whole.blurred.shape == (*upright, 3)
        for box in [(0, 0, 16, 16), (7, 5, 20, 22), (upright[0] - 9, upright[1] - 11, 9, 11), (3, 3, 1, 1)]:
            part = window.pair(box)
            rows, columns = slice(box[0], box[0] + box[2]), slice(box[1], box[1] + box[3])
            assert np.array_equal(part.blurred, whole.blurred[rows, columns])
            assert np.array_equal(part.sharp, whole.sharp[rows, columns])


def test_turns_are_counter_clockwise() -> None:
    codes = np.random.default_rng(1).integers(0, 256, (1, 8, 10, 3), np.uint8)
    for turns in range(4):
        pair = frames.Window(rgb_frames(codes), frames.Light("srgb"), 0, picture.Orientation(turns)).pair()
        assert np.array_equal(pair.sharp, np.rot90(codes[0], turns))
        assert np.array_equal(pair.blurred, pair.sharp)


def test_the_sharp_frame_is_the_target_to_the_bit() -> None:
    codes = clip_files.moving(7)
    for target in (0, 3, 6):
        assert np.array_equal(
            frames.Window(rgb_frames(codes), frames.Light("gamma2.2"), target).pair().sharp, codes[target]
        )


def test_measured_motion_is_the_motion() -> None:
    for speed in (0, 2, 5):
        codes = clip_files.moving(5, 200, 240, speed)
        steps = measured(rgb_frames(codes))
        largest = steps.largest(0, 0, 200, 240)
        assert largest.shape == (4,)
        assert np.abs(largest - speed).max() < 0.15 * speed + 0.3
        half = steps.largest(100, 0, 100, 240)
        assert np.abs(half - speed).max() < 0.15 * speed + 0.3
    assert measured(rgb_frames(clip_files.moving(3, 8, 9))).largest(0, 0, 8, 9).tolist() == [0, 0]
    flat = np.full((3, 200, 240, 3), 90, np.uint8)
    assert measured(rgb_frames(flat)).largest(0, 0, 200, 240).tolist() == [0, 0]


def test_motion_does_not_depend_on_what_was_measured_before() -> None:
    codes = clip_files.moving(4, 200, 240, 3)
    first = measured(rgb_frames(codes)).distance
    measured(rgb_frames(clip_files.moving(4, 500, 300, 9)))
    assert np.array_equal(first, measured(rgb_frames(codes)).distance, equal_nan=True)


def test_scene_cuts() -> None:
    one, other = clip_files.moving(4, seed=1), clip_files.moving(4, seed=2)
    assert not has_cut(rgb_frames(one))
    assert has_cut(rgb_frames(np.concatenate([one, other])))
    assert not has_cut(rgb_frames(np.stack([one[0], (one[0] * 0.8).astype(np.uint8)])))  # a lamp goes out
    black = np.zeros_like(one)
    assert not has_cut(rgb_frames(black))
    assert has_cut(rgb_frames(np.concatenate([black, one])))
    tiny = np.arange(2 * 5 * 7 * 3, dtype=np.uint8).reshape(2, 5, 7, 3)
    assert not has_cut(rgb_frames(tiny))


def test_interpolation_fills_the_gaps() -> None:
    speed, between = 8, 3
    fine = clip_files.moving(17, 120, 160, speed // 4)
    coarse = fine[::4]
    truth = reference.mean_code(fine / 255, "gamma2.2")
    light = frames.Light("gamma2.2")
    copies = frames.Window(rgb_frames(coarse), light, 2).pair().blurred
    filled = frames.Window(rgb_frames(coarse), light, 2, interpolate=between).pair()
    inside = np.s_[8:-8, 24:-24]  # what moves in at the border cannot be known
    error, copied = (np.abs(each[inside] - truth[inside]).mean() for each in (filled.blurred, copies))
    assert error < 0.35 * copied
    assert np.array_equal(filled.sharp, coarse[2])
    box = frames.Window(rgb_frames(coarse), light, 2, interpolate=between).pair((10, 20, 30, 40))
    assert np.array_equal(box.blurred, filled.blurred[10:40, 20:60])
    still = frames.Window(rgb_frames(coarse[:1].repeat(3, axis=0)), light, 1, interpolate=2).pair()
    assert np.array_equal(still.blurred, still.sharp)


def test_interpolated_planes_keep_the_sharp_frame() -> None:
    pictures = plane_frames(3, 32, 40)
    light = frames.Light("gamma2.2")
    assert np.array_equal(
        frames.Window(pictures, light, 1, interpolate=1).pair().sharp, frames.Window(pictures, light, 1).pair().sharp
    )


def test_without_opencv_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(errors.MissingPackageError, match=r"libgl1.*--no-motion"):
        measured(rgb_frames(clip_files.moving(2)))


@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize("interpolate", [0, 2])
def test_light_is_what_pairs_are_encoded_from(turns: int, interpolate: int) -> None:
    box = (3, 5, 20, 22)
    moving = rgb_frames(clip_files.moving(5))
    for pictures in (plane_frames(5, 40, 52), moving):
        window = frames.Window(pictures, frames.Light("srgb"), 2, picture.Orientation(turns), interpolate)
        light = window.light(box)
        assert light.dtype == np.float32
        apart = response.encode(np.ascontiguousarray(light), "srgb").astype(int) - window.pair(box).blurred
        assert np.abs(apart).max() <= 1
        assert (apart != 0).mean() < 0.01  # float32 beside whole numbers, at a code's edge


def test_light_of_white_can_be_raised() -> None:
    codes = np.random.default_rng(0).integers(200, 256, (3, 9, 11, 3), np.uint8)
    codes[1, 2:4, 3:6] = 255
    window = frames.Window(rgb_frames(codes), frames.Light("gamma2.2"), 1)
    expected = (codes / 255.0) ** 2.2 + 1.5 * (codes == 255)
    assert window.light(None, 1.5) == pytest.approx(expected.mean(axis=0), abs=1e-5)
    grey = [picture.Picture((np.full((8, 8), 235, np.uint8), *[np.full((4, 4), 128, np.uint8)] * 2), CODING)] * 3
    assert frames.Window(grey, frames.Light("srgb"), 1).light(None, 0.75) == pytest.approx(1.75, abs=1e-5)
