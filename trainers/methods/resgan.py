"""ResGAN: SRGAN's generator (Ledig et al., CVPR 2017) with 15 residual blocks, a baseline of Ramakrishnan et al. 2017.

They say that it was "modified and trained for our task" and no more. Ours: the upsampling left out, because nothing is
enlarged; Ledig et al.'s perceptual and adversarial terms; their first training on pixels alone as a pixel term that
stays. `variant` is "paper" alone.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
from torch import nn

from blursynth.config import toml
from trainers.losses import adversarial
from trainers.methods import gan, method
from trainers.networks import layers, patchgan


class DiscriminatorConfig(toml.Model):
    """The `[method.discriminator]` table: Ledig et al.'s eight 3x3 convolutions; one more scores each patch."""

    width: gan.Count = 64
    strides: Annotated[tuple[Annotated[int, pydantic.Field(ge=1, le=2)], ...], pydantic.Field(min_length=2)] = (
        1,
        2,
        1,
        2,
        1,
        2,
        1,
        2,
        1,
    )
    """Theirs end in two dense layers, which fit one size of image alone."""


class ResGANConfig(gan.Config):
    """The `[method]` table of a ResGAN recipe; sections are Ledig et al.'s unless said otherwise."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"perceptual": {"tap": "conv5_4"}}
    """Section 2.2.1: VGG-19 at conv5_4."""

    name: Literal["resgan"] = "resgan"
    variant: Literal["paper"] = "paper"
    width: gan.Count = 64
    """Figure 4."""
    blocks: gan.Count = 15
    """Ramakrishnan et al., section 3.2.1."""
    norm: layers.Norm = "instance"
    """Figure 4 has batch norm; at test time Ramakrishnan et al. take each image's statistics (section 4.1)."""
    dropout: gan.Share = 0.0
    learning_rate: gan.Positive = 1e-4
    """Section 3.2."""
    betas: tuple[gan.Share, gan.Share] = (0.9, 0.999)
    """Section 3.2."""
    pixel_weight: gan.NotNegative = 1.0
    content_weight: gan.NotNegative = 0.006
    """Section 3.2: features divided by 12.75."""
    adversarial_weight: gan.NotNegative = 1e-3
    """Equation 3."""
    conditional: bool = False
    discriminator: DiscriminatorConfig = DiscriminatorConfig()


class ResGAN(gan.GAN):
    """ResGAN's networks, losses and step."""

    Config: ClassVar[type[toml.Model]] = ResGANConfig
    title: ClassVar[str] = "ResGAN (after Ledig et al. 2017), a baseline of Ramakrishnan et al. 2017"
    smallest: ClassVar[int] = 2
    """One pixel has no variance."""

    @staticmethod
    def make_generator(config: ResGANConfig) -> nn.Module:
        network = FlatResNet(config.width, config.blocks, config.norm, config.dropout)
        layers.initialise(network, "normal" if config.norm == "instance" else "he")
        return network

    @staticmethod
    def make_discriminator(config: ResGANConfig) -> nn.Module:
        table = config.discriminator
        network = patchgan.MarkovianDiscriminator(config.discriminator_channels, table.width, table.strides)
        layers.initialise(network)
        return network

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """Update the discriminator, then the generator, on one batch."""
        return gan.alternate(self, batches, self._images, self._discriminator_losses, self._generator_losses)

    def _discriminator_losses(self, images: gan.Images) -> gan.Losses:
        """Equation 2."""
        return {"discriminator": adversarial.gan_discriminator(*self._both_scores(images))}

    def _generator_losses(self, images: gan.Images) -> gan.Losses:
        """Equation 3, with Ledig et al.'s first training on pixels as a loss that stays."""
        return self._weighted(images, adversarial.gan_generator)


class FlatResNet(nn.Module):
    """Ledig et al.'s figure 4 without its upsampling: residual blocks at the image's own size.

    9x9 to `width`, PReLU; `blocks` times 3x3, norm, PReLU, 3x3, norm, added to what came in; 3x3, norm, added to what
    entered the first block; 9x9 to 3, tanh. Zero padding.

    Parameters for width 64 and 15 blocks: 15,616 + 1 + 15 x (2 x 36,928 + 1) + 36,928 + 15,555 = 1,175,955.

    Takes float (N, 3, H, W) in [-1, 1]; gives the same shape in (-1, 1).
    """

    def __init__(self, width: int = 64, blocks: int = 15, norm: layers.Norm = "instance", dropout: float = 0.0) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, width, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(FlatBlock(width, norm, dropout) for _ in range(blocks)))
        self.behind = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), *layers.norm_of(norm, width))
        self.tail = nn.Sequential(nn.Conv2d(width, 3, 9, padding=4), nn.Tanh())

    def forward(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        head_NCHW = self.head(blurred_NCHW)
        restored_NCHW: torch.Tensor = self.tail(head_NCHW + self.behind(self.blocks(head_NCHW)))
        return restored_NCHW


class FlatBlock(layers.Residual):
    """x + F(x): 3x3, norm, PReLU, dropout where there is any, 3x3, norm."""

    def __init__(self, width: int, norm: layers.Norm, dropout: float) -> None:
        super().__init__()
        self.before = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            *layers.norm_of(norm, width),
            nn.PReLU(),
            *([nn.Dropout(dropout)] if dropout > 0 else []),
        )
        self.convolution = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.Sequential(*layers.norm_of(norm, width))

    @property
    def last(self) -> nn.Conv2d:
        return self.convolution

    def forward(self, features_NCHW: torch.Tensor) -> torch.Tensor:
        change_NCHW: torch.Tensor = self.norm(self.convolution(self.before(features_NCHW)))
        return features_NCHW + change_NCHW
