"""What may lie beside photos and belongs to them: a depth map for each, outlines of the objects in each."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.media import maps, source_file
from blursynth.sources import photos, source


class Beside(Protocol):
    """Can be pickled, and asked from any thread."""

    thing: str
    """What it is called: `depth map`."""

    def digest(self, photo: source.Source) -> str:
        """SHA-256 of what belongs to this photo.

        Raises InputError, as it stands after the photo's name, where there is nothing that fits it; SourceError where
        it cannot be read.
        """

    def read(self, photo: source.Source) -> Any:
        """What belongs to this photo, if it is what `photo.beside` says.

        Raises InputError where its content cannot be used; SourceError where it cannot be read, or is not as recorded.
        """

    def unclaimed(self, all_photos: tuple[source.Source, ...]) -> list[source.Skipped]:
        """What belongs to none of these photos."""


@dataclasses.dataclass(frozen=True)
class DepthMaps:
    """A folder with a map for each photo: `a/b.png` or `a/b.npy` for `a/b.jpg`.

    scale: metres that 1 in a map stands for; None: 0.001 in a PNG (millimetres), 1 in a .npy.
    """

    root: pathlib.Path
    scale: float | None = None

    thing = "depth map"

    def digest(self, photo: source.Source) -> str:
        path = self._path(photo)
        data = source_file.read(path)
        height, width = maps.probe(path, data)
        if (height, width) != (photo.height, photo.width):
            raise errors.InputError(
                f"is {photo.width}x{photo.height} px, but its depth map {path} {width}x{height}; they have to be equal"
            )
        return hashlib.sha256(data).hexdigest()

    def read(self, photo: source.Source) -> npt.NDArray[np.float32]:
        """Depth in metres, float32 (H, W): > 0, infinity far away, NaN where it is not known (0, negative or NaN)."""
        try:
            path = self._path(photo)
        except errors.InputError as error:  # it was there when it was recorded
            raise errors.SourceError(
                f"{photo.name} {error} now. Put it back, and run the same command again."
            ) from error
        data = source_file.recorded(path, source_file.read(path), photo.beside)
        scale = self.scale or (0.001 if path.suffix == ".png" else 1.0)
        depth = maps.read(path, data)
        depth *= np.float32(scale)
        depth[~(depth > 0)] = np.nan
        if np.isnan(depth).all():
            raise errors.InputError(f"{path} has no depth above 0.")
        return depth

    def unclaimed(self, all_photos: tuple[source.Source, ...]) -> list[source.Skipped]:
        stems = {pathlib.PurePath(photo.name).with_suffix("").as_posix() for photo in all_photos}
        found = source_file.below(self.root, lambda path: path.suffix in maps.ENDINGS)
        names = [path.relative_to(self.root) for path in found]
        lone = [name.as_posix() for name in names if name.with_suffix("").as_posix() not in stems]
        return leftover(self.root.name, "depth maps", "depth map", lone)

    def _path(self, photo: source.Source) -> pathlib.Path:
        stem = (self.root / photo.name).with_suffix("")
        for ending in maps.ENDINGS:
            path = stem.with_name(stem.name + ending)
            if source_file.is_file(path):
                return path
        raise errors.InputError(f"has no depth map {stem}.png or {stem.name}.npy")


def leftover(name: str, things: str, thing: str, lone: list[str]) -> list[source.Skipped]:
    """One entry for all things that have no photo."""
    if not lone:
        return []
    how_many = f"{len(lone)} {things}" if len(lone) > 1 else f"a {thing}"
    return [source.Skipped(name, f"has {how_many} without a photo: {lone[0]}{' and others' if len(lone) > 1 else ''}")]


def attached(found: source.Sources, beside: Beside, workers: int | None = None) -> photos.PhotoFolder:
    """The photos that have what belongs to them, with its digest; the others are left out with the reason.

    What belongs to none of them is for `Beside.unclaimed`.

    Raises InputError for procedural scenes, which have nothing beside them.
    """
    if not isinstance(found, photos.PhotoFolder):
        raise errors.InputError(f"Procedural scenes have no {beside.thing}s; name a folder of photos.")
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as threads:
        looked = list(threads.map(lambda photo: _with_digest(photo, beside), found.sources))
    kept = tuple(each for each in looked if isinstance(each, source.Source))
    lost = [each for each in looked if isinstance(each, source.Skipped)]
    skipped = tuple(sorted([*found.skipped, *lost], key=lambda each: each.name))
    return dataclasses.replace(found, sources=kept, skipped=skipped)


def changed(photo: source.Source, beside: Beside) -> str | None:
    """Why what belongs to the photo is not what it was, as it stands after the photo's name; None where it is."""
    try:
        digest = beside.digest(photo)
    except errors.InputError as error:
        return str(error)
    except errors.SourceError as error:
        return f"has a {beside.thing} that is not there: {error}"
    return None if digest == photo.beside else f"has another {beside.thing} than it had: its SHA-256 is another"


def _with_digest(photo: source.Source, beside: Beside) -> source.Source | source.Skipped:
    try:
        return dataclasses.replace(photo, beside=beside.digest(photo))
    except errors.InputError as error:
        return source.Skipped(photo.name, str(error).rstrip("."))
