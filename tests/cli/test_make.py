"""Synthesis recipes: what they make, and the sentence for everything that is wrong with one."""

import json
import pathlib
import shlex
import shutil
import tomllib
from collections.abc import Callable
from typing import Any

import clip_files
import mask_files
import numpy as np
import pytest
from PIL import Image

from blursynth.config import toml
from blursynth.maintenance import verify
from blursynth.makers import dataset_recipe
from blursynth.storage import reader

Run = Callable[..., Any]  # the fixture of conftest.py
SHIPPED = sorted((toml.shipped_folder() / "synthesis").glob("*.toml"))
TWO = """
seed = 5

[paths]
command = "trajectories"
n = 6
steps = 100
length = "5:9"

[pairs]
command = "convolve"
source = "scenes:2"
size = 24
per_photo = 3
trajectories = "paths.zarr"
no_psf = true
seed = 2
realism = { preset = "rsblur", saturation = false, jpeg = "70:90", sensor = { read = 0.002 } }
"""


def refused(result: Any, *fragments: str) -> None:
    """Exit code 2 and a message on standard error, no traceback, with these words in it."""
    assert result.code == 2, result
    assert "Traceback" not in result.err
    for fragment in fragments:
        assert fragment in result.err, result.err


def noise_photos(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Two photos, and their sizes by name."""
    folder.mkdir()
    sizes = {"a.png": (60, 90), "b.png": (70, 64)}
    for seed, (name, (height, width)) in enumerate(sizes.items()):
        codes = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(codes).save(folder / name)
    return sizes


def test_every_recipe_has_a_twin() -> None:
    assert len(SHIPPED) == 5
    for path in SHIPPED:
        assert (path.parents[1] / "smoke" / f"{path.stem}-data.toml").is_file()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_recipe_and_its_twin_are_of_the_same_commands(path: pathlib.Path) -> None:
    names = {"coco", "imagenet", "gopro", "uniform", "nonuniform", "photos"}
    text = path.read_text(encoding="utf-8")
    sources = [f"{name}=elsewhere" for name in sorted(names) if f"[{name}]" in text]
    changes = ["photos.masks=elsewhere"] if '"objects"' in text else []
    full = dataset_recipe.load(path.stem, sources, changes)
    twin = dataset_recipe.load(f"smoke/{path.stem}-data", sources, changes)
    for a, b in zip(full, twin, strict=True):
        assert (a.name, a.command, a.settings.get("preset")) == (b.name, b.command, b.settings.get("preset"))
        assert set(a.settings) - set(b.settings) <= {"psf_size"}


FAST = ("handheld-realistic", "moving-objects")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in FAST else pytest.mark.slow, id=path.stem) for path in SHIPPED],
)
def test_a_twin_makes_sound_datasets(path: pathlib.Path, run: Run, tmp_path: pathlib.Path) -> None:
    arguments = ["make", f"smoke/{path.stem}-data", "--out", "made", "-q"]
    if "gopro" in path.read_text(encoding="utf-8"):
        clip_files.write(tmp_path / "GOPR0001_07_00.mp4", clip_files.moving(22))
        arguments += ["--source", "gopro=GOPR0001_07_00.mp4"]
    if '"objects"' in path.read_text(encoding="utf-8"):
        refused(run(*arguments, "--source", "photos=photos/"), "Give --set photos.masks=VALUE.")
        sizes = noise_photos(tmp_path / "photos")
        mask_files.instances(tmp_path / "instances.json", sizes)
        arguments += ["--source", "photos=photos/", "--set", "photos.masks=instances.json"]
    made = run(*arguments)
    assert made.code == 0, made.err
    found = sorted((tmp_path / "made").glob("*.zarr"))
    assert found
    for dataset in found:
        assert verify.verify(str(dataset)).sound
        assert reader.open(dataset).items >= 4
    again = run(*arguments)
    assert again.out.count("is complete already") == len(found)


@pytest.mark.parametrize("line", ['source = "a\\u0000b"', 'source = ["a", "b\\u0000"]', 'psfs = "a\\u0000b"'])
def test_a_nul_character_in_a_recipe(line: str, run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "nul.toml").write_text(f'[photos]\ncommand = "convolve"\n{line}\n')
    refused(run("make", "nul.toml"), "[photos]", "NUL")


def test_a_recipe_is_its_commands(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    assert run("make", "two.toml", "--out", "made", "-q").code == 0
    pairs = reader.open("made/pairs.zarr")
    assert pairs.attributes["seed"] == 2
    assert reader.open("made/paths.zarr").attributes["seed"] == 5
    assert "psf" not in pairs.names
    assert pairs.columns["read_noise"].max() <= 0.003
    assert "saturation" not in pairs.columns
    # The record holds the command that a recipe stands for, which makes the same without it.
    said = shlex.split(pairs.attributes["command"])
    assert said[:3] == ["blursynth", "convolve", "scenes:2"]
    said[said.index("--out") + 1] = "again.zarr"
    assert run(*said[1:]).code == 0
    assert reader.open("again.zarr").fingerprint == pairs.fingerprint


def test_only_and_set_and_dry_run(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    looked = run("make", "two.toml", "--only", "paths", "--set", "paths.n=9", "--dry-run")
    assert looked.code == 0
    assert "9 paths" in looked.out
    assert not (tmp_path / "paths.zarr").exists()
    assert run("make", "two.toml", "--only", "paths", "--set", "paths.n=9", "-q").code == 0
    assert reader.open("paths.zarr").items == 9
    assert not (tmp_path / "pairs.zarr").exists()
    both = run("make", "smoke/lai-data", "--dry-run")
    assert "all together: 12 items to make" in both.out


def test_a_dry_run_says_all_of_what_does_not_fit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3000))
    both = run("make", "smoke/lai-data", "--dry-run")
    assert both.code == 0
    assert both.out.count("does not fit on the disk") == 2
    assert "all together: 12 items to make" in both.out
    refused(run("convolve", "scenes:3", "--size", 48, "--dry-run"), "does not fit on the disk")


def test_set_changes_one_value_of_a_table(run: Run, tmp_path: pathlib.Path) -> None:
    drawn = 'field = "2x2"\nmotion = { length = 9, steps = 100 }'
    (tmp_path / "two.toml").write_text(TWO.replace('trajectories = "paths.zarr"', drawn))
    changes = {
        "realism.jpeg": "60",
        "realism.sensor.gain": "1:2",
        "realism.saturation": "1",
        "motion.length": "4:5",
        "field": "1x3",
        "store_psf": "true",
        "splits": "{ train = 0.5, test = 0.5 }",
        "exposure": "[0.5, 1]",
    }
    words = [word for key, value in changes.items() for word in ("--set", f"pairs.{key}={value}")]
    assert run("make", "two.toml", "--only", "pairs", "-q", *words).code == 0
    pairs = reader.open("pairs.zarr")
    recipe = tomllib.loads(pairs.attributes["recipe"])
    assert recipe["realism"]["jpeg"] == 60
    assert recipe["realism"]["saturation"] == 1
    assert (recipe["realism"]["sensor"]["gain"], recipe["realism"]["sensor"]["read"]) == ("1:2", 0.002)
    assert (recipe["motion"]["length"], recipe["motion"]["steps"]) == ("4:5", 100)
    assert (recipe["field"]["rows"], recipe["field"]["columns"]) == (1, 3)
    assert recipe["splits"] == {"train": 0.5, "val": 0.0, "test": 0.5}
    assert recipe["exposure"] == "0.5,1"
    assert recipe["store_psf"]
    # The recorded command makes the same.
    said = shlex.split(pairs.attributes["command"])
    said[said.index("--out") + 1] = "again.zarr"
    assert run(*said[1:]).code == 0
    assert reader.open("again.zarr").fingerprint == pairs.fingerprint


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        ("pairs.realism.jpg=70", ["[pairs]", "--realism jpg", "did you mean 'jpeg'"]),
        ("pairs.motion.lenght=70", ["did you mean length"]),
        ("pairs.per_foto=70", ["did you mean per_photo"]),
        ("pairs.size.big=70", ["[pairs]", "--size"]),
        ("pairs.size=true", ["[pairs]", "--size", "integer"]),
        ("pairs.size=2.5", ["[pairs]", "--size", "integer"]),
        ("pairs.seed=-1", ["[pairs]", "--seed"]),
        ("pairs.no_psf=1", ["[pairs]", "no_psf", "true or false"]),
        ("pairs.length=9", ["--length changes nothing"]),
    ],
)
def test_set_refuses_what_cannot_be(change: str, fragments: list[str], run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    run("make", "two.toml", "--only", "paths", "-q")
    refused(run("make", "two.toml", "-q", "--only", "pairs", "--set", change), *fragments)
    assert not (tmp_path / "pairs.zarr").exists()


def test_the_recipe_of_a_dataset_is_printed(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    assert run("make", "two.toml", "-q").code == 0
    (tmp_path / "my.toml").write_text(run("info", "--recipe", "pairs.zarr").out)
    assert "is complete already" in run("make", "my.toml").out
    assert run("make", "my.toml", "--out", "again", "-q").code == 0
    pairs, again = reader.open("pairs.zarr"), reader.open("again/pairs.zarr")
    assert again.fingerprint == pairs.fingerprint
    assert again.attributes["inputs"] == pairs.attributes["inputs"]


@pytest.mark.parametrize(
    ("changes", "arguments", "fragments"),
    [
        ({"per_photo = 3": "per_foto = 3"}, [], ["[pairs]", "per_foto", "did you mean per_photo"]),
        ({'command = "convolve"': 'command = "blur"'}, [], ["[pairs]", "'blur'", "convolve"]),
        ({"seed = 5": "seeed = 5"}, [], ["seeed", "did you mean seed"]),
        ({'source = "scenes:2"': ""}, [], ["Give --source pairs=PATH."]),
        ({"size = 24": "workers = 4"}, [], ["[pairs]", "workers"]),
        ({"size = 24": 'size = "big"'}, [], ["[pairs]", "--size", "integer"]),
        ({"no_psf = true": "no_psf = 3"}, [], ["no_psf", "true or false"]),
        (
            {'trajectories = "paths.zarr"': "", 'preset = "rsblur"': 'preset = "rs"'},
            [],
            ["[pairs]", "--realism rs", "rsblur"],
        ),
        ({"[paths]": "paths = 1\n[other]"}, [], ["paths"]),
        ({TWO: "seed = 1"}, [], ["no dataset"]),
        ({"seed = 5": "seed ="}, [], ["not valid TOML"]),
        ({}, ["--set", "pears.size=3"], ["pears", "paths, pairs"]),
        ({}, ["--set", "pairs=3"], ["DATASET.OPTION=VALUE"]),
        ({}, ["--source", "pairs"], ["DATASET=PATH"]),
        ({}, ["--only", "pear"], ["pear", "paths, pairs"]),
    ],
)
def test_wrong_recipes(
    changes: dict[str, str], arguments: list[str], fragments: list[str], run: Run, tmp_path: pathlib.Path
) -> None:
    text = TWO
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "two.toml").write_text(text)
    refused(run("make", "two.toml", "-q", "--only", "pairs", *arguments), *fragments)


def test_other_recipes_are_named(run: Run) -> None:
    refused(run("make", "smoke/demo"), "trainers.run")
    refused(run("make", "nothing"), "synthesis/lai")


def test_all_that_is_missing_is_named_at_once(run: Run) -> None:
    refused(run("make", "lai"), "lai does not say", "Give --source uniform=PATH --source nonuniform=PATH.")
    refused(run("make", "moving-objects"), "Give --source photos=PATH --set photos.masks=VALUE.")


def test_a_list_of_sources_and_of_values(run: Run, tmp_path: pathlib.Path) -> None:
    for name in "ab":
        clip_files.write(tmp_path / f"{name}.mp4", clip_files.moving(14))
    text = '[clips]\ncommand = "average-frames"\nsource = ["a.mp4", "b.mp4"]\nframes = [3, 5]\nmotion = false\n'
    (tmp_path / "clips.toml").write_text(text)
    assert run("make", "clips.toml", "-q").code == 0
    made = reader.open("clips.zarr")
    assert json.loads(json.dumps(made.attributes["sources"])) == 2
    assert set(made.columns["frames"]) == {3, 5}


def test_datasets_stay_in_their_folder(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "two.toml").write_text(TWO.replace("[pairs]", '["../pairs"]'))
    refused(run("make", "two.toml", "-q"), "../pairs", "no name of a dataset")
    assert not (tmp_path / "paths.zarr").exists()
