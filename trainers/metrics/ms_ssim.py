"""Multi-scale structural similarity.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import torch
from torch.nn import functional

from trainers.metrics import psnr_ssim, windows

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, from fine to coarse (Wang et al. 2003, section 3.2)."""

BIORTHOGONAL = (0.037828455507, -0.023849465020, -0.110624404418, 0.377402855613)
"""The low-pass analysis filter of the 9/7 biorthogonal wavelet (Antonini et al. 1992) before its middle."""
_MIDDLE = 0.852698679009


def ms_ssim(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Multi-scale SSIM (Wang, Simoncelli and Bovik 2003, equation 7).

    The contrast and structure terms, meaned over windows and channels, of five scales, each half the size of the one
    before (means of 2x2 pixels; an odd last row or column is left out), and the luminance term of the coarsest, each to
    the power of its weight. Window and constants are SSIM's. A scale whose mean is negative counts as 0, because its
    power is not defined.

    Takes (N, C, H, W) of any dtype, in encoded light, which spans `data_range` (never guessed); computes in `dtype`.
    Gives float64 (N,), 1 for equal images. Raises InputError where a side is below 176 pixels: the coarsest scale has
    to hold a window.
    """
    windows.require("MS-SSIM", sharp_NCHW, psnr_ssim.SIDE * 2 ** (len(WEIGHTS) - 1))
    x_NCHW, y_NCHW = windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype)
    product_N = torch.ones(len(x_NCHW), dtype=torch.float64, device=x_NCHW.device)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            x_NCHW, y_NCHW = functional.avg_pool2d(x_NCHW, 2), functional.avg_pool2d(y_NCHW, 2)
        luminance, structure = psnr_ssim.similarity(x_NCHW, y_NCHW)
        term = structure if scale < len(WEIGHTS) - 1 else luminance.mul_(structure)
        product_N *= term.flatten(1).mean(dim=1).double().clamp(min=0) ** weight
    return product_N


def separate_means(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Multi-scale SSIM as the program of the benchmark of Köhler et al. computes it (MeTriX MuX, `MSSIM`).

    It differs from `ms_ssim` in two ways. Between scales the image passes the 9-tap low-pass filter of the 9/7
    biorthogonal wavelet, edges continued by symmetric reflection, before every second pixel is kept (the first, third,
    ...). And contrast, 2 sx sy + C2 over sx^2 + sy^2 + C2, and structure, sxy + C2/2 over sx sy + C2/2, are averaged
    over the windows separately, and the means multiplied, each to the power of the scale's weight. Where a mean of the
    structure is negative, its magnitude counts: the program takes the magnitude of a complex power.

    Takes (N, C, H, W) of any dtype, in encoded light, which spans `data_range` (never guessed); computes in `dtype`.
    Gives float64 (N,), 1 for equal images. Raises InputError where a side is below 161 pixels: the coarsest scale has
    to hold a window.
    """
    windows.require("MS-SSIM", sharp_NCHW, (psnr_ssim.SIDE - 1) * 2 ** (len(WEIGHTS) - 1) + 1)
    x_NCHW, y_NCHW = windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype)
    product_N = torch.ones(len(x_NCHW), dtype=torch.float64, device=x_NCHW.device)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            x_NCHW, y_NCHW = _halved(x_NCHW), _halved(y_NCHW)
        terms = psnr_ssim.components(x_NCHW, y_NCHW)
        luminance_N, contrast_N, structure_N = (term.flatten(1).mean(dim=1).double().abs() for term in terms)
        product_N *= (contrast_N * structure_N) ** weight
    return product_N * luminance_N ** WEIGHTS[-1]


def _halved(images_NCHW: torch.Tensor) -> torch.Tensor:
    """Low-pass filtered, then every second pixel of every second row."""
    taps = [*BIORTHOGONAL, _MIDDLE, *reversed(BIORTHOGONAL)]
    reach = len(BIORTHOGONAL)
    for axis in (2, 3):
        length = images_NCHW.shape[axis]
        place = torch.arange(-reach, length + reach, device=images_NCHW.device).remainder(2 * length)
        images_NCHW = images_NCHW.index_select(axis, torch.minimum(place, 2 * length - 1 - place))
    return windows.means(images_NCHW, [tap / sum(taps) for tap in taps])[:, :, ::2, ::2]
