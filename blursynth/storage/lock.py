"""Two runs never write one dataset: a lock object beside it, made only where there is none."""

import contextlib
import dataclasses
import getpass
import hashlib
import json
import logging
import os
import pathlib
import socket
import uuid
from collections.abc import Iterator

import tensorstore as ts

from blursynth import errors
from blursynth.storage import provenance
from blursynth.stores import store as place

_log = logging.getLogger(__name__)

_HINT = "The output needs a place where files can be made."
_LARGEST = 64 * 2**10  # bytes of a lock; a larger file is none, and is not read
_PIDS = range(1, 2**31)
_FIRST_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of Linux: of what runs in no container


@dataclasses.dataclass(frozen=True)
class Owner:
    """Who holds a lock. `started` tells this process from a later one of the same number; `token`, each attempt.

    `namespace`: within which `pid` counts. `machine`: which machine `host` is, where several have the name. Both are
    empty in locks of older versions, and where the system does not say.
    """

    host: str
    pid: int
    user: str
    started: str
    since: str
    token: str = ""
    namespace: str = ""
    machine: str = ""


@contextlib.contextmanager
def held(path: str) -> Iterator[str]:
    """Hold the lock of a dataset, `<path>.lock`. It lies beside the dataset, which may not exist or be replaced.

    Gives the lock's token, which `token` reads wherever the same file is seen. A lock whose process has died on this
    host is broken with a log line. Raises DatasetError where another run holds it, naming that run and how to break
    its lock by hand.
    """
    folder, key = _lying(path)
    owner = _this_process()
    generation = _acquire(folder, key, path, owner)
    try:
        yield owner.token
    finally:
        with place.failures(path, "remove the lock"):
            # On condition: should someone have broken the lock by hand, the one there now is not ours.
            place.store(folder).write(key, None, if_equal=generation).result()


def token(path: str) -> str | None:
    """The token of the lock of a dataset as this process sees it; None where there is none."""
    folder, key = _lying(path)
    place.require_plain(folder, key)
    with place.failures(path, "read the lock", hint=""):
        found = _read(place.store(folder), key)
    owner = _parse(found.value) if found is not None and found.state == "value" else None
    return None if owner is None else owner.token


def _lying(path: str) -> tuple[str, str]:
    folder, name = place.parent(path)
    return folder, f"{name}.lock"


def _acquire(folder: str, key: str, path: str, wanted: Owner | None = None) -> bytes:
    place.require_plain(folder, key)
    text = json.dumps(dataclasses.asdict(wanted or _this_process()))
    with place.failures(path, "make the lock", hint=_HINT):
        store = place.store(folder)
        expected = place.ABSENT
        while True:
            written: bytes = store.write(key, text.encode(), if_equal=expected).result().generation
            if written:
                return written
            found = _read(store, key)
            if found is not None and found.state != "value":
                # Removed in between; or there is no bucket, which reads take for no object, and a list does not.
                store.list(ts.KvStore.KeyRange(key, f"{key}\0")).result()
                expected = place.ABSENT
                continue
            if found is not None and found.value == text.encode():
                return bytes(found.stamp.generation)  # by an attempt whose answer was lost, so that it was made again
            owner = None if found is None else _parse(found.value)
            if found is None or owner is None or not _is_dead(owner):
                raise errors.DatasetError(_refusal(path, f"{folder}/{key}", owner))
            _log.warning("Breaking the lock of %s: process %d on this host, its owner, has ended.", path, owner.pid)
            # Conditional on what was read: of several runs that find the same dead owner, one takes over.
            expected = found.stamp.generation


def _read(store: ts.KvStore, key: str) -> ts.KvStore.ReadResult | None:
    """The lock as it lies there; None where it is too large to be one."""
    with contextlib.suppress(ValueError):  # a range that ends beyond the object is refused
        if store.read(key, byte_range=slice(0, _LARGEST)).result().state == "value":
            return None
    return store.read(key).result()


def _refusal(path: str, lock: str, owner: Owner | None) -> str:
    if owner is None:
        return f"{path} is locked by {lock}, which is not a lock of ours; remove that file if no run is writing there."
    elsewhere = ", in a container or another PID namespace" if _is_elsewhere(owner) else ""
    return (
        f"{path} is being written by process {owner.pid} of {owner.user} on {owner.host}{elsewhere}, since "
        f"{owner.since}. Wait for it to end; if that process is gone, remove {lock} and run again."
    )


def _this_process() -> Owner:
    pid = os.getpid()
    return Owner(
        socket.gethostname(),
        pid,
        _user(),
        _start_of(pid),
        provenance.now(),
        uuid.uuid4().hex,
        _namespace(),
        _machine(),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def _parse(text: bytes) -> Owner | None:
    """The owner that a lock names; None for all that is no lock. Fields of later versions are passed over."""
    try:
        found = json.loads(text)
        known = {field.name for field in dataclasses.fields(Owner)}
        owner = Owner(**{name: value for name, value in found.items() if name in known})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    words = [value for name, value in dataclasses.asdict(owner).items() if name != "pid"]
    if type(owner.pid) is not int or owner.pid not in _PIDS or not all(isinstance(word, str) for word in words):
        return None
    return owner


def _is_dead(owner: Owner) -> bool:
    """Whether the owner was a process of this host that has ended; never true of what cannot be known."""
    if owner.host != socket.gethostname() or os.name != "posix" or _is_elsewhere(owner):
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    started = _start_of(owner.pid)
    return bool(started) and started != owner.started  # a process of somebody else may be hidden in /proc


def _is_elsewhere(owner: Owner) -> bool:
    """Whether its process may be out of sight, so that nothing is known of it: see `Owner`.

    That is one of another PID namespace, or of another machine of the same name. After a restart of a machine its
    first namespace is the same one, of which no process is left; a container is another one each time.
    """
    if not owner.namespace:
        return False
    if owner.namespace != _namespace() or (owner.machine and _machine() and owner.machine != _machine()):
        return True
    return owner.namespace != _FIRST_NAMESPACE and owner.started.partition("/")[0] != _boot()


def _namespace() -> str:
    """Which PID namespace this process is in, where the system tells (Linux)."""
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        return ""


def _machine() -> str:
    """A digest of this machine's identity, which the system asks not to publish as it is; empty where it has none."""
    try:
        identity = pathlib.Path("/etc/machine-id").read_bytes().strip()
    except OSError:
        return ""
    return hashlib.sha256(b"blursynth lock " + identity).hexdigest()[:16] if identity else ""


def _start_of(pid: int) -> str:
    """Boot and clock tick at which a process started, where /proc tells (Linux); else an empty string."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return f"{_boot()}/{fields[19].decode()}" if _boot() else ""


def _boot() -> str:
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
