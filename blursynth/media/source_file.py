"""The bytes of source files: read once, whole, and compared with what was recorded of them.

What is wrong here is a SourceError: the machine's trouble of the moment, or a file that is another than it was. It says
nothing about what the file contains. Decode from the bytes that were read: what fails then is due to the content.
"""

import errno
import hashlib
import logging
import os
import pathlib
import stat
import time
from collections.abc import Callable
from typing import TypeVar

from blursynth import errors

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

WAITS = (1.0, 5.0)  # seconds before each further attempt, where a source could not be read: a file server may be back
LARGEST = 2**31  # bytes of a file that is read whole; photos, maps and tables are smaller
_PIECE = 16 * 2**20  # bytes read at a time of what is only hashed

_ADVICE = {
    errno.ENOENT: "Check the path, put it back, or mount the folder that it lies in",
    errno.ENOTDIR: "Check the path, put it back, or mount the folder that it lies in",
    errno.EACCES: "Grant access to it, or move it out of the folder",
    errno.EPERM: "Grant access to it, or move it out of the folder",
    errno.EFBIG: "Move it out of the folder",
}
_USUAL_ADVICE = "Check the disk or the connection to the file server"


def raw(path: str | pathlib.Path, start: int = 0, size: int | None = None) -> tuple[bytes, int]:
    """Bytes of a file from `start`, and how many there should be: all of them, or `size`.

    Every read of a source on a disk goes through here, and nothing but the operating system's errors (OSError) comes
    out of it; tests let it fail.
    """
    with pathlib.Path(path).open("rb") as file:
        there = os.fstat(file.fileno()).st_size - start
        if size is None and there > LARGEST:
            raise OSError(errno.EFBIG, f"it has {there:,} bytes, and {LARGEST:,} are the most that are read whole")
        file.seek(start)
        return file.read(-1 if size is None else size), there if size is None else size


def read(path: str | pathlib.Path, start: int = 0, size: int | None = None) -> bytes:
    """A file's bytes from `start`, all of them or `size`.

    Raises SourceError where the system refuses, gives fewer bytes than there should be, and for a folder, a FIFO, a
    socket or a device, of which some would block or never end: what stands in a file's place says nothing about it.
    """
    mode = status(path).st_mode
    if not stat.S_ISREG(mode):
        raise errors.SourceError(
            f"{path} is {kind(mode)}, not a file. Put the file there, or name another, and run the same command again."
        )
    try:
        data, expected = raw(path, start, size)
    except OSError as error:
        raise failure(path, error) from error
    return whole(path, data, expected)


def whole(name: object, data: bytes, expected: int) -> bytes:
    """The data; raises SourceError where it is not as many bytes as there should be."""
    if len(data) != expected:
        raise errors.SourceError(
            f"{name} cannot be read at the moment: {len(data)} bytes of {expected} came. {_USUAL_ADVICE}, and run the "
            "same command again."
        )
    return data


def recorded(name: object, data: bytes, sha256: str | None, size: int | None = None) -> bytes:
    """The data; raises SourceError where its SHA-256 (or its size in bytes) is not the recorded one."""
    other = size is not None and len(data) != size
    if other or hashlib.sha256(data).hexdigest() != sha256:
        what = f"it has {len(data)} bytes instead of {size}" if other else "its SHA-256 is another"
        raise errors.SourceError(
            f"{name} has changed since it was recorded: {what}. Put it back as it was; sources stay as they are while "
            "a dataset is made from them."
        )
    return data


def digest(path: str | pathlib.Path) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes of a file of any size, never whole in memory. Raises SourceError as `read`."""
    total, size = hashlib.sha256(), 0
    expected = status(path).st_size
    while True:  # once at least: a pipe has no bytes, and `read` refuses it
        piece = read(path, size, min(_PIECE, expected - size))
        total.update(piece)
        size += len(piece)
        if size >= expected:
            return total.hexdigest(), size


def patiently(function: Callable[[], Result]) -> Result:
    """What the function gives; called again, after a while, where something could not be read.

    Errors that last until somebody fixes their cause (`StorageError.lasts`) are raised at once.
    """
    for wait in WAITS:
        try:
            return function()
        except (errors.SourceError, errors.StorageError, OSError) as error:
            if isinstance(error, errors.StorageError) and error.lasts:
                raise
            _log.warning("%s Trying again in %g s.", error, wait)
            time.sleep(wait)
    return function()


def status(path: str | pathlib.Path) -> os.stat_result:
    """`os.stat`; raises SourceError where the system refuses or there is nothing."""
    try:
        return pathlib.Path(path).stat()
    except OSError as error:
        raise failure(path, error) from error


def status_if_any(path: str | pathlib.Path) -> os.stat_result | None:
    """`os.stat`, with links followed; None where there is nothing.

    Raises SourceError where the system does not say, and for a link to something that is not there.
    """
    path = pathlib.Path(path)
    try:
        try:
            return path.stat()
        except (FileNotFoundError, NotADirectoryError):
            link = broken(path)
    except OSError as error:
        raise failure(path, error) from error
    except ValueError:  # a NUL character, which no path has
        return None
    if link is not None:
        raise away(link)
    return None


def exists(path: str | pathlib.Path) -> bool:
    """Whether there is anything. Raises SourceError as `status_if_any`."""
    return status_if_any(path) is not None


def is_file(path: str | pathlib.Path) -> bool:
    """Whether there is a file. Raises SourceError as `status_if_any`."""
    found = status_if_any(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_folder(path: str | pathlib.Path) -> bool:
    """Whether there is a folder. Raises SourceError as `status_if_any`."""
    found = status_if_any(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def kind(mode: int) -> str:
    """What a mode (`st_mode`) stands for: "a file", "a folder", "a FIFO (named pipe)", "a socket" or "a device"."""
    if stat.S_ISREG(mode):
        return "a file"
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a FIFO (named pipe)"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def require_file(path: str | pathlib.Path, expected: str = "a file") -> None:
    """Raise InputError, saying what is there, where a path that was named is no file: reading it may never end.

    A path at which there is nothing is left to what reads it. expected: for the sentence. Raises SourceError as
    `status_if_any`.
    """
    found = status_if_any(path)
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise errors.InputError(f"{path} is {kind(found.st_mode)}; expected {expected}. Name another path.")


def names(folder: str | pathlib.Path) -> list[str]:
    """Names of all that is in a folder, sorted. Raises SourceError where it cannot be listed."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        raise failure(folder, error) from error


def failure(path: object, error: OSError) -> errors.SourceError:
    """The SourceError that an operating system's error stands for: which file, what was found, what to do."""
    why = (error.strerror or str(error) or type(error).__name__).rstrip(".")
    advice = _ADVICE.get(error.errno or 0, _USUAL_ADVICE)
    return errors.SourceError(f"{path} cannot be read at the moment: {why}. {advice}, and run the same command again.")


def broken(path: pathlib.Path) -> pathlib.Path | None:
    """The link to something that is not there which the path is or leads through, if there is one."""
    there = next((each for each in (path, *path.parents) if os.path.lexists(each)), None)
    return there if there is not None and there.is_symlink() and not there.exists() else None


def away(link: pathlib.Path) -> errors.SourceError:
    """The SourceError for a link to something that is not there."""
    return errors.SourceError(
        f"{link} is a link to {link.readlink()}, which is not there. Mount what it lies in, or remove the link, and "
        "run the same command again."
    )
