"""Write a file whole or not at all."""

import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterator


@contextlib.contextmanager
def unfinished(path: pathlib.Path, suffix: str = "") -> Iterator[pathlib.Path]:
    """Yield a hidden name beside `path` to write to; rename it to `path` at the end, remove it after an exception.

    Several writers may work at once. suffix: ending of the temporary name, for writers that choose a format by it.
    Raises OSError, naming `path` where the operating system names no file (a full disk).
    """
    with _renamed(path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial{suffix}"), path) as temporary:
        yield temporary


def replace(path: pathlib.Path, content: bytes) -> None:
    """Write a whole file so that a reader finds the old one or the new one, also after a power cut.

    For one writer at a time: the temporary name is always the same, so that what a kill leaves is written over.
    """
    with _renamed(path.with_name(f"{path.name}.partial"), path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _renamed(temporary: pathlib.Path, path: pathlib.Path) -> Iterator[pathlib.Path]:
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
