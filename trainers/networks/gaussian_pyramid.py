"""The Gaussian pyramid of coarse-to-fine methods.

Legend of tensor names: N images, C channels, H rows, W columns. A pyramid is a list of images, finest first, each half
as wide and high as the one before.
"""

import torch
from torch import nn
from torch.nn import functional

_MARGIN = 3
"""Pixels of the halving filter on either side of the pair that it replaces."""


class GaussianPyramid(nn.Module):
    """Images -> their Gaussian pyramid, each level half the size of the one before; no parameters.

    A level is smoothed by a Gaussian and sampled in the middle of every 2x2 pixels by linear interpolation, edges
    continued by reflection at the pixels' border. The Gaussian has a standard deviation of 2/3 pixel and is cut off
    at 4 of them, which is scikit-image's `pyramid_gaussian` as it comes, the one in DeepDeblur's public code; the
    paper gives the ratio of 1/2 alone. Both steps are one filter of 8x8 pixels and stride 2 here.

    Takes float (N, C, H, W), any range, H and W multiples of 2^(levels - 1); gives `levels` images, the first of them
    the one given.
    """

    filter_11HW: torch.Tensor

    def __init__(self, levels: int) -> None:
        super().__init__()
        assert levels >= 1
        self.levels = levels
        self.register_buffer("filter_11HW", _halving_filter()[None, None], persistent=False)

    def forward(self, images_NCHW: torch.Tensor) -> list[torch.Tensor]:
        pyramid = [images_NCHW]
        # In full precision always: these are what the network is compared with.
        with torch.autocast(images_NCHW.device.type, enabled=False):
            for _ in range(self.levels - 1):
                pyramid.append(self._halve(pyramid[-1]))
        return pyramid

    def _halve(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        channels, height, width = images_NCHW.shape[1:]
        assert height % 2 == width % 2 == 0, f"{width}x{height} cannot be halved"
        padded_NCHW = images_NCHW
        for axis, length in ((2, height), (3, width)):
            place = torch.arange(-_MARGIN, length + _MARGIN, device=images_NCHW.device)
            # The remainder by a tensor, the only one that an ONNX graph has for a length that is not known yet.
            place = torch.remainder(place, torch.full_like(place, 2 * length))
            padded_NCHW = padded_NCHW.index_select(axis, torch.where(place < length, place, 2 * length - 1 - place))
        weights = self.filter_11HW.expand(channels, 1, -1, -1)
        return functional.conv2d(padded_NCHW, weights, stride=2, groups=channels)


def _halving_filter() -> torch.Tensor:
    """float32 (8, 8), sum 1: seven taps of a Gaussian, then the mean of two neighbours, in both directions."""
    place = torch.arange(-_MARGIN, _MARGIN + 1, dtype=torch.float64)
    gaussian = torch.exp(-0.5 * (place / (2 / 3)).square())
    taps = torch.zeros(2 * _MARGIN + 2, dtype=torch.float64)
    taps[:-1] += gaussian
    taps[1:] += gaussian
    taps /= taps.sum()
    return torch.outer(taps, taps).float()
