"""One run at a time: who holds a lock, whose lock is broken, and what a refusal says."""

import concurrent.futures
import dataclasses
import json
import logging
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from blursynth import errors
from blursynth.storage import lock


def owner_of_a_dead_process() -> lock.Owner:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return lock.Owner(socket.gethostname(), child.pid, "somebody", "", "2025-01-01T00:00:00+00:00")


def put(path: pathlib.Path, owner: lock.Owner) -> pathlib.Path:
    place = path.with_name(path.name + ".lock")
    place.write_text(json.dumps(dataclasses.asdict(owner)))
    return place


def test_lock_is_there_while_held_and_gone_after(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "fake.zarr"
    with lock.held(str(path)):
        owner = json.loads((tmp_path / "new" / "fake.zarr.lock").read_text())
        assert (owner["pid"], owner["host"]) == (os.getpid(), socket.gethostname())
        assert not path.exists()
    assert list((tmp_path / "new").iterdir()) == []


def test_lock_is_gone_after_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(KeyboardInterrupt), lock.held(str(tmp_path / "fake.zarr")):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_second_run_is_refused_with_owner_and_remedy(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "fake.zarr")
    with lock.held(path):
        message = rf"process {os.getpid()} of .* on .*remove {path}.lock and run again"
        with pytest.raises(errors.DatasetError, match=message), lock.held(path):
            pass
        assert (tmp_path / "fake.zarr.lock").exists()


def test_lock_of_another_host_is_never_broken(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "fake.zarr"
    there = put(path, dataclasses.replace(owner_of_a_dead_process(), host="elsewhere"))
    with pytest.raises(errors.DatasetError, match="on elsewhere"), lock.held(str(path)):
        pass
    assert there.exists()


def test_lock_of_a_dead_process_is_broken_with_a_log_line(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "fake.zarr"
    owner = owner_of_a_dead_process()
    put(path, owner)
    with caplog.at_level(logging.WARNING), lock.held(str(path)):
        assert json.loads((tmp_path / "fake.zarr.lock").read_text())["pid"] == os.getpid()
    assert f"process {owner.pid}" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc to tell processes apart")
def test_lock_of_an_earlier_process_with_our_number_is_broken(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "fake.zarr"
    put(path, dataclasses.replace(lock._this_process(), started="another boot/1"))
    with lock.held(str(path)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_something_else_under_the_name_of_the_lock_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "fake.zarr.lock").write_text("dear diary")
    with pytest.raises(errors.DatasetError, match="not a lock of ours"), lock.held(str(tmp_path / "fake.zarr")):
        pass
    assert (tmp_path / "fake.zarr.lock").read_text() == "dear diary"


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_at_once_one_gets_it(tmp_path: pathlib.Path, stale: bool) -> None:
    path = tmp_path / "fake.zarr"
    if stale:
        put(path, owner_of_a_dead_process())

    def attempt(_: int) -> bool:
        try:
            lock._acquire(str(tmp_path), "fake.zarr.lock", str(path))
        except errors.DatasetError:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(24))) == 1
