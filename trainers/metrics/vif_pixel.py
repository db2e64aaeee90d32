"""Visual information fidelity in the pixel domain, which is not the published VIF but is often called so.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import torch

from trainers.metrics import windows

SCALES = 4
NOISE = 2.0
"""Variance of the eye's noise, for images that span 255."""

_TINY = 1e-10


def vif_pixel(
    restored_NCHW: torch.Tensor,
    sharp_NCHW: torch.Tensor,
    *,
    data_range: float,
    dtype: torch.dtype = torch.float64,  # noqa: ARG001
) -> torch.Tensor:
    """VIF as its authors' "pixel domain" version computes it (VIFp): scalars and Gaussian windows, no wavelets.

    Scale s = 1 .. 4 has a Gaussian window of 2^(5 - s) + 1 pixels a side (sigma: a fifth of that), and from the second
    on the image is smoothed by it and every second pixel kept. Per window y = g x + v, and VIFp = sum log2(1 + g^2
    var(x) / (var(v) + 2)) / sum log2(1 + var(x) / 2), over all windows and scales. Each channel by itself, then the
    mean. Values are not those of `vif` (0.31 against 0.35 on a streaked photo); never compare the two.

    Takes (N, C, H, W) of any dtype, in encoded light, which spans `data_range` (never guessed); computes in float64
    whatever `dtype` says, because smooth skies have less variance than float32 rounds. Gives float64 (N,), 1 for equal
    images, above 1 where contrast was raised. Raises InputError where a side is below 41 pixels.
    """
    windows.require("VIFp", sharp_NCHW, 41)
    x_NCHW, y_NCHW = windows.pair(sharp_NCHW, restored_NCHW, data_range, torch.float64, span=255.0)
    kept, whole = (torch.zeros(x_NCHW.shape[:2], dtype=torch.float64, device=x_NCHW.device) for _ in range(2))
    for scale in range(SCALES):
        side = 2 ** (SCALES - scale) + 1
        weights = windows.gaussian(side, side / 5)
        if scale:
            x_NCHW, y_NCHW = (windows.means(each, weights)[..., ::2, ::2] for each in (x_NCHW, y_NCHW))
        variance_NCHW, gain_NCHW, rest_NCHW = _channel(x_NCHW, y_NCHW, weights)
        kept += torch.log2(1 + gain_NCHW.square() * variance_NCHW / (rest_NCHW + NOISE)).sum(dim=(2, 3))
        whole += torch.log2(1 + variance_NCHW / NOISE).sum(dim=(2, 3))
    ratio_NC = torch.where(whole > 0, kept / whole.clamp(min=_TINY), 1.0)
    return ratio_NC.mean(dim=1)


def _channel(
    x_NCHW: torch.Tensor, y_NCHW: torch.Tensor, weights: list[float]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """var(x), the gain g and var(v) of y = g x + v in every window; a negative gain counts as no signal."""
    mean_x, mean_y = windows.means(x_NCHW, weights), windows.means(y_NCHW, weights)
    variance_x = (windows.means(x_NCHW.square(), weights) - mean_x.square()).clamp(min=0)
    variance_y = (windows.means(y_NCHW.square(), weights) - mean_y.square()).clamp(min=0)
    covariance = windows.means(x_NCHW * y_NCHW, weights) - mean_x * mean_y
    gain = covariance / (variance_x + _TINY)
    rest = variance_y - gain * covariance
    flat_x, flat_y = variance_x < _TINY, variance_y < _TINY
    none = flat_x | flat_y | (gain < 0)
    rest = torch.where(flat_y, 0.0, torch.where(flat_x | (gain < 0), variance_y, rest)).clamp(min=_TINY)
    return torch.where(flat_x, 0.0, variance_x), torch.where(none, 0.0, gain), rest
