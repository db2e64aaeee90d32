"""Checkpoints: one safetensors file that describes itself and executes nothing on load.

Tensors in the file: "NETWORK.NAME" are weights, "generator-average.NAME" their exponential moving average where there
is one; "optimiser/NAME/INDEX/KEY" and "loop/NAME" are what a run needs to continue, and are not in `best.safetensors`.
The header's metadata has `About` as JSON under the key "blursynth".
"""

import dataclasses
import datetime
import json
import pathlib
import platform
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
import safetensors.torch
import torch

import blursynth
from blursynth import errors
from blursynth.config import records, toml
from blursynth.media import atomic_file, source_file
from trainers.checkpoints import safe_file
from trainers.methods import method

FORMAT_VERSION = 1
LAST = "last.safetensors"
BEST = "best.safetensors"

EMA = "generator-average"
"""The name in a file of the exponential moving average of the restoring network's weights."""

_KEY = "blursynth"


@dataclasses.dataclass(frozen=True)
class About:
    """What a checkpoint says of itself.

    `recipe` is the resolved TOML text, `datasets` what was trained on (path, fingerprint, transfer function, weight),
    `metrics` the latest validation with its protocol, `progress` the training loop's own counters.
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


class _Open(toml.Model):
    """A model that allows unknown keys: a later version may add some within one format version."""

    model_config = pydantic.ConfigDict(extra="allow")


class _TrainedOn(_Open):
    path: toml.PathText
    fingerprint: str
    transfer_function: str


class _Metrics(_Open):
    """The scores of the last validation; PSNR is infinite for equal images and NaN after divergence."""

    model_config = pydantic.ConfigDict(allow_inf_nan=True)

    protocol: str = ""
    images_scored: int = 0
    psnr: float = 0.0
    blurred_psnr: float = 0.0


_Count = Annotated[int, pydantic.Field(ge=0, le=2**62)]
_SCORES = frozenset(_Metrics.model_fields)


class _Progress(_Open):
    best: float | None = None
    summed: _Count = 0


class _Record(_Open):
    """`About` in a file."""

    format_version: Annotated[int, pydantic.Field(ge=1, le=FORMAT_VERSION)]
    recipe: str
    method: str
    variant: str
    step: _Count
    images_seen: _Count
    datasets: tuple[_TrainedOn, ...]
    provenance: Mapping[str, str]
    metrics: _Metrics
    progress: _Progress
    versions: Mapping[str, str]
    created: str


def find(path: pathlib.Path) -> pathlib.Path:
    """Return the checkpoint file at a path: the file itself, or the best (else last) of a run folder."""
    if not source_file.is_folder(path):
        return path
    for name in (BEST, LAST):
        if source_file.is_file(path / name):
            return path / name
    raise errors.InputError(f"{path} has no checkpoint ({BEST} or {LAST}); give a run folder or a checkpoint file.")


def save(
    path: pathlib.Path,
    about: About,
    trained: method.Method,
    loop: Mapping[str, torch.Tensor] | None = None,
    ema: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a checkpoint under a temporary name, then rename it.

    loop: tensors of the training loop; with them the file has everything that is needed to continue. ema: the moving
    average of the restoring network's weights, by their names.
    """
    tensors = {
        f"{name}.{key}": value
        for name, network in trained.networks.items()
        for key, value in network.state_dict().items()
    }
    tensors |= {f"{EMA}.{key}": value for key, value in (ema or {}).items()}
    if loop is not None:
        tensors |= _optimiser_tensors(trained)
        tensors |= {f"loop/{name}": value for name, value in loop.items()}
    text = json.dumps({"format_version": FORMAT_VERSION, **dataclasses.asdict(about)})
    on_host = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    atomic_file.replace(path, safetensors.torch.save(on_host, metadata={_KEY: text}))


