"""What the metrics share: checked pairs in one number type, luma, and weighted means over sliding windows.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

from collections.abc import Sequence

import torch

from blursynth import errors

LUMA = (0.299, 0.587, 0.114)
"""Weights of encoded R, G and B in luma (ITU-R BT.601, full range, not rounded)."""


def pair(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, data_range: float, dtype: torch.dtype, span: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both images in `dtype`, scaled so that `data_range` becomes `span`; equal shapes are asserted."""
    assert restored_NCHW.ndim == 4, f"expected (N, C, H, W), got {tuple(restored_NCHW.shape)}"
    assert restored_NCHW.shape == sharp_NCHW.shape, f"{tuple(restored_NCHW.shape)} against {tuple(sharp_NCHW.shape)}"
    assert data_range > 0, f"data_range must be positive, got {data_range}"
    scale = span / data_range
    return restored_NCHW.to(dtype) * scale, sharp_NCHW.to(dtype) * scale


def require(name: str, images_NCHW: torch.Tensor, side: int) -> None:
    """InputError where a side is shorter than the metric called `name` can use."""
    height, width = images_NCHW.shape[2:]
    if min(height, width) < side:
        raise errors.InputError(
            f"{name} needs images of at least {side}x{side} pixels, these are {width}x{height}: use larger ones."
        )


def luma(images_NCHW: torch.Tensor) -> torch.Tensor:
    """Luma of encoded RGB: (N, 1, H, W), float; images of one channel are luma already."""
    if images_NCHW.shape[1] == 1:
        return images_NCHW
    red, green, blue = images_NCHW.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def gaussian(side: int, sigma: float) -> list[float]:
    """Weights of a Gaussian window of `side` pixels, which sum to 1."""
    distance = torch.arange(side, dtype=torch.float64) - side // 2
    weights = torch.exp(-0.5 * (distance / sigma).square())
    return [float(weight) for weight in weights / weights.sum()]


def means(images_NCHW: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """Weighted means over every window that lies in the image: (N, C, H - S + 1, W - S + 1) for S weights a side.

    Shifted images are added up, which reads memory in order: several times faster on a CPU than a convolution.
    """
    return _along(_along(images_NCHW, weights, 2), weights, 3)


def _along(images_NCHW: torch.Tensor, weights: Sequence[float], dimension: int) -> torch.Tensor:
    length = images_NCHW.shape[dimension] - len(weights) + 1
    total = images_NCHW.narrow(dimension, 0, length) * weights[0]
    for start, weight in enumerate(weights[1:], 1):
        total.add_(images_NCHW.narrow(dimension, start, length), alpha=weight)
    return total
