"""Shards on Dask clusters: the same dataset, whatever happens to workers and scheduler."""

import contextlib
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
from collections.abc import Callable, Iterator
from typing import Any

import clip_files
import fake_maker
import kinds
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from blursynth import errors
from blursynth.maintenance import verify
from blursynth.makers import average_frames_request
from blursynth.production import cluster, executors, run, worker_process
from blursynth.storage import reader

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cluster_processes

FAKE = fake_maker.Fake(items=60, shard_length=3, pause=0.05)


NOWHERE = "nowhere"


@pytest.fixture(scope="module")
def half_blind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[cluster_processes.Cluster, pathlib.Path]]:
    """Two workers, of which one, `blind`, sees nothing in the folder that is given as well; in NOWHERE neither does."""
    hidden = tmp_path_factory.mktemp("hidden")
    with cluster_processes.running(tmp_path_factory.mktemp("cluster")) as running:
        running.worker("seeing", blind=[hidden / NOWHERE])
        running.worker("blind", blind=[hidden])
        yield running, hidden


@pytest.fixture
def two_workers(half_blind: tuple[cluster_processes.Cluster, pathlib.Path]) -> cluster_processes.Cluster:
    """The same, for what both see."""
    return half_blind[0]


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
def test_every_way_of_making_pairs(
    two_workers: cluster_processes.Cluster, kept: Callable[[str], kinds.Kept], tmp_path: pathlib.Path, kind: str
) -> None:
    with cluster.connected(two_workers.address) as executor:
        outcome = run.produce(kept(kind).maker, tmp_path / "a.zarr", executor=executor)
    assert outcome.invalid == LEFT_OUT[kind]
    made, other = kinds.contents(tmp_path / "a.zarr"), kinds.contents(kept(kind).path)
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
    path = tmp_path / "g.zarr"
    with cluster.connected(two_workers.address) as executor:
        # Moved away at once: what is removed file by file is written to again meanwhile.
        removing = when_finished(path, 4, lambda: path.rename(tmp_path / "gone"))
        with pytest.raises(errors.StorageError, match="is gone: it was removed while it was being made") as stopped:
            run.produce(dataclasses.replace(FAKE, items=3000), path, executor=executor)
        removing.join()
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


MALFORMED = ["foo", "127.0.0.1", "tcp://", "bad://x:1", "local://", "tcp://127.0.0.1:99999", "tls://127.0.0.1:9"]
_CONNECT = """
import sys
from blursynth import errors
from blursynth.production import cluster
cluster.CONNECT_SECONDS = 1
for address in sys.argv[1:]:
    try:
        with cluster.connected(address):
            pass
    except errors.ClusterError:
        print("refused", address)
"""


def test_a_malformed_address_ends_the_process() -> None:
    """A client of Dask that fails while it is constructed waits for ever when its process ends."""
    done = subprocess.run(
        [sys.executable, "-c", _CONNECT, *MALFORMED],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cluster_processes.ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"refused {address}" for address in MALFORMED]


def test_no_workers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
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


@pytest.mark.slow
def test_a_worker_of_another_version_makes_nothing(tmp_path: pathlib.Path) -> None:
    """It is refused when it joins later, and before work starts when it is there."""
    maker = dataclasses.replace(FAKE, items=600)
    version = worker_process.versions()["blursynth"]
    with cluster_processes.running(tmp_path) as running:
        running.worker("same")
        with cluster.connected(running.address) as executor:
            running.worker("other", another_version(tmp_path))
            with pytest.raises(errors.ClusterError, match=r"has joined with another version: blursynth 9"):
                run.produce(maker, tmp_path / "f.zarr", executor=executor)
        message = (
            rf"1 of 2 workers differ(?s:.)*tcp://127.0.0.1:\d+: blursynth 9.{version}, here {version}, blursynth code"
        )
        with pytest.raises(errors.ClusterError, match=message), cluster.connected(running.address):
            pass
    run.produce(dataclasses.replace(maker, pause=0), tmp_path / "f.zarr")
    fake_maker.assert_holds(reader.open(tmp_path / "f.zarr"), maker)


