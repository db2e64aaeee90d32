"""From a maker to a finished dataset: lock, create or go on, make the missing shards, finalise."""

import dataclasses
import functools
import logging
import os
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.production import capacity, executors, plan, resume, retries, visibility
from blursynth.production import maker as makers
from blursynth.storage import growth, lock, provenance, stray_objects, writer
from blursynth.storage import schema as schemas
from blursynth.stores import store

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run did. `made` and `resumed`: items made now, and items that were there from an earlier run.

    `nothing_to_do`: the dataset was complete before. `skipped`: what was left out, with reasons. `seconds`: wall time.
    `invalid`: how many of the dataset's items could not be made.
    """

    made: int
    resumed: int
    skipped: tuple[provenance.Skipped, ...]
    seconds: float
    nothing_to_do: bool = False
    invalid: int = 0


def produce(
    maker: makers.Maker,
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    strict: bool = False,
    append: bool = False,
    executor: executors.Executor | None = None,
    memory: int | None = None,
) -> Outcome:
    """Make the dataset that `maker` describes at `out`, or go on with one that was begun.

    `workers`: threads, by default one for each CPU that this process may use, or as many as fit into memory.
    `executor`: who does the work, instead of threads. `progress(done, total)` is called in this thread, in items.
    `strict`: an item that cannot be made is an error instead of being left out. `overwrite`: remove a dataset that is
    there; nothing but datasets of ours is ever removed. `append`: a finished dataset that is there and shorter grows,
    its items untouched. `memory`: bytes that the whole run may take; by default what the machine has.

    Raises DatasetError where the place is taken, locked, or cannot be written, where the plan does not fit the memory
    or the disk, and, when all else is done, for shards that cannot be made (of sources that cannot be read, or have
    changed, too); InputError where `strict` stops it;
    ClusterError where the executor is lost. Whatever stops it leaves a dataset that the same call goes on with.
    """
    began = time.monotonic()
    path = store.normalise(out)
    with lock.held(path) as token:
        job = resume.look(maker, path, overwrite=overwrite, append=append)
        if executor is None:
            executor = capacity.threads(job.maker, workers, memory)
        _begin(job, executor, memory)
        resumed = _make_missing(job, executor, progress, strict, token)
        skipped, invalid = _finish(job, strict)
    seconds = time.monotonic() - began
    complete = job.state is resume.State.COMPLETE
    return Outcome(job.maker.schema.items - resumed, resumed, skipped, seconds, complete, invalid)


def _begin(job: resume.Job, executor: executors.Executor, memory: int | None) -> None:
    """Make sure that the plan fits, and put down what is being made."""
    schema, record = job.maker.schema, job.maker.record()
    if job.state is not resume.State.COMPLETE:
        capacity.require_fits(job, executor, memory)
    if job.state is resume.State.REPLACE:
        writer.remove(job.path)
    stray_objects.remove(job.path, job.strays)
    if job.state is resume.State.GROW:
        assert job.stored is not None, "nothing there that could grow"
        growth.begin(job.path, job.stored, schema, record)
    else:
        writer.create(job.path, schema, record)


def _make_missing(
    job: resume.Job, executor: executors.Executor, progress: Callable[[int, int], None] | None, strict: bool, token: str
) -> int:
    """Make the shards that are not finished; gives the number of items that were."""
    schema = job.maker.schema
    if job.state is resume.State.COMPLETE:
        return schema.items
    store.sweep(job.path)
    tasks = job.tasks()
    resumed = done = schema.items - sum(len(task.made) for task in tasks)
    if resumed:
        _log.info("Going on with %s: %d of %d items are there.", job.path, resumed, schema.items)

    def finished(task: plan.ShardTask) -> None:
        nonlocal done
        done += len(task.made)
        if progress is not None:
            progress(done, schema.items)

    def stops(error: Exception) -> bool:
        """Whether the error would meet every shard, or is what `strict` asks to stop at."""
        if isinstance(error, errors.StorageError):
            return error.lasts
        return isinstance(error, errors.ClusterError) or (strict and isinstance(error, errors.InputError))

    if progress is not None:
        progress(done, schema.items)
    task_of = functools.partial(make_shard, job.maker, job.path, strict, job.identity)
    executor.admit(lambda: visibility.of(job.maker, job.path, job.identity, token).problem)
    retries.complete(executor, task_of, tasks, finished=finished, stops=stops)
    return resumed


def make_shard(maker: makers.Maker, path: str, strict: bool, identity: str, task: plan.ShardTask) -> None:
    """One task: make the items of a shard and store them, if the dataset is still the one of this identity."""
    writer.require_in_the_making(path, identity)
    arrays = maker.make(task.made)
    if strict and schemas.VALID in arrays:
        _refuse(maker, np.flatnonzero(arrays[schemas.VALID] == 0) + task.made.start)
    if task.kept:
        arrays = growth.extended(path, maker.schema, task.items[: task.kept], arrays)
    writer.write_shard(path, maker.schema, task.shard, arrays, identity)


def _finish(job: resume.Job, strict: bool) -> tuple[tuple[provenance.Skipped, ...], int]:
    """Put the reasons for left-out items on record and mark the dataset complete.

    Gives all that was left out, and how many items.
    """
    maker, path = job.maker, job.path
    if job.state is not resume.State.COMPLETE:
        writer.require_in_the_making(path, job.identity)
        if job.state is resume.State.GROW:
            growth.extend(path, maker.schema, maker.record())
        has_flags = schemas.VALID in maker.schema.names
        invalid = writer.invalid_items(path) if has_flags else np.empty(0, np.int64)
        new = invalid[invalid >= job.kept]  # what was left out of a dataset that grew is on record
        if strict:
            retries.patiently(lambda: _refuse(maker, new))
        reasons = retries.patiently(lambda: maker.skipped(new)) if new.size else ()
        if len(invalid) == maker.schema.items:
            first = reasons[0]
            writer.remove(path)  # nothing to keep, and in the way of another try
            raise errors.InputError(f"Not one item could be made for {path}; the first, {first.name}: {first.reason}.")
        writer.finalise(path, maker.schema, reasons, len(invalid))
    growth.end(path)
    stored = writer.attributes_of(path)
    skipped = tuple(provenance.Skipped(**entry) for entry in stored["skipped"])
    return skipped, maker.schema.items - stored["valid_items"]


def _refuse(maker: makers.Maker, invalid: npt.NDArray[np.int64]) -> None:
    """Raise InputError for items that cannot be made, where there are any."""
    if invalid.size:
        first = maker.skipped(invalid)[0]
        raise errors.InputError(f"{first.name}: {first.reason}. Without --strict it would be left out and listed.")
