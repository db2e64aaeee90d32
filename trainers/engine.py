"""What a recipe's `[engine]` section does to a method: layout, precision, compilation, parts, and its gradients.

Nothing here knows a method's inside. Forward passes are wrapped, gradients are changed just before an optimiser's step.
"""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch

from blursynth import errors
from trainers import ranks, recipe
from trainers.methods import method

Forward = Callable[..., Any]

_log = logging.getLogger(__name__)


def require_shares(wanted: recipe.Recipe) -> None:
    """RecipeError where the batch cannot be shared by the processes and parts, or the method cannot cut it up."""
    batch, parts, processes = wanted.data.batch, wanted.engine.accumulate, ranks.asked_for()
    if batch % (parts * processes):
        raise errors.RecipeError(
            f"data.batch = {batch} cannot be shared equally by {processes} processes in {parts} parts each; give a "
            f"batch that is a multiple of {parts * processes}."
        )


def prepare(section: recipe.Engine, trained: method.Method, device: torch.device) -> None:
    """Make a new method work as the section says, and with the other processes of the run.

    Raises RecipeError where the method cannot do what is asked.
    """
    if section.accumulate > 1 and not trained.accumulates:
        raise errors.RecipeError(
            f"This method cannot cut a batch into parts, but engine.accumulate = {section.accumulate} asks for it; "
            "leave it out and take a smaller data.batch or data.crop."
        )
    trained.parts = section.accumulate
    _set_device(section.precision, device)
    if section.channels_last is not None:
        _lay_out(trained, torch.channels_last if section.channels_last else torch.contiguous_format)
    for name, module in trained.differentiated_once.items():
        if section.compile:
            _replace_forward(module, _compiled(name, module.forward))
        if section.precision == "bfloat16":
            _replace_forward(module, functools.partial(_in_bfloat16, module.forward, device.type))
    for optimiser in trained.optimisers.values():
        optimiser.register_step_pre_hook(functools.partial(_before_update, section.clip))


def _set_device(precision: str, device: torch.device) -> None:
    """Products and convolutions of float32; the fastest algorithms for sizes that stay the same."""
    if device.type != "cuda":
        return
    # Not the newer `fp32_precision`: torch's compiler reads these, which then raises.
    torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    torch.backends.cudnn.benchmark = True


def _lay_out(trained: method.Method, memory_format: torch.memory_format) -> None:
    trained.memory_format = memory_format
    for module in trained.modules:
        for parameter in module.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=memory_format)


def _replace_forward(module: torch.nn.Module, forward: Forward) -> None:
    """On the instance: names in state dicts stay as they are."""
    module.forward = forward


def _in_bfloat16(forward: Forward, device_type: str, *arguments: Any) -> Any:
    """What is computed with the result, losses above all, is float32 again."""
    with torch.autocast(device_type, torch.bfloat16):
        found = forward(*arguments)
    return found.float() if isinstance(found, torch.Tensor) else [each.float() for each in found]


def _compiled(name: str, forward: Forward) -> Forward:
    """`forward` by torch.compile; where that fails, as it was, with a warning that says why."""
    working: list[Forward] = [torch.compile(forward, dynamic=False)]

    def run(*arguments: Any) -> Any:
        if working[0] is forward:
            return forward(*arguments)
        try:
            return working[0](*arguments)
        except (torch.OutOfMemoryError, errors.BlursynthError):
            raise
        except Exception as error:  # whatever a compiler fails with
            reason = str(error).strip().splitlines() or [type(error).__name__]
            _log.warning(
                "torch.compile does not work here for the %s (%s); training goes on without it, more slowly.",
                name,
                reason[0],
            )
            working[0] = forward
            return forward(*arguments)

    return run


def _before_update(clip: float, optimiser: torch.optim.Optimizer, *_: Any) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    ranks.average_gradients(parameters)
    if clip:
        torch.nn.utils.clip_grad_norm_(parameters, clip)


class Average:
    """A running mean of a network's weights (Polyak; EMA): mean += (1 - decay) (weights - mean) after each step.

    Early on, when there is little to average, the decay is (1 + step) / (10 + step) where that is less. What is no
    floating-point number (counters) is copied.
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self._decay = decay
        self._live: Mapping[str, torch.Tensor] = network.state_dict()
        self.weights = {name: value.clone() for name, value in self._live.items()}
        """The mean, by the names of the network's state dict, on its device."""

    def update(self, step: int) -> None:
        """After step number `step`, from 0; on the device, without waiting for it."""
        decay = min(self._decay, (1 + step) / (10 + step))
        moving = [name for name, value in self._live.items() if value.is_floating_point()]
        means, live = [self.weights[name] for name in moving], [self._live[name] for name in moving]
        torch._foreach_lerp_(means, live, 1.0 - decay)
        for name in self.weights.keys() - set(moving):
            self.weights[name].copy_(self._live[name])

    def fill(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Go on from these."""
        for name, value in self.weights.items():
            value.copy_(weights[name])

    def exchange(self) -> None:
        """The network has the mean, and this object the network's own weights; again, and all is as before."""
        for name, value in self.weights.items():
            held = value.clone()
            value.copy_(self._live[name])
            self._live[name].copy_(held)
