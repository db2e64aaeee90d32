"""Lengths of a flow where there is texture."""

import numpy as np
import pytest

from blursynth.kernels import displacement


def test_lengths_by_hand() -> None:
    flow = np.array([[[3, 4], [0, 0], [-6, 8]]], np.float32)
    across, down = np.array([[10, -20, 5]], np.int16), np.array([[-1, 0, 5]], np.int16)
    found = displacement.lengths(flow, across, down, 10, 2)
    assert found.tolist()[0][:2] == [10, 0]
    assert np.isnan(found[0, 2])
    assert displacement.known(found).tolist() == [10, 0]


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (40, 50)])
def test_lengths_agree_with_float64(size: tuple[int, int]) -> None:
    draws = np.random.default_rng(0)
    flow = draws.normal(0, 5, (*size, 2)).astype(np.float32)
    across, down = (draws.integers(-1020, 1021, size).astype(np.int16) for _ in range(2))
    found = displacement.lengths(flow, across, down, 700, 4)
    exact = 4 * np.hypot(*flow.astype(np.float64).transpose(2, 0, 1))
    textured = np.abs(across.astype(int)) + np.abs(down.astype(int)) > 700
    assert np.array_equal(~np.isnan(found), textured)
    assert np.allclose(found[textured], exact[textured], rtol=1e-6)
    assert np.array_equal(displacement.known(found[: size[0] // 2]), found[: size[0] // 2][textured[: size[0] // 2]])
