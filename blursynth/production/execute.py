"""Running tasks on Dask. The only module that imports it."""

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import dask
import dask.callbacks
import dask.system

Task = TypeVar("Task")


def available_workers() -> int:
    """CPUs that this process may use: affinity and container limits count."""
    return int(dask.system.cpu_count())


def run(
    function: Callable[[Task], None],
    tasks: Sequence[Task],
    *,
    workers: int,
    finished: Callable[[Task], None],
) -> None:
    """Call `function` on every task, at most `workers` at a time; `finished` is called here after each.

    Dask's scheduler hands a thread its next task, in no promised order, when it has ended one: nothing piles up. The
    first error, or Ctrl-C, stops: tasks under way end, no further one begins, and it is raised here.
    """
    names = [f"shard-{number:09d}" for number in range(len(tasks))]
    by_name = dict(zip(names, tasks, strict=True))
    call = dask.delayed(function, pure=False, traverse=False)  # type: ignore[attr-defined]
    calls = [call(task, dask_key_name=name) for name, task in by_name.items()]

    def after(key: str, *_: Any) -> None:
        if key in by_name:
            finished(by_name[key])

    progress = dask.callbacks.Callback(posttask=after)  # type: ignore[no-untyped-call]
    with concurrent.futures.ThreadPoolExecutor(workers, "blursynth") as pool, progress:
        dask.compute(  # type: ignore[attr-defined,no-untyped-call]
            *calls, scheduler="threads", pool=pool, optimize_graph=False
        )
