"""Bodies before a moving camera, against matrices in float64."""

import numpy as np
import numpy.typing as npt
import pytest
import reference_shake

from blursynth.kernels import pose, rigid_motion

VIEW = pose.View(60, 80, 100.0, 39.5, 29.5)
CORNERS = np.array([[-10.0, -12.0], [20.0, -12.0], [-10.0, 15.0], [20.0, 15.0]])
PIVOT = (4.0, 2.5)
Floats = npt.NDArray[np.float64]


def poses(count: int, seed: int, turn: float = 0.03) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, 6)) * [turn, turn, 2 * turn, 0.1, 0.1, 0.05]


def owns(count: int, seed: int) -> Floats:
    return np.cumsum(np.random.default_rng(seed).normal(size=(count, 3)) * [1.0, 1.0, 0.02], axis=0)


def displaced(c: Floats, points: Floats) -> Floats:
    return np.array([pose.displacement(c, x, y) for x, y in points])


def test_the_object_moves_and_then_the_camera() -> None:
    path, own = poses(9, 1), owns(9, 2)
    there, back = rigid_motion.maps(path, own, PIVOT, VIEW.focal, 0.4)
    for t in range(9):
        matrix = reference_shake.body(path[t], own[t], PIVOT, VIEW.focal, 0.4)
        moved = reference_shake.moved(matrix, CORNERS)
        assert np.allclose(CORNERS + displaced(there[t], CORNERS), moved, atol=1e-9)
        assert np.allclose(moved + displaced(back[t], moved), CORNERS, atol=1e-9)


def test_a_body_at_rest_is_the_scene() -> None:
    path = poses(5, 3)
    found = rigid_motion.maps(path, np.zeros((5, 3)), PIVOT, VIEW.focal, 0.4)
    for mine, scene in zip(found, pose.maps(path, VIEW.focal, 0.4), strict=True):
        assert np.allclose(mine, scene, atol=1e-12)
    still = rigid_motion.maps(np.zeros((5, 6)), np.zeros((5, 3)), PIVOT, VIEW.focal, 0.4)
    assert not np.any(still)


def test_turning_leaves_the_pivot_where_it_is() -> None:
    own = np.zeros((5, 3))
    own[:, 2] = np.linspace(-1, 1, 5)
    there, _ = rigid_motion.maps(np.zeros((5, 6)), own, PIVOT, VIEW.focal, 1.0)
    for t, angle in enumerate(own[:, 2]):
        assert np.allclose(displaced(there[t], np.array([PIVOT])), 0, atol=1e-12)
        right = displaced(there[t], np.array([[PIVOT[0] + 10, PIVOT[1]]]))[0]  # turns to where y grows: down
        assert np.allclose(right, [10 * np.cos(angle) - 10, 10 * np.sin(angle)], atol=1e-9)


@pytest.mark.parametrize("row_time", [0.0, 0.02])
def test_nothing_moves_by_more_than_half_a_pixel_between_moments(row_time: float) -> None:
    path = np.cumsum(poses(250, 4, 0.0005) * [1, 1, 1, 0.1, 0.1, 0.1], axis=0).astype(np.float32)
    bodies_ = [
        rigid_motion.Body((owns(250, k) * scale).astype(np.float32), PIVOT, CORNERS)
        for k, scale in ((5, 0.2), (6, 0.6))
    ]
    found = rigid_motion.samples(path, bodies_, VIEW, 0.4, 1.0, row_time)
    assert np.allclose(found.camera.weights_RT.sum(axis=1), 1, atol=1e-6)
    assert found.camera.weights_RT.shape[0] == (60 if row_time else 1)
    for body, own in zip(bodies_, found.own_BT3, strict=True):
        there, _ = rigid_motion.maps(found.camera.pose_T6, own, body.pivot, VIEW.focal, 0.4)
        places = np.array([displaced(each, CORNERS) for each in there])
        assert np.hypot(*np.moveaxis(np.diff(places, axis=0), 2, 0)).max() <= 0.5
    alone = pose.samples(path, VIEW, [0.4], 1.0, row_time)
    assert len(found.camera.pose_T6) > len(alone.pose_T6)
    assert found.camera.motion == alone.motion
    assert found.motions[1] > found.motions[0] > 0


def test_without_bodies_it_is_the_camera() -> None:
    path = np.cumsum(poses(20, 4, 0.003), axis=0).astype(np.float32)
    found, alone = rigid_motion.samples(path, [], VIEW, 0.4, 1.0), pose.samples(path, VIEW, [0.4], 1.0)
    assert np.array_equal(found.camera.pose_T6, alone.pose_T6)
    assert np.array_equal(found.camera.weights_RT, alone.weights_RT)
    assert found.motions == ()


def test_mean_places_are_kept() -> None:
    """The time spent near each moment: the mean of a body's own motion over the exposure."""
    own = np.zeros((200, 3), np.float32)
    own[:, 0] = 20 * np.sin(np.linspace(0, 5, 200))
    body = rigid_motion.Body(own, PIVOT, CORNERS)
    found = rigid_motion.samples(np.zeros((200, 6), np.float32), [body], VIEW, 1.0, 1.0)
    expected = np.trapezoid(own[:, 0], dx=1 / 199)
    assert float(found.own_BT3[0, :, 0] @ found.camera.weights_RT[0]) == pytest.approx(expected, abs=0.01)
    length = np.abs(np.diff(own[:, 0])).sum()
    assert found.motions[0] == pytest.approx(length, rel=1e-5)


def test_reach_is_that_of_the_furthest_corner() -> None:
    own = owns(30, 7).astype(np.float32)
    path = np.zeros((30, 6))
    body = rigid_motion.Body(own, PIVOT, CORNERS)
    there, _ = rigid_motion.maps(path, own, PIVOT, VIEW.focal, 1.0)
    assert rigid_motion.reach(path, body, VIEW, 1.0) == pytest.approx(
        max(np.abs(displaced(each, CORNERS)).max() for each in there)
    )
