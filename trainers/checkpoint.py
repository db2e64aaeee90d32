"""Checkpoints that say what they are: one safetensors file, replaced in one step, that never executes anything on load.

Tensors in the file: "NETWORK.NAME" are weights, "generator-average.NAME" their running mean where there is one;
"optimiser/NAME/INDEX/KEY" and "loop/NAME" are what a run needs to continue and are left out of `best.safetensors`. The
header's metadata has `About` as JSON under the key "blursynth".
"""

import dataclasses
import datetime
import json
import os
import pathlib
import platform
from collections.abc import Mapping
from typing import Any, NoReturn

import safetensors
import safetensors.torch
import torch

import blursynth
from blursynth import errors
from trainers.methods import method

FORMAT_VERSION = 1
LAST = "last.safetensors"
BEST = "best.safetensors"

AVERAGE = "generator-average"
"""The name that the running mean of the restoring network's weights has in a file."""

_KEY = "blursynth"


@dataclasses.dataclass(frozen=True)
class About:
    """What a checkpoint says of itself.

    `recipe` is the resolved TOML text, `datasets` what was trained on (path, fingerprint, transfer function, weight),
    `metrics` the latest validation with its protocol, `progress` the loop's own counters.
    """

    recipe: str
    method: str
    variant: str
    step: int
    images_seen: int
    datasets: list[dict[str, Any]]
    provenance: dict[str, str]
    metrics: dict[str, Any]
    progress: dict[str, Any]
    versions: dict[str, str] = dataclasses.field(default_factory=lambda: _versions())
    created: str = dataclasses.field(default_factory=lambda: _now())


def find(path: pathlib.Path) -> pathlib.Path:
    """The checkpoint file that `path` means: itself, or the best (else the last) one of a run folder."""
    if not path.is_dir():
        return path
    for name in (BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise errors.InputError(f"{path} has no checkpoint ({BEST} or {LAST}); give a run folder or a checkpoint file.")


def save(
    path: pathlib.Path,
    about: About,
    trained: method.Method,
    loop: Mapping[str, torch.Tensor] | None = None,
    average: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a checkpoint under a temporary name, then rename it; with `loop`, also all that is needed to continue.

    `average` is the running mean of the restoring network's weights, by their names.
    """
    tensors = {
        f"{name}.{key}": value
        for name, network in trained.networks.items()
        for key, value in network.state_dict().items()
    }
    tensors |= {f"{AVERAGE}.{key}": value for key, value in (average or {}).items()}
    if loop is not None:
        tensors |= _optimiser_tensors(trained)
        tensors |= {f"loop/{name}": value for name, value in loop.items()}
    text = json.dumps({"format_version": FORMAT_VERSION, **dataclasses.asdict(about)})
    on_host = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    replace(path, safetensors.torch.save(on_host, metadata={_KEY: text}))


def about(path: pathlib.Path) -> About:
    """What a checkpoint says of itself, from its header alone; InputError where it is no checkpoint we can use."""
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            text = (opened.metadata() or {}).get(_KEY)
    except safetensors.SafetensorError:
        _refuse(path)
    if text is None:
        raise errors.InputError(f"{path} is a safetensors file, but not a checkpoint written by trainers.run.")
    values = json.loads(text)
    version = values.pop("format_version")
    if version > FORMAT_VERSION:
        writer = values["versions"]["blursynth"]
        raise errors.InputError(
            f"{path} is a checkpoint of format {version}, written by blursynth {writer}; this version "
            f"({blursynth.__version__}) reads formats up to {FORMAT_VERSION}. Install version {writer} or later."
        )
    return About(**values)


def load_weights(path: pathlib.Path, networks: Mapping[str, torch.nn.Module], *, averaged: bool = False) -> None:
    """Fill the given networks with the checkpoint's weights; InputError where they do not fit.

    `averaged` takes the running mean of the restoring network's weights where the file has one.
    """
    tensors = _read(path)
    for name, network in networks.items():
        mean = averaged and name == "generator" and any(key.startswith(f"{AVERAGE}.") for key in tensors)
        start = f"{AVERAGE if mean else name}."
        found = {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
        expected = network.state_dict()
        wrong = [key for key in found.keys() | expected.keys() if _shape(found, key) != _shape(expected, key)]
        if wrong:
            first = min(wrong)
            raise errors.InputError(
                f"{path} does not fit the {name} of this method: {len(wrong)} of its tensors differ, the first being "
                f"{first}, {_shape(found, first) or 'missing'} in the file and "
                f"{_shape(expected, first) or 'unknown'} here. Use the recipe that it was trained with."
            )
        network.load_state_dict(found)


def load_average(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """The running mean of the restoring network's weights by their names; empty where the file has none."""
    start = f"{AVERAGE}."
    return {key.removeprefix(start): value for key, value in _read(path).items() if key.startswith(start)}


def load_training_state(path: pathlib.Path, trained: method.Method) -> dict[str, torch.Tensor]:
    """Fill a method's networks and optimisers as they were saved; gives back what `save` was given as `loop`."""
    load_weights(path, trained.networks)
    tensors = _read(path)
    for name, optimiser in trained.optimisers.items():
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"optimiser/{name}/"):
                index, entry = key.split("/")[2:]
                like = parameters[int(index)]
                state.setdefault(int(index), {})[entry] = _laid_out(value, like)
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return {key.removeprefix("loop/"): value for key, value in tensors.items() if key.startswith("loop/")}


def replace(path: pathlib.Path, content: bytes) -> None:
    """Write a whole file so that whoever looks finds the old one or the new one, also after a crash."""
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        # A full disk is an error of no file that is named; whoever reads it wants to know which disk.
        error.filename = error.filename or str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _optimiser_tensors(trained: method.Method) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, optimiser in trained.optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                assert isinstance(value, torch.Tensor), f"{name}: {key} is {type(value)}; only tensors are saved"
                tensors[f"optimiser/{name}/{index}/{key}"] = value
    return tensors


def _read(path: pathlib.Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError:
        _refuse(path)


def _refuse(path: pathlib.Path) -> NoReturn:
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":
        raise errors.InputError(
            f"{path} is a checkpoint that was cut short; use another one of its run folder, or copy it again."
        )
    raise errors.InputError(
        f"{path} is not a checkpoint: a safetensors file written by trainers.run was expected, or its run folder."
    )


def _laid_out(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`value` in the memory layout of the parameter it belongs to, as the optimiser made it."""
    if value.shape != like.shape:
        return value
    return torch.empty_like(like, dtype=value.dtype).copy_(value)


def _shape(tensors: Mapping[str, torch.Tensor], key: str) -> str:
    return "x".join(str(size) for size in tensors[key].shape) or "a number" if key in tensors else ""


def _versions() -> dict[str, str]:
    return {"blursynth": blursynth.__version__, "torch": str(torch.__version__), "python": platform.python_version()}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
