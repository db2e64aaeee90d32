"""Multi-scale structural similarity.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import torch
from torch.nn import functional

from trainers.metrics import fidelity, windows

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, from fine to coarse (Wang et al. 2003, section 3.2)."""


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
    windows.require("MS-SSIM", sharp_NCHW, fidelity.SIDE * 2 ** (len(WEIGHTS) - 1))
    x_NCHW, y_NCHW = windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype)
    product_N = torch.ones(len(x_NCHW), dtype=torch.float64, device=x_NCHW.device)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            x_NCHW, y_NCHW = functional.avg_pool2d(x_NCHW, 2), functional.avg_pool2d(y_NCHW, 2)
        luminance, structure = fidelity.similarity(x_NCHW, y_NCHW)
        term = structure if scale < len(WEIGHTS) - 1 else luminance.mul_(structure)
        product_N *= term.flatten(1).mean(dim=1).double().clamp(min=0) ** weight
    return product_N
