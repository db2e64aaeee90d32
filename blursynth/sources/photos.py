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
from blursynth.media import listing, photos, source_file
from blursynth.sources import source


@dataclasses.dataclass(frozen=True)
class PhotoFolder:
    """Photos below `root`, sorted by name (their posix path relative to it), as they were when it was scanned."""

    root: pathlib.Path
    sources: tuple[source.Source, ...]
    skipped: tuple[source.Skipped, ...]

    @property
    def place(self) -> str:
        return str(self.root)

    def changed(self, index: int) -> str | None:
        """Why photo number `index` cannot be read, or is another file than was scanned; None where it is the same."""
        expected = self.sources[index]
        return source.changed(expected.name, lambda: source_file.read(self.root / expected.name), expected.sha256)

    def read(self, index: int) -> numpy.typing.NDArray[numpy.uint8]:
        """Photo number `index`: uint8 (height, width, 3), RGB, encoded light; see `media.photos.read`.

        Raises InputError where it cannot be decoded, SourceError where it cannot be read or has changed.
        """
        expected = self.sources[index]
        path = self.root / expected.name
        data = source_file.recorded(path, source_file.read(path), expected.sha256, expected.bytes)
        return source.sized(expected, photos.read(path, data))


def recorded(path: str | pathlib.Path, sources: Sequence[source.Source]) -> PhotoFolder:
    """The photos that a dataset was made from, at `path` (their folder, or the one photo), as they were then.

    Raises InputError where there is nothing at `path`. Whether the photos still are what they were is for `changed`.
    """
    path = pathlib.Path(path)
    if not source_file.exists(path):
        raise errors.InputError(f"There is no file or folder {path}.")
    return PhotoFolder(folder(path), tuple(sources), ())


def scan(path: str | pathlib.Path, *, workers: int | None = None) -> PhotoFolder:
    """List, hash and measure a folder's photos, or one photo, in `workers` threads (default: one a core).

    A folder is searched by the rules of `media.listing`. Files that look like photos and cannot be used for what they
    contain are in `.skipped` with the reason.

    Raises InputError where the path does not exist, a single photo cannot be used, or a folder has no photo;
    SourceError for a file that cannot be read and a folder that cannot be listed.
    """
    path = pathlib.Path(path)
    if not source_file.exists(path):
        raise errors.InputError(f"There is no file or folder {path}.")
    if not source_file.is_folder(path):
        source_file.require_file(path, "a photo, or a folder of photos")
        return PhotoFolder(path.parent, (_measure(path.parent, path.name),), ())
    found = listing.files(path, listing.PHOTOS)
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as threads:
        measured = list(threads.map(lambda name: _measure_or_skip(path, name), found.names))
    usable = tuple(each for each in measured if isinstance(each, source.Source))
    skipped = [each for each in (*found.left_out, *measured) if isinstance(each, source.Skipped)]
    if not usable:
        raise errors.InputError(_nothing_usable(path, skipped))
    return PhotoFolder(path, usable, tuple(sorted(skipped, key=lambda each: each.name)))


def folder(path: str | pathlib.Path) -> pathlib.Path:
    """What the names of the photos at `path` are relative to: the folder, or that of the one photo."""
    path = pathlib.Path(path)
    return path if source_file.is_folder(path) else path.parent


def _measure_or_skip(root: pathlib.Path, name: str) -> source.Source | source.Skipped:
    try:
        return _measure(root, name)
    except errors.InputError as error:
        return source.Skipped(name, source.reason(error, name))


def _measure(root: pathlib.Path, name: str) -> source.Source:
    path = root / name
    size = source_file.status(path).st_size
    if size > source_file.LARGEST:
        raise errors.InputError(f"{name} has {size:,} bytes, more than any photo that can be used.")
    data = source_file.read(path)
    height, width = photos.probe(path, data)
    return source.Source(name, hashlib.sha256(data).hexdigest(), height, width, len(data))


def _nothing_usable(path: pathlib.Path, skipped: list[source.Skipped]) -> str:
    endings = " ".join(sorted(photos.ENDINGS))
    if not skipped:
        return f"{path} has no photo, nor has any folder in it; expected files that end in {endings}."
    first = skipped[0]
    return (
        f"{path} has no photo that can be used; {len(skipped)} were left out, the first {first.name} ({first.reason}). "
        f"Expected files that end in {endings}."
    )
