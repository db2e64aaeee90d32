"""Functions on arrays: against slow references, 8-bit and linear alike, and what they refuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import reference_frames
import reference_shake

import blursynth as bs
from blursynth import errors
from blursynth.config import options
from blursynth.config import realism as realism_config
from blursynth.kernels import pose, response
from blursynth.makers import convolve, trajectories
from blursynth.synthesis import crop as crops
from blursynth.synthesis import realism, uniform

TRANSFERS = ("gamma2.2", "srgb", "linear")
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 31, 3), np.uint8)
LINEAR = np.random.default_rng(1).random((24, 31, 3), np.float32) * 2
POSES = np.cumsum(np.random.default_rng(2).normal(0, 1, (9, 6)) * [2e-3, 2e-3, 2e-2, 5e-3, 5e-3, 5e-3], axis=0)


def kernels(*shape: int) -> np.ndarray:
    found = np.random.default_rng(3).random(shape) ** 4
    return found / found.sum(axis=(-2, -1), keepdims=True)


def reflected(image: np.ndarray, before: int, after: int) -> np.ndarray:
    return np.pad(image.astype(np.float64), ((before, after), (before, after), (0, 0)), "reflect")


def blurred(image: np.ndarray, transfer: str = "gamma2.2") -> np.ndarray:
    return bs.blur(image, kernels(7, 7), transfer=transfer)


def field(image: np.ndarray, transfer: str = "gamma2.2") -> np.ndarray:
    return bs.blur_field(image, kernels(2, 3, 5, 5), transfer=transfer)


def shaken(image: np.ndarray, transfer: str = "gamma2.2") -> np.ndarray:
    return bs.shake(image, POSES, focal_px=300, depth_m=2, readout=0.5, transfer=transfer)


def averaged(image: np.ndarray, transfer: str = "gamma2.2") -> np.ndarray:
    return bs.average([image, image[::-1], image[:, ::-1]], transfer=transfer).blurred


EVERY = [blurred, field, shaken, averaged]


def test_blur_is_the_convolution_by_its_definition() -> None:
    expected = reference.convolve(reflected(LINEAR, 3, 3), kernels(7, 7))
    np.testing.assert_allclose(blurred(LINEAR), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4), (1, 6), (5, 2), (2, 2)])
def test_of_even_sides_the_centre_is_right_of_the_middle_and_below(shape: tuple[int, int]) -> None:
    kernel = kernels(*shape)
    down, right = shape[0] // 2, shape[1] // 2
    window = reflected(LINEAR, 6, 6)
    expected = sum(
        kernel[v, u] * window[6 + down - v : 30 + down - v, 6 + right - u : 37 + right - u]
        for v in range(shape[0])
        for u in range(shape[1])
    )
    np.testing.assert_allclose(bs.blur(LINEAR, kernel), expected, atol=1e-5)


def test_blur_field_is_the_sum_of_windowed_convolutions() -> None:
    expected = reference_shake.field(reflected(LINEAR, 2, 2), kernels(2, 3, 5, 5))
    np.testing.assert_allclose(field(LINEAR), expected, atol=1e-5)


@pytest.mark.parametrize("readout", [0.0, 0.5])
def test_shake_is_the_mean_of_warped_views(readout: float) -> None:
    frame = pose.View(24, 31, 300.0, 15.0, 11.5)
    taken = pose.samples(POSES.astype(np.float32), frame, [0.5], 1.0, readout / 23)
    backward = [np.linalg.inv(reference_shake.homography(each, 300.0, 0.5)) for each in taken.pose_T6]
    expected = reference_shake.accumulate(reflected(LINEAR, 20, 20), 20, backward, taken.weights_RT, (15.0, 11.5))
    found = bs.shake(LINEAR, POSES, focal_px=300, depth_m=2, readout=readout)
    assert taken.motion > 2
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_average_is_the_mean_in_linear_intensity(transfer: str) -> None:
    frames = np.stack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]])
    pair = bs.average(frames, transfer=transfer)
    exact = 255 * reference_frames.to_encoded(reference_frames.to_linear(frames / 255, transfer).mean(axis=0), transfer)
    assert np.abs(pair.blurred - exact).max() <= 0.5 + 2 / 256
    np.testing.assert_array_equal(pair.sharp, frames[1])
    np.testing.assert_array_equal(bs.average(frames[:2], target=1).sharp, frames[1])
    linear = bs.average(LINEAR[None].repeat(2, 0) * np.array([1, 3], np.float32)[:, None, None, None], target=0)
    np.testing.assert_allclose(linear.blurred, LINEAR * 2, rtol=1e-6)


@pytest.mark.parametrize("function", EVERY)
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_8_bit_and_linear_agree_to_half_a_value(function: Callable[..., np.ndarray], transfer: str) -> None:
    linear = function(response.decode(IMAGE, transfer))
    assert linear.dtype == np.float32
    encoded = function(IMAGE, transfer)
    assert encoded.dtype == np.uint8
    exact = 255 * reference_frames.to_encoded(linear.astype(np.float64), transfer)
    # Averages have 255 * 256 levels of intensity; near black of gamma2.2 a rounding of float32 is 1e-2 of a value.
    assert np.abs(exact - encoded).max() <= 0.51


@pytest.mark.parametrize("function", EVERY)
@pytest.mark.parametrize("image", [IMAGE, LINEAR])
def test_grey_images_are_one_of_three_equal_channels(function: Callable[..., np.ndarray], image: np.ndarray) -> None:
    grey = image[..., 1]
    found = function(grey)
    assert found.shape == grey.shape
    np.testing.assert_array_equal(found, function(np.repeat(grey[..., None], 3, axis=2))[..., 0])


@pytest.mark.parametrize("function", EVERY)
def test_inputs_stay_as_they_are_and_views_are_taken(function: Callable[..., np.ndarray]) -> None:
    large = np.random.default_rng(4).integers(0, 256, (48, 62, 3), np.uint8)
    view, before = large[::2, ::2], large.copy()
    view.flags.writeable = False
    np.testing.assert_array_equal(function(view), function(view.copy()))
    np.testing.assert_array_equal(large, before)


def test_blur_has_the_bytes_of_a_pair() -> None:
    maker = convolve.maker("scenes:1", {"seed": 3, "size": 64, "length": "9:20"})
    made = maker.make(range(1))
    photo = maker.photos.read(maker.used[0])
    whole = bs.blur(photo, made["psf"][0])
    top, left = made["crop_y"][0], made["crop_x"][0]
    np.testing.assert_array_equal(whole[top : top + 64, left : left + 64], made["blurred"][0])
    crop = crops.Crop(photo, 0, 0, *photo.shape[:2])
    np.testing.assert_array_equal(whole, uniform.blur(crop, made["psf"][0], "gamma2.2"))


def test_trajectories_are_the_items_of_a_dataset() -> None:
    maker = trajectories.maker({"n": 9, "length": "5:30", "preset": "deblurgan", "steps": 300, "seed": 7})
    stored = maker.make(range(9))["position"] * maker.schema.arrays[0].attributes["scale_factor"]
    for length in ("5:30", (5, 30)):
        found = bs.trajectories(5, seed=7, first=4, length=length, preset="deblurgan", steps=300)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, stored[4:])
    straight = bs.trajectories(3, length=12, angle=90)
    np.testing.assert_allclose(straight[:, -1], [[0, 12]] * 3, atol=1e-3)
    assert bs.trajectories(0).shape == (0, 2000, 2)
    listed = bs.trajectories(50, length=[5, 10], steps=20, anxiety=0)
    assert set(np.round(np.hypot(*listed[:, -1].T)).tolist()) == {5.0, 10.0}


def test_psfs_are_bilinear_shares_of_the_exposed_positions() -> None:
    paths = bs.trajectories(4, length=20, steps=100)
    found = bs.psfs(paths, exposure=[0.25, 0.5, 1.0, 0.1], size=25)
    for path, psf, end in zip(paths, found, (0.25, 0.5, 1.0, 0.1), strict=True):
        np.testing.assert_allclose(psf, reference.psf(path.astype(np.float64), 0, end, 25), atol=1e-6)
    chosen = bs.psfs(paths, exposure=0.5)
    assert chosen.shape == (4, 13, 13)
    np.testing.assert_array_equal(chosen, bs.psfs(paths, exposure=0.5, size=25)[:, 6:19, 6:19])
    np.testing.assert_array_equal(bs.psfs(paths[2], exposure=0.5), chosen[2])
    uneven = np.zeros((1, 10, 2))
    uneven[0, -2:, 0] = 30, 60  # all of it at the end
    assert bs.psfs(uneven).sum() == pytest.approx(1)


def test_camera_is_that_of_pairs() -> None:
    table: dict[str, Any] = {"preset": "rsblur", "jpeg": "60:90"}
    config = options.build(table, realism_config.Realism)
    drawn = realism.of_item(realism.draw(config, 5, np.array([3])), 0)
    expected = realism.Camera(config, "srgb", values=drawn, seed=5, item=3).blurred(LINEAR)
    found = bs.camera(LINEAR, "rsblur", transfer="srgb", seed=5, item=3, jpeg=(60, 90))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(bs.camera(LINEAR, "none"), response.encode(LINEAR, "gamma2.2"))
    assert (bs.camera(LINEAR, "rsblur", item=1) != bs.camera(LINEAR, "rsblur", item=2)).any()


BAD_IMAGES = [
    IMAGE.astype(np.float64),
    IMAGE.astype(np.int32),
    IMAGE[..., :2],
    IMAGE[None],
    IMAGE[0, 0],
    np.where(LINEAR > 1.9, np.nan, LINEAR).astype(np.float32),
    np.where(LINEAR > 1.9, np.inf, LINEAR).astype(np.float32),
    LINEAR - 1,
    np.zeros((0, 5), np.uint8),
    [[1, 2], [3]],
    "photo.png",
    None,
]


@pytest.mark.parametrize("function", EVERY)
@pytest.mark.parametrize("image", BAD_IMAGES, ids=range(len(BAD_IMAGES)))
def test_images_that_are_none_are_refused(function: Callable[..., np.ndarray], image: Any) -> None:
    if function is averaged:
        with pytest.raises(errors.InputError):
            bs.average([image])
    else:
        with pytest.raises(errors.InputError):
            function(image)
    with pytest.raises(errors.InputError):
        function(IMAGE, "gamma")


@pytest.mark.parametrize(
    "psf",
    [
        kernels(3, 3) * 2,
        np.zeros((3, 3)),
        np.full((3, 3), np.nan),
        np.array([[1.5, -0.5]]),
        kernels(1, 3, 3),
        kernels(3, 3).astype(complex),
        kernels(25, 25),
        [[1.0], [0.5, 0.5]],
        np.zeros((0, 0)),
        None,
    ],
)
def test_kernels_that_are_none_are_refused(psf: Any) -> None:
    with pytest.raises(errors.InputError):
        bs.blur(IMAGE, psf)
    with pytest.raises(errors.InputError):
        bs.blur_field(IMAGE, [[psf]])
    doubled = bs.blur(IMAGE, kernels(3, 3) * 2, normalise=True)
    np.testing.assert_array_equal(doubled, bs.blur(IMAGE, kernels(3, 3)))


@pytest.mark.parametrize(
    ("poses", "options"),
    [
        (POSES[:, :5], {}),
        (POSES[:1], {}),
        (POSES[None], {}),
        (POSES * np.nan, {}),
        (POSES * 1000, {}),
        (POSES, {"focal_px": 0}),
        (POSES, {"focal_px": np.nan}),
        (POSES, {"depth_m": -1}),
        (POSES, {"readout": 11}),
    ],
)
def test_camera_paths_that_are_none_are_refused(poses: np.ndarray, options: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError):
        bs.shake(IMAGE, poses, **{"focal_px": 300, **options})


@pytest.mark.parametrize(
    ("frames", "options"),
    [
        ([], {}),
        ([IMAGE, IMAGE], {}),
        ([IMAGE], {"target": 1}),
        ([IMAGE], {"target": -1}),
        ([IMAGE], {"target": "first"}),
        ([IMAGE], {"target": True}),
        ([IMAGE, IMAGE[1:], IMAGE], {}),
        ([IMAGE, LINEAR, IMAGE], {}),
        ([IMAGE, IMAGE[..., 0], IMAGE], {}),
        (np.zeros((1026, 2, 2), np.uint8), {"target": 0}),
    ],
)
def test_frames_that_are_none_are_refused(frames: Any, options: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError):
        bs.average(frames, **options)


def test_settings_are_checked() -> None:
    for settings in ({"lenght": 5}, {"length": 0}, {"length": "a"}, {"preset": "none"}, {"seed": -1}, {"first": 0.5}):
        with pytest.raises(errors.RecipeError):
            bs.trajectories(3, **settings)
    with pytest.raises(errors.RecipeError):
        bs.trajectories(-1)
    paths = np.zeros((2, 5, 2))
    for exposure in (0, 1.1, [0.5], [[0.5, 1]], np.nan, "all"):
        with pytest.raises(errors.InputError):
            bs.psfs(paths, exposure=exposure)
    for wrong in (np.zeros((2, 5, 3)), np.zeros(5), np.full((1, 5, 2), np.nan), np.full((1, 2, 2), 1e9), "paths"):
        with pytest.raises(errors.InputError):
            bs.psfs(wrong)
    for size in (0, 5000, 3.5, True):
        with pytest.raises(errors.InputError):
            bs.psfs(paths, size=size)
    with pytest.raises(errors.InputError):
        bs.psfs(bs.trajectories(1, length=50), size=5)
    for preset, settings in (("none", {"jpg": 5}), ("rsblurr", {}), ("rsblur", {"jpeg": 500}), ("lai", {"seed": 1.5})):
        with pytest.raises(errors.RecipeError):
            bs.camera(LINEAR, preset, **settings)
    for image in (IMAGE, LINEAR[..., 0]):
        with pytest.raises(errors.InputError):
            bs.camera(image)