def test_what_is_not_the_package_at_all_is_told() -> None:
    assert worker_process.difference({"blursynth": "0.1"}, {"blursynth": "(not installed)"}).startswith(
        "blursynth (not installed), here 0.1"
    )


# A worker that does not see what the others see.


def address_of(executor: cluster.Cluster, name: str) -> str:
    workers = executor._client.scheduler_info(n_workers=-1)["workers"]
    return next(str(address) for address, worker in workers.items() if worker["id"] == name)


def tasks_of(executor: cluster.Cluster, name: str) -> set[str]:
    """The shards that a worker has been given so far, by its own log."""
    found: dict[str, set[str]] = executor._client.run(_made_here)
    return found[address_of(executor, name)]


def _made_here(dask_worker: Any) -> set[str]:
    keys = {str(entry[0]) for entry in dask_worker.state.log}
    return {key for key in keys if key.startswith("blursynth-") and not key.endswith("-job")}


def clip_maker(kind: str, folder: pathlib.Path) -> Any:
    """The maker of averages of a clip: a video, or a folder of frames."""
    folder.mkdir()
    codes = clip_files.moving(40)
    if kind == "video":
        clip = clip_files.write(folder / "clip.mp4", codes)
    else:
        clip = folder / "clip"
        clip.mkdir()
        for k, frame_HWC in enumerate(codes):
            Image.fromarray(frame_HWC).save(clip / f"{k:04d}.png")
    return average_frames_request.maker([str(clip)], {"seed": 3, "frames": 5, "stride": 5, "shard_length": 1})


SOURCES = ("photos", "imported tars", "video")
MORE = ("photos with paths", "photos shaken at depths", "photos with moving objects", "psfs", "imported", "frames")


