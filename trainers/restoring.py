"""What restoring photos needs beside the network itself: which file becomes which, and a network from a checkpoint."""

import dataclasses
import pathlib
from collections.abc import Sequence

import torch

from blursynth import errors
from blursynth.media import photos
from trainers import checkpoint, methods, recipe
from trainers.methods import method


@dataclasses.dataclass(frozen=True)
class Job:
    """A photo, and the PNG file that it becomes."""

    source: pathlib.Path
    target: pathlib.Path


def plan(paths: Sequence[pathlib.Path], out: pathlib.Path, *, overwrite: bool) -> list[Job]:
    """One job a photo; a folder's photos keep their place below it.

    InputError where a path does not exist, a folder has no photos, two photos would become one file, a result would
    replace a photo that is read, or results are there already (unless `overwrite`).
    """
    jobs = [job for path in paths for job in _jobs(path, out)]
    sources: dict[pathlib.Path, pathlib.Path] = {}
    for job in jobs:
        other = sources.setdefault(job.target, job.source)
        if other != job.source:
            raise errors.InputError(
                f"{other} and {job.source} would both become {job.target}; restore them separately."
            )
    read = {job.source.resolve() for job in jobs}
    replaced = next((job.target for job in jobs if job.target.resolve() in read), None)
    if replaced is not None:
        raise errors.InputError(
            f"The result {replaced} would replace a photo that is to be restored; choose another -o."
        )
    existing = [job.target for job in jobs if job.target.exists()]
    if existing and not overwrite:
        raise errors.InputError(
            f"{len(existing)} of the results exist already, the first being {existing[0]}; give --overwrite to replace "
            "them, or another -o."
        )
    return jobs


def load(path: pathlib.Path, device: torch.device, *, dropout: bool = True, averaged: bool = True) -> method.Method:
    """The method of a checkpoint (file or run folder) with its restoring network filled in, for `restore` alone.

    `dropout` = False turns off what a method keeps of it at test time. `averaged` takes the running mean of the weights
    where the checkpoint has one and validated with it. InputError where the file cannot be used.
    """
    file = checkpoint.find(path)
    about = checkpoint.about(file)
    trained_by = recipe.parse(about.recipe, source=f"the recipe in {file}")
    kind = methods.find(trained_by.method_name)
    config = kind.for_restoring(trained_by.method)
    if not dropout and "test_time_dropout" in type(config).model_fields:
        config = config.model_copy(update={"test_time_dropout": False})
    network = kind(config, device)
    checkpoint.load_weights(
        file, {"generator": network.networks["generator"]}, averaged=averaged and trained_by.validation.averaged
    )
    return network


def _jobs(path: pathlib.Path, out: pathlib.Path) -> list[Job]:
    if not path.is_dir():
        if not path.exists():
            raise errors.InputError(f"There is no photo or folder {path}.")
        return [Job(path, out / f"{path.stem}.png")]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in photos.ENDINGS and file.is_file())
    if not found:
        raise errors.InputError(f"{path} has no photos in it (files ending in {', '.join(sorted(photos.ENDINGS))}).")
    return [Job(file, out / file.relative_to(path).with_suffix(".png")) for file in found]
