"""FIFOs, sockets and devices in the place of files: a sentence that names them, no wait without end, none removed."""

import os
import pathlib
import socket
import stat
import threading
from collections.abc import Callable
from typing import Any

import fake_maker
import pytest

from blursynth import errors
from blursynth.maintenance import repair, verify
from blursynth.production import run
from blursynth.storage import reader
from blursynth.stores import store

FAKE = fake_maker.Fake(items=8)


def fifo(path: pathlib.Path) -> None:
    os.mkfifo(path)


def unix_socket(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def device(path: pathlib.Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # as /dev/zero, which never ends
    except PermissionError:
        pytest.skip("devices cannot be made here")


KINDS = [fifo, unix_socket, device]


def in_time(act: Callable[[], Any]) -> Any:
    """What `act` gives or raises, within ten seconds."""
    ended: list[Any] = []

    def call() -> None:
        try:
            ended.append(act())
        except errors.BlursynthError as error:
            ended.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(10)
    assert ended, "waits, or has another error"
    return ended[0]


@pytest.mark.parametrize("make", KINDS)
def test_as_a_dataset(make: Callable[[pathlib.Path], None], tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    path = pathlib.Path("f.zarr")
    make(path)
    before = path.stat()
    for act in (
        lambda: reader.open(path),
        lambda: verify.verify(path),
        lambda: repair.repair(path),
        lambda: run.produce(FAKE, path),
        lambda: run.produce(FAKE, path, overwrite=True),
        lambda: run.produce(FAKE, path / "f.zarr"),
        lambda: store.write_file(path, b"report"),
    ):
        error = in_time(act)
        assert isinstance(error, errors.DatasetError)
        assert "f.zarr" in str(error)
    assert path.stat() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.zarr"]


@pytest.mark.parametrize("key", ["zarr.json", "picture/zarr.json", "picture/c/1/0/0/0", "weight/c/1", "digest/c/1/0/0"])
@pytest.mark.parametrize("make", KINDS)
def test_in_a_dataset(
    make: Callable[[pathlib.Path], None], key: str, fake: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir((fake / key).parent)
    (fake / key).unlink()
    make(pathlib.Path((fake / key).name))
    mode = (fake / key).stat().st_mode
    for act in (lambda: verify.verify(fake), lambda: repair.repair(fake), lambda: run.produce(fake_maker.Fake(), fake)):
        found = in_time(act)
        assert key in str(found) or isinstance(found, run.Outcome)
    assert (fake / key).stat().st_mode == mode


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    from blursynth.makers import registry

    monkeypatch.setitem(registry.MAKERS, "fake", "fake_maker")
    run.produce(fake_maker.Fake(), tmp_path / "f.zarr")
    return tmp_path / "f.zarr"
