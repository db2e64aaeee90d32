"""What becomes of tasks that fail: tried again when the others are done, or all is stopped, or reported at the end."""

import dataclasses
import logging
from collections.abc import Callable, Sequence

from blursynth import errors
from blursynth.production import execute, plan

_log = logging.getLogger(__name__)

RETRIES = 2  # further attempts at a task that failed, each after all others have ended
GIVE_UP_AFTER = 8  # failed tasks, where they are the greater part
_LISTED = 5


@dataclasses.dataclass(frozen=True)
class Failure:
    """A task, and what it raised last."""

    task: plan.ShardTask
    error: Exception


def complete(
    executor: execute.Executor,
    function: Callable[[plan.ShardTask], None],
    tasks: Sequence[plan.ShardTask],
    *,
    finished: Callable[[plan.ShardTask], None],
    stops: Callable[[Exception], bool],
) -> None:
    """Run every task; `finished` is called in this thread after each that succeeds.

    A task that fails does not stop the others and is tried again, up to RETRIES times, after they have ended. An
    error for which `stops` is true would meet every task: it is raised at once. So is the report where more tasks
    fail than succeed. Raises DatasetError with the shards, items and reasons of what could not be made.
    """
    remaining, failures = tasks, list[Failure]()
    for attempt in range(1 + RETRIES):
        failures = _attempt(executor, function, remaining, finished, stops)
        if not failures:
            return
        remaining = [failure.task for failure in failures]
        if attempt < RETRIES:
            _log.warning("%d shards failed (%s); trying them again.", len(failures), _words(failures[0].error))
    raise _report(failures, f"after {1 + RETRIES} attempts each; all others are finished")


def _attempt(
    executor: execute.Executor,
    function: Callable[[plan.ShardTask], None],
    tasks: Sequence[plan.ShardTask],
    finished: Callable[[plan.ShardTask], None],
    stops: Callable[[Exception], bool],
) -> list[Failure]:
    """Every task once; gives those that failed."""
    failures: list[Failure] = []
    succeeded = 0

    def ended(task: plan.ShardTask, error: Exception | None) -> None:
        nonlocal succeeded
        if error is None:
            succeeded += 1
            finished(task)
            return
        if stops(error):
            raise error
        failures.append(Failure(task, error))
        if len(failures) >= GIVE_UP_AFTER and len(failures) > succeeded:
            raise _report(failures, f"and only {succeeded} could, so the rest was not begun")

    executor.run(function, tasks, ended)
    return failures


def _report(failures: Sequence[Failure], outcome: str) -> errors.DatasetError:
    """All that could not be made, in one error. What nobody foresaw keeps its traceback in the log."""
    for failure in failures[:_LISTED]:
        if not isinstance(failure.error, errors.BlursynthError | OSError):
            _log.error("Shard %d failed.", failure.task.shard, exc_info=failure.error)
    lines = [
        f"  shard {failure.task.shard}, items {failure.task.items.start} to {failure.task.items.stop - 1}: "
        f"{_words(failure.error)}"
        for failure in failures[:_LISTED]
    ]
    if len(failures) > _LISTED:
        lines.append(f"  and {len(failures) - _LISTED} more")
    listed = "\n".join(lines)
    report = errors.DatasetError(
        f"{_shards(failures)} could not be made, {outcome}:\n{listed}\n"
        "Mend the cause and run the same command again: it makes only what is missing."
    )
    report.__cause__ = failures[0].error
    return report


def _shards(failures: Sequence[Failure]) -> str:
    return "1 shard" if len(failures) == 1 else f"{len(failures)} shards"


def _words(error: Exception) -> str:
    """The error in a line; its class too, where it was not written for users."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if isinstance(error, errors.BlursynthError) else f"{type(error).__name__}: {text}"
