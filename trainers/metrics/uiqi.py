"""The universal image quality index.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import torch

from trainers.metrics import windows

SIDE = 8


def uiqi(
    restored_NCHW: torch.Tensor,
    sharp_NCHW: torch.Tensor,
    *,
    data_range: float,
    dtype: torch.dtype = torch.float64,  # noqa: ARG001
) -> torch.Tensor:
    """Universal image quality index (Wang and Bovik 2002, equation 2), the mean over all 8x8 windows and channels.

    Q = 4 cov(x, y) mean(x) mean(y) / ((var(x) + var(y)) (mean(x)^2 + mean(y)^2)). Windows are uniform; where both are
    flat, Q is what remains, 2 mean(x) mean(y) / (mean(x)^2 + mean(y)^2), and 1 where both are black. A window counts
    as flat where the variances sum to less than what rounding leaves of them. torchmetrics' function of this name
    uses a Gaussian 11x11 window instead.

    Takes (N, C, H, W) of any dtype, in encoded light, which spans `data_range` (never guessed); computes in float64
    whatever `dtype` says, because smooth skies have less variance than float32 rounds. Gives float64 (N,), 1 for
    equal images. Raises InputError where a side is below 8 pixels.
    """
    windows.require("UIQI", sharp_NCHW, SIDE)
    x_NCHW, y_NCHW = windows.pair(restored_NCHW, sharp_NCHW, data_range, torch.float64)
    weights = [1 / SIDE] * SIDE
    mean_x, mean_y = windows.means(x_NCHW, weights), windows.means(y_NCHW, weights)
    products, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    variances = windows.means(x_NCHW.square() + y_NCHW.square(), weights) - squares
    covariances = windows.means(x_NCHW * y_NCHW, weights) - products
    smallest = 16 * torch.finfo(torch.float64).eps
    structure = torch.where(variances > smallest, 2.0 * covariances / variances, 1.0)
    luminance = torch.where(squares > smallest**2, 2.0 * products / squares, 1.0)
    return (structure * luminance).flatten(1).mean(dim=1).double()
