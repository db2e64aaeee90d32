"""Apply a recipe's `[engine]` table to a method: layout, precision, compilation, accumulation, gradients.

Nothing here knows how a method works: forward passes are wrapped, and gradients are changed just before an optimiser's
step.
"""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch

from blursynth import errors
from trainers import distributed, recipe
from trainers.methods import method

Forward = Callable[..., Any]

_log = logging.getLogger(__name__)


def require_shares(config: recipe.Recipe) -> None:
    """Raise RecipeError where processes and accumulation steps cannot share the batch equally."""
    batch, parts, processes = config.data.batch, config.engine.accumulation_steps, distributed.asked_for()
    if batch % (parts * processes):
        raise errors.RecipeError(
            f"data.batch = {batch} cannot be shared equally by {processes} processes in {parts} parts each; give a "
            f"batch that is a multiple of {parts * processes}."
        )


def prepare(section: recipe.Engine, trained: method.Method, device: torch.device) -> None:
    """Set a new method up as the section says, for one or several processes.

    Raises RecipeError where the method does not support a setting.
    """
    if section.accumulation_steps > 1 and not trained.accumulates:
        raise errors.RecipeError(
            f"This method cannot split a batch, but engine.accumulation_steps is {section.accumulation_steps}: leave "
            "it out and take a smaller data.batch or data.crop."
        )
    trained.accumulation_steps = section.accumulation_steps
    _set_device(section.precision, device)
    if section.channels_last is not None:
        _lay_out(trained, torch.channels_last if section.channels_last else torch.contiguous_format)
    for name, module in trained.differentiated_once.items():
        if section.compile:
            _replace_forward(module, _compiled(name, module.forward))
        if section.precision == "bfloat16":
            _replace_forward(module, functools.partial(_in_bfloat16, module.forward, device.type))
    for optimiser in trained.optimisers.values():
        optimiser.register_step_pre_hook(functools.partial(_before_update, section.grad_clip_norm))


def _set_device(precision: str, device: torch.device) -> None:
    """Set the precision of float32 products; choose the fastest algorithms for constant sizes."""
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
    """Replace `forward` on the instance, so that names in state dicts stay as they are."""
    module.forward = forward


def _in_bfloat16(forward: Forward, device_type: str, *arguments: Any) -> Any:
    """Run a network in bfloat16 and return float32, in which losses are computed."""
    with torch.autocast(device_type, torch.bfloat16):
        outputs = forward(*arguments)
    return outputs.float() if isinstance(outputs, torch.Tensor) else [each.float() for each in outputs]


def _compiled(name: str, forward: Forward) -> Forward:
    """Compile a forward pass; where that fails, warn and run it as it is."""
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
    distributed.average_gradients(parameters)
    if clip:
        torch.nn.utils.clip_grad_norm_(parameters, clip)


class EMA:
    """The exponential moving average of a network's weights: ema += (1 - decay) (weights - ema) after each step.

    The first steps use the decay (1 + step) / (10 + step) where that is smaller. Integers (counters) are copied.
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self._decay = decay
        self._live: Mapping[str, torch.Tensor] = network.state_dict()
        self.weights = {name: value.clone() for name, value in self._live.items()}
        """The EMA, by the names of the network's state dict, on its device."""

    def update(self, step: int) -> None:
        """Follow the weights after step number `step`, from 0; does not wait for the device."""
        decay = min(self._decay, (1 + step) / (10 + step))
        moving = [name for name, value in self._live.items() if value.is_floating_point()]
        means, live = [self.weights[name] for name in moving], [self._live[name] for name in moving]
        torch._foreach_lerp_(means, live, 1.0 - decay)
        for name in self.weights.keys() - set(moving):
            self.weights[name].copy_(self._live[name])

    def fill(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Continue from these weights, as a checkpoint has them."""
        for name, value in self.weights.items():
            value.copy_(weights[name])

    def swap(self) -> None:
        """Swap the network's weights with their EMA; call again to swap back."""
        for name, value in self.weights.items():
            held = value.clone()
            value.copy_(self._live[name])
            self._live[name].copy_(held)
