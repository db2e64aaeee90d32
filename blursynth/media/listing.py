"""Which files below a folder are photos, clips or whatever else is looked for: one set of rules for every command.

Folders are searched with everything below them. Links are followed, and a folder that is reached twice counts once, so
that loops end. Hidden files and folders (names that begin with a dot, and `__MACOSX`) are passed over, and so are files
of other endings. What looks like one of the files looked for and cannot be used is left out with the reason: an ending
that cannot be read, a name that is not UTF-8, a pipe, socket or device, a link in a circle. A folder that cannot be
listed is an error, and so is a link to something that is not there: what is behind it is not known, and may well be
there the next time.
"""

import collections
import dataclasses
import errno
import logging
import pathlib
import stat
from collections.abc import Collection, Iterator, Sequence

from blursynth.media import photos, source_file

_log = logging.getLogger(__name__)

NOT_TEXT = "its name is not valid UTF-8; rename it"
_CIRCLE = "is a link in a circle"
_NOT_THERE = "is a link to something that is not there"


@dataclasses.dataclass(frozen=True)
class Kind:
    """Files by their endings (lower case, with the dot); `unsupported` ones are of this kind and cannot be read."""

    endings: frozenset[str]
    unsupported: frozenset[str]
    advice: str


PHOTOS = Kind(photos.ENDINGS, photos.UNSUPPORTED_ENDINGS, "convert it to PNG, TIFF or JPEG")
VIDEOS = Kind(
    frozenset(
        {".264", ".265", ".3g2", ".3gp", ".asf", ".avc", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265"}
        | {".hevc", ".insv", ".ismv", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg", ".mjpg"}
        | {".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mqv", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv"}
        | {".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m"}
    ),
    frozenset({".360", ".ari", ".arx", ".braw", ".crm", ".gxf", ".lrv", ".mlv", ".r3d"}),
    "convert it to MP4 or Matroska",
)
_REASONS = {
    ".lrv": "is a camera's small copy of a clip; take the clip itself, or rename the copy to .mp4",
    ".360": "holds the two halves of a sphere and no picture of one lens; render it to MP4 first",
}


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A file that is left out, and why, as it stands after its name."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Listing:
    """Names below a folder (posix paths relative to it), sorted, and what is left out, by name.

    others: how many files of each other ending there are ("" for none), which were not looked for.
    """

    names: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    others: tuple[tuple[str, int], ...] = ()


def files(root: pathlib.Path, *kinds: Kind, deep: bool = True) -> Listing:
    """List the files of these kinds below `root`, or all where no kind is given; not `deep`: in that folder alone.

    Raises SourceError where a folder cannot be listed, and for a link to something that is not there, which may be one
    of these files, or a folder of them.
    """
    endings = frozenset[str]().union(*(kind.endings for kind in kinds))
    names, left_out, others = [], [], collections.Counter[str]()
    for name, why in _walk(root, deep=deep):
        refused = unsupported(name, *kinds)
        other = bool(kinds) and refused is None and ending(name) not in endings
        may_be_folder = deep and (ending(name)[1:].isdigit() or not ending(name))
        if why == _NOT_THERE and refused is None and (may_be_folder or not other):
            raise source_file.away(root / name)
        if other:
            if why and may_be_folder:
                left_out.append(LeftOut(readable(name), why))
            else:
                others[ending(name)] += 1
        elif refused is not None:
            left_out.append(refused)
        elif why or not is_text(name):
            left_out.append(LeftOut(readable(name), why or NOT_TEXT))
        else:
            names.append(name)
    if others:
        counts = ", ".join(f"{number} {what or 'without one'}" for what, number in sorted(others.items()))
        _log.info("%s: files of other endings are passed over (%s).", root, counts)
    return Listing(
        tuple(sorted(names)), tuple(sorted(left_out, key=lambda each: each.name)), tuple(sorted(others.items()))
    )


def unsupported(name: str, *kinds: Kind) -> LeftOut | None:
    """A file of one of these kinds whose ending cannot be read, with the reason; else None."""
    what = ending(name)
    kind = next((kind for kind in kinds if what in kind.unsupported), None)
    if kind is None:
        return None
    return LeftOut(readable(name), _REASONS.get(what, f"is a {what} file, which cannot be read; {kind.advice}"))


def ending(name: str) -> str:
    """The ending of a file's name in lower case, with its dot; "" where it has none."""
    return pathlib.PurePosixPath(name).suffix.lower()


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder on the way to it, is hidden: its name begins with a dot, or is `__MACOSX`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def is_text(name: str) -> bool:
    """Whether a file's name is valid UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(name: str) -> str:
    """A file's name with bytes that are not UTF-8 written out."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def sentences(left_out: Sequence[LeftOut], root: object) -> Iterator[str]:
    """A line for each that was left out of `root`, for a command to print."""
    yield from (f"{root}/{each.name} {each.reason}." for each in left_out)


def _walk(root: pathlib.Path, *, deep: bool) -> Iterator[tuple[str, str]]:
    """Names of everything but folders, each with the reason why it cannot be read as a file, or ""."""
    visited: set[tuple[int, int]] = set()
    pending = [root]
    while pending:
        folder = pending.pop()
        inside, folders = _entries(folder, visited)
        for path, why in inside:
            yield path.relative_to(root).as_posix(), why
        pending += folders if deep else ()


def _entries(
    folder: pathlib.Path, visited: set[tuple[int, int]]
) -> tuple[Collection[tuple[pathlib.Path, str]], Sequence[pathlib.Path]]:
    """What is in a folder, but nothing hidden: files with what is wrong with them, and folders."""
    inside, folders = [], []
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in visited:
            return [], []
        visited.add((status.st_dev, status.st_ino))
        for path in sorted(folder.iterdir()):
            if is_hidden(path.name):
                continue
            mode = _mode(path)
            if isinstance(mode, int) and stat.S_ISDIR(mode):
                folders.append(path)
            else:
                inside.append((path, mode if isinstance(mode, str) else _wrong(mode)))
    except OSError as error:
        raise source_file.failure(error.filename or folder, error) from error
    return inside, folders


def _mode(path: pathlib.Path) -> int | str:
    """Of what a path leads to, or why a link leads nowhere. Raises OSError for anything else."""
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return _CIRCLE
        if error.errno in (errno.ENOENT, errno.ENOTDIR) and path.is_symlink():
            return _NOT_THERE
        raise


def _wrong(mode: int) -> str:
    return "" if stat.S_ISREG(mode) else "is a pipe, a socket or a device"
