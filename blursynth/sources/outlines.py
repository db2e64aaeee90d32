"""Objects of one photo: polygons as COCO and YOLO write them, or a map of whose pixel each is; and where they are."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.media import maps, opencv

Mask = npt.NDArray[np.bool_]

_SUBPIXEL = 4  # bits of a polygon's coordinates
_FARTHEST = 2**20  # px that a polygon may reach beyond a photo


@dataclasses.dataclass(frozen=True)
class Instance:
    """One object. area: px of the annotated photo. polygons: float64 (P, 2) each, x then y; none in a panoptic map."""

    id: int
    category: int
    area: float
    polygons: tuple[npt.NDArray[np.float64], ...] = ()


@dataclasses.dataclass(frozen=True)
class Outlines:
    """The objects of one photo of (height, width) px. numbers_HW: int32, whose pixel each is, for a panoptic map."""

    instances: tuple[Instance, ...]
    height: int
    width: int
    numbers_HW: npt.NDArray[np.int32] | None = None

    def mask(self, which: int, height: int, width: int) -> Mask:
        """Where an object is, bool (height, width), in the photo scaled to that size."""
        instance = self.instances[which]
        if self.numbers_HW is not None:
            return maps.nearest(self.numbers_HW == instance.id, height, width)
        return _drawn(instance.polygons, (height / self.height, width / self.width), height, width)


def of_text(path: pathlib.Path, data: bytes, height: int, width: int) -> tuple[Instance, ...]:
    """YOLO's lines in a file's bytes, one polygon each, of a photo of this size.

    Raises InputError, as it stands after the photo's name, for what is not understood.
    """
    try:
        lines = data.decode("utf-8").splitlines()
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
        if len(values) < 6 or len(values) % 2 or not ((values >= 0) & (values <= 1)).all():
            raise errors.InputError(
                f"has masks in {path} that are not understood: line {number + 1} is not a class and three or more "
                "points from 0 to 1"
            )
        polygon = values.reshape(-1, 2) * (width, height)
        found.append(Instance(number, category, _area(polygon), (polygon,)))
    return tuple(found)


def has_polygons(annotation: Mapping[str, Any]) -> bool:
    return not annotation.get("iscrowd") and isinstance(annotation.get("segmentation"), list)


def of_annotation(annotation: Mapping[str, Any], size: tuple[int, int] | None, file: str) -> Instance:
    """An object of COCO's, without what is no area, and without what lies outside of a photo of this size, if known.

    Raises InputError, as it stands after the photo's name, for what is not understood. file: where it stands.
    """
    try:
        listed = [np.asarray(each, np.float64).reshape(-1, 2) for each in annotation["segmentation"]]
    except (ValueError, TypeError):
        listed = [np.full((1, 2), np.nan)]
    if not all(np.isfinite(each).all() for each in listed):
        raise errors.InputError(
            f"has masks in {file} that are not understood: annotation {annotation['id']} is not lists of x and y"
        )
    height, width = size or (np.inf, np.inf)
    seen = [each for each in listed if len(each) > 2 and (each.max(axis=0) > 0).all()]
    polygons = tuple(each for each in seen if (each.min(axis=0) < (width, height)).all())
    area = annotation.get("area")
    if area is None:
        area = sum(_area(each) for each in polygons)
    return Instance(annotation["id"], annotation["category_id"], float(area), polygons)


def _area(polygon: npt.NDArray[np.float64]) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _drawn(polygons: Sequence[npt.NDArray[np.float64]], scale: tuple[float, float], height: int, width: int) -> Mask:
    """Polygons filled, one after another. COCO's coordinates have the upper left corner of the photo at (0, 0)."""
    cv2 = opencv.load("Outlines are filled with it")
    mask = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        points = np.clip(polygon * (scale[1], scale[0]) - 0.5, -_FARTHEST, _FARTHEST) * 2**_SUBPIXEL
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1, cv2.LINE_8, _SUBPIXEL)
    return mask.astype(bool)
