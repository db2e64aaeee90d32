"""Deep Generative Filter: Ramakrishnan, Pachori, Gangopadhyay, Raman, ICCV Workshops 2017.

A densely connected generator that never changes the image's size, and a discriminator that sees the blurred image, too.
No code was published: the text is the only reading, `variant` is "paper", and what it leaves open is said where it is
decided. Images are in [-1, 1] inside, [0, 1] outside.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
from torch import nn
from torch.utils import checkpoint

from blursynth.config import toml
from trainers.losses import adversarial
from trainers.methods import gan, method
from trainers.networks import layers as networks
from trainers.networks import patchgan


class DiscriminatorConfig(toml.Model):
    """The `[method.discriminator]` table."""

    width: gan.Count = 64
    """Channels of the first convolution; the paper gives none."""
    strides: Annotated[tuple[Annotated[int, pydantic.Field(ge=1, le=2)], ...], pydantic.Field(min_length=2)] = (
        1,
        2,
        1,
        2,
        1,
        2,
        1,
        1,
        1,
        1,
    )
    """One for each convolution: ten in section 3.1.2, the strides are ours."""
    norm: networks.Norm = "instance"


class DeepGenerativeFilterConfig(gan.Config):
    """The `[method]` table of a Deep Generative Filter recipe."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"perceptual": {"network": "vgg16"}}
    """Section 3.2: VGG-16 at relu3_3."""

    name: Literal["deep-generative-filter"] = "deep-generative-filter"
    variant: Literal["paper"] = "paper"
    rate: gan.Count = 64
    """The paper's channel-rate: what each block adds; head, bottlenecks and tail have four times as many."""
    blocks: gan.Count = 10
    dilations: tuple[gan.Count, ...] = ()
    """Of each block's 3x3, 1 for none; by default `rising_and_falling(blocks)`."""
    residual: tuple[gan.Count, ...] = ()
    """Numbers of the blocks, from 1, that add to what comes in rather than append to it (table 1, A and B)."""
    global_skip: bool = True
    """The head's output beside the tail's, for the last convolution (section 3.1.1 d)."""
    norm: networks.Norm = "instance"
    """Before each activation, over each image's own statistics in training, too; the paper trains with those of the
    batch and tests with the image's (section 4.1), and names no layer."""
    last_kernel: Literal[1, 3] = 3
    """Side of the last convolution's kernel; the paper says how many channels go in and out (512 to 3) and no more."""
    tanh: bool = True
    """After the last convolution; the paper is silent."""
    slope: gan.Share = networks.LEAK
    """Of every LeakyReLU of both networks; the paper is silent."""
    checkpointing: bool = False
    """Blocks are computed once more on the way back rather than kept: less memory, about a third more time."""
    learning_rate: gan.Positive = 2e-4
    """Section 4.1."""
    betas: tuple[gan.Share, gan.Share] = (0.9, 0.999)
    """Section 4.1: momentum 0.9."""
    pixel_weight: gan.NotNegative = 170.0
    """K2 of equation 4."""
    content_weight: gan.NotNegative = 145.0
    """K1 of equation 4."""
    conditional: bool = True
    """Section 3.2.1."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _schedule(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and not values.get("dilations"):
            blocks = values.get("blocks", cls.model_fields["blocks"].default)
            if isinstance(blocks, int):
                return {**values, "dilations": rising_and_falling(blocks)}
        return values

    @pydantic.model_validator(mode="after")
    def _per_block(self) -> "DeepGenerativeFilterConfig":
        if len(self.dilations) != self.blocks:
            raise ValueError(
                f"dilations has {len(self.dilations)} numbers, expected one for each of {self.blocks} blocks"
            )
        beyond = [number for number in self.residual if number > self.blocks]
        if beyond:
            raise ValueError(f"residual names block {beyond[0]}, but there are {self.blocks} (counted from 1)")
        return self


class DeepGenerativeFilter(gan.GAN):
    """Deep Generative Filter's networks, losses and step."""

    Config: ClassVar[type[toml.Model]] = DeepGenerativeFilterConfig
    title: ClassVar[str] = "Deep Generative Filter (Ramakrishnan et al. 2017)"
    smallest: ClassVar[int] = 2
    """One pixel has no variance."""

    @staticmethod
    def make_generator(config: DeepGenerativeFilterConfig) -> nn.Module:
        network = DenseGenerator(
            config.rate,
            config.dilations,
            residual=config.residual,
            global_skip=config.global_skip,
            norm=config.norm,
            dropout=config.dropout,
            last_kernel=config.last_kernel,
            tanh=config.tanh,
            slope=config.slope,
            checkpointing=config.checkpointing,
        )
        networks.initialise(network, "normal" if config.norm == "instance" else "he")
        return network

    @staticmethod
    def make_discriminator(config: DeepGenerativeFilterConfig) -> nn.Module:
        channels, table = config.discriminator_channels, config.discriminator
        network = patchgan.MarkovianDiscriminator(channels, table.width, table.strides, table.norm, config.slope)
        networks.initialise(network)
        return network

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """Update the discriminator, then the generator, on one batch."""
        return gan.alternate(self, batches, self._images, self._discriminator_losses, self._generator_losses)

    def _discriminator_losses(self, images: gan.Images) -> gan.Losses:
        """The cross-entropy of a discriminator that sees the blurred image too (section 3.2.1)."""
        return {"discriminator": adversarial.gan_discriminator(*self._both_scores(images))}

    def _generator_losses(self, images: gan.Images) -> gan.Losses:
        """Equation 4."""
        return self._weighted(images, adversarial.gan_generator)


