"""What restoring needs beside the network itself: which file becomes which, a network from a checkpoint, and memory."""

import dataclasses
import itertools
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from blursynth import errors
from blursynth.media import listing
from trainers import checkpoint, cost, methods, recipe, results, safe_file, tiles
from trainers.methods import method

_log = logging.getLogger(__name__)

CPU_MEMORY = 4 * 2**30
"""Bytes that restoring on a CPU may need for the network's work, unless said otherwise."""
GPU_SHARE = 0.7
"""Of a GPU's free memory, the same."""
_MORE = 1000  # parameters that a method may make beside four for each tensor in a checkpoint


@dataclasses.dataclass(frozen=True)
class Job:
    """A photo and the PNG file that it becomes, or a clip and its MP4 file."""

    source: pathlib.Path
    target: pathlib.Path

    @property
    def is_clip(self) -> bool:
        return listing.ending(self.source.name) in listing.VIDEOS.endings


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be restored, and sentences: on files that are left out, and on results that are made again."""

    jobs: list[Job]
    left_out: list[str]
    again: list[str]


def plan(
    paths: Sequence[pathlib.Path],
    out: pathlib.Path,
    by: Callable[[Job], Mapping[str, Any]],
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> Plan:
    """One job a photo or clip; a folder's keep their place below it. With `resume`, those without a right result.

    `by` gives the network and options of a job, which have to be those of the results that `resume` keeps.

    InputError where a path does not exist, a folder has nothing to restore, two files would become one, a result would
    replace a file that is read, or results are there already (unless `overwrite`, or `resume` and they are recorded as
    made by the same).
    """
    listed = [_jobs(path, out) for path in paths]
    left_out = [sentence for _, sentences in listed for sentence in sentences]
    jobs = _apart([job for some, _ in listed for job in some])
    _require_own_targets(jobs)
    there = [job for job in jobs if job.target.exists()]
    if overwrite or not there:
        return Plan(jobs, left_out, [])
    if not resume:
        raise errors.InputError(
            f"{len(there)} of {len(jobs)} results exist already, the first being {there[0].target}; give "
            "--overwrite to replace them, --resume to keep them and make the others, or another -o."
        )
    record = results.Record(out)
    states = [record.state(job.target, job.source, by(job)) for job in jobs]
    again = results.again([(job.target, state) for job, state in zip(jobs, states, strict=True)])
    return Plan([job for job, state in zip(jobs, states, strict=True) if state], left_out, again)


def _require_own_targets(jobs: Sequence[Job]) -> None:
    """Raise InputError where two results would have one name, or one would replace a file that is read."""
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
            f"The result {replaced} would replace a photo or clip that is to be restored; choose another -o."
        )


def _apart(jobs: list[Job]) -> list[Job]:
    """Files of one folder that differ in their ending alone keep it in their results' names: a.tif.png."""
    seen: dict[tuple[pathlib.Path, pathlib.Path], set[pathlib.Path]] = {}
    for job in jobs:
        seen.setdefault((job.source.parent, job.target), set()).add(job.source)
    return [
        dataclasses.replace(job, target=job.target.with_name(f"{job.source.name}{job.target.suffix}"))
        if len(seen[job.source.parent, job.target]) > 1
        else job
        for job in jobs
    ]


def load(
    path: pathlib.Path,
    device: torch.device,
    *,
    dropout: bool = True,
    averaged: bool = True,
    sha256: str | None = None,
) -> method.Method:
    """The method of a checkpoint (file or run folder) with its restoring network filled in, for `restore` alone.

    `dropout` = False turns off what a method keeps of it at test time. `averaged` takes the running mean of the weights
    where the checkpoint has one and validated with it. InputError where the file cannot be used, or no longer has the
    digest `sha256`, under which its results are recorded.
    """
    file = checkpoint.find(path)
    about = checkpoint.about(file)
    trained_by = recipe.trained(about.recipe, about.method, about.variant, file)
    kind = methods.find(trained_by.method_name)
    config = kind.for_restoring(trained_by.method)
    if not dropout and "test_time_dropout" in type(config).model_fields:
        config = config.model_copy(update={"test_time_dropout": False})
    _require_fit(file, kind, config)
    network = kind(config, device)
    checkpoint.load_weights(
        file, {"generator": network.networks["generator"]}, averaged=averaged and trained_by.validation.averaged
    )
    if sha256 is not None and results.sha256(file) != sha256:
        raise errors.InputError(
            f"{file} was replaced while this command was starting, as a training run does. Run the same command again, "
            "or name a copy of the file."
        )
    return network


def _require_fit(file: pathlib.Path, kind: type[method.Method], config: Any) -> None:
    """InputError where the network of a checkpoint's recipe is not that of its tensors: nothing is allocated for it."""
    most = 4 * len(safe_file.declared(file)) + _MORE
    registered = itertools.count(1)

    def count(*_: Any) -> None:
        if next(registered) > most:
            raise errors.InputError(
                f"{file} is damaged: the recipe in it asks for a larger network than the file has tensors for. Take "
                "another checkpoint."
            )

    # torch's hooks are called for every parameter that is made; a count of layers in a recipe may be a lie.
    hook = torch.nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        with errors.boundary(file, "a checkpoint"), torch.device("meta"):
            empty = kind(config, torch.device("meta"))
    finally:
        hook.remove()
    checkpoint.require_fit(file, {"generator": empty.networks["generator"]})


