"""What becomes of tasks that fail: tried again after the others, reported, or all is stopped."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from blursynth import errors
from blursynth.media import source_file
from blursynth.production import executors, plan, retries

TASKS = [plan.ShardTask(shard, range(10 * shard, 10 * shard + 10)) for shard in range(30)]


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, instead of waiting."""
    pauses: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", pauses.append)
    monkeypatch.setattr(source_file, "WAITS", retries.WAITS)  # which other tests do not wait
    return pauses


class Serial:
    """The definition of an executor."""

    workers = 1
    memory = {"here": (1, 2**60)}  # noqa: RUF012

    def run(self, function: Callable[[Any], None], tasks: Sequence[Any], ended: Callable[..., None]) -> None:
        for task in tasks:
            error = None
            try:
                function(task)
            except Exception as raised:
                error = raised
            ended(task, error)


class Work:
    """Fails at `failing[shard]` attempts of a shard."""

    def __init__(self, failing: dict[int, int], error: Exception | None = None) -> None:
        self.failing, self.error = failing, error or OSError("no")
        self.begun: list[int] = []

    def __call__(self, task: plan.ShardTask) -> None:
        self.begun.append(task.shard)
        if self.begun.count(task.shard) <= self.failing.get(task.shard, 0):
            raise self.error


def complete(
    work: Callable[[plan.ShardTask], None], stops: Callable[[Exception], bool] = lambda _: False, executor: Any = None
) -> list[int]:
    finished: list[int] = []
    retries.complete(executor or Serial(), work, TASKS, finished=lambda task: finished.append(task.shard), stops=stops)
    return finished


@pytest.mark.parametrize("executor", [Serial(), executors.Threads(3)])
def test_a_shard_that_fails_twice_is_made_at_the_third_attempt_after_all_others(executor: Any) -> None:
    work = Work({3: 2, 20: 1})
    finished = complete(work, executor=executor)
    assert sorted(finished) == list(range(30))
    assert finished[-1] == 3
    assert finished[-2] == 20
    assert work.begun.count(3) == 1 + retries.RETRIES


def test_what_fails_for_good_is_reported_when_all_others_are_made() -> None:
    work = Work({3: 99, 20: 99}, RuntimeError("two\nlines"))
    with pytest.raises(errors.DatasetError) as report:
        complete(work)
    assert str(report.value) == (
        "2 shards could not be made, after 3 attempts each; all others are finished:\n"
        "  shard 3, items 30 to 39: RuntimeError: two lines\n"
        "  shard 20, items 200 to 209: RuntimeError: two lines\n"
        "Mend the cause and run the same command again: it makes only what is missing."
    )
    assert set(work.begun) == set(range(30))


def test_what_nobody_foresaw_keeps_its_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(errors.DatasetError):
        complete(Work({3: 99}, KeyError("surprise")))
    assert "Traceback" in caplog.text
    assert pathlib.Path(__file__).name in caplog.text
    caplog.clear()
    with pytest.raises(errors.DatasetError):
        complete(Work({3: 99}, errors.InputError("foreseen")))
    assert "Traceback" not in caplog.text


def test_where_most_fail_the_rest_is_not_begun() -> None:
    work = Work(dict.fromkeys(range(1, 30), 99), RuntimeError("no"))
    with pytest.raises(errors.DatasetError, match=r"8 shards could not be made, and only 1 could(?s:.)*and 3 more"):
        complete(work)
    assert len(work.begun) == 9


def test_where_most_sources_cannot_be_read_all_is_tried_again_after_a_while(slept: list[float]) -> None:
    """An outage of a file server fails every shard in milliseconds, and passes."""
    begun: list[int] = []

    def away_for_two_seconds(task: plan.ShardTask) -> None:
        begun.append(task.shard)
        if task.shard > 0 and sum(slept) < 2:
            raise errors.SourceError("a.png cannot be read at the moment")

    assert sorted(complete(away_for_two_seconds)) == list(range(30))
    assert slept == list(retries.WAITS)
    assert begun == [*range(9), *range(1, 9), *range(1, 30)]
    gone = Work(dict.fromkeys(range(30), 99), errors.SourceError("a.png cannot be read at the moment"))
    with pytest.raises(errors.DatasetError, match=r"8 shards could not be made(?s:.)*a\.png cannot be read"):
        complete(gone)
    assert len(gone.begun) == 3 * retries.GIVE_UP_AFTER


def test_nothing_else_is_waited_for(slept: list[float]) -> None:
    complete(Work({3: 1}, RuntimeError("no")))
    assert slept == [0.0]


def test_a_function_is_called_again_while_a_source_cannot_be_read(slept: list[float]) -> None:
    results: list[Exception | int] = [errors.SourceError("no"), OSError("no"), 7]

    def next_result() -> int:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    assert retries.patiently(next_result) == 7
    assert slept == list(retries.WAITS)
    results += [errors.SourceError("no")] * 3
    with pytest.raises(errors.SourceError):
        retries.patiently(next_result)
    results += [errors.InputError("no"), 1]
    with pytest.raises(errors.InputError):
        retries.patiently(next_result)


def test_a_few_failures_at_the_start_are_not_most() -> None:
    work = Work(dict.fromkeys(range(7), 1))
    assert len(complete(work)) == 30


def test_what_meets_every_shard_stops_at_once() -> None:
    full = errors.StorageError("No space left on device", 28)
    work = Work({3: 99}, full)
    with pytest.raises(errors.StorageError) as raised:
        complete(work, stops=lambda error: isinstance(error, errors.StorageError) and error.lasts)
    assert raised.value is full
    assert work.begun == [0, 1, 2, 3]


def test_which_refusals_of_the_system_last() -> None:
    assert errors.StorageError("full", 28).lasts
    assert errors.StorageError("read-only", 30).lasts
    assert not errors.StorageError("input/output error", 5).lasts
    assert not errors.StorageError("something").lasts
