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

from blursynth import recipe_file
from trainers import losses, multiscale, networks
from trainers.methods import adversarial, method

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


class DiscriminatorConfig(recipe_file.Model):
    """The `[method.discriminator]` table: table 1 of the paper."""

    width: adversarial.Count = 32
    """Channels of the first convolution."""
    strides: Annotated[tuple[adversarial.Count, ...], pydantic.Field(min_length=2)] = (2, 2, 4, 4, 4)
    """Table 1's, whose product, 256, is the side of the training patches."""
    front: bool = False
    """(release) Another convolution of stride 1 in front, which table 1 does not have."""


class DeepDeblurConfig(recipe_file.Model):
    """The `[method]` table of a DeepDeblur recipe. What the variant decides is filled in when the recipe is read."""

    name: Literal["deepdeblur"] = "deepdeblur"
    variant: Literal["paper", "release"] = "paper"
    scales: Annotated[int, pydantic.Field(ge=1, le=3)] = 3
    """K, the levels of the pyramid (section 3.1; table 2 has 1, 2 and 3)."""
    width: adversarial.Count = 64
    """Channels within every level (section 3.1)."""
    blocks: Annotated[int, pydantic.Field(ge=0, le=2**14)] = 19
    """Residual blocks of every level (section 3.1)."""
    upconvolution: multiscale.Upconvolution = "transposed"
    """From a level's result to the next finer one: Long et al.'s, which section 3.1 cites, or (release) a convolution
    to 12 channels whose fours become 2x2 pixels."""
    peak: adversarial.Positive = 1.0
    """Images are in [-peak/2, peak/2] inside: [-0.5, 0.5] in section 3.2, (release) [-127.5, 127.5]."""
    learning_rate: adversarial.Positive = 5e-5
    """Of both networks (section 3.2)."""
    betas: tuple[adversarial.Share, adversarial.Share] = (0.9, 0.999)
    """Of Adam; the paper is silent, these are the public code's and Adam's own."""
    content: losses.Content = "mse"
    """Equation 4, or (release) the mean absolute difference."""
    content_sum: losses.LevelSum = "half-mean"
    """Over the levels: divided by 2K (equation 4), or (release) summed alone."""
    adversarial_weight: adversarial.NotNegative = 1e-4
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


class DeepDeblur(adversarial.Adversarial[Pyramids]):
    """DeepDeblur's networks, losses and optimisers; see `method.Method` for what each member promises.

    The terms of a step are "content" and "adversarial" as they enter the generator's sum (equation 6), and
    "discriminator" as it is minimised: equation 5, negated. Weights start as torch draws them, which is what the public
    code leaves them at; the paper is silent.
    """

    Config: ClassVar[type[recipe_file.Model]] = DeepDeblurConfig
    divisor: ClassVar[int] = 4
    """What three scales need; the public code crops on multiples of it for any number."""
    smallest: ClassVar[int] = 4

    @classmethod
    def for_restoring(cls, config: DeepDeblurConfig) -> DeepDeblurConfig:
        return config.model_copy(update={"adversarial_weight": 0.0})

    def __init__(self, config: DeepDeblurConfig, device: torch.device) -> None:
        self.config = config
        self._begin(device)
        self.pyramid = multiscale.GaussianPyramid(config.scales).to(device)
        generator = multiscale.MultiScaleGenerator(config.scales, config.width, config.blocks, config.upconvolution)
        judge, table = None, config.discriminator
        if config.adversarial_weight > 0:
            judge = multiscale.StridedDiscriminator(table.width, table.strides, table.front)
        self._take(generator, judge, config.learning_rate, config.betas)
        self.provenance = {"variant": config.variant}

    def sides_are_multiples_of(self) -> int:
        return 1 << (self.config.scales - 1)

    @torch.no_grad()
    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        """Restored images, float32 (N, 3, H, W) in [0, 1], for any H and W from 1: the finest level.

        Sizes that cannot be halved often enough are continued by reflection and cut back. Nothing in it is random.
        """
        height, width = blurred_NCHW.shape[2:]
        divisor = self.sides_are_multiples_of()
        padded_NCHW = networks.pad_to_multiple(blurred_NCHW, divisor, divisor)
        finest_NCHW = self.generator(self.pyramid(self._inside(padded_NCHW)))[0]
        encoded_NCHW: torch.Tensor = finest_NCHW[:, :, :height, :width] / self.config.peak + 0.5
        return encoded_NCHW.clamp(0.0, 1.0)

    def describe(self) -> str:
        config = self.config
        generator, *judges = self._sizes()
        lines = [
            f"DeepDeblur (Nah et al. 2017), variant {config.variant}, K = {config.scales}",
            f"{generator}, upconvolutions among them: {config.scales - 1} ({config.upconvolution})",
            *judges,
        ]
        half = f"{config.peak / 2:g}"
        divided = f", divided by {2 * config.scales}" if config.content_sum == "half-mean" else ""
        lines.append(f"  content: {config.content} in [-{half}, {half}] summed over the scales{divided}")
        if config.adversarial_weight > 0:
            lines.append(f"  {config.adversarial_weight:g} x adversarial: {config.adversarial}, on the finest scale")
        return "\n".join(lines)

    def _judge_terms(self, judge: torch.nn.Module, seen: Pyramids) -> dict[str, torch.Tensor]:
        restored_pyramid, sharp_pyramid = seen
        scores = judge(sharp_pyramid[0]), judge(restored_pyramid[0].detach())
        return {"discriminator": 2.0 * losses.gan_critic(*scores)}  # which is half of equation 5

    def _generator_terms(self, seen: Pyramids) -> dict[str, torch.Tensor]:
        config = self.config
        terms = {"content": losses.pyramid_content(*seen, config.content, config.content_sum)}
        if self.judge is not None:
            scores_NCHW = self.judge(seen[0][0])
            printed = config.adversarial == "saturating"
            loss = losses.gan_generator_saturating(scores_NCHW) if printed else losses.gan_generator(scores_NCHW)
            terms["adversarial"] = config.adversarial_weight * loss
        return terms

    def _restored(self, batch: method.Batch) -> Pyramids:
        blurred_NCHW, sharp_NCHW = self._inside(batch.blurred_NCHW), self._inside(batch.sharp_NCHW)
        return self.generator(self.pyramid(blurred_NCHW)), self.pyramid(sharp_NCHW)

    def _inside(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """[0, 1] to [-peak/2, peak/2], in the layout of the networks."""
        return ((images_NCHW - 0.5) * self.config.peak).contiguous(memory_format=self.memory_format)