@pytest.mark.parametrize("kind", [*SOURCES, *(pytest.param(kind, marks=pytest.mark.slow) for kind in MORE)])
def test_a_worker_that_does_not_see_the_sources_is_named_and_gets_no_work(
    half_blind: tuple[cluster_processes.Cluster, pathlib.Path],
    tmp_path: pathlib.Path,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running, hidden = half_blind
    folder = hidden / kind.replace(" ", "-")
    maker = clip_maker(kind, folder) if kind in ("frames", "video") else kinds.make(kind, folder)
    with cluster.connected(running.address) as executor:
        before = tasks_of(executor, "blind")
        outcome = run.produce(maker, tmp_path / "a.zarr", executor=executor)
        blind = address_of(executor, "blind")
        assert tasks_of(executor, "blind") <= before
    named = [record.getMessage() for record in caplog.records if blind in record.getMessage()]
    assert len(named) == 1
    assert str(folder) in named[0]
    assert run.produce(maker, tmp_path / "b.zarr", workers=2).invalid == outcome.invalid
    made, other = (kinds.contents(tmp_path / name) for name in ("a.zarr", "b.zarr"))
    assert made.keys() == other.keys()
    assert all(made[key] == other[key] for key in made if key != "zarr.json")


def test_a_worker_that_does_not_see_the_output_is_named_and_gets_no_work(
    half_blind: tuple[cluster_processes.Cluster, pathlib.Path], caplog: pytest.LogCaptureFixture
) -> None:
    running, hidden = half_blind
    with cluster.connected(running.address) as executor:
        before = tasks_of(executor, "blind")
        run.produce(FAKE, hidden / "f.zarr", executor=executor)
        assert address_of(executor, "blind") in caplog.text
        assert tasks_of(executor, "blind") <= before
    fake_maker.assert_holds(reader.open(hidden / "f.zarr"), FAKE)


@pytest.mark.parametrize("answers", [2, 1])
def test_a_worker_that_misses_something_for_a_moment_is_asked_again(
    two_workers: cluster_processes.Cluster, tmp_path: pathlib.Path, answers: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each worker finds something wrong the first time (or as often as that), and is only then refused."""
    with cluster.connected(two_workers.address) as executor:
        executor.admit(lambda: Momentary(str(tmp_path), answers))
        if answers == 1:
            executor.run(_nothing, range(4), lambda *_: None)
            assert "gets no work" not in caplog.text
        else:
            with pytest.raises(errors.ClusterError):
                executor.run(_nothing, range(4), lambda *_: None)


@dataclasses.dataclass(frozen=True)
class Momentary:
    folder: str
    wrong: int

    def __call__(self) -> str | None:
        times = len(list(pathlib.Path(self.folder).glob(f"{os.getpid()}-*")))
        pathlib.Path(self.folder, f"{os.getpid()}-{times}").touch()
        return "something is missing" if times < self.wrong else None


def test_a_check_that_fails_itself_refuses(two_workers: cluster_processes.Cluster) -> None:
    with cluster.connected(two_workers.address) as executor:
        executor.admit(lambda: _broken_check)
        with pytest.raises(errors.ClusterError):
            executor.run(_nothing, range(4), lambda *_: None)


def _broken_check() -> str | None:
    raise RuntimeError("a mistake of ours")


def test_where_no_worker_sees_anything_nothing_is_begun(
    half_blind: tuple[cluster_processes.Cluster, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    running, hidden = half_blind
    maker = kinds.make("photos", hidden / NOWHERE)
    with cluster.connected(running.address) as executor:
        with pytest.raises(errors.ClusterError) as stopped:
            run.produce(maker, tmp_path / "a.zarr", executor=executor)
        for name in ("seeing", "blind"):
            assert address_of(executor, name) in str(stopped.value)
    assert run.produce(maker, tmp_path / "a.zarr").resumed == 0
    assert verify.verify(tmp_path / "a.zarr").sound


@dataclasses.dataclass(frozen=True)
class Awaiting(fake_maker.Fake):
    """Item 60 waits for a file."""

    note: str = ""

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        while 60 in items and not pathlib.Path(self.note).exists():
            time.sleep(0.05)
        return super().make(items)


@pytest.mark.slow
def test_a_blind_worker_that_joins_later_is_named_and_gets_no_work(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    maker = Awaiting(items=120, shard_length=3, note=str(tmp_path / "note"))
    path = tmp_path / "f.zarr"

    def join() -> None:
        running.worker("blind", blind=[path])
        while "gets no work" not in caplog.text:
            time.sleep(0.1)
        pathlib.Path(maker.note).touch()

    with cluster_processes.running(tmp_path) as running:
        running.worker("seeing")
        with cluster.connected(running.address) as executor:
            joining = threading.Thread(target=join)
            joining.start()
            run.produce(maker, path, executor=executor)
            joining.join()
            assert address_of(executor, "blind") in caplog.text
            assert not tasks_of(executor, "blind")
    fake_maker.assert_holds(reader.open(path), maker)


def can_mount() -> bool:
    tried = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    return (
        shutil.which("unshare") is not None and subprocess.run(tried, check=False, capture_output=True).returncode == 0
    )


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="needs the privilege to mount")
@pytest.mark.parametrize("hidden", ["sources", "out"])
def test_the_command_names_a_worker_with_another_mount(tmp_path: pathlib.Path, hidden: str) -> None:
    photos = kinds.photos(tmp_path / "sources" / "photos")
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "blursynth", "convolve", str(photos), "--size", "24", "--shard-length", "4"]
    command += ["--per-photo", "8", "--length", "5:20", "--steps", "200", "--out"]
    with cluster_processes.running(tmp_path) as running:
        running.worker("seeing")
        running.worker_without("blind", tmp_path / hidden)
        done = subprocess.run(
            [*command, str(tmp_path / "out" / "a.zarr"), "--scheduler", running.address],
            capture_output=True,
            text=True,
            check=False,
            cwd=cluster_processes.ROOT,
        )
    assert done.returncode == 0, done.stderr
    named = [line for line in done.stderr.splitlines() if "gets no work" in line]
    assert len(named) == 1
    assert str(tmp_path / hidden) in named[0]
    subprocess.run([*command, str(tmp_path / "b.zarr"), "--quiet"], check=True, cwd=cluster_processes.ROOT)
    made, other = (kinds.contents(tmp_path / name) for name in ("out/a.zarr", "b.zarr"))
    assert made.keys() == other.keys()
    assert all(made[key] == other[key] for key in made if key != "zarr.json")


@pytest.mark.slow
def test_a_worker_that_joins_takes_over_from_one_that_goes(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Although the tasks of the one were not meant for the other; and a blind one makes nothing meanwhile."""
    maker = dataclasses.replace(FAKE, items=240, pause=0.1)
    path = tmp_path / "f.zarr"
    with cluster_processes.running(tmp_path) as running:
        first = running.worker("seeing")
        running.worker("blind", blind=[path])
        with cluster.connected(running.address) as executor:

            def replace() -> None:
                running.worker("other")
                time.sleep(2.5)
                first.kill()

            replacing = threading.Thread(target=replace)
            replacing.start()
            run.produce(maker, path, executor=executor)
            replacing.join()
            assert not tasks_of(executor, "blind")
            assert tasks_of(executor, "other")
    assert caplog.text.count("gets no work") == 1
    fake_maker.assert_holds(reader.open(path), maker)


@dataclasses.dataclass(frozen=True)
class LosingSight(fake_maker.Fake):
    """Reads a file; the first worker that takes note of itself sees it no more after its second shard."""

    source: str = ""
    note: str = ""

    def reads(self) -> Iterator[tuple[str, str]]:
        yield str(pathlib.Path(self.source).parent), pathlib.Path(self.source).name

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        with contextlib.suppress(FileExistsError), pathlib.Path(self.note).open("x") as file:
            file.write(str(os.getpid()))
        if os.getpid() == int(pathlib.Path(self.note).read_text() or 0) and items.start >= 30:
            _lose(self.source)
        if not os.path.exists(self.source):  # noqa: PTH110
            raise errors.SourceError(f"{self.source} cannot be read.")
        return super().make(items)


def _lose(source: str) -> None:
    def lost(path: Any, *arguments: Any, **options: Any) -> Any:
        if path in (source, pathlib.Path(source)):
            raise FileNotFoundError(source)
        return _stat(path, *arguments, **options)

    os.stat = lost  # type: ignore[assignment]


_stat = os.stat


@pytest.mark.slow
def test_a_worker_that_loses_sight_of_the_sources_gets_no_more_work(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "source").write_text("light")
    maker = LosingSight(items=60, shard_length=3, pause=0.02, source=str(tmp_path / "source"), note=str(tmp_path / "n"))
    with cluster_processes.running(tmp_path) as running:
        running.worker("one")
        running.worker("two")
        with cluster.connected(running.address) as executor:
            run.produce(maker, tmp_path / "f.zarr", executor=executor)
    assert caplog.text.count("gets no work") == 1
    assert "trying them again" not in caplog.text, "no attempt of a shard is lost by it"
    fake_maker.assert_holds(reader.open(tmp_path / "f.zarr"), maker)


@dataclasses.dataclass(frozen=True)
class OnceBad(fake_maker.Fake):
    """Item 12 cannot be read on the worker that tries it first."""

    note: str = ""

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        if 12 in items:
            with contextlib.suppress(FileExistsError), pathlib.Path(self.note).open("x") as file:
                file.write(str(os.getpid()))
            if pathlib.Path(self.note).read_text() == str(os.getpid()):
                raise errors.SourceError("12 cannot be read.")
        return super().make(items)


def test_a_further_attempt_is_anothers(two_workers: cluster_processes.Cluster, tmp_path: pathlib.Path) -> None:
    maker = OnceBad(items=60, shard_length=3, note=str(tmp_path / "note"))
    with cluster.connected(two_workers.address) as executor:
        assert run.produce(maker, tmp_path / "f.zarr", executor=executor).made == 60


def when_finished(path: pathlib.Path, shards: int, act: Callable[[], Any]) -> threading.Thread:
    """Call `act` when so many shards at `path` are finished."""

    def watch() -> None:
        while len(list(path.glob("digest/c/*/0/0"))) < shards:
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
            watching = when_finished(path, maker.schema.shards // 2, kill)
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
            watching = when_finished(path, FAKE.schema.shards // 2, running.scheduler.kill)
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
    assert executors.Threads(3).memory == {"this machine": (3, worker_process.memory_bytes())}
    assert worker_process.memory_bytes() > 2**28


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
