"""What may lie beside photos and belongs to them: a depth map for each, outlines of the objects in each."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import pathlib
import stat
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.media import listing, maps, source_file
from blursynth.media import photos as media
from blursynth.sources import photos, source


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a photo takes for what belongs to it. exact: whether it has the photo's whole name, folders included."""

    name: str
    exact: bool


@dataclasses.dataclass(frozen=True)
class Frame:
    """The picture that was annotated or measured, in px. orientation: EXIF's, by which it is turned to be the photo."""

    height: int
    width: int
    orientation: int = 1


class Beside(Protocol):
    """Can be pickled, and asked from any thread."""

    thing: str
    """What it is called: `depth map`."""

    def claim(self, photo: source.Source) -> Claim | None:
        """What is taken for what belongs to this photo. Raises InputError as `digest` does."""

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

    scale: metres that 1 in a map stands for; None: 0.001 in a PNG (millimetres), 1 in a .npy. photos: the folder of the
    photos, whose EXIF orientation is looked up; None: they are upright. orientation: see `frame`.
    """

    root: pathlib.Path
    scale: float | None = None
    photos: pathlib.Path | None = None
    orientation: str | None = None

    thing = "depth map"

    def claim(self, photo: source.Source) -> Claim:
        return Claim(self._path(photo).relative_to(self.root).as_posix(), exact=False)

    def digest(self, photo: source.Source) -> str:
        path = self._path(photo)
        data = source_file.read(path)
        self._frame(photo, path, data)
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
        return media.upright(depth, self._frame(photo, path, data).orientation)

    def _frame(self, photo: source.Source, path: pathlib.Path, data: bytes) -> Frame:
        size = maps.probe(path, data)
        return frame(photo, self.photos, size, self.orientation, "--depth-orientation", f"depth map {path}")

    def unclaimed(self, all_photos: tuple[source.Source, ...]) -> list[source.Skipped]:
        stems = {pathlib.PurePath(photo.name).with_suffix("").as_posix() for photo in all_photos}
        seen = set() if self.photos is None else {self.photos / photo.name for photo in all_photos}
        listed = listing.files(self.root)
        names = [pathlib.PurePosixPath(name) for name in listed.names if self.root / name not in seen]
        maps_ = [name for name in names if name.suffix in maps.ENDINGS]
        lone = [name.as_posix() for name in maps_ if name.with_suffix("").as_posix() not in stems]
        others = [name.as_posix() for name in names if name.suffix not in maps.ENDINGS]
        found = leftover(self.root.name, "depth maps", "depth map", lone)
        found += [source.Skipped(f"{self.root.name}/{left.name}", left.reason) for left in listed.left_out]
        if others:
            reason = f"has {len(others)} files that are not .png or .npy and are not read: {others[0]}"
            found.append(source.Skipped(self.root.name, reason + (" and others" if len(others) > 1 else "")))
        return found

    def _path(self, photo: source.Source) -> pathlib.Path:
        stem = (self.root / photo.name).with_suffix("")
        paths = [stem.with_name(stem.name + ending) for ending in maps.ENDINGS]
        found = [path for path in paths if source_file.is_file(path)]
        if not found:  # what the folder lists and the system does not find is a fault
            listed = [path for path in paths if path.name in _listed(stem.parent)]
            found = [path for path in listed if stat.S_ISREG(source_file.status(path).st_mode)]
        if not found:
            raise errors.InputError(f"has no depth map {stem}.png or {stem.name}.npy")
        if len(found) > 1:
            raise errors.InputError(f"has two depth maps, {found[0]} and {found[1].name}; leave one of them out")
        return found[0]


def frame(
    photo: source.Source,
    root: pathlib.Path | None,
    size: tuple[int, int] | None,
    orientation: str | None,
    option: str,
    what: str,
) -> Frame:
    """Which picture something of `size` (height, width) lies over: the photo as it is seen, or its pixels as stored.

    They differ where the photo, in the folder `root`, has an EXIF orientation. orientation: "upright", "stored" or
    None: then the size says it, and where it fits both, nothing does.

    Raises InputError, as it stands after the photo's name, where nothing says it, and where the size fits neither.
    option, what: for the sentence, what would say it, and of what.
    """
    turned = 1
    if root is not None and orientation != "upright":
        turned = _turned(root / photo.name, photo.sha256)
    upright = Frame(photo.height, photo.width)
    height, width = (photo.width, photo.height) if turned >= 5 else (photo.height, photo.width)
    stored = Frame(height, width, turned)
    sizes = {each: (each.height, each.width) for each in (upright, stored)}
    if turned > 1 and orientation is None and (size is None or sizes[upright] == sizes[stored]):
        raise errors.InputError(
            f"has the EXIF orientation {turned}, and nothing says whether its {what} lies over the photo as it is seen "
            f"or over the pixels as they are stored; give {option} upright or {option} stored"
        )
    asked = stored if orientation == "stored" or (orientation is None and size == sizes[stored]) else upright
    if size is not None and size != sizes[asked]:
        pixels = " as it is stored" if asked.orientation > 1 else ""
        raise errors.InputError(
            f"is {asked.width}x{asked.height} px{pixels}, but its {what} {size[1]}x{size[0]}; they have to be equal"
        )
    return asked


@functools.lru_cache(maxsize=2**18)
def _turned(path: pathlib.Path, sha256: str) -> int:
    """The EXIF orientation of a photo, which its content decides. Raises SourceError where it is another file now."""
    return media.orientation(path, source_file.recorded(path, source_file.read(path), sha256))


def _listed(folder: pathlib.Path) -> frozenset[str]:
    """Names in a folder, if there is one."""
    if not source_file.is_folder(folder):
        return frozenset()
    return _names(folder, source_file.status(folder).st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _names(folder: pathlib.Path, _changed: int) -> frozenset[str]:
    return frozenset(source_file.names(folder))


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
    looked = _unshared(looked, beside)
    kept = tuple(each for each in looked if isinstance(each, source.Source))
    lost = [each for each in looked if isinstance(each, source.Skipped)]
    skipped = tuple(sorted([*found.skipped, *lost], key=lambda each: each.name))
    return dataclasses.replace(found, sources=kept, skipped=skipped)


def _unshared(looked: list[source.Source | source.Skipped], beside: Beside) -> list[source.Source | source.Skipped]:
    """Without photos that take the same thing for theirs, unless it has the whole name of one of them."""
    claims: dict[str, list[tuple[source.Source, Claim]]] = {}
    for photo in looked:
        claim = beside.claim(photo) if isinstance(photo, source.Source) else None
        if isinstance(photo, source.Source) and claim is not None:
            claims.setdefault(claim.name, []).append((photo, claim))
    lost: dict[str, source.Skipped] = {}
    for name, claimants in claims.items():
        owner = next((photo for photo, claim in claimants if claim.exact), None)
        for photo, _ in claimants if len(claimants) > 1 else ():
            other = next(each for each, _ in claimants if each is not photo)
            if photo is not owner:
                reason = f"may have the {beside.thing} {name}, as {(owner or other).name} may; name the folder too"
                lost[photo.name] = source.Skipped(photo.name, reason)
    return [lost.get(each.name, each) for each in looked]


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
