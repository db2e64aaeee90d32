"""The light model: Li, Kong, Xue, Wang, "Depth Separable Convolution Lightweight Blind Motion Deblurring Algorithm".

DeblurGAN's frame with depthwise-separable residual blocks that attend to channels and places, PixelShuffle instead of
transposed convolutions, no norm in the generator, and a relativistic average discriminator. No code was published: the
text is the only reading, `variant` is "paper", and what it leaves open is said where it is decided.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import nn

from blursynth.config import toml
from trainers.losses import adversarial
from trainers.methods import gan, method
from trainers.networks import layers, patchgan

Shuffle = Literal["before", "after"]


class DiscriminatorConfig(toml.Model):
    """The `[method.discriminator]` table: section 2.5, whose last sigmoid is joined with the loss."""

    width: gan.Count = 64
    """Channels of the first convolution (of PatchGAN, which the paper names)."""


class LightDeblurGANConfig(gan.Config):
    """The `[method]` table of a recipe of the light model."""

    name: Literal["light-deblurgan"] = "light-deblurgan"
    variant: Literal["paper"] = "paper"
    width: gan.Count = 64
    """Channels of the first convolution (section 2.1)."""
    blocks: gan.Count = 9
    ratio: gan.Count = 4
    """How much narrower the channel attention's hidden layer is; the paper is silent, 4 is nearest to its 11.9 MB."""
    counted: Shuffle = "before"
    """Whether the 128 and 64 "convolution kernels" of the upsampling are counted before the shuffle (the words taken
    literally: it leaves 32 and 16 channels) or after it."""
    padding: layers.Padding = "reflect"
    """Of the two 7x7; as in DeblurGAN's code, the paper is silent."""
    slope: gan.Share = layers.LEAK
    """Of every LeakyReLU of both networks; the paper is silent."""
    patch_average: Literal["before", "after"] = "before"
    """Patch scores are averaged over each image before images are compared (section 2.5: "the discriminator averages
    the results of each Patch to get the final output result"), or every patch is compared by itself and the averages
    are taken after that, as this package did at first. With one image a batch the two differ much: averaged first,
    there is nothing left of how patches spread about their mean."""
    learning_rate: gan.Positive = 1e-4
    """Section 3.2."""
    betas: tuple[gan.Share, gan.Share] = (0.5, 0.999)
    """Section 3.2."""
    pixel_weight: gan.NotNegative = 0.0
    """Section 2.7 abandons it."""
    content_weight: gan.NotNegative = 100.0
    """Lambda of equation 7."""
    conditional: bool = False
    discriminator: DiscriminatorConfig = DiscriminatorConfig()


