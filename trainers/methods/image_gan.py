"""What methods share that train a generator and a discriminator on one batch: terms, updates, restoring.

A method of this kind gives its two networks, its `[method]` table and its words; the sum that its generator minimises
is pixel_weight * L1 + content_weight * perceptual + adversarial_weight * adversarial, each left out where its weight
is 0. Images are in [-1, 1] inside, [0, 1] outside.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

import pydantic
import torch
from torch.nn import functional

from blursynth import errors, recipe_file
from trainers import losses, networks
from trainers import perceptual as perceptual_features
from trainers.methods import method

AnyModule = TypeVar("AnyModule", bound=torch.nn.Module)
Positive = Annotated[float, pydantic.Field(gt=0)]
NotNegative = Annotated[float, pydantic.Field(ge=0)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
Count = Annotated[int, pydantic.Field(ge=1)]


class Config(recipe_file.Model):
    """What the `[method]` tables share; each method gives its own values and says where they are from."""

    name: str
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    """Entries of tables below `[method]` that this method sets otherwise than the table's own model."""
    dropout: Share = 0.5
    test_time_dropout: bool = False
    """Dropout stays on when restoring."""
    learning_rate: Positive
    """Of both networks."""
    betas: tuple[Share, Share]
    """Of Adam."""
    pixel_weight: NotNegative
    """Of the mean absolute difference in [-1, 1]."""
    content_weight: NotNegative
    """Of the perceptual loss."""
    adversarial_weight: NotNegative = 1.0
    """0 leaves the discriminator out altogether."""
    conditional: bool
    """The discriminator sees the blurred image beside the one that it judges."""
    perceptual: perceptual_features.Config = perceptual_features.Config()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        return method.overlay(cls.DEFAULTS, values) if isinstance(values, Mapping) else values

    @pydantic.model_validator(mode="after")
    def _agree(self) -> "Config":
        if self.pixel_weight == self.content_weight == self.adversarial_weight == 0:
            raise ValueError(
                "pixel_weight, content_weight and adversarial_weight are all 0, so nothing is left to train on"
            )
        return self


@dataclasses.dataclass(frozen=True)
class Triple:
    """What was given, what came out and what was wanted, in [-1, 1]."""

    blurred_NCHW: torch.Tensor
    restored_NCHW: torch.Tensor
    sharp_NCHW: torch.Tensor

    def detached(self) -> "Triple":
        return dataclasses.replace(self, restored_NCHW=self.restored_NCHW.detach())


