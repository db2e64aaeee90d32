"""Which workers of a Dask cluster get work: those that make the same data and see what the run reads and writes."""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.production import worker_process

_log = logging.getLogger(__name__)

Check = Callable[[], str | None]

PATIENCE = 60.0  # seconds that a worker may take to look: a failed mount may not answer at all
PAUSE = 1.0  # seconds before a worker looks again that has missed something: it may have been for a moment


class Crew:
    """The workers that may work. Each is asked once, when it is first seen; one that may not is named in the log.

    client: a `distributed.Client`. check: gives what a worker does not see, None where all is well. failed: which
    workers failed at a task, kept from one attempt at the tasks to the next.
    """

    def __init__(self, client: Any, address: str, check: Check | None, failed: dict[Any, set[str]]) -> None:
        self._client = client
        self._address = address
        self._check = check
        self._threads: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._failed = failed

    @property
    def names(self) -> list[str]:
        """The workers that may work."""
        return list(self._threads)

    @property
    def threads(self) -> int:
        """How many tasks run at a time."""
        return max(1, sum(self._threads.values()))

    def look(self, there: Mapping[str, int]) -> None:
        """Ask the workers that are new among those that are there, by address with their threads.

        Raises ClusterError where a new one makes other data, and where there are workers but none that may work.
        """
        self._threads = {name: there[name] for name in self._threads if name in there}
        self._refused = {name: reason for name, reason in self._refused.items() if name in there}
        new = [name for name in there if name not in self._threads and name not in self._refused]
        self._require_alike(new)
        for name, reason in self._ask(new).items():
            if reason is None:
                self._threads[name] = there[name]
            else:
                self._refuse(name, reason)
        if self._refused and not self._threads:
            listed = "\n".join(f"  {name}: {reason}" for name, reason in self._refused.items())
            raise errors.ClusterError(
                f"No worker of the cluster at {self._address} sees what this run reads and writes:\n{listed}\n"
                "Mount the same folders there under the same paths (and name them by absolute paths), then run the "
                "same command again."
            )

    def _require_alike(self, new: Sequence[str]) -> None:
        if not new:
            return
        ours = worker_process.versions()
        found = self._client.run(worker_process.probe(ours), workers=list(new), on_error="return")
        for name, theirs in found.items():
            if not isinstance(theirs, BaseException) and theirs != ours:
                raise errors.ClusterError(
                    f"The worker {name} has joined with another version: {worker_process.difference(ours, theirs)}. "
                    "Install the same versions there, or close it."
                )

    def _ask(self, names: Sequence[str]) -> dict[str, str | None]:
        """What each of these workers does not see, None where all is well. One that is lost meanwhile is left out."""
        if self._check is None or not names:
            return dict.fromkeys(names)
        answers = self._client.run(_seen, self._check, workers=list(names), on_error="return")
        reasons: dict[str, str | None] = {}
        for name, answer in answers.items():
            if isinstance(answer, OSError):  # as Dask's own errors of connections are
                continue
            failed = isinstance(answer, BaseException)
            reasons[name] = f"it could not be asked ({type(answer).__name__}: {answer})" if failed else answer
        return reasons

    def _refuse(self, name: str, reason: str) -> None:
        self._threads.pop(name, None)
        self._refused[name] = reason
        _log.warning("The worker %s gets no work: %s.", name, reason)

    def fit_for(self, task: Any) -> list[str]:
        """The workers that may do a task: at a further attempt, others than those that failed at it."""
        failed = self._failed.get(task, set())
        return [name for name in self._threads if name not in failed] or list(self._threads)

    def are_gone(self, names: Sequence[str]) -> bool:
        """Whether none of these workers may work any more, while there are others."""
        return bool(self._threads) and not any(name in self._threads for name in names)

    def is_to_blame(self, name: str | None, task: Any, error: Exception) -> bool:
        """Whether a task failed because this worker sees something no more that others see; then it is refused."""
        if name is None or not isinstance(error, errors.SourceError | errors.StorageError | OSError):
            return False
        self._failed.setdefault(task, set()).add(name)
        if name not in self._refused and name in self._threads and len(self._threads) > 1 and self._sees_less(name):
            _log.warning("A task of the worker %s is done by another: %s", name, error)
        return name in self._refused and bool(self._threads)

    def _sees_less(self, name: str) -> bool:
        """Ask a worker again that was asked before, unless this process sees no more than it."""
        if self._check is None or self._check() is not None:
            return False
        reason = self._ask([name]).get(name)
        if reason is not None:
            self._refuse(name, reason)
        return reason is not None


async def _seen(check: Check) -> str | None:
    """What the worker that runs this does not see, with the name of its machine. Does not hold up its other work."""
    try:
        reason = await asyncio.wait_for(asyncio.to_thread(check), PATIENCE)
        if reason is not None:
            await asyncio.sleep(PAUSE)
            reason = await asyncio.wait_for(asyncio.to_thread(check), PATIENCE)
    except TimeoutError:
        reason = f"looking for what this run reads and writes has taken more than {PATIENCE:.0f} s"
    return None if reason is None else f"on {socket.gethostname()}, {reason}"
