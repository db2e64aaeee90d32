"""Running tasks on a Dask cluster: an existing one, or one of processes on this machine."""

import asyncio
import collections
import contextlib
import itertools
import logging
import pickle
import queue
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import distributed
from distributed.comm import core

from blursynth import errors
from blursynth.production import cluster_workers, executors, task_order, worker_process

_log = logging.getLogger(__name__)

Task = TypeVar("Task")

LOCAL = "local"
CONNECT_SECONDS = 30
# Tasks handed to the scheduler for each thread of the cluster: one to work on and one to go on with at once. So the
# scheduler holds a few tasks at a time, however many there are.
AHEAD = 2
# A terminal sends Ctrl-C to every process; ours heeds it and then ends the workers, which are to say nothing.
_UNHEEDING = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
_WORKER = "blursynth_worker"  # the attribute of an error that says where it was raised
_TICK = 1.0  # seconds between looks at whether the cluster is there and how large it is


@contextlib.contextmanager
def connected(address: str, workers: int | None = None) -> Iterator["Cluster"]:
    """The executor for a scheduler's address, or for `local`: `workers` processes (one a CPU) on this machine.

    Raises ClusterError where no scheduler answers, where it has no workers, or where a worker has another version
    of anything that decides what is in a dataset.
    """
    with contextlib.ExitStack() as stack:
        if address == LOCAL:
            address = stack.enter_context(_quiet(_local(workers or executors.available_workers()))).scheduler_address
        client = stack.enter_context(_quiet(_client(address)))
        cluster = Cluster(client, address)
        cluster.require_alike()
        yield cluster


@contextlib.contextmanager
def _quiet(resource: Any) -> Iterator[Any]:
    """Close the resource at the end, without Dask's warnings on what it loses then; they frighten and mean nothing."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with resource:
            yield resource
    finally:
        logger.setLevel(before)


def _local(workers: int) -> distributed.LocalCluster:
    """Processes of one thread each. Dask's own limits on memory are off: what a task needs is known beforehand."""
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
        preload=[_UNHEEDING],
    )


def _client(address: str) -> distributed.Client:
    """A connection to the scheduler, with at least one worker behind it."""
    try:
        _require_answer(address)
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # the address is anything that a user may type
        raise errors.ClusterError(
            f"No Dask scheduler answers at {address} ({_first_line(error)}). Start one with `dask scheduler` and give "
            "the address that it prints, such as tcp://10.0.0.1:8786; or give `local`."
        ) from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        client.close()
        raise errors.ClusterError(
            f"The Dask scheduler at {address} has no workers. Start some with `dask worker {address}`."
        ) from None
    return client


def _require_answer(address: str) -> None:
    """Open a connection and close it. Raises many kinds of errors where that fails, such as for a malformed address.

    A `distributed.Client` that fails in its constructor waits for its event loop, which may have ended, when it is
    collected: for ever. So none is constructed before something answers.
    """

    async def connect() -> None:
        begin: Any = core.connect  # has no types
        options = distributed.Security().get_connection_args("client")
        answered = await begin(address, timeout=CONNECT_SECONDS, **options)
        await answered.close()

    asyncio.run(connect())


