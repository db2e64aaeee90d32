"""Planes at several depths: laws, closed forms, and a scene whose background is known."""

import numpy as np
import numpy.typing as npt
import pytest
import reference_shake

from blursynth import errors
from blursynth.config import shake as shake_config
from blursynth.config import toml
from blursynth.kernels import pose, response, warp
from blursynth.synthesis import crop, depth, shake

SIZE = 64
DRAWS = np.random.default_rng(5)
PHOTO = DRAWS.integers(0, 256, (150, 180, 3), dtype=np.uint8)
NOISE = DRAWS.uniform(1, 10, (150, 180)).astype(np.float32)
TOP, LEFT = 40, 50
TABLE = response.decode_table("gamma2.2")


def request(**values: object) -> shake_config.Shake:
    return toml.build({"size": SIZE, "motion": "2:9", "depth_maps": {}} | values, shake_config.Shake)


def cut(photo: npt.NDArray[np.uint8] = PHOTO) -> crop.Crop:
    return crop.Crop(photo, TOP, LEFT, SIZE, SIZE)


def frame() -> pose.View:
    return shake.view(request(), cut())


def path(px: float, focal: float, turn: float = 0.0) -> npt.NDArray[np.float32]:
    """Sideways by up to +-px at a depth of 1 m, on a bow."""
    poses = np.zeros((41, 6), np.float32)
    along = np.linspace(-1, 1, 41)
    poses[:, 3], poses[:, 4] = along * px / focal, (1 - along**2) * 0.5 * px / focal
    poses[:, 2] = turn * along
    return poses - poses[20]


def blurred(
    photo: npt.NDArray[np.uint8], depth_HW: npt.NDArray[np.float32], poses: npt.NDArray[np.float32], **values: object
) -> depth.Shaken:
    return depth.blur(request(**values), cut(photo), depth_HW, poses, None, TABLE)


def codes(done: shake.Shaken) -> npt.NDArray[np.int64]:
    return response.encode(done.light_HWC, "gamma2.2").astype(np.int64)


def test_a_camera_at_rest_is_the_identity() -> None:
    found = blurred(PHOTO, NOISE, np.zeros((9, 6), np.float32))
    assert np.array_equal(codes(found.shaken), PHOTO[TOP : TOP + SIZE, LEFT : LEFT + SIZE])


@pytest.mark.parametrize("layers", [None, 1, 2, 7])
def test_a_scene_of_one_colour_keeps_it_whatever_its_depths(layers: int | None) -> None:
    photo = np.full_like(PHOTO, (200, 30, 90))
    found = blurred(photo, NOISE, path(12, frame().focal, 0.05), depth_maps={"layers": layers} if layers else {})
    assert np.abs(codes(found.shaken) - (200, 30, 90)).max() == 0


def test_equal_depths_are_one_plane() -> None:
    poses = path(12, frame().focal, 0.05)
    found = blurred(PHOTO, np.full((150, 180), 2, np.float32), poses)
    plane = shake.blur(request(depth_maps=None, depth=2), cut(), poses, 2.0, None, TABLE)
    assert found.layers == 1
    assert np.abs(found.shaken.light_HWC - plane.light_HWC).max() < 1e-6
    assert (found.depth_HW == 2).all()


