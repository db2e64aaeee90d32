"""How near a restored image comes to the sharp one: PSNR and SSIM, one number an image.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import torch
from torch.nn import functional

from blursynth import errors

_SIDE = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03


def psnr(restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB: 10 log10(data_range^2 / MSE), MSE over all pixels and channels of an image.

    Takes (N, C, H, W) of any dtype, in encoded light, which spans `data_range` (1 for [0, 1], 2 for [-1, 1], 255 for
    8 bits; never guessed). Gives float64 (N,) on the images' device, infinite for equal images.
    """
    _check(restored_NCHW, sharp_NCHW, data_range)
    error_N = (restored_NCHW.double() - sharp_NCHW.double()).square().flatten(1).mean(dim=1)
    return 10.0 * torch.log10(data_range**2 / error_N)


def ssim(restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004, equation 13), the mean over all windows and channels of an image.

    Their settings: 11x11 Gaussian window, sigma 1.5, K1 = 0.01, K2 = 0.03, covariance of the population, windows that
    lie wholly in the image (no border). Each channel by itself, then the mean.

    Takes (N, C, H, W) of any dtype, in encoded light, which spans `data_range` (never guessed). Gives float64 (N,) on
    the images' device, 1 for equal images. Raises InputError where a side is below 11 pixels.
    """
    _check(restored_NCHW, sharp_NCHW, data_range)
    height, width = sharp_NCHW.shape[2:]
    if min(height, width) < _SIDE:
        raise errors.InputError(
            f"SSIM needs images of at least {_SIDE}x{_SIDE} pixels, these are {width}x{height}: use larger ones."
        )
    x_NCHW, y_NCHW = restored_NCHW.double(), sharp_NCHW.double()
    mean_x, mean_y = _windowed(x_NCHW), _windowed(y_NCHW)
    variance_x = _windowed(x_NCHW.square()) - mean_x.square()
    variance_y = _windowed(y_NCHW.square()) - mean_y.square()
    covariance = _windowed(x_NCHW * y_NCHW) - mean_x * mean_y
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    luminance = (2.0 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2.0 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).flatten(1).mean(dim=1)


def _windowed(images_NCHW: torch.Tensor) -> torch.Tensor:
    """Gaussian means over every window inside the image: float64 (N, C, H - 10, W - 10)."""
    distance = torch.arange(_SIDE, dtype=torch.float64, device=images_NCHW.device) - _SIDE // 2
    weights = torch.exp(-0.5 * (distance / _SIGMA).square())
    weights = weights / weights.sum()
    flat = images_NCHW.flatten(0, 1).unsqueeze(1)
    rows = functional.conv2d(flat, weights.view(1, 1, _SIDE, 1))
    means = functional.conv2d(rows, weights.view(1, 1, 1, _SIDE))
    return means.view(*images_NCHW.shape[:2], *means.shape[2:])


def _check(restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, data_range: float) -> None:
    assert restored_NCHW.ndim == 4, f"expected (N, C, H, W), got {tuple(restored_NCHW.shape)}"
    assert restored_NCHW.shape == sharp_NCHW.shape, f"{tuple(restored_NCHW.shape)} against {tuple(sharp_NCHW.shape)}"
    assert data_range > 0, f"data_range must be positive, got {data_range}"
