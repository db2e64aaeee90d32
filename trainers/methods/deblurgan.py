"""DeblurGAN: Kupyn, Budzan, Mykhailych, Mishkin, Matas, CVPR 2018 (arXiv:1711.07064).

A ResNet generator that adds a correction to the blurred image, trained on a perceptual and an adversarial term.
Two readings, chosen by `variant`: "paper" is the text, "release" the authors' public code where it differs
(`RELEASE` lists every difference; any value can be given by itself). Images are in [-1, 1] inside, [0, 1] outside.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import pydantic
import torch
from torch.nn import functional

from blursynth import recipe_file
from trainers import losses, networks
from trainers import perceptual as perceptual_features
from trainers.methods import method

AnyModule = TypeVar("AnyModule", bound=torch.nn.Module)
Pair = tuple[torch.Tensor, torch.Tensor]
Positive = Annotated[float, pydantic.Field(gt=0)]
NotNegative = Annotated[float, pydantic.Field(ge=0)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
Count = Annotated[int, pydantic.Field(ge=1)]

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
    width: Count = 64
    """Channels of the first convolution (of PatchGAN, which the paper names)."""
    norm: networks.Norm = "instance"
    norm_first: bool = True
    """Also after the first convolution: the text normalises all but the last, the code not the first either."""
    steps: Count = 5
    """Critic updates for each of the generator's (section 5). Default 1 with "gan"."""
    batches: Literal["fresh", "shared"] = "fresh"
    """A batch for each critic update and one for the generator's, or (release) one batch for all of them."""
    penalty: losses.Penalty = "per-sample"
    """One interpolation and one norm for each image, or (release) one interpolation a batch, a norm for each pixel."""
    penalty_weight: NotNegative = 10.0
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


