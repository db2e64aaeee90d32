"""Images seen through a camera path, against float64 homographies with bilinear interpolation."""

import numpy as np
import numpy.typing as npt
import pytest
import reference_shake

from blursynth.kernels import convolve, layer_compositing, pose, warp

MARGIN = 12
Floats32 = npt.NDArray[np.float32]


def view(height: int, width: int, focal: float = 100.0) -> pose.View:
    return pose.View(height, width, focal, (width - 1) / 2, (height - 1) / 2)


def picture(frame: pose.View, seed: int = 0, planes: int = 3) -> Floats32:
    return np.random.default_rng(seed).random((planes, frame.height + 2 * MARGIN, frame.width + 2 * MARGIN), np.float32)


def weights(rows: int, count: int, seed: int = 2) -> Floats32:
    found = np.random.default_rng(seed).random((rows, count), np.float32)
    return found / found.sum(axis=1, keepdims=True)


def poses(count: int, seed: int, turn: float = 0.03) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, 6)) * [turn, turn, 2 * turn, 0.1, 0.1, 0.05]


def slow(planes: Floats32, path: npt.NDArray[np.float64], shares: Floats32, frame: pose.View, depth: float) -> Floats32:
    backward = [np.linalg.inv(reference_shake.homography(each, frame.focal, depth)) for each in path]
    image = planes.transpose(1, 2, 0).astype(np.float64)
    return reference_shake.accumulate(image, MARGIN, backward, shares, (frame.centre_x, frame.centre_y))


@pytest.mark.parametrize("size", [(20, 30), (33, 300), (1, 260), (40, 1)])
@pytest.mark.parametrize("rolling", [False, True])
def test_accumulate_equals_the_slow_mean(size: tuple[int, int], rolling: bool) -> None:
    frame = view(*size)
    path = poses(7, 5)
    shares = weights(frame.height if rolling else 1, 7)
    _, back = pose.maps(path, frame.focal, 0.4)
    planes = picture(frame)
    seen = warp.accumulate(planes, MARGIN, back, shares, frame)
    assert np.abs(seen - slow(planes, path, shares, frame, 0.4)).max() < 2e-4


def test_a_path_of_rest_is_the_identity_to_the_bit() -> None:
    frame = view(25, 270)
    planes = picture(frame)
    _, back = pose.maps(np.zeros((1, 6)), frame.focal, 0.3)
    seen = warp.accumulate(planes, MARGIN, back, np.ones((1, 1), np.float32), frame)
    assert np.array_equal(seen, planes[:, MARGIN:-MARGIN, MARGIN:-MARGIN].transpose(1, 2, 0))


def test_translation_in_the_plane_is_convolution_with_its_psf() -> None:
    """X' = X + t on a plane at depth d moves pixels by f t / d: the PSF is the histogram of these displacements."""
    frame = view(60, 80)
    moves = np.random.default_rng(7).uniform(-8, 8, (40, 2))
    path = np.zeros((40, 6))
    path[:, 3:5] = moves / frame.focal / 0.5
    _, back = pose.maps(path, frame.focal, 0.5)
    planes = picture(frame)
    seen = warp.accumulate(planes, MARGIN, back, np.full((1, 40), 1 / 40, np.float32), frame)
    kernel = np.zeros((25, 25))
    for x, y in moves + 12:
        left, top = int(x), int(y)
        for row, column, share in (
            (top, left, (1 - y + top) * (1 - x + left)),
            (top, left + 1, (1 - y + top) * (x - left)),
            (top + 1, left, (y - top) * (1 - x + left)),
            (top + 1, left + 1, (y - top) * (x - left)),
        ):
            kernel[row, column] += share / 40
    expected = convolve.uniform(planes.transpose(1, 2, 0), kernel.astype(np.float32))
    assert np.abs(seen - expected).max() < 1e-3


def test_roll_leaves_the_centre_sharp() -> None:
    frame = view(61, 81)
    path = np.zeros((21, 6))
    path[:, 2] = np.linspace(-0.1, 0.1, 21)
    _, back = pose.maps(path, frame.focal, 0.0)
    planes = picture(frame)
    seen = warp.accumulate(planes, MARGIN, back, np.full((1, 21), 1 / 21, np.float32), frame)
    change = np.abs(seen - planes[:, MARGIN:-MARGIN, MARGIN:-MARGIN].transpose(1, 2, 0)).max(axis=2)
    assert change[30, 40] < 1e-6
    assert np.median(change[:, :10]) > 0.1


def test_an_opaque_layer_alone_is_accumulated() -> None:
    frame = view(30, 280)
    path = poses(5, 1)
    _, back = pose.maps(path, frame.focal, 0.2)
    planes = picture(frame)
    layers = np.concatenate([planes, np.ones_like(planes[:1])])[np.newaxis]
    shares = weights(1, 5)
    both = layer_compositing.composite(layers, MARGIN, back[np.newaxis], shares, frame)
    assert np.abs(both - warp.accumulate(planes, MARGIN, back, shares, frame)).max() < 1e-6


@pytest.mark.parametrize("rolling", [False, True])
def test_layers_are_laid_over_one_another_at_every_moment(rolling: bool) -> None:
    frame = view(24, 40)
    path = poses(6, 4)
    depths = (0.1, 1.0)
    shares = weights(frame.height if rolling else 1, 6)
    layers = np.stack([picture(frame, 1, 4), picture(frame, 2, 4)])
    layers[0, 3] = 1.0
    layers[:, :3] *= layers[:, 3:]
    maps = np.stack([pose.maps(path, frame.focal, depth)[1] for depth in depths])
    seen = layer_compositing.composite(layers, MARGIN, maps, shares, frame)
    expected = np.zeros((24, 40, 3))
    for t in range(6):
        back, front = (
            slow(layers[k], path[t : t + 1], np.ones((1, 1), np.float32), frame, depth)
            for k, depth in enumerate(depths)
        )
        moment = back[..., :3] * (1 - front[..., 3:]) + front[..., :3]
        expected += (shares[:, t] if rolling else shares[0, t].repeat(24))[:, None, None] * moment
    assert np.abs(seen - expected).max() < 5e-4


@pytest.mark.parametrize("rolling", [False, True])
def test_the_psf_at_a_point_is_what_a_point_of_light_becomes(rolling: bool) -> None:
    frame = view(60, 70)
    path = poses(15, 9, 0.02)
    shares = weights(frame.height if rolling else 1, 15)
    maps = pose.maps(path, frame.focal, 0.3)
    points = np.array([[30, 35], [12, 50], [45, 20]])
    kernels = warp.point(maps, shares, frame, points, 31)
    for (row, column), kernel in zip(points, kernels, strict=True):
        planes = np.zeros((3, 60 + 2 * MARGIN, 70 + 2 * MARGIN), np.float32)
        planes[:, MARGIN + row, MARGIN + column] = 1.0
        seen = warp.accumulate(planes, MARGIN, maps[1], shares, frame)[..., 0]
        response = np.pad(seen, 15)[row : row + 31, column : column + 31]
        assert np.abs(kernel - response / response.sum()).max() < 1e-4
