"""Tasks on Dask's threads: every one once, never more than `workers` at a time, and a clean stop."""

import threading
import time

import pytest

from blursynth.production import execute


class Watch:
    """Counts what is under way; fails at the task that it is given as the `fails_at`-th."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.lock = threading.Lock()
        self.fails_at = fails_at
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
            raise OSError("no")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_task_once_and_never_more_than_workers_under_way(workers: int) -> None:
    watch, reported = Watch(), []
    execute.run(watch, range(60), workers=workers, finished=reported.append)
    assert sorted(watch.begun) == list(range(60))
    assert sorted(reported) == list(range(60))
    assert watch.most == workers


def test_finished_is_called_in_the_calling_thread_while_others_work() -> None:
    threads, remaining = set(), []
    watch = Watch()

    def finished(_: int) -> None:
        threads.add(threading.current_thread())
        remaining.append(60 - len(watch.begun))

    execute.run(watch, range(60), workers=2, finished=finished)
    assert threads == {threading.main_thread()}
    assert remaining[0] > 50


def test_first_error_stops_and_nothing_is_left_running() -> None:
    watch = Watch(fails_at=7)
    with pytest.raises(OSError, match="no"):
        execute.run(watch, range(1000), workers=3, finished=lambda _: None)
    assert watch.under_way == 0
    assert len(watch.begun) <= 7 + 2 * 3


def test_no_tasks_is_no_work() -> None:
    execute.run(Watch(fails_at=1), [], workers=2, finished=lambda _: None)


def test_an_error_in_finished_stops_too() -> None:
    def finished(_: int) -> None:
        raise KeyboardInterrupt

    watch = Watch()
    with pytest.raises(KeyboardInterrupt):
        execute.run(watch, range(1000), workers=2, finished=finished)
    assert watch.under_way == 0
    assert len(watch.begun) < 20


def test_available_workers_are_at_least_one() -> None:
    assert execute.available_workers() >= 1
