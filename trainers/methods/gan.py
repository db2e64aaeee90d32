"""A generator trained against a discriminator: the networks, the order of updates, and what the methods share.

Every method's own file says which networks and losses it has; its `step` calls `alternate`. Images are in [0, 1]
outside and, unless a method says otherwise, in [-1, 1] inside.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import abc
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

import pydantic
import torch
from torch.nn import functional

from blursynth import errors
from blursynth.config import toml
from trainers.losses import perceptual as perceptual_loss
from trainers.methods import method
from trainers.networks import layers

Positive = Annotated[float, pydantic.Field(gt=0)]
NotNegative = Annotated[float, pydantic.Field(ge=0)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
Count = Annotated[int, pydantic.Field(ge=1, le=2**14)]
"""Of channels or layers; no network that can be trained has more, and a damaged recipe may hold any number."""

AnyModule = TypeVar("AnyModule", bound=torch.nn.Module)
Restored = TypeVar("Restored")
"""A batch together with what the generator made of it: `Images`, or pyramids of them."""
Losses = Mapping[str, torch.Tensor]
"""Scalars by name, each with its weight, to be summed and minimised."""


class Config(toml.Model):
    """The settings that methods with image and perceptual losses share; each sets its own defaults."""

    name: str
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    """Defaults of tables below `[method]` where this method differs from the table's own model."""
    dropout: Share = 0.5
    test_time_dropout: bool = False
    """Keep dropout on when restoring."""
    learning_rate: Positive
    """Of both networks."""
    betas: tuple[Share, Share]
    """Of Adam."""
    pixel_weight: NotNegative
    """Of the mean absolute difference in [-1, 1]."""
    content_weight: NotNegative
    """Of the perceptual loss."""
    adversarial_weight: NotNegative = 1.0
    """0 trains without a discriminator."""
    conditional: bool
    """Show the discriminator the blurred image together with each sharp or restored one."""
    perceptual: perceptual_loss.Config = perceptual_loss.Config()

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

    @property
    def discriminator_channels(self) -> int:
        """Channels of the discriminator's input."""
        return 6 if self.conditional else 3


@dataclasses.dataclass(frozen=True)
class Images:
    """Blurred, restored and sharp images: float (N, 3, H, W), in [-1, 1]."""

    blurred_NCHW: torch.Tensor
    restored_NCHW: torch.Tensor
    sharp_NCHW: torch.Tensor


