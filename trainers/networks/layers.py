"""Layers that several networks share, their initial weights, and padding.

Legend of tensor names: N images, C channels, H rows, W columns. Images inside a network are in [-1, 1].
"""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

Norm = Literal["instance", "none"]
Padding = Literal["reflect", "replicate", "zero"]
Initialisation = Literal["normal", "he"]

_PADDING_MODE: Mapping[Padding, Literal["reflect", "replicate", "zeros"]] = {
    "reflect": "reflect",
    "replicate": "replicate",
    "zero": "zeros",
}
LEAK = 0.2
"""Slope of every LeakyReLU where nothing else is asked for: DCGAN's, which the papers follow."""


class Residual(nn.Module, abc.ABC):
    """A block that adds a correction to its input."""

    @property
    @abc.abstractmethod
    def last(self) -> nn.Conv2d:
        """The convolution that the correction comes from."""


class ResidualBlock(Residual):
    """x + F(x), F a chain of convolutions of equal width, each normalised, ReLU and dropout after the first.

    With two convolutions the last has no ReLU; with one, the only one has both ReLU and dropout. `activation` = False
    leaves the ReLU out.
    """

    def __init__(
        self,
        width: int,
        convolutions: int,
        norm: Norm,
        padding: Padding,
        dropout: float,
        kernel: int = 3,
        activation: bool = True,
    ) -> None:
        super().__init__()
        assert convolutions in (1, 2)
        layers: list[nn.Module] = [convolution(width, width, kernel, padding), *norm_of(norm, width)]
        if activation:
            layers.append(nn.ReLU(inplace=True))
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
        if convolutions == 2:
            layers += [convolution(width, width, kernel, padding), *norm_of(norm, width)]
        self.residual = nn.Sequential(*layers)

    @property
    def last(self) -> nn.Conv2d:
        return [layer for layer in self.residual if isinstance(layer, nn.Conv2d)][-1]

    def forward(self, features_NCHW: torch.Tensor) -> torch.Tensor:
        change_NCHW: torch.Tensor = self.residual(features_NCHW)
        return features_NCHW + change_NCHW


class GlobalPools(nn.Module):
    """The mean and the maximum of each channel over the whole image, both (N, C, 1, 1).

    Besides the norms, only these see the whole image: `inference.global_statistics` replaces both.
    """

    def forward(self, features_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return features_NCHW.mean(dim=(2, 3), keepdim=True), features_NCHW.amax(dim=(2, 3), keepdim=True)


def initialise(network: nn.Module, kind: Initialisation = "normal") -> None:
    """Draw every convolution's weights from torch's global generator, and set biases to 0.

    "normal" is N(0, 0.02^2) (DCGAN's; DeblurGAN's public code has it, the papers are silent). It relies on norms:
    without them the generator starts, and stays, at no correction at all. "he" is N(0, 2 / fan-in) (He et al. 2015),
    which needs no norm, with the last convolution of each residual block scaled by 0.2 and the network's last by 0.05,
    so that every sum starts close to its skip.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    ends = [block.last for block in network.modules() if isinstance(block, Residual)]
    for convolution in convolutions:
        nn.init.normal_(convolution.weight, 0.0, 0.02 if kind == "normal" else math.sqrt(2.0 / _fan_in(convolution)))
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    if kind == "he":
        with torch.no_grad():
            for end in ends:
                end.weight.mul_(0.2)
            convolutions[-1].weight.mul_(0.05)


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a network: convolutions (transposed ones included) and parameters."""

    convolutions: int
    parameters: int


def size(network: nn.Module) -> Size:
    """Count the convolutions and the parameters of a network."""
    convolutions = sum(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules())
    return Size(convolutions, sum(parameter.numel() for parameter in network.parameters()))


def pad_to_multiple(images_NCHW: torch.Tensor, divisor: int, smallest: int) -> torch.Tensor:
    """Pad images by reflection, bottom and right, to multiples of `divisor` and at least `smallest`.

    Reflects about the edge pixel's centre and, where the image is narrower than the padding, again at the other edge; a
    single pixel is repeated. Images of a fitting size are returned as they are.
    """
    for axis in (2, 3):
        length = images_NCHW.shape[axis]
        padded = max(-(-length // divisor) * divisor, smallest)
        if padded != length:
            period = max(2 * length - 2, 1)
            place = torch.arange(padded, device=images_NCHW.device) % period
            images_NCHW = images_NCHW.index_select(axis, torch.where(place < length, place, period - place))
    return images_NCHW


def _fan_in(convolution: nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Count the weights that meet in one output value; a transposed convolution spreads over stride^2."""
    taps = convolution.in_channels // convolution.groups * math.prod(convolution.kernel_size)
    return taps / math.prod(convolution.stride) if isinstance(convolution, nn.ConvTranspose2d) else taps


def convolution(inputs: int, outputs: int, kernel: int, padding: Padding) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode=_PADDING_MODE[padding])


def norm_of(kind: Norm, width: int) -> list[nn.Module]:
    """Make an instance norm without scale or shift, as a group norm of one channel a group.

    The numbers are the same; torch's InstanceNorm2d gives up the channels_last layout, and is slower on a CPU.
    """
    return [nn.GroupNorm(width, width, affine=False)] if kind == "instance" else []
