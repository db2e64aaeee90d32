"""The rows of docs/declarations/tables.md about masks and depth maps: each with a file that has that property."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.makers import objects, shake
from blursynth.media import photos as media
from blursynth.sources import coco, masks, outlines, photos, sidecars

HEIGHT, WIDTH = 24, 40
SQUARE = [4, 2, 14, 2, 14, 9, 4, 9]


def inside(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray[Any, np.dtype[np.bool_]]:
    mask = np.zeros((height, width), bool)
    mask[2:9, 4:14] = True
    return mask


def photo(path: pathlib.Path, height: int = HEIGHT, width: int = WIDTH, orientation: int = 1) -> None:
    """A photo whose stored pixels have this size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)


def annotated(path: pathlib.Path, names: list[str], outline: Any, size: tuple[int, int] | None, **more: Any) -> None:
    """One object a photo, with 1 + its position as its id."""
    images = [{"id": k, "file_name": name} for k, name in enumerate(names)]
    for image in images if size else ():
        image |= {"height": size[0], "width": size[1]}  # type: ignore[index]
    annotations = [
        {"id": 1 + k, "image_id": k, "category_id": 7, "segmentation": outline, "iscrowd": 0} | more
        for k, _ in enumerate(names)
    ]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))


def looked(tmp_path: pathlib.Path, **options: Any) -> tuple[photos.PhotoFolder, masks.Masks]:
    found = masks.Masks(tmp_path / "m.json", photos=tmp_path / "photos", **options)
    return sidecars.attached(photos.scan(tmp_path / "photos"), found), found


@pytest.mark.parametrize("counts", ["list", "text"])
def test_run_lengths(tmp_path: pathlib.Path, counts: str) -> None:
    photo(tmp_path / "photos" / "a.png")
    flat = inside().T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
    runs = np.diff(np.concatenate([[0], edges, [HEIGHT * WIDTH]])).tolist()
    # The text is what pycocotools 2.0.11 makes of this mask.
    outline = {"counts": "R37a000000000000000000^c0" if counts == "text" else runs, "size": [HEIGHT, WIDTH]}
    annotated(tmp_path / "m.json", ["a.png"], outline, (HEIGHT, WIDTH))
    found, read = looked(tmp_path)
    objects_ = read.read(found.sources[0])
    assert objects_.instances[0].area == 70  # counted, where no area is given
    assert np.array_equal(objects_.mask(0, HEIGHT, WIDTH), inside())
    assert np.array_equal(objects_.mask(0, 2 * HEIGHT, 2 * WIDTH), inside().repeat(2, 0).repeat(2, 1))


def test_every_annotation_is_used_or_listed(shared_data: pathlib.Path) -> None:
    case = shared_data / "cases" / "10-coco-rle"
    asked = {"seed": 0, "size": 192, "motion": 0, "objects": 2, "per_photo": 6}
    maker = objects.maker(str(case / "photos"), asked | {"masks": str(case / "mixed.json")})
    assert not maker.left_out
    assert set(maker.make(range(12))["object_id"].reshape(-1).tolist()) - {0} == {1, 2, 3, 4}
    only = objects.maker(str(case / "photos"), asked | {"masks": str(case / "rle.json")})
    assert len(only.used) == 2
    content = json.loads((case / "rle.json").read_text())
    for each in content["annotations"]:  # the areas that the file gives are those of its run lengths
        assert sum(each["segmentation"]["counts"][1::2]) == each["area"]


@pytest.mark.parametrize(("categories", "ids"), [([{"id": 7}], [1]), ([], [1, 5]), (None, [1, 5])])
def test_an_id_that_stands_twice_and_a_category_that_is_not_listed(
    tmp_path: pathlib.Path, categories: object, ids: list[int]
) -> None:
    photo(tmp_path / "photos" / "a.png")
    bad = {"image_id": 0, "category_id": 7, "segmentation": [SQUARE]}
    content = {"images": [{"id": 0, "file_name": "a.png"}], "categories": categories}
    content["annotations"] = [bad | {"id": 1}, bad | {"id": 5, "category_id": 8}, bad | {"id": 1, "area": 3}]
    (tmp_path / "m.json").write_text(json.dumps(content))
    found, read = looked(tmp_path)
    assert [each.id for each in read.read(found.sources[0]).instances] == ids
    said = [f"has an annotation that is not used: {coco.SAME_ID}; 1 of a.png"]
    if categories:
        said.append(f"has an annotation that is not used: {coco.NO_CATEGORY}; 5 of a.png")
    assert sorted(each.reason for each in read.unclaimed(found.sources)) == sorted(said)


