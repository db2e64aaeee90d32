"""COCO's instances and panoptic JSON: what a file of masks says of each photo, and what of it is not used, and why."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blursynth import errors
from blursynth.config import records
from blursynth.media import maps, source_file
from blursynth.sources import outlines

NO_THING = "a region of stuff (isthing is 0), which is no single object"
NO_CATEGORY = "a category that the file does not list"
SAME_ID = "an id that an annotation before it has"
NO_PIXEL = "no pixel in the panoptic map"
NO_SEGMENT = "pixels in the panoptic map and no segment in the file"
NO_IMAGE = "an image that the file does not list"

Lost = tuple[tuple[Any, str], ...]
"""Annotations that are not used: (id, why)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """What a file of masks says of one photo. name: the photo's, with its folders. annotations: as the file has them.
    png: a panoptic map. things, categories: those that are things, and all, if the file lists any. fault: why nothing
    of it can be used."""

    file: str
    name: str
    size: tuple[int, int] | None
    annotations: Sequence[Any]
    png: pathlib.Path | None = None
    things: frozenset[int] | None = None
    categories: frozenset[int] | None = None
    fault: str | None = None

    def content(self) -> bytes | None:
        """Of the file that is about this photo alone, a panoptic map; None where there is none.

        Raises InputError, as it stands after the photo's name, where it is missing, and for a fault; SourceError where
        it cannot be read.
        """
        if self.fault is not None:
            raise errors.InputError(self.fault)
        if self.png is None:
            return None
        if not source_file.is_file(self.png):
            raise errors.InputError(f"has no panoptic map {self.png}")
        return source_file.read(self.png)

    def digest(self, data: bytes | None) -> str:
        """SHA-256 of all that is said of the photo; `data` as `content` gives it."""
        text = json.dumps([self.annotations, sorted(self.things or ())], sort_keys=True)
        return hashlib.sha256(text.encode() + (data or b"")).hexdigest()

    def objects(self, height: int, width: int, data: bytes | None) -> tuple[tuple[outlines.Instance, ...], Lost]:
        """The objects in a picture of this size, and the annotations that are none; `data` as `content` gives it."""
        if data is not None:
            return self._with_map(data)
        known: tuple[tuple[outlines.Instance, ...], Lost] = self._known(height, width)
        return known

    @functools.cached_property
    def _known(self) -> Any:
        return functools.lru_cache(maxsize=2)(self._instances)

    def _instances(self, height: int, width: int) -> tuple[tuple[outlines.Instance, ...], Lost]:
        read = [(each.get("id"), outlines.of_annotation(each, height, width)) for each in self.annotations]
        return _parted([(number, self._listed(each)) for number, each in read])

    def _listed(self, found: outlines.Instance | str) -> outlines.Instance | str:
        known = isinstance(found, str) or self.categories is None or found.category in self.categories
        return found if known else NO_CATEGORY

    def _with_map(self, data: bytes) -> tuple[tuple[outlines.Instance, ...], Lost]:
        assert self.png is not None
        found, lost = self._segments
        there = _numbers(self.png, hashlib.sha256(data).digest(), data)
        named = {each.get("id") for each in self.annotations if isinstance(each.get("id"), int | float)}
        gone = tuple((each.id, NO_PIXEL) for each in found if each.id not in there)
        unlisted = tuple((number, NO_SEGMENT) for number in sorted(there - named - {0}))
        return tuple(each for each in found if each.id in there), (*lost, *gone, *unlisted)

    @functools.cached_property
    def _segments(self) -> tuple[tuple[outlines.Instance, ...], Lost]:
        return _parted([(each.get("id"), self._segment(each)) for each in self.annotations])

    def _segment(self, segment: Mapping[str, Any]) -> outlines.Instance | str:
        crowd, area = segment.get("iscrowd") or 0, segment.get("area")
        whole = all(outlines.is_whole(segment.get(key)) for key in ("id", "category_id"))
        if not whole or crowd not in (0, 1) or not outlines.is_area(area):
            return outlines.NO_NUMBER
        if self.categories is not None and segment["category_id"] not in self.categories:
            return NO_CATEGORY
        if self.things is not None and segment["category_id"] not in self.things:
            return NO_THING
        if crowd:
            return outlines.CROWD
        return outlines.Instance(segment["id"], segment["category_id"], float(segment["area"]))