def test_each_depth_moves_as_its_own_plane() -> None:
    """Far from where depths meet, nothing tells that there are others."""
    poses = path(10, frame().focal)
    halves = np.where(np.arange(180) < LEFT + SIZE // 2, 1.0, 4.0)[None].repeat(150, axis=0).astype(np.float32)
    found = blurred(PHOTO, halves, poses, depth_maps={"layers": 2}).shaken
    view, taken, margin = frame(), shake.samples(poses, frame(), [0.25, 1.0], 0.0), 20
    light = response.decode(cut().window(margin), "gamma2.2").transpose(2, 0, 1)
    for metres, columns in ((1.0, slice(0, 20)), (4.0, slice(46, 64))):
        back = pose.maps(taken.pose_T6, view.focal, 1 / metres)[1]
        plane = response.encode(warp.accumulate(light, margin, back, taken.weights_RT, view), "gamma2.2")
        assert np.abs(codes(found)[:, columns] - plane[:, columns]).max() <= 1


def test_neighbouring_planes_part_by_less_than_half_a_pixel() -> None:
    poses, view = path(12, frame().focal, 0.05).astype(np.float64), frame()
    planes, apart = depth.spaced(poses, view, 0.1, 1.0, None)
    assert apart < 0.5
    fewer = np.linspace(0.1, 1.0, len(planes) - 2).tolist()
    assert pose.parting(poses, view, fewer) >= 0.49  # not many more than it takes
    corners = np.array([[0, 0], [0, 63], [63, 0], [63, 63]], np.float64) - (view.centre_x, view.centre_y)
    for near, far in zip(planes[1:], planes, strict=False):
        for each in poses[::5]:
            there = [
                reference_shake.moved(np.linalg.inv(reference_shake.homography(each, view.focal, one)), corners)
                for one in (near, far)
            ]
            assert np.hypot(*(there[0] - there[1]).T).max() < 0.5


def test_a_near_square_over_a_plain_wall_is_the_mean_of_its_places() -> None:
    """What it uncovers is the wall; light is added, not codes."""
    photo = np.full((150, 180, 3), 60, np.uint8)
    near = np.zeros((150, 180), bool)
    near[TOP + 20 : TOP + 44, LEFT + 22 : LEFT + 40] = True
    photo[near] = DRAWS.integers(100, 256, (int(near.sum()), 3), dtype=np.uint8)
    view, poses = frame(), path(9, frame().focal)
    found = blurred(photo, np.where(near, 1, 1e6).astype(np.float32), poses)
    taken = shake.samples(poses, view, [1e-6, 1.0], 0.0)
    margin = 30
    light = response.decode(photo, "gamma2.2").astype(np.float64)
    rows = slice(TOP - margin, TOP + SIZE + margin)
    window = np.concatenate([light * near[..., None], near[..., None]], axis=2)[
        rows, LEFT - margin : LEFT + SIZE + margin
    ]
    back = [np.linalg.inv(reference_shake.homography(each, view.focal, 1.0)) for each in taken.pose_T6]
    seen = reference_shake.accumulate(
        window, margin, back, taken.weights_RT.astype(np.float64), (view.centre_x, view.centre_y)
    )
    expected = seen[..., :3] + (1 - seen[..., 3:]) * light[0, 0]
    wanted = response.encode(expected.astype(np.float32), "gamma2.2")
    assert np.abs(codes(found.shaken) - wanted).max() <= 1


def test_the_wall_behind_is_continued_with_what_is_seen_of_it() -> None:
    """A stripe of a third colour far away does not get under the square."""
    photo = np.full((150, 180, 3), 60, np.uint8)
    photo[:, LEFT + 22 : LEFT + 40] = 255
    near = np.zeros((150, 180), bool)
    near[:, LEFT + 22 : LEFT + 40] = True
    found = codes(blurred(photo, np.where(near, 1, 1e6).astype(np.float32), path(9, frame().focal)).shaken)
    assert found[:, :8].max() == 60
    assert found[:, 54:].max() == 60
    light = response.decode(found.astype(np.uint8), "gamma2.2")
    white, wall = response.decode(np.array([255, 60], np.uint8), "gamma2.2")
    # The stripe's light is all there: it only moved.
    assert light[32, :, 0].sum() == pytest.approx(18 * white + (SIZE - 18) * wall, rel=2e-3)


def test_unknown_depths_are_those_beside() -> None:
    known = np.tile(np.where(np.arange(180) < 90, 1.0, 4.0), (150, 1)).astype(np.float32)
    gaps = known.copy()
    gaps[20:60, 10:30] = np.nan
    gaps[70:90, 140:170] = np.nan
    assert np.array_equal(depth.filled(gaps), known)


def test_maps_that_are_as_far_as_it_goes() -> None:
    found = blurred(PHOTO, np.full((150, 180), np.inf, np.float32), path(9, frame().focal))
    assert np.array_equal(codes(found.shaken), PHOTO[TOP : TOP + SIZE, LEFT : LEFT + SIZE])
    assert np.isinf(found.depth_HW).all()


def test_motion_is_that_of_the_nearest() -> None:
    ramp = np.linspace(2, 6, 180, dtype=np.float32)[None].repeat(150, axis=0)
    done = depth.blur(request(), cut(), ramp, path(3, frame().focal), 9.0, TABLE)
    assert done.shaken.motion == pytest.approx(9.0, rel=1e-3)
    assert done.layers > 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": 2}, "either depth"),
        ({"depth_maps": {"layers": 0}}, "layers"),
        ({"depth_maps": {"scale": -1}}, "scale"),
    ],
)
def test_requests_that_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(errors.RecipeError, match=message):
        request(**values)
