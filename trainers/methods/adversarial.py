"""What methods share that train a generator against a network that judges it: whose turn it is, and on which batches.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import abc
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Generic, TypeVar

import pydantic
import torch

from blursynth import errors
from trainers import networks
from trainers.methods import method

AnyModule = TypeVar("AnyModule", bound=torch.nn.Module)
Seen = TypeVar("Seen")
"""What a method makes of a batch before anything is judged: images or pyramids, restored ones among them."""

Positive = Annotated[float, pydantic.Field(gt=0)]
NotNegative = Annotated[float, pydantic.Field(ge=0)]
Share = Annotated[float, pydantic.Field(ge=0, lt=1)]
Count = Annotated[int, pydantic.Field(ge=1, le=2**14)]
"""Of channels or layers; none that can be trained has more, and a damaged recipe may ask for any number."""


class Adversarial(method.Method, Generic[Seen]):
    """A generator and, where there is one, its judge: `step`, and what making them has in common.

    A subclass calls `_begin` when it is made, and says what is seen of a batch and which terms either network
    minimises. Memory layout is channels_last on a GPU, where it is the faster one, and plain on a CPU.
    """

    accumulates: ClassVar[bool] = True
    judge_name: ClassVar[str] = "discriminator"
    """Of the judging network in logs, checkpoints and the recipe."""

    judge_updates: int = 1
    """Updates of the judge for each of the generator's."""
    fresh: bool = False
    """Every update has a batch of its own, rather than one for all of a step."""

    def _begin(self, device: torch.device) -> None:
        self.device = device
        self.memory_format = torch.channels_last if device.type == "cuda" else torch.contiguous_format

    def _take(
        self, generator: torch.nn.Module, judge: torch.nn.Module | None, rate: float, betas: tuple[float, float]
    ) -> None:
        """These are the networks, with an Adam each."""
        self.generator, self.judge = self._place(generator), None if judge is None else self._place(judge)
        self.networks = {"generator": self.generator}
        if self.judge is not None:
            self.networks[self.judge_name] = self.judge
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), rate, betas, fused=True)
            for name, network in self.networks.items()
        }
        self.batches_per_step = self.judge_updates + 1 if self.fresh and judge is not None else 1

    def _sizes(self) -> list[str]:
        """A line for each network, for `describe`."""
        found = {name: networks.size(network) for name, network in self.networks.items()}
        return [
            f"  {name}: {size.convolutions} convolutions, {size.parameters:,} parameters"
            for name, size in found.items()
        ]

    def _place(self, network: AnyModule) -> AnyModule:
        network.to(self.device)
        network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        return network

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        """The judge's updates, then one of the generator; terms as either minimises them, the judge's their means.

        A term whose weight is 0 is neither computed nor listed. InputError where the patches do not fit the networks.
        """
        assert len(batches) == self.batches_per_step, f"{len(batches)} batches, expected {self.batches_per_step}"
        self._require_size(batches[0])
        self.generator.train()
        last = batches[-1].split(self.parts)
        # A whole batch is restored once for both networks; of one cut into parts, only one graph is kept at a time.
        shared = [self._restored(last[0])] if self.parts == 1 and len(batches) == 1 else None
        terms: dict[str, torch.Tensor] = {}
        if self.judge is not None:
            terms |= self._train_judge(self.judge, self._judged(batches, shared))
            self.judge.requires_grad_(False)  # its own gradients are not needed now, only what flows through it
        each = (self._generator_terms(seen) for seen in shared or (self._restored(part) for part in last))
        terms |= method.accumulate(self.optimisers["generator"], each, self.parts)
        if self.judge is not None:
            self.judge.requires_grad_(True)
        return terms

    @abc.abstractmethod
    def _restored(self, batch: method.Batch) -> Seen: ...

    @abc.abstractmethod
    def _judge_terms(self, judge: torch.nn.Module, seen: Seen) -> dict[str, torch.Tensor]:
        """What the judge minimises, by name. No gradient may reach the generator."""

    @abc.abstractmethod
    def _generator_terms(self, seen: Seen) -> dict[str, torch.Tensor]:
        """What the generator minimises, by name."""

    def _judged(self, batches: Sequence[method.Batch], shared: list[Seen] | None) -> Iterator[Iterable[Seen]]:
        """What is seen of every part, for each of the judge's updates."""
        if len(batches) > 1:
            for batch in batches[:-1]:
                yield (self._restored_apart(part) for part in batch.split(self.parts))
        elif shared is None and self.judge_updates == 1:
            yield (self._restored_apart(part) for part in batches[0].split(self.parts))
        else:
            seen = shared or [self._restored_apart(part) for part in batches[0].split(self.parts)]
            yield from itertools.repeat(seen, self.judge_updates)

    @torch.no_grad()
    def _restored_apart(self, batch: method.Batch) -> Seen:
        return self._restored(batch)

    def _train_judge(self, judge: torch.nn.Module, updates: Iterable[Iterable[Seen]]) -> dict[str, torch.Tensor]:
        found: dict[str, list[torch.Tensor]] = {}
        for parts in updates:
            each = (self._judge_terms(judge, seen) for seen in parts)
            for name, term in method.accumulate(self.optimisers[self.judge_name], each, self.parts).items():
                found.setdefault(name, []).append(term)
        return method.mean(found)

    def _require_size(self, batch: method.Batch) -> None:
        height, width = batch.blurred_NCHW.shape[2:]
        divisor = self.sides_are_multiples_of()
        if height % divisor or width % divisor:
            raise errors.InputError(
                f"The generator needs patches whose sides are multiples of {divisor}, found {width}x{height}: give "
                "data.crop such a side."
            )
        smallest = getattr(self.judge, "smallest", 1)
        if min(height, width) < smallest:
            raise errors.InputError(
                f"The discriminator needs patches of {smallest} pixels or more on each side, found {width}x{height}: "
                "give data.crop a larger side, method.discriminator.strides smaller numbers, or "
                "method.adversarial_weight = 0."
            )
