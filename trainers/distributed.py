"""The processes of one run, as `torchrun` starts them: rank, agreement, means of gradients.

A single process defines the result: there every function does nothing, or returns its argument.
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
    """Return how many processes torchrun started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local() -> int:
    """Return this process's number on its machine, which is also the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def start(device: torch.device) -> None:
    """Join the other processes, if torchrun started any."""
    if asked_for() > 1:
        backend = "cuda:nccl,cpu:gloo" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)


def stop() -> None:
    """Leave the other processes; calling it again has no effect."""
    if count() > 1:
        distributed.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End the process with an exit code.

    One of several ends at once: torch's clean-up sometimes aborts, which torchrun would report as a failed run although
    everything is written.
    """
    if asked_for() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def count() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def number() -> int:
    """Return this process's rank, from 0. Rank 0 validates, writes and prints."""
    return int(os.environ.get("RANK", "0"))


def first() -> bool:
    return number() == 0


def first_does(act: Callable[[], None]) -> None:
    """Run `act` in the first process while the others wait.

    Where it raises a BlursynthError, every process raises one.
    """
    failure: errors.BlursynthError | None = None
    if first():
        try:
            act()
        except errors.BlursynthError as error:
            failure = error
    if largest(failure is not None):
        raise failure or StoppedElsewhereError("The first process stopped, and says why.")


def largest(value: int) -> int:
    """Return the largest of the processes' values, without waiting for the device."""
    if count() == 1:
        return value
    result = torch.tensor([value])
    distributed.all_reduce(result, distributed.ReduceOp.MAX)
    return int(result)


def mean(values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the means over the processes of scalars that every process has, in one exchange."""
    if count() == 1 or not values:
        return dict(values)
    together = torch.stack(list(values.values()))
    distributed.all_reduce(together)
    return dict(zip(values, (together / count()).unbind(), strict=True))


def mean_everywhere(value: torch.Tensor) -> torch.Tensor:
    """Return the mean of a tensor over the processes, differentiable.

    With `average_gradients`, gradients are those of a single process with all images.
    """
    if count() == 1:
        return value
    result: torch.Tensor = _MeanEverywhere.apply(value)  # type: ignore[no-untyped-call]
    return result


class _MeanEverywhere(torch.autograd.Function):
    """The mean over processes: each loss depends on every process's value, so gradients are exchanged."""

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
    """Replace every gradient by its mean over the processes, in one exchange."""
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
    """Copy the first process's values to all."""
    if count() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor, 0)


def uniforms(images: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Draw from U[0, 1) for each of this process's images, (images,), from torch's global generator.

    The draws of all processes together are those of one process with all images: rank r of R takes the draws r, r + R,
    and so on, as it does of the images.
    """
    if count() == 1:
        return torch.rand(images, device=device, dtype=dtype)
    return common_uniforms(images * count(), device, dtype)[number() :: count()]


def common_uniforms(draws: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Draw from U[0, 1), (draws,), the same in every process: the first one's."""
    result = (
        torch.rand(draws, device=device, dtype=dtype) if first() else torch.empty(draws, device=device, dtype=dtype)
    )
    same_everywhere([result])
    return result
