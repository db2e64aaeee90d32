"""What a run would be, in words: the resolved recipe, layers, arithmetic, memory, steps, the other reading."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from blursynth import errors, recipe_file
from trainers import cost, data, engine, methods, ranks, recipe, run_folder, session
from trainers.methods import method

SIZES = ((256, 256), (720, 1280))
"""Heights and widths of the photos whose restoration is counted."""


@dataclasses.dataclass(frozen=True)
class Forecast:
    """A run in words, and what keeps it from being trained here and now: a sentence each, none where nothing does."""

    text: str
    obstacles: tuple[str, ...]


def describe(wanted: recipe.Recipe, device: torch.device, *, overwrite: bool = False) -> Forecast:
    """What a run would do; where something is missing for it (data, weights, memory), the rest is described."""
    obstacles: list[str] = []
    try:
        engine.require_shares(wanted)
        run_folder.check(wanted.folder, wanted, overwrite=overwrite)
    except errors.BlursynthError as error:
        obstacles.append(str(error))
    kind = methods.find(wanted.method_name)
    with torch.random.fork_rng(devices=[]):
        measured = kind(kind.for_measuring(wanted.method), torch.device("cpu"))
    lines = [recipe_file.to_toml(wanted), f"Run folder: {wanted.folder}", f"Device: {device}"]
    lines += [*_networks(wanted, device, obstacles), "", *_layers(measured), "", *_readings(wanted), ""]
    patch = (wanted.data.crop, wanted.data.crop)
    try:
        patch, steps = _steps(wanted, measured.batches_per_step, overwrite=overwrite)
        lines += steps
    except errors.BlursynthError as error:
        lines.append("Training pairs, steps: not known, the data cannot be used.")
        obstacles.append(str(error))
    return Forecast("\n".join([*lines, *_costs(wanted, patch, device, obstacles)]), tuple(dict.fromkeys(obstacles)))


def _networks(wanted: recipe.Recipe, device: torch.device, obstacles: list[str]) -> list[str]:
    try:
        return [session.make_method(wanted, device).describe()]
    except errors.BlursynthError as error:
        obstacles.append(str(error))
        kind = methods.find(wanted.method_name)
        return ["The restoring network by itself:", kind(kind.for_restoring(wanted.method), device).describe()]


def _layers(measured: method.Method) -> list[str]:
    """Every network's layers in order, equal neighbours counted."""
    lines = ["Layers:"]
    for name, network in measured.networks.items():
        lines.append(f"  {name}, {sum(each.numel() for each in network.parameters()):,} parameters")
        lines += [f"    {line}" for line in layers(network)]
    return lines


def layers(network: torch.nn.Module) -> list[str]:
    """A line a layer, in the order in which they were made; runs of equal ones are one line, or one block, "N x"."""
    found: list[str] = []
    for _, equal in itertools.groupby(network.children(), key=repr):
        modules = list(equal)
        found += _lines(modules[0], len(modules))
    return found


def _lines(module: torch.nn.Module, times: int) -> list[str]:
    often = f"{times} x " if times > 1 else ""
    if not list(module.children()):
        own = sum(parameter.numel() for parameter in module.parameters())
        return [f"{often}{module}" + (f", {own:,} parameters" if own else "")]
    inner = layers(module)
    if times == 1 and type(module) in (torch.nn.Sequential, torch.nn.ModuleList):
        return inner
    return [f"{often}{type(module).__name__}:", *(f"  {line}" for line in inner)]


def _readings(wanted: recipe.Recipe) -> list[str]:
    """Where the variants of the method differ, and what this recipe says there."""
    config = methods.find(wanted.method_name).Config
    field = config.model_fields.get("variant")
    variants = [] if field is None else list(getattr(field.annotation, "__args__", ()))
    if len(variants) < 2:
        return ["This method has one reading."]
    required = {"name": wanted.method_name} if "name" in config.model_fields else {}
    tables = [dict(_flat(config.model_validate({**required, "variant": name}).model_dump())) for name in variants]
    here = dict(_flat(wanted.method.model_dump()))
    lines = [f"Where {' and '.join(variants)} differ, and this recipe:"]
    for key in tables[0]:
        found = [table[key] for table in tables]
        if key != "variant" and len(set(map(repr, found))) > 1:
            each = ", ".join(f"{name} {value!r}" for name, value in zip(variants, found, strict=True))
            lines.append(f"  {key}: {each}; here {here[key]!r}")
    return lines


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _steps(wanted: recipe.Recipe, batches: int, *, overwrite: bool) -> tuple[tuple[int, int], list[str]]:
    """Height and width of the patches, and how many there are in how many steps."""
    training, held_out = session.open_data(wanted)
    if not overwrite:
        run_folder.require_same_data(wanted.folder, wanted, training.describe(), held_out)
    drawn, per_step = wanted.data.batch * batches, wanted.schedule.images_of(wanted.data.batch, batches)
    steps = session.steps(wanted, training.epoch, per_step)
    apart = f", {drawn - per_step} of them for the critic alone, which do not count" if drawn > per_step else ""
    return training.patches.size, [
        f"Training pairs: {training.epoch}; validation images: {len(held_out) if held_out else 0}",
        f"Pairs drawn per step: {drawn} ({batches} batches of {wanted.data.batch}{apart})",
        f"Steps: {steps:,} updates of the restoring network ({steps * per_step:,} images, "
        f"{steps * per_step / training.epoch:.4g} epochs)",
    ]


def _costs(wanted: recipe.Recipe, patch: tuple[int, int], device: torch.device, obstacles: list[str]) -> Iterator[str]:
    if not all(patch):
        yield "Arithmetic and memory depend on the data, which are not there."
        return
    kind = methods.find(wanted.method_name)
    try:
        data.require_fit(patch, kind.divisor, kind.smallest)
        step = cost.of_step(wanted, patch, max(1, wanted.data.batch // ranks.asked_for()))
    except errors.BlursynthError as error:
        yield "Arithmetic and memory of a step: not known, it cannot be made."
        obstacles.append(str(error))
    else:
        there = cost.room(device)
        yield f"Multiply-adds of a step, patches of {patch[1]}x{patch[0]}: {step.multiply_adds / 1e9:,.4g} G"
        yield (
            f"Estimated memory of a step: {step.peak / 2**30:.3g} GiB, of which weights and optimisers "
            f"{step.kept / 2**30:.3g} GiB; {device} has {there / 2**30:.3g} GiB"
        )
        if step.peak > there * cost.USABLE:
            obstacles.append(str(cost.explanation(wanted, patch, device)))
    for height, width in SIZES:
        photo = cost.of_restoring(wanted, (height, width))
        yield (
            f"Restoring {width}x{height}: {photo.multiply_adds / 1e9:,.4g} G multiply-adds, "
            f"{photo.peak / 2**30:.3g} GiB"
        )