class GAN(method.Method):
    """A generator and, where `adversarial_weight` is above 0, a discriminator, each with an Adam of its own.

    `method.Method` says what each public member promises. Memory layout is channels_last on a GPU, where it is faster.
    """

    accumulates: ClassVar[bool] = True
    title: ClassVar[str]
    """The publication, for `describe`."""
    discriminator_name: ClassVar[str] = "discriminator"
    """The discriminator's name in logs, checkpoints and recipes."""
    discriminator_updates: int = 1
    """Updates of the discriminator for each update of the generator."""
    fresh_batches: bool = False
    """Whether every update has a batch of its own, rather than one for all updates of a step."""

    def __init__(self, config: Any, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.memory_format = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        adversarial = config.adversarial_weight > 0
        self.generator = self.make_generator(config)
        self.discriminator = self.make_discriminator(config) if adversarial else None
        self.networks = {"generator": self._place(self.generator)}
        if self.discriminator is not None:
            self.networks[self.discriminator_name] = self._place(self.discriminator)
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), config.learning_rate, config.betas, fused=True)
            for name, network in self.networks.items()
        }
        self.batches_per_step = self.discriminator_updates + 1 if self.fresh_batches and adversarial else 1
        self.provenance = {"variant": config.variant}
        self.features: perceptual_loss.Features | None = None
        if isinstance(config, Config) and config.content_weight > 0:
            loaded = perceptual_loss.load(config.perceptual)
            self.features = self._place(loaded.features)
            self.provenance["perceptual weights"] = loaded.weights

    @staticmethod
    @abc.abstractmethod
    def make_generator(config: Any) -> torch.nn.Module:
        """Make the restoring network with its initial weights."""

    @staticmethod
    @abc.abstractmethod
    def make_discriminator(config: Any) -> torch.nn.Module:
        """Make the discriminator with its initial weights."""

    @classmethod
    def for_restoring(cls, config: Any) -> Any:
        # `model_copy` does not validate, so that all weights may be 0: there is nothing to train.
        weights = {"pixel_weight", "content_weight", "adversarial_weight"} & type(config).model_fields.keys()
        return config.model_copy(update=dict.fromkeys(weights, 0.0))

    @property
    def differentiated_once(self) -> dict[str, torch.nn.Module]:
        return self.networks | ({} if self.features is None else {"perceptual features": self.features})

    @torch.no_grad()
    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        """Restore images of any size from 1x1: float32 (N, 3, H, W) in [0, 1].

        Dropout is on where the configuration says so, drawing from torch's global generator; each image is
        normalised by its own statistics. Sizes that the network cannot take are padded by reflection and cropped back.
        """
        height, width = blurred_NCHW.shape[2:]
        divisor = self.sides_are_multiples_of()
        padded_NCHW = layers.pad_to_multiple(blurred_NCHW, divisor, max(divisor, self.smallest))
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
        lines = [f"{self.title}, variant {config.variant}", *self._sizes()]
        if config.pixel_weight > 0:
            lines.append(f"  {config.pixel_weight:g} x pixel: mean absolute difference in [-1, 1]")
        if config.content_weight > 0:
            words, weights = config.perceptual.describe(), self.provenance["perceptual weights"]
            lines.append(f"  {config.content_weight:g} x perceptual: {words}, weights {weights}")
        if config.adversarial_weight > 0:
            kind = "conditional" if config.conditional else "unconditional"
            lines.append(f"  {config.adversarial_weight:g} x adversarial: {self._adversarial_words()}, {kind}")
        return "\n".join(lines)

    def _adversarial_words(self) -> str:
        return "cross-entropy, non-saturating"

    def _sizes(self) -> list[str]:
        """A line for each network, for `describe`."""
        sizes = {name: layers.size(network) for name, network in self.networks.items()}
        return [
            f"  {name}: {size.convolutions} convolutions, {size.parameters:,} parameters"
            for name, size in sizes.items()
        ]

    def _place(self, network: AnyModule) -> AnyModule:
        network.to(self.device)
        network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        return network

    def _inside(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Map [0, 1] to [-1, 1], in the networks' memory layout."""
        return (images_NCHW * 2.0 - 1.0).contiguous(memory_format=self.memory_format)

    def _images(self, batch: method.Batch) -> Images:
        """Restore a batch, with gradients unless they are turned off."""
        blurred_NCHW, sharp_NCHW = self._inside(batch.blurred_NCHW), self._inside(batch.sharp_NCHW)
        return Images(blurred_NCHW, self.generator(blurred_NCHW), sharp_NCHW)

    def _scores(self, blurred_NCHW: torch.Tensor, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Score sharp or restored images, of which `blurred_NCHW` are the blurred ones: (N, 1, h, w)."""
        assert self.discriminator is not None
        inputs_NCHW = torch.cat([blurred_NCHW, images_NCHW], dim=1) if self.config.conditional else images_NCHW
        scores_NCHW: torch.Tensor = self.discriminator(inputs_NCHW)
        return scores_NCHW

    def _both_scores(self, images: Images) -> tuple[torch.Tensor, torch.Tensor]:
        """Score sharp and restored images, for the discriminator's losses: no gradient reaches the generator."""
        blurred_NCHW, restored_NCHW = images.blurred_NCHW, images.restored_NCHW.detach()
        return self._scores(blurred_NCHW, images.sharp_NCHW), self._scores(blurred_NCHW, restored_NCHW)

    def _weighted(self, images: Images, adversarial: Callable[[torch.Tensor], torch.Tensor]) -> Losses:
        """Compute the generator's losses times their weights; a loss of weight 0 is neither computed nor listed.

        `adversarial` is a function of the scores of the restored images.
        """
        config = self.config
        losses = {}
        if config.pixel_weight > 0:
            losses["pixel"] = config.pixel_weight * functional.l1_loss(images.restored_NCHW, images.sharp_NCHW)
        if self.features is not None:
            distance = perceptual_loss.loss(
                self.features, images.restored_NCHW, images.sharp_NCHW, config.perceptual.reduction
            )
            losses["perceptual"] = config.content_weight * distance
        if config.adversarial_weight > 0:
            scores_NCHW = self._scores(images.blurred_NCHW, images.restored_NCHW)
            losses["adversarial"] = config.adversarial_weight * adversarial(scores_NCHW)
        return losses


def alternate(
    trained: GAN,
    batches: Sequence[method.Batch],
    restored: Callable[[method.Batch], Restored],
    discriminator_losses: Callable[[Restored], Losses],
    generator_losses: Callable[[Restored], Losses],
) -> dict[str, torch.Tensor]:
    """Update the discriminator `trained.discriminator_updates` times, then the generator once.

    Parameters
    ----------
    batches
        One for each update, or one for all of them.
    restored
        Runs the generator on a batch, or on one of its accumulation parts.
    discriminator_losses, generator_losses
        What either network minimises. The discriminator's must not send gradients to the generator.

    Returns
    -------
    The losses as they were minimised, detached; the discriminator's are means over its updates.

    Raises
    ------
    InputError
        The networks cannot take patches of this size.
    """
    assert len(batches) == trained.batches_per_step, f"{len(batches)} batches, expected {trained.batches_per_step}"
    _require_size(trained, batches[0])
    trained.generator.train()
    steps = trained.accumulation_steps
    # One forward pass serves both networks where the batch is whole; of a batch in parts, one graph is kept at a time.
    shared = [restored(batches[0])] if steps == 1 and len(batches) == 1 else None
    losses: dict[str, torch.Tensor] = {}
    if trained.discriminator is not None:
        optimiser = trained.optimisers[trained.discriminator_name]
        updates = [
            method.accumulate(optimiser, map(discriminator_losses, images), steps)
            for images in _discriminator_images(trained, batches, shared, torch.no_grad()(restored))
        ]
        losses |= method.mean({name: [update[name] for update in updates] for name in updates[0]})
        trained.discriminator.requires_grad_(False)  # gradients flow through it, but its own are not needed
    images = shared or map(restored, batches[-1].split(steps))
    losses |= method.accumulate(trained.optimisers["generator"], map(generator_losses, images), steps)
    if trained.discriminator is not None:
        trained.discriminator.requires_grad_(True)
    return losses


def _discriminator_images(
    trained: GAN,
    batches: Sequence[method.Batch],
    shared: list[Restored] | None,
    restored: Callable[[method.Batch], Restored],
) -> Iterator[Iterable[Restored]]:
    """Yield the restored parts of a batch for each of the discriminator's updates."""
    if len(batches) > 1:
        for batch in batches[:-1]:
            yield map(restored, batch.split(trained.accumulation_steps))
        return
    images: Iterable[Restored] = shared or map(restored, batches[0].split(trained.accumulation_steps))
    if trained.discriminator_updates > 1:
        images = list(images)
    yield from itertools.repeat(images, trained.discriminator_updates)


def _require_size(trained: GAN, batch: method.Batch) -> None:
    height, width = batch.blurred_NCHW.shape[2:]
    divisor = trained.sides_are_multiples_of()
    if height % divisor or width % divisor:
        raise errors.InputError(
            f"The generator needs patches whose sides are multiples of {divisor}, found {width}x{height}: give "
            "data.crop such a side."
        )
    smallest = getattr(trained.discriminator, "smallest", 1)
    if min(height, width) < smallest:
        raise errors.InputError(
            f"The discriminator needs patches of {smallest} pixels or more on each side, found {width}x{height}: "
            "give data.crop a larger side, method.discriminator.strides smaller numbers, or "
            "method.adversarial_weight = 0."
        )