def read(path: pathlib.Path) -> tuple[list[Image], Lost]:
    """What a file says of its photos that have annotations, and annotations of photos that it does not list.

    Raises InputError for what is not COCO's instances or panoptic JSON.
    """
    what = "COCO's instances or panoptic JSON"
    source_file.require_file(path, what)
    content = source_file.read(path)
    with errors.boundary(path, what):
        text = content.decode("utf-8-sig")
    values = records.parse(text, path, finite=False)
    with errors.boundary(path, what):
        return _images(path, values)


def _images(path: pathlib.Path, content: Any) -> tuple[list[Image], Lost]:
    listed: dict[Any, Any] = {}
    for each in content["images"]:
        if each["id"] in listed:
            raise errors.InputError(f"{path} lists two images with the id {each['id']!a:.60}; each needs its own.")
        listed[each["id"]] = each
    by_image: dict[Any, list[Any]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    categories = content.get("categories") or None
    known = None if categories is None else frozenset(each["id"] for each in categories)
    things = None if categories is None else frozenset(each["id"] for each in categories if each.get("isthing", 1))
    images, lost = [], []
    for number, annotations in by_image.items():
        if number not in listed:
            lost += [(each.get("id"), NO_IMAGE) for each in annotations]
            continue
        images.append(_image(path, listed[number], annotations, things, known))
    return images, tuple(lost)


def _image(
    path: pathlib.Path,
    image: Mapping[str, Any],
    annotations: list[Any],
    things: frozenset[int] | None,
    categories: frozenset[int] | None,
) -> Image:
    name, fault = image["file_name"], None
    if not isinstance(name, str):
        raise TypeError(f"the file_name {name!a:.60} is no text")
    height, width = image.get("height"), image.get("width")
    size = (_number(height), _number(width)) if (height, width) != (None, None) else None
    if size is not None and min(size) < 1:
        fault = f"has masks in {path.name} that give its size as {ascii(width)[:20]} x {ascii(height)[:20]} px"
    if "segments_info" in annotations[0]:
        if len(annotations) > 1:
            fault = f"has {len(annotations)} panoptic annotations in {path.name}; expected one"
        inside = pathlib.PurePosixPath(annotations[0]["file_name"].replace("\\", "/"))
        if inside.is_absolute() or ".." in inside.parts or "\0" in str(inside):
            fault = f"has a panoptic map {ascii(str(inside))[:80]} in {path.name}, which leads out of its folder"
            inside = pathlib.PurePosixPath("-")
        png = path.with_suffix("") / inside
        segments = [dict(each) for each in annotations[0]["segments_info"]]
        # As older versions did: none is a thing where no category is listed as one.
        return Image(path.name, name, size, segments, png, things or None, categories, fault)
    ordered = sorted(annotations, key=lambda each: (not outlines.is_whole(each.get("id")), _number(each.get("id"))))
    return Image(path.name, name, size, ordered, categories=categories, fault=fault)


def _number(value: Any) -> int:
    return value if outlines.is_whole(value) else 0


def _parted(read: list[tuple[Any, outlines.Instance | str]]) -> tuple[tuple[outlines.Instance, ...], Lost]:
    found: dict[int, outlines.Instance] = {}  # by id, which tells objects apart in a dataset
    lost: list[tuple[Any, str]] = []
    for number, each in read:
        if isinstance(each, str):
            lost.append((number, each))
        elif found.setdefault(each.id, each) is not each:
            lost.append((number, SAME_ID))
    return tuple(found.values()), tuple(lost)


def _numbers(png: pathlib.Path, digest: bytes, data: bytes) -> frozenset[int]:
    """Numbers of the pixels of a panoptic map."""
    known = _NUMBERS.get(digest)
    if known is None:
        there: list[int] = np.unique(maps.read_numbers(png, data)).tolist()
        known = _NUMBERS.setdefault(digest, frozenset(there))
    return known


_NUMBERS: dict[bytes, frozenset[int]] = {}  # by the maps' digests: they are asked for several times
