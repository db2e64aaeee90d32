"""Photos of a folder and everything below it, or one photo."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence

import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import listing, photos
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
    return PhotoFolder(path if path.is_dir() else path.parent, tuple(sources), ())


def scan(path: str | pathlib.Path, *, workers: int | None = None) -> PhotoFolder:
    """List, hash and measure a folder's photos, or one photo, in `workers` threads (default: one a core).

    A folder is searched by the rules of `media.listing`. Files that look like photos and cannot be used are in
    `.skipped` with the reason.

    Raises InputError where the path does not exist, a single photo cannot be used, or a folder has no photo, and
    SourceError where a folder cannot be listed.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.InputError(f"There is no file or folder {path}.")
    if not path.is_dir():
        listing.require_file(path)
        return PhotoFolder(path.parent, (_measure(path.parent, path.name),), ())
    found = listing.files(path, listing.PHOTOS)
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as threads:
        measured = list(threads.map(lambda name: _measure_or_skip(path, name), found.names))
    usable = tuple(each for each in measured if isinstance(each, source.Source))
    skipped = [each for each in (*found.left_out, *measured) if isinstance(each, source.Skipped)]
    if not usable:
        raise errors.InputError(_nothing_usable(path, skipped))
    return PhotoFolder(path, usable, tuple(sorted(skipped, key=lambda each: each.name)))


def _measure_or_skip(root: pathlib.Path, name: str) -> source.Source | source.Skipped:
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
