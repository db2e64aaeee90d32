import math

import numpy as np
import pytest
import skimage.data
import skimage.metrics
import torch

from blursynth import errors
from trainers import metrics


def photos() -> tuple[np.ndarray, np.ndarray]:
    """Two crops of a photo and noisy, darkened ones: uint8 (2, 41, 57, 3)."""
    photo = skimage.data.astronaut()
    sharp = np.stack([photo[60:101, 150:207], photo[300:341, 200:257]])
    noise = np.random.default_rng(0).normal(0, 12, sharp.shape)
    return np.clip(np.rint(0.9 * sharp + noise), 0, 255).astype(np.uint8), sharp


def tensor(images_NHWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images_NHWC).permute(0, 3, 1, 2)


def test_psnr_equals_scikit_image() -> None:
    restored, sharp = photos()
    found = metrics.psnr(tensor(restored), tensor(sharp), data_range=255)
    expected = [
        skimage.metrics.peak_signal_noise_ratio(s, r, data_range=255) for r, s in zip(restored, sharp, strict=True)
    ]
    assert found.shape == (2,)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-10)


def test_ssim_equals_scikit_image() -> None:
    restored, sharp = photos()
    found = metrics.ssim(tensor(restored), tensor(sharp), data_range=255)
    expected = [
        skimage.metrics.structural_similarity(
            s, r, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for r, s in zip(restored, sharp, strict=True)
    ]
    assert found.shape == (2,)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-10)


def test_psnr_by_hand() -> None:
    sharp = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    assert metrics.psnr(sharp + 0.1, sharp, data_range=1.0).item() == pytest.approx(20.0, abs=1e-9)
    assert metrics.psnr(sharp + 0.1, sharp, data_range=2.0).item() == pytest.approx(20.0 + 20 * math.log10(2), abs=1e-9)


def test_equal_images_are_perfect() -> None:
    image = torch.rand(2, 3, 16, 16)
    assert metrics.psnr(image, image, data_range=1.0).tolist() == [math.inf, math.inf]
    np.testing.assert_allclose(metrics.ssim(image, image, data_range=1.0).numpy(), 1.0, rtol=0, atol=1e-9)


def test_the_range_is_given_not_guessed() -> None:
    restored, sharp = photos()
    for metric in (metrics.psnr, metrics.ssim):
        in_bytes = metric(tensor(restored), tensor(sharp), data_range=255)
        in_units = metric(tensor(restored / 255.0), tensor(sharp / 255.0), data_range=1.0)
        torch.testing.assert_close(in_bytes, in_units, rtol=0, atol=1e-9)
        with pytest.raises(TypeError, match="data_range"):
            metric(tensor(restored), tensor(sharp))  # type: ignore[call-arg]


def test_layout_does_not_matter() -> None:
    restored, sharp = (tensor(images).double() for images in photos())
    for metric in (metrics.psnr, metrics.ssim):
        plain = metric(restored.contiguous(), sharp.contiguous(), data_range=255)
        channels_last = metric(
            *(t.contiguous(memory_format=torch.channels_last) for t in (restored, sharp)), data_range=255
        )
        torch.testing.assert_close(plain, channels_last, rtol=0, atol=1e-12)


def test_ssim_of_too_small_images_says_so() -> None:
    image = torch.rand(1, 3, 10, 30)
    with pytest.raises(errors.InputError, match="at least 11x11 pixels, these are 30x10"):
        metrics.ssim(image, image, data_range=1.0)
