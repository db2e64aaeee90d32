"""How near a restored image comes to the sharp one: PSNR and SSIM, one number an image.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import torch

from trainers.metrics import windows

SIDE = 11
SIGMA = 1.5
_K1, _K2 = 0.01, 0.03


def psnr(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB: 10 log10(data_range^2 / MSE), MSE over all pixels and channels of an image.

    Takes (N, C, H, W) of any dtype, in encoded light, which spans `data_range` (1 for [0, 1], 2 for [-1, 1], 255 for
    8 bits; never guessed); computes in `dtype`. Gives float64 (N,) on the images' device, infinite for equal images.
    """
    x_NCHW, y_NCHW = windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype, span=data_range)
    error_N = (x_NCHW - y_NCHW).square().flatten(1).mean(dim=1).double()
    return 10.0 * torch.log10(data_range**2 / error_N)


def ssim(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004, equation 13), the mean over all windows and channels of an image.

    Their settings: 11x11 Gaussian window, sigma 1.5, K1 = 0.01, K2 = 0.03, covariance of the population, windows that
    lie wholly in the image (no border). Each channel by itself, then the mean.

    Takes (N, C, H, W) of any dtype, in encoded light, which spans `data_range` (never guessed); computes in `dtype`.
    Gives float64 (N,) on the images' device, 1 for equal images. Raises InputError where a side is below 11 pixels.
    """
    windows.require("SSIM", sharp_NCHW, SIDE)
    luminance, structure = similarity(*windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype))
    return luminance.mul_(structure).flatten(1).mean(dim=1).double()


def similarity(x_NCHW: torch.Tensor, y_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The luminance term of every window, and the product of its contrast and structure terms (equations 6 and 10).

    Images span [0, 1] in floating point. Both are (N, C, H - 10, W - 10).
    """
    weights = windows.gaussian(SIDE, SIGMA)
    mean_x, mean_y = windows.means(x_NCHW, weights), windows.means(y_NCHW, weights)
    # Only the sum of the two variances is asked for: one window mean fewer.
    variances = windows.means(x_NCHW.square().addcmul_(y_NCHW, y_NCHW), weights)
    covariance = windows.means(x_NCHW * y_NCHW, weights)
    c1, c2 = _K1**2, _K2**2
    product = mean_x * mean_y
    squares = mean_x.square_().addcmul_(mean_y, mean_y)
    structure = covariance.sub_(product).mul_(2.0).add_(c2).div_(variances.sub_(squares).add_(c2))
    luminance = product.mul_(2.0).add_(c1).div_(squares.add_(c1))
    return luminance, structure


def components(x_NCHW: torch.Tensor, y_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The luminance, contrast and structure terms of every window (equations 6, 9 and 10; C3 = C2 / 2).

    Images span [0, 1] in floating point. Each is (N, C, H - 10, W - 10). Variances that rounding makes negative are 0.
    """
    weights = windows.gaussian(SIDE, SIGMA)
    mean_x, mean_y = windows.means(x_NCHW, weights), windows.means(y_NCHW, weights)
    variance_x = (windows.means(x_NCHW.square(), weights) - mean_x.square()).clamp_(min=0)
    variance_y = (windows.means(y_NCHW.square(), weights) - mean_y.square()).clamp_(min=0)
    covariance = windows.means(x_NCHW * y_NCHW, weights) - mean_x * mean_y
    deviations = (variance_x * variance_y).sqrt_()
    c1, c2 = _K1**2, _K2**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    contrast = (2 * deviations + c2) / (variance_x + variance_y + c2)
    structure = (covariance + c2 / 2) / (deviations + c2 / 2)
    return luminance, contrast, structure
