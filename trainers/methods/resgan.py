"""ResGAN: SRGAN's generator (Ledig et al., CVPR 2017) with 15 residual blocks, a baseline of Ramakrishnan et al. 2017.

They say that it was "modified and trained for our task" and no more. Ours: the upsampling left out, because nothing is
enlarged; Ledig et al.'s perceptual and adversarial terms; their first training on pixels alone as a pixel term that
stays. `variant` is "paper" alone.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
from torch import nn

from blursynth import recipe_file
from trainers import networks
from trainers.methods import image_gan


class DiscriminatorConfig(recipe_file.Model):
    """The `[method.discriminator]` table: Ledig et al.'s eight 3x3 convolutions; one more scores each patch."""

    width: image_gan.Count = 64
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


class ResGANConfig(image_gan.Config):
    """The `[method]` table of a ResGAN recipe; sections are Ledig et al.'s unless said otherwise."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"perceptual": {"tap": "conv5_4"}}
    """Section 2.2.1: VGG-19 at conv5_4."""

    name: Literal["resgan"] = "resgan"
    variant: Literal["paper"] = "paper"
    width: image_gan.Count = 64
    """Figure 4."""
    blocks: image_gan.Count = 15
    """Ramakrishnan et al., section 3.2.1."""
    norm: networks.Norm = "instance"
    """Figure 4 has batch norm; at test time Ramakrishnan et al. take each image's statistics (section 4.1)."""
    dropout: image_gan.Share = 0.0
    learning_rate: image_gan.Positive = 1e-4
    """Section 3.2."""
    betas: tuple[image_gan.Share, image_gan.Share] = (0.9, 0.999)
    """Section 3.2."""
    pixel_weight: image_gan.NotNegative = 1.0
    content_weight: image_gan.NotNegative = 0.006
    """Section 3.2: features divided by 12.75."""
    adversarial_weight: image_gan.NotNegative = 1e-3
    """Equation 3."""
    conditional: bool = False
    discriminator: DiscriminatorConfig = DiscriminatorConfig()


class ResGAN(image_gan.ImageGAN):
    """The method; see `method.Method` and `image_gan.ImageGAN` for what its members promise."""

    Config: ClassVar[type[recipe_file.Model]] = ResGANConfig
    title: ClassVar[str] = "ResGAN (after Ledig et al. 2017), a baseline of Ramakrishnan et al. 2017"
    smallest: ClassVar[int] = 2
    """One pixel has no variance."""

    @staticmethod
    def make_generator(config: ResGANConfig) -> nn.Module:
        network = FlatResNet(config.width, config.blocks, config.norm, config.dropout)
        networks.initialise(network, "normal" if config.norm == "instance" else "he")
        return network

    @staticmethod
    def make_discriminator(config: ResGANConfig, channels: int) -> nn.Module:
        network = networks.MarkovianDiscriminator(channels, config.discriminator.width, config.discriminator.strides)
        networks.initialise(network)
        return network


class FlatResNet(nn.Module):
    """Ledig et al.'s figure 4 without its upsampling: residual blocks at the image's own size.

    9x9 to `width`, PReLU; `blocks` times 3x3, norm, PReLU, 3x3, norm, added to what came in; 3x3, norm, added to what
    entered the first block; 9x9 to 3, tanh. Zero padding.

    Parameters for width 64 and 15 blocks: 15,616 + 1 + 15 x (2 x 36,928 + 1) + 36,928 + 15,555 = 1,175,955.

    Takes float (N, 3, H, W) in [-1, 1]; gives the same shape in (-1, 1).
    """

    def __init__(
        self, width: int = 64, blocks: int = 15, norm: networks.Norm = "instance", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, width, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(FlatBlock(width, norm, dropout) for _ in range(blocks)))
        self.behind = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), *networks.norm_of(norm, width))
        self.tail = nn.Sequential(nn.Conv2d(width, 3, 9, padding=4), nn.Tanh())

    def forward(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        head_NCHW = self.head(blurred_NCHW)
        restored_NCHW: torch.Tensor = self.tail(head_NCHW + self.behind(self.blocks(head_NCHW)))
        return restored_NCHW


class FlatBlock(networks.Residual):
    """x + F(x): 3x3, norm, PReLU, dropout where there is any, 3x3, norm."""

    def __init__(self, width: int, norm: networks.Norm, dropout: float) -> None:
        super().__init__()
        self.before = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            *networks.norm_of(norm, width),
            nn.PReLU(),
            *([nn.Dropout(dropout)] if dropout > 0 else []),
        )
        self.convolution = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.Sequential(*networks.norm_of(norm, width))

    @property
    def last(self) -> nn.Conv2d:
        return self.convolution

    def forward(self, features_NCHW: torch.Tensor) -> torch.Tensor:
        change_NCHW: torch.Tensor = self.norm(self.convolution(self.before(features_NCHW)))
        return features_NCHW + change_NCHW
