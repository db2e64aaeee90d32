"""Masks as files: COCO's instances and panoptic JSON of photos with a disc and a square."""

import json
import pathlib
from typing import Any

import numpy as np
from PIL import Image

DISC, SQUARE, SPECK = 1001, 70000, 5  # numbers of annotations; 70000 needs three colours


def octagon(x: float, y: float, radius: float) -> list[float]:
    turns = np.arange(8) * np.pi / 4
    return np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1).reshape(-1).tolist()


def instances(path: pathlib.Path, photos: dict[str, tuple[int, int]], **more: Any) -> pathlib.Path:
    """`photos`: name -> (height, width). In each a disc, a square, a speck, and a crowd all over it."""
    images, annotations = [], []
    for number, (name, (height, width)) in enumerate(photos.items()):
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        radius, side = 0.2 * min(height, width), 0.25 * min(height, width)
        x, y = 0.35 * width, 0.4 * height
        box = [0.6 * width, 0.5 * height]
        outlines = {
            DISC: ([octagon(x, y, radius)], 2 * np.sqrt(2) * radius**2),
            SQUARE: ([[*box, box[0] + side, box[1], box[0] + side, box[1] + side, box[0], box[1] + side]], side**2),
            SPECK: ([[0, 0, 1, 0, 1, 1, 0, 1]], 1.0),
        }
        for key, (polygons, area) in outlines.items():
            given = {"segmentation": polygons, "area": area, "iscrowd": 0, "category_id": 7}
            annotations.append({"id": key + 100_000 * number, "image_id": number} | given)
        crowd = {"counts": [0, height * width], "size": [height, width]}
        given = {"segmentation": crowd, "area": height * width / 3, "iscrowd": 1, "category_id": 1}
        annotations.append({"id": 99 + 100_000 * number, "image_id": number} | given)
    path.write_text(json.dumps({"images": images, "annotations": annotations} | more))
    return path


def panoptic(path: pathlib.Path, photos: dict[str, tuple[int, int]]) -> pathlib.Path:
    """The same without the crowd, on a background that is no thing, with PNGs in the folder beside it."""
    path.with_suffix("").mkdir()
    images, annotations = [], []
    for number, (name, (height, width)) in enumerate(photos.items()):
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        down, across = np.mgrid[0:height, 0:width]
        whose = np.full((height, width), 9)
        side = 0.25 * min(height, width)
        whose[np.hypot(across - 0.35 * width, down - 0.4 * height) < 0.2 * min(height, width)] = DISC
        in_x, in_y = across - 0.6 * width, down - 0.5 * height
        whose[(in_x >= 0) & (in_x < side) & (in_y >= 0) & (in_y < side)] = SQUARE
        whose[0, 0] = SPECK
        colours = np.stack([whose % 256, whose // 256 % 256, whose // 65536], axis=2).astype(np.uint8)
        png = pathlib.PurePath(name).with_suffix(".png").name
        Image.fromarray(colours).save(path.with_suffix("") / png)
        segments = [
            {"id": key, "category_id": 200 if key == 9 else 7, "iscrowd": 0, "area": int((whose == key).sum())}
            for key in (9, DISC, SQUARE, SPECK)
        ]
        annotations.append({"image_id": number, "file_name": png, "segments_info": segments})
    categories = [{"id": 7, "isthing": 1, "name": "thing"}, {"id": 200, "isthing": 0, "name": "stuff"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path
