"""What a run would do and cost, in words: the answer to --dry-run. Touches nothing."""

import dataclasses
import math

from blursynth import errors
from blursynth.production import calibration, capacity, executors, resume, worker_process


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Of one run. Sizes in bytes, times in seconds of wall time."""

    job: resume.Job
    workers: int
    shards: int
    items: int
    free: int | None
    task_bytes: int
    memory_bytes: int
    calibration: calibration.Calibration | None
    refusal: errors.DatasetError | None

    @property
    def disk_bytes(self) -> int:
        if self.calibration is None:
            return 0
        return capacity.disk_bytes(self.job.maker, self.shards, self.items, self.calibration)

    @property
    def seconds(self) -> float:
        """Whole shards, as many at a time as there are workers."""
        if self.calibration is None:
            return 0.0
        rounds = math.ceil(self.shards / self.workers)
        return rounds * self.items / self.shards * self.calibration.seconds_per_item


def forecast(job: resume.Job, executor: executors.Executor, memory: int | None) -> Forecast:
    """Look ahead. Raises what the run would raise, but for a full disk: that stands beside the figures as `refusal`."""
    tasks = job.tasks()
    refusal = None
    if tasks:
        capacity.require_memory(job.maker, executor, memory)
        try:
            capacity.require_disk(job, executor.workers)
        except errors.DatasetError as error:
            refusal = error
    processes = len(executor.memory)
    each = capacity.task_bytes(job.maker)
    return Forecast(
        job=job,
        workers=executor.workers,
        shards=len(tasks),
        items=capacity.missing_items(tasks),
        free=capacity.free_bytes(job),
        task_bytes=each,
        memory_bytes=processes * worker_process.BASE_BYTES + executor.workers * each,
        calibration=calibration.measure(job.maker, tasks, executor.workers) if tasks else None,
        refusal=refusal,
    )


def describe(found: Forecast, unit: str) -> str:
    """The forecast and the resolved recipe, as printed."""
    schema = found.job.maker.schema
    record = found.job.maker.record()
    lines = [
        f"{found.job.path}: {found.job.state.value}; nothing is written now.",
        f"  items    {schema.items} {unit} in {schema.shards} shards of {schema.shard_length}; "
        f"to make: {found.items} in {found.shards}",
    ]
    if found.calibration is not None:
        rate = 1 / found.calibration.seconds_per_item
        lines += [
            f"  disk     about {capacity.words(found.disk_bytes)} "
            f"({capacity.words(found.calibration.bytes_per_item)} an item)"
            + ("" if found.free is None else f", {capacity.words(found.free)} free"),
            f"  memory   {capacity.words(found.memory_bytes)} at most: {capacity.words(found.task_bytes)} a task, "
            f"{found.workers} at a time, and the programs",
            f"  time     about {duration(found.seconds)} ({rate:.0f} {unit}/s and worker, measured here on "
            f"{found.calibration.items}; without waiting for the disk)",
        ]
    lines += [f"  but      {found.refusal}"] if found.refusal is not None else []
    lines += [f"  seed     {record.seed}", "  recipe", *(f"    {line}" for line in record.recipe_toml.splitlines())]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `5.5 h`, `3.2 days`."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
