"""Where a dataset lies: keys and bytes at a path through tensorstore, and all that only a local disk can do.

Every other module of this room speaks of a dataset's path and of keys under it, so that another kind of store is
added here alone.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

import tensorstore as ts

from blursynth import errors

# The generation that tensorstore gives a key without a value; a write on this condition creates or fails.
ABSENT = b"\x02"

_LEFTOVER = ".__lock"


def normalise(path: str | os.PathLike[str]) -> str:
    """One name for one place: absolute, links resolved, no slash at the end."""
    return os.path.realpath(os.fspath(path))


def kvstore_spec(path: str, *names: str) -> dict[str, Any]:
    """The tensorstore specification of the store at a path, or of an array in it."""
    return {"driver": "file", "path": "/".join([path, *names, ""])}


def store(path: str) -> ts.KvStore:
    """The keys and bytes under a path. Values appear whole or not at all, also when the writer is killed."""
    return ts.KvStore.open(kvstore_spec(path), context=context()).result()


def context() -> ts.Context:
    """Limits for storing: a task is one thread of several, so tensorstore's own pools stay small."""
    return ts.Context({"data_copy_concurrency": {"limit": 1}, "cache_pool": {"total_bytes_limit": 0}})


def read_json(path: str, key: str) -> Any | None:
    """A JSON document, or None where there is none. Raises DatasetError where it is not JSON."""
    value = read_bytes(path, key)
    if value is None:
        return None
    try:
        return json.loads(value)
    except ValueError as error:
        raise errors.DatasetError(f"{path}/{key} is damaged: not a JSON document ({error}).") from None


def write_json(path: str, key: str, document: Any) -> None:
    """Write a JSON document as one object."""
    write_bytes(path, key, json_bytes(document))


def json_bytes(document: Any) -> bytes:
    """The one way in which a JSON document is written here."""
    return json.dumps(document, indent=2, allow_nan=False).encode()


def write_bytes(path: str, key: str, value: bytes) -> None:
    """Write one object; it appears whole or not at all."""
    with failures(path, f"write {key}"):
        store(path).write(key, value).result()


def read_bytes(path: str, key: str) -> bytes | None:
    """An object, or None where there is none."""
    with failures(path, f"read {key}"):
        found = store(path).read(key).result()
    value: bytes | None = found.value if found.state == "value" else None
    return value


_RESUME = "Finished shards are kept: mend the cause and run the same command again to go on."


@contextlib.contextmanager
def failures(path: str, act: str, hint: str = _RESUME) -> Iterator[None]:
    """Turn what the operating system and tensorstore refuse into a sentence that names the act and the place.

    Wrap nothing but calls to them: tensorstore reports by ValueError, as our own mistakes might.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        if isinstance(error, errors.BlursynthError):
            raise
        raise errors.DatasetError(f"Could not {act} in {path}: {_reason(error)}. {hint}") from error


def _reason(error: Exception) -> str:
    """The system's own words where tensorstore passes its error number on, else the first words of its message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    number = re.search(r"os_error_code='(\d+)'", text)
    if number:
        return os.strerror(int(number.group(1)))
    return text if len(text) <= 300 else text[:300] + "..."


# From here on: what only a local file system can do.


def is_vacant(path: str) -> bool:
    """Nothing there, or an empty folder, or one that holds only what a killed first write left behind."""
    place = pathlib.Path(path)
    if place.is_dir():
        with failures(path, "list what is"):
            return all(entry.name.endswith(_LEFTOVER) for entry in place.iterdir())
    return not os.path.lexists(path)


def remove(path: str) -> None:
    """Remove a dataset: renamed aside first, so that a killed removal leaves nothing under its name."""
    aside = _aside(path)
    with failures(path, "remove the old dataset"):
        shutil.rmtree(aside, ignore_errors=True)
        pathlib.Path(path).rename(aside)
        shutil.rmtree(aside)


def sweep(path: str) -> None:
    """Remove what killed runs left: the rest of a removal, and tensorstore's temporary files."""
    shutil.rmtree(_aside(path), ignore_errors=True)
    for folder, _, names in os.walk(path):
        for name in names:
            if name.endswith(_LEFTOVER):
                pathlib.Path(folder, name).unlink(missing_ok=True)


def _aside(path: str) -> pathlib.Path:
    place = pathlib.Path(path)
    return place.with_name(f".{place.name}.blursynth-removed")
