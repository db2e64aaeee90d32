"""Tasks on Dask's threads: every one once, never more than `workers` at a time, its error handed back, a clean stop."""

import threading
import time

import pytest

from blursynth import errors
from blursynth.production import executors


class Watch:
    """Counts what is under way; fails at the task that it is given as the `fails_at`-th."""

    def __init__(self, fails_at: int | None = None, error: type[BaseException] = OSError) -> None:
        self.lock = threading.Lock()
        self.fails_at, self.error = fails_at, error
        self.under_way = self.most = 0
        self.begun: list[int] = []

    def __call__(self, task: int) -> None:
        with self.lock:
            self.begun.append(task)
            fails = len(self.begun) == self.fails_at
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        time.sleep(0 if fails else 0.01)
        with self.lock:
            self.under_way -= 1
        if fails:
            raise self.error("no")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_task_once_and_never_more_than_workers_under_way(workers: int) -> None:
    watch, reported = Watch(), dict[int, Exception | None]()
    executors.Threads(workers).run(watch, range(60), reported.__setitem__)
    assert sorted(watch.begun) == list(range(60))
    assert reported == dict.fromkeys(range(60))
    assert watch.most == workers


def test_ended_is_called_in_the_calling_thread_while_others_work() -> None:
    threads, remaining = set(), []
    watch = Watch()

    def ended(_: int, __: Exception | None) -> None:
        threads.add(threading.current_thread())
        remaining.append(60 - len(watch.begun))

    executors.Threads(2).run(watch, range(60), ended)
    assert threads == {threading.main_thread()}
    assert remaining[0] > 50


def test_an_error_is_handed_back_and_the_others_go_on() -> None:
    watch, reported = Watch(fails_at=7), dict[int, Exception | None]()
    executors.Threads(3).run(watch, range(40), reported.__setitem__)
    failed = {task: error for task, error in reported.items() if error is not None}
    assert [str(error) for error in failed.values()] == ["no"]
    assert list(failed) == [watch.begun[6]]
    assert len(reported) == 40


def test_no_tasks_is_no_work() -> None:
    executors.Threads(2).run(Watch(fails_at=1), [], lambda *_: None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_in_ended_stops_and_nothing_is_left_running(error: type[BaseException]) -> None:
    def ended(*_: object) -> None:
        raise error

    watch = Watch()
    with pytest.raises(error):
        executors.Threads(2).run(watch, range(1000), ended)
    assert watch.under_way == 0
    assert len(watch.begun) < 20


def test_an_interrupt_in_a_task_stops() -> None:
    watch = Watch(fails_at=7, error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        executors.Threads(3).run(watch, range(1000), lambda *_: None)
    assert watch.under_way == 0
    assert len(watch.begun) <= 7 + 2 * 3


def test_available_workers_are_at_least_one() -> None:
    assert executors.available_workers() >= 1


def test_amounts_of_memory() -> None:
    assert executors.parse_bytes("8GB") == 8_000_000_000
    assert executors.parse_bytes("500 MiB") == 500 * 2**20
    with pytest.raises(errors.RecipeError, match="lots is not an amount of memory"):
        executors.parse_bytes("lots")
    for text in ("9" * 400, "1e400", "nan", "-5GB", "0", "1e20 GB", ""):
        with pytest.raises(errors.RecipeError):
            executors.parse_bytes(text)
