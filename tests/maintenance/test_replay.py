"""One item made again equals what is stored, and where it does not, replay says where."""

import pathlib
from collections.abc import Callable
from typing import Any

import kinds
import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.maintenance import replay
from blursynth.makers import convolve
from blursynth.production import run
from blursynth.storage import reader


@pytest.fixture
def pairs(tmp_path: pathlib.Path) -> pathlib.Path:
    run.produce(kinds.make("photos", tmp_path), tmp_path / "a.zarr")
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_any_item_of_any_kind_is_equal(kind: str, kept: Callable[[str], kinds.Kept]) -> None:
    path = kept(kind).path
    dataset = reader.open(path)
    for index in (0, 7, dataset.items - 1):
        item = int(dataset.item_numbers[index])
        again = replay.replay(path, item)
        assert (again.equal, again.differences, again.item) == (True, {}, item)
        assert again.shard == item // dataset.attributes["shard_length"]
        assert again.made.keys() == again.stored.keys() == set(dataset.attributes["arrays"])
        for name in dataset.names:
            assert np.array_equal(again.stored[name], dataset.read(name, [index])[0])
            assert np.array_equal(again.made[name], again.stored[name])
        assert (again.source is None) == (again.split is None) == (dataset.kind != "pairs")


def test_it_says_where_the_item_comes_from(pairs: pathlib.Path) -> None:
    again = replay.replay(pairs, 10)
    assert again.source is not None
    assert again.source["name"] == "3.png"
    assert again.split in ("train", "val")
    assert again.units["crop_y"] == "px"


def test_the_first_difference_is_named(pairs: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = convolve.ConvolveMaker.make

    def make(self: convolve.ConvolveMaker, items: range) -> dict[str, Any]:
        made = honest(self, items)
        made["blurred"][:, 3:5, 4, 1] ^= 1
        made["split"] += np.uint8(1)
        return made

    stored = replay.replay(pairs, 4).stored
    monkeypatch.setattr(convolve.ConvolveMaker, "make", make)
    again = replay.replay(pairs, 4)
    then, split = int(stored["blurred"][3, 4, 1]), int(stored["split"])
    assert again.differences == {
        "blurred": f"differs at (3, 4, 1): {then} is stored, {then ^ 1} is made again; 2 of 1728 values differ",
        "split": f"differs: {split} is stored, {split + 1} is made again",
    }
    assert not again.equal


def test_what_cannot_be_replayed_is_a_sentence(pairs: pathlib.Path) -> None:
    photos = pairs.parent / "photos"
    with pytest.raises(errors.DatasetError, match="has the items 0 to 23; there is no item 24"):
        replay.replay(pairs, 24)
    with pytest.raises(errors.DatasetError, match=r"Item 22 of .* was left out when the dataset was made \(cut.png: "):
        replay.replay(pairs, 22)
    Image.fromarray(np.zeros((43, 47, 3), np.uint8)).save(photos / "3.png")
    with pytest.raises(errors.SourceError, match=r"Item 9 cannot be made again: its source 3.png has changed since"):
        replay.replay(pairs, 9)
    assert replay.replay(pairs, 8).equal
    with pytest.raises(errors.RecipeError, match="--gyro"):
        replay.replay(pairs, 8, moved={"gyro": "phone.csv"})
    photos.rename(photos.with_name("moved"))
    with pytest.raises(errors.InputError, match="There is no file or folder"):
        replay.replay(pairs, 8)
    assert replay.replay(pairs, 8, moved={"photos": str(photos.with_name("moved"))}).equal
    (pairs / "sharp/c/2/0/0/0").unlink()
    with pytest.raises(errors.DatasetError, match=r"Could not read sharp of item 8 .*`blursynth repair "):
        replay.replay(pairs, 8)
    (pairs / "zarr.json").write_text((pairs / "zarr.json").read_text().replace('"seed": 4', '"seed": 5'))
    with pytest.raises(errors.DatasetError, match="is damaged"):
        replay.replay(pairs, 1)
    with pytest.raises(errors.DatasetError, match="There is no dataset at"):
        replay.replay(pairs / "nowhere", 1)
