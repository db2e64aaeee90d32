"""Outlines of the objects in photos: COCO's instances (polygons, run lengths), COCO's panoptic format (JSON and PNG),
and YOLO's polygons (a text file a photo: lines of a class and x, y, x, y, ... in parts of the photo's width and
height).

What a file says of a photo is found by the photo's name, and the folders of both have to agree as far as both have
any: `train/0.jpg` is not `val/0.jpg`. Folders named `images` and `labels` do not count.
"""

import collections
import dataclasses
import functools
import hashlib
import pathlib
import stat
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from blursynth import errors
from blursynth.media import listing, maps, source_file
from blursynth.sources import coco, outlines, sidecars, source

_TEXT = ".txt"
_TEXTS = listing.Kind(frozenset({_TEXT}), frozenset(), "")
_JSON = listing.Kind(frozenset({".json"}), frozenset(), "")
_LOADING = threading.Lock()
_NEUTRAL = ("images", "labels")  # folders that Ultralytics' layout puts beside each other


@dataclasses.dataclass(frozen=True)
class Masks:
    """Masks of photos: from a JSON file, all those in a folder, or a folder of YOLO's text files.

    least, greatest: px of the photo that an object covers to be one, as shares of `crop` px (None: of the photo).
    photos: the folder of the photos, whose EXIF orientation is looked up; None: they are upright. orientation: see
    `beside.orientation`.
    """

    place: pathlib.Path
    least: float = 0.0
    greatest: float = 1.0
    crop: int | None = None
    photos: pathlib.Path | None = None
    orientation: str | None = None

    thing = "mask"

    def check(self) -> None:
        """Raise InputError where there are no masks at all, or a file of them is not understood."""
        self._index()

    def claim(self, photo: source.Source) -> sidecars.Claim | None:
        image = self._image(photo)
        name = photo.name if not isinstance(image, _Text) else f"{photo.name.rpartition('.')[0]}{_TEXT}"
        return sidecars.Claim(f"{image.name} of {image.file}", image.name == name)

    def digest(self, photo: source.Source) -> str:
        image = self._image(photo)
        data = image.content()
        self._within(self._frame(photo, image, data), image, data)
        return image.digest(data)

    def read(self, photo: source.Source) -> outlines.Outlines:
        """The photo's objects within the bounds, of which there is at least one."""
        try:
            image = self._image(photo)
            data = image.content()
            frame = self._frame(photo, image, data)
        except errors.InputError as error:  # they were there when they were recorded
            raise errors.SourceError(f"The masks of {photo.name} are not what they were: {error}.") from error
        if image.digest(data) != photo.beside:
            raise errors.SourceError(
                f"The masks of {photo.name} in {image.file} have changed since they were recorded. Put them back as "
                "they were, and run the same command again."
            )
        instances = self._within(frame, image, data)
        numbers = None
        if image.png is not None and data is not None:
            numbers = maps.read_numbers(image.png, data)
            there = set(np.unique(numbers).tolist())
            instances = [each for each in instances if each.id in there]
            if not instances:
                raise errors.InputError(f"{image.png} has no pixel of any object that {image.file} lists.")
        return outlines.Outlines(tuple(instances), frame.height, frame.width, numbers, frame.orientation)

    def unclaimed(self, all_photos: tuple[source.Source, ...]) -> list[source.Skipped]:
        """Masks without a photo, annotations that are not used, and objects that are too small or too large to move,
        by file of masks."""
        index = self._index()
        claimed = {id(image) for photo in all_photos for image in self._of(photo)}
        found = []
        for file in index.files:
            images = [image for each in index.by_name.values() for image in each if image.file == file]
            lone = [image.name for image in images if id(image) not in claimed]
            found += sidecars.leftover(file, "masks", "mask", lone)
        return [*found, *index.left_out, *self._unused(all_photos, index)]

    def _unused(self, all_photos: tuple[source.Source, ...], index: "_Index") -> list[source.Skipped]:
        beyond: dict[str, collections.Counter[str]] = {file: collections.Counter() for file in index.files}
        lost: dict[tuple[str, str], list[str]] = {}
        for file, number, reason in index.lost:
            lost.setdefault((file, reason), []).append(_shown(number))
        for photo in all_photos:
            for image in self._of(photo):
                try:
                    data = image.content()
                    frame = self._frame(photo, image, data)
                    instances, unused = image.objects(frame.height, frame.width, data)
                    beyond[image.file] += self._beyond(frame, instances)
                except errors.InputError:
                    continue  # such a photo is left out, with the reason
                for number, reason in unused:
                    lost.setdefault((image.file, reason), []).append(f"{_shown(number)} of {photo.name}")
        said = [(file, f"has objects that stay still: {self._say(count)}") for file, count in beyond.items() if count]
        for (file, reason), where in lost.items():
            many = (
                "an annotation that is not used" if len(where) == 1 else f"{len(where)} annotations that are not used"
            )
            said.append((file, f"has {many}: {reason}; {'the first is ' if len(where) > 1 else ''}{where[0]}"))
        return [source.Skipped(file, text) for file, text in said]

    def _say(self, count: Mapping[str, int]) -> str:
        shares = {"smaller": self.least, "larger": self.greatest}
        parts = [f"{count[key]} {key} than {100 * share:.4g}%" for key, share in shares.items() if count[key]]
        return f"{' and '.join(parts)} of the {'crop' if self.crop else 'photo'}"

    def _bounds(self, frame: sidecars.Frame) -> tuple[float, float]:
        whole = self.crop or frame.height * frame.width
        return self.least * whole, self.greatest * whole

    def _beyond(self, frame: sidecars.Frame, instances: Sequence[outlines.Instance]) -> collections.Counter[str]:
        low, high = self._bounds(frame)
        areas = [each.area for each in instances]
        counts = {"smaller": sum(area < low for area in areas), "larger": sum(area > high for area in areas)}
        return collections.Counter({key: count for key, count in counts.items() if count})

    def _within(self, frame: sidecars.Frame, image: coco.Image, data: bytes | None) -> list[outlines.Instance]:
        """Objects that may move. Raises InputError where there are none."""
        instances, lost = image.objects(frame.height, frame.width, data)
        if not instances:
            why = collections.Counter(reason for _, reason in lost)
            listed = "; ".join(f"{count} with {reason}" for reason, count in why.items())
            raise errors.InputError(f"has no object in {image.file}{' that can be used: ' if why else ''}{listed}")
        low, high = self._bounds(frame)
        within = [each for each in instances if low <= each.area <= high]
        if not within:
            raise errors.InputError(f"has no object that can move: {self._say(self._beyond(frame, instances))}")
        return within

    def _frame(self, photo: source.Source, image: coco.Image, data: bytes | None) -> sidecars.Frame:
        """The picture that was annotated. Raises InputError where it is not the photo."""
        drawn = None if image.png is None or data is None else maps.size(image.png, data)
        size = image.size or drawn
        frame = sidecars.frame(
            photo, self.photos, size, self.orientation, "--masks-orientation", f"masks in {image.file}"
        )
        if drawn is not None and drawn != (frame.height, frame.width):
            raise errors.InputError(
                f"is {frame.width}x{frame.height} px, but its panoptic map {image.png} {drawn[1]}x{drawn[0]}; they "
                "have to be equal"
            )
        return frame

    def _image(self, photo: source.Source) -> coco.Image:
        """What the masks say of a photo."""
        images = self._of(photo)
        if not images:
            others = self._named_alike(photo)
            other = f"; those of {others[0].name} are of another folder" if others else ""
            raise errors.InputError(f"has no masks in {self.place}{other}")
        if len(images) > 1:
            raise errors.InputError(
                f"has masks in both {images[0].file} and {images[1].file}; name one of them"
                if images[0].file != images[1].file
                else f"has masks twice in {images[0].file}: {images[0].name} and {images[1].name}"
            )
        return images[0]

    def _of(self, photo: source.Source) -> list[coco.Image]:
        """What fits a photo's name best: that whose folders agree with the photo's farthest."""
        agreeing = [(_agreement(image.name, photo.name), image) for image in self._named_alike(photo)]
        farthest = max((many for many, _ in agreeing if many is not None), default=None)
        return [image for many, image in agreeing if many is not None and many == farthest]

    def _named_alike(self, photo: source.Source) -> Sequence[coco.Image]:
        """YOLO's files are named as photos are but for the ending."""
        name = pathlib.PurePosixPath(photo.name)
        index = self._index()
        return [*index.by_name.get(name.name, ()), *index.by_name.get(f"{name.stem}{_TEXT}", ())]

    def _index(self) -> "_Index":
        if not source_file.exists(self.place):
            raise errors.InputError(f"There is no file or folder of masks {self.place}.")
        state = source_file.status(self.place)
        if not stat.S_ISDIR(state.st_mode):
            source_file.require_file(self.place, "a file or a folder of masks")
        listed = listing.Listing((self.place.name,))
        if stat.S_ISDIR(state.st_mode):
            listed = _json_files(self.place, state.st_mtime_ns)
        folder = self.place if stat.S_ISDIR(state.st_mode) else self.place.parent
        files = [folder / name for name in listed.names]
        if not files:
            with _LOADING:
                index = _texts(self.place, state.st_mtime_ns)
            if not index.by_name:
                raise errors.InputError(f"{self.place} has no JSON file of masks, and no text files of polygons.")
            return index
        states = [source_file.status(file) for file in files]
        with _LOADING:
            index = _load(tuple((file, now.st_mtime_ns, now.st_size) for file, now in zip(files, states, strict=True)))
        return dataclasses.replace(index, left_out=listed.left_out)


