"""Camera shake: what a path does to a photo, in closed forms and against convolution."""

import numpy as np
import numpy.typing as npt
import pytest

from blursynth import errors
from blursynth.config import shake as shake_config
from blursynth.config import toml
from blursynth.kernels import pose, psf, response
from blursynth.synthesis import crop, shake, uniform

PHOTO = np.random.default_rng(5).integers(0, 256, (150, 180, 3), dtype=np.uint8)
ITEMS = np.arange(4, dtype=np.int64)
TABLE = response.decode_table("gamma2.2")


def request(**values: object) -> shake_config.Shake:
    return toml.build({"size": 64, "motion": "2:9"} | values, shake_config.Shake)


def cut(photo: npt.NDArray[np.uint8] = PHOTO) -> crop.Crop:
    return crop.Crop(photo, 40, 50, 64, 64)


def frame(asked: shake_config.Shake) -> pose.View:
    return shake.view(asked, cut())


def through(
    asked: shake_config.Shake, photo: npt.NDArray[np.uint8], path: npt.NDArray[np.float32], depth: float
) -> npt.NDArray[np.uint8]:
    table = response.decode_table(asked.transfer)
    done = shake.blur(asked, cut(photo), path, depth, None, table)
    return response.encode(done.light_HWC, asked.transfer)


def blurred(path: npt.NDArray[np.float32], asked: shake_config.Shake, depth: float = 2.0) -> npt.NDArray[np.uint8]:
    return through(asked, PHOTO, path, depth)


@pytest.mark.parametrize("transfer", ["gamma2.2", "srgb", "linear"])
def test_a_camera_at_rest_is_the_identity(transfer: str) -> None:
    asked = request(transfer=transfer)
    seen = blurred(np.zeros((9, 6), np.float32), asked)
    assert np.array_equal(seen, PHOTO[40:104, 50:114])


