"""Whether a plan fits: memory for each worker, space on the disk; and what would make it fit."""

import logging

from blursynth import errors
from blursynth.production import calibration, executors, plan, resume, retries, worker_process
from blursynth.production import maker as makers
from blursynth.stores import store

_BLOCK = 4096  # of most file systems

_log = logging.getLogger(__name__)


def task_bytes(maker: makers.Maker) -> int:
    """The most memory that one task takes: a shard made and encoded."""
    return retries.patiently(lambda: maker.peak_bytes(min(maker.schema.shard_length, maker.schema.items)))


def threads(maker: makers.Maker, workers: int | None, memory: int | None) -> executors.Threads:
    """As many threads as asked for; else one for each CPU, or as many as fit into memory."""
    if workers is not None:
        return executors.Threads(workers)
    cpus = executors.available_workers()
    limit = memory or worker_process.memory_bytes()
    fitting = max(1, (limit - worker_process.BASE_BYTES) // max(1, task_bytes(maker)))
    if fitting < cpus:
        _log.warning("Using %d of %d processors: more would not fit into %s of memory.", fitting, cpus, words(limit))
    return executors.Threads(min(cpus, fitting))


def require_fits(job: resume.Job, executor: executors.Executor, memory: int | None) -> None:
    """Raise DatasetError, with the numbers, for a plan that does not fit memory or disk."""
    require_memory(job.maker, executor, memory)
    require_disk(job, executor.workers)


def require_memory(maker: makers.Maker, executor: executors.Executor, memory: int | None) -> None:
    each = task_bytes(maker)
    processes = executor.memory
    needed = {name: worker_process.BASE_BYTES + tasks * each for name, (tasks, _) in processes.items()}
    if memory is not None and sum(needed.values()) > memory:
        raise errors.DatasetError(
            _too_much(maker, executor.workers, sum(needed.values()), f"{words(memory)} of --memory")
        )
    for name, (tasks, has) in processes.items():
        if memory is None and needed[name] > has:
            raise errors.DatasetError(_too_much(maker, tasks, needed[name], f"{words(has)} of {name}"))


def _too_much(maker: makers.Maker, workers: int, needed: int, there: str) -> str:
    each = task_bytes(maker)
    shard = min(maker.schema.shard_length, maker.schema.items)
    tasks = "1 task" if workers == 1 else f"{workers} tasks at a time"
    return (
        f"The plan does not fit into memory: {tasks} of {words(each)} each (shards of {shard} items) and "
        f"{words(worker_process.BASE_BYTES)} for the programs need {words(needed)}, more than the {there}. "
        "Give fewer --workers, a shorter --shard-length, or more --memory."
    )


def require_disk(job: resume.Job, workers: int) -> None:
    """Compare the free space with what is missing: uncompressed, and only if that is too much, by a measured size."""
    tasks = job.tasks()
    items = missing_items(tasks)
    free = free_bytes(job)
    if not items or free is None or items * job.maker.schema.bytes_per_item <= free:
        return
    needed = disk_bytes(job.maker, len(tasks), items, calibration.measure(job.maker, tasks, workers))
    if needed > free:
        raise errors.DatasetError(
            f"The plan does not fit on the disk: {items} items need about {words(needed)}, and {words(free)} are free "
            f"at {job.path}. Free some space, choose another place with --out, or make fewer items."
        )


def disk_bytes(maker: makers.Maker, shards: int, items: int, cost: calibration.Calibration) -> int:
    """What these shards take on a disk whose files are whole blocks: half a block is lost in each, on average."""
    files = shards * (len(maker.schema.arrays) + 1)
    return round(items * cost.bytes_per_item) + files * _BLOCK // 2


def free_bytes(job: resume.Job) -> int | None:
    """Space for the dataset, counting that of the one that it replaces; None in an object store, which has no limit."""
    free = store.free_bytes(job.path)
    if free is None:
        return None
    return free + (store.size_of(job.path) if job.state is resume.State.REPLACE else 0)


def words(amount: float) -> str:
    """1.5 GB: an amount of bytes in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.0f} PB"


def missing_items(tasks: list[plan.ShardTask]) -> int:
    """Items that these tasks make."""
    return sum(len(task.made) for task in tasks)
