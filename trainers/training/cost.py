"""Count a training step's memory and arithmetic without running it, and what fits a device.

A step is run on tensors that have a shape and no content: torch says what every operation would return, and the
storages that are alive at once are added. What a GPU library allocates for itself is not counted.
"""

import dataclasses
from typing import Any

import torch
from torch._subclasses import fake_tensor

from blursynth import errors
from trainers import device_memory, methods, recipe
from trainers.methods import method
from trainers.training import engine

USABLE = 0.8
"""Share of a device's memory that a step's tensors may take: the rest is for libraries, and lost between tensors."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """The bytes that stay (weights, optimisers), the peak of bytes alive, and the multiply-adds of one whole step."""

    kept: int
    peak: int
    multiply_adds: int


def of_step(config: recipe.Recipe, patch: tuple[int, int], batch: int) -> Cost:
    """Count one step of one process on `batch` patches of (height, width)."""
    trained, mode = _without_content(config)
    count = device_memory.AllocationCount()
    with mode, count:
        # What lies in memory from the start.
        for tensor in _tensors(trained):
            count.see(tensor)
        batches = [
            method.Batch(torch.empty(batch, 3, *patch), torch.empty(batch, 3, *patch))
            for _ in range(trained.batches_per_step)
        ]
        trained.step(batches)
        for optimiser in trained.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        del batches
    return Cost(count.alive, count.peak, count.multiply_adds)


def of_restoring(config: recipe.Recipe, size: tuple[int, int]) -> Cost:
    """Count the restoring of one image of (height, width)."""
    trained, mode = _without_content(config, accumulation_steps=1)
    count = device_memory.AllocationCount()
    with mode, count:
        for tensor in trained.networks["generator"].parameters():
            count.see(tensor)
        trained.restore(torch.empty(1, 3, *size))
    return Cost(count.alive, count.peak, count.multiply_adds)


def fitting(config: recipe.Recipe, patch: tuple[int, int], room: int) -> int:
    """Return the largest batch whose step fits `room` bytes without accumulation, 0 for none."""
    whole = config.model_copy(update={"engine": config.engine.model_copy(update={"accumulation_steps": 1})})
    one, two = (of_step(whole, patch, batch).peak for batch in (1, 2))
    if one > room * USABLE:
        return 0
    return 1 + int((room * USABLE - one) / max(1, two - one))


def explanation(config: recipe.Recipe, patch: tuple[int, int], device: torch.device) -> errors.InputError:
    """Return the error that says which batch would fit the device."""
    available = device_memory.room(device)
    fits = fitting(config, patch, available)
    batch, parts = config.data.batch, config.engine.accumulation_steps
    cut = f" in {parts} parts" if parts > 1 else ""
    problem = (
        f"The device's memory ({available / 2**30:.3g} GiB) is not enough for data.batch = {batch}{cut}, patches of "
        f"{patch[1]}x{patch[0]}, {config.engine.precision}."
    )
    if not fits:
        return errors.InputError(f"{problem} By estimate not even one such patch fits: give a smaller data.crop.")
    if fits >= batch // parts:
        return errors.InputError(
            f"{problem} By estimate it fits an empty device, so something else uses it: free it, or try a smaller "
            "batch."
        )
    advice = f"By estimate a batch of {fits} fits: set data.batch to it"
    divided = next(number for number in range(1, batch + 1) if batch % number == 0 and batch // number <= fits)
    if methods.find(config.method_name).accumulates:
        advice += f", or keep the batch with engine.accumulation_steps = {divided}"
    return errors.InputError(f"{problem} {advice}.")


def _without_content(config: recipe.Recipe, **changes: Any) -> tuple[method.Method, fake_tensor.FakeTensorMode]:
    """Make the recipe's method, with its engine but for `changes`, of tensors without content."""
    kind = methods.find(config.method_name)
    cpu = torch.device("cpu")
    with torch.random.fork_rng(devices=[]):
        trained = kind(kind.for_measuring(config.method), cpu)
    changes = {"compile": False, "channels_last": None} | changes
    engine.prepare(config.engine.model_copy(update=changes), trained, cpu)
    mode = fake_tensor.FakeTensorMode()
    new: dict[torch.Tensor, torch.nn.Parameter] = {}
    for module in (part for whole in trained.modules for part in whole.modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter not in new:
                empty = mode.from_tensor(parameter.detach())
                new[parameter] = torch.nn.Parameter(empty, requires_grad=parameter.requires_grad)
            module._parameters[name] = new[parameter]
        for name, buffer in list(module.named_buffers(recurse=False)):
            module._buffers[name] = mode.from_tensor(buffer)
    for optimiser in trained.optimisers.values():
        for group in optimiser.param_groups:
            group["params"] = [new[parameter] for parameter in group["params"]]
    return trained, mode


def _tensors(trained: method.Method) -> list[torch.Tensor]:
    return [tensor for module in trained.modules for tensor in (*module.parameters(), *module.buffers())]
