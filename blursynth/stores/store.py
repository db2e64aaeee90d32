"""Where a dataset lies: keys and bytes at a path, local or in an object store (`remote`), through tensorstore.

Every other module of this room speaks of a dataset's path and of keys under it, so that another kind of store is
added here alone.
"""

import contextlib
import errno
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, TypeVar

import tensorstore as ts

from blursynth import errors
from blursynth.config import records
from blursynth.media import source_file
from blursynth.stores import s3

Read = TypeVar("Read")

# The generation that tensorstore gives a key without a value; a write on this condition creates or fails.
ABSENT = b"\x02"

_LEFTOVER = ".__lock"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # one letter is a drive
_MARKS = ("zarr.json", "blursynth.json")  # of a dataset and of an export: asked for first, a list may be long
_PIECE = 16 * 2**20  # bytes of an object that are asked for at a time
_FINISHED = "digest/"  # below it are the marks of what is finished


def normalise(path: str | os.PathLike[str]) -> str:
    """One name for one place: absolute, links resolved, no slash at the end; or `s3://BUCKET/PREFIX`.

    Raises DatasetError for another kind of address, which would make a folder of its name, and for a NUL character.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise errors.DatasetError(f"{text!r} has a NUL character in it, which no path can have; name another place.")
    if s3.is_remote(text):
        return s3.normalise(text)
    if _SCHEME.match(text):
        raise errors.DatasetError(f"{text} is no place that is known here; expected a path, or s3://BUCKET/NAME.")
    return os.path.realpath(text)


def parent(path: str) -> tuple[str, str]:
    """Where a normalised path lies, and its name there."""
    if s3.is_remote(path):
        folder, _, name = path.rpartition("/")
        return folder, name
    return str(pathlib.Path(path).parent), pathlib.Path(path).name


def kvstore_spec(path: str, *names: str) -> dict[str, Any]:
    """The tensorstore specification of the store at a path, or of an array in it."""
    if s3.is_remote(path):
        return s3.spec(path, *names)
    if os.sep != "\\" and "\\" in path:
        raise errors.DatasetError(
            f"{path} has a backslash in it, which tensorstore takes for a slash; choose another name."
        )
    return {"driver": "file", "path": "/".join([path, *names, ""])}


def store(path: str) -> ts.KvStore:
    """The keys and bytes under a path. Values appear whole or not at all, also when the writer is killed."""
    spec = kvstore_spec(path)
    if s3.is_remote(path):
        return _opened(json.dumps(spec), os.getpid())
    return ts.KvStore.open(spec, context=context()).result()


@functools.lru_cache(maxsize=64)
def _opened(spec: str, process: int) -> ts.KvStore:  # noqa: ARG001  # a forked copy of a process opens its own
    """A store that is kept open, with its connections."""
    return ts.KvStore.open(json.loads(spec), context=context()).result()


def context() -> ts.Context:
    """Limits for storing: a task is one thread of several, so tensorstore's own pools stay small."""
    return ts.Context({"data_copy_concurrency": {"limit": 1}, "cache_pool": {"total_bytes_limit": 0}})


def require_plain(path: str, key: str) -> None:
    """Raise StorageError where a FIFO, a socket or a device has the name of an object.

    Opening one may wait for ever, and renaming a new file over it, as a write does, would remove a device.
    """
    kind = None if s3.is_remote(path) else _special(f"{path}/{key}")
    if kind is not None:
        raise errors.StorageError(
            f"{path}/{key} is {kind}; expected a file, or nothing. Remove it, or choose another place.", errno.ENODEV
        )


def _special(name: str) -> str | None:
    """What a name stands for that is neither a file nor a folder, with links followed; None for all else."""
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else source_file.kind(mode)


def read_json(path: str, key: str) -> Any | None:
    """A JSON document, or None where there is none. Raises DatasetError where it is not JSON."""
    value = read_bytes(path, key)
    return None if value is None else records.parse(value, f"{path}/{key}", errors.DatasetError)


def write_json(path: str, key: str, document: Any) -> None:
    """Write a JSON document as one object."""
    write_bytes(path, key, json_bytes(document))


def json_bytes(document: Any) -> bytes:
    """The one way in which a JSON document is written here."""
    return json.dumps(document, indent=2, allow_nan=False).encode()


def write_bytes(path: str, key: str, value: bytes) -> None:
    """Write one object; it appears whole or not at all."""
    require_plain(path, key)
    with failures(path, f"write {key}"):
        store(path).write(key, value).result()


