"""Two runs never write one dataset: a lock object beside it, made only where there is none."""

import contextlib
import dataclasses
import getpass
import json
import logging
import os
import pathlib
import socket
import uuid
from collections.abc import Iterator

import tensorstore as ts

from blursynth import errors
from blursynth.storage import place, provenance

_log = logging.getLogger(__name__)

_HINT = "The output needs a place where files can be made."


@dataclasses.dataclass(frozen=True)
class Owner:
    """Who holds a lock. `started` tells this process from a later one of the same number; `token`, each attempt."""

    host: str
    pid: int
    user: str
    started: str
    since: str
    token: str = ""


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """Hold the lock of a dataset, `<path>.lock`. It lies beside the dataset, which may not exist or be replaced.

    A lock whose process has died on this host is broken with a log line. Raises DatasetError where another run
    holds it, naming that run and how to break its lock by hand.
    """
    folder, name = place.parent(path)
    key = f"{name}.lock"
    generation = _acquire(folder, key, path)
    try:
        yield
    finally:
        with place.failures(path, "remove the lock"):
            # On condition: should someone have broken the lock by hand, the one there now is not ours.
            place.store(folder).write(key, None, if_equal=generation).result()


def _acquire(folder: str, key: str, path: str) -> bytes:
    text = json.dumps(dataclasses.asdict(_this_process()))
    with place.failures(path, "make the lock", hint=_HINT):
        store = place.store(folder)
        expected = place.ABSENT
        while True:
            written: bytes = store.write(key, text.encode(), if_equal=expected).result().generation
            if written:
                return written
            found = store.read(key).result()
            if found.state != "value":
                # Removed in between; or there is no bucket, which reads take for no object, and a list does not.
                store.list(ts.KvStore.KeyRange(key, f"{key}\0")).result()
                expected = place.ABSENT
                continue
            if found.value == text.encode():  # made by an attempt whose answer was lost, so that it was made again
                return bytes(found.stamp.generation)
            owner = _parse(found.value)
            if owner is None or not _is_dead(owner):
                raise errors.DatasetError(_refusal(path, f"{folder}/{key}", owner))
            _log.warning("Breaking the lock of %s: process %d on this host, its owner, has ended.", path, owner.pid)
            # Conditional on what was read: of several runs that find the same dead owner, one takes over.
            expected = found.stamp.generation


def _refusal(path: str, lock: str, owner: Owner | None) -> str:
    if owner is None:
        return f"{path} is locked by {lock}, which is not a lock of ours; remove that file if no run is writing there."
    return (
        f"{path} is being written by process {owner.pid} of {owner.user} on {owner.host}, since {owner.since}. "
        f"Wait for it to end; if that process is gone, remove {lock} and run again."
    )


def _this_process() -> Owner:
    pid = os.getpid()
    return Owner(socket.gethostname(), pid, _user(), _start_of(pid), provenance.now(), uuid.uuid4().hex)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def _parse(text: bytes) -> Owner | None:
    try:
        return Owner(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _is_dead(owner: Owner) -> bool:
    """Whether the owner was a process of this host that has ended; never true of what cannot be known."""
    if owner.host != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _start_of(owner.pid) != owner.started


def _start_of(pid: int) -> str:
    """Boot and clock tick at which a process started, where /proc tells (Linux); else an empty string."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        fields = pathlib.Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return f"{boot}/{fields[19].decode()}"
