"""DeepDeblur: Nah, Kim, Lee, CVPR 2017 (arXiv:1612.02177).

A coarse-to-fine generator that restores a Gaussian pyramid, trained on a content loss at every scale and an
adversarial one at the finest. Two readings, chosen by `variant`: "paper" is the text, "release" the authors' later
public code, DeepDeblur-PyTorch, where it differs (`RELEASE` lists every difference; any value can be given by itself).
Images are in [-0.5, 0.5] inside (times `peak`), [0, 1] outside.

Legend of tensor names: N images, C channels, H rows, W columns; a pyramid is a list of images, finest first.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
from torch import nn
from torch.nn import functional

from blursynth.config import toml
from trainers.losses import adversarial
from trainers.methods import gan, method
from trainers.networks import gaussian_pyramid, layers

Upconvolution = Literal["transposed", "shuffle"]
Content = Literal["mse", "l1"]
LevelSum = Literal["half-mean", "sum"]
Pyramid = Sequence[torch.Tensor]
Pyramids = tuple[Pyramid, Pyramid]
"""Of the restored and of the sharp images."""

RELEASE: Mapping[str, Any] = {
    "upconvolution": "shuffle",
    "peak": 255.0,
    "learning_rate": 1e-4,
    "content": "l1",
    "content_sum": "sum",
    "adversarial_weight": 0.0,
    "adversarial": "non-saturating",
    "discriminator": {"front": True},
}
"""What `variant = "release"` changes. Batch, epochs and the rate's schedule are in the recipe's other sections."""

_KERNEL = 5


class DiscriminatorConfig(toml.Model):
    """The `[method.discriminator]` table: table 1 of the paper."""

    width: gan.Count = 32
    """Channels of the first convolution."""
    strides: Annotated[tuple[gan.Count, ...], pydantic.Field(min_length=2)] = (2, 2, 4, 4, 4)
    """Table 1's, whose product, 256, is the side of the training patches."""
    front: bool = False
    """(release) Another convolution of stride 1 in front, which table 1 does not have."""


class DeepDeblurConfig(toml.Model):
    """The `[method]` table of a DeepDeblur recipe. What the variant decides is filled in when the recipe is read."""

    name: Literal["deepdeblur"] = "deepdeblur"
    variant: Literal["paper", "release"] = "paper"
    scales: Annotated[int, pydantic.Field(ge=1, le=3)] = 3
    """K, the levels of the pyramid (section 3.1; table 2 has 1, 2 and 3)."""
    width: gan.Count = 64
    """Channels within every level (section 3.1)."""
    blocks: Annotated[int, pydantic.Field(ge=0, le=2**14)] = 19
    """Residual blocks of every level (section 3.1)."""
    upconvolution: Upconvolution = "transposed"
    """From a level's result to the next finer one: Long et al.'s, which section 3.1 cites, or (release) a convolution
    to 12 channels whose fours become 2x2 pixels."""
    peak: gan.Positive = 1.0
    """Images are in [-peak/2, peak/2] inside: [-0.5, 0.5] in section 3.2, (release) [-127.5, 127.5]."""
    learning_rate: gan.Positive = 5e-5
    """Of both networks (section 3.2)."""
    betas: tuple[gan.Share, gan.Share] = (0.9, 0.999)
    """Of Adam; the paper is silent, these are the public code's and Adam's own."""
    content: Content = "mse"
    """Equation 4, or (release) the mean absolute difference."""
    content_sum: LevelSum = "half-mean"
    """Over the levels: divided by 2K (equation 4), or (release) summed alone."""
    adversarial_weight: gan.NotNegative = 1e-4
    """Lambda of equation 6. 0 (release) leaves the discriminator out altogether."""
    adversarial: Literal["saturating", "non-saturating"] = "saturating"
    """The generator minimises log(1 - D) as equation 5 is printed, or (both public codes) -log D."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _follow_variant(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("variant") == "release":
            return method.overlay(RELEASE, values)
        return values


class DeepDeblur(gan.GAN):
    """DeepDeblur's networks, losses and step.

    Weights start as torch draws them, which is what the public code leaves them at; the paper is silent.
    """

    Config: ClassVar[type[toml.Model]] = DeepDeblurConfig
    title: ClassVar[str] = "DeepDeblur (Nah et al. 2017)"
    divisor: ClassVar[int] = 4
    """What three scales need; the public code crops on multiples of it for any number."""
    smallest: ClassVar[int] = 4

    def __init__(self, config: DeepDeblurConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self.pyramid = gaussian_pyramid.GaussianPyramid(config.scales).to(device)

    @staticmethod
    def make_generator(config: DeepDeblurConfig) -> nn.Module:
        return MultiScaleGenerator(config.scales, config.width, config.blocks, config.upconvolution)

    @staticmethod
    def make_discriminator(config: DeepDeblurConfig) -> nn.Module:
        table = config.discriminator
        return StridedDiscriminator(table.width, table.strides, table.front)

    def sides_are_multiples_of(self) -> int:
        return 1 << (int(self.config.scales) - 1)

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """Update the discriminator, then the generator, on one batch."""
        return gan.alternate(self, batches, self._pyramids, self._discriminator_losses, self._generator_losses)

    def _pyramids(self, batch: method.Batch) -> Pyramids:
        blurred_NCHW, sharp_NCHW = self._inside(batch.blurred_NCHW), self._inside(batch.sharp_NCHW)
        return self.generator(self.pyramid(blurred_NCHW)), self.pyramid(sharp_NCHW)

    def _discriminator_losses(self, pyramids: Pyramids) -> gan.Losses:
        """Equation 5, negated, on the finest scale."""
        assert self.discriminator is not None
        restored_NCHW, sharp_NCHW = (pyramid[0] for pyramid in pyramids)
        scores = self.discriminator(sharp_NCHW), self.discriminator(restored_NCHW.detach())
        return {"discriminator": adversarial.gan_discriminator(*scores)}

    def _generator_losses(self, pyramids: Pyramids) -> gan.Losses:
        """Equation 6: the content loss of every scale and the adversarial loss of the finest."""
        config = self.config
        losses = {"content": multiscale_content(*pyramids, config.content, config.content_sum)}
        if self.discriminator is not None:
            printed = config.adversarial == "saturating"
            loss = adversarial.gan_generator_saturating if printed else adversarial.gan_generator
            losses["adversarial"] = config.adversarial_weight * loss(self.discriminator(pyramids[0][0]))
        return losses

    @torch.no_grad()
    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        """Restore images of any size from 1x1, float32 (N, 3, H, W) in [0, 1]: the finest level.

        Sizes that cannot be halved often enough are padded by reflection and cropped back. Nothing in it is random.
        """
        height, width = blurred_NCHW.shape[2:]
        divisor = self.sides_are_multiples_of()
        padded_NCHW = layers.pad_to_multiple(blurred_NCHW, divisor, divisor)
        finest_NCHW = self.generator(self.pyramid(self._inside(padded_NCHW)))[0]
        encoded_NCHW: torch.Tensor = finest_NCHW[:, :, :height, :width] / self.config.peak + 0.5
        return encoded_NCHW.clamp(0.0, 1.0)

    def describe(self) -> str:
        config = self.config
        generator, *discriminators = self._sizes()
        lines = [
            f"{self.title}, variant {config.variant}, K = {config.scales}",
            f"{generator}, upconvolutions among them: {config.scales - 1} ({config.upconvolution})",
            *discriminators,
        ]
        half = f"{config.peak / 2:g}"
        divided = f", divided by {2 * config.scales}" if config.content_sum == "half-mean" else ""
        lines.append(f"  content: {config.content} in [-{half}, {half}] summed over the scales{divided}")
        if config.adversarial_weight > 0:
            lines.append(f"  {config.adversarial_weight:g} x adversarial: {config.adversarial}, on the finest scale")
        return "\n".join(lines)

    def _inside(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Map [0, 1] to [-peak/2, peak/2], in the networks' memory layout."""
        return ((images_NCHW - 0.5) * float(self.config.peak)).contiguous(memory_format=self.memory_format)


