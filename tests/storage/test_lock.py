"""One run at a time: who holds a lock, whose lock is broken, and what a refusal says."""

import concurrent.futures
import dataclasses
import json
import logging
import os
import pathlib
import shutil
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
    put(path, dataclasses.replace(lock._this_process(), started=f"{lock._boot()}/1"))
    with lock.held(str(path)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_something_else_under_the_name_of_the_lock_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "fake.zarr.lock").write_text("dear diary")
    with pytest.raises(errors.DatasetError, match="not a lock of ours"), lock.held(str(tmp_path / "fake.zarr")):
        pass
    assert (tmp_path / "fake.zarr.lock").read_text() == "dear diary"


MALFORMED = {
    "empty": b"",
    "binary": bytes(range(256)),
    "a list": b"[1, 2]",
    "a number": b"3",
    "null": b"null",
    "no field": b"{}",
    "deep": b"[" * 100_000,
    "a deep field": b'{"host": ' + b'{"a":' * 50_000,
    "not a number": b'{"host": "h", "pid": "3", "user": "u", "started": "", "since": ""}',
    "a negative number": b'{"host": "HOST", "pid": -1, "user": "u", "started": "", "since": ""}',
    "everybody": b'{"host": "HOST", "pid": 0, "user": "u", "started": "", "since": ""}',
    "a number too large": b'{"host": "HOST", "pid": 99999999999999999999, "user": "u", "started": "", "since": ""}',
    "many digits": b'{"host": "HOST", "pid": ' + b"9" * 5000 + b', "user": "u", "started": "", "since": ""}',
    "infinite": b'{"host": "HOST", "pid": Infinity, "user": "u", "started": "", "since": ""}',
    "not a word": b'{"host": "HOST", "pid": 1, "user": {}, "started": [], "since": ""}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_lock_is_named_and_left(name: str, tmp_path: pathlib.Path) -> None:
    there = tmp_path / "fake.zarr.lock"
    content = MALFORMED[name].replace(b"HOST", socket.gethostname().encode())
    there.write_bytes(content)
    with pytest.raises(errors.DatasetError) as refused, lock.held(str(tmp_path / "fake.zarr")):
        pass
    assert str(there) in str(refused.value)
    assert there.read_bytes() == content


def test_a_huge_lock_is_not_read(tmp_path: pathlib.Path) -> None:
    there = tmp_path / "fake.zarr.lock"
    with there.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(errors.DatasetError, match=r"fake\.zarr\.lock"), lock.held(str(tmp_path / "fake.zarr")):
        pass
    assert there.stat().st_size == 2**40


def test_something_special_under_the_name_of_the_lock_is_named(tmp_path: pathlib.Path) -> None:
    there = tmp_path / "fake.zarr.lock"
    os.mkfifo(there)
    with pytest.raises(errors.DatasetError, match=r"fake\.zarr\.lock"), lock.held(str(tmp_path / "fake.zarr")):
        pass
    there.unlink()
    there.mkdir()
    with pytest.raises(errors.DatasetError), lock.held(str(tmp_path / "fake.zarr")):
        pass
    assert there.is_dir()


def test_a_lock_of_a_later_version_is_understood(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "fake.zarr"
    there = put(path, owner_of_a_dead_process())
    there.write_text(json.dumps(json.loads(there.read_text()) | {"colour": "blue"}))
    with lock.held(str(path)):
        pass
    assert not there.exists()


def test_a_lock_of_an_older_version_is_judged_as_before(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "fake.zarr"
    old = {"host": socket.gethostname(), "user": "u", "since": "", "token": "t"}
    ours = lock._this_process()
    for pid, started, broken in (
        (owner_of_a_dead_process().pid, ours.started, True),
        (ours.pid, ours.started, False),
        (ours.pid, "another boot/1", True),
    ):
        there = path.with_name("fake.zarr.lock")
        there.write_text(json.dumps(old | {"pid": pid, "started": started}))
        if broken:
            with lock.held(str(path)):
                pass
        else:
            with pytest.raises(errors.DatasetError), lock.held(str(path)):
                pass


@pytest.mark.parametrize("changes", [{"namespace": "pid:[4026539999]"}, {"machine": "another"}])
def test_nothing_is_known_of_a_process_out_of_sight(tmp_path: pathlib.Path, changes: dict[str, str]) -> None:
    """Its number means nothing here: there may be none of that number, or another process with it."""
    path = tmp_path / "fake.zarr"
    ours = lock._this_process()
    if not ours.namespace or not ours.machine:
        pytest.skip("the system does not say")
    for pid, started in ((owner_of_a_dead_process().pid, ours.started), (ours.pid, "another boot/1")):
        there = put(path, dataclasses.replace(ours, pid=pid, started=started, **changes))
        with pytest.raises(errors.DatasetError), lock.held(str(path)):
            pass
        there.unlink()


def test_a_container_that_was_started_again_is_another_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of namespaces repeat, on other machines and after a restart; a boot's identity does not."""
    monkeypatch.setattr(lock, "_namespace", lambda: "pid:[4026532001]")
    path = tmp_path / "fake.zarr"
    there = put(path, dataclasses.replace(lock._this_process(), pid=owner_of_a_dead_process().pid))
    with lock.held(str(path)):
        pass
    put(path, dataclasses.replace(lock._this_process(), started="another boot/1"))
    with pytest.raises(errors.DatasetError), lock.held(str(path)):
        pass
    assert there.exists()


HOLD = """
import sys, time
from blursynth.storage import lock
with lock.held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_lock_held_in_another_pid_namespace_is_not_broken(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "fake.zarr"
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        if holder.stdout.readline() != b"held\n":
            pytest.skip("PID namespaces cannot be made here")
        with pytest.raises(errors.DatasetError), lock.held(str(path)):
            pass
        assert path.with_name("fake.zarr.lock").exists()
        holder.stdin.close()
        holder.wait()
    with lock.held(str(path)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_seen_by_others(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "fake.zarr")
    assert lock.token(path) is None
    with lock.held(path) as token:
        assert lock.token(path) == token
    with lock.held(path) as other:
        assert other != token


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
