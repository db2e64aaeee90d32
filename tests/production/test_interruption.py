"""Killed, interrupted, refused by the disk: the next run completes the dataset to the same arrays."""

import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import fake_maker
import pytest

from blursynth.production import run
from blursynth.storage import reader

SLOW = fake_maker.Fake(items=240, shard_length=5, pause=0.01, broken=11)


def make_until(maker: fake_maker.Fake, path: pathlib.Path, seconds: float, number: signal.Signals) -> int:
    """Begin to make the dataset in another process and send it a signal after a while; gives its exit status."""
    with subprocess.Popen(
        fake_maker.script(maker, path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(seconds)
        child.send_signal(number)
        return child.wait()


def kill_and_resume(path: pathlib.Path, kills: int) -> None:
    moments = random.Random(kills)
    for _ in range(kills):
        make_until(SLOW, path, moments.uniform(0, 0.25), signal.SIGKILL)
    outcome = run.produce(SLOW, path, workers=4)
    fake_maker.assert_holds(reader.open(path), SLOW)
    assert outcome.made + outcome.resumed == SLOW.items
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert not list(path.rglob("*__lock"))


def test_killed_twice_and_resumed(tmp_path: pathlib.Path) -> None:
    kill_and_resume(tmp_path / "f.zarr", kills=2)


@pytest.mark.slow
def test_killed_ten_times_and_resumed(tmp_path: pathlib.Path) -> None:
    for trial in range(2):
        (tmp_path / str(trial)).mkdir()
        kill_and_resume(tmp_path / str(trial) / "f.zarr", kills=5)


def test_interrupt_stops_cleanly(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    slower = dataclasses.replace(SLOW, pause=0.05)
    assert make_until(slower, path, 0.5, signal.SIGINT) != 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.zarr"]  # no lock is left
    outcome = run.produce(SLOW, path)
    assert outcome.resumed + outcome.made == SLOW.items
    assert not outcome.nothing_to_do
    fake_maker.assert_holds(reader.open(path), SLOW)


def test_disk_that_takes_no_more_is_one_sentence_and_the_run_is_continued(tmp_path: pathlib.Path) -> None:
    """A limit on the size of files stands for a full disk: the same call fails, with another number."""
    maker = fake_maker.Fake(items=500, shard_length=100)
    path = tmp_path / "f.zarr"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))"
    done = subprocess.run(fake_maker.script(maker, path, before=limit), capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("blursynth.errors.StorageError: Could not write shard ")
    assert f"in {path}: File too large. What is finished is kept: fix the cause and run the same command again" in last
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.zarr"]
    run.produce(maker, path)
    fake_maker.assert_holds(reader.open(path), maker)


def run_without_rights(path: pathlib.Path) -> str:
    """The last line of what a run says that may not write beside `path`."""
    before = "import os; os.geteuid() == 0 and os.setresuid(65534, 65534, 65534)"
    command = fake_maker.script(fake_maker.Fake(), path, before=before)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.splitlines()[-1]


def test_no_permission_is_one_sentence(tmp_path: pathlib.Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):  # so that a user without rights gets as far as this folder
        folder.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    last = run_without_rights(closed / "f.zarr")
    assert "StorageError: Could not make the lock in " in last
    assert "Permission denied" in last
    assert list(closed.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="needs /proc, which takes no files")
def test_a_place_where_nothing_can_be_made_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"Could not make the lock in /proc/nowhere.*: No such file or directory"):
        run.produce(fake_maker.Fake(), "/proc/nowhere/f.zarr")