def multiscale_content(
    restored_pyramid: Pyramid, sharp_pyramid: Pyramid, kind: Content, over: LevelSum
) -> torch.Tensor:
    """Compute the multi-scale content loss of two pyramids with K levels each, (N, C, H, W).

    "mse" and "half-mean" are equation 4: each level's mean squared difference, summed and divided by 2K. "l1" and
    "sum" are DeepDeblur-PyTorch's: mean absolute differences, summed over the levels alone, so that the same
    adversarial weight means 2K times less (6 for three levels).
    """
    measure = functional.mse_loss if kind == "mse" else functional.l1_loss
    levels = [measure(restored, sharp) for restored, sharp in zip(restored_pyramid, sharp_pyramid, strict=True)]
    total = torch.stack(levels).sum()
    return total / (2 * len(levels)) if over == "half-mean" else total


class MultiScaleGenerator(nn.Module):
    """The generator (section 3.1 and figure 4): a blurred pyramid -> a sharp one.

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
    """The discriminator (table 1), its sigmoid left to the losses: a score for each patch.

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
        modules = [*_scored(3, width, _KERNEL, 1)] if front else []
        modules += _scored(width if front else 3, width, _KERNEL, strides[0])
        for stage, stride in enumerate(strides[1:], start=1):
            narrow, wide = width * 2 ** (stage - 1), width * 2**stage
            last = stage == len(strides) - 1
            modules += _scored(narrow, wide, _KERNEL, 1)
            modules += _scored(wide, wide, stride if last else _KERNEL, stride, padded=not last)
        modules.append(nn.Conv2d(width * 2 ** (len(strides) - 1), 1, 1, bias=False))
        self.layers = nn.Sequential(*modules)
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
        *(layers.ResidualBlock(width, 2, "none", "zero", dropout=0.0, kernel=_KERNEL) for _ in range(blocks)),
        nn.Conv2d(width, 3, _KERNEL, padding=_KERNEL // 2),
    )


def _upconvolution(kind: Upconvolution) -> nn.Module:
    """(N, 3, H, W) -> (N, 3, 2H, 2W)."""
    if kind == "transposed":
        return nn.ConvTranspose2d(3, 3, _KERNEL, stride=2, padding=_KERNEL // 2, output_padding=1)
    return nn.Sequential(nn.Conv2d(3, 12, _KERNEL, padding=_KERNEL // 2), nn.PixelShuffle(2))


def _scored(inputs: int, outputs: int, kernel: int, stride: int, padded: bool = True) -> list[nn.Module]:
    padding = kernel // 2 if padded else 0
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.LeakyReLU(layers.LEAK, inplace=True)]