def about(path: pathlib.Path) -> About:
    """Read what a checkpoint says of itself from its header; InputError where it cannot be used."""
    text = safe_file.header(path).get(_KEY)
    if text is None:
        raise errors.InputError(
            f"{path} is a safetensors file, but not a checkpoint written by trainers.run. {safe_file.CONVERT}"
        )
    values = records.parse(text, f"the record in {path}", finite=False)
    version = values.get("format_version") if isinstance(values, dict) else None
    if type(version) is int and version > FORMAT_VERSION:
        versions = values.get("versions")
        writer = versions.get("blursynth") if isinstance(versions, dict) else None
        raise errors.InputError(
            f"{path} is a checkpoint of format {version}, written by blursynth {writer}; this version "
            f"({blursynth.__version__}) reads formats up to {FORMAT_VERSION}. Install version {writer} or later."
        )
    records.check(values, _Record, f"the record in {path}")
    return About(**{field.name: values[field.name] for field in dataclasses.fields(About) if field.name in values})


def require_fit(path: pathlib.Path, networks: Mapping[str, torch.nn.Module]) -> None:
    """Raise InputError where the file's declared tensors are not those of the networks ("meta" will do)."""
    declared = safe_file.declared(path)
    for name, network in networks.items():
        _require_same(path, name, _below(declared, f"{name}."), network.state_dict())


def load_weights(path: pathlib.Path, networks: Mapping[str, torch.nn.Module], *, averaged: bool = False) -> None:
    """Load the checkpoint's weights into networks; InputError where they do not fit or are not finite.

    averaged: take the moving average of the restoring network's weights where the file has one.
    """
    tensors = safe_file.read(path)
    for name, network in networks.items():
        mean = averaged and name == "generator" and any(key.startswith(f"{EMA}.") for key in tensors)
        start = f"{EMA if mean else name}."
        weights = _below(tensors, start)
        _require_same(path, name, weights, network.state_dict())
        _require_finite(path, {f"{start}{key}": value for key, value in weights.items()})
        network.load_state_dict(weights)


