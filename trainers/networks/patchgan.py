"""Discriminators that score overlapping patches.

Legend of tensor names: N images, C channels, H rows, W columns. Images inside a network are in [-1, 1].
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from trainers.networks import layers


class PatchGAN(nn.Module):
    """PatchGAN (Isola et al. 2017) as DeblurGAN uses it: one score for each overlapping patch, no sigmoid.

    Five 4x4 convolutions, padding 2, strides 2, 2, 2, 1, 1, channels `width` times 1, 2, 4, 8, then 1; LeakyReLU
    after all but the last; norm after the middle three, and after the first where `norm_first` is set. A score sees
    70x70 pixels.

    Takes float (N, C, H, W) in [-1, 1], C = 3 or, with the blurred image in front, 6; gives scores (N, 1, h, w),
    unbounded.
    """

    def __init__(
        self,
        width: int = 64,
        norm: layers.Norm = "instance",
        norm_first: bool = True,
        *,
        channels: int = 3,
        slope: float = layers.LEAK,
    ) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for place, (factor, stride) in enumerate(((1, 2), (2, 2), (4, 2), (8, 1))):
            modules.append(nn.Conv2d(channels, factor * width, 4, stride=stride, padding=2))
            if place > 0 or norm_first:
                modules += layers.norm_of(norm, factor * width)
            modules.append(nn.LeakyReLU(slope, inplace=True))
            channels = factor * width
        modules.append(nn.Conv2d(channels, 1, 4, stride=1, padding=2))
        self.layers = nn.Sequential(*modules)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        scores_NCHW: torch.Tensor = self.layers(images_NCHW)
        return scores_NCHW


class MarkovianDiscriminator(nn.Module):
    """A chain of 3x3 convolutions that scores overlapping patches (Li and Wand 2016), no sigmoid.

    Convolution i has stride `strides[i]`; `width` channels at first, twice as many after each stride of 2 up to
    8 times, 1 at the end. LeakyReLU after all but the last, norm before it except after the first. Ten strides
    1, 2, 1, 2, 1, 2, 1, 1, 1, 1, which let a score see 93x93 pixels, are our reading of Ramakrishnan et al. 2017, who
    give the number of convolutions alone.

    Takes float (N, C, H, W) in [-1, 1], C = 3 or, with the blurred image in front, 6; gives scores (N, 1, h, w),
    unbounded.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        strides: Sequence[int],
        norm: layers.Norm = "instance",
        slope: float = layers.LEAK,
    ) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        outputs = width
        for place, stride in enumerate(strides[:-1]):
            modules += [nn.Conv2d(channels, outputs, 3, stride, 1), *(layers.norm_of(norm, outputs) if place else [])]
            modules.append(nn.LeakyReLU(slope, inplace=True))
            channels, outputs = outputs, min(outputs * stride, 8 * width)
        modules.append(nn.Conv2d(channels, 1, 3, strides[-1], 1))
        self.layers = nn.Sequential(*modules)
        self.smallest = math.prod(strides[:-1]) + 1
        """The least height and width: with fewer, a norm would be over a single pixel."""

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        scores_NCHW: torch.Tensor = self.layers(images_NCHW)
        return scores_NCHW
