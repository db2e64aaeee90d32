"""Plan which files become which results, load a network from a checkpoint, and restore within memory."""

import dataclasses
import itertools
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from blursynth import errors
from blursynth.media import listing, source_file
from trainers import device_memory, methods, recipe
from trainers.checkpoints import checkpoint, result_record, safe_file
from trainers.inference import tiles
from trainers.methods import method

_log = logging.getLogger(__name__)

CPU_MEMORY = 4 * 2**30
"""Bytes that restoring on a CPU may need for the network's work, unless said otherwise."""
GPU_SHARE = 0.7
"""Of a GPU's free memory, the same."""
_MORE = 1000  # parameters that a method may make beside four for each tensor in a checkpoint


@dataclasses.dataclass(frozen=True)
class Job:
    """A photo and the PNG file of its result, or a clip and the MP4 file."""

    source: pathlib.Path
    target: pathlib.Path

    @property
    def is_clip(self) -> bool:
        return listing.ending(self.source.name) in listing.VIDEOS.endings


@dataclasses.dataclass(frozen=True)
class Plan:
    """The jobs, and sentences on files that are left out and on results that are made again."""

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
    """Plan one job for each photo or clip; a folder's files keep their place below it.

    Parameters
    ----------
    by
        Returns the network and options of a job; `resume` keeps only results that are recorded as made with them.
    overwrite, resume
        Replace results that exist, or keep those that are right and make the others.

    Raises
    ------
    InputError
        A path does not exist, a folder has nothing to restore, two files would have the same result, a result would
        replace a file that is read, or results exist that may be neither replaced nor kept.
    """
    listed = [_jobs(path, out) for path in paths]
    left_out = [sentence for _, sentences in listed for sentence in sentences]
    jobs = _apart([job for some, _ in listed for job in some])
    _require_own_targets(jobs)
    existing = [job for job in jobs if job.target.exists()]
    if overwrite or not existing:
        return Plan(jobs, left_out, [])
    if not resume:
        raise errors.InputError(
            f"{len(existing)} of {len(jobs)} results exist already, the first being {existing[0].target}; give "
            "--overwrite to replace them, --resume to keep them and make the others, or another -o."
        )
    record = result_record.Record(out)
    states = [record.state(job.target, job.source, by(job)) for job in jobs]
    again = result_record.again([(job.target, state) for job, state in zip(jobs, states, strict=True)])
    return Plan([job for job, state in zip(jobs, states, strict=True) if state], left_out, again)


def _require_own_targets(jobs: Sequence[Job]) -> None:
    """Raise InputError where two results have one name, or one would replace a file that is read."""
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
    """Keep the ending in the results' names of files that differ in it alone: a.tif.png."""
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
    """Load the restoring network of a checkpoint file or run folder, for `restore` only.

    dropout: keep dropout on where the method's test time has it. averaged: use the EMA of the weights where the
    checkpoint has one and was validated with it. InputError where the file cannot be used, or no longer has the SHA-256
    under which its results are recorded.
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
    if sha256 is not None and result_record.sha256(file) != sha256:
        raise errors.InputError(
            f"{file} was replaced while this command was starting, as a training run does. Run the same command again, "
            "or name a copy of the file."
        )
    return network


def _require_fit(file: pathlib.Path, kind: type[method.Method], config: Any) -> None:
    """Raise InputError where the recipe's network does not fit the file's tensors, allocating nothing."""
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
    """How images are restored.

    `side`: of tiles in pixels, 0 for the whole image, None for what fits `memory` bytes (None: the device's default).
    `ensemble`: restore all eight flips and turns and take their mean.
    """

    side: int | None = None
    memory: int | None = None
    ensemble: bool = False


class Restorer:
    """Restores images of any size: in tiles where memory is short, smaller ones where it runs out."""

    def __init__(self, trained: method.Method, device: torch.device, limits: Limits) -> None:
        if limits.side and not type(trained).tileable:
            raise errors.InputError(
                "This network sees the whole image at once and cannot restore it in tiles; leave --tile out."
            )
        self._trained = trained
        self._device = device
        self._limits = limits
        self._per_pixel: float | None = None
        self._receptive_field: int | None = None
        self._warned: set[int] = set()

    def __call__(self, blurred_NCHW: torch.Tensor, progress: tiles.Progress | None = None) -> torch.Tensor:
        """Restore float32 (1, 3, H, W) in [0, 1] to the same, on the host; InputError where memory is too small."""
        restored_NCHW = (
            self._once(blurred_NCHW, progress) if not self._limits.ensemble else self._ensemble(blurred_NCHW, progress)
        )
        if not torch.isfinite(restored_NCHW).all():
            raise errors.InputError(
                "The network gives values that are no numbers: its weights have diverged, or are damaged. Take another "
                "checkpoint."
            )
        return restored_NCHW

    def _ensemble(self, blurred_NCHW: torch.Tensor, progress: tiles.Progress | None) -> torch.Tensor:
        total = torch.zeros_like(blurred_NCHW, device="cpu")
        for turns in range(4):
            for flip in (False, True):
                turned = torch.rot90(blurred_NCHW, turns, (2, 3))
                turned = turned.flip(3) if flip else turned
                restored_NCHW = self._once(turned.contiguous(), progress)
                total += torch.rot90(restored_NCHW.flip(3) if flip else restored_NCHW, -turns, (2, 3))
        return total / 8

    def side(self, height: int, width: int) -> int:
        """Return the side of tiles for an image, 0 for the whole image."""
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
                if not device_memory.ran_out(error):
                    raise
            side = self._smaller(side or max(height, width))

    def _overlap(self, side: int) -> int:
        """Return the overlap of tiles: the receptive field, or what room there is beside a tile's own part."""
        if self._receptive_field is None:
            self._receptive_field = tiles.receptive_field(self._trained, self._device)
        overlap = self._receptive_field + tiles.FADE
        room = max((side - tiles.SMALLEST) // 2, tiles.FADE)
        if overlap > room and side not in self._warned:
            self._warned.add(side)
            _log.warning(
                "Tiles of %d pixels overlap by %d, but this network sees as far as %d: seams may show. A --tile of %d "
                "or more (or more --memory) avoids them.",
                side,
                room,
                self._receptive_field,
                2 * overlap + tiles.SMALLEST,
            )
        return min(overlap, room)

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
    """Return the jobs of a file or folder, and a sentence for each file that is left out."""
    if not source_file.is_folder(path):
        if not source_file.exists(path):
            raise errors.InputError(f"There is no photo, clip or folder {path}.")
        source_file.require_file(path, "a photo, a clip or a folder")
        return [Job(path, out / f"{path.stem}{_ending(path)}")], []
    kinds = (listing.PHOTOS, listing.VIDEOS)
    files = listing.files(path, *kinds)
    left_out = list(listing.sentences(files.left_out, path))
    if not files.names:
        known = sorted(kinds[0].endings | kinds[1].endings)
        first = f" Left out: {left_out[0]}" if left_out else ""
        raise errors.InputError(f"{path} has no photos or clips in it (files ending in {', '.join(known)}).{first}")
    names = map(pathlib.Path, files.names)
    return [Job(path / name, out / name.with_suffix(_ending(name))) for name in names], left_out


def _ending(path: pathlib.Path) -> str:
    return ".mp4" if listing.ending(path.name) in listing.VIDEOS.endings else ".png"
