"""Uniform blur of a crop: photometry, alignment, margins and borders."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.signal

from blursynth.kernels import response
from blursynth.synthesis import crop, uniform

PHOTO = np.random.default_rng(5).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def random_psf(size: int, seed: int) -> np.ndarray:
    psf = np.random.default_rng(seed).random((size, size)).astype(np.float32)
    return psf / psf.sum(dtype=np.float64).astype(np.float32)


def slow_pair(photo, psf, transfer, top, left, height, width):  # type: ignore[no-untyped-def]
    """The definition: decode the whole reflected photo, convolve in float64, encode, then cut."""
    margin = psf.shape[0] // 2
    linear = response.decode(photo, transfer).astype(np.float64)
    padded = np.pad(linear, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    blurred = np.stack(
        [scipy.signal.convolve2d(padded[..., c], psf.astype(np.float64), mode="valid") for c in range(3)], axis=-1
    )
    return response.encode(blurred[top : top + height, left : left + width].astype(np.float32), transfer)


@pytest.mark.parametrize("transfer", response.TRANSFER_FUNCTIONS)
@pytest.mark.parametrize(("top", "left"), [(0, 0), (20, 30), (44, 64)], ids=["corner", "middle", "far corner"])
def test_equals_blurring_the_whole_photo_and_then_cutting(transfer: str, top: int, left: int) -> None:
    psf = random_psf(9, 1)
    before = PHOTO.copy()
    blurred = uniform.blur(crop.Crop(PHOTO, top, left, 16, 16), psf, transfer)
    expected = slow_pair(PHOTO, psf, transfer, top, left, 16, 16)
    # float32 sums may fall on the other side of a rounding threshold; never by more than one code, and rarely.
    difference = np.abs(blurred.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002
    assert np.array_equal(PHOTO, before)


def test_a_delta_is_the_identity() -> None:
    psf = np.zeros((7, 7), np.float32)
    psf[3, 3] = 1
    for transfer in response.TRANSFER_FUNCTIONS:
        blurred = uniform.blur(crop.Crop(PHOTO, 3, 4, 50, 70), psf, transfer)
        assert np.array_equal(blurred, PHOTO[3:53, 4:74])


def test_a_point_of_light_becomes_the_psf_where_it_stands() -> None:
    photo = np.zeros((41, 41, 3), np.uint8)
    photo[20, 20] = 255
    psf = random_psf(11, 2)
    blurred = uniform.blur(crop.Crop(photo, 0, 0, 41, 41), psf, "linear")
    assert np.abs(blurred[15:26, 15:26, 0] / 255 - psf).max() <= 0.5 / 255 + 1e-6
    assert blurred.astype(int).sum() == blurred[15:26, 15:26].astype(int).sum()


@hypothesis.given(st.integers(0, 255), st.sampled_from(response.TRANSFER_FUNCTIONS), st.integers(0, 100))
def test_a_flat_photo_keeps_its_brightness(code: int, transfer: str, seed: int) -> None:
    photo = np.full((20, 20, 3), code, np.uint8)
    assert (uniform.blur(crop.Crop(photo, 2, 2, 10, 10), random_psf(13, seed), transfer) == code).all()


@hypothesis.given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)), st.integers(0, 40), st.integers(0, 2**31), st.data()
)
def test_margins_are_numpys_reflection(shape: tuple[int, int], margin: int, seed: int, data: st.DataObject) -> None:
    photo = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    height = data.draw(st.integers(1, shape[0]))
    width = data.draw(st.integers(1, shape[1]))
    top = data.draw(st.integers(0, shape[0] - height))
    left = data.draw(st.integers(0, shape[1] - width))
    padded = np.pad(photo, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    expected = padded[top : top + height + 2 * margin, left : left + width + 2 * margin]
    cut = crop.Crop(photo, top, left, height, width)
    assert np.array_equal(cut.window(margin), expected)
    assert np.array_equal(cut.around(photo[..., 1], margin), expected[..., 1])
    assert np.array_equal(photo[cut.inside], cut.window(0))
