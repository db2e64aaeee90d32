"""Depth maps beside photos."""

import dataclasses
import errno
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.makers import shake
from blursynth.media import maps
from blursynth.sources import coco, masks, photos, sidecars, source


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three photos, and maps of two of them."""
    (tmp_path / "photos" / "in").mkdir(parents=True)
    (tmp_path / "depth" / "in").mkdir(parents=True)
    draws = np.random.default_rng(0)
    for name in ("a", "in/b", "c"):
        Image.fromarray(draws.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{name}.png")
    millimetres = np.full((30, 40), 2500, np.uint16)
    millimetres[0, 0] = 0
    Image.fromarray(millimetres).save(tmp_path / "depth" / "a.png")
    np.save(tmp_path / "depth" / "in" / "b.npy", np.full((30, 40), 1.5))
    return tmp_path


def made(folder: pathlib.Path, **options: object) -> shake.ShakeMaker:
    asked = {"seed": 1, "size": 16, "motion": 3, "depth": str(folder / "depth")}
    return shake.maker(str(folder / "photos"), asked | options)


def test_values_are_metres_and_gaps_are_not_known(folder: pathlib.Path) -> None:
    found = sidecars.attached(photos.scan(folder / "photos"), sidecars.DepthMaps(folder / "depth"))
    assert [each.name for each in found.sources] == ["a.png", "in/b.png"]
    assert all(len(each.beside or "") == 64 for each in found.sources)
    assert [each.name for each in found.skipped] == ["c.png"]
    assert found.skipped[0].reason.startswith("has no depth map")
    png, npy = (sidecars.DepthMaps(folder / "depth").read(each) for each in found.sources)
    assert np.isnan(png[0, 0])
    assert np.allclose(png[1:], 2.5)
    assert np.allclose(npy, 1.5)
    scaled = sidecars.DepthMaps(folder / "depth", 0.01).read(found.sources[0])
    assert np.allclose(scaled[1:], 25)


def test_a_map_of_another_size_is_a_sentence(folder: pathlib.Path) -> None:
    np.save(folder / "depth" / "c.npy", np.ones((40, 30)))
    left_out = made(folder).left_out
    assert [left.name for left in left_out] == ["c.png"]
    assert "is 40x30 px, but its depth map" in left_out[0].reason
    assert "30x40; they have to be equal" in left_out[0].reason
    with pytest.raises(errors.InputError, match=r"c\.png: is 40x30 px, but its depth map .* Without --strict"):
        made(folder, strict=True)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: Image.new("L", (40, 30)).save(path.with_suffix(".png")), "mode L; a depth map is a 16-bit grey"),
        (lambda path: np.save(path.with_suffix(".npy"), np.ones((30, 40, 3))), "one number a pixel"),
        (lambda path: np.save(path.with_suffix(".npy"), np.full((30, 40), "x")), "one number a pixel"),
        (lambda path: path.with_suffix(".npy").write_bytes(b"nothing"), "damaged"),
    ],
)
def test_files_that_are_no_maps(folder: pathlib.Path, write: object, message: str) -> None:
    write(folder / "depth" / "c")  # type: ignore[operator]
    assert [message in left.reason for left in made(folder).left_out] == [True]


def test_a_map_without_its_photo_is_said_once(folder: pathlib.Path) -> None:
    np.save(folder / "depth" / "x.npy", np.ones((3, 4)))
    np.save(folder / "depth" / "y.npy", np.ones((3, 4)))
    assert [(left.name, left.reason) for left in made(folder).left_out][1:] == [
        ("depth", "has 2 depth maps without a photo: x.npy and others")
    ]


def test_a_map_that_changed_is_found(folder: pathlib.Path) -> None:
    maker = made(folder)
    assert maker.changed([0, 1]) == []
    np.save(folder / "depth" / "in" / "b.npy", np.full((30, 40), 1.6))
    assert [(left.name, left.reason) for left in maker.changed([0, 1])] == [
        ("in/b.png", "has another depth map than it had: its SHA-256 is another")
    ]


def test_an_empty_map_leaves_its_pairs_out(folder: pathlib.Path) -> None:
    np.save(folder / "depth" / "c.npy", np.zeros((30, 40)))
    maker = made(folder)
    assert maker.make(range(3))["valid"].tolist() == [1, 0, 1]
    assert "has no depth above 0" in maker.skipped([1])[0].reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": "nowhere/"}, "neither metres"),
        ({"depth": "1:10", "layers": 3}, "--layers is of depth maps"),
        ({"depth": None, "depth_scale": 0.1}, "--depth-scale is of depth maps"),
    ],
)
def test_what_cannot_be_asked(folder: pathlib.Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(errors.BlursynthError, match=message):
        made(folder, **options)


def test_scenes_have_none(folder: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="Procedural scenes have no depth maps"):
        shake.maker("scenes:3", {"seed": 1, "size": 16, "motion": 3, "depth": str(folder / "depth")})


def test_numbers_are_never_mixed() -> None:
    values = np.array([[1, 9], [5, 7]])
    assert np.array_equal(maps.nearest(values, 4, 2), [[1, 9], [1, 9], [5, 7], [5, 7]])
    assert np.array_equal(maps.nearest(values, 1, 1), [[7]])


@pytest.mark.parametrize("where", ["file", "folder"])
@pytest.mark.parametrize("what", ["depth", "labels", "panoptic"])
def test_links_to_what_is_not_there_stop_the_command(what: str, where: str, tmp_path: pathlib.Path) -> None:
    """A disk that is not mounted makes no smaller dataset."""
    photo = source.Source("a/0.png", "", 4, 5, 1)
    (tmp_path / what).mkdir()
    link = tmp_path / what / "a"
    if where == "file":
        link.mkdir()
        link /= {"depth": "0.png", "labels": "0.txt", "panoptic": "0.png"}[what]
    link.symlink_to(tmp_path / "away")
    look = {
        "depth": lambda: sidecars.DepthMaps(tmp_path / what).digest(photo),
        "labels": lambda: masks.Masks(tmp_path / what).digest(photo),
        "panoptic": coco.Image("a/0.png", "x.json", (4, 5), (), png=tmp_path / what / "a" / "0.png").content,
    }[what]
    with pytest.raises(errors.SourceError, match=f"{link} is a link"):
        look()


def test_a_depth_map_that_is_listed_and_not_found_is_a_fault(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0.png").write_bytes(b"x")
    depth, photo, honest = sidecars.DepthMaps(tmp_path), source.Source("0.png", "", 4, 5, 1), pathlib.Path.stat

    def stat(path: pathlib.Path, **options: bool) -> os.stat_result:
        if path.name == "0.png":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return honest(path, **options)

    monkeypatch.setattr(pathlib.Path, "stat", stat)
    with pytest.raises(errors.SourceError, match=r"0\.png"):
        depth.digest(photo)
    with pytest.raises(errors.InputError, match="no depth map"):
        depth.digest(dataclasses.replace(photo, name="1.png"))
