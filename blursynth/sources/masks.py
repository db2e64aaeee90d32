"""Outlines of the objects in photos: COCO's instances (polygons), COCO's panoptic format (JSON and PNG), and YOLO's
polygons (a text file a photo: lines of a class and x, y, x, y, ... in parts of the photo's width and height)."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import stat
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blursynth import errors
from blursynth.media import maps, source_file
from blursynth.sources import beside, outlines, source

_TEXT = ".txt"
_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Masks:
    """Masks of photos: from a JSON file, all those in a folder, or a folder of YOLO's text files.

    least, greatest: px of the photo that an object covers to be one, as shares of `crop` px (None: of the photo).
    """

    place: pathlib.Path
    least: float = 0.0
    greatest: float = 1.0
    crop: int | None = None

    thing = "mask"

    def check(self) -> None:
        """Raise InputError where there are no masks at all, or a file of them is not understood."""
        self._index()

    def digest(self, photo: source.Source) -> str:
        image = self._image(photo)
        data = image.content()
        self._within(photo, image, data)
        return image.digest(data)

    def read(self, photo: source.Source) -> outlines.Outlines:
        """The photo's objects within the bounds, of which there is at least one."""
        try:
            image = self._image(photo)
            data = image.content()
        except errors.InputError as error:  # they were there when they were recorded
            raise errors.SourceError(f"The masks of {photo.name} are not what they were: {error}.") from error
        if image.digest(data) != photo.beside or image.size not in (None, (photo.height, photo.width)):
            raise errors.SourceError(
                f"The masks of {photo.name} in {image.file} have changed since they were recorded. Put them back as "
                "they were, and run the same command again."
            )
        instances, numbers = self._within(photo, image, data), None
        if image.png is not None:
            assert data is not None, image.png
            numbers = maps.read_numbers(image.png, data)
            if numbers.shape != (photo.height, photo.width):
                size = f"{numbers.shape[1]}x{numbers.shape[0]}"
                raise errors.InputError(
                    f"{image.png} is {size} px, but its photo {photo.width}x{photo.height}; they have to be equal."
                )
            there = set(np.unique(numbers).tolist())
            instances = [each for each in instances if each.id in there]
            if not instances:
                raise errors.InputError(f"{image.png} has no pixel of any object that {image.file} lists.")
        return outlines.Outlines(tuple(instances), photo.height, photo.width, numbers)

    def unclaimed(self, all_photos: tuple[source.Source, ...]) -> list[source.Skipped]:
        """Masks without a photo, and objects that are too small or too large to move, by file of masks."""
        paths = [pathlib.PurePosixPath(photo.name) for photo in all_photos]
        names = {path.name for path in paths} | {f"{path.stem}{_TEXT}" for path in paths}
        index, found = self._index(), []
        for file in dict.fromkeys(image.file for images in index.values() for image in images):
            lone = [name for name, images in index.items() for image in images if image.file == file]
            lone = [name for name in lone if name not in names]
            found += beside.leftover(file, "masks", "mask", lone)
        return found + self._out_of_bounds(all_photos)

    def _out_of_bounds(self, all_photos: tuple[source.Source, ...]) -> list[source.Skipped]:
        counts: dict[str, list[int]] = {}
        for photo in all_photos:
            for image in self._of(photo):
                try:
                    beyond = self._beyond(photo, image.instances(photo, image.content()))
                except errors.InputError:
                    continue  # such a photo is left out, with the reason
                count = counts.setdefault(image.file, [0, 0])
                counts[image.file] = [count[k] + beyond[k] for k in range(2)]
        said = [(file, self._say(*count)) for file, count in counts.items() if any(count)]
        return [source.Skipped(file, f"has objects that stay still: {text}") for file, text in said]

    def _say(self, small: int, large: int) -> str:
        counts = (("smaller", small, self.least), ("larger", large, self.greatest))
        parts = [f"{count} {beyond} than {100 * share:.4g}%" for beyond, count, share in counts if count]
        return f"{' and '.join(parts)} of the {'crop' if self.crop else 'photo'}"

    def _bounds(self, photo: source.Source) -> tuple[float, float]:
        whole = self.crop or photo.height * photo.width
        return self.least * whole, self.greatest * whole

    def _beyond(self, photo: source.Source, instances: Sequence[outlines.Instance]) -> tuple[int, int]:
        low, high = self._bounds(photo)
        areas = [each.area for each in instances]
        return sum(area < low for area in areas), sum(area > high for area in areas)

    def _within(self, photo: source.Source, image: "_Image", data: bytes | None) -> list[outlines.Instance]:
        """Objects that may move. Raises InputError where there are none, or the photo has another size."""
        if image.size not in (None, (photo.height, photo.width)):
            size = f"{image.size[1]}x{image.size[0]}" if image.size else ""
            raise errors.InputError(
                f"is {photo.width}x{photo.height} px, but its masks in {image.file} {size}; they have to be equal"
            )
        instances = image.instances(photo, data)
        if not instances:
            raise errors.InputError(f"has no object in {image.file}")
        low, high = self._bounds(photo)
        within = [each for each in instances if low <= each.area <= high]
        if not within:
            raise errors.InputError(f"has no object that can move: {self._say(*self._beyond(photo, instances))}")
        return within

    def _image(self, photo: source.Source) -> "_Image":
        """What the masks say of a photo: its file name counts, not the folder that it is in."""
        images = self._of(photo)
        if not images:
            raise errors.InputError(f"has no masks in {self.place}")
        if len(images) > 1:
            raise errors.InputError(f"has masks in both {images[0].file} and {images[1].file}; name one of them")
        return images[0]

    def _of(self, photo: source.Source) -> Sequence["_Image"]:
        """YOLO's files are named as photos are but for the ending."""
        name = pathlib.PurePosixPath(photo.name)
        index = self._index()
        return [*index.get(name.name, ()), *index.get(f"{name.stem}{_TEXT}", ())]

    def _index(self) -> Mapping[str, Sequence["_Image"]]:
        if not self.place.exists():
            raise errors.InputError(f"There is no file or folder of masks {self.place}.")
        state = source_file.status(self.place)
        files = _json_files(self.place) if stat.S_ISDIR(state.st_mode) else [self.place]
        if not files:
            with _LOADING:
                texts = _texts(self.place, state.st_mtime_ns)
            if not texts:
                raise errors.InputError(f"{self.place} has no JSON file of masks, and no text files of polygons.")
            return texts
        states = [source_file.status(file) for file in files]
        with _LOADING:
            return _load(tuple((file, now.st_mtime_ns, now.st_size) for file, now in zip(files, states, strict=True)))


