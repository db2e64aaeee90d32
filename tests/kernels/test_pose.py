"""Camera poses against SciPy's rotations and the homography of a plane."""

import numpy as np
import numpy.typing as npt
import pytest
import reference_shake

from blursynth.kernels import pose

VIEW = pose.View(height=120, width=160, focal=150.0, centre_x=79.5, centre_y=59.5)
Floats = npt.NDArray[np.float64]


def poses(count: int, turn: float = 0.05, shift: float = 0.1, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, 6)) * [turn, turn, turn, shift, shift, shift]


def moved(row: Floats, points: Floats) -> Floats:
    return np.array([point + pose.displacement.py_func(row, *point) for point in points])


@pytest.mark.parametrize("turn", [1e-9, 0.01, 0.3])
@pytest.mark.parametrize("inverse_depth", [0.0, 0.4])
def test_maps_are_the_homography_of_the_plane_and_its_inverse(turn: float, inverse_depth: float) -> None:
    points = np.array([[0.0, 0.0], [79.5, 59.5], [-79.5, 20.0], [3.25, -50.0]])
    path = poses(8, turn)
    there, back = pose.maps(path, 150.0, inverse_depth)
    for t in range(len(path)):
        matrix = reference_shake.homography(path[t], 150.0, inverse_depth)
        assert np.allclose(moved(there[t], points), reference_shake.moved(matrix, points), atol=1e-9)
        assert np.allclose(moved(back[t], points), reference_shake.moved(np.linalg.inv(matrix), points), atol=1e-9)


def test_no_pose_is_no_displacement_to_the_bit() -> None:
    there, back = pose.maps(np.zeros((1, 6)), 150.0, 0.3)
    assert not there.any()
    assert not back.any()


def test_a_plane_at_infinity_does_not_see_translation() -> None:
    path = poses(5)
    shifted = path.copy()
    shifted[:, 3:] = 7.0
    assert np.array_equal(pose.maps(path, 90.0, 0.0)[0], pose.maps(shifted, 90.0, 0.0)[0])


def walk(knots: int, seed: int, turn: float = 0.004, shift: float = 0.02) -> npt.NDArray[np.float32]:
    return np.cumsum(poses(knots, turn, shift, seed), axis=0).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("depths", [[0.0], [0.5], [0.1, 1.0]])
def test_successive_samples_move_no_pixel_by_more_than_half(seed: int, depths: list[float]) -> None:
    samples = pose.samples(walk(30, seed), VIEW, depths, 1.0)
    assert samples.motion > 5
    across, down = np.meshgrid(np.arange(0, 160, 13) - 79.5, np.arange(0, 120, 7) - 59.5)
    points = np.column_stack([across.ravel(), down.ravel()])
    for depth in depths:
        _, back = pose.maps(samples.pose_T6, VIEW.focal, depth)
        seen = np.array([moved(row, points) for row in back])
        assert np.linalg.norm(np.diff(seen, axis=0), axis=2).max() <= 0.5


def test_weights_are_the_time_spent() -> None:
    """The mean pose over samples is the mean over time, and each row of weights sums to 1.

    Between samples the path is taken as straight, so a corner of it is cut by a fraction of their half pixel.
    """
    path = walk(12, 3)
    samples = pose.samples(path, VIEW, [0.3], 1.0)
    assert samples.weights_RT.shape[0] == 1
    assert samples.weights_RT.sum() == pytest.approx(1, abs=1e-6)
    assert (samples.weights_RT >= 0).all()
    over_time = 0.5 * (path[:-1] + path[1:]).astype(np.float64)
    difference = samples.weights_RT[0] @ samples.pose_T6 - over_time.mean(axis=0)
    assert np.abs(difference[:3]).max() * VIEW.focal < 0.05  # px
    assert np.abs(difference[3:]).max() * VIEW.focal * 0.3 < 0.05
    straight = np.linspace(np.zeros(6), path[-1], 40).astype(np.float32)
    exactly = pose.samples(straight, VIEW, [0.3], 1.0)
    assert np.allclose(exactly.weights_RT[0] @ exactly.pose_T6, path[-1] / 2, atol=1e-6)


def test_a_camera_at_rest_is_one_sample() -> None:
    samples = pose.samples(np.zeros((9, 6), np.float32), VIEW, [0.5], 1.0)
    assert samples.pose_T6.shape == (1, 6)
    assert samples.weights_RT.tolist() == [[1.0]]
    assert samples.motion == 0


def test_rows_of_a_rolling_shutter_see_their_own_time() -> None:
    """A pan at constant speed: row r starts r row times later, so its mean pose is as much further on."""
    path = np.linspace([0.0] * 6, [0.0, 0.2, 0.0, 0.0, 0.0, 0.0], 40).astype(np.float32)
    row_time = 1.0 / 120
    samples = pose.samples(path, VIEW, [0.0], 1.0, row_time)
    assert samples.weights_RT.shape[0] == VIEW.height
    assert np.allclose(samples.weights_RT.sum(axis=1), 1, atol=1e-6)
    duration = 1.0 + (VIEW.height - 1) * row_time
    middle = (np.arange(VIEW.height) * row_time + 0.5) / duration * 0.2
    assert np.allclose((samples.weights_RT @ samples.pose_T6)[:, 1], middle, atol=1e-5)


def test_reach_is_the_furthest_that_any_pixel_goes() -> None:
    path = poses(6, 0.02)
    corners = np.array([[x, y] for x in (-79.5, 0, 79.5) for y in (-59.5, 0, 59.5)])
    furthest = 0.0
    for row in path:
        matrix = np.linalg.inv(reference_shake.homography(row, VIEW.focal, 0.5))
        furthest = max(furthest, np.abs(reference_shake.moved(matrix, corners) - corners).max())
    assert pose.reach(path, VIEW, [0.5]) == pytest.approx(furthest, rel=1e-9)


def test_a_plane_behind_the_camera_is_out_of_reach() -> None:
    assert pose.reach(np.array([[0.0, 2.0, 0.0, 0.0, 0.0, 0.0]]), VIEW, [0.0]) == np.inf
