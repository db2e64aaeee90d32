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
from blursynth.production import execute, plan
from blursynth.production import maker as makers
from blursynth.storage import lock, place, provenance, reader, writer
from blursynth.storage import schema as schemas

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run did. `made` and `resumed`: items made now, and items that were there from an earlier run.

    `nothing_to_do`: the dataset was complete before. `skipped`: what was left out, with reasons. `seconds`: wall time.
    """

    made: int
    resumed: int
    skipped: tuple[provenance.Skipped, ...]
    seconds: float
    nothing_to_do: bool = False


def produce(
    maker: makers.Maker,
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    strict: bool = False,
) -> Outcome:
    """Make the dataset that `maker` describes at `out`, or go on with one that was begun.

    `workers`: threads, by default one for each CPU that this process may use. `progress(done, total)` is called in
    this thread, in items. `strict`: an item that cannot be made is an error instead of being left out. `overwrite`:
    remove a dataset that is there; nothing but datasets of ours is ever removed.

    Raises DatasetError where the place is taken, locked, or cannot be written; InputError where `strict` stops it.
    Whatever stops it leaves a dataset that the same call goes on with.
    """
    began = time.monotonic()
    path = place.normalise(out)
    with lock.held(path):
        stored = reader.stored_attributes(path)
        if stored is not None and overwrite:
            place.remove(path)
            stored = None
        writer.create(path, maker.schema, maker.record())
        complete = stored is not None and stored["complete"]
        resumed = maker.schema.items if complete else _make_missing(maker, path, workers, progress, strict)
        skipped = _finish(maker, path, strict, complete)
    seconds = time.monotonic() - began
    return Outcome(maker.schema.items - resumed, resumed, skipped, seconds, nothing_to_do=complete)


def _make_missing(
    maker: makers.Maker,
    path: str,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
    strict: bool,
) -> int:
    """Make the shards that are not finished; gives the number of items that were."""
    schema = maker.schema
    place.sweep(path)
    tasks = list(plan.shard_tasks(schema, writer.finished(path, schema)))
    resumed = schema.items - sum(len(task.items) for task in tasks)
    if resumed:
        _log.info("Going on with %s: %d of %d items are there.", path, resumed, schema.items)
    done = resumed

    def finished(task: plan.ShardTask) -> None:
        nonlocal done
        done += len(task.items)
        if progress is not None:
            progress(done, schema.items)

    if progress is not None:
        progress(done, schema.items)
    workers = workers or execute.available_workers()
    execute.run(
        functools.partial(make_shard, maker, path, strict),
        plan.spread(tasks, workers),
        workers=workers,
        finished=finished,
    )
    return resumed


def make_shard(maker: makers.Maker, path: str, strict: bool, task: plan.ShardTask) -> None:
    """One task: make the items of a shard and store them."""
    arrays = maker.make(task.items)
    if strict and schemas.VALID in arrays:
        _refuse(maker, np.flatnonzero(arrays[schemas.VALID] == 0) + task.items.start)
    writer.write_shard(path, maker.schema, task.shard, arrays)


def _finish(maker: makers.Maker, path: str, strict: bool, complete: bool) -> tuple[provenance.Skipped, ...]:
    """Put the reasons for left-out items on record and mark the dataset complete; gives all that was left out."""
    if not complete:
        has_flags = schemas.VALID in maker.schema.names
        invalid = writer.invalid_items(path) if has_flags else np.empty(0, np.int64)
        if strict:
            _refuse(maker, invalid)
        reasons = maker.skipped(invalid) if invalid.size else ()
        if len(invalid) == maker.schema.items:
            first = reasons[0]
            raise errors.InputError(f"Not one item could be made for {path}; the first, {first.name}: {first.reason}.")
        writer.finalise(path, maker.schema, reasons, len(invalid))
    stored = reader.stored_attributes(path)
    assert stored is not None, f"{path} vanished"
    return tuple(provenance.Skipped(**entry) for entry in stored["skipped"])


def _refuse(maker: makers.Maker, invalid: npt.NDArray[np.int64]) -> None:
    """Raise InputError for items that cannot be made, where there are any."""
    if invalid.size:
        first = maker.skipped(invalid)[0]
        raise errors.InputError(f"{first.name}: {first.reason}. Without --strict it would be left out and listed.")
