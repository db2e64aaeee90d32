"""What the training loop knows of a method: one paper's networks, losses and optimisers behind five names.

Legend of tensor names: N images, C = 3 channels (R, G, B), H rows, W columns.
"""

import abc
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch

from blursynth import recipe_file


@dataclasses.dataclass(frozen=True)
class Batch:
    """Pairs of images: float32 (N, 3, H, W), RGB, encoded light in [0, 1], any memory format, on the device."""

    blurred_NCHW: torch.Tensor
    sharp_NCHW: torch.Tensor

    def split(self, parts: int) -> "list[Batch]":
        """As many batches of equal size, in order."""
        if parts == 1:
            return [self]
        return [Batch(*pair) for pair in zip(self.blurred_NCHW.chunk(parts), self.sharp_NCHW.chunk(parts), strict=True)]


class Method(abc.ABC):
    """One paper's way of training a restoring network.

    A subclass is made as `Class(config, device)` from an instance of its own `Config` (the recipe's `[method]`
    section). Everything random in it comes from torch's global generator: initial weights when it is made, dropout
    and the like in `step`. Whoever seeds that generator decides the numbers; the method keeps no random state.

    Attributes that an instance sets:
        networks: what training changes, by name; the restoring network is "generator".
        optimisers: by name, each with its own initial rate. The loop scales every rate by one schedule factor.
        batches_per_step: how many fresh batches one `step` takes.
        provenance: what belongs beside every logged number and into every checkpoint, as name -> words, for example
            which perceptual weights were used.

    Attributes that the engine may set after the instance is made:
        parts: into how many equal parts each batch is cut, whose gradients are added up before an update.
        memory_format: of the images that the networks are given, and of the networks.
    """

    Config: ClassVar[type[recipe_file.Model]]
    divisor: ClassVar[int] = 1
    """Training patches must have sides that are multiples of this (`restore` takes any size)."""
    smallest: ClassVar[int] = 1
    """Training patches must have sides of at least this."""
    accumulates: ClassVar[bool] = False
    """Whether `step` heeds `parts`."""

    tileable: ClassVar[bool] = True
    """Whether a pixel of the restored image depends on what lies near it alone, norms and pools over the whole image
    apart, so that an image can be restored in parts (`tiles`)."""

    parts: int = 1
    memory_format: torch.memory_format = torch.contiguous_format
    networks: dict[str, torch.nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    batches_per_step: int
    provenance: dict[str, str]

    @classmethod
    def for_restoring(cls, config: Any) -> Any:
        """The configuration without what only training needs (a critic, perceptual weights): `restore` is the same."""
        return config

    @classmethod
    def for_measuring(cls, config: Any) -> Any:
        """The configuration with the same work and memory that needs no file: perceptual weights are drawn."""
        if "perceptual" not in type(config).model_fields:
            return config
        return config.model_copy(update={"perceptual": config.perceptual.model_copy(update={"weights": "random"})})

    @property
    def differentiated_once(self) -> dict[str, torch.nn.Module]:
        """Modules whose gradient is never differentiated again: these may be compiled and run in bfloat16.

        A method whose critic is under a gradient penalty leaves that one out: the second derivative needs float32, and
        a compiled module has none.
        """
        return dict(self.networks)

    @property
    def modules(self) -> list[torch.nn.Module]:
        """Every module that the instance holds, networks and others, each once."""
        held = [value for value in vars(self).values() if isinstance(value, torch.nn.Module)]
        return list(dict.fromkeys([*self.networks.values(), *held]))

    @abc.abstractmethod
    def __init__(self, config: Any, device: torch.device) -> None: ...

    @abc.abstractmethod
    def step(self, batches: Sequence[Batch]) -> dict[str, torch.Tensor]:
        """One full update of every network on exactly `batches_per_step` fresh batches.

        Returns float32 scalars by name, detached, still on the device (no synchronisation with the host): each term
        as it entered the sum that was minimised, that is, weighted.
        """

    @abc.abstractmethod
    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        """Restored images: float32 (N, 3, H, W) in [0, 1], encoded light, of the size given, whatever that is.

        Behaves as the paper's test time does, with no gradient kept; the networks' training modes are left as found.
        """

    def sides_are_multiples_of(self) -> int:
        """What the sides of an image must be multiples of for `restore` to take it without continuing it."""
        return type(self).divisor

    @abc.abstractmethod
    def describe(self) -> str:
        """Lines for a person: variant, networks with their layers and parameters, losses with their weights."""


def overlay(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` laid over `defaults`, table by table: how a variant fills in what a recipe does not say."""
    merged = dict(defaults)
    for key, value in values.items():
        default = merged.get(key)
        nested = isinstance(default, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(default, value) if nested else value  # type: ignore[arg-type]
    return merged


def update(optimiser: torch.optim.Optimizer, terms: Mapping[str, torch.Tensor]) -> None:
    """One step down the sum of the terms."""
    accumulate(optimiser, [terms], 1)


def accumulate(
    optimiser: torch.optim.Optimizer, parts: Iterable[Mapping[str, torch.Tensor]], count: int
) -> dict[str, torch.Tensor]:
    """One step down the mean over `count` parts of the sum of their terms; gives the terms' means, detached.

    `parts` is walked once, and each part's graph is let go before the next is asked for: a generator that computes
    one part after another needs the memory of one.
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
    """The mean of each term's values."""
    return {name: values[0] if len(values) == 1 else torch.stack(list(values)).mean() for name, values in seen.items()}
