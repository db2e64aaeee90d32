"""Outlines of the objects in photos: COCO's instances (polygons), COCO's panoptic format (JSON and PNG), and YOLO's
polygons (a text file a photo: lines of a class and x, y, x, y, ... in parts of the photo's width and height)."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blursynth import errors
from blursynth.media import maps
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
        self._within(photo, image)
        if isinstance(image.annotation, pathlib.Path):
            return hashlib.sha256(image.annotation.read_bytes()).hexdigest()
        text = json.dumps([image.annotation, sorted(image.things or ())], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        if image.png is not None:
            if not image.png.is_file():
                raise errors.InputError(f"has no panoptic map {image.png}")
            digest.update(image.png.read_bytes())
        return digest.hexdigest()

    def read(self, photo: source.Source) -> outlines.Outlines:
        """The photo's objects within the bounds, of which there is at least one."""
        image = self._image(photo)
        instances, numbers = self._within(photo, image), None
        if image.png is not None:
            numbers = maps.read_numbers(image.png)
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
                    beyond = self._beyond(photo, image)
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

    def _beyond(self, photo: source.Source, image: "_Image") -> tuple[int, int]:
        low, high = self._bounds(photo)
        areas = [each.area for each in image.instances(photo)]
        return sum(area < low for area in areas), sum(area > high for area in areas)

    def _within(self, photo: source.Source, image: "_Image") -> list[outlines.Instance]:
        """Objects that may move. Raises InputError where there are none, or the photo has another size."""
        if image.size not in (None, (photo.height, photo.width)):
            size = f"{image.size[1]}x{image.size[0]}" if image.size else ""
            raise errors.InputError(
                f"is {photo.width}x{photo.height} px, but its masks in {image.file} {size}; they have to be equal"
            )
        instances = image.instances(photo)
        if not instances:
            raise errors.InputError(f"has no object in {image.file}")
        low, high = self._bounds(photo)
        within = [each for each in instances if low <= each.area <= high]
        if not within:
            raise errors.InputError(f"has no object that can move: {self._say(*self._beyond(photo, image))}")
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
        files = sorted(self.place.glob("*.json")) if self.place.is_dir() else [self.place]
        if not files:
            with _LOADING:
                texts = _texts(self.place, self.place.stat().st_mtime_ns)
            if not texts:
                raise errors.InputError(f"{self.place} has no JSON file of masks, and no text files of polygons.")
            return texts
        if not files[0].is_file():
            raise errors.InputError(f"There is no file or folder of masks {self.place}.")
        known = tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        with _LOADING:
            return _load(known)


@dataclasses.dataclass(frozen=True)
class _Image:
    """What a file of masks says of one photo. annotation: as it says it; the path of YOLO's. png: a panoptic map.
    things: categories."""

    file: str
    size: tuple[int, int] | None
    annotation: Any
    png: pathlib.Path | None = None
    things: frozenset[int] | None = None

    def instances(self, photo: source.Source) -> tuple[outlines.Instance, ...]:
        """Objects that are outlined one by one: crowds are not, nor is what has no polygon."""
        if isinstance(self.annotation, pathlib.Path):
            return outlines.of_text(self.annotation, photo.height, photo.width)
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


@functools.lru_cache(maxsize=2)
def _load(files: tuple[tuple[pathlib.Path, int, int], ...]) -> dict[str, list[_Image]]:
    """What files of masks say, by the photos' file names. Large files take seconds: once a process."""
    found: dict[str, list[_Image]] = {}
    for path, _, _ in files:
        try:
            entries = _entries(path, json.loads(path.read_bytes()))
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
    for path in sorted(folder.rglob(f"*{_TEXT}")):
        found.setdefault(path.name, []).append(_Image(path.parent.name, None, path))
    return found
