"""Who does the work: what an executor is, and the usual one, Dask's threads in this process."""

import concurrent.futures
import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import dask
import dask.callbacks
import dask.system
import dask.utils

from blursynth import errors
from blursynth.production import task_order, worker_process

Task = TypeVar("Task")
# Tasks in one graph. What Dask spends on a task grows with its graph: 0.2 ms in one of 2,000, 0.6 ms in one of 30,000.
GRAPH = 2000

Ended = Callable[[Task, Exception | None], None]


class Executor(Protocol):
    """Runs tasks somewhere. The definition is a loop over the tasks; an executor may only change where and when."""

    @property
    def workers(self) -> int:
        """How many tasks run at a time."""
        ...

    @property
    def memory(self) -> dict[str, tuple[int, int]]:
        """Each process that works, by its name: how many tasks run in it at a time, and bytes that it may use."""
        ...

    def admit(self, make_check: Callable[[], Callable[[], str | None]]) -> None:
        """Give work to those machines alone on which the check finds nothing wrong (None, else what); name the others.

        `make_check` gives the check, and is called only where there are other machines. Where none is left, the next
        `run` raises ClusterError.
        """
        ...

    def run(self, function: Callable[[Task], None], tasks: Sequence[Task], ended: Ended[Task]) -> None:
        """Call `function` on every task, in no promised order.

        `ended` is called in this thread after each, with what it raised or None. What `ended` raises stops, as
        Ctrl-C does: no further task begins, and it is raised here. A task may run twice, even at the same time, where
        a worker was thought dead; `function` stores the same bytes both times.
        """
        ...


def available_workers() -> int:
    """CPUs that this process may use: affinity and container limits count."""
    return int(dask.system.cpu_count())


def parse_bytes(text: str) -> int:
    """8GB, 500MiB, ... in bytes. Raises RecipeError."""
    try:
        # Dask takes a unit alone for one of it.
        amount = int(dask.utils.parse_bytes(text)) if any(sign.isdigit() for sign in text) else 0
    except (ValueError, OverflowError):
        amount = 0
    if not 0 < amount < 2**63:
        raise errors.RecipeError(f"{text[:40]} is not an amount of memory; give one such as 8GB or 500MiB.")
    return amount


class Threads:
    """`workers` threads of this process. They hand back what a task raised, so that the others go on."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    @property
    def memory(self) -> dict[str, tuple[int, int]]:
        return {"this machine": (self.workers, worker_process.memory_bytes())}

    def admit(self, make_check: Callable[[], Callable[[], str | None]]) -> None:
        """See `Executor`. There is one machine, which has just looked at the sources."""

    def run(self, function: Callable[[Task], None], tasks: Sequence[Task], ended: Ended[Task]) -> None:
        """See `Executor`. When it is stopped, tasks under way end first.

        Dask's scheduler hands a thread its next task when it has ended one: nothing piles up.
        """
        worker_process.prepare_process()
        with concurrent.futures.ThreadPoolExecutor(self.workers, "blursynth") as pool:
            for first in range(0, len(tasks), GRAPH):
                self._run(function, tasks[first : first + GRAPH], ended, pool)

    def _run(
        self,
        function: Callable[[Task], None],
        tasks: Sequence[Task],
        ended: Ended[Task],
        pool: concurrent.futures.Executor,
    ) -> None:
        names = [f"shard-{number:09d}" for number in range(len(tasks))]
        waiting = task_order.Lanes(tasks, self.workers)
        call = dask.delayed(functools.partial(_attempt, function, waiting), pure=False, traverse=False)  # type: ignore[attr-defined]
        calls = [call(dask_key_name=name) for name in names]
        known = frozenset(names)

        def after(key: str, result: Any, *_: Any) -> None:
            if key in known:
                ended(*result)

        progress = dask.callbacks.Callback(posttask=after)
        with progress:
            dask.compute(  # type: ignore[attr-defined,no-untyped-call]
                *calls, scheduler="threads", pool=pool, optimize_graph=False
            )


def _attempt(function: Callable[[Task], None], waiting: task_order.Lanes[Task]) -> tuple[Task, Exception | None]:
    """The next task, and what it raised: one shard that cannot be made does not stop the rest; `attempts` decides."""
    task = waiting.take()
    try:
        function(task)
    except Exception as error:
        return task, error
    return task, None


def run(
    function: Callable[[Task], None], tasks: Sequence[Task], *, workers: int, finished: Callable[[Task], None]
) -> None:
    """Every task on `workers` threads; `finished` is called here after each. The first error stops and is raised."""

    def ended(task: Task, error: Exception | None) -> None:
        if error is not None:
            raise error
        finished(task)

    Threads(workers).run(function, tasks, ended)