@dataclasses.dataclass(frozen=True)
class Limits:
    """How an image is taken: `side` of tiles in pixels, 0 for whole, None for what `memory` bytes allow (None: what is
    usual for the device); `ensemble` restores all eight flips and turns and takes their mean."""

    side: int | None = None
    memory: int | None = None
    ensemble: bool = False


class Restorer:
    """A method made fit for images of any size: in tiles where memory asks for it, with smaller ones if it runs out."""

    def __init__(self, trained: method.Method, device: torch.device, limits: Limits) -> None:
        if limits.side and not type(trained).tileable:
            raise errors.InputError(
                "This network sees the whole image at once and cannot restore it in tiles; leave --tile out."
            )
        self._trained = trained
        self._device = device
        self._limits = limits
        self._per_pixel: float | None = None
        self._reach: int | None = None
        self._warned: set[int] = set()

    def __call__(self, blurred_NCHW: torch.Tensor, progress: tiles.Progress | None = None) -> torch.Tensor:
        """float32 (1, 3, H, W) in [0, 1], on the host, from the same; InputError where no tile is small enough."""
        found = (
            self._once(blurred_NCHW, progress) if not self._limits.ensemble else self._ensemble(blurred_NCHW, progress)
        )
        if not torch.isfinite(found).all():
            raise errors.InputError(
                "The network gives values that are no numbers: its weights have diverged, or are damaged. Take another "
                "checkpoint."
            )
        return found

    def _ensemble(self, blurred_NCHW: torch.Tensor, progress: tiles.Progress | None) -> torch.Tensor:
        total = torch.zeros_like(blurred_NCHW, device="cpu")
        for turns in range(4):
            for flip in (False, True):
                turned = torch.rot90(blurred_NCHW, turns, (2, 3))
                turned = turned.flip(3) if flip else turned
                found = self._once(turned.contiguous(), progress)
                total += torch.rot90(found.flip(3) if flip else found, -turns, (2, 3))
        return total / 8

    def side(self, height: int, width: int) -> int:
        """The side of tiles for an image, 0 for all of it at once."""
        if self._limits.side is not None:
            return self._limits.side
        if not type(self._trained).tileable:
            return 0
        if self._per_pixel is None:
            self._per_pixel = tiles.bytes_per_pixel(self._trained, self._device)
        return tiles.side_for(self._memory(), self._per_pixel, height, width)

    def _once(self, blurred_NCHW: torch.Tensor, progress: tiles.Progress | None) -> torch.Tensor:
        height, width = blurred_NCHW.shape[2:]
        side = self.side(height, width)
        state = torch.get_rng_state()
        while True:
            try:
                torch.set_rng_state(state)
                overlap = self._overlap(side) if 0 < side < max(height, width) else 0
                return tiles.restore(self._trained, blurred_NCHW, side, self._device, overlap, progress=progress)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not cost.ran_out(error):
                    raise
            side = self._smaller(side or max(height, width))

    def _overlap(self, side: int) -> int:
        """Of tiles of a side: as far as the network sees, or as there is room for beside a tile's own part."""
        if self._reach is None:
            self._reach = tiles.reach(self._trained, self._device)
        wanted = self._reach + tiles.FADE
        room = max((side - tiles.SMALLEST) // 2, tiles.FADE)
        if wanted > room and side not in self._warned:
            self._warned.add(side)
            _log.warning(
                "Tiles of %d pixels overlap by %d, but this network sees as far as %d: seams may show. A --tile of %d "
                "or more (or more --memory) avoids them.",
                side,
                room,
                self._reach,
                2 * wanted + tiles.SMALLEST,
            )
        return min(wanted, room)

    def _smaller(self, side: int) -> int:
        half = side // 2
        if not type(self._trained).tileable or half < tiles.SMALLEST:
            raise errors.InputError(
                f"Memory ran out at {side} pixels a side; a smaller photo, another --device, or other programs ended "
                "would leave enough."
            )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return half

    def _memory(self) -> int:
        if self._limits.memory is not None:
            return self._limits.memory
        if self._device.type == "cuda":
            # What torch keeps from the image before is free for the next one.
            kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
            return int(GPU_SHARE * (torch.cuda.mem_get_info(self._device)[0] + kept))
        return CPU_MEMORY


def _jobs(path: pathlib.Path, out: pathlib.Path) -> tuple[list[Job], list[str]]:
    """The jobs of a file or folder, and a sentence for each file that is left out."""
    if not path.is_dir():
        if not path.exists():
            raise errors.InputError(f"There is no photo, clip or folder {path}.")
        listing.require_file(path)
        return [Job(path, out / f"{path.stem}{_ending(path)}")], []
    kinds = (listing.PHOTOS, listing.VIDEOS)
    found = listing.files(path, *kinds)
    left_out = list(listing.sentences(found.left_out, path))
    if not found.names:
        known = sorted(kinds[0].endings | kinds[1].endings)
        first = f" Left out: {left_out[0]}" if left_out else ""
        raise errors.InputError(f"{path} has no photos or clips in it (files ending in {', '.join(known)}).{first}")
    names = map(pathlib.Path, found.names)
    return [Job(path / name, out / name.with_suffix(_ending(name))) for name in names], left_out


def _ending(path: pathlib.Path) -> str:
    return ".mp4" if listing.ending(path.name) in listing.VIDEOS.endings else ".png"
