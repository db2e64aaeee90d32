"""What becomes of tasks that fail: tried again when the others are done, or all is stopped, or reported at the end."""

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence

from blursynth import errors
from blursynth.media import source_file
from blursynth.production import executors, plan

_log = logging.getLogger(__name__)

WAITS = source_file.WAITS
patiently = source_file.patiently
RETRIES = len(WAITS)  # further attempts at a task that failed, each after all others have ended
GIVE_UP_AFTER = 8  # failed tasks, where they are the greater part
_LISTED = 5


@dataclasses.dataclass(frozen=True)
class Failure:
    """A task, and what it raised last."""

    task: plan.ShardTask
    error: Exception


def complete(
    executor: executors.Executor,
    function: Callable[[plan.ShardTask], None],
    tasks: Sequence[plan.ShardTask],
    *,
    finished: Callable[[plan.ShardTask], None],
    stops: Callable[[Exception], bool],
) -> None:
    """Run every task; `finished` is called in this thread after each that succeeds.

    A task that fails does not stop the others and is tried again, up to RETRIES times, after they have ended. An
    error for which `stops` is true would meet every task: it is raised at once. Where more tasks fail than succeed,
    the rest is not begun: because of sources that cannot be read it is tried again after a while, else, and at the
    last attempt, that is reported. Raises DatasetError with the shards, items and reasons of what could not be made.
    """
    remaining = list(tasks)
    for attempt in range(1 + RETRIES):
        done, failures, gave_up = _attempt(executor, function, remaining, finished, stops)
        if not failures:
            return
        transient = all(is_transient(failure.error) for failure in failures)
        if gave_up and (attempt == RETRIES or not transient):
            raise _report(failures, f"and only {len(done)} could, so the rest was not begun")
        if attempt == RETRIES:
            raise _report(failures, f"after {1 + RETRIES} attempts each; all others are finished")
        ended = {task.shard for task in done}
        remaining = [task for task in remaining if task.shard not in ended]
        wait = WAITS[attempt] if transient else 0.0
        words = _words(failures[0].error)
        _log.warning("%s failed (%s); trying again in %g s.", _shards(failures), words, wait)
        time.sleep(wait)


def is_transient(error: Exception) -> bool:
    """Whether a later attempt may succeed without anybody doing anything: a source could not be read."""
    return isinstance(error, errors.SourceError | OSError)


class _GaveUpError(Exception):
    """More tasks fail than succeed."""


def _attempt(
    executor: executors.Executor,
    function: Callable[[plan.ShardTask], None],
    tasks: Sequence[plan.ShardTask],
    finished: Callable[[plan.ShardTask], None],
    stops: Callable[[Exception], bool],
) -> tuple[list[plan.ShardTask], list[Failure], bool]:
    """Every task once; gives those that succeeded, those that failed, and whether the rest was not begun."""
    done: list[plan.ShardTask] = []
    failures: list[Failure] = []

    def ended(task: plan.ShardTask, error: Exception | None) -> None:
        if error is None:
            done.append(task)
            finished(task)
            return
        if stops(error):
            raise error
        failures.append(Failure(task, error))
        if len(failures) >= GIVE_UP_AFTER and len(failures) > len(done):
            raise _GaveUpError

    try:
        executor.run(function, tasks, ended)
    except _GaveUpError:
        return done, failures, True
    return done, failures, False


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
