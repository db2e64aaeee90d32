"""pix2pix: Isola, Zhu, Zhou, Efros, CVPR 2017, the U-Net baseline of Ramakrishnan et al. 2017 (table 3).

They say that it was "modified and trained for our task" and no more: this is Isola et al.'s own generator,
discriminator, losses and optimiser on pairs of blurred and sharp images. `variant` is "paper" alone.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import pydantic
import torch
from torch import nn

from blursynth.config import toml
from trainers.losses import adversarial
from trainers.methods import gan, method
from trainers.networks import layers as networks
from trainers.networks import patchgan


class DiscriminatorConfig(toml.Model):
    """The `[method.discriminator]` table: Isola et al.'s 70x70 PatchGAN."""

    width: gan.Count = 64


class Pix2PixConfig(gan.Config):
    """The `[method]` table of a pix2pix recipe; sections are Isola et al.'s."""

    name: Literal["pix2pix"] = "pix2pix"
    variant: Literal["paper"] = "paper"
    width: gan.Count = 64
    """Channels of the first convolution (section 6.1.1)."""
    levels: Annotated[int, pydantic.Field(ge=2, le=10)] = 8
    """How often the image is halved (section 6.1.1): its sides are multiples of 2^levels."""
    test_time_dropout: bool = True
    """Section 3.2.1: dropout stays on."""
    learning_rate: gan.Positive = 2e-4
    """Section 3.3."""
    betas: tuple[gan.Share, gan.Share] = (0.5, 0.999)
    """Section 3.3."""
    pixel_weight: gan.NotNegative = 100.0
    """Lambda of section 3.1, in section 6.2's L1+cGAN."""
    content_weight: gan.NotNegative = 0.0
    conditional: bool = True
    """Section 3.1."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()


class Pix2Pix(gan.GAN):
    """pix2pix's networks, losses and step."""

    Config: ClassVar[type[toml.Model]] = Pix2PixConfig
    title: ClassVar[str] = "pix2pix (Isola et al. 2017), a baseline of Ramakrishnan et al. 2017"
    divisor: ClassVar[int] = 4
    """Of every configuration; a step wants multiples of 2^levels."""
    smallest: ClassVar[int] = 8
    tileable: ClassVar[bool] = False
    """Its narrowest place sees the whole image."""

    @staticmethod
    def make_generator(config: Pix2PixConfig) -> nn.Module:
        network = UNetGenerator(config.width, config.levels, config.dropout)
        networks.initialise(network)
        return network

    @staticmethod
    def make_discriminator(config: Pix2PixConfig) -> nn.Module:
        channels = config.discriminator_channels
        network = patchgan.PatchGAN(config.discriminator.width, "instance", norm_first=False, channels=channels)
        networks.initialise(network)
        return network

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """Update the discriminator, then the generator, on one batch (section 3.3)."""
        return gan.alternate(self, batches, self._images, self._discriminator_losses, self._generator_losses)

    def _discriminator_losses(self, images: gan.Images) -> gan.Losses:
        """Equation 1, halved: "divide the objective by 2 while optimizing D" (section 3.3)."""
        return {"discriminator": 0.5 * adversarial.gan_discriminator(*self._both_scores(images))}

    def _generator_losses(self, images: gan.Images) -> gan.Losses:
        """Section 6.2's L1+cGAN, non-saturating (section 3.3)."""
        return self._weighted(images, adversarial.gan_generator)

    def sides_are_multiples_of(self) -> int:
        return 1 << int(self.config.levels)


class UNetGenerator(nn.Module):
    """Isola et al.'s U-Net: `levels` 4x4 convolutions of stride 2 down, as many transposed ones up, skips between.

    Channels are `width` times 1, 2, 4, then 8 on every deeper level. Down: LeakyReLU 0.2 (not before the first),
    convolution, norm (not after the first and the last). Up: ReLU, transposed convolution, norm, dropout on the first
    three, then the skip's channels beside; the last gives 3 channels and tanh. Norms are over each image (their batch
    has one).

    Parameters for width 64 and eight levels, an n to m convolution 16 n m + m: 54,409,603.

    Takes float (N, 3, H, W) in [-1, 1], H and W multiples of 2^levels; gives the same shape in (-1, 1).
    """

    def __init__(self, width: int = 64, levels: int = 8, dropout: float = 0.5) -> None:
        super().__init__()
        channels = [3, *(width * min(2**level, 8) for level in range(levels))]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for level in range(levels):
            layers: list[nn.Module] = [nn.LeakyReLU(networks.LEAK)] if level else []
            layers.append(nn.Conv2d(channels[level], channels[level + 1], 4, 2, 1))
            if 0 < level < levels - 1:
                layers += networks.norm_of("instance", channels[level + 1])
            down.append(nn.Sequential(*layers))
        for place, level in enumerate(reversed(range(levels))):
            inputs = channels[level + 1] * (2 if place else 1)
            layers = [nn.ReLU(), nn.ConvTranspose2d(inputs, channels[level], 4, 2, 1)]
            if level == 0:
                layers.append(nn.Tanh())
            else:
                layers += networks.norm_of("instance", channels[level])
                layers += [nn.Dropout(dropout)] if place < 3 and dropout > 0 else []
            up.append(nn.Sequential(*layers))
        self.down = nn.ModuleList(down)
        self.up = nn.ModuleList(up)
        """From the deepest."""

    def forward(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        skips = []
        features_NCHW = blurred_NCHW
        for layer in self.down:
            features_NCHW = layer(features_NCHW)
            skips.append(features_NCHW)
        features_NCHW = self.up[0](skips.pop())
        for layer in list(self.up)[1:]:
            features_NCHW = layer(torch.cat([features_NCHW, skips.pop()], dim=1))
        restored_NCHW: torch.Tensor = features_NCHW
        return restored_NCHW