def test_left_out_annotations_are_listed_by_reason(tmp_path: pathlib.Path) -> None:
    for name in ("a.png", "b.png"):
        photo(tmp_path / "photos" / name)
    annotated(tmp_path / "m.json", ["a.png", "b.png"], [SQUARE], (HEIGHT, WIDTH))
    content = json.loads((tmp_path / "m.json").read_text())
    bad = {"image_id": 0, "category_id": 7, "segmentation": [SQUARE]}
    content["annotations"] += [
        bad | {"id": 5, "iscrowd": 1},
        bad | {"id": 6, "iscrowd": 1},
        bad | {"id": 7, "segmentation": {"counts": [9], "size": [3, 3]}},
        bad | {"id": 8, "segmentation": [[1, 2]]},
        bad | {"id": 9, "image_id": 77},
        bad | {"id": "\ud800"},
    ]
    (tmp_path / "m.json").write_text(json.dumps(content))
    found, read = looked(tmp_path)
    assert [each.name for each in found.sources] == ["a.png", "b.png"]
    said = [each.reason for each in read.unclaimed(found.sources)]
    assert said == [
        f"has an annotation that is not used: {coco.NO_IMAGE}; 9",
        f"has 2 annotations that are not used: {outlines.CROWD}; the first is 5 of a.png",
        f"has an annotation that is not used: {outlines.RLE_SIZE}; 7 of a.png",
        f"has an annotation that is not used: {outlines.NO_POINTS}; 8 of a.png",
        f"has an annotation that is not used: {outlines.NO_NUMBER}; '\\ud800' of a.png",
    ]


@pytest.mark.parametrize(
    ("photos_", "named", "ids"),
    [
        (["train/0.png", "val/0.png"], ["train/0.png", "val/0.png"], {"train/0.png": 1, "val/0.png": 2}),
        (["train/0.png", "val/0.png"], ["train\\0.png"], {"train/0.png": 1}),
        (["val/0.png"], ["train/0.png"], {}),
        (["train/0.png", "val/0.png"], ["0.png"], {}),
        (["0.png", "val/0.png"], ["0.png"], {"0.png": 1}),
        (["val/0.png"], ["0.png"], {"val/0.png": 1}),
        (["0.png"], ["data/val/0.png"], {"0.png": 1}),
        (["0.png"], ["train/0.png", "val/0.png"], {}),
        (["val/0.png"], ["data/images/val/0.png"], {"val/0.png": 1}),
        (["val/images/0.png"], ["val/0.png"], {"val/images/0.png": 1}),
        (["a/val/0.png"], ["b/val/0.png"], {}),
    ],
)
def test_names_are_compared_with_their_folders(
    tmp_path: pathlib.Path, photos_: list[str], named: list[str], ids: dict[str, int]
) -> None:
    for name in photos_:
        photo(tmp_path / "photos" / name)
    annotated(tmp_path / "m.json", named, [SQUARE], (HEIGHT, WIDTH))
    found, read = looked(tmp_path)
    assert {each.name: read.read(each).instances[0].id for each in found.sources} == ids
    assert {each.name for each in found.skipped} == set(photos_) - set(ids)


