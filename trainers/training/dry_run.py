"""Describe a run without starting it: the resolved recipe, layers, arithmetic, memory and steps."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from blursynth import errors
from blursynth.config import toml
from blursynth.loading import stream
from trainers import device_memory, distributed, methods, recipe
from trainers.methods import method
from trainers.training import cost, data, engine, run_folder, session

SIZES = ((256, 256), (720, 1280))
"""Heights and widths of the photos whose restoration is counted."""


@dataclasses.dataclass(frozen=True)
class Forecast:
    """A description of a run, and a sentence for each thing that would keep it from training here and now."""

    text: str
    obstacles: tuple[str, ...]


def describe(config: recipe.Recipe, device: torch.device, *, overwrite: bool = False) -> Forecast:
    """Describe a run; where data, weights or memory are missing, describe the rest."""
    obstacles: list[str] = []
    try:
        engine.require_shares(config)
        run_folder.check(config.folder, config, overwrite=overwrite)
    except errors.BlursynthError as error:
        obstacles.append(str(error))
    kind = methods.find(config.method_name)
    with torch.random.fork_rng(devices=[]):
        measured = kind(kind.for_measuring(config.method), torch.device("cpu"))
    lines = [toml.to_toml(config), f"Run folder: {config.folder}", f"Device: {device}"]
    lines += [*_networks(config, device, obstacles), "", *_layers(measured), "", *_readings(config), ""]
    patch = (config.data.crop, config.data.crop)
    try:
        patch, steps = _steps(config, measured.batches_per_step, overwrite=overwrite)
        lines += steps
    except errors.BlursynthError as error:
        lines.append("Training pairs, steps: not known, the data cannot be used.")
        obstacles.append(str(error))
    return Forecast("\n".join([*lines, *_costs(config, patch, device, obstacles)]), tuple(dict.fromkeys(obstacles)))


def _networks(config: recipe.Recipe, device: torch.device, obstacles: list[str]) -> list[str]:
    try:
        return [session.make_method(config, device).describe()]
    except errors.BlursynthError as error:
        obstacles.append(str(error))
        kind = methods.find(config.method_name)
        return ["The restoring network by itself:", kind(kind.for_restoring(config.method), device).describe()]


def _layers(measured: method.Method) -> list[str]:
    """List every network's layers in order, with runs of equal ones counted."""
    lines = ["Layers:"]
    for name, network in measured.networks.items():
        lines.append(f"  {name}, {sum(each.numel() for each in network.parameters()):,} parameters")
        lines += [f"    {line}" for line in layers(network)]
    return lines


def layers(network: torch.nn.Module) -> list[str]:
    """List a network's layers in the order of their definition, a line each.

    A run of equal layers is one line, or one block, "N x".
    """
    lines: list[str] = []
    for _, equal in itertools.groupby(network.children(), key=repr):
        modules = list(equal)
        lines += _lines(modules[0], len(modules))
    return lines


def _lines(module: torch.nn.Module, times: int) -> list[str]:
    often = f"{times} x " if times > 1 else ""
    if not list(module.children()):
        own = sum(parameter.numel() for parameter in module.parameters())
        return [f"{often}{module}" + (f", {own:,} parameters" if own else "")]
    inner = layers(module)
    if times == 1 and type(module) in (torch.nn.Sequential, torch.nn.ModuleList):
        return inner
    return [f"{often}{type(module).__name__}:", *(f"  {line}" for line in inner)]


def _readings(config: recipe.Recipe) -> list[str]:
    """List the settings in which the method's variants differ, with this recipe's values."""
    model = methods.find(config.method_name).Config
    field = model.model_fields.get("variant")
    variants = [] if field is None else list(getattr(field.annotation, "__args__", ()))
    if len(variants) < 2:
        return ["This method has one reading."]
    required = {"name": config.method_name} if "name" in model.model_fields else {}
    tables = [dict(_flat(model.model_validate({**required, "variant": name}).model_dump())) for name in variants]
    here = dict(_flat(config.method.model_dump()))
    lines = [f"Where {' and '.join(variants)} differ, and this recipe:"]
    for key in tables[0]:
        values = [table[key] for table in tables]
        if key != "variant" and len(set(map(repr, values))) > 1:
            each = ", ".join(f"{name} {value!r}" for name, value in zip(variants, values, strict=True))
            lines.append(f"  {key}: {each}; here {here[key]!r}")
    return lines


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _steps(config: recipe.Recipe, batches: int, *, overwrite: bool) -> tuple[tuple[int, int], list[str]]:
    """Return the height and width of the patches, and lines on pairs and steps."""
    training, held_out = session.open_data(config)
    if not overwrite:
        run_folder.require_same_data(config.folder, config, training.describe(), held_out)
    drawn, per_step = config.data.batch * batches, config.schedule.images_of(config.data.batch, batches)
    steps = session.steps(config, training.epoch, per_step)
    apart = f", {drawn - per_step} of them for the critic alone, which do not count" if drawn > per_step else ""
    return training.patches.size, [
        f"Training pairs: {training.epoch}; validation images: {len(held_out) if held_out else 0}",
        f"Pairs drawn per step: {drawn} ({batches} batches of {config.data.batch}{apart})",
        *_streams(training, drawn),
        f"Steps: {steps:,} updates of the restoring network ({steps * per_step:,} images, "
        f"{steps * per_step / training.epoch:.4g} epochs)",
    ]


def _streams(training: data.TrainingData, drawn: int) -> Iterator[str]:
    """Measure how fast each stream makes pairs here: a network that takes more a second waits for data."""
    for part in training.parts:
        if isinstance(part.dataset, stream.Stream):
            rate = part.dataset.measure(part)
            yield (
                f"Stream of {part.dataset.path}: {len(part.items)} photos or scenes, {part.repeat} pairs of each an "
                f"epoch; {rate:,.0f} pairs a second with {part.dataset.threads} threads, a step's {drawn} in "
                f"{drawn / rate:.3g} s if they were all of it. A network whose step takes less waits for data."
            )


def _costs(config: recipe.Recipe, patch: tuple[int, int], device: torch.device, obstacles: list[str]) -> Iterator[str]:
    if not all(patch):
        yield "Arithmetic and memory depend on the data, which are not there."
        return
    kind = methods.find(config.method_name)
    try:
        data.require_fit(patch, kind.divisor, kind.smallest)
        step = cost.of_step(config, patch, max(1, config.data.batch // distributed.asked_for()))
    except errors.BlursynthError as error:
        yield "Arithmetic and memory of a step: not known, it cannot be made."
        obstacles.append(str(error))
    else:
        available = device_memory.room(device)
        yield f"Multiply-adds of a step, patches of {patch[1]}x{patch[0]}: {step.multiply_adds / 1e9:,.4g} G"
        yield (
            f"Estimated memory of a step: {step.peak / 2**30:.3g} GiB, of which weights and optimisers "
            f"{step.kept / 2**30:.3g} GiB; {device} has {available / 2**30:.3g} GiB"
        )
        if step.peak > available * cost.USABLE:
            obstacles.append(str(cost.explanation(config, patch, device)))
    for height, width in SIZES:
        photo = cost.of_restoring(config, (height, width))
        yield (
            f"Restoring {width}x{height}: {photo.multiply_adds / 1e9:,.4g} G multiply-adds, "
            f"{photo.peak / 2**30:.3g} GiB"
        )
