"""DeblurGAN: Kupyn, Budzan, Mykhailych, Mishkin, Matas, CVPR 2018 (arXiv:1711.07064).

A ResNet generator that adds a correction to the blurred image, trained on a perceptual and an adversarial term.
Two readings, chosen by `variant`: "paper" is the text, "release" the authors' public code where it differs
(`RELEASE` lists every difference; any value can be given by itself). Images are in [-1, 1] inside, [0, 1] outside.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch
from torch import nn

from blursynth.config import toml
from trainers.losses import adversarial, gradient_penalty
from trainers.methods import gan, method
from trainers.networks import layers, patchgan

RELEASE: Mapping[str, Any] = {
    "convolutions": 1,
    "clamp": True,
    "critic": {"loss": "gan", "norm_first": False, "batches": "shared", "penalty": "per-pixel"},
    "perceptual": {"after_activation": False, "normalise": False, "reduction": "mean"},
}
"""What `variant = "release"` changes. Its critic's steps and penalty follow its loss: see `CriticConfig`."""


class CriticConfig(toml.Model):
    """The `[method.critic]` table: the critic network and how it is trained."""

    loss: Literal["wgan-gp", "gan"] = "wgan-gp"
    """Equations 3, 4 and 6, or the plain GAN (equation 2, non-saturating) that the public training script sets."""
    width: gan.Count = 64
    """Channels of the first convolution (of PatchGAN, which the paper names)."""
    norm: layers.Norm = "instance"
    norm_first: bool = True
    """Also after the first convolution: the text normalises all but the last, the code not the first either."""
    steps: gan.Count = 5
    """Critic updates for each of the generator's (section 5). Default 1 with "gan"."""
    batches: Literal["fresh", "shared"] = "fresh"
    """A batch for each critic update and one for the generator's, or (release) one batch for all of them."""
    penalty: gradient_penalty.Form = "per-sample"
    """One interpolation and one norm for each image, or (release) one interpolation a batch, a norm for each pixel."""
    penalty_weight: gan.NotNegative = 10.0
    """Lambda of equation 4, from Gulrajani et al. and the code; the paper gives none. Default 0 with "gan"."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _follow_loss(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("loss") == "gan":
            return {"steps": 1, "penalty_weight": 0.0, **values}
        return values

    @pydantic.model_validator(mode="after")
    def _agree(self) -> "CriticConfig":
        if self.loss == "wgan-gp" and self.penalty_weight == 0:
            raise ValueError(
                'loss "wgan-gp" needs a penalty_weight above 0, nothing else bounds the critic (the usual one is 10); '
                'loss "gan" goes without'
            )
        if self.loss == "gan" and self.penalty_weight > 0:
            raise ValueError('loss "gan" has no gradient penalty: leave penalty_weight out, or choose loss "wgan-gp"')
        return self


class DeblurGANConfig(gan.Config):
    """The `[method]` table of a DeblurGAN recipe. What the variant decides is filled in when the recipe is read."""

    name: Literal["deblurgan"] = "deblurgan"
    variant: Literal["paper", "release"] = "paper"
    width: gan.Count = 64
    """Channels of the generator's first convolution (figure 3)."""
    blocks: Annotated[int, pydantic.Field(ge=0, le=2**14)] = 9
    convolutions: Annotated[int, pydantic.Field(ge=1, le=2)] = 2
    """Convolutions in a residual block. The text lists one but puts dropout "after the first", so two; the public
    code as it stands builds one (an operator's precedence), while the weights published with it have two."""
    activation: bool = True
    """A ReLU after the first convolution of each block. The public code as it stands leaves it out of the blocks that
    it builds with one convolution and without dropout."""
    norm: layers.Norm = "instance"
    padding: layers.Padding = "reflect"
    """Of the 7x7 and the blocks' convolutions; the paper is silent, the public code reflects."""
    initialisation: layers.Initialisation = "normal"
    """Of the generator, see `networks.initialise`: "normal" needs the norms, "he" does not."""
    dropout: gan.Share = 0.5
    """After the first convolution of each block (section 3.2)."""
    test_time_dropout: bool = True
    """Dropout stays on when restoring (section 5)."""
    clamp: bool = False
    """(release) The generator's sum is clamped to [-1, 1] in training too; what `restore` gives always is."""
    learning_rate: gan.Positive = 1e-4
    """Of both networks (section 5)."""
    betas: tuple[gan.Share, gan.Share] = (0.5, 0.999)
    """Of Adam; the paper is silent, these are the public code's."""
    pixel_weight: gan.NotNegative = 0.0
    """The paper has no such term."""
    content_weight: gan.NotNegative = 100.0
    """Lambda of equation 5."""
    conditional: bool = False
    """Section 3.1: "we do not condition the discriminator"."""
    critic: CriticConfig = CriticConfig()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _follow_variant(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("variant") == "release":
            return method.overlay(RELEASE, values)
        return values

    @pydantic.model_validator(mode="after")
    def _starts_to_learn(self) -> "DeblurGANConfig":
        if self.norm == "none" and self.initialisation == "normal":
            raise ValueError(
                'norm "none" needs initialisation "he": with "normal" the generator does not start to learn'
            )
        if not self.activation and self.convolutions == 2:
            raise ValueError("activation = false is of blocks with convolutions = 1: two in a row would be one")
        return self


class DeblurGAN(gan.GAN):
    """DeblurGAN's networks, losses and step.

    The critic's losses are "critic" and "penalty", averaged over its updates; with "wgan-gp", minus "critic" estimates
    the Wasserstein distance.
    """

    Config: ClassVar[type[toml.Model]] = DeblurGANConfig
    title: ClassVar[str] = "DeblurGAN (Kupyn et al. 2018)"
    discriminator_name: ClassVar[str] = "critic"
    divisor: ClassVar[int] = 4
    smallest: ClassVar[int] = 8
    """Two pixels after both halvings: one pixel has neither a reflection nor a variance."""

    def __init__(self, config: DeblurGANConfig, device: torch.device) -> None:
        self.discriminator_updates = config.critic.steps
        self.fresh_batches = config.critic.batches == "fresh"
        super().__init__(config, device)

    @staticmethod
    def make_generator(config: DeblurGANConfig) -> nn.Module:
        network = ResNetGenerator(
            config.width,
            config.blocks,
            config.convolutions,
            config.norm,
            config.padding,
            config.dropout,
            config.clamp,
            config.activation,
        )
        layers.initialise(network, config.initialisation)
        return network

    @staticmethod
    def make_discriminator(config: DeblurGANConfig) -> nn.Module:
        table = config.critic
        network = patchgan.PatchGAN(table.width, table.norm, table.norm_first, channels=config.discriminator_channels)
        layers.initialise(network)
        return network

    @property
    def differentiated_once(self) -> dict[str, nn.Module]:
        under_penalty = "critic" if self._wasserstein else None
        return {name: module for name, module in super().differentiated_once.items() if name != under_penalty}

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """Update the critic `critic.steps` times, then the generator, on a batch each or on one (section 5)."""
        return gan.alternate(self, batches, self._images, self._critic_losses, self._generator_losses)

    def _critic_losses(self, images: gan.Images) -> gan.Losses:
        """Equations 3 and 4, or half of equation 2 as in the public code."""
        config, (sharp_scores_NCHW, restored_scores_NCHW) = self.config.critic, self._both_scores(images)
        if not self._wasserstein:
            return {"critic": 0.5 * adversarial.gan_discriminator(sharp_scores_NCHW, restored_scores_NCHW)}
        score = functools.partial(self._scores, images.blurred_NCHW)
        penalty = gradient_penalty.between(score, images.sharp_NCHW, images.restored_NCHW, config.penalty)
        return {
            "critic": adversarial.wasserstein_critic(sharp_scores_NCHW, restored_scores_NCHW),
            "penalty": config.penalty_weight * penalty,
        }

    def _generator_losses(self, images: gan.Images) -> gan.Losses:
        """Equation 5: the perceptual loss and equation 6, or equation 2 in its non-saturating form."""
        adversarial_loss = adversarial.wasserstein_generator if self._wasserstein else adversarial.gan_generator
        return self._weighted(images, adversarial_loss)

    @property
    def _wasserstein(self) -> bool:
        return bool(self.config.critic.loss == "wgan-gp")

    def _adversarial_words(self) -> str:
        critic = self.config.critic
        penalty = f", {critic.penalty_weight:g} x {critic.penalty} penalty" if self._wasserstein else ""
        return f"{critic.loss}{penalty}, {critic.steps} critic updates on {critic.batches} batches"


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

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        convolutions: int = 2,
        norm: layers.Norm = "instance",
        padding: layers.Padding = "reflect",
        dropout: float = 0.5,
        clamp: bool = False,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.clamp = clamp
        self.head = nn.Sequential(
            layers.convolution(3, width, 7, padding), *layers.norm_of(norm, width), nn.ReLU(inplace=True)
        )
        self.down = nn.Sequential(*_down(width, norm), *_down(2 * width, norm))
        self.blocks = nn.Sequential(
            *(
                layers.ResidualBlock(4 * width, convolutions, norm, padding, dropout, activation=activation)
                for _ in range(blocks)
            )
        )
        self.up = nn.Sequential(*_up(4 * width, norm), *_up(2 * width, norm))
        self.tail = nn.Sequential(layers.convolution(width, 3, 7, padding), nn.Tanh())

    def forward(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        features_NCHW = self.blocks(self.down(self.head(blurred_NCHW)))
        correction_NCHW: torch.Tensor = self.tail(self.up(features_NCHW))
        restored_NCHW = blurred_NCHW + correction_NCHW
        return restored_NCHW.clamp(-1.0, 1.0) if self.clamp else restored_NCHW


def _down(width: int, norm: layers.Norm) -> list[nn.Module]:
    convolution = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
    return [convolution, *layers.norm_of(norm, 2 * width), nn.ReLU(inplace=True)]


def _up(width: int, norm: layers.Norm) -> list[nn.Module]:
    convolution = nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1)
    return [convolution, *layers.norm_of(norm, width // 2), nn.ReLU(inplace=True)]