class DenseGenerator(nn.Module):
    """Head, dense field, tail and global skip (section 3.1.1, figure 1), all at the image's own size.

    Head: 3x3 from 3 to 4r channels, r the channel-rate. Dense field: block m takes all that came before it, 4r +
    (m - 1)r channels, and appends r. Tail: norm, LeakyReLU, 1x1 to 4r. The head's output is put before the tail's, and
    a convolution of side `last_kernel` and, where `tanh` is set, tanh make the image. Padding is by zeros, everywhere.

    Counted for r = 64, ten blocks: head 7,168; the 1x1 of the blocks 256 (256 + 320 + ... + 832) + 10 x 256 =
    1,395,200 and their 3x3 10 x 147,520; tail 229,632; last 13,827 (as 1x1: 1,539): 3,121,027 (3,108,739) in all. The
    dilated 3x3 of blocks 2, 4, ... 10 make the receptive field 43x43 instead of 25x25 pixels.

    A residual block (table 1) has the same layers, but its 3x3 gives as many channels as came in, and they are added.

    Takes float (N, 3, H, W) in [-1, 1]; gives the same shape, in (-1, 1) with tanh. Only dropout depends on the
    training mode.
    """

    def __init__(
        self,
        rate: int,
        dilations: Sequence[int],
        *,
        residual: Sequence[int] = (),
        global_skip: bool = True,
        norm: networks.Norm = "instance",
        dropout: float = 0.5,
        last_kernel: int = 3,
        tanh: bool = True,
        slope: float = networks.LEAK,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.global_skip = global_skip
        self.checkpointing = checkpointing
        wide = 4 * rate
        channels = wide
        self.head = nn.Conv2d(3, wide, 3, padding=1)
        blocks: list[nn.Module] = []
        for number, dilation in enumerate(dilations, start=1):
            if number in residual:
                blocks.append(AddingBlock(channels, wide, channels, dilation, norm, dropout, slope))
            else:
                blocks.append(AppendingBlock(channels, wide, rate, dilation, norm, dropout, slope))
                channels += rate
        self.blocks = nn.ModuleList(blocks)
        self.tail = nn.Sequential(*_activated(channels, norm, slope), nn.Conv2d(channels, wide, 1))
        last = nn.Conv2d(2 * wide if global_skip else wide, 3, last_kernel, padding=last_kernel // 2)
        self.last = nn.Sequential(last, nn.Tanh()) if tanh else nn.Sequential(last)

    def forward(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        head_NCHW = self.head(blurred_NCHW)
        pieces = [head_NCHW]
        """The channels so far, in the pieces in which they were made: what is kept for the way back when blocks are
        recomputed, so that memory grows with the number of blocks and not with its square."""
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                features_NCHW = checkpoint.checkpoint(block, *pieces, use_reentrant=False)
            else:
                features_NCHW = block(*pieces)
            pieces = [features_NCHW] if isinstance(block, AddingBlock) else [*pieces, features_NCHW]
        tail_NCHW = self.tail(torch.cat(pieces, dim=1))
        seen_NCHW = torch.cat([head_NCHW, tail_NCHW], dim=1) if self.global_skip else tail_NCHW
        restored_NCHW: torch.Tensor = self.last(seen_NCHW)
        return restored_NCHW


class AppendingBlock(nn.Module):
    """Figure 2: norm, LeakyReLU, 1x1 to `choke` channels, 3x3 to `outputs`, dropout; takes its input in pieces."""

    def __init__(
        self,
        channels: int,
        choke: int,
        outputs: int,
        dilation: int,
        norm: networks.Norm,
        dropout: float,
        slope: float = networks.LEAK,
    ) -> None:
        super().__init__()
        layers = [
            *_activated(channels, norm, slope),
            nn.Conv2d(channels, choke, 1),
            nn.Conv2d(choke, outputs, 3, padding=dilation, dilation=dilation),
        ]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers)

    def forward(self, *pieces: torch.Tensor) -> torch.Tensor:
        features_NCHW: torch.Tensor = self.layers(torch.cat(pieces, dim=1))
        return features_NCHW


class AddingBlock(AppendingBlock):
    """The same layers as a residual: x + F(x)."""

    def forward(self, *pieces: torch.Tensor) -> torch.Tensor:
        features_NCHW = torch.cat(pieces, dim=1)
        change_NCHW: torch.Tensor = self.layers(features_NCHW)
        return features_NCHW + change_NCHW


def rising_and_falling(blocks: int) -> tuple[int, ...]:
    """The dilation of each block's 3x3: 1 in odd blocks, in even ones rising by 1 to the middle and falling again.

    Ten blocks: 1, 2, 1, 3, 1, 4, 1, 3, 1, 2. The text's schedule cannot be symmetric about the middle of ten blocks of
    which every second one is dilated; this one is symmetric among the dilated blocks.
    """
    dilated = blocks // 2
    factors = [1 + min(place, dilated + 1 - place) for place in range(1, dilated + 1)]
    return tuple(1 if number % 2 else factors[number // 2 - 1] for number in range(1, blocks + 1))


def _activated(channels: int, norm: networks.Norm, slope: float) -> list[nn.Module]:
    # Without a norm, what comes in is also what others are given, and stays.
    return [*networks.norm_of(norm, channels), nn.LeakyReLU(slope, inplace=norm == "instance")]
