"""Plans that do not fit are refused with the numbers; a dry run tells what a run would take, and touches nothing."""

import dataclasses
import pathlib
import shutil
from typing import Any

import fake_maker
import pytest

from blursynth import errors
from blursynth.production import calibration, capacity, dry_run, executors, resume, run, worker_process
from blursynth.storage import reader
from blursynth.stores import store

GB = 10**9


@dataclasses.dataclass(frozen=True)
class Heavy(fake_maker.Fake):
    """Says that a shard takes a gigabyte."""

    def peak_bytes(self, items: int) -> int:
        return GB * items // 3


HEAVY = Heavy(items=20, shard_length=3)


class Elsewhere:
    """An executor of two processes with memory of their own."""

    workers = 6
    memory = {"tcp://a": (2, 8 * GB), "tcp://b": (4, 4 * GB)}  # noqa: RUF012


class TestMemory:
    def test_stated_memory_is_kept(self, tmp_path: pathlib.Path) -> None:
        message = (
            r"2 tasks at a time of 1 GB each \(shards of 3 items\) .* need 2.44 GB, more than the 2 GB of --memory"
        )
        with pytest.raises(errors.DatasetError, match=message):
            run.produce(HEAVY, tmp_path / "f.zarr", workers=2, memory=2 * GB)
        assert list(tmp_path.iterdir()) == []
        run.produce(HEAVY, tmp_path / "f.zarr", workers=1, memory=2 * GB)

    def test_workers_by_default_are_as_many_as_fit(self, caplog: pytest.LogCaptureFixture) -> None:
        assert capacity.threads(HEAVY, None, 3 * GB).workers == min(2, executors.available_workers())
        assert capacity.threads(HEAVY, 4, 3 * GB).workers == 4
        if executors.available_workers() > 1:
            assert capacity.threads(HEAVY, None, GB).workers == 1
            assert "more would not fit into 1 GB of memory" in caplog.text

    def test_a_shard_that_fits_nowhere_is_refused(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_process, "memory_bytes", lambda: GB)
        with pytest.raises(errors.DatasetError, match=r"1 task of 1 GB each.* 1 GB of this machine\. Give"):
            run.produce(HEAVY, tmp_path / "f.zarr")

    def test_each_process_of_a_cluster_is_looked_at(self, tmp_path: pathlib.Path) -> None:
        job = resume.look(HEAVY, str(tmp_path / "f.zarr"))
        with pytest.raises(errors.DatasetError, match=r"4 tasks at a time .* more than the 4 GB of tcp://b"):
            capacity.require_fits(job, Elsewhere(), None)  # type: ignore[arg-type]

    def test_a_small_dataset_needs_no_whole_shard(self) -> None:
        assert capacity.task_bytes(dataclasses.replace(HEAVY, items=3, shard_length=300)) == GB


class TestDisk:
    @pytest.fixture
    def little(self, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = shutil.disk_usage(".")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3000))

    @pytest.mark.usefixtures("little")
    def test_what_does_not_fit_is_refused_before_anything_is_written(self, tmp_path: pathlib.Path) -> None:
        message = r"200 items need about \d\S* kB, and 3 kB are free at .*f.zarr"
        with pytest.raises(errors.DatasetError, match=message):
            run.produce(fake_maker.Fake(items=200, shard_length=30), tmp_path / "f.zarr")
        assert list(tmp_path.iterdir()) == []

    def test_what_is_there_already_is_not_counted(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        maker = fake_maker.Fake(items=200, shard_length=2)

        def progress(done: int, total: int) -> None:
            if done > total - 10:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run.produce(maker, tmp_path / "f.zarr", progress=progress)
        usage = shutil.disk_usage(".")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3000))
        run.produce(maker, tmp_path / "f.zarr")

    def test_what_is_replaced_makes_room(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        maker = fake_maker.Fake(items=200, shard_length=30)
        run.produce(maker, tmp_path / "f.zarr")
        usage = shutil.disk_usage(".")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3000))
        run.produce(dataclasses.replace(maker, seed=1), tmp_path / "f.zarr", overwrite=True)

    def test_space_is_asked_for_where_the_output_will_be(self, tmp_path: pathlib.Path) -> None:
        assert store.free_bytes(str(tmp_path / "not" / "yet" / "f.zarr")) > 0


def test_a_calibration_measures_what_is_stored(tmp_path: pathlib.Path) -> None:
    maker = fake_maker.Fake(items=400, shard_length=100)
    job = resume.look(maker, str(tmp_path / "f.zarr"))
    found = calibration.measure(maker, job.tasks(), workers=3)
    assert found.items == 300
    assert list(tmp_path.iterdir()) == []
    run.produce(maker, tmp_path / "f.zarr")
    stored = sum(file.stat().st_size for file in tmp_path.rglob("c/**/*") if file.is_file())
    assert found.bytes_per_item * 400 == pytest.approx(stored, rel=0.1)


def test_a_calibration_is_short_for_slow_items() -> None:
    maker = fake_maker.Fake(items=4000, shard_length=1000, pause=0.3)
    tasks = resume.Job(maker, "/nowhere", resume.State.NEW).tasks()
    found = calibration.measure(maker, tasks, workers=2)
    assert found.items < 20
    assert found.seconds_per_item > 0.1


def foretold(maker: Any, path: pathlib.Path, **options: Any) -> str:
    job = resume.look(maker, str(path), **options)
    return dry_run.describe(dry_run.forecast(job, executors.Threads(2), None), "things")


def test_a_forecast_says_what_there_is_to_do(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    short, long = fake_maker.Growing(items=20), fake_maker.Growing(items=31)
    assert "to be made; nothing is written now." in foretold(short, path)
    assert "items    20 things in 7 shards of 3; to make: 20 in 7" in foretold(short, path)
    assert list(tmp_path.iterdir()) == []
    run.produce(short, path)
    assert "complete; nothing is written now." in foretold(short, path)
    grow = foretold(long, path, append=True)
    assert "finished, to be made longer" in grow
    assert "to make: 11 in 5" in grow
    assert "to be replaced" in foretold(long, path, overwrite=True)
    assert "    [motion]\n    level = 1" in grow
    assert len(reader.open(path)) == 20


def test_amounts_and_times_in_words() -> None:
    assert [capacity.words(amount) for amount in (0, 999, 1000, 1_500_000, 999_999, 4 * GB, 5e15)] == [
        "0 B", "999 B", "1 kB", "1.5 MB", "1 MB", "4 GB", "5 PB"
    ]  # fmt: skip
    assert [dry_run.duration(seconds) for seconds in (0.5, 42, 600, 30_000, 400_000)] == [
        "0.5 s", "42 s", "10 min", "8.3 h", "4.6 days"
    ]  # fmt: skip
