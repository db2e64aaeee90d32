"""What methods share that compare images in pixels and features, beside a network that judges them.

A method of this kind gives its two networks, its `[method]` table and its words; the sum that its generator minimises
is pixel_weight * L1 + content_weight * perceptual + adversarial_weight * adversarial, each left out where its weight
is 0. Images are in [-1, 1] inside, [0, 1] outside.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import abc
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import pydantic
import torch
from torch.nn import functional

from blursynth import recipe_file
from trainers import losses, networks
from trainers import perceptual as perceptual_features
from trainers.methods import adversarial, method

Positive = adversarial.Positive
NotNegative = adversarial.NotNegative
Share = adversarial.Share
Count = adversarial.Count


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


class ImageGAN(adversarial.Adversarial[Triple]):
    """Networks, losses and optimisers of such a method; see `method.Method` for what each member promises.

    The terms of a step are "pixel", "perceptual" and "adversarial" as they enter the generator's sum, and
    "discriminator" as it is minimised. A relativistic average is taken over all processes' images.
    """

    title: ClassVar[str]
    """Who published it, for `describe`."""
    relativistic: ClassVar[bool] = False
    """The adversarial term compares each kind of image with the mean of the other, rather than being -log D."""
    halved: ClassVar[bool] = False
    """The discriminator minimises half of its cross-entropy."""

    @classmethod
    def for_restoring(cls, config: Any) -> Any:
        # `model_copy` does not validate, so that all three may be 0: there is nothing to train.
        return config.model_copy(update={"content_weight": 0.0, "adversarial_weight": 0.0, "pixel_weight": 0.0})

    @staticmethod
    @abc.abstractmethod
    def make_generator(config: Any) -> torch.nn.Module:
        """The restoring network with its initial weights: [-1, 1] in, about [-1, 1] out."""

    @staticmethod
    @abc.abstractmethod
    def make_discriminator(config: Any, channels: int) -> torch.nn.Module:
        """The judging network with its initial weights, for 3 channels, or 6 where it is conditional."""

    def __init__(self, config: Any, device: torch.device) -> None:
        self.config = config
        self._begin(device)
        generator, judge = self.make_generator(config), None
        if config.adversarial_weight > 0:
            judge = self.make_discriminator(config, 6 if config.conditional else 3)
        self._take(generator, judge, config.learning_rate, config.betas)
        self.features: perceptual_features.Features | None = None
        self.provenance = {"variant": config.variant}
        if config.content_weight > 0:
            loaded = perceptual_features.load(config.perceptual)
            self.features = self._place(loaded.features)
            self.provenance["perceptual weights"] = loaded.weights

    @property
    def differentiated_once(self) -> dict[str, torch.nn.Module]:
        return self.networks | ({} if self.features is None else {"perceptual features": self.features})

    @torch.no_grad()
    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        """Restored images, float32 (N, 3, H, W) in [0, 1], for any H and W from 1.

        Dropout is on where the configuration says so, drawing from torch's global generator; each image is
        normalised by its own statistics. Sizes that the network cannot take are continued by reflection and cut back.
        """
        height, width = blurred_NCHW.shape[2:]
        divisor = self.sides_are_multiples_of()
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
        lines = [f"{self.title}, variant {config.variant}", *self._sizes()]
        if config.pixel_weight > 0:
            lines.append(f"  {config.pixel_weight:g} x pixel: mean absolute difference in [-1, 1]")
        if config.content_weight > 0:
            words, weights = config.perceptual.describe(), self.provenance["perceptual weights"]
            lines.append(f"  {config.content_weight:g} x perceptual: {words}, weights {weights}")
        if config.adversarial_weight > 0:
            seen = "with the blurred image" if config.conditional else "by themselves"
            lines.append(f"  {config.adversarial_weight:g} x adversarial: {self._kind()}, images judged {seen}")
        return "\n".join(lines)

    def _kind(self) -> str:
        """Of the adversarial term, in words."""
        return "relativistic average" if self.relativistic else "cross-entropy, non-saturating"

    def _judge_terms(self, judge: torch.nn.Module, seen: Triple) -> dict[str, torch.Tensor]:
        score = functools.partial(self._score, judge, seen.blurred_NCHW)
        scores = score(seen.sharp_NCHW), score(seen.restored_NCHW.detach())
        if self.relativistic:
            return {self.judge_name: losses.relativistic_average(*map(self._compared, scores))}
        # `gan_critic` is half of the published sum.
        return {self.judge_name: losses.gan_critic(*scores) * (1.0 if self.halved else 2.0)}

    def _generator_terms(self, seen: Triple) -> dict[str, torch.Tensor]:
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
        if self.judge is not None:
            terms["adversarial"] = config.adversarial_weight * self._adversarial(self.judge, seen)
        return terms

    def _adversarial(self, judge: torch.nn.Module, seen: Triple) -> torch.Tensor:
        """The generator's part of the game, before its weight."""
        score = functools.partial(self._score, judge, seen.blurred_NCHW)
        restored_scores_NCHW = score(seen.restored_NCHW)
        if not self.relativistic:
            return losses.gan_generator(restored_scores_NCHW)
        with torch.no_grad():
            sharp_scores_NCHW = score(seen.sharp_NCHW)
        return losses.relativistic_average(self._compared(restored_scores_NCHW), self._compared(sharp_scores_NCHW))

    def _compared(self, scores_NCHW: torch.Tensor) -> torch.Tensor:
        """What a relativistic average compares of the discriminator's output, any shape that begins with N."""
        return scores_NCHW

    def _restored(self, batch: method.Batch) -> Triple:
        blurred_NCHW, sharp_NCHW = self._inside(batch.blurred_NCHW), self._inside(batch.sharp_NCHW)
        return Triple(blurred_NCHW, self.generator(blurred_NCHW), sharp_NCHW)

    def _score(self, judge: torch.nn.Module, blurred_NCHW: torch.Tensor, images_NCHW: torch.Tensor) -> torch.Tensor:
        judged_NCHW = torch.cat([blurred_NCHW, images_NCHW], dim=1) if self.config.conditional else images_NCHW
        scores_NCHW: torch.Tensor = judge(judged_NCHW)
        return scores_NCHW

    def _inside(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """[0, 1] to [-1, 1], in the layout of the networks."""
        return (images_NCHW * 2.0 - 1.0).contiguous(memory_format=self.memory_format)