def test_yolo_files_are_compared_with_their_folders(tmp_path: pathlib.Path) -> None:
    for name in ("images/train/0.png", "images/val/0.png", "images/test/0.png"):
        photo(tmp_path / "photos" / name)
    for k, name in enumerate(("train", "val")):
        (tmp_path / "labels" / name).mkdir(parents=True)
        (tmp_path / "labels" / name / "0.txt").write_text(f"\ufeff{k} 0.1 0.1 0.6 0.1 0.6 0.6\n", encoding="utf-8")
    read = masks.Masks(tmp_path / "labels")
    found = sidecars.attached(photos.scan(tmp_path / "photos"), read)
    categories = {each.name: read.read(each).instances[0].category for each in found.sources}
    assert categories == {"images/train/0.png": 0, "images/val/0.png": 1}
    assert [each.name for each in found.skipped] == ["images/test/0.png"]


def turned(stored: Any, orientation: int) -> Any:
    """What Pillow's own transposition makes of stored pixels, as EXIF defines it."""
    methods = Image.Transpose
    ways = (
        None,
        methods.FLIP_LEFT_RIGHT,
        methods.ROTATE_180,
        methods.FLIP_TOP_BOTTOM,
        methods.TRANSPOSE,
        methods.ROTATE_270,
        methods.TRANSVERSE,
        methods.ROTATE_90,
    )
    way = ways[orientation - 1]
    return stored if way is None else np.asarray(Image.fromarray(stored.astype(np.uint8)).transpose(way)) > 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("outline", ["polygon", "runs"])
def test_masks_of_stored_pixels_are_turned_with_them(tmp_path: pathlib.Path, orientation: int, outline: str) -> None:
    photo(tmp_path / "photos" / "a.jpg", orientation=orientation)
    flat = inside().T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
    runs = {"counts": np.diff([0, *edges, HEIGHT * WIDTH]).tolist(), "size": [HEIGHT, WIDTH]}
    annotated(tmp_path / "m.json", ["a.jpg"], [SQUARE] if outline == "polygon" else runs, (HEIGHT, WIDTH))
    found, read = looked(tmp_path, orientation="stored")
    (source,) = found.sources
    mask = read.read(source).mask(0, source.height, source.width)
    assert np.array_equal(mask, turned(inside(), orientation))
    assert mask.shape == media.read(tmp_path / "photos" / "a.jpg").shape[:2]


@pytest.mark.parametrize(
    ("orientation", "size", "option", "used"),
    [
        (1, (HEIGHT, WIDTH), None, "upright"),
        (6, (HEIGHT, WIDTH), None, "stored"),
        (6, (WIDTH, HEIGHT), None, "upright"),
        (6, (WIDTH, HEIGHT), "upright", "upright"),
        (6, (HEIGHT, WIDTH), "stored", "stored"),
        (6, (HEIGHT, WIDTH), "upright", None),
        (6, (WIDTH, HEIGHT), "stored", None),
        (6, None, None, None),
        (3, (HEIGHT, WIDTH), None, None),
        (3, (HEIGHT, WIDTH), "stored", "stored"),
        (3, (HEIGHT, WIDTH), "upright", "upright"),
        (6, (30, 30), None, None),
    ],
)
def test_which_picture_masks_lie_over(
    tmp_path: pathlib.Path, orientation: int, size: tuple[int, int] | None, option: str | None, used: str | None
) -> None:
    """Where the size does not say it, the switch has to."""
    photo(tmp_path / "photos" / "a.jpg", orientation=orientation)
    annotated(tmp_path / "m.json", ["a.jpg"], [SQUARE], size)
    found, read = looked(tmp_path, orientation=option)
    if used is None:
        assert [each.name for each in found.skipped] == ["a.jpg"]
        return
    (source,) = found.sources
    mask = read.read(source).mask(0, source.height, source.width)
    upright = inside(source.height, source.width)
    assert np.array_equal(mask, upright if used == "upright" else turned(inside(), orientation))


def test_the_switch_is_recorded(tmp_path: pathlib.Path) -> None:
    photo(tmp_path / "photos" / "a.jpg", 64, 64, orientation=3)
    annotated(tmp_path / "m.json", ["a.jpg"], [[8, 8, 40, 8, 40, 40, 8, 40]], (64, 64))
    asked = {"seed": 0, "size": 32, "motion": 0, "object_motion": 5, "greatest": 2.0, "masks": str(tmp_path / "m.json")}
    with pytest.raises(errors.InputError, match="--masks-orientation upright"):
        objects.maker(str(tmp_path / "photos"), asked)
    maker = objects.maker(str(tmp_path / "photos"), asked | {"masks_orientation": "stored"})
    again = objects.from_record(maker.record(), 1, maker.record().inputs)
    assert np.array_equal(again.make(range(1))["object_mask"], maker.make(range(1))["object_mask"])
    assert maker.make(range(1))["objects"].tolist() == [1]


