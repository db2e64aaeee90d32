"""What the training loop knows of a method: networks, losses and optimisers behind five names.

Legend of tensor names: N images, C = 3 channels (R, G, B), H rows, W columns.
"""

import abc
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch

from blursynth.config import toml


@dataclasses.dataclass(frozen=True)
class Batch:
    """Pairs of images: float32 (N, 3, H, W), RGB, encoded values in [0, 1], any memory format."""

    blurred_NCHW: torch.Tensor
    sharp_NCHW: torch.Tensor

    def split(self, parts: int) -> "list[Batch]":
        """Split into equal batches, in order."""
        if parts == 1:
            return [self]
        return [Batch(*pair) for pair in zip(self.blurred_NCHW.chunk(parts), self.sharp_NCHW.chunk(parts), strict=True)]


class Method(abc.ABC):
    """One paper's way of training a restoring network.

    A subclass is created as `Class(config, device)` from its own `Config` (the recipe's `[method]` table). Everything
    random in it comes from torch's global generator: initial weights on creation, dropout and the like in `step`. The
    caller seeds that generator; the method keeps no random state.

    Attributes
    ----------
    networks
        What is trained, by name; the restoring network is "generator".
    optimisers
        By name, each with its initial learning rate. The loop scales every rate by one schedule factor.
    batches_per_step
        How many fresh batches one `step` takes.
    provenance
        What is recorded with every logged number and checkpoint, as name -> words, such as the perceptual weights.
    accumulation_steps
        Set by the engine: into how many equal parts a batch is split, whose gradients are added before an update.
    memory_format
        Set by the engine: of the networks and of the images that they are applied to.
    """

    Config: ClassVar[type[toml.Model]]
    divisor: ClassVar[int] = 1
    """Training patches must have sides that are multiples of this (`restore` takes any size)."""
    smallest: ClassVar[int] = 1
    """Training patches must have sides of at least this."""
    accumulates: ClassVar[bool] = False
    """Whether `step` honours `accumulation_steps`."""

    tileable: ClassVar[bool] = True
    """Whether a pixel of the restored image depends on what lies near it alone, norms and pools over the whole image
    apart, so that an image can be restored in parts (`tiles`)."""

    accumulation_steps: int = 1
    memory_format: torch.memory_format = torch.contiguous_format
    networks: dict[str, torch.nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    batches_per_step: int
    provenance: dict[str, str]

    @classmethod
    def for_restoring(cls, config: Any) -> Any:
        """Drop what only training needs (a discriminator, perceptual weights) from a configuration."""
        return config

    @classmethod
    def for_measuring(cls, config: Any) -> Any:
        """Return a configuration of the same work and memory that needs no file: random features."""
        if "perceptual" not in type(config).model_fields:
            return config
        return config.model_copy(update={"perceptual": config.perceptual.model_copy(update={"weights": "random"})})

    @property
    def differentiated_once(self) -> dict[str, torch.nn.Module]:
        """Modules whose gradients are not differentiated again: these may be compiled and run in bfloat16.

        A critic under a gradient penalty is not among them: the second derivative needs float32, and a compiled module
        has none.
        """
        return dict(self.networks)

    @property
    def modules(self) -> list[torch.nn.Module]:
        """Every module of the instance, each once."""
        held = [value for value in vars(self).values() if isinstance(value, torch.nn.Module)]
        return list(dict.fromkeys([*self.networks.values(), *held]))

    @abc.abstractmethod
    def __init__(self, config: Any, device: torch.device) -> None: ...

    @abc.abstractmethod
    def step(self, batches: Sequence[Batch]) -> dict[str, torch.Tensor]:
        """Update every network once, on exactly `batches_per_step` fresh batches.

        Returns float32 scalars by name, detached, still on the device: each loss as it entered the minimised sum, that
        is, with its weight.
        """

    @abc.abstractmethod
    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        """Restore images as at the paper's test time: float32 (N, 3, H, W), encoded values, to the same.

        Any size is accepted and kept. No gradient is computed, and the networks' training modes are unchanged.
        """

    def sides_are_multiples_of(self) -> int:
        """Return what an image's sides must be multiples of for `restore` not to pad it."""
        return type(self).divisor

    @abc.abstractmethod
    def describe(self) -> str:
        """Describe variant, networks with their sizes, and losses with their weights, in lines of text."""


def overlay(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `values` over `defaults`, table by table: a variant's settings under a recipe's."""
    merged = dict(defaults)
    for key, value in values.items():
        default = merged.get(key)
        nested = isinstance(default, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(default, value) if nested else value  # type: ignore[arg-type]
    return merged


def update(optimiser: torch.optim.Optimizer, terms: Mapping[str, torch.Tensor]) -> None:
    """Take one step on the sum of the losses."""
    accumulate(optimiser, [terms], 1)


def accumulate(
    optimiser: torch.optim.Optimizer, parts: Iterable[Mapping[str, torch.Tensor]], count: int
) -> dict[str, torch.Tensor]:
    """Take one step on the mean over `count` parts of the sum of their losses; return the losses' means.

    `parts` is consumed lazily, and each part's graph is freed before the next is computed: a generator needs the memory
    of one part. The means are detached.
    """
    optimiser.zero_grad(set_to_none=True)
    seen: dict[str, list[torch.Tensor]] = {}
    for terms in parts:
        torch.autograd.backward(torch.stack(list(terms.values())).sum() / count)
        for name, term in terms.items():
            seen.setdefault(name, []).append(term.detach())
        del terms
    optimiser.step()
    return mean(seen)


def mean(seen: Mapping[str, Sequence[torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the mean of each loss's values."""
    return {name: values[0] if len(values) == 1 else torch.stack(list(values)).mean() for name, values in seen.items()}
