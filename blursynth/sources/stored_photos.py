"""Photos in an object store, or wherever else: the sources that a command line names."""

import concurrent.futures
import dataclasses
import os
from collections.abc import Sequence

from blursynth import errors, sources
from blursynth.media import photos
from blursynth.sources import image_files, source
from blursynth.stores import s3, store


@dataclasses.dataclass(frozen=True)
class StoredPhotos:
    """Photos below a prefix of an object store, sorted by name, as they were when they were listed.

    As `sources.photos.PhotoFolder` on a disk: the same names, digests and pixels, so that a dataset made of either is
    the same.
    """

    files: image_files.Files
    sources: tuple[source.Source, ...]
    skipped: tuple[source.Skipped, ...]

    @property
    def place(self) -> str:
        return self.files.root

    def changed(self, index: int) -> str | None:
        return image_files.changed(self.files, self.sources[index])

    def read(self, index: int) -> photos.Pixels:
        return image_files.pixels(self.files, self.sources[index])


def parse(text: str, *, seed: int, workers: int | None = None) -> source.Sources:
    """The sources that a command line names: as `sources.parse`, or photos below `s3://BUCKET/PREFIX`.

    Raises InputError where nothing can be used.
    """
    if not s3.is_remote(text):
        return sources.parse(text, seed=seed, workers=workers)
    found = image_files.Files(store.normalise(text))
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as threads:
        measured = list(threads.map(lambda name: _measure(found, name), found.images))
    usable = tuple(each for each in measured if isinstance(each, source.Source))
    left_out = [source.Skipped(each.name, each.reason) for each in found.left_out]
    left_out += [each for each in measured if isinstance(each, source.Skipped)]
    skipped = tuple(sorted(left_out, key=lambda each: each.name))
    if not usable:
        first = f"; the first of {len(skipped)} left out is {skipped[0].name} ({skipped[0].reason})" if skipped else ""
        raise errors.InputError(f"{text} has no photo that can be used{first}.")
    return StoredPhotos(found, usable, skipped)


def recorded(text: str, listed: Sequence[source.Source], *, seed: int) -> source.Sources:
    """The sources of a dataset that was made from `text`, in the order and state recorded of them.

    Raises InputError where there is nothing any more.
    """
    if not s3.is_remote(text):
        return sources.recorded(text, listed, seed=seed)
    if store.is_vacant(store.normalise(text)):
        raise errors.InputError(f"There is nothing at {text}.")
    return StoredPhotos(image_files.Files(store.normalise(text)), tuple(listed), ())


def _measure(found: image_files.Files, name: str) -> source.Source | source.Skipped:
    measured = image_files.measure(found, name)
    return measured if isinstance(measured, source.Source) else source.Skipped(measured.name, measured.reason)
