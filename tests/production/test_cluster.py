"""Shards on Dask clusters: the same dataset, whatever happens to workers and scheduler."""

import dataclasses
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import fake_maker
import kinds
import numpy as np
import numpy.typing as npt
import pytest

from blursynth import errors
from blursynth.production import cluster, execute, machine, run
from blursynth.storage import reader

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cluster_processes

FAKE = fake_maker.Fake(items=60, shard_length=3, pause=0.05)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster_processes.Cluster]:
    with cluster_processes.running(tmp_path_factory.mktemp("cluster")) as running:
        running.worker("one")
        running.worker("two")
        yield running


def test_the_same_dataset_as_threads_make(two_workers: cluster_processes.Cluster, tmp_path: pathlib.Path) -> None:
    calls: list[int] = []
    with cluster.connected(two_workers.address) as executor:
        assert executor.workers == 2
        outcome = run.produce(FAKE, tmp_path / "f.zarr", executor=executor, progress=lambda done, _: calls.append(done))
    assert (outcome.made, outcome.resumed) == (60, 0)
    assert calls == sorted(calls)
    assert calls[-1] == 60
    fake_maker.assert_holds(reader.open(tmp_path / "f.zarr"), FAKE)


LEFT_OUT = {
    "imported crops": 3,
    "imported tars": 1,
    "photos with a field": 3,
    "photos with realism": 3,
    "photos shaken at depths": 3,
    "photos with moving objects": 3,
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_every_way_of_making_pairs(two_workers: cluster_processes.Cluster, tmp_path: pathlib.Path, kind: str) -> None:
    maker = kinds.make(kind, tmp_path)
    with cluster.connected(two_workers.address) as executor:
        outcome = run.produce(maker, tmp_path / "a.zarr", executor=executor)
    assert run.produce(maker, tmp_path / "b.zarr", workers=2).invalid == outcome.invalid == LEFT_OUT[kind]
    made, other = (kinds.contents(tmp_path / name) for name in ("a.zarr", "b.zarr"))
    assert made.keys() == other.keys()
    assert all(made[key] == other[key] for key in made if key != "zarr.json")


@dataclasses.dataclass(frozen=True)
class Unlucky(fake_maker.Fake):
    """Item 12 cannot be made; item 30 only at the second attempt."""

    note: str = ""

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        if 12 in items:
            raise RuntimeError("poisoned")
        if 30 in items and not pathlib.Path(self.note).exists():
            pathlib.Path(self.note).touch()
            raise OSError("not yet")
        return super().make(items)


def test_a_poisoned_shard_does_not_stop_the_rest(
    two_workers: cluster_processes.Cluster, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    maker = Unlucky(items=60, note=str(tmp_path / "note"))
    message = r"1 shard could not be made, after 3 attempts each(?s:.)*shard 4, items 12 to 14: RuntimeError: poisoned"
    with cluster.connected(two_workers.address) as executor, pytest.raises(errors.DatasetError, match=message):
        run.produce(maker, tmp_path / "f.zarr", executor=executor)
    assert "On the worker:" in caplog.text
    assert "fake_maker" in caplog.text or "test_cluster" in caplog.text
    outcome = run.produce(dataclasses.replace(FAKE, pause=0), tmp_path / "f.zarr")
    assert (outcome.made, outcome.resumed) == (3, 57)


def test_a_full_disk_on_a_worker_stops_at_once(two_workers: cluster_processes.Cluster, tmp_path: pathlib.Path) -> None:
    """A folder where no array can be made stands for it: the error comes from the worker with its number."""
    maker = fake_maker.Fake(items=3000)
    with cluster.connected(two_workers.address) as executor:
        run.produce(FAKE, tmp_path / "f.zarr", executor=executor)
        path = tmp_path / "g.zarr"
        threading.Timer(0.5, shutil.rmtree, [path], {"ignore_errors": True}).start()
        with pytest.raises(errors.StorageError, match="is gone: it was removed while it was being made") as stopped:
            run.produce(dataclasses.replace(maker, pause=0.05), path, executor=executor)
    assert stopped.value.lasts


def test_a_dataset_that_workers_do_not_see_is_a_sentence(
    two_workers: cluster_processes.Cluster, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "make_shard", _elsewhere)
    with (
        cluster.connected(two_workers.address) as executor,
        pytest.raises(errors.StorageError, match="lies on a file system that not all workers share"),
    ):
        run.produce(FAKE, tmp_path / "f.zarr", executor=executor)


def _elsewhere(maker: Any, path: str, strict: bool, identity: str, task: Any) -> None:
    _original(maker, f"{path}-elsewhere", strict, identity, task)


_original = run.make_shard


def test_few_tasks_are_with_the_scheduler_at_a_time(
    two_workers: cluster_processes.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster.connected(two_workers.address) as executor:
        client, held = executor._client, []
        real = client.submit
        keys: set[str] = set()

        def submit(*arguments: Any, **options: Any) -> Any:
            future = real(*arguments, **options)
            keys.add(future.key)
            held.append(len(client.futures))
            return future

        monkeypatch.setattr(client, "submit", submit)
        executor.run(_nothing, range(300), lambda *_: None)
    assert len(keys) == 301
    assert max(held) < 20, "those that have ended are let go a moment later"


def _nothing(_: int) -> None:
    pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "tcp://", "carrier-pigeon://127.0.0.1:80"])
def test_nobody_answers(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with (
        pytest.raises(errors.ClusterError, match=f"No Dask scheduler answers at {address} "),
        cluster.connected(address),
    ):
        pass


def test_no_workers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2)
    with (
        cluster_processes.running(tmp_path) as running,
        pytest.raises(errors.ClusterError, match=r"has no workers. Start some with `dask worker tcp://127"),
        cluster.connected(running.address),
    ):
        pass


def another_version(folder: pathlib.Path) -> pathlib.Path:
    """A copy of the package that says it is another version."""
    package = folder / "other"
    shutil.copytree(cluster_processes.ROOT / "blursynth", package / "blursynth", ignore=shutil.ignore_patterns("*.nbi"))
    init = package / "blursynth" / "__init__.py"
    init.write_text(init.read_text().replace('__version__ = "', '__version__ = "9.'))
    return package


def test_a_worker_of_another_version_is_refused_before_work_starts(tmp_path: pathlib.Path) -> None:
    version = machine.versions()["blursynth"]
    with cluster_processes.running(tmp_path) as running:
        running.worker("same")
        running.worker("other", another_version(tmp_path))
        message = (
            rf"1 of 2 workers differ(?s:.)*tcp://127.0.0.1:\d+: blursynth 9.{version}, here {version}, blursynth code"
        )
        with pytest.raises(errors.ClusterError, match=message), cluster.connected(running.address):
            pass


def test_a_worker_of_another_version_that_joins_later_makes_nothing(tmp_path: pathlib.Path) -> None:
    with cluster_processes.running(tmp_path) as running:
        running.worker("same")
        with cluster.connected(running.address) as executor:
            running.worker("other", another_version(tmp_path))
            with pytest.raises(errors.ClusterError, match=r"has joined with another version: blursynth 9"):
                run.produce(dataclasses.replace(FAKE, items=600), tmp_path / "f.zarr", executor=executor)
        run.produce(dataclasses.replace(FAKE, items=600, pause=0), tmp_path / "f.zarr")
    fake_maker.assert_holds(reader.open(tmp_path / "f.zarr"), dataclasses.replace(FAKE, items=600))


def test_what_is_not_the_package_at_all_is_told() -> None:
    assert cluster._difference({"blursynth": "0.1"}, {"blursynth": "(not installed)"}).startswith(
        "blursynth (not installed), here 0.1"
    )


def at_half(path: pathlib.Path, act: Any, maker: fake_maker.Fake = FAKE) -> threading.Thread:
    """Call `act` when half of the shards at `path` are finished."""

    def watch() -> None:
        while len(list(path.glob("digest/c/*/0/0"))) < maker.schema.shards // 2:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
def test_a_killed_workers_shards_are_made_again(tmp_path: pathlib.Path, times: int) -> None:
    """Arrays equal a serial run's, although a worker is killed in the middle (and, more often, replaced)."""
    maker = dataclasses.replace(FAKE, items=240, pause=0.2)
    path = tmp_path / "f.zarr"
    with cluster_processes.running(tmp_path) as running:
        running.worker("one")
        doomed = running.worker("two")

        def kill() -> None:
            victim = doomed
            for number in range(times):
                victim.send_signal(signal.SIGKILL)
                if number + 1 < times:
                    victim = running.worker(f"next-{number}")
                    time.sleep(0.5)

        with cluster.connected(running.address) as executor:
            watching = at_half(path, kill, maker)
            outcome = run.produce(maker, path, executor=executor)
            watching.join()
        assert doomed.wait() == -signal.SIGKILL
    assert outcome.made == 240
    serial = tmp_path / "serial.zarr"
    run.produce(dataclasses.replace(maker, pause=0), serial, workers=1)
    one, other = reader.open(path), reader.open(serial)
    for name in one.names:
        np.testing.assert_array_equal(one.read(name, range(240)), other.read(name, range(240)))
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, other.columns[name])
    assert one.fingerprint == other.fingerprint