class Cluster:
    """An executor (see `execute.Executor`) whose tasks run on the workers of a Dask cluster."""

    def __init__(self, client: distributed.Client, address: str) -> None:
        self._client = client
        self._address = address
        self._check: cluster_workers.Check | None = None
        self._failed: dict[Any, set[str]] = {}

    @property
    def dashboard(self) -> str:
        """Where the scheduler shows what goes on, for a browser."""
        return str(self._client.dashboard_link)

    @property
    def workers(self) -> int:
        return max(1, sum(self._threads().values()))

    @property
    def memory(self) -> dict[str, tuple[int, int]]:
        known = self._client.scheduler_info(n_workers=-1)["workers"]
        return {name: (worker["nthreads"], worker["memory_limit"] or 2**63) for name, worker in known.items()}

    def require_alike(self) -> None:
        """Raise ClusterError where a worker would make other data than this process, or none at all."""
        ours = worker_process.versions()
        found = self._client.run(worker_process.probe(ours))
        wrong = {name: theirs for name, theirs in found.items() if theirs != ours}
        if wrong:
            lines = "\n".join(f"  {name}: {worker_process.difference(ours, theirs)}" for name, theirs in wrong.items())
            raise errors.ClusterError(
                f"{len(wrong)} of {len(found)} workers differ from this machine in what decides a dataset's bytes:\n"
                f"{lines}\nInstall the same versions there, or close these workers."
            )

    def admit(self, make_check: Callable[[], cluster_workers.Check]) -> None:
        """See `execute.Executor`. A worker that joins later is asked before it gets its first task."""
        self._check, self._failed = make_check(), {}

    def run(self, function: Callable[[Task], None], tasks: Sequence[Task], ended: executors.Ended[Task]) -> None:
        """See `execute.Executor`. Raises ClusterError when the scheduler is lost, or no worker may work.

        When it is stopped, tasks that have begun on workers go on to their end: what they store is what is missing.
        """
        hands = cluster_workers.Crew(self._client, self._address, self._check, self._failed)
        hands.look(self._threads())
        waiting = collections.deque(task_order.spread(tasks, hands.threads))
        with self._sent(function, hands) as sent:
            looked = time.monotonic()
            while waiting or sent.pending:
                while waiting and hands.names and len(sent.pending) < max(1, AHEAD * hands.threads):
                    sent.send(waiting.popleft())
                finished = sent.next()
                if time.monotonic() - looked >= _TICK:
                    self._require_connected()
                    hands.look(self._threads())
                    waiting.extendleft(sent.stranded())
                    looked = time.monotonic()
                if finished is None:
                    continue
                task, future = finished
                error = self._error_of(future)
                if error is not None and hands.is_to_blame(getattr(error, _WORKER, None), task, error):
                    waiting.appendleft(task)
                else:
                    ended(task, error)

    @contextlib.contextmanager
    def _sent(self, function: Callable[[Task], None], hands: cluster_workers.Crew) -> Iterator["_Sent[Task]"]:
        """What is with the scheduler; nothing of it is left there at the end."""
        sent = _Sent(self._client, function, hands)
        try:
            yield sent
        finally:
            with contextlib.suppress(Exception):  # nothing to cancel where the scheduler is gone
                sent.cancel()

    def _error_of(self, future: Any) -> Exception | None:
        """What a task raised; None for success."""
        if future.status == "finished":
            return None
        if future.status == "error":
            error: Exception = future.exception()
            return error
        self._require_connected()
        return errors.ClusterError(f"Its task was {future.status} by somebody else on the cluster at {self._address}")

    def _threads(self) -> Mapping[str, int]:
        try:
            threads: Mapping[str, int] = self._client.nthreads()
        except (OSError, ValueError, TimeoutError) as error:
            raise self._lost() from error
        return threads

    def _require_connected(self) -> None:
        if self._client.status != "running":
            raise self._lost()
        if not self._threads():
            _log.warning("The cluster at %s has no workers; waiting for some.", self._address)

    def _lost(self) -> errors.ClusterError:
        return errors.ClusterError(
            f"The Dask scheduler at {self._address} is lost. Finished shards are kept: start it again and run the same "
            "command to go on."
        )


class _Sent(Generic[Task]):
    """Tasks that are with the scheduler, each for certain workers alone."""

    def __init__(
        self, client: distributed.Client, function: Callable[[Task], None], hands: cluster_workers.Crew
    ) -> None:
        self._client = client
        self._hands = hands
        self._run = uuid.uuid4().hex
        self._numbers = itertools.count()
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.pending: dict[str, tuple[Task, Any, list[str]]] = {}
        # As a task of its own: sent once, kept by the workers, and made again from its bytes when they are lost.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Dask finds a list of half a million photos large
            key, first = f"blursynth-{self._run}-job", hands.names or None
            self._shared = client.submit(
                _itself, function, key=key, pure=False, workers=first, allow_other_workers=first is not None
            )

    def send(self, task: Task) -> None:
        key = f"blursynth-{self._run}-{next(self._numbers)}"
        where = self._hands.fit_for(task)
        future = self._client.submit(_attempt, self._shared, task, key=key, pure=False, workers=where or None)
        self.pending[key] = task, future, where
        future.add_done_callback(lambda future: self._done.put(str(future.key)))

    def next(self) -> tuple[Task, Any] | None:
        """A task that has ended and its future; None where none has for a while."""
        try:
            task, future, _ = self.pending.pop(self._done.get(timeout=_TICK))
        except (queue.Empty, KeyError):  # the latter: one that was taken back
            return None
        return task, future

    def stranded(self) -> list[Task]:
        """Take back the tasks whose workers are all gone, while there are others."""
        keys = [key for key, (_, _, where) in self.pending.items() if where and self._hands.are_gone(where)]
        lost = [self.pending.pop(key) for key in keys]
        self._client.cancel([future for _, future, _ in lost], force=True)
        return [task for task, _, _ in lost]

    def cancel(self) -> None:
        self._client.cancel([future for _, future, _ in self.pending.values()], force=True)


def _itself(value: Any) -> Any:
    return value


def _attempt(function: Callable[[Task], None], task: Task) -> None:
    """One task, on a worker. What it raises says which worker that was."""
    worker_process.prepare_process()
    try:
        function(task)
    except Exception as error:
        portable = _portable(error)
        setattr(portable, _WORKER, distributed.get_worker().address)
        raise portable from None


def _portable(error: Exception) -> Exception:
    """The error as it can be sent to another machine: with its traceback as text, where a user is not its reader."""
    if not isinstance(error, errors.BlursynthError | OSError):
        error.add_note("On the worker:\n" + "".join(traceback.format_tb(error.__traceback__)))
    error.__cause__ = error.__context__ = None
    try:
        same: Exception = pickle.loads(pickle.dumps(error))
    except Exception:  # an error of a class that cannot be sent
        same = RuntimeError(f"{type(error).__name__}: {error}")
    return same


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
