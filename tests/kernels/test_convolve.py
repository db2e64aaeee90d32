"""Uniform blur: hand-checked values, laws, float64 sums, and exact identities of the fused path."""

import hypothesis
import hypothesis.extra.numpy
import numpy as np
import pytest
import reference
from hypothesis import strategies

from blursynth import errors
from blursynth.kernels import convolve, psf, random, response

transfers = pytest.mark.parametrize("transfer", response.TRANSFER_FUNCTIONS)
kernel_sizes = strategies.integers(1, 6)
images = kernel_sizes.flatmap(
    lambda size: strategies.tuples(
        hypothesis.extra.numpy.arrays(
            np.float32,
            strategies.tuples(
                strategies.integers(size, size + 9), strategies.integers(size, size + 9), strategies.integers(1, 4)
            ),
            elements=strategies.floats(0, 1, width=32),
        ),
        hypothesis.extra.numpy.arrays(np.float32, (size, size), elements=strategies.floats(0, 1, width=32)),
    )
)


def noise(shape, stream=random.Stream.SCENE):
    count = int(np.prod(shape))
    return random.uniforms(21, stream, [0], count).reshape(shape).astype(np.float32)


def motion_kernels(paths, count):
    spans = np.tile(np.float32([0, 1]), (count, 1))
    return psf.rasterise(paths.position[:count], spans, 63)


def delta(size):
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2, size // 2] = 1
    return kernel


def test_a_point_of_light_becomes_the_psf():
    kernel = np.arange(9, dtype=np.float32).reshape(3, 3)
    window = np.zeros((7, 8, 2), np.float32)
    window[3, 4, 1] = 1
    result = convolve.uniform(window, kernel)
    assert result.shape == (5, 6, 2)
    assert result.dtype == np.float32
    assert (result[..., 0] == 0).all()
    # Window pixel (3, 4) is result pixel (2, 3).
    np.testing.assert_array_equal(result[1:4, 2:5, 1], kernel)
    assert result.sum() == kernel.sum()


def test_one_dimension_by_hand():
    window = np.float32([[1], [2], [4], [8]])[:, :, np.newaxis] * np.ones((1, 2, 1), np.float32)
    kernel = np.float32([[0.5, 0], [0.25, 0]])
    # out[y] = 0.5 window[y + 1] + 0.25 window[y]
    np.testing.assert_array_equal(convolve.uniform(window, kernel)[:, 0, 0], [1.25, 2.5, 5.0])


@hypothesis.given(case=images)
def test_equals_the_definition(case):
    window, kernel = case
    expected = reference.convolve(window.astype(np.float64), kernel.astype(np.float64))
    # 1e-5 is promised of kernels that sum to 1.
    np.testing.assert_allclose(convolve.uniform(window, kernel), expected, rtol=0, atol=1e-5 * max(1.0, kernel.sum()))


def test_motion_blur_equals_float64_sums(paths):
    window = noise((62 + 40, 62 + 90, 3))
    for kernel in motion_kernels(paths, 8):
        expected = reference.convolve(window.astype(np.float64), kernel.astype(np.float64))
        np.testing.assert_allclose(convolve.uniform(window, kernel), expected, rtol=0, atol=1e-5)


@transfers
def test_fused_equals_its_three_steps(paths, transfer):
    window = (noise((62 + 30, 62 + 200, 3)) * 256).astype(np.uint8)
    for kernel in motion_kernels(paths, 4):
        linear = convolve.uniform(response.decode(window, transfer), kernel)
        fused = convolve.uniform_encoded(window, kernel, transfer)
        np.testing.assert_array_equal(fused, response.encode(linear, transfer))


@transfers
@pytest.mark.parametrize("size", [1, 2, 3, 8, 63])
def test_delta_is_the_identity_to_the_bit(transfer, size):
    codes = np.arange(256, dtype=np.uint8).reshape(8, 32, 1).repeat(3, axis=2)
    before, after = size - 1 - size // 2, size // 2
    window = np.pad(codes, ((before, after), (before, after), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(convolve.uniform_encoded(window, delta(size), transfer), codes)


@transfers
def test_flat_stays_flat(paths, transfer):
    for code in (0, 1, 77, 254, 255):
        window = np.full((62 + 5, 62 + 5, 3), code, np.uint8)
        linear = response.decode(window, transfer)
        for kernel in motion_kernels(paths, 10):
            blurred = convolve.uniform(linear, kernel)
            assert np.abs(blurred - linear[0, 0, 0]).max() < 1e-4
            assert (convolve.uniform_encoded(window, kernel, transfer) == code).all()


@hypothesis.given(case=images)
def test_flips_commute(case):
    window, kernel = case
    result = convolve.uniform(window, kernel)
    for axis in (0, 1):
        flipped = convolve.uniform(np.flip(window, axis), np.flip(kernel, axis))
        np.testing.assert_allclose(flipped, np.flip(result, axis), rtol=0, atol=1e-5)


@hypothesis.given(case=images, factor=strategies.floats(0, 1, width=32))
def test_linear_in_the_image_and_in_the_psf(case, factor):
    window, kernel = case
    other = np.float32(1) - window
    mixed = convolve.uniform(window * np.float32(factor) + other, kernel)
    separate = convolve.uniform(window, kernel) * np.float32(factor) + convolve.uniform(other, kernel)
    np.testing.assert_allclose(mixed, separate, rtol=0, atol=1e-4)
    twice = convolve.uniform(window, kernel * np.float32(factor))
    np.testing.assert_allclose(twice, convolve.uniform(window, kernel) * np.float32(factor), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("compiled")
def test_a_value_does_not_depend_on_its_place_in_a_tile(paths):
    kernel = motion_kernels(paths, 1)[0]
    window = noise((62 + 4, 62 + 700, 1))
    whole = convolve.uniform(window, kernel)
    for left in (1, 13, 300, 511, 600):
        part = convolve.uniform(window[:, left:], kernel)
        assert part.tobytes() == whole[:, left:].tobytes()


def test_inputs_are_not_changed_and_may_be_read_only(paths):
    window = (noise((70, 70, 3)) * 256).astype(np.uint8)
    kernel = motion_kernels(paths, 1)[0]
    before, kernel_before = window.copy(), kernel.copy()
    window.setflags(write=False)
    kernel.setflags(write=False)
    first = convolve.uniform_encoded(window, kernel, "srgb")
    strided = np.repeat(window, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(convolve.uniform_encoded(strided, kernel.astype(np.float64), "srgb"), first)
    np.testing.assert_array_equal(window, before)
    np.testing.assert_array_equal(kernel, kernel_before)


def test_an_empty_psf_is_black():
    assert (convolve.uniform(noise((5, 5, 3)), np.zeros((3, 3), np.float32)) == 0).all()


def test_unknown_transfer_function():
    with pytest.raises(errors.InputError, match="gamma"):
        convolve.uniform_encoded(np.zeros((5, 5, 3), np.uint8), delta(3), "gamma")


def test_window_smaller_than_the_psf():
    with pytest.raises(AssertionError):
        convolve.uniform(noise((4, 9, 3)), delta(5))