def load_ema(path: pathlib.Path, like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read the moving average of the restoring network's weights; InputError where it does not fit `like`."""
    weights = _below(safe_file.read(path), f"{EMA}.")
    _require_same(path, EMA, weights, like)
    _require_finite(path, {f"{EMA}.{key}": value for key, value in weights.items()})
    return weights


def load_training_state(path: pathlib.Path, trained: method.Method) -> dict[str, torch.Tensor]:
    """Load a method's networks and optimisers as they were saved; return `save`'s `loop` tensors.

    InputError where the file has other tensors than this method saves.
    """
    load_weights(path, trained.networks)
    tensors = safe_file.read(path)
    starts = (*(f"{name}." for name in trained.networks), f"{EMA}.", "optimiser/", "loop/")
    strange = sorted(key for key in tensors if not key.startswith(starts))
    if strange:
        raise errors.InputError(f"{path} has tensors that no run saves, the first being {strange[0][:80]!r}.")
    states = _optimiser_states(path, tensors, trained)
    sums = _below(tensors, "loop/")
    for key, value in sums.items():
        if value.shape or value.dtype != torch.float64:
            raise errors.InputError(f"{path} is damaged: its loop/{key[:80]} is not one float64 number.")
    _require_finite(path, {key: value for key, value in tensors.items() if key.startswith(("optimiser/", "loop/"))})
    for name, optimiser in trained.optimisers.items():
        optimiser.load_state_dict({"state": states[name], "param_groups": optimiser.state_dict()["param_groups"]})
    return sums


def resume_from(path: pathlib.Path, images_per_step: int) -> About:
    """Read `about`; InputError where a run cannot continue from it."""
    stored = about(path)
    lacking = {"best", "summed"} - stored.progress.keys()
    if lacking or (stored.metrics and not stored.metrics.keys() >= _SCORES):
        raise errors.InputError(
            f"{path} is not the checkpoint of a run that can go on (converted weights, for example, are none); choose "
            "another --out, or start anew with --overwrite."
        )
    if stored.images_seen != stored.step * images_per_step:
        raise errors.InputError(
            f"{path} is damaged: it says {stored.images_seen} images in {stored.step} steps, expected "
            f"{images_per_step} each. Use another checkpoint of its run folder."
        )
    return stored


def _optimiser_tensors(trained: method.Method) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, optimiser in trained.optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                assert isinstance(value, torch.Tensor), f"{name}: {key} is {type(value)}; only tensors are saved"
                tensors[f"optimiser/{name}/{index}/{key}"] = value
    return tensors


def _optimiser_states(
    path: pathlib.Path, tensors: Mapping[str, torch.Tensor], trained: method.Method
) -> dict[str, dict[int, dict[str, torch.Tensor]]]:
    """Return states by optimiser and parameter number; InputError for impossible ones."""
    states: dict[str, dict[int, dict[str, torch.Tensor]]] = {name: {} for name in trained.optimisers}
    parameters = {
        name: [parameter for group in optimiser.param_groups for parameter in group["params"]]
        for name, optimiser in trained.optimisers.items()
    }
    for key, value in tensors.items():
        if not key.startswith("optimiser/"):
            continue
        name, number, entry = [*key.split("/", 3)[1:], "", "", ""][:3]
        numbers = {str(index): index for index in range(len(parameters.get(name, [])))}
        like = parameters[name][numbers[number]] if number in numbers else None
        if like is None or value.dtype != like.dtype or value.shape not in (like.shape, torch.Size()):
            raise errors.InputError(
                f"{path} does not fit the optimisers of this method: {key[:80]!r} is {_form(value)}, expected "
                f"{'none of that name' if like is None else _form(like)}. Use the recipe that it was trained with."
            )
        if entry in ("step", "exp_avg_sq") and bool((value < 0).any()):
            raise errors.InputError(f"{path} is damaged: {key} is negative.")
        states[name].setdefault(numbers[number], {})[entry] = _laid_out(value, like)
    for name, state in states.items():
        entries = {frozenset(each) for each in state.values()}
        if len(entries) != 1 or len(state) != len(parameters[name]):
            raise errors.InputError(
                f"{path} lacks some of the state of the optimiser of the {name}, so that no run can go on from it; use "
                "another checkpoint of its run folder."
            )
    return states


def _require_same(
    path: pathlib.Path, name: str, stored: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    """Raise InputError where names, shapes or number types differ."""
    wrong = [key for key in stored.keys() | expected.keys() if _described(stored, key) != _described(expected, key)]
    if wrong:
        first = min(wrong)
        raise errors.InputError(
            f"{path} does not fit the {name} of this method: {len(wrong)} of its tensors differ, the first being "
            f"{first[:200]}, {_described(stored, first) or 'missing'} in the file and "
            f"{_described(expected, first) or 'unknown'} here. Use the recipe that it was trained with."
        )


def _require_finite(path: pathlib.Path, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise errors.InputError(
                f"{path} has values that are no finite numbers in {name[:200]}: the training diverged, or the file is "
                "damaged. Take another checkpoint."
            )


def _below(tensors: Mapping[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def _laid_out(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Copy `value` into the memory layout of its parameter, as the optimiser would have made it."""
    if value.shape != like.shape:
        return value
    return torch.empty_like(like, dtype=value.dtype).copy_(value)


def _described(tensors: Mapping[str, torch.Tensor], key: str) -> str:
    return _form(tensors[key]) if key in tensors else ""


def _form(tensor: torch.Tensor) -> str:
    shape = "x".join(str(size) for size in tensor.shape) or "a number"
    return shape if tensor.dtype == torch.float32 else f"{shape} ({str(tensor.dtype).removeprefix('torch.')})"


def _versions() -> dict[str, str]:
    return {"blursynth": blursynth.__version__, "torch": str(torch.__version__), "python": platform.python_version()}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
