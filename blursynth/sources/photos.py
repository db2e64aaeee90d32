"""Photos of a folder and everything below it, or one photo."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import photos
from blursynth.sources import source


@dataclasses.dataclass(frozen=True)
class PhotoFolder:
    """Photos below `root`, sorted by name (their posix path relative to it), as they were when it was scanned."""

    root: pathlib.Path
    sources: tuple[source.Source, ...]
    skipped: tuple[source.Skipped, ...]

    def changed(self, index: int) -> str | None:
        """Whether photo number `index` is gone or another file than it was when its folder was scanned; None if not."""
        expected = self.sources[index]
        try:
            digest = _digest(self.root / expected.name)
        except FileNotFoundError:
            return f"is gone from {self.root}"
        except OSError as error:
            return f"cannot be read any more: {error.strerror}"
        return None if digest == expected.sha256 else "has changed since: its SHA-256 is another"

    def read(self, index: int) -> numpy.typing.NDArray[numpy.uint8]:
        """Photo number `index`: uint8 (height, width, 3), RGB, encoded light; see `media.photos.read`.

        Raises InputError where it cannot be read, or is no longer the size that it was when it was scanned.
        """
        expected = self.sources[index]
        path = self.root / expected.name
        pixels = photos.read(path)
        height, width, _ = pixels.shape
        if (height, width) != (expected.height, expected.width):
            raise errors.InputError(
                f"{path} is {width}x{height} pixels now and was {expected.width}x{expected.height} when its folder was "
                "listed; leave the photos unchanged while a dataset is made."
            )
        return pixels


def recorded(path: str | pathlib.Path, sources: Sequence[source.Source]) -> PhotoFolder:
    """The photos that a dataset was made from, at `path` (their folder, or the one photo), as they were then.

    Raises InputError where there is nothing at `path`. Whether the photos still are what they were is for `changed`.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.InputError(f"There is no file or folder {path}.")
    return PhotoFolder(folder(path), tuple(sources), ())


def scan(path: str | pathlib.Path, *, workers: int | None = None) -> PhotoFolder:
    """List, hash and measure a folder's photos, or one photo, in `workers` threads (default: one a core).

    A folder is searched with everything below it. Files of other endings (`media.photos.ENDINGS`), hidden ones and
    `__MACOSX` are passed over. Links are followed; a folder that is reached twice counts once, so that loops end.
    Files that look like photos and cannot be used are in `.skipped` with the reason.

    Raises InputError where the path does not exist, a single photo cannot be used, or a folder has no photo.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.InputError(f"There is no file or folder {path}.")
    if not path.is_dir():
        return PhotoFolder(path.parent, (_measure(path.parent, path.name),), ())
    found = [*_walk(path)]
    names = sorted(name for name in found if isinstance(name, str))
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as threads:
        measured = list(threads.map(lambda name: _measure_or_skip(path, name), names))
    usable = tuple(each for each in measured if isinstance(each, source.Source))
    skipped = [each for each in (*found, *measured) if isinstance(each, source.Skipped)]
    if not usable:
        raise errors.InputError(_nothing_usable(path, skipped))
    return PhotoFolder(path, usable, tuple(sorted(skipped, key=lambda each: each.name)))


def folder(path: str | pathlib.Path) -> pathlib.Path:
    """What the names of the photos at `path` are relative to: the folder, or that of the one photo."""
    path = pathlib.Path(path)
    return path if path.is_dir() else path.parent


def _walk(root: pathlib.Path) -> Iterator[str | source.Skipped]:
    """Names of files that look like photos, and folders that cannot be listed."""
    visited = set()
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield source.Skipped(folder.relative_to(root).as_posix(), f"cannot be listed: {error.strerror}")
            continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            path = folder / entry.name
            if path.is_dir():
                pending.append(path)
            elif path.suffix.lower() in photos.ENDINGS | photos.UNSUPPORTED_ENDINGS and not _is_special(path):
                yield path.relative_to(root).as_posix()


def _is_special(path: pathlib.Path) -> bool:
    """A pipe, socket or device, which would block or never end; a dangling link is not."""
    return path.exists() and not path.is_file()


def _measure_or_skip(root: pathlib.Path, name: str) -> source.Source | source.Skipped:
    ending = pathlib.PurePath(name).suffix.lower()
    if ending in photos.UNSUPPORTED_ENDINGS:
        return source.Skipped(name, f"{ending} files cannot be read; convert it to PNG, TIFF or JPEG")
    try:
        name.encode()
    except UnicodeEncodeError:
        readable = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        return source.Skipped(readable, "its name is not valid UTF-8; rename it")
    try:
        return _measure(root, name)
    except errors.InputError as error:
        return source.Skipped(name, source.reason(error, name))


def _measure(root: pathlib.Path, name: str) -> source.Source:
    path = root / name
    height, width = photos.probe(path)
    return source.Source(name, _digest(path), height, width, path.stat().st_size)


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nothing_usable(path: pathlib.Path, skipped: list[source.Skipped]) -> str:
    endings = " ".join(sorted(photos.ENDINGS))
    if not skipped:
        return f"{path} has no photo, nor has any folder in it; expected files that end in {endings}."
    first = skipped[0]
    return (
        f"{path} has no photo that can be used; {len(skipped)} were left out, the first {first.name} ({first.reason}). "
        f"Expected files that end in {endings}."
    )
