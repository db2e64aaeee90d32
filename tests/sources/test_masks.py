"""Outlines of objects, from both of COCO's formats."""

import dataclasses
import json
import os
import pathlib
import pickle
from typing import Any

import mask_files
import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.makers import objects
from blursynth.media import photos as media
from blursynth.sources import coco, masks, outlines, photos, sidecars, source

SIZES = {"a.png": (60, 80), "b.png": (70, 64), "c.png": (64, 64)}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three photos; masks of two of them, and of one that is not there, in both formats."""
    (tmp_path / "photos" / "in").mkdir(parents=True)
    draws = np.random.default_rng(0)
    for name, (height, width) in SIZES.items():
        pixels = draws.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / "in" / name)
    outlined = {"a.png": SIZES["a.png"], "b.png": SIZES["b.png"], "gone.png": (50, 50)}
    mask_files.instances(tmp_path / "instances.json", outlined)
    mask_files.panoptic(tmp_path / "panoptic.json", outlined)
    return tmp_path


def attached(folder: pathlib.Path, file: str, **bounds: Any) -> tuple[photos.PhotoFolder, masks.Masks]:
    found = masks.Masks(folder / file, **bounds)
    return sidecars.attached(photos.scan(folder / "photos"), found), found


def made(folder: pathlib.Path, **options: Any) -> objects.ObjectsMaker:
    asked = {"seed": 1, "size": 40, "motion": 3, "object_motion": "3:8", "masks": str(folder / "panoptic.json")}
    return objects.maker(str(folder / "photos"), asked | options)


@pytest.mark.parametrize("file", ["instances.json", "panoptic.json"])
def test_each_object_has_its_pixels(folder: pathlib.Path, file: str) -> None:
    found, read = attached(folder, file, least=0.01)
    assert [photo.name for photo in found.sources] == ["in/a.png", "in/b.png"]
    objects_ = read.read(found.sources[0])
    assert [each.id for each in objects_.instances] == [mask_files.DISC, mask_files.SQUARE]
    disc, square = (objects_.mask(k, 60, 80) for k in range(2))
    down, across = np.mgrid[0:60, 0:80]
    away = np.hypot(across - 28, down - 24)
    assert disc[away < 10].all()
    assert not disc[away > 13].any()
    rows, columns = np.nonzero(square)
    assert (rows.min(), columns.min()) == (30, 48)
    assert rows.max() - rows.min() in (14, 15)  # COCO's polygons end where a pixel ends
    assert np.count_nonzero(square) == pytest.approx(225, rel=0.15)
    assert objects_.instances[1].area == pytest.approx(225)
    twice = objects_.mask(0, 120, 160)
    assert np.count_nonzero(twice) == pytest.approx(4 * np.count_nonzero(disc), rel=0.1)
    assert twice[48, 56]


@pytest.mark.parametrize("file", ["instances.json", "panoptic.json"])
def test_what_is_left_out_is_said(folder: pathlib.Path, file: str) -> None:
    found, read = attached(folder, file, least=0.01, greatest=0.06)
    assert [(left.name, left.reason) for left in found.skipped] == [("in/c.png", f"has no masks in {folder / file}")]
    said = read.unclaimed(photos.scan(folder / "photos").sources)
    reason = {"instances.json": outlines.CROWD, "panoptic.json": coco.NO_THING}[file]
    number = {"instances.json": 99, "panoptic.json": 9}[file]
    assert [(left.name, left.reason) for left in said] == [
        (file, "has a mask without a photo: gone.png"),
        (file, "has objects that stay still: 2 smaller than 1% and 2 larger than 6% of the photo"),
        (file, f"has 2 annotations that are not used: {reason}; the first is {number} of in/a.png"),
    ]


def test_a_photo_with_nothing_to_move_is_left_out(folder: pathlib.Path) -> None:
    maker = made(folder, least=0.3, greatest=0.4)  # of a crop of 40 px: 480 to 640 px
    reasons = {left.name: left.reason for left in maker.left_out}
    assert reasons["in/a.png"] == "has no object that can move: 3 smaller than 30% of the crop"
    assert "in/b.png" not in reasons
    with pytest.raises(errors.InputError, match="has no object that can move: 3 smaller than 90"):
        made(folder, least=0.9, greatest=1.0)


def test_bounds_are_shares_of_the_crop_or_of_the_whole_photo(folder: pathlib.Path) -> None:
    crop, whole = made(folder, greatest=0.2), made(folder, greatest=0.2, fit="resize")
    assert crop._beside.crop == 1600  # type: ignore[union-attr]
    assert whole._beside.crop is None  # type: ignore[union-attr]


SQUARE = [10, 10, 40, 10, 40, 40, 10, 40]


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"segmentation": [[1, 2, 3]]}, outlines.NO_POINTS),
        ({"segmentation": [["abc"] * 6]}, outlines.NO_POINTS),
        ({"segmentation": [[float("nan")] * 6]}, outlines.NO_POINTS),
        ({"segmentation": SQUARE}, outlines.NO_POINTS),
        ({"segmentation": "SQUARE"}, outlines.NO_POINTS),
        ({"segmentation": 7}, outlines.NO_POINTS),
        ({"segmentation": [[]]}, outlines.NO_POINTS),
        ({"segmentation": [[1, 2, 30, 40]]}, outlines.NO_POINTS),  # a box, for pycocotools
        ({"segmentation": [SQUARE], "category_id": None}, outlines.NO_NUMBER),
        ({"segmentation": [SQUARE], "category_id": 2**63}, outlines.NO_NUMBER),
        ({"segmentation": [SQUARE], "area": []}, outlines.NO_NUMBER),
        ({"segmentation": [SQUARE], "area": float("inf")}, outlines.NO_NUMBER),
        ({"segmentation": [SQUARE], "area": float("nan")}, outlines.NO_NUMBER),
        ({"segmentation": [SQUARE], "id": "1"}, outlines.NO_NUMBER),
        ({"segmentation": [SQUARE], "iscrowd": "no"}, outlines.NO_NUMBER),
        ({"segmentation": [SQUARE], "iscrowd": 1}, outlines.CROWD),
        ({"segmentation": [[*SQUARE, 1e9, 1e9]]}, outlines.FAR),
        ({"segmentation": [[500, 500, 540, 500, 540, 540]]}, outlines.NO_AREA),
        ({"segmentation": [[-9, -9, -5, -9, -5, -5]]}, outlines.NO_AREA),
        ({"segmentation": [[5, 5, 9, 9, 5, 5]]}, outlines.NO_AREA),
        ({"segmentation": [SQUARE + SQUARE]}, outlines.NO_AREA),  # each pixel is within it twice
        ({"segmentation": [[5.1, 5.1, 5.4, 5.1, 5.4, 5.4]]}, outlines.NO_AREA),
        ({"segmentation": {"counts": [64 * 70], "size": [70, 64]}}, outlines.NO_AREA),
        ({"segmentation": {"counts": [9, 64 * 70 - 9], "size": [64, 70]}}, outlines.RLE_SIZE),
        ({"segmentation": {"counts": [9, 64 * 70], "size": [70, 64]}}, outlines.RLE_DAMAGED),
        ({"segmentation": {"counts": [9, 3], "size": [70, 64]}}, outlines.RLE_DAMAGED),
        ({"segmentation": {"counts": [-9, 64 * 70 + 9], "size": [70, 64]}}, outlines.RLE_DAMAGED),
        ({"segmentation": {"counts": [9.5, 64 * 70 - 9.5], "size": [70, 64]}}, outlines.RLE_DAMAGED),
        ({"segmentation": {"counts": "Zk3\x00", "size": [70, 64]}}, outlines.RLE_DAMAGED),
        ({"segmentation": {"counts": "é", "size": [70, 64]}}, outlines.RLE_DAMAGED),
        ({"segmentation": {"counts": "oooooooooooo", "size": [70, 64]}}, outlines.RLE_DAMAGED),
        ({"segmentation": {"counts": None, "size": None}}, outlines.RLE_DAMAGED),
        ({"segmentation": None}, outlines.NO_OUTLINE),
        ({}, outlines.NO_OUTLINE),
    ],
)
def test_an_annotation_that_cannot_be_leaves_its_photo_out(
    folder: pathlib.Path, annotation: dict[str, Any], reason: str
) -> None:
    images = [
        {"id": k, "file_name": name, "height": height, "width": width}
        for k, (name, (height, width)) in enumerate(SIZES.items())
    ]
    good = {"image_id": 0, "id": 0, "category_id": 7, "area": 900, "segmentation": [SQUARE]}
    bad = {"image_id": 1, "id": 1, "category_id": 7, "area": 900} | annotation
    (folder / "own.json").write_text(json.dumps({"images": images, "annotations": [good, bad]}))
    maker = made(folder, masks=str(folder / "own.json"), greatest=4.0)
    reasons = {left.name: left.reason for left in maker.left_out}
    names = list(SIZES)
    assert reasons[f"in/{names[1]}"] == f"has no object in own.json that can be used: 1 with {reason}"
    assert f"in/{names[0]}" not in reasons
    assert maker.make(range(1))["objects"].tolist() == [1]


def test_objects_that_vanish_in_a_small_photo_do_not_move(folder: pathlib.Path) -> None:
    """A pixel or two that nearest neighbours pass over."""
    numbers = np.zeros((60, 80, 3), np.uint8)
    numbers[31, 41] = (233, 3, 0)  # 1001, the disc
    Image.fromarray(numbers).save(folder / "panoptic" / "a.png")
    maker = made(folder, fit="resize", size=16, least=0.0, greatest=4.0, object_motion=2)
    assert maker.make(range(1))["objects"].tolist() == [0]
    assert maker.make(range(1))["valid"].tolist() == [1]


@pytest.mark.parametrize("file", ["instances.json", "panoptic.json"])
def test_masks_of_another_size_are_a_sentence(folder: pathlib.Path, file: str) -> None:
    Image.new("RGB", (30, 50)).save(folder / "photos" / "in" / "b.png")
    found, _ = attached(folder, file)
    assert next(left.reason for left in found.skipped) == (
        f"is 30x50 px, but its masks in {file} 64x70; they have to be equal"
    )


def test_a_panoptic_map_of_another_size_or_without_objects_leaves_its_pairs_out(folder: pathlib.Path) -> None:
    Image.new("RGB", (30, 50)).save(folder / "panoptic" / "a.png")
    Image.new("RGB", (64, 70)).save(folder / "panoptic" / "b.png")
    found, read = attached(folder, "panoptic.json")
    assert not found.sources
    reasons = {left.name: left.reason for left in found.skipped}
    assert "is 80x60 px, but its panoptic map" in reasons["in/a.png"]
    assert f"3 with {coco.NO_PIXEL}" in reasons["in/b.png"]
    (folder / "panoptic" / "a.png").unlink()
    assert (sidecars.changed(source.Source("in/a.png", "", 60, 80, 1), read) or "").startswith("has no panoptic map")


@pytest.mark.parametrize("file", ["instances.json", "panoptic.json"])
def test_masks_that_change_are_found_and_others_may(folder: pathlib.Path, file: str) -> None:
    maker = made(folder, masks=str(folder / file))
    content = json.loads((folder / file).read_text())
    annotation = next(each for each in content["annotations"] if each["image_id"] == 1)
    changed = annotation["segments_info"][1] if "segments_info" in annotation else annotation
    changed["area"] += 1
    (folder / file).write_text(json.dumps(content))
    assert [(left.name, left.reason) for left in maker.changed([0, 1])] == [
        ("in/b.png", "has another mask than it had: its SHA-256 is another")
    ]


def test_a_folder_holds_several_files(folder: pathlib.Path) -> None:
    (folder / "both").mkdir()
    mask_files.instances(folder / "both" / "x.json", {"a.png": SIZES["a.png"]})
    mask_files.instances(folder / "both" / "y.json", {"b.png": SIZES["b.png"], "a.png": SIZES["a.png"]})
    found, _ = attached(folder, "both")
    assert [photo.name for photo in found.sources] == ["in/b.png"]
    assert found.skipped[0].reason == "has masks in both x.json and y.json; name one of them"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "other.json"),
        ('{"images": [], "shapes": []}', "other.json"),
        ('{"images": [], "annotations": [{"image_id": 3}]}', "other.json"),
        ('{"images": [], "images": [], "annotations": []}', "other.json"),
        ('{"images": [{"id": 1, "file_name": null}], "annotations": [{"image_id": 1}]}', "other.json"),
        ('{"images": [{"id": 1}, {"id": 1}], "annotations": []}', "other.json"),
        ('{"images": null, "annotations": null}', "other.json"),
        ("[" * 100_000, "other.json"),
        ('{"images": ' + "9" * 5000, "other.json"),
        ("\0", "other.json"),
        (None, "There is no file or folder of masks"),
    ],
)
def test_files_that_are_no_masks(folder: pathlib.Path, content: str | None, message: str) -> None:
    path = folder / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.InputError, match=message):
        made(folder, masks=str(path))
    (folder / "empty").mkdir()
    with pytest.raises(errors.InputError, match="has no JSON file of masks"):
        made(folder, masks=str(folder / "empty"))
    with pytest.raises(errors.InputError, match="a device"):
        made(folder, masks=os.devnull)


def test_what_is_sent_to_workers_is_small(folder: pathlib.Path) -> None:
    maker = made(folder)
    before = maker.make(range(2))
    sent = pickle.dumps(maker)
    assert b"segments_info" not in sent
    after = pickle.loads(sent).make(range(2))
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)


def test_whole_photos_scaled_photos_and_columns(folder: pathlib.Path) -> None:
    maker = made(folder, fit="resize", per_photo=3, objects=2)
    found = maker.make(range(6))
    assert found["valid"].all()
    assert set(found["objects"].tolist()) <= {1, 2}
    assert (found["object_mask"].reshape(6, -1).max(axis=1) == found["objects"]).all()
    moving = found["object_id"] > 0
    assert (moving.sum(axis=1) == found["objects"]).all()
    assert ((found["object_px"] > 0) == moving).all()
    assert (found["object_path"].any(axis=(2, 3)) == moving).all()
    assert (found["object_category"][moving] == 7).all()
    assert found["object_motion_px"] == pytest.approx(found["object_px"].max(axis=1))


def test_real_panoptic_masks(shared_data: pathlib.Path) -> None:
    coco = shared_data / "photos" / "coco"
    asked = {"seed": 2, "size": 192, "motion": "0:4", "masks": str(coco / "panoptic_segmentation" / "annotations")}
    maker = objects.maker(str(coco / "images"), asked)
    assert len(maker.used) >= 45
    found = maker.make(range(8))
    assert found["valid"].all()
    assert (found["object_share"] > 0.001).all()
    listed = source.Source("x/000000000450.jpg", "", 1, 1, 0)
    with pytest.raises(errors.InputError, match=r"is 1x1 px, but its masks in panoptic_train2017\.json"):
        masks.Masks(coco / "panoptic_segmentation" / "annotations").digest(listed)


BOW_TIE = [10, 10, 70, 70, 70, 10, 10, 70]


@pytest.mark.parametrize(
    ("polygons", "area"),
    [
        ([BOW_TIE], 1800),  # by pycocotools 2.0; its signed area is 0
        ([[10, 10, 40, 10, 40, 40, 10, 40], [20, 20, 50, 20, 50, 50, 20, 50]], 1400),
        ([[-10, 0, 10, 0, 10, 10, -10, 10]], 100),
    ],
)
def test_areas_are_those_of_the_masks(polygons: list[list[float]], area: int) -> None:
    annotation = {"id": 1, "category_id": 7, "segmentation": polygons}
    made_ = outlines.of_annotation(annotation, 80, 90)
    assert isinstance(made_, outlines.Instance)
    assert made_.area == area == np.count_nonzero(outlines.Outlines((made_,), 80, 90).mask(0, 80, 90))
    stated = outlines.of_annotation(annotation | {"area": 12.5}, 80, 90)
    assert isinstance(stated, outlines.Instance)
    assert stated.area == 12.5
    if len(polygons) == 1:
        inside = (np.array(polygons[0]).clip(0, None).reshape(-1, 2) / (90, 80)).reshape(-1)
        (read,) = outlines.of_text(pathlib.Path("a.txt"), f"3 {' '.join(map(repr, inside.tolist()))}".encode(), 80, 90)
        assert read.area == area


def test_text_files_of_polygons(tmp_path: pathlib.Path) -> None:
    texts = tmp_path / "labels" / "train"
    texts.mkdir(parents=True)
    photo = source.Source("train/a.jpg", "00", 40, 50, 1)
    (texts / "a.txt").write_text("3 0.2 0.25 0.6 0.25 0.6 0.75 0.2 0.75\n\n7 0 0 0.02 0 0 0.02\n")
    (texts / "b.txt").write_text("3 0.2 0.25 0.6 0.25 0.6\n")
    found = masks.Masks(tmp_path / "labels", least=0.01)
    photo = dataclasses.replace(photo, beside=found.digest(photo))
    read = found.read(photo)
    assert [(each.category, each.area) for each in read.instances] == [(3, pytest.approx(0.4 * 0.5 * 2000))]
    expected = np.zeros((40, 50), bool)
    expected[10:30, 10:30] = True
    assert np.array_equal(read.mask(0, 40, 50), expected)
    (texts / "a.txt").write_text("3 0.2 0.25 0.6 0.25 0.6 0.5 0.2 0.5\n")
    assert found.digest(photo) != photo.beside
    with pytest.raises(errors.SourceError, match="have changed"):
        found.read(photo)
    with pytest.raises(errors.InputError, match=r"b\.txt that are not understood: line 1"):
        found.digest(source.Source("b.png", "00", 40, 50, 1))
    with pytest.raises(errors.InputError, match="no masks"):
        found.digest(source.Source("c.png", "00", 40, 50, 1))
    with pytest.raises(errors.SourceError):
        found.read(source.Source("c.png", "00", 40, 50, 1, beside="00"))
    (left,) = masks.Masks(tmp_path / "labels").unclaimed((photo,))
    assert "b.txt" in left.reason


def test_masks_of_another_size_now_are_changed_masks(folder: pathlib.Path) -> None:
    """The file of masks says the photo's size apart from the outlines."""
    found, read = attached(folder, "instances.json")
    content = json.loads((folder / "instances.json").read_text())
    for image in content["images"]:
        image["height"] += 1
    (folder / "instances.json").write_text(json.dumps(content, indent=1))
    with pytest.raises(errors.SourceError):
        read.read(found.sources[0])


def test_real_polygons(shared_data: pathlib.Path) -> None:
    coco = shared_data / "photos" / "coco"
    texts = masks.Masks(coco / "instance_segmentation", least=0.005)
    maps_ = masks.Masks(coco / "panoptic_segmentation" / "annotations", least=0.005)
    shares = []
    for path in sorted((coco / "images" / "val2017").glob("*.jpg"))[:6]:
        height, width = media.probe(path)
        photo = source.Source(path.name, "00", height, width, 1)
        try:
            both = [each.read(dataclasses.replace(photo, beside=each.digest(photo))) for each in (texts, maps_)]
        except errors.InputError:
            continue
        drawn = [np.any([o.mask(k, height, width) for k in range(len(o.instances))], axis=0) for o in both]
        shares.append((drawn[0] & drawn[1]).sum() / drawn[0].sum())
    assert len(shares) >= 3
    assert np.median(shares) > 0.8  # two annotations of the same objects