@dataclasses.dataclass(frozen=True)
class _Image:
    """What a file of masks says of one photo. annotation: as it says it; the path of YOLO's. png: a panoptic map.
    things: categories."""

    file: str
    size: tuple[int, int] | None
    annotation: Any
    png: pathlib.Path | None = None
    things: frozenset[int] | None = None

    def content(self) -> bytes | None:
        """Of the file that is about this photo alone: YOLO's text, or a panoptic map; None where there is none.

        Raises InputError, as it stands after the photo's name, where a panoptic map is missing; SourceError where the
        file cannot be read.
        """
        if isinstance(self.annotation, pathlib.Path):
            return source_file.read(self.annotation)
        if self.png is None:
            return None
        if not source_file.is_file(self.png):
            raise errors.InputError(f"has no panoptic map {self.png}")
        return source_file.read(self.png)

    def digest(self, data: bytes | None) -> str:
        """SHA-256 of all that is said of the photo; `data` as `content` gives it."""
        if isinstance(self.annotation, pathlib.Path):
            return hashlib.sha256(data or b"").hexdigest()
        text = json.dumps([self.annotation, sorted(self.things or ())], sort_keys=True)
        return hashlib.sha256(text.encode() + (data or b"")).hexdigest()

    def instances(self, photo: source.Source, data: bytes | None) -> tuple[outlines.Instance, ...]:
        """Objects that are outlined one by one: crowds are not, nor is what has no polygon."""
        if isinstance(self.annotation, pathlib.Path):
            return outlines.of_text(self.annotation, data or b"", photo.height, photo.width)
        return self._of_json

    @functools.cached_property
    def _of_json(self) -> tuple[outlines.Instance, ...]:
        try:
            return self._segments() if self.png is not None else self._polygons()
        except (KeyError, TypeError, AttributeError) as error:
            raise errors.InputError(
                f"has masks in {self.file} that are not understood ({type(error).__name__}: {error})"
            ) from None

    def _segments(self) -> tuple[outlines.Instance, ...]:
        segments = [each for each in self.annotation if self.things is None or each["category_id"] in self.things]
        segments = [each for each in segments if not each.get("iscrowd")]
        return tuple(outlines.Instance(each["id"], each["category_id"], float(each["area"])) for each in segments)

    def _polygons(self) -> tuple[outlines.Instance, ...]:
        found = [
            outlines.of_annotation(each, self.size, self.file)
            for each in self.annotation
            if outlines.has_polygons(each)
        ]
        return tuple(instance for instance in found if instance.polygons)


def _json_files(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise source_file.failure(folder, error) from error


@functools.lru_cache(maxsize=2)
def _load(files: tuple[tuple[pathlib.Path, int, int], ...]) -> dict[str, list[_Image]]:
    """What files of masks say, by the photos' file names. Large files take seconds: once a process."""
    found: dict[str, list[_Image]] = {}
    for path, _, _ in files:
        data = source_file.read(path)
        try:
            entries = _entries(path, json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise errors.InputError(
                f"{path} is not understood as COCO's instances or panoptic JSON ({type(error).__name__}: {error})."
            ) from None
        for name, image in entries:
            found.setdefault(pathlib.PurePosixPath(name).name, []).append(image)
    return found


def _entries(path: pathlib.Path, content: Any) -> list[tuple[str, _Image]]:
    """Photos with annotations: (file name, what is said of it)."""
    images = {each["id"]: each for each in content["images"]}
    by_image: dict[int, list[Any]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    entries = []
    for number, annotations in by_image.items():
        image = images[number]
        size = (int(image["height"]), int(image["width"])) if "height" in image and "width" in image else None
        if "segments_info" in annotations[0]:
            (annotation,) = annotations
            png = path.with_suffix("") / annotation["file_name"]
            things = frozenset(each["id"] for each in content.get("categories", ()) if each.get("isthing", 1))
            said = _Image(path.name, size, annotation["segments_info"], png, things or None)
        else:
            kept = sorted(annotations, key=lambda each: each["id"])
            said = _Image(path.name, size, kept)
        entries.append((image["file_name"], said))
    return entries


@functools.lru_cache(maxsize=2)
def _texts(folder: pathlib.Path, _changed: int) -> dict[str, list[_Image]]:
    """YOLO's files anywhere below a folder, by name; the files themselves are read when they are needed."""
    found: dict[str, list[_Image]] = {}
    for path in source_file.below(folder, lambda path: path.suffix == _TEXT):
        found.setdefault(path.name, []).append(_Image(path.parent.name, None, path))
    return found
