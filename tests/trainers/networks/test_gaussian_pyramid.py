"""The Gaussian pyramid: a slow reference, laws, scikit-image."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy import typing as npt
from skimage import transform
from torch.nn import functional

from trainers.networks import gaussian_pyramid


def slow_half(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(H, W) -> (H/2, W/2): smooth every pixel, then the mean of every 2x2; obvious and float64."""
    taps = np.exp(-0.5 * (np.arange(-3, 4) / (2 / 3)) ** 2)
    taps /= taps.sum()
    smooth = np.pad(image, 3, mode="symmetric")
    for axis in (0, 1):
        smooth = np.apply_along_axis(lambda line: np.convolve(line, taps, mode="valid"), axis, smooth)
    height, width = smooth.shape
    return smooth.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


@given(st.integers(1, 9), st.integers(1, 9))
def test_pyramid_equals_a_slow_reference_at_any_size(height: int, width: int) -> None:
    image = np.random.default_rng(height * 10 + width).random((2 * height, 2 * width))
    finest, half = gaussian_pyramid.GaussianPyramid(2)(torch.from_numpy(image).float()[None, None])
    np.testing.assert_array_equal(finest[0, 0].numpy(), image.astype(np.float32))
    np.testing.assert_allclose(half[0, 0].numpy(), slow_half(image), rtol=0, atol=1e-6)


def test_pyramid_is_scikit_images_own() -> None:
    image = np.random.default_rng(0).random((40, 56, 3))
    expected = list(transform.pyramid_gaussian(image, max_layer=2, channel_axis=2))
    found = gaussian_pyramid.GaussianPyramid(3)(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    assert [tuple(level.shape) for level in found] == [(1, 3, 40, 56), (1, 3, 20, 28), (1, 3, 10, 14)]
    for level, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(level[0].permute(1, 2, 0).numpy(), wanted, rtol=0, atol=1e-6)


def test_pyramid_keeps_constants_ramps_and_means() -> None:
    pyramid = gaussian_pyramid.GaussianPyramid(3)
    for level in pyramid(torch.full((1, 3, 16, 8), 0.3)):
        torch.testing.assert_close(level, torch.full_like(level, 0.3))
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)
    half = pyramid(ramp)[1]
    # A level's pixel i lies between pixels 2i and 2i + 1, so a ramp keeps its place away from the edges.
    torch.testing.assert_close(half[..., 2:-2], (2 * torch.arange(32.0) + 0.5).expand_as(half)[..., 2:-2])
    image = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    for level in pyramid(image):
        torch.testing.assert_close(level.mean(dim=(2, 3)), image.mean(dim=(2, 3)))


def test_a_smooth_image_is_reconstructed_from_its_coarsest_level() -> None:
    rows, columns = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(128) + 0.5, indexing="ij")
    # Cosines that continue by reflection at the border, of 64 pixels and more.
    image = 0.5 + 0.2 * torch.cos(torch.pi * 3 * rows / 96) + 0.2 * torch.cos(torch.pi * 4 * columns / 128)
    coarsest = gaussian_pyramid.GaussianPyramid(3)(image[None, None])[-1]
    again = functional.interpolate(coarsest, scale_factor=4, mode="bicubic")[0, 0]
    assert (again - image)[8:-8, 8:-8].abs().max() < 0.01


def test_pyramid_of_a_transposed_image_is_transposed() -> None:
    pyramid = gaussian_pyramid.GaussianPyramid(3)
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    for level, turned in zip(pyramid(image), pyramid(image.mT), strict=True):
        torch.testing.assert_close(level.mT, turned)


def test_pyramid_stays_in_full_precision_under_autocast() -> None:
    pyramid, image = gaussian_pyramid.GaussianPyramid(2), torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        level = pyramid(image)[1]
    assert level.dtype == torch.float32
    assert torch.equal(level, pyramid(image)[1])
