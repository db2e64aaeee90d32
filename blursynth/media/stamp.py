"""Whether a file is still the one that it was: what the operating system says of it, without reading it."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from blursynth import errors
from blursynth.media import source_file

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Stamp:
    """Size in bytes and time of the last change in nanoseconds."""

    size: int
    changed: int


def of(path: pathlib.Path) -> Stamp:
    """A file's. Raises SourceError where the operating system does not tell."""
    about = source_file.status(path)
    return Stamp(about.st_size, about.st_mtime_ns)


def changed(path: pathlib.Path) -> errors.SourceError:
    """That a file is not the one that was recorded."""
    return errors.SourceError(
        f"{path} is not the file that was recorded when the run started: it has been changed, cut or replaced since. "
        "Put the recorded one back, and run the same command again."
    )


def is_readable(path: pathlib.Path) -> bool:
    """Whether all of a file can be read now, to the size that the operating system gives it."""
    try:
        with path.open("rb") as file:
            read = 0
            while part := file.read(1 << 22):
                read += len(part)
        return read == path.stat().st_size
    except OSError:
        return False


def faults_named(
    read: Callable[Concatenate[pathlib.Path, Parameters], Result],
) -> Callable[Concatenate[pathlib.Path, Parameters], Result]:
    """Make the operating system's errors in a function that reads a path (its first argument) SourceErrors."""

    @functools.wraps(read)
    def named(path: pathlib.Path, /, *arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        try:
            return read(path, *arguments, **options)
        except OSError as error:
            raise source_file.failure(path, error) from error

    return named
