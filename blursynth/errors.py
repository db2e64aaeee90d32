"""What a user can mend.

Every message is one sentence or two that say what was found, what was expected and what to do. The command line
turns these (and the operating system's own errors) into exit code 2; anything else is our mistake and keeps its
traceback.
"""

import contextlib
import difflib
import errno
import logging
from collections.abc import Iterable, Iterator

_log = logging.getLogger(__name__)


class BlursynthError(ValueError):
    """Base of everything a user can mend."""


class RecipeError(BlursynthError):
    """A recipe or an option has an unknown key or a value out of range."""


class InputError(BlursynthError):
    """A photo, clip or folder cannot be used as it is."""


class SourceError(BlursynthError):
    """A source cannot be read at this moment, or its bytes are not those that were recorded when the run started.

    Unlike InputError it says nothing about what the source contains: the shard fails, is tried again and is named,
    and no item is marked invalid because of it.
    """


class DatasetError(BlursynthError):
    """A dataset is missing, incomplete, damaged, of another kind, or in use."""


class NotADatasetError(DatasetError):
    """Something is at a path, and it is no dataset of this package."""


class StorageError(DatasetError):
    """Where a dataset lies, the system refuses. `number` is its error number (`errno`), where it gave one."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.number = number

    @property
    def lasts(self) -> bool:
        """Whether every further attempt would fail alike until somebody mends it: a full disk, no permission."""
        return self.number in _LASTING


class ClusterError(BlursynthError):
    """A Dask cluster cannot be reached, was lost, or has workers that would make other data."""


class MissingPackageError(BlursynthError):
    """An optional or system package is missing; the message names what to install."""


_ADVICE = {
    errno.ENOSPC: "Free some space (or choose another folder) and run the same command again; finished work is kept.",
    errno.EDQUOT: "The disk quota is used up: free some space and run the same command again; finished work is kept.",
    errno.EACCES: "Choose a place where you may write, or change its permissions.",
    errno.EPERM: "Choose a place where you may write, or change its permissions.",
    errno.EROFS: "The file system is read-only: choose another place.",
    errno.ENOENT: "Check the path.",
    errno.EFBIG: "The file system or a limit on file sizes does not allow it: choose another place.",
}


_LASTING = frozenset({*_ADVICE, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENODEV})


def sentence(error: OSError) -> str:
    """An operating system's error in words: what, where, and what to do about it."""
    what = (error.strerror or str(error)).rstrip(".")
    where = f": {error.filename}" if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, "")
    return f"{what}{where}. {advice}".rstrip()


@contextlib.contextmanager
def of_source(name: object) -> Iterator[None]:
    """Raise SourceError for a StorageError: what a store refuses is a source here, and may be read a moment later."""
    try:
        yield
    except StorageError as error:
        raise SourceError(f"{name} cannot be read at the moment: {error}") from error


@contextlib.contextmanager
def boundary(name: object, what: str, kind: type[BlursynthError] = InputError) -> Iterator[None]:
    """Raise `kind`, naming the file `name`, for whatever parsing arbitrary bytes raises.

    Libraries that parse files meet arbitrary bytes and raise nearly anything. Read the bytes before (so that an error
    of the operating system stays one) and parse them within. `what` completes "cannot be read as ...". A
    BlursynthError passes through as it is, and so does a lack of memory. The traceback goes to the log, at level DEBUG.
    """
    try:
        yield
    except (BlursynthError, MemoryError):
        raise
    except Exception as error:
        _log.debug("%s could not be read as %s.", name, what, exc_info=True)
        detail = " ".join(str(error).split())[:200].rstrip(".")
        raise kind(
            f"{name} cannot be read as {what}: {type(error).__name__}{f' ({detail})' if detail else ''}. The file is "
            "damaged or of a form that is not supported; write it again, or leave it out."
        ) from error


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like a mistyped one, None where none is close."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)
