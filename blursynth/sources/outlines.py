"""Objects of one photo: polygons and run lengths as COCO and YOLO write them, or a map of whose pixel each is."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.media import maps, photos
from blursynth.sources import rasters

Mask = npt.NDArray[np.bool_]

_FARTHEST = 2**16  # px that a polygon may reach beyond a photo

# Why an annotation is not used, as it stands after "annotations that are not used: ".
CROWD = "a crowd (iscrowd is 1), which is no single object"
NO_OUTLINE = "no segmentation"
NO_AREA = "no pixel inside of the photo"
NO_NUMBER = "an id, category_id, iscrowd or area that is not the number it has to be"
NO_POINTS = "a polygon that is not lists of three or more x and y"
FAR = f"a polygon that reaches more than {_FARTHEST} px beyond the photo or is too long"
RLE_SIZE = "run lengths (RLE) of another size than the photo's"
RLE_DAMAGED = "run lengths (RLE) that are damaged or do not come to the photo's size"


@dataclasses.dataclass(frozen=True, eq=False)
class Instance:
    """One object. area: px of the annotated photo. polygons: float64 (P, 2) each, x then y. counts: int64, run lengths
    down the columns of the annotated photo, instead. Neither in a panoptic map."""

    id: int
    category: int
    area: float
    polygons: tuple[npt.NDArray[np.float64], ...] = ()
    counts: npt.NDArray[np.int64] | None = None


@dataclasses.dataclass(frozen=True)
class Outlines:
    """The objects of one photo, annotated at (height, width) px. numbers_HW: int32, whose pixel each is, for a panoptic
    map. orientation: EXIF's, by which the annotated picture is turned to be the photo; 1 where it is as it is."""

    instances: tuple[Instance, ...]
    height: int
    width: int
    numbers_HW: npt.NDArray[np.int32] | None = None
    orientation: int = 1

    def mask(self, which: int, height: int, width: int) -> Mask:
        """Where an object is, bool (height, width), in the photo scaled to that size."""
        if self.orientation >= 5:
            height, width = width, height
        instance = self.instances[which]
        if self.numbers_HW is not None:
            mask = maps.nearest(self.numbers_HW == instance.id, height, width)
        elif instance.counts is not None:
            mask = maps.nearest(rasters.runs(instance.counts, self.height, self.width), height, width)
        else:
            scale = (width / self.width, height / self.height)
            mask = rasters.polygons([polygon * scale for polygon in instance.polygons], height, width)
        return photos.upright(mask, self.orientation)


def of_text(path: pathlib.Path, data: bytes, height: int, width: int) -> tuple[Instance, ...]:
    """YOLO's lines in a file's bytes, one polygon each, of a photo of this size.

    Raises InputError, as it stands after the photo's name, for what is not understood.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise errors.InputError(f"has masks in {path} that are not understood: it is not a text file") from None
    found = []
    for number, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        try:
            category, values = int(words[0]), np.array([float(word) for word in words[1:]])
        except ValueError:
            category, values = -1, np.empty(0)
        if not is_whole(category) or len(values) < 6 or len(values) % 2 or not ((values >= 0) & (values <= 1)).all():
            raise errors.InputError(
                f"has masks in {path} that are not understood: line {number + 1} is not a class and three or more "
                "points from 0 to 1"
            )
        polygon = values.reshape(-1, 2) * (width, height)
        if rasters.length(polygon) > rasters.MOST_POINTS:
            raise errors.InputError(f"has masks in {path} that are not understood: line {number + 1} is too long")
        found.append(Instance(number, category, float(rasters.area([polygon], height, width)), (polygon,)))
    return tuple(found)


def of_annotation(annotation: Mapping[str, Any], height: int, width: int) -> Instance | str:
    """An object of COCO's in a photo annotated at this size, or why it is not used."""
    crowd, area = annotation.get("iscrowd") or 0, annotation.get("area")
    if not all(is_whole(annotation.get(key)) for key in ("id", "category_id")) or crowd not in (0, 1):
        return NO_NUMBER
    if area is not None and not is_area(area):
        return NO_NUMBER
    if crowd:
        return CROWD
    outline = annotation.get("segmentation")
    if outline is None or outline == [] or outline == {}:
        return NO_OUTLINE
    made = _of_runs(outline, height, width) if isinstance(outline, dict) else _of_polygons(outline, height, width)
    if isinstance(made, str):
        return made
    computed, polygons, counts = made
    area = computed if area is None else float(area)
    return Instance(annotation["id"], annotation["category_id"], area, polygons, counts)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number that a dataset's columns can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def is_area(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**63


_Shape = tuple[float, tuple[npt.NDArray[np.float64], ...], npt.NDArray[np.int64] | None]


def _of_polygons(listed: Any, height: int, width: int) -> _Shape | str:
    """Area and polygons. Where the first list has four numbers pycocotools takes it for a box; it is refused here."""
    try:
        parts = [np.asarray(each, np.float64).reshape(-1, 2) for each in listed]
    except (ValueError, TypeError, OverflowError):
        return NO_POINTS
    if not parts or len(parts[0]) < 3 or not all(np.isfinite(each).all() for each in parts):
        return NO_POINTS
    parts = [each for each in parts if len(each) > 2]  # fewer points have no area
    beyond = max(float(np.abs(each).max()) for each in parts) - max(height, width)
    if beyond > _FARTHEST or sum(map(rasters.length, parts)) > rasters.MOST_POINTS:
        return FAR
    seen = tuple(each for each in parts if (each.max(axis=0) > 0).all() and (each.min(axis=0) < (width, height)).all())
    area = rasters.area(seen, height, width)  # a polygon that crosses itself may have a signed area of 0
    return (float(area), seen, None) if area else NO_AREA


def _of_runs(outline: Mapping[str, Any], height: int, width: int) -> _Shape | str:
    """Area and counts, of a list or of COCO's compressed text."""
    size, counts = outline.get("size"), outline.get("counts")
    if size != [height, width]:
        return RLE_SIZE if isinstance(size, list) and len(size) == 2 else RLE_DAMAGED
    try:
        listed = rasters.counts_of_text(counts) if isinstance(counts, str) else counts
    except ValueError:
        return RLE_DAMAGED
    if not isinstance(listed, list) or not all(is_whole(each) and each >= 0 for each in listed):
        return RLE_DAMAGED
    if sum(listed) != height * width:
        return RLE_DAMAGED
    area = sum(listed[1::2])
    return (float(area), (), np.array(listed, np.int64)) if area else NO_AREA
