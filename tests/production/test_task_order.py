"""Every task is taken once, whoever takes it; each thread takes what follows as long as it can."""

import concurrent.futures
import threading

import hypothesis
from hypothesis import strategies as st

from blursynth.production import task_order


@hypothesis.given(tasks=st.integers(0, 200), workers=st.integers(1, 9))
def test_spread_tasks_are_the_tasks(tasks: int, workers: int) -> None:
    order = task_order.spread(range(tasks), workers)
    assert sorted(order) == list(range(tasks))
    if tasks >= workers * workers:
        first = order[: -(-tasks // -(-tasks // workers))]
        assert first == list(range(0, tasks, -(-tasks // workers)))


def test_one_thread_takes_its_part_and_then_halves_of_the_others() -> None:
    waiting = task_order.Lanes(range(16), 2)
    taken = [waiting.take() for _ in range(16)]
    assert taken == [*range(8), *range(12, 16), *range(10, 12), 9, 8]


def test_threads_take_every_task_once_and_mostly_in_order() -> None:
    waiting = task_order.Lanes(range(400), 4)
    begin = threading.Barrier(4)

    def take() -> list[int]:
        begin.wait()
        return [waiting.take() for _ in range(100)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = [future.result() for future in [pool.submit(take) for _ in range(4)]]
    assert sorted(task for run in runs for task in run) == list(range(400))
    assert sorted(run[0] for run in runs) == [0, 100, 200, 300]