def remove_object(path: str, key: str) -> None:
    """Remove one object, if it is there."""
    with failures(path, f"remove {key}"):
        store(path).write(key, None).result()


def write_file(target: str | os.PathLike[str], value: bytes) -> None:
    """Write one file wherever it lies, whole or not at all; folders above it are made. Raises StorageError."""
    path, name = parent(normalise(target))
    require_plain(path, name)
    with failures(path, f"write {name}", hint=""):
        store(path).write(name, value).result()


def keys_below(path: str, prefix: str) -> set[str]:
    """The keys under a path that begin with a prefix, which ends with a slash."""
    last = prefix[:-1] + chr(ord("/") + 1)
    with failures(path, f"list {prefix}", hint=""):
        return {key.decode() for key in store(path).list(ts.KvStore.KeyRange(prefix, last)).result()}


def read_range(path: str, key: str, start: int, size: int) -> bytes | None:
    """`size` bytes of an object from `start`, or None where there is no object."""
    require_plain(path, key)
    with failures(path, f"read {key}", hint=""):
        found = store(path).read(key, byte_range=slice(start, start + size)).result()
    value: bytes | None = found.value if found.state == "value" else None
    return value


_RESUME = "What is finished is kept: fix the cause and run the same command again to go on."


@contextlib.contextmanager
def failures(path: str, act: str, hint: str = _RESUME) -> Iterator[None]:
    """Turn what the operating system and tensorstore refuse into a sentence that names the act and the place.

    Wrap nothing but calls to them: tensorstore reports by ValueError, as our own mistakes might.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError, NotImplementedError, OverflowError) as error:
        if isinstance(error, errors.BlursynthError):
            raise
        if s3.is_remote(path):
            words, number = s3.reason(str(error))
        else:
            number = _number(error)
            words = _reason(error, number)
        raise errors.StorageError(f"Could not {act} in {path}: {words}. {hint}".rstrip(), number) from error


def _number(error: Exception) -> int | None:
    """The system's error number, which tensorstore passes on in its message."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return int(found.group(1)) if found else None


def _reason(error: Exception, number: int | None) -> str:
    """The system's own words where its error number is known, else the first words of the message."""
    if number is not None:
        return os.strerror(number)
    text = str(error).partition(" [tensorstore_spec=")[0]
    return text if len(text) <= 300 else text[:300] + "..."


# From here on: what a local file system and an object store do each in its own way.


def names(path: str) -> list[str] | None:
    """All files below a path, relative to it, with links followed (each folder once); None where there is no folder."""
    if s3.is_remote(path):
        return _keys(path) or None
    if not pathlib.Path(path).is_dir():
        return None
    found = []
    visited = set()
    with failures(path, "list what is", hint=""):
        for folder, folders, files in os.walk(path, onerror=_raise, followlinks=True):
            status = pathlib.Path(folder).stat()
            if (status.st_dev, status.st_ino) in visited:
                folders.clear()
                continue
            visited.add((status.st_dev, status.st_ino))
            found += [pathlib.Path(folder, file).relative_to(path).as_posix() for file in files]
    return [name for name in found if not name.endswith(_LEFTOVER)]


def read_bytes(path: str, key: str) -> bytes | None:
    """An object, or None where there is none."""
    with failures(path, f"read {key}", hint=""):
        if not s3.is_remote(path):
            return _of_file(path, key, lambda file: file.read())
        found = store(path).read(key).result()
    value: bytes | None = found.value if found.state == "value" else None
    return value


def digest(path: str, key: str) -> tuple[bytes | None, int]:
    """SHA-256 and size of an object, read in pieces; (None, 0) where there is none."""
    with failures(path, f"read {key}", hint=""):
        if s3.is_remote(path):
            return _digest_of_pieces(store(path), key)
        found = _of_file(path, key, lambda file: (hashlib.file_digest(file, "sha256").digest(), file.tell()))
    return found or (None, 0)


def _of_file(path: str, key: str, read: Callable[[io.BufferedReader], Read]) -> Read | None:
    """What is read of a file, or None where there is none."""
    require_plain(path, key)
    try:
        with pathlib.Path(path, key).open("rb") as file:
            return read(file)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def _digest_of_pieces(kvstore: ts.KvStore, key: str) -> tuple[bytes | None, int]:
    """As `digest`; a store refuses a range that ends beyond the object, so the last is asked for without an end."""
    if kvstore.read(key, byte_range=slice(0, 0)).result().state != "value":
        return None, 0
    total, size = hashlib.sha256(), 0
    while True:
        try:
            piece = kvstore.read(key, byte_range=slice(size, size + _PIECE)).result().value
        except ValueError:
            piece = kvstore.read(key, byte_range=slice(size, None)).result().value
        total.update(piece)
        size += len(piece)
        if len(piece) < _PIECE:
            return total.digest(), size