class ImageGAN(method.Method):
    """Networks, losses and optimisers of such a method; see `method.Method` for what each member promises.

    Memory layout is channels_last on a GPU, where it is the faster one, and plain on a CPU. A relativistic average
    is taken over all processes' images.
    """

    accumulates: ClassVar[bool] = True
    title: ClassVar[str]
    """Who published it, for `describe`."""
    relativistic: ClassVar[bool] = False
    """The adversarial term compares each kind of image with the mean of the other, rather than being -log D."""

    @classmethod
    def for_restoring(cls, config: Any) -> Any:
        return config.model_copy(update={"content_weight": 0.0, "adversarial_weight": 0.0, "pixel_weight": 1.0})

    @staticmethod
    @abc.abstractmethod
    def make_generator(config: Any) -> torch.nn.Module:
        """The restoring network with its initial weights: [-1, 1] in, about [-1, 1] out."""

    @staticmethod
    @abc.abstractmethod
    def make_discriminator(config: Any, channels: int) -> torch.nn.Module:
        """The judging network with its initial weights, for 3 channels, or 6 where it is conditional."""

    @staticmethod
    def generator_divisor(config: Any) -> int:  # noqa: ARG004
        """What the sides of the generator's images must be multiples of."""
        return 1

    def sides_are_multiples_of(self) -> int:
        return self.generator_divisor(self.config)

    def __init__(self, config: Any, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.memory_format = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.generator = self._place(self.make_generator(config))
        self.networks = {"generator": self.generator}
        self.discriminator: torch.nn.Module | None = None
        if config.adversarial_weight > 0:
            self.discriminator = self._place(self.make_discriminator(config, 6 if config.conditional else 3))
            self.networks["discriminator"] = self.discriminator
        self.features: perceptual_features.Features | None = None
        self.provenance = {"variant": config.variant}
        if config.content_weight > 0:
            loaded = perceptual_features.load(config.perceptual)
            self.features = self._place(loaded.features)
            self.provenance["perceptual weights"] = loaded.weights
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), config.learning_rate, config.betas, fused=True)
            for name, network in self.networks.items()
        }
        self.batches_per_step = 1

    @property
    def differentiated_once(self) -> dict[str, torch.nn.Module]:
        modules: dict[str, torch.nn.Module] = dict(self.networks)
        if self.features is not None:
            modules["perceptual"] = self.features
        return modules

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """One update of the discriminator and one of the generator on the same batch.

        Terms: "pixel", "perceptual" and "adversarial" as they enter the generator's sum, "discriminator" as it is
        minimised. A term whose weight is 0 is neither computed nor listed. InputError where the patches do not fit.
        """
        assert len(batches) == self.batches_per_step, f"{len(batches)} batches, expected {self.batches_per_step}"
        self._require_size(batches[0])
        self.generator.train()
        parts = batches[0].split(self.parts)
        # A whole batch is restored once for both networks; of one cut into parts, only one graph is kept at a time.
        shared = [self._restored(parts[0])] if self.parts == 1 else None
        terms: dict[str, torch.Tensor] = {}
        if self.discriminator is not None:
            discriminator = self.discriminator
            judged = (
                self._discriminator_terms(discriminator, triple.detached())
                for triple in shared or (self._restored_apart(part) for part in parts)
            )
            terms |= method.accumulate(self.optimisers["discriminator"], judged, self.parts)
            discriminator.requires_grad_(False)  # its own gradients are not needed now, only what flows through it
        each = (self._generator_terms(triple) for triple in shared or (self._restored(part) for part in parts))
        terms |= method.accumulate(self.optimisers["generator"], each, self.parts)
        if self.discriminator is not None:
            self.discriminator.requires_grad_(True)
        return terms

    @torch.no_grad()
    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        """Restored images, float32 (N, 3, H, W) in [0, 1], for any H and W from 1.

        Dropout is on where the configuration says so, drawing from torch's global generator; each image is
        normalised by its own statistics. Sizes that the network cannot take are continued by reflection and cut back.
        """
        height, width = blurred_NCHW.shape[2:]
        divisor = self.generator_divisor(self.config)
        padded_NCHW = networks.pad_to_multiple(blurred_NCHW, divisor, max(divisor, self.smallest))
        was_training = self.generator.training
        self.generator.train(self.config.test_time_dropout)
        try:
            restored_NCHW = self.generator(self._inside(padded_NCHW))
        finally:
            self.generator.train(was_training)
        encoded_NCHW: torch.Tensor = restored_NCHW[:, :, :height, :width] * 0.5 + 0.5
        return encoded_NCHW.clamp(0.0, 1.0)

    def describe(self) -> str:
        config = self.config
        lines = [f"{self.title}, variant {config.variant}"]
        for name, network in self.networks.items():
            size = networks.size(network)
            lines.append(f"  {name}: {size.convolutions} convolutions, {size.parameters:,} parameters")
        if config.pixel_weight > 0:
            lines.append(f"  {config.pixel_weight:g} x pixel: mean absolute difference in [-1, 1]")
        if config.content_weight > 0:
            words, weights = config.perceptual.describe(), self.provenance["perceptual weights"]
            lines.append(f"  {config.content_weight:g} x perceptual: {words}, weights {weights}")
        if config.adversarial_weight > 0:
            seen = "with the blurred image" if config.conditional else "by themselves"
            kind = "relativistic average" if self.relativistic else "cross-entropy, non-saturating"
            lines.append(f"  {config.adversarial_weight:g} x adversarial: {kind}, images judged {seen}")
        return "\n".join(lines)

    def _discriminator_terms(self, discriminator: torch.nn.Module, seen: "Triple") -> dict[str, torch.Tensor]:
        sharp_scores = self._scores(discriminator, seen.blurred_NCHW, seen.sharp_NCHW)
        restored_scores = self._scores(discriminator, seen.blurred_NCHW, seen.restored_NCHW)
        if self.relativistic:
            return {"discriminator": losses.relativistic_average(sharp_scores, restored_scores)}
        return {"discriminator": 2.0 * losses.gan_critic(sharp_scores, restored_scores)}  # half of the published sum

    def _generator_terms(self, seen: "Triple") -> dict[str, torch.Tensor]:
        config = self.config
        terms: dict[str, torch.Tensor] = {}
        if config.pixel_weight > 0:
            terms["pixel"] = config.pixel_weight * functional.l1_loss(seen.restored_NCHW, seen.sharp_NCHW)
        if self.features is not None:
            with torch.no_grad():
                wanted_NCHW = self.features(seen.sharp_NCHW)
            found_NCHW = self.features(seen.restored_NCHW)
            distance = perceptual_features.distance(found_NCHW, wanted_NCHW, config.perceptual.reduction)
            terms["perceptual"] = config.content_weight * distance
        if self.discriminator is not None:
            scores_NCHW = self._scores(self.discriminator, seen.blurred_NCHW, seen.restored_NCHW)
            if self.relativistic:
                with torch.no_grad():
                    sharp_scores_NCHW = self._scores(self.discriminator, seen.blurred_NCHW, seen.sharp_NCHW)
                loss = losses.relativistic_average(scores_NCHW, sharp_scores_NCHW)
            else:
                loss = losses.gan_generator(scores_NCHW)
            terms["adversarial"] = config.adversarial_weight * loss
        return terms

    def _restored(self, batch: method.Batch) -> "Triple":
        blurred_NCHW, sharp_NCHW = self._inside(batch.blurred_NCHW), self._inside(batch.sharp_NCHW)
        return Triple(blurred_NCHW, self.generator(blurred_NCHW), sharp_NCHW)

    @torch.no_grad()
    def _restored_apart(self, batch: method.Batch) -> "Triple":
        return self._restored(batch)

    def _scores(
        self, discriminator: torch.nn.Module, blurred_NCHW: torch.Tensor, images_NCHW: torch.Tensor
    ) -> torch.Tensor:
        judged_NCHW = torch.cat([blurred_NCHW, images_NCHW], dim=1) if self.config.conditional else images_NCHW
        scores_NCHW: torch.Tensor = discriminator(judged_NCHW)
        return scores_NCHW

    def _require_size(self, batch: method.Batch) -> None:
        height, width = batch.blurred_NCHW.shape[2:]
        divisor = self.generator_divisor(self.config)
        if height % divisor or width % divisor:
            raise errors.InputError(
                f"The generator needs patches whose sides are multiples of {divisor}, found {width}x{height}: give "
                "data.crop such a side."
            )
        smallest = getattr(self.discriminator, "smallest", 1)
        if min(height, width) < smallest:
            raise errors.InputError(
                f"The discriminator needs patches of {smallest} pixels or more on each side, found {width}x{height}: "
                "give data.crop a larger side, or method.discriminator.strides fewer twos."
            )

    def _inside(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """[0, 1] to [-1, 1], in the layout of the networks."""
        return (images_NCHW * 2.0 - 1.0).contiguous(memory_format=self.memory_format)

    def _place(self, network: AnyModule) -> AnyModule:
        network.to(self.device)
        network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        return network
