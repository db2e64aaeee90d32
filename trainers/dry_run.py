"""What a run would be, in words: the resolved recipe, layers, arithmetic, memory, steps, the other reading."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from blursynth import errors, recipe_file
from trainers import cost, data, methods, ranks, recipe, session, validation

SIZES = ((256, 256), (720, 1280))
"""Heights and widths of the photos whose restoration is counted."""


def describe(wanted: recipe.Recipe, device: torch.device) -> str:
    """What a run would do; what is missing for it (data, weights) is said, and the rest described."""
    lines = [recipe_file.to_toml(wanted), f"Run folder: {wanted.folder}", f"Device: {device}"]
    lines += [*_networks(wanted, device), "", *_layers(wanted), "", *_readings(wanted), ""]
    patch = (wanted.data.crop, wanted.data.crop)
    try:
        training, held_out = session.open_data(wanted)
    except errors.BlursynthError as error:
        lines.append(f"The data cannot be used as it is: {error}")
    else:
        patch = training.patches.size
        lines += _steps(wanted, training, held_out)
    return "\n".join([*lines, *_costs(wanted, patch, device)])


def _networks(wanted: recipe.Recipe, device: torch.device) -> list[str]:
    try:
        return [session.make_method(wanted, device).describe()]
    except errors.BlursynthError as error:
        kind = methods.find(wanted.method_name)
        alone = kind(kind.for_restoring(wanted.method), device).describe()
        return [f"Training cannot start here: {error}", "The restoring network by itself:", alone]


def _layers(wanted: recipe.Recipe) -> list[str]:
    """Every network's layers in order, equal neighbours counted."""
    kind = methods.find(wanted.method_name)
    with torch.random.fork_rng(devices=[]):
        made = kind(kind.for_measuring(wanted.method), torch.device("cpu"))
    lines = ["Layers:"]
    for name, network in made.networks.items():
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


def _steps(wanted: recipe.Recipe, training: data.TrainingData, held_out: validation.HeldOut | None) -> list[str]:
    kind = methods.find(wanted.method_name)
    with torch.random.fork_rng(devices=[]):
        batches = kind(kind.for_measuring(wanted.method), torch.device("cpu")).batches_per_step
    per_step = wanted.data.batch * batches
    steps = session.steps(wanted, training.epoch, per_step)
    return [
        f"Training pairs: {training.epoch}; validation images: {len(held_out) if held_out else 0}",
        f"Images per step: {per_step} ({batches} batches of {wanted.data.batch})",
        f"Steps: {steps:,} ({steps * per_step:,} images, {steps * per_step / training.epoch:.4g} epochs)",
    ]


def _costs(wanted: recipe.Recipe, patch: tuple[int, int], device: torch.device) -> list[str]:
    if not all(patch):
        return ["Arithmetic and memory depend on the data, which are not there."]
    kind = methods.find(wanted.method_name)
    try:
        data.require_fit(patch, kind.divisor, kind.smallest)
    except errors.DatasetError as error:
        return [f"Training cannot start here: {error}"]
    batch = max(1, wanted.data.batch // ranks.asked_for())
    step = cost.of_step(wanted, patch, batch)
    there = cost.room(device)
    lines = [
        f"Multiply-adds of a step, patches of {patch[1]}x{patch[0]}: {step.multiply_adds / 1e9:,.4g} G",
        f"Estimated memory of a step: {step.peak / 2**30:.3g} GiB, of which weights and optimisers "
        f"{step.kept / 2**30:.3g} GiB; {device} has {there / 2**30:.3g} GiB",
    ]
    if step.peak > there * cost.USABLE:
        lines.append(f"This would not fit: {cost.explanation(wanted, patch, device)}")
    for height, width in SIZES:
        photo = cost.of_restoring(wanted, (height, width))
        lines.append(
            f"Restoring {width}x{height}: {photo.multiply_adds / 1e9:,.4g} G multiply-adds, "
            f"{photo.peak / 2**30:.3g} GiB"
        )
    return lines
