"""What a training step costs in memory and arithmetic, counted without doing any of it, and what fits a device.

A step is run on tensors that have a shape and no content: torch says what every operation would give, and the storages
that are alive at once are added up. What a GPU library keeps for itself is not in it.
"""

import dataclasses
import os
import weakref
from typing import Any

import torch
from torch._subclasses import fake_tensor
from torch.utils import _python_dispatch, _pytree, flop_counter

from blursynth import errors
from trainers import engine, methods, recipe
from trainers.methods import method

USABLE = 0.8
"""Share of a device's memory that a step's tensors may take: the rest is for libraries, and lost between tensors."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one step, whole: bytes that stay (weights, optimisers), the most alive at once, and multiply-adds."""

    kept: int
    peak: int
    multiply_adds: int


def of_step(wanted: recipe.Recipe, patch: tuple[int, int], batch: int) -> Cost:
    """The cost of one step on one process with `batch` patches of (height, width), in the recipe's parts."""
    trained, mode = _without_content(wanted)
    count = _Count()
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


def of_restoring(wanted: recipe.Recipe, size: tuple[int, int]) -> Cost:
    """The cost of restoring one image of (height, width)."""
    trained, mode = _without_content(wanted, accumulate=1)
    count = _Count()
    with mode, count:
        for tensor in trained.networks["generator"].parameters():
            count.see(tensor)
        trained.restore(torch.empty(1, 3, *size))
    return Cost(count.alive, count.peak, count.multiply_adds)


def fitting(wanted: recipe.Recipe, patch: tuple[int, int], room: int) -> int:
    """The largest batch, in one part, whose step fits `room` bytes; 0 where not even one patch does."""
    whole = wanted.model_copy(update={"engine": wanted.engine.model_copy(update={"accumulate": 1})})
    one, two = (of_step(whole, patch, batch).peak for batch in (1, 2))
    if one > room * USABLE:
        return 0
    return 1 + int((room * USABLE - one) / max(1, two - one))


def room(device: torch.device) -> int:
    """Bytes of memory that a device has in all."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def ran_out(error: BaseException) -> bool:
    """Whether this is what torch raises where memory is not enough."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def explanation(wanted: recipe.Recipe, patch: tuple[int, int], device: torch.device) -> errors.InputError:
    """What to do about a step that does not fit the device."""
    there = room(device)
    fits = fitting(wanted, patch, there)
    batch, parts = wanted.data.batch, wanted.engine.accumulate
    cut = f" in {parts} parts" if parts > 1 else ""
    found = (
        f"The device's memory ({there / 2**30:.3g} GiB) is not enough for data.batch = {batch}{cut}, patches of "
        f"{patch[1]}x{patch[0]}, {wanted.engine.precision}."
    )
    if not fits:
        return errors.InputError(f"{found} By estimate not even one such patch fits: give a smaller data.crop.")
    if fits >= batch // parts:
        return errors.InputError(
            f"{found} By estimate it fits an empty device, so something else uses it: free it, or try a smaller batch."
        )
    advice = f"By estimate a batch of {fits} fits: set data.batch to it"
    divided = next(number for number in range(1, batch + 1) if batch % number == 0 and batch // number <= fits)
    if methods.find(wanted.method_name).accumulates:
        advice += f", or keep the batch in parts with engine.accumulate = {divided}"
    return errors.InputError(f"{found} {advice}.")


class _Count(_python_dispatch.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up storages while they are alive, and the arithmetic of products and convolutions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = self.multiply_adds = 0
        self._seen: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        arithmetic = flop_counter.flop_registry.get(function._overloadpacket)
        if arithmetic is not None:
            self.multiply_adds += arithmetic(*args, **(kwargs or {}), out_val=found) // 2
        for tensor in _pytree.tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                self.see(tensor)
        return found

    def see(self, tensor: torch.Tensor) -> None:
        """From now until its end a tensor's storage counts."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._seen:
            self._seen[key] = storage.nbytes()
            self.alive += storage.nbytes()
            self.peak = max(self.peak, self.alive)
            weakref.finalize(storage, self._end, key)

    def _end(self, key: int) -> None:
        self.alive -= self._seen.pop(key)


def _without_content(wanted: recipe.Recipe, **changes: Any) -> tuple[method.Method, fake_tensor.FakeTensorMode]:
    """The recipe's method as its engine has it but for `changes`, with tensors that have no content."""
    kind = methods.find(wanted.method_name)
    cpu = torch.device("cpu")
    with torch.random.fork_rng(devices=[]):
        trained = kind(kind.for_measuring(wanted.method), cpu)
    changes = {"compile": False, "channels_last": None} | changes
    engine.prepare(wanted.engine.model_copy(update=changes), trained, cpu)
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