@pytest.mark.slow
def test_a_lost_scheduler_is_a_sentence_and_the_run_is_continued(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    with cluster_processes.running(tmp_path) as running:
        running.worker("one")
        with cluster.connected(running.address) as executor:
            watching = at_half(path, running.scheduler.kill)
            with pytest.raises(errors.ClusterError, match=r"is lost\. Finished shards are kept"):
                run.produce(FAKE, path, executor=executor)
            watching.join()
    outcome = run.produce(dataclasses.replace(FAKE, pause=0), path)
    assert outcome.resumed >= 30
    fake_maker.assert_holds(reader.open(path), FAKE)


@pytest.mark.slow
def test_an_interrupt_leaves_a_dataset_that_threads_go_on_with(
    two_workers: cluster_processes.Cluster, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "f.zarr"

    def progress(done: int, _: int) -> None:
        if done >= 30:
            raise KeyboardInterrupt

    with cluster.connected(two_workers.address) as executor:
        with pytest.raises(KeyboardInterrupt):
            run.produce(FAKE, path, executor=executor, progress=progress)
        outcome = run.produce(dataclasses.replace(FAKE, pause=0), path)
    assert 30 <= outcome.resumed < 60
    fake_maker.assert_holds(reader.open(path), FAKE)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_of_all_processes_is_one_sentence(number: signal.Signals, tmp_path: pathlib.Path) -> None:
    """A terminal sends Ctrl-C to the workers of a local cluster as well, a batch system its SIGTERM to the command."""
    command = ["trajectories", "--n", "200000", "--shard-length", "100", "--quiet", "--out", str(tmp_path / "f.zarr")]
    with subprocess.Popen(
        [sys.executable, "-m", "blursynth", *command, "--scheduler", "local", "--workers", "2"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=cluster_processes.ROOT,
        start_new_session=True,
    ) as process:
        while not list(tmp_path.glob("f.zarr/digest/c/*/0/0")):
            time.sleep(0.05)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == 130
    lines = [line for line in err.splitlines() if line and "dashboard" not in line]
    assert lines == ["blursynth: Interrupted. What is finished is kept: run the same command again to go on."]
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.zarr"]


@pytest.mark.slow
def test_local_starts_processes_and_names_its_dashboard(tmp_path: pathlib.Path) -> None:
    command = ["trajectories", "--n", "300", "--steps", "50", "--scheduler", "local", "--workers", "2", "--out"]
    done = subprocess.run(
        [sys.executable, "-m", "blursynth", *command, str(tmp_path / "f.zarr")],
        capture_output=True,
        text=True,
        check=False,
        cwd=cluster_processes.ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "2 workers; dashboard: http://127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
    assert reader.open(tmp_path / "f.zarr").items == 300


def test_threads_say_what_they_may_use() -> None:
    assert execute.Threads(3).memory == {"this machine": (3, machine.memory_bytes())}
    assert machine.memory_bytes() > 2**28


def test_workers_compute_on_one_thread(two_workers: cluster_processes.Cluster) -> None:
    with cluster.connected(two_workers.address) as executor:
        executor.run(_nothing, range(8), lambda *_: None)
        settings = executor._client.run(_threads_of_libraries)
    assert set(settings.values()) == {"1"}


def _threads_of_libraries() -> str:
    import os

    return os.environ["OPENBLAS_NUM_THREADS"]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