def opened(path: str, key: str) -> IO[bytes]:
    """A file for reading from any place in it (remote: read whole); raises StorageError where it cannot be."""
    if s3.is_remote(path):
        return io.BytesIO(read_bytes(path, key) or b"")
    require_plain(path, key)
    with failures(path, f"read {key}", hint=""):
        return pathlib.Path(path, key).open("rb")


def is_vacant(path: str) -> bool:
    """Nothing there, or folders without a file but what a killed first write left behind."""
    if s3.is_remote(path):
        return all(read_bytes(path, mark) is None for mark in _MARKS) and not _keys(path)
    if not pathlib.Path(path).is_dir():
        return not os.path.lexists(path)
    with failures(path, "list what is"):
        for folder, folders, names in os.walk(path, onerror=_raise):
            links = [name for name in folders if pathlib.Path(folder, name).is_symlink()]
            if links or not all(name.endswith(_LEFTOVER) for name in names):
                return False
    return True


def _keys(path: str) -> list[str]:
    """All keys under a path."""
    with failures(path, "list what is", hint=""):
        return sorted(key.decode() for key in store(path).list().result())


def probe(path: str, folder: str) -> None:
    """Make a small object in a folder of a dataset, read it, and remove it. Raises StorageError where that fails.

    Should it be left behind, `sweep` removes it.
    """
    name = f"probe-{uuid.uuid4().hex}{_LEFTOVER}"
    if s3.is_remote(path):
        key = f"{folder}/{name}"
        write_bytes(path, key, name.encode())
        there = read_bytes(path, key)
        remove_object(path, key)
    else:
        file = pathlib.Path(path, folder, name)  # not by tensorstore, which keeps such names for itself
        with failures(path, f"write {folder}/{name}"):
            file.write_text(name, encoding="ascii")
            there = file.read_bytes()
            file.unlink()
    if there != name.encode():
        raise errors.StorageError(f"{path} does not give back what was written there.")


def free_bytes(path: str) -> int | None:
    """Space left for this user where a path is, or will be; None where there is no such limit."""
    if s3.is_remote(path):
        return None
    place = next(folder for folder in (pathlib.Path(path), *pathlib.Path(path).parents) if folder.exists())
    with failures(path, "ask for the free space"):
        return shutil.disk_usage(place).free


def size_of(path: str) -> int:
    """Bytes of all files under a local path; they count toward the space that is free."""
    assert not s3.is_remote(path), path
    files = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)  # noqa: PTH118
    return sum(os.lstat(file).st_size for file in files)


def _raise(error: OSError) -> None:
    raise error


def remove(path: str, mark: str, begun: Mapping[str, Any]) -> None:
    """Remove a dataset. A killed removal leaves nothing under its name, or a dataset of which nothing is finished.

    Locally it is renamed aside first. In an object store `mark`, the document that says what it is, is first written
    as `begun`, which says that it is not complete; then what says which parts are finished goes, then all else, and
    `mark` last.
    """
    if s3.is_remote(path):
        write_json(path, mark, begun)
        keys = _keys(path)
        finished = [key for key in keys if key.startswith(_FINISHED)]
        others = [key for key in keys if key != mark and not key.startswith(_FINISHED)]
        for part in (finished, others, [mark]):
            with failures(path, "remove the old dataset"):
                for removal in [store(path).write(key, None) for key in part]:
                    removal.result()
        return
    aside = _aside(path)
    with failures(path, "remove the old dataset"):
        shutil.rmtree(aside, ignore_errors=True)
        pathlib.Path(path).rename(aside)
        shutil.rmtree(aside)


def sweep(path: str) -> None:
    """Remove what killed runs left: the rest of a removal, and tensorstore's temporary files.

    In an object store there is nothing of the kind.
    """
    if s3.is_remote(path):
        return
    shutil.rmtree(_aside(path), ignore_errors=True)
    for folder, _, names in os.walk(path):
        for name in names:
            if name.endswith(_LEFTOVER):
                pathlib.Path(folder, name).unlink(missing_ok=True)


def _aside(path: str) -> pathlib.Path:
    place = pathlib.Path(path)
    return place.with_name(f".{place.name}.blursynth-removed")