def test_panoptic_segments(tmp_path: pathlib.Path) -> None:
    """Stuff, crowds, categories that are not listed, segments without pixels, pixels without a segment."""
    photo(tmp_path / "photos" / "a.png")
    numbers = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for k, number in enumerate((1, 2, 3, 4, 6)):
        numbers[:, 8 * k : 8 * k + 8, 0] = number
    (tmp_path / "m").mkdir()
    Image.fromarray(numbers).save(tmp_path / "m" / "a.png")
    segments = [
        {"id": number, "category_id": category, "area": 192, "iscrowd": int(number == 3)}
        for number, category in ((1, 7), (2, 200), (3, 7), (4, 5), (5, 7))
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 7, "isthing": 1}, {"id": 200, "isthing": 0}],
    }
    (tmp_path / "m.json").write_text(json.dumps(content))
    found, read = looked(tmp_path)
    assert [each.id for each in read.read(found.sources[0]).instances] == [1]
    assert [each.reason for each in read.unclaimed(found.sources)] == [
        f"has an annotation that is not used: {coco.NO_THING}; 2 of a.png",
        f"has an annotation that is not used: {outlines.CROWD}; 3 of a.png",
        f"has an annotation that is not used: {coco.NO_CATEGORY}; 4 of a.png",
        f"has an annotation that is not used: {coco.NO_PIXEL}; 5 of a.png",
        f"has an annotation that is not used: {coco.NO_SEGMENT}; 6 of a.png",
    ]


def test_a_panoptic_map_that_is_to_be_turned_is_refused(tmp_path: pathlib.Path) -> None:
    photo(tmp_path / "photos" / "a.png")
    (tmp_path / "m").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(np.ones((HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / "m" / "a.png", exif=exif)
    segments = [{"id": 65793, "category_id": 7, "area": 960}]
    annotation = {"image_id": 1, "file_name": "a.png", "segments_info": segments}
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [annotation]}
    (tmp_path / "m.json").write_text(json.dumps(content))
    found, _ = looked(tmp_path)
    assert ["EXIF orientation 8" in each.reason for each in found.skipped] == [True]
    for name in (str(tmp_path / "photos" / "a.png"), "../photos/a.png", "..\\photos\\a.png", "a\0.png"):
        annotation["file_name"] = name
        (tmp_path / "m.json").write_text(json.dumps(content))
        found, _ = looked(tmp_path)
        assert ["leads out of its folder" in each.reason for each in found.skipped] == [True]


@pytest.mark.parametrize(
    "line",
    ["0 0.5 0.5 0.2 0.2", "0 0 0 1.1 0 1 1", "0 0 0 1 0 1", "0 0 0 nan 0 1 1", f"{2**63} 0 0 1 0 1 1", "x 0 0 1 0 1 1"],
)
def test_lines_of_yolo_that_are_no_polygons(tmp_path: pathlib.Path, line: str) -> None:
    photo(tmp_path / "photos" / "a.png")
    photo(tmp_path / "photos" / "b.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(f"0 0 0 1 0 1 1\n{line}\n")
    (tmp_path / "labels" / "b.txt").write_text("0 0 0 1 0 1 1\n")
    found = sidecars.attached(photos.scan(tmp_path / "photos"), masks.Masks(tmp_path / "labels"))
    assert [each.name for each in found.sources] == ["b.png"]
    assert ["line 2" in each.reason for each in found.skipped] == [True]


def depth(tmp_path: pathlib.Path, **options: Any) -> tuple[photos.PhotoFolder, sidecars.DepthMaps]:
    found = sidecars.DepthMaps(tmp_path / "depth", photos=tmp_path / "photos", **options)
    return sidecars.attached(photos.scan(tmp_path / "photos"), found), found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_depth_maps_of_stored_pixels_are_turned_with_them(tmp_path: pathlib.Path, orientation: int) -> None:
    photo(tmp_path / "photos" / "a.jpg", orientation=orientation)
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "a.npy", 1.0 + inside())
    found, read = depth(tmp_path, orientation="stored")
    assert np.array_equal(read.read(found.sources[0]) > 1.5, turned(inside(), orientation))
    found, read = depth(tmp_path)
    assert len(found.sources) == (orientation == 1 or orientation > 4)
    assert all(np.array_equal(read.read(each) > 1.5, turned(inside(), orientation)) for each in found.sources)


def test_depths_that_are_no_numbers(tmp_path: pathlib.Path) -> None:
    """0, negative and NaN are unknown, infinite and what float32 cannot hold infinitely far; PNG is in millimetres."""
    photo(tmp_path / "photos" / "a.png", 1, 6)
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "a.npy", np.array([[0, -1, np.nan, np.inf, 1e300, 2.5]]))
    found, read = depth(tmp_path)
    assert np.array_equal(read.read(found.sources[0]), [[np.nan, np.nan, np.nan, np.inf, np.inf, 2.5]], equal_nan=True)
    (tmp_path / "depth" / "a.npy").unlink()
    millimetres = np.array([[0, 1, 1000, 65535, 2500, 1]], np.uint16)
    Image.fromarray(millimetres).save(tmp_path / "depth" / "a.png")
    found, read = depth(tmp_path)
    expected = np.array([[np.nan, 0.001, 1, 65.535, 2.5, 0.001]], np.float32)
    assert np.allclose(read.read(found.sources[0]), expected, equal_nan=True)


