"""Generators, critics and the pieces they are made of.

Legend of tensor names: N images, C channels, H rows, W columns. Images inside a network are in [-1, 1].
"""

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
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
    """A network's piece that adds a correction to what it is given."""

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


class ResNetGenerator(nn.Module):
    """DeblurGAN's generator (Kupyn et al. 2018, figure 3): the input plus a learned correction.

    7x7 to `width`; two 3x3 of stride 2 to 2 and 4 times `width`; `blocks` residual blocks; two transposed 3x3 of
    stride 2 back to `width`; 7x7 to 3; tanh; plus the input. The 7x7 and the blocks' convolutions pad by `padding`,
    the strided ones by zeros. Every convolution has a bias, also where the norm after it cancels it, as in the
    authors' code, whose parameter counts are quoted: 11,378,179 with two convolutions a block, 6,067,459 with one.

    Takes float (N, 3, H, W), nominally in [-1, 1], H and W multiples of 4 and at least 8; gives the same shape, in
    [-2, 2] at most or clamped to [-1, 1] where `clamp` is set. Normalises over each image's own statistics in
    training and at test time alike; only dropout depends on the training mode.
    """

    DIVISOR = 4
    SMALLEST = 8
    """Two pixels at the narrowest place: one pixel has neither a reflection nor a variance."""

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        convolutions: int = 2,
        norm: Norm = "instance",
        padding: Padding = "reflect",
        dropout: float = 0.5,
        clamp: bool = False,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.clamp = clamp
        self.head = nn.Sequential(convolution(3, width, 7, padding), *norm_of(norm, width), nn.ReLU(inplace=True))
        self.down = nn.Sequential(*_down(width, norm), *_down(2 * width, norm))
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(4 * width, convolutions, norm, padding, dropout, activation=activation)
                for _ in range(blocks)
            )
        )
        self.up = nn.Sequential(*_up(4 * width, norm), *_up(2 * width, norm))
        self.tail = nn.Sequential(convolution(width, 3, 7, padding), nn.Tanh())

    def forward(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        features_NCHW = self.blocks(self.down(self.head(blurred_NCHW)))
        correction_NCHW: torch.Tensor = self.tail(self.up(features_NCHW))
        restored_NCHW = blurred_NCHW + correction_NCHW
        return restored_NCHW.clamp(-1.0, 1.0) if self.clamp else restored_NCHW


class PatchCritic(nn.Module):
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
        norm: Norm = "instance",
        norm_first: bool = True,
        *,
        channels: int = 3,
        slope: float = LEAK,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for place, (factor, stride) in enumerate(((1, 2), (2, 2), (4, 2), (8, 1))):
            layers.append(nn.Conv2d(channels, factor * width, 4, stride=stride, padding=2))
            if place > 0 or norm_first:
                layers += norm_of(norm, factor * width)
            layers.append(nn.LeakyReLU(slope, inplace=True))
            channels = factor * width
        layers.append(nn.Conv2d(channels, 1, 4, stride=1, padding=2))
        self.layers = nn.Sequential(*layers)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        scores_NCHW: torch.Tensor = self.layers(images_NCHW)
        return scores_NCHW


class GlobalPools(nn.Module):
    """The mean and the maximum of each channel over the whole image, both (N, C, 1, 1).

    Beside the norms this is all that lets a far pixel count: `tiles` knows it by its class.
    """

    def forward(self, features_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return features_NCHW.mean(dim=(2, 3), keepdim=True), features_NCHW.amax(dim=(2, 3), keepdim=True)


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
        self, channels: int, width: int, strides: Sequence[int], norm: Norm = "instance", slope: float = LEAK
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        outputs = width
        for place, stride in enumerate(strides[:-1]):
            layers += [nn.Conv2d(channels, outputs, 3, stride, 1), *(norm_of(norm, outputs) if place else [])]
            layers.append(nn.LeakyReLU(slope, inplace=True))
            channels, outputs = outputs, min(outputs * stride, 8 * width)
        layers.append(nn.Conv2d(channels, 1, 3, strides[-1], 1))
        self.layers = nn.Sequential(*layers)
        self.smallest = math.prod(strides[:-1]) + 1
        """The least height and width: with fewer, a norm would be over a single pixel."""

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        scores_NCHW: torch.Tensor = self.layers(images_NCHW)
        return scores_NCHW


def initialise(network: nn.Module, kind: Initialisation = "normal") -> None:
    """Draw every convolution's weights anew with torch's global generator; biases become 0.

    "normal" is N(0, 0.02^2) (DCGAN's; DeblurGAN's public code has it, the papers are silent). It relies on norms to
    bring the signal back to size: without them the generator starts, and stays, at no correction at all. "he" is
    N(0, 2 / fan-in) (He et al. 2015), which needs no norm, with the last convolution of each residual block scaled
    by 0.2 and the network's very last by 0.05, so that every sum starts close to its skip.
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
    """How large a network is: convolutions (transposed ones among them) and parameters."""

    convolutions: int
    parameters: int


def size(network: nn.Module) -> Size:
    """Count the convolutions and the parameters of a network."""
    convolutions = sum(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules())
    return Size(convolutions, sum(parameter.numel() for parameter in network.parameters()))


def pad_to_multiple(images_NCHW: torch.Tensor, divisor: int, smallest: int) -> torch.Tensor:
    """Images continued by reflection at the bottom and the right, to multiples of `divisor`, at least `smallest`.

    Reflects about the edge pixel's centre and, where the image is narrower than what is needed, again at the other
    edge; a single pixel is repeated. Images of a fitting size come back as they are.
    """
    for axis in (2, 3):
        length = images_NCHW.shape[axis]
        wanted = max(-(-length // divisor) * divisor, smallest)
        if wanted != length:
            period = max(2 * length - 2, 1)
            place = torch.arange(wanted, device=images_NCHW.device) % period
            images_NCHW = images_NCHW.index_select(axis, torch.where(place < length, place, period - place))
    return images_NCHW


def _fan_in(convolution: nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Weights that meet in one output value; a transposed convolution spreads its own over stride^2 values."""
    taps = convolution.in_channels // convolution.groups * math.prod(convolution.kernel_size)
    return taps / math.prod(convolution.stride) if isinstance(convolution, nn.ConvTranspose2d) else taps


def convolution(inputs: int, outputs: int, kernel: int, padding: Padding) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode=_PADDING_MODE[padding])


def _down(width: int, norm: Norm) -> list[nn.Module]:
    convolution = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
    return [convolution, *norm_of(norm, 2 * width), nn.ReLU(inplace=True)]


def _up(width: int, norm: Norm) -> list[nn.Module]:
    convolution = nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1)
    return [convolution, *norm_of(norm, width // 2), nn.ReLU(inplace=True)]


def norm_of(kind: Norm, width: int) -> list[nn.Module]:
    """Instance norm without scale or shift, written as a group norm of one channel a group: the same numbers.

    torch's own InstanceNorm2d gives up the channels_last layout, and is the slower of the two on a CPU.
    """
    return [nn.GroupNorm(width, width, affine=False)] if kind == "instance" else []
