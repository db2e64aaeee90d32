"""Polygons and run lengths against slow readings of pycocotools' rules, and against the library where it is there."""

import math
from typing import Any

import numpy as np
import pytest

from blursynth.sources import rasters

DRAWS = np.random.default_rng(0)


def slow_polygon(points: list[tuple[float, float]], height: int, width: int) -> rasters.Mask:
    """`rleFrPoly` of maskApi.c, a statement at a time."""
    corners = [(int(5 * x + 0.5), int(5 * y + 0.5)) for x, y in points]
    u, v = [], []
    for (xs, ys), (xe, ye) in zip(corners, corners[1:] + corners[:1], strict=True):
        dx, dy = abs(xe - xs), abs(ye - ys)
        flip = (dx >= dy and xs > xe) or (dx < dy and ys > ye)
        if flip:
            xs, ys, xe, ye = xe, ye, xs, ys
        if dx >= dy:
            for d in range(dx + 1):
                t = dx - d if flip else d
                u.append(t + xs)
                v.append(int(ys + ((ye - ys) / dx if dx else 0) * t + 0.5))
        else:
            for d in range(dy + 1):
                t = dy - d if flip else d
                v.append(t + ys)
                u.append(int(xs + (xe - xs) / dy * t + 0.5))
    ends = []
    for j in range(1, len(u)):
        if u[j] == u[j - 1]:
            continue
        x = ((u[j] if u[j] < u[j - 1] else u[j] - 1) + 0.5) / 5 - 0.5
        if math.floor(x) != x or x < 0 or x > width - 1:
            continue
        y = (min(v[j], v[j - 1]) + 0.5) / 5 - 0.5
        ends.append(int(x) * height + math.ceil(min(max(y, 0), height)))
    flat, value, place = np.zeros(height * width, bool), False, 0
    for end in [*sorted(ends), height * width]:
        flat[place:end] = value
        value, place = not value, end
    return flat.reshape(width, height).T


def shapes(count: int) -> list[tuple[Any, int, int]]:
    """Polygons of all kinds, in and beyond small photos: with whole, half and any coordinates, and repeated points."""
    made = []
    for k in range(count):
        height, width = (int(each) for each in DRAWS.integers(1, 60, 2))
        points = DRAWS.uniform(-20, 80, (int(DRAWS.integers(3, 10)), 2))
        points = [points, points.round(), (points * 2).round() / 2, np.concatenate([points, points[:1]])][k % 4]
        made.append((points, height, width))
    return made


def test_polygons_are_filled_by_pycocotools_rule() -> None:
    for points, height, width in shapes(120):
        expected = slow_polygon([(x, y) for x, y in points.tolist()], height, width)
        assert np.array_equal(rasters.polygons([points], height, width), expected)
        assert rasters.area([points], height, width) == expected.sum()
    square = np.array([[1, 1], [4, 1], [4, 3], [1, 3]], float)
    assert np.argwhere(rasters.polygons([square], 5, 6)).tolist() == [[y, x] for y in (1, 2) for x in (1, 2, 3)]
    both = rasters.polygons([square, square + 2], 8, 8)
    assert np.array_equal(both, rasters.polygons([square], 8, 8) | rasters.polygons([square + 2], 8, 8))
    assert rasters.area([square, square + 2], 8, 8) == both.sum() == 12
    assert rasters.area([square, square + 1], 8, 8) == 10
    assert rasters.area([square, square], 8, 8) == rasters.area([square], 8, 8) == 6


def test_runs_go_down_the_columns() -> None:
    mask = rasters.runs(np.array([1, 2, 4, 1, 4]), 3, 4)
    assert np.argwhere(mask).tolist() == [[1, 0], [1, 2], [2, 0]]


def text_of(counts: list[int]) -> str:
    """`rleToString` of maskApi.c."""
    text = ""
    for k, count in enumerate(counts):
        x = count - (counts[k - 2] if k > 2 else 0)
        more = True
        while more:
            c, x = x & 0x1F, x >> 5
            more = x != -1 if c & 0x10 else x != 0
            text += chr(c + (0x20 if more else 0) + 48)
    return text


def test_compressed_counts() -> None:
    for _ in range(200):
        counts = DRAWS.integers(0, int(DRAWS.choice([3, 40, 10**6])), int(DRAWS.integers(1, 30))).tolist()
        assert rasters.counts_of_text(text_of(counts)) == counts
    for text in ("o", "oooooooooooo1", "0\x7f", "0\x00", "é", "0 1"):
        with pytest.raises(ValueError, match=r"cut off|compressed form|codec"):
            rasters.counts_of_text(text)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_against_pycocotools() -> None:
    library = pytest.importorskip("pycocotools.mask")
    for points, height, width in shapes(200):
        runs = library.merge(library.frPyObjects([points.reshape(-1).tolist()], height, width))
        mask = rasters.polygons([points], height, width)
        assert np.array_equal(library.decode(runs), mask)
        encoded = library.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        counts = rasters.counts_of_text(encoded)
        assert np.array_equal(rasters.runs(np.array(counts), height, width), mask)
        listed = library.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
        assert np.array_equal(library.decode(listed), mask)