@dataclasses.dataclass(frozen=True, eq=False)
class _Text(coco.Image):
    """What a text file of YOLO's says of one photo."""

    path: pathlib.Path = pathlib.Path()

    def content(self) -> bytes:
        return source_file.read(self.path)

    def digest(self, data: bytes | None) -> str:
        return hashlib.sha256(data or b"").hexdigest()

    def objects(self, height: int, width: int, data: bytes | None) -> tuple[tuple[outlines.Instance, ...], coco.Lost]:
        return outlines.of_text(self.path, data or b"", height, width), ()


@dataclasses.dataclass(frozen=True, eq=False)
class _Index:
    """by_name: what is said of photos, by their file names. files: of masks, by name. lost: annotations that belong to
    no photo: (file, id, why). left_out: what looks like a file of masks and is none."""

    by_name: dict[str, list[coco.Image]]
    files: tuple[str, ...]
    lost: tuple[tuple[str, object, str], ...] = ()
    left_out: tuple[source.Skipped, ...] = ()


@functools.lru_cache(maxsize=2)
def _json_files(folder: pathlib.Path, _changed: int) -> listing.Listing:
    """JSON files of a folder; what looks like one and is none is left out."""
    return listing.files(folder, _JSON, deep=False)


@functools.lru_cache(maxsize=2)
def _load(files: tuple[tuple[pathlib.Path, int, int], ...]) -> _Index:
    """What files of masks say. Large files take seconds: once a process."""
    found: dict[str, list[coco.Image]] = {}
    lost: list[tuple[str, object, str]] = []
    for path, _, _ in files:
        images, unlisted = coco.read(path)
        if not images and unlisted:
            raise errors.InputError(f"{path} has annotations, but none of an image that it lists.")
        lost += [(path.name, number, reason) for number, reason in unlisted]
        for image in images:
            found.setdefault(_parts(image.name)[-1], []).append(image)
    return _Index(found, tuple(path.name for path, _, _ in files), tuple(lost))


@functools.lru_cache(maxsize=2)
def _texts(folder: pathlib.Path, _changed: int) -> _Index:
    """YOLO's files anywhere below a folder, by name; the files themselves are read when they are needed."""
    found: dict[str, list[coco.Image]] = {}
    files: dict[str, None] = {}
    listed = listing.files(folder, _TEXTS)
    for name in listed.names:
        path = folder / name
        if path.suffix == _TEXT:
            found.setdefault(path.name, []).append(_Text(path.parent.name, name, None, (), path=path))
            files[path.parent.name] = None
    return _Index(found, tuple(files), left_out=listed.left_out)


def _parts(name: str) -> list[str]:
    """Folders and name, also as Windows writes them."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")] or [""]


def _agreement(named: str, photo: str) -> int | None:
    """How many folders two names have in common from the end; None where they differ before either has no more."""
    ours, theirs = (
        [part for part in reversed(_parts(name)[:-1]) if part.lower() not in _NEUTRAL] for name in (named, photo)
    )
    common = min(len(ours), len(theirs))
    return common if ours[:common] == theirs[:common] else None


def _shown(number: object) -> str:
    return ascii(number)[:40]