def test_a_path_in_the_plane_is_convolution_with_its_psf() -> None:
    """Sideways motion by t metres at depth d moves the scene by f t / d px, everywhere alike."""
    asked = request(field_of_view=60.0)
    view = frame(asked)
    px = np.cumsum(np.random.default_rng(3).normal(size=(400, 2)) * 0.4, axis=0)
    px -= px[200]
    path = np.zeros((400, 6), np.float32)
    path[:, 3:5] = px * 2.0 / view.focal
    seen = blurred(path, asked)
    kernel = shake.psfs(path, view, 2.0, 0.0, np.array([[32, 32]]), 63)[0]
    even = uniform.blur(cut(), kernel, "gamma2.2")
    assert np.abs(seen.astype(int) - even).max() <= 1
    drawn = psf.rasterise(px[None].astype(np.float32), np.array([[0, 1]], np.float32), 63)[0]
    grid = np.arange(63)

    def spread(psf_KK: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        mean = np.array([(psf_KK.sum(axis=axis) * grid).sum() for axis in (0, 1)])
        return np.array([(psf_KK.sum(axis=axis) * (grid - mean[axis]) ** 2).sum() for axis in (0, 1)])

    assert np.allclose(spread(kernel), spread(drawn), rtol=0.05)


def test_a_plane_far_away_does_not_see_translation() -> None:
    path = np.zeros((50, 6), np.float32)
    path[:, 3] = np.linspace(-0.05, 0.05, 50)
    asked = request()
    sharp = PHOTO[40:104, 50:114].astype(int)
    assert np.abs(blurred(path, asked, depth=1e6) - sharp).max() <= 1  # it moves by 1e-5 px
    assert np.abs(blurred(path, asked, depth=1.0) - sharp).max() > 50


def test_roll_leaves_the_principal_point_sharp() -> None:
    """Which is the photo's centre, wherever the crop lies."""
    path = np.zeros((50, 6), np.float32)
    path[:, 2] = np.linspace(-0.1, 0.1, 50)
    asked = request()
    view = frame(asked)
    assert (view.centre_x, view.centre_y) == (89.5 - 50, 74.5 - 40)
    change = np.abs(blurred(path, asked).astype(int) - PHOTO[40:104, 50:114]).max(axis=2)
    # The four pixels around it are 0.7 px away and turn by 0.07 px; those in the corner by 5 px.
    assert change[34:36, 39:41].mean() < 20 < 60 < np.median(change[:8, :8])


@pytest.mark.parametrize("preset", ["handheld", "lai"])
@pytest.mark.parametrize("readout", [0.0, 1.0])
def test_paths_are_scaled_to_the_motion_asked_for(preset: str, readout: float) -> None:
    asked = request(preset=preset, readout=readout)
    found = shake.paths(asked, 3, ITEMS)
    for k, motion in enumerate((3.0, 9.0, 1.0, 20.0)):
        done = shake.blur(asked, cut(), found.path_NK6[k], float(found.depth[k]), motion, TABLE)
        assert done.motion == pytest.approx(motion, rel=1e-3)


@pytest.mark.parametrize("path", ["gaussian", "boracchi-foi"])
@pytest.mark.parametrize(("target", "readout", "knot"), [("middle", 0.0, 50), ("first", 0.0, 0), ("middle", 1.0, 50)])
def test_the_sharp_pose_is_where_it_is_said_to_be(path: str, target: str, readout: float, knot: int) -> None:
    asked = request(path=path, target=target, readout=readout, knots=101)
    found = shake.paths(asked, 3, ITEMS)
    assert not found.path_NK6[:, knot].any()
    assert found.path_NK6[:, -1].any(axis=1).all()


def test_items_alone_equal_items_together() -> None:
    for path in ("gaussian", "boracchi-foi"):
        asked = request(path=path)
        together, alone = shake.paths(asked, 3, ITEMS), shake.paths(asked, 3, ITEMS[2:3])
        assert np.array_equal(together.path_NK6[2], alone.path_NK6[0])
        assert together.depth[2] == alone.depth[0]
        assert not np.array_equal(together.path_NK6[2], shake.paths(asked, 4, ITEMS).path_NK6[2])


def test_lai_only_rotates_and_takes_codes_for_light() -> None:
    asked = request(preset="lai")
    found = shake.paths(asked, 3, ITEMS)
    assert asked.transfer == "linear"
    assert not found.path_NK6[..., 3:].any()
    assert found.path_NK6[..., :3].any(axis=(0, 1)).all()
    assert frame(asked).focal == pytest.approx(220.0)  # the longer side with 20 px on each side


def test_a_light_before_clipping_stays_a_streak() -> None:
    """White stays white along a short path only where it was exposed long enough: light is added, not codes."""
    photo = np.zeros((150, 180, 3), np.uint8)
    photo[72:78, 88:94] = 255
    path = np.zeros((60, 6), np.float32)
    asked = request(focal=200.0)
    path[:, 1] = np.linspace(-0.05, 0.05, 60)
    seen = through(asked, photo, path, 1.0)
    streak = seen[34, 30:50, 0]
    expected = round(255 * (6 / 20) ** (1 / 2.2))  # six px of light over a path of 20
    assert abs(int(streak[10]) - expected) <= 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"motion": "2:90"}, "out of a crop of 64 px"),
        ({"focal": -5.0}, "focal"),
        ({"focal": 0}, "focal"),
        ({"focal": 100.0, "field_of_view": 60.0}, "either a field of view"),
        ({"focal": 100.0, "fit": "resize"}, "no meaning"),
        ({"path": "gyro"}, "needs a recording"),
        ({"depth": "-1"}, "depth"),
        ({"exposure": "0.1"}, "needs the exposure in seconds"),
    ],
)
def test_requests_that_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(errors.RecipeError, match=message):
        request(**values)


@pytest.mark.parametrize("turn", [0.5, 1.7, 20.0])
def test_a_path_that_leaves_the_frame_is_a_sentence(turn: float) -> None:
    """Even one that turns the camera around, so that the scene would come from behind."""
    path = np.zeros((9, 6), np.float32)
    path[:, 1] = np.linspace(-turn, turn, 9)
    with pytest.raises(errors.InputError, match="out of a frame of 64x64"):
        blurred(path, request(motion=None))


@pytest.mark.parametrize(
    ("values", "motion"),
    [
        ({}, "5:40"),
        ({"translation": 0, "forward": "0"}, "5:40"),
        ({"rotation": "0.1"}, None),
        ({"translation": "0:0.01", "rotation": 0}, None),
        ({"rotation": "0.1", "motion": "3"}, "3"),
        ({"preset": "lai", "roll": 2}, None),
    ],
)
def test_angles_and_metres_that_are_given_are_meant(values: dict[str, object], motion: str | None) -> None:
    """The preset's motion scales the preset's axes, not those that somebody chose; a record gives the same."""
    asked = toml.build({"size": 64} | values, shake_config.Shake)
    assert (None if asked.motion is None else str(asked.motion)) == motion
    assert toml.parse(toml.to_toml(asked), shake_config.Shake) == asked


def test_a_unit_of_rotation_is_so_many_degrees() -> None:
    asked = toml.build({"size": 64, "rotation": 2, "roll": 0, "translation": 0}, shake_config.Shake)
    path = shake.paths(asked, 3, np.arange(400)).path_NK6
    change = path[:, -1, :2] - path[:, 0, :2]  # of a process of unit variance, half a correlation to three apart
    assert 0.5 * np.radians(2) < change.std() < np.sqrt(2) * np.radians(2)
