"""A field of PSFs against its definition."""

import numpy as np
import numpy.typing as npt
import pytest
import reference_shake

from blursynth.kernels import convolve, field


def image(height: int, width: int, channels: int = 3, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).random((height, width, channels), np.float32)


def kernels(rows: int, columns: int, size: int, seed: int = 1) -> npt.NDArray[np.float32]:
    found = np.random.default_rng(seed).random((rows, columns, size, size), np.float32) ** 4
    found[found < 0.2] = 0.0  # paths leave most of a canvas empty
    found[..., size // 2, size // 2] += 0.1
    return (found / found.sum(axis=(2, 3), keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(40, 57), (9, 300), (64, 1)])
@pytest.mark.parametrize(("rows", "columns", "size"), [(4, 4, 15), (1, 1, 7), (2, 5, 9), (1, 3, 31), (3, 2, 8)])
def test_equals_the_slow_sum(height: int, width: int, rows: int, columns: int, size: int) -> None:
    window = image(height + size - 1, width + size - 1)
    psfs = kernels(rows, columns, size)
    expected = reference_shake.field(window.astype(np.float64), psfs.astype(np.float64))
    assert np.abs(field.blur(window, psfs) - expected).max() < 1e-5


def test_equal_kernels_are_uniform_convolution() -> None:
    window = image(70, 90)
    psf = kernels(1, 1, 21)[0, 0]
    everywhere = np.broadcast_to(psf, (4, 3, 21, 21))
    assert np.abs(field.blur(window, everywhere) - convolve.uniform(window, psf)).max() < 1e-6


def test_a_pixel_at_a_grid_point_sees_its_own_psf() -> None:
    psfs = kernels(3, 3, 11)
    window = image(61 + 10, 81 + 10)
    around = window[30 : 30 + 11, 40 : 40 + 11].astype(np.float64)
    expected = (around * psfs[1, 1, ::-1, ::-1, None]).sum(axis=(0, 1))
    assert np.abs(field.blur(window, psfs)[30, 40] - expected).max() < 1e-6


def test_a_constant_stays_constant() -> None:
    blurred = field.blur(np.full((80, 70, 3), 0.37, np.float32), kernels(4, 4, 17))
    assert np.allclose(blurred, 0.37, atol=1e-6)


@pytest.mark.parametrize(("points", "extent"), [(1, 9), (2, 9), (4, 100), (7, 8)])
def test_windows_add_up_to_one(points: int, extent: int) -> None:
    tents = field.windows(points, extent)
    assert tents.shape == (points, extent)
    assert np.allclose(tents.sum(axis=0), 1.0, atol=1e-6)
    assert np.allclose(tents, reference_shake.tents(extent, points), atol=1e-6)