class DeblurGANConfig(recipe_file.Model):
    """The `[method]` table of a DeblurGAN recipe. What the variant decides is filled in when the recipe is read."""

    name: Literal["deblurgan"] = "deblurgan"
    variant: Literal["paper", "release"] = "paper"
    width: Count = 64
    """Channels of the generator's first convolution (figure 3)."""
    blocks: Annotated[int, pydantic.Field(ge=0)] = 9
    convolutions: Annotated[int, pydantic.Field(ge=1, le=2)] = 2
    """Convolutions in a residual block. The text lists one but puts dropout "after the first", so two; the public
    code as it stands builds one (an operator's precedence), while the weights published with it have two."""
    norm: networks.Norm = "instance"
    padding: networks.Padding = "reflect"
    """Of the 7x7 and the blocks' convolutions; the paper is silent, the public code reflects."""
    initialisation: networks.Initialisation = "normal"
    """Of the generator, see `networks.initialise`: "normal" needs the norms, "he" does not."""
    dropout: Share = 0.5
    """After the first convolution of each block (section 3.2)."""
    test_time_dropout: bool = True
    """Dropout stays on when restoring (section 5)."""
    clamp: bool = False
    """(release) The generator's sum is clamped to [-1, 1] in training too; what `restore` gives always is."""
    learning_rate: Positive = 1e-4
    """Of both networks (section 5)."""
    betas: tuple[Share, Share] = (0.5, 0.999)
    """Of Adam; the paper is silent, these are the public code's."""
    content_weight: NotNegative = 100.0
    """Lambda of equation 5."""
    adversarial_weight: NotNegative = 1.0
    """0 leaves the critic out altogether."""
    pixel_weight: NotNegative = 0.0
    """Of a mean absolute difference in [-1, 1], which the paper does not have."""
    critic: CriticConfig = CriticConfig()
    perceptual: perceptual_features.Config = perceptual_features.Config()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _follow_variant(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("variant") == "release":
            return method.overlay(RELEASE, values)
        return values

    @pydantic.model_validator(mode="after")
    def _agree(self) -> "DeblurGANConfig":
        if self.norm == "none" and self.initialisation == "normal":
            raise ValueError(
                'norm "none" needs initialisation "he": with "normal" the generator does not start to learn'
            )
        if self.content_weight == self.pixel_weight == self.adversarial_weight == 0:
            raise ValueError(
                "content_weight, pixel_weight and adversarial_weight are all 0, so nothing is left to train on"
            )
        return self


class DeblurGAN(method.Method):
    """DeblurGAN's networks, losses and optimisers; see `method.Method` for what each member promises.

    Memory layout is channels_last on a GPU, where it is the faster one, and plain on a CPU.
    """

    Config: ClassVar[type[recipe_file.Model]] = DeblurGANConfig
    divisor: ClassVar[int] = networks.ResNetGenerator.DIVISOR
    smallest: ClassVar[int] = networks.ResNetGenerator.SMALLEST
    accumulates: ClassVar[bool] = True

    @classmethod
    def for_restoring(cls, config: DeblurGANConfig) -> DeblurGANConfig:
        return config.model_copy(update={"content_weight": 0.0, "adversarial_weight": 0.0, "pixel_weight": 1.0})

    def __init__(self, config: DeblurGANConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.memory_format = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.generator = self._place(_generator(config))
        self.critic = self._place(_critic(config.critic)) if config.adversarial_weight > 0 else None
        self.features: perceptual_features.Features | None = None
        self.provenance = {"variant": config.variant}
        if config.content_weight > 0:
            loaded = perceptual_features.load(config.perceptual)
            self.features = self._place(loaded.features)
            self.provenance["perceptual weights"] = loaded.weights
        self.networks = {"generator": self.generator}
        if self.critic is not None:
            self.networks["critic"] = self.critic
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), config.learning_rate, config.betas, fused=True)
            for name, network in self.networks.items()
        }
        fresh = self.critic is not None and config.critic.batches == "fresh"
        self.batches_per_step = config.critic.steps + 1 if fresh else 1

    @property
    def differentiated_once(self) -> dict[str, torch.nn.Module]:
        penalised = "critic" if self.config.critic.loss == "wgan-gp" else None
        return {name: module for name, module in super().differentiated_once.items() if name != penalised}

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """The critic's updates, then one of the generator.

        Terms: "perceptual", "pixel" and "adversarial" as they enter the generator's sum; "critic" and "penalty" as
        they enter the critic's, averaged over its updates (with "wgan-gp", minus "critic" estimates the Wasserstein
        distance). A term whose weight is 0 is neither computed nor listed.
        """
        assert len(batches) == self.batches_per_step, f"{len(batches)} batches, expected {self.batches_per_step}"
        self.generator.train()
        last = batches[-1].split(self.parts)
        # Whole batches are restored once for both networks; of one cut into parts, only one graph is kept at a time.
        shared = [self._restored(last[0])] if self.parts == 1 and len(batches) == 1 else None
        terms: dict[str, torch.Tensor] = {}
        if self.critic is not None:
            terms |= self._train_critic(self.critic, self._critic_batches(batches, shared))
        return terms | self._train_generator(shared or (self._restored(part) for part in last))

    @torch.no_grad()
    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        """Restored images, float32 (N, 3, H, W) in [0, 1], for any H and W from 1.

        Dropout is on where the configuration says so, drawing from torch's global generator; each image is
        normalised by its own statistics. Sizes that the network cannot take are continued by reflection and cut back.
        """
        height, width = blurred_NCHW.shape[2:]
        padded_NCHW = networks.pad_to_multiple(blurred_NCHW, self.divisor, self.smallest)
        was_training = self.generator.training
        self.generator.train(self.config.test_time_dropout)
        try:
            restored_NCHW = self.generator(self._encoded_to_inside(padded_NCHW))
        finally:
            self.generator.train(was_training)
        encoded_NCHW: torch.Tensor = restored_NCHW[:, :, :height, :width] * 0.5 + 0.5
        return encoded_NCHW.clamp(0.0, 1.0)

    def describe(self) -> str:
        config = self.config
        lines = [f"DeblurGAN (Kupyn et al. 2018), variant {config.variant}"]
        for name, network in self.networks.items():
            size = networks.size(network)
            lines.append(f"  {name}: {size.convolutions} convolutions, {size.parameters:,} parameters")
        if config.content_weight > 0:
            words, weights = config.perceptual.describe(), self.provenance["perceptual weights"]
            lines.append(f"  {config.content_weight:g} x perceptual: {words}, weights {weights}")
        if config.pixel_weight > 0:
            lines.append(f"  {config.pixel_weight:g} x pixel: mean absolute difference in [-1, 1]")
        if config.adversarial_weight > 0:
            critic = config.critic
            penalty = f", {critic.penalty_weight:g} x {critic.penalty} penalty" if critic.loss == "wgan-gp" else ""
            lines.append(
                f"  {config.adversarial_weight:g} x adversarial: {critic.loss}{penalty}, "
                f"{critic.steps} critic updates on {critic.batches} batches"
            )
        return "\n".join(lines)

    def _critic_batches(self, batches: Sequence[method.Batch], shared: list[Pair] | None) -> Iterator[Iterable[Pair]]:
        """(restored, sharp) without the generator's graph for every part of each of the critic's updates."""
        if len(batches) > 1:
            for batch in batches[:-1]:
                yield (self._fake(part) for part in batch.split(self.parts))
            return
        if shared is None:
            shared = [self._fake(part) for part in batches[0].split(self.parts)]
        pairs = [(restored_NCHW.detach(), sharp_NCHW) for restored_NCHW, sharp_NCHW in shared]
        yield from itertools.repeat(pairs, self.config.critic.steps)

    def _train_critic(self, critic: torch.nn.Module, updates: Iterable[Iterable[Pair]]) -> dict[str, torch.Tensor]:
        """One update for each of `updates`, of the parts it has, no gradient to the generator; the terms' means."""
        seen: dict[str, list[torch.Tensor]] = {}
        for parts in updates:
            each = (self._critic_terms(critic, *pair) for pair in parts)
            for name, term in method.accumulate(self.optimisers["critic"], each, self.parts).items():
                seen.setdefault(name, []).append(term)
        return method.mean(seen)

    def _critic_terms(
        self, critic: torch.nn.Module, restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        config = self.config.critic
        scores = critic(sharp_NCHW), critic(restored_NCHW)
        if config.loss == "gan":
            return {"critic": losses.gan_critic(*scores)}
        penalty = losses.gradient_penalty(critic, sharp_NCHW, restored_NCHW, config.penalty)
        return {"critic": losses.wasserstein_critic(*scores), "penalty": config.penalty_weight * penalty}

    def _train_generator(self, parts: Iterable[Pair]) -> dict[str, torch.Tensor]:
        if self.critic is not None:
            # Its own gradients are not needed here, only what flows through it.
            self.critic.requires_grad_(False)
        each = (self._generator_terms(*pair) for pair in parts)
        terms = method.accumulate(self.optimisers["generator"], each, self.parts)
        if self.critic is not None:
            self.critic.requires_grad_(True)
        return terms

    def _generator_terms(self, restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        config = self.config
        terms: dict[str, torch.Tensor] = {}
        if self.features is not None:
            with torch.no_grad():
                wanted_NCHW = self.features(sharp_NCHW)
            found_NCHW = self.features(restored_NCHW)
            distance = perceptual_features.distance(found_NCHW, wanted_NCHW, config.perceptual.reduction)
            terms["perceptual"] = config.content_weight * distance
        if config.pixel_weight > 0:
            terms["pixel"] = config.pixel_weight * functional.l1_loss(restored_NCHW, sharp_NCHW)
        if self.critic is not None:
            scores_NCHW = self.critic(restored_NCHW)
            plain = config.critic.loss == "gan"
            loss = losses.gan_generator(scores_NCHW) if plain else losses.wasserstein_generator(scores_NCHW)
            terms["adversarial"] = config.adversarial_weight * loss
        return terms

    def _restored(self, batch: method.Batch) -> Pair:
        """(restored, sharp) in [-1, 1]."""
        blurred_NCHW, sharp_NCHW = self._inside(batch)
        return self.generator(blurred_NCHW), sharp_NCHW

    @torch.no_grad()
    def _fake(self, batch: method.Batch) -> Pair:
        """(restored, sharp) in [-1, 1] for the critic alone."""
        return self._restored(batch)

    def _inside(self, batch: method.Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(blurred, sharp) in [-1, 1]."""
        return self._encoded_to_inside(batch.blurred_NCHW), self._encoded_to_inside(batch.sharp_NCHW)

    def _encoded_to_inside(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """[0, 1] to [-1, 1], in the layout of the networks."""
        return (images_NCHW * 2.0 - 1.0).contiguous(memory_format=self.memory_format)

    def _place(self, network: AnyModule) -> AnyModule:
        network.to(self.device)
        network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        return network


def _generator(config: DeblurGANConfig) -> networks.ResNetGenerator:
    network = networks.ResNetGenerator(
        config.width, config.blocks, config.convolutions, config.norm, config.padding, config.dropout, config.clamp
    )
    networks.initialise(network, config.initialisation)
    return network


def _critic(config: CriticConfig) -> networks.PatchCritic:
    network = networks.PatchCritic(config.width, config.norm, config.norm_first)
    networks.initialise(network)
    return network