class LightDeblurGAN(gan.GAN):
    """The light model's networks, losses and step."""

    Config: ClassVar[type[toml.Model]] = LightDeblurGANConfig
    title: ClassVar[str] = "The light model (Li et al.)"
    accumulates: ClassVar[bool] = False
    """Its averages are over the whole batch, and would differ over a part of it."""
    divisor: ClassVar[int] = 4
    smallest: ClassVar[int] = 8

    @staticmethod
    def make_generator(config: LightDeblurGANConfig) -> nn.Module:
        network = LightGenerator(
            config.width, config.blocks, config.ratio, config.counted, config.padding, config.dropout, config.slope
        )
        # There is no norm that would bring the signal back to size: see `initialise`.
        layers.initialise(network, "he")
        return network

    @staticmethod
    def make_discriminator(config: LightDeblurGANConfig) -> nn.Module:
        channels, width = config.discriminator_channels, config.discriminator.width
        network = patchgan.PatchGAN(width, "instance", norm_first=False, channels=channels, slope=config.slope)
        layers.initialise(network)
        return network

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """Update the discriminator, then the generator, on one batch."""
        return gan.alternate(self, batches, self._images, self._discriminator_losses, self._generator_losses)

    def _discriminator_losses(self, images: gan.Images) -> gan.Losses:
        """Equation 6: sharp images look more real than restored ones."""
        sharp_scores, restored_scores = map(self._averaged, self._both_scores(images))
        return {"discriminator": adversarial.relativistic_average(sharp_scores, restored_scores)}

    def _generator_losses(self, images: gan.Images) -> gan.Losses:
        """Equation 7: restored images look more real than sharp ones, and have the same features."""

        def more_real_than_sharp(restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                sharp_scores_NCHW = self._scores(images.blurred_NCHW, images.sharp_NCHW)
            return adversarial.relativistic_average(*map(self._averaged, (restored_scores_NCHW, sharp_scores_NCHW)))

        return self._weighted(images, more_real_than_sharp)

    def _averaged(self, scores_NCHW: torch.Tensor) -> torch.Tensor:
        """Scores as they are compared: one for each image, or for each patch."""
        return scores_NCHW if self.config.patch_average == "after" else scores_NCHW.mean(dim=(1, 2, 3))

    def _adversarial_words(self) -> str:
        order = "patches averaged first" if self.config.patch_average == "before" else "patch by patch"
        return f"relativistic average, {order}"


class LightGenerator(nn.Module):
    """Figure 1: the input plus a learned correction, LeakyReLU, no norms.

    7x7 to `width`; two 3x3 of stride 2 to 2 and 4 times `width`; `blocks` attended separable blocks; two times 3x3,
    PixelShuffle, LeakyReLU; 7x7 to 3; tanh; plus the input.

    Parameters for width 64, nine blocks, attention ratio 4: 7x7 9,472; down 73,856 + 295,168; a block 256 (9 + 1) +
    256 x 256 + 256 = 68,352 for each of three separable convolutions, 2 x 256 x 64 = 32,768 for the channel attention
    and 98 for the spatial one, 237,922, nine times; up 295,040 + 18,496; last 2,355. Together 2,835,685, 10.82 MiB
    (ratio 16: 2,614,501, 9.97 MiB). Counted after the shuffle the convolutions give 512 and 256 channels, 4,004,533
    parameters, 15.28 MiB (ratio 16: 3,783,349). The paper says 11.9 MB, which no reading gives.

    Takes float (N, 3, H, W), nominally in [-1, 1], H and W multiples of 4 and at least 8; gives the same shape, in
    [-2, 2] at most.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        ratio: int = 4,
        counted: Shuffle = "before",
        padding: layers.Padding = "reflect",
        dropout: float = 0.5,
        slope: float = layers.LEAK,
    ) -> None:
        super().__init__()
        deep = 4 * width
        self.head = nn.Sequential(layers.convolution(3, width, 7, padding), _leaky(slope))
        self.down = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, 2, 1), _leaky(slope), nn.Conv2d(2 * width, deep, 3, 2, 1), _leaky(slope)
        )
        self.blocks = nn.Sequential(*(AttendedBlock(deep, ratio, dropout, slope) for _ in range(blocks)))
        kernels = (2 * width, width) if counted == "before" else (8 * width, 4 * width)
        self.up = nn.Sequential(*_up(deep, kernels[0], slope), *_up(kernels[0] // 4, kernels[1], slope))
        self.tail = nn.Sequential(layers.convolution(kernels[1] // 4, 3, 7, padding), nn.Tanh())

    def forward(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        correction_NCHW: torch.Tensor = self.tail(self.up(self.blocks(self.down(self.head(blurred_NCHW)))))
        return blurred_NCHW + correction_NCHW


class AttendedBlock(layers.Residual):
    """F + separable convolutions of F'' (section 2.2): F' = M_C(F) F, F'' = M_S(F') F'.

    The text lets F' enter the convolutions, although F'' is what leaves the attention: we take F''. LeakyReLU after
    the first two of the three separable 3x3, none before the sum, dropout before the last (its place is ours).
    """

    def __init__(self, width: int, ratio: int, dropout: float, slope: float = layers.LEAK) -> None:
        super().__init__()
        self.channel_attention = ChannelAttention(width, ratio, slope)
        self.spatial_attention = SpatialAttention()
        self.convolutions = nn.Sequential(
            *_separable(width),
            _leaky(slope),
            *_separable(width),
            _leaky(slope),
            *([nn.Dropout(dropout)] if dropout > 0 else []),
            *_separable(width),
        )

    @property
    def last(self) -> nn.Conv2d:
        convolution = self.convolutions[-1]
        assert isinstance(convolution, nn.Conv2d)
        return convolution

    def forward(self, features_NCHW: torch.Tensor) -> torch.Tensor:
        attended_NCHW = self.channel_attention(features_NCHW) * features_NCHW
        attended_NCHW = self.spatial_attention(attended_NCHW) * attended_NCHW
        change_NCHW: torch.Tensor = self.convolutions(attended_NCHW)
        return features_NCHW + change_NCHW


class ChannelAttention(nn.Module):
    """M_C: sigmoid of the sum of one perceptron's outputs for the mean and the maximum of each channel.

    The perceptron is `width` to `width // ratio` to `width`, LeakyReLU between, no biases. Takes (N, C, H, W), gives
    (N, C, 1, 1) in (0, 1).
    """

    def __init__(self, width: int, ratio: int, slope: float = layers.LEAK) -> None:
        super().__init__()
        hidden = max(1, width // ratio)
        self.pools = layers.GlobalPools()
        self.perceptron = nn.Sequential(
            nn.Conv2d(width, hidden, 1, bias=False), _leaky(slope), nn.Conv2d(hidden, width, 1, bias=False)
        )

    def forward(self, features_NCHW: torch.Tensor) -> torch.Tensor:
        of_mean, of_maximum = self.pools(features_NCHW)
        return torch.sigmoid(self.perceptron(of_mean) + self.perceptron(of_maximum))


class SpatialAttention(nn.Module):
    """M_S: sigmoid of a 7x7, without bias, of the maximum and the mean over the channels of each pixel, in this order.

    Takes (N, C, H, W), gives (N, 1, H, W) in (0, 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, features_NCHW: torch.Tensor) -> torch.Tensor:
        pooled_NCHW = torch.cat(
            [features_NCHW.amax(dim=1, keepdim=True), features_NCHW.mean(dim=1, keepdim=True)], dim=1
        )
        return torch.sigmoid(self.convolution(pooled_NCHW))


def _separable(width: int) -> list[nn.Module]:
    """Section 2.3: a 3x3 for each channel by itself, then a 1x1; both with biases."""
    return [nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, width, 1)]


def _up(inputs: int, kernels: int, slope: float) -> list[nn.Module]:
    """Section 2.4: (N, inputs, H, W) -> (N, kernels / 4, 2H, 2W)."""
    return [nn.Conv2d(inputs, kernels, 3, padding=1), nn.PixelShuffle(2), _leaky(slope)]


def _leaky(slope: float) -> nn.LeakyReLU:
    return nn.LeakyReLU(slope, inplace=True)
