"""The processes of one run, as `torchrun` starts them: their number, what they agree on, the means of gradients.

One process alone is the definition: every function here then does nothing, or gives back what it was given.
"""

import datetime
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch import distributed

from blursynth import errors

PATIENCE = datetime.timedelta(hours=6)
"""How long ranks wait for one another: the first one validates and writes while the others wait."""


class StoppedElsewhereError(errors.BlursynthError):
    """Another process has stopped the run, and says why."""


def asked_for() -> int:
    """How many processes torchrun started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local() -> int:
    """The number of this process on its machine, which is also the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def start(device: torch.device) -> None:
    """Join the other processes, if torchrun started any."""
    if asked_for() > 1:
        backend = "cuda:nccl,cpu:gloo" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)


def stop() -> None:
    """Leave the other processes; again is harmless."""
    if count() > 1:
        distributed.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End the process with an exit code.

    One of several ends at once: torch's own tidying up afterwards aborts now and then, and torchrun would take that for
    a failed run, although everything is written.
    """
    if asked_for() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def number() -> int:
    """Which of them this is, from 0. Number 0 validates, writes and prints."""
    return int(os.environ.get("RANK", "0"))


def first() -> bool:
    return number() == 0


def first_does(act: Callable[[], None]) -> None:
    """The first process acts while the others wait. Where that raises a BlursynthError, every process does."""
    failure: errors.BlursynthError | None = None
    if first():
        try:
            act()
        except errors.BlursynthError as error:
            failure = error
    if largest(failure is not None):
        raise failure or StoppedElsewhereError("The first process stopped, and says why.")


def largest(value: int) -> int:
    """The largest of the processes' values; on the host, without waiting for the device."""
    if count() == 1:
        return value
    found = torch.tensor([value])
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)


def mean(values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The means over processes of scalars that every process has, in one exchange."""
    if count() == 1 or not values:
        return dict(values)
    together = torch.stack(list(values.values()))
    distributed.all_reduce(together)
    return dict(zip(values, (together / count()).unbind(), strict=True))


def mean_everywhere(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over the processes, differentiable: with `average_gradients`, as one process has it."""
    if count() == 1:
        return value
    found: torch.Tensor = _MeanEverywhere.apply(value)  # type: ignore[no-untyped-call]
    return found


class _MeanEverywhere(torch.autograd.Function):
    """Each process's loss depends on every process's value, so that gradients are exchanged, too."""

    @staticmethod
    def forward(context: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        total = value.clone()
        distributed.all_reduce(total)
        return total / count()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        total = gradient.clone()
        distributed.all_reduce(total)
        return total / count()


def average_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Every gradient becomes its mean over the processes; all of them in one exchange."""
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= count()
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def same_everywhere(tensors: Iterable[torch.Tensor]) -> None:
    """Every process takes the first one's values."""
    if count() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor, 0)


def uniforms(images: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """A draw in [0, 1) for each of this process's images, (images,), from torch's global generator.

    The draws of all processes together are those of one process with all images: rank r of R has the draws r, r + R,
    and so on, as it has the images.
    """
    if count() == 1:
        return torch.rand(images, device=device, dtype=dtype)
    return common_uniforms(images * count(), device, dtype)[number() :: count()]


def common_uniforms(draws: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Draws in [0, 1) that are the same in every process, (draws,): the first one's."""
    found = torch.rand(draws, device=device, dtype=dtype) if first() else torch.empty(draws, device=device, dtype=dtype)
    same_everywhere([found])
    return found
