"""A dataset's recipe, given back to `make`, makes the same bytes."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import clip_files
import kinds
import numpy as np
import pytest
from PIL import Image

from blursynth.makers import average_frames_request, dataset_recipe, recorded_recipe, registry, shake
from blursynth.production import run
from blursynth.storage import provenance, reader

CLIPS: dict[str, dict[str, Any]] = {
    "frames": {"frames": [3, 5], "size": 32, "per_window": 2},
    "frames by name": {"preset": "kohler", "size": 32},
    "frames in a grid": {"frames": 5, "size": 32, "crop": "grid", "splits": "folder"},
    "frames by a response": {"frames": 5, "gamma": 1.8, "target": "1", "realism": "gaussian"},
}
OLD = ("shaken of old", "gyro of old")


def gyro_file(path: pathlib.Path) -> str:
    path.write_text("".join(f"{k / 200},{0.1 * (k % 7)},{0.2 * (k % 5)},0.05\n" for k in range(200)))
    return str(path)


def maker_of(kind: str, folder: pathlib.Path) -> Any:
    if kind in CLIPS:
        clip = clip_files.write(folder / "train" / "GOPR0372_07_00.mp4", clip_files.moving(14), rate=30)
        options = {"seed": 3, "motion": False, "allow_fps": True, **CLIPS[kind]}
        return average_frames_request.maker([str(clip.parents[1])], options)
    options = {"seed": 4, "size": 24, "preset": "lai", "motion": 5, "realism": ["rsblur", "saturation=off"]}
    if "gyro" in kind:
        options |= {"gyro": gyro_file(folder / "gyro.csv"), "exposure": "0.05:0.2", "target": "first"}
    made = shake.maker(str(kinds.photos(folder / "photos")), options)
    before = made.recipe.model_copy(update={"convention": None, "gyro_reference": None})
    return dataclasses.replace(made, recipe=before)


def files(path: pathlib.Path) -> dict[str, Any]:
    """All of a dataset but when and by which command it was made."""
    found: dict[str, Any] = dict(kinds.contents(path))
    document = json.loads(found["zarr.json"])
    for name in ("created", "command", "seal"):
        del document["attributes"]["blursynth"][name]
    return found | {"zarr.json": document}


@pytest.mark.parametrize("kind", [*kinds.KINDS, *CLIPS, *OLD])
def test_the_recipe_of_a_dataset_makes_it_again(
    kind: str, kept: Callable[[str], kinds.Kept], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "train").mkdir()
    if kind in kinds.KINDS:
        kept(kind).copy(tmp_path / "one.zarr")
    else:
        run.produce(maker_of(kind, tmp_path), tmp_path / "one.zarr")
    text = recorded_recipe.text(reader.open(str(tmp_path / "one.zarr")))
    (tmp_path / "my.toml").write_text(text)
    (entry,) = dataset_recipe.load(str(tmp_path / "my.toml"))
    assert entry.name == "one"
    again = registry.start(entry.command, entry.sources, entry.settings)
    run.produce(again, tmp_path / "again.zarr")
    one, other = (reader.open(str(tmp_path / name)) for name in ("one.zarr", "again.zarr"))
    assert one.fingerprint == other.fingerprint
    assert provenance.identity(one.attributes) == provenance.identity(other.attributes)
    assert one.attributes["recipe"] == other.attributes["recipe"]
    assert files(tmp_path / "one.zarr") == files(tmp_path / "again.zarr")


def test_keys_that_follow_from_others_are_left_out(tmp_path: pathlib.Path) -> None:
    options = {"seed": 0, "size": 24, "preset": "lai", "motion": 5}
    for name, old in (("new", False), ("old", True)):
        made = shake.maker("scenes:1", options)
        recipe = made.recipe.model_copy(update={"convention": None}) if old else made.recipe
        run.produce(dataclasses.replace(made, recipe=recipe), tmp_path / f"{name}.zarr")
        said = recorded_recipe.text(reader.open(str(tmp_path / f"{name}.zarr")))
        assert ("convention = false" in said) == old
        assert 'source = "scenes:1"' in said
        assert "gyro" not in said or old


def test_a_dataset_that_grew_says_so(tmp_path: pathlib.Path) -> None:
    folder = kinds.photos(tmp_path / "photos")
    options = kinds.PAIRS | {"psf_size": 27}
    run.produce(registry.start("convolve", [str(folder)], options), tmp_path / "a.zarr")
    Image.fromarray(np.full((60, 60, 3), 9, np.uint8)).save(folder / "more.png")
    run.produce(registry.start("convolve", [str(folder)], options), tmp_path / "a.zarr", append=True)
    said = recorded_recipe.text(reader.open(str(tmp_path / "a.zarr")))
    assert said.startswith("# It grew by --append")
