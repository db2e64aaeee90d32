"""Coarse-to-fine restoration (Nah et al. 2017): the Gaussian pyramid, DeepDeblur's generator and its discriminator.

Legend of tensor names: N images, C channels, H rows, W columns. A pyramid is a list of images, finest first (the
paper's level 1), each half as wide and high as the one before.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from trainers import networks

Upconvolution = Literal["transposed", "shuffle"]

_KERNEL = 5
_LEAK = 0.2
_REACH = 3
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
            place = torch.arange(-_REACH, length + _REACH, device=images_NCHW.device)
            # The remainder by a tensor, the only one that an ONNX graph has for a length that is not known yet.
            place = torch.remainder(place, torch.full_like(place, 2 * length))
            padded_NCHW = padded_NCHW.index_select(axis, torch.where(place < length, place, 2 * length - 1 - place))
        weights = self.filter_11HW.expand(channels, 1, -1, -1)
        return functional.conv2d(padded_NCHW, weights, stride=2, groups=channels)


class MultiScaleGenerator(nn.Module):
    """DeepDeblur's generator (Nah et al. 2017, section 3.1 and figure 4): a blurred pyramid -> a sharp one.

    Every level has the same layers: 5x5 to `width`; `blocks` residual blocks of two 5x5 with a ReLU between them and
    none after the sum, no norm; 5x5 to 3. The coarsest sees its own blurred image, every other one that and what the
    level below restored, brought to its size by an upconvolution of 3 channels. Zero padding throughout, and no skip
    from input to output.

    The upconvolution: the paper cites Long et al. 2015, "transposed" is theirs, 5x5 of stride 2 (3 to 3 channels, 228
    parameters); "shuffle" is the public code's, 5x5 to 12 channels whose fours are laid out as 2x2 pixels (912).
    Counted: 40 convolutions a level and 3,903,299 parameters in the coarsest, 3,908,099 in the others, upconvolutions
    apart; 120 convolutions and 11,719,497 parameters for three.

    Takes float pyramids of `scales` levels (N, 3, H, W), nominally in [-0.5, 0.5]; gives pyramids of the same shapes,
    unbounded. The content loss reads every level; the finest is the result.
    """

    def __init__(
        self, scales: int = 3, width: int = 64, blocks: int = 19, upconvolution: Upconvolution = "transposed"
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_level(3 if scale == scales - 1 else 6, width, blocks) for scale in range(scales))
        """Finest first."""
        self.up = nn.ModuleList(_upconvolution(upconvolution) for _ in range(scales - 1))
        """The n-th leads from level n + 1 to level n."""

    def forward(self, blurred_pyramid: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        assert len(blurred_pyramid) == len(self.levels)
        restored_NCHW = self.levels[-1](blurred_pyramid[-1])
        restored_pyramid = [restored_NCHW]
        for scale in reversed(range(len(self.up))):
            coarser_NCHW = self.up[scale](restored_NCHW)
            restored_NCHW = self.levels[scale](torch.cat([blurred_pyramid[scale], coarser_NCHW], dim=1))
            restored_pyramid.insert(0, restored_NCHW)
        return restored_pyramid


class StridedDiscriminator(nn.Module):
    """DeepDeblur's discriminator (Nah et al. 2017, table 1), its sigmoid left to the losses: a score for each patch.

    5x5 of the first stride to `width`; then for every other stride two convolutions of twice the channels, 5x5 of
    stride 1 and 5x5 of that stride; the last one has a kernel as large as its stride and no padding. LeakyReLU 0.2
    (the slope is that of Radford et al., whom the paper follows) after each; at last a weight for every channel, the
    table's "fc". No biases, as in the public code; the table names none. `front` puts a 5x5 of stride 1 to `width`
    before everything, as both public codes do: ten convolutions instead of nine.

    With strides 2, 2, 4, 4, 4 and width 32 this is table 1: 10,699,616 parameters. Its scores lie 256 pixels apart, the
    product of the strides, and the receptive field of each is 629x629 pixels (633x633 with `front`): 1 + 4 (1 + 2 + 2
    + 4 + 4 + 16 + 16 + 64) + 3 x 64, each kernel's extent less one times the strides before it. A patch of 256x256
    gives one score, which sees all of it and padding around.
    Takes float (N, 3, H, W), H and W at least `smallest`; gives scores (N, 1, h, w), unbounded.
    """

    def __init__(self, width: int = 32, strides: Sequence[int] = (2, 2, 4, 4, 4), front: bool = False) -> None:
        super().__init__()
        layers = [*_scored(3, width, _KERNEL, 1)] if front else []
        layers += _scored(width if front else 3, width, _KERNEL, strides[0])
        for stage, stride in enumerate(strides[1:], start=1):
            narrow, wide = width * 2 ** (stage - 1), width * 2**stage
            last = stage == len(strides) - 1
            layers += _scored(narrow, wide, _KERNEL, 1)
            layers += _scored(wide, wide, stride if last else _KERNEL, stride, padded=not last)
        layers.append(nn.Conv2d(width * 2 ** (len(strides) - 1), 1, 1, bias=False))
        self.layers = nn.Sequential(*layers)
        side = strides[-1]
        for stride in reversed(strides[:-1]):
            side = (side - 1) * stride + 1
        self.smallest = side
        """The least height and width that give a score at all."""

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        scores_NCHW: torch.Tensor = self.layers(images_NCHW)
        return scores_NCHW


def _level(inputs: int, width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, _KERNEL, padding=_KERNEL // 2),
        *(networks.ResidualBlock(width, 2, "none", "zero", dropout=0.0, kernel=_KERNEL) for _ in range(blocks)),
        nn.Conv2d(width, 3, _KERNEL, padding=_KERNEL // 2),
    )


def _upconvolution(kind: Upconvolution) -> nn.Module:
    """(N, 3, H, W) -> (N, 3, 2H, 2W)."""
    if kind == "transposed":
        return nn.ConvTranspose2d(3, 3, _KERNEL, stride=2, padding=_KERNEL // 2, output_padding=1)
    return nn.Sequential(nn.Conv2d(3, 12, _KERNEL, padding=_KERNEL // 2), nn.PixelShuffle(2))


def _scored(inputs: int, outputs: int, kernel: int, stride: int, padded: bool = True) -> list[nn.Module]:
    padding = kernel // 2 if padded else 0
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.LeakyReLU(_LEAK, inplace=True)]


def _halving_filter() -> torch.Tensor:
    """float32 (8, 8), sum 1: seven taps of a Gaussian, then the mean of two neighbours, in both directions."""
    place = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64)
    gaussian = torch.exp(-0.5 * (place / (2 / 3)).square())
    taps = torch.zeros(2 * _REACH + 2, dtype=torch.float64)
    taps[:-1] += gaussian
    taps[1:] += gaussian
    taps /= taps.sum()
    return torch.outer(taps, taps).float()
