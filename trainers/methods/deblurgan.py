"""DeblurGAN: Kupyn, Budzan, Mykhailych, Mishkin, Matas, CVPR 2018 (arXiv:1711.07064).

A ResNet generator that adds a correction to the blurred image, trained on a perceptual and an adversarial term.
Two readings, chosen by `variant`: "paper" is the text, "release" the authors' public code where it differs
(`RELEASE` lists every difference; any value can be given by itself). Images are in [-1, 1] inside, [0, 1] outside.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import torch

from blursynth import recipe_file
from trainers import losses, networks
from trainers.methods import image_gan, method

RELEASE: Mapping[str, Any] = {
    "convolutions": 1,
    "clamp": True,
    "critic": {"loss": "gan", "norm_first": False, "batches": "shared", "penalty": "per-pixel"},
    "perceptual": {"after_activation": False, "normalise": False, "reduction": "mean"},
}
"""What `variant = "release"` changes. Its critic's steps and penalty follow its loss: see `CriticConfig`."""


class CriticConfig(recipe_file.Model):
    """The `[method.critic]` table: the critic network and how it is trained."""

    loss: Literal["wgan-gp", "gan"] = "wgan-gp"
    """Equations 3, 4 and 6, or the plain GAN (equation 2, non-saturating) that the public training script sets."""
    width: image_gan.Count = 64
    """Channels of the first convolution (of PatchGAN, which the paper names)."""
    norm: networks.Norm = "instance"
    norm_first: bool = True
    """Also after the first convolution: the text normalises all but the last, the code not the first either."""
    steps: image_gan.Count = 5
    """Critic updates for each of the generator's (section 5). Default 1 with "gan"."""
    batches: Literal["fresh", "shared"] = "fresh"
    """A batch for each critic update and one for the generator's, or (release) one batch for all of them."""
    penalty: losses.Penalty = "per-sample"
    """One interpolation and one norm for each image, or (release) one interpolation a batch, a norm for each pixel."""
    penalty_weight: image_gan.NotNegative = 10.0
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


class DeblurGANConfig(image_gan.Config):
    """The `[method]` table of a DeblurGAN recipe. What the variant decides is filled in when the recipe is read."""

    name: Literal["deblurgan"] = "deblurgan"
    variant: Literal["paper", "release"] = "paper"
    width: image_gan.Count = 64
    """Channels of the generator's first convolution (figure 3)."""
    blocks: Annotated[int, pydantic.Field(ge=0, le=2**14)] = 9
    convolutions: Annotated[int, pydantic.Field(ge=1, le=2)] = 2
    """Convolutions in a residual block. The text lists one but puts dropout "after the first", so two; the public
    code as it stands builds one (an operator's precedence), while the weights published with it have two."""
    activation: bool = True
    """A ReLU after the first convolution of each block. The public code as it stands leaves it out of the blocks that
    it builds with one convolution and without dropout."""
    norm: networks.Norm = "instance"
    padding: networks.Padding = "reflect"
    """Of the 7x7 and the blocks' convolutions; the paper is silent, the public code reflects."""
    initialisation: networks.Initialisation = "normal"
    """Of the generator, see `networks.initialise`: "normal" needs the norms, "he" does not."""
    dropout: image_gan.Share = 0.5
    """After the first convolution of each block (section 3.2)."""
    test_time_dropout: bool = True
    """Dropout stays on when restoring (section 5)."""
    clamp: bool = False
    """(release) The generator's sum is clamped to [-1, 1] in training too; what `restore` gives always is."""
    learning_rate: image_gan.Positive = 1e-4
    """Of both networks (section 5)."""
    betas: tuple[image_gan.Share, image_gan.Share] = (0.5, 0.999)
    """Of Adam; the paper is silent, these are the public code's."""
    pixel_weight: image_gan.NotNegative = 0.0
    """The paper has no such term."""
    content_weight: image_gan.NotNegative = 100.0
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


class DeblurGAN(image_gan.ImageGAN):
    """DeblurGAN's networks, losses and optimisers; see `method.Method` for what each member promises.

    The critic's terms are "critic" and "penalty", averaged over its updates; with "wgan-gp", minus "critic" estimates
    the Wasserstein distance.
    """

    Config: ClassVar[type[recipe_file.Model]] = DeblurGANConfig
    title: ClassVar[str] = "DeblurGAN (Kupyn et al. 2018)"
    judge_name: ClassVar[str] = "critic"
    halved: ClassVar[bool] = True
    """With "gan", as in the authors' code."""
    divisor: ClassVar[int] = networks.ResNetGenerator.DIVISOR
    smallest: ClassVar[int] = networks.ResNetGenerator.SMALLEST

    def __init__(self, config: DeblurGANConfig, device: torch.device) -> None:
        self.judge_updates = config.critic.steps
        self.fresh = config.critic.batches == "fresh"
        super().__init__(config, device)

    @staticmethod
    def make_generator(config: DeblurGANConfig) -> torch.nn.Module:
        network = networks.ResNetGenerator(
            config.width,
            config.blocks,
            config.convolutions,
            config.norm,
            config.padding,
            config.dropout,
            config.clamp,
            config.activation,
        )
        networks.initialise(network, config.initialisation)
        return network

    @staticmethod
    def make_discriminator(config: DeblurGANConfig, channels: int) -> torch.nn.Module:
        table = config.critic
        network = networks.PatchCritic(table.width, table.norm, table.norm_first, channels=channels)
        networks.initialise(network)
        return network

    @property
    def differentiated_once(self) -> dict[str, torch.nn.Module]:
        penalised = self.judge_name if self._wasserstein else None
        return {name: module for name, module in super().differentiated_once.items() if name != penalised}

    @property
    def _wasserstein(self) -> bool:
        return bool(self.config.critic.loss == "wgan-gp")

    def _kind(self) -> str:
        critic = self.config.critic
        penalty = f", {critic.penalty_weight:g} x {critic.penalty} penalty" if self._wasserstein else ""
        return f"{critic.loss}{penalty}, {critic.steps} critic updates on {critic.batches} batches"

    def _judge_terms(self, judge: torch.nn.Module, seen: image_gan.Triple) -> dict[str, torch.Tensor]:
        if not self._wasserstein:
            return super()._judge_terms(judge, seen)
        config = self.config.critic
        score = functools.partial(self._score, judge, seen.blurred_NCHW)
        restored_NCHW = seen.restored_NCHW.detach()
        critic = losses.wasserstein_critic(score(seen.sharp_NCHW), score(restored_NCHW))
        penalty = losses.gradient_penalty(score, seen.sharp_NCHW, restored_NCHW, config.penalty)
        return {"critic": critic, "penalty": config.penalty_weight * penalty}

    def _adversarial(self, judge: torch.nn.Module, seen: image_gan.Triple) -> torch.Tensor:
        if not self._wasserstein:
            return super()._adversarial(judge, seen)
        return losses.wasserstein_generator(self._score(judge, seen.blurred_NCHW, seen.restored_NCHW))