def test_depth_maps_that_could_be_meant_otherwise(tmp_path: pathlib.Path) -> None:
    """Two maps of one photo, one map of two photos, a map that is to be turned, files that are no maps."""
    for name in ("a.png", "b.png", "b.jpg", "c.png", "d.png"):
        photo(tmp_path / "photos" / name)
    (tmp_path / "depth").mkdir()
    ones = np.full((HEIGHT, WIDTH), 1000, np.uint16)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / "depth" / name, ones)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(ones).save(tmp_path / "depth" / "a.png")
    Image.fromarray(ones).save(tmp_path / "depth" / "c.png", exif=exif)
    Image.fromarray(ones).save(tmp_path / "depth" / "d.png")
    Image.fromarray(ones).save(tmp_path / "depth" / "e.tiff")
    found, read = depth(tmp_path)
    assert [each.name for each in found.sources] == ["d.png"]
    assert {each.name: each.reason.split(",")[0].split(" /")[0] for each in found.skipped} == {
        "a.png": "has two depth maps",
        "b.jpg": "may have the depth map b.npy",
        "b.png": "may have the depth map b.npy",
        "c.png": found.skipped[3].reason.split(" /")[0].split(",")[0],
    }
    assert "EXIF orientation 3" in found.skipped[3].reason
    assert [each.reason for each in read.unclaimed(photos.scan(tmp_path / "photos").sources)] == [
        "has 1 files that are not .png or .npy and are not read: e.tiff"
    ]


def test_the_depth_switch_is_an_option(tmp_path: pathlib.Path) -> None:
    photo(tmp_path / "photos" / "a.jpg", orientation=3)
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "a.npy", 1.0 + inside())
    asked = {"seed": 0, "size": 16, "motion": 1, "depth": str(tmp_path / "depth")}
    with pytest.raises(errors.InputError, match="--depth-orientation stored"):
        shake.maker(str(tmp_path / "photos"), asked)
    maker = shake.maker(str(tmp_path / "photos"), asked | {"depth_orientation": "stored"})
    assert maker.make(range(1))["valid"].tolist() == [1]
    with pytest.raises(errors.RecipeError, match="--depth-orientation is of depth maps"):
        shake.maker(str(tmp_path / "photos"), {"seed": 0, "size": 16, "depth": 1, "depth_orientation": "stored"})
