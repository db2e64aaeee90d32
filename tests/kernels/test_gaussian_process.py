"""Smooth random paths have the covariance that they should."""

import math

import numpy as np
import pytest

from blursynth.kernels import gaussian_process, random


def covariance(distance: float, length: float) -> float:
    a = math.sqrt(3) * abs(distance) / length
    return (1 + a) * math.exp(-a)


@pytest.mark.parametrize("length", [0.05, 0.3, 2.0])
def test_covariance_is_materns(length: float) -> None:
    steps = 33
    paths = gaussian_process.paths(3, np.arange(20_000), random.Stream.CAMERA_TURN, steps=steps, correlation=length)
    flat = paths.astype(np.float64).transpose(0, 2, 1).reshape(-1, steps)
    found = flat.T @ flat / len(flat)
    expected = [[covariance((s - t) / (steps - 1), length) for t in range(steps)] for s in range(steps)]
    # The standard error of a covariance of 40,000 normal draws is at most sqrt(2 / 40,000) = 0.007.
    assert np.abs(found - expected).max() < 0.035
    assert np.abs(flat.mean(axis=0)).max() < 0.02


def test_axes_and_items_are_independent() -> None:
    paths = gaussian_process.paths(3, np.arange(20_000), random.Stream.CAMERA_TURN, steps=5, correlation=0.5).astype(
        np.float64
    )
    assert abs((paths[..., 0] * paths[..., 1]).mean()) < 0.02
    assert abs((paths[:-1] * paths[1:]).mean()) < 0.02


def test_rows_are_functions_of_seed_stream_and_item() -> None:
    options = {"steps": 9, "correlation": 0.3}
    paths = gaussian_process.paths(3, [5, 2**40, 7], random.Stream.CAMERA_TURN, **options)
    assert np.array_equal(paths[1], gaussian_process.paths(3, [2**40], random.Stream.CAMERA_TURN, **options)[0])
    assert not np.array_equal(paths[0], gaussian_process.paths(4, [5], random.Stream.CAMERA_TURN, **options)[0])
    assert not np.array_equal(paths[0], gaussian_process.paths(3, [5], random.Stream.CAMERA_ROLL, **options)[0])


def test_a_long_correlation_hardly_moves() -> None:
    paths = gaussian_process.paths(1, np.arange(50), random.Stream.CAMERA_TURN, steps=100, correlation=1000.0)
    assert np.ptp(paths, axis=1).max() < 0.05
    assert paths.std() == pytest.approx(1, abs=0.25)
