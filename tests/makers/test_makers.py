"""What holds for every kind of dataset: an item is a function of (recipe, seed, item), however the work is cut."""

import dataclasses
import json
import os
import pathlib
import pickle
import subprocess
import sys
from typing import Any

import clip_files
import kinds
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from blursynth.config import photo_pairs, toml
from blursynth.makers import average_frames_request, convolve, psfs, trajectories
from blursynth.production import maker, run
from blursynth.storage import reader

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = {"steps": 200, "length": "5:20"}
CONVOLVE: dict[str, Any] = {"seed": 4, "size": 48, "per_photo": 5, "exposure": "0.1,0.5,1", **SMALL}


def trajectory_maker(**changes: Any) -> trajectories.TrajectoryMaker:
    request = toml.build({"n": 40, "motion": SMALL}, photo_pairs.Trajectories)
    return trajectories.TrajectoryMaker(**({"recipe": request, "seed": 4} | changes))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("paths") / "paths.zarr")
    run.produce(trajectory_maker(), out)
    return out


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("photos")
    draws = np.random.default_rng(0)
    for k in range(8):
        Image.fromarray(draws.integers(0, 256, (60 + k, 80 - k, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    (folder / "9.png").write_bytes((folder / "7.png").read_bytes()[:4000])  # its header is whole, its pixels are not
    return str(folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A clip of many key frames, one that is damaged in the middle, and a folder of frames."""
    folder = tmp_path_factory.mktemp("clips")
    options = {"crf": "20", "preset": "veryfast", "g": "10", "bf": "2"}
    whole = clip_files.write(folder / "a.mp4", clip_files.moving(70, 60, 80), options=options)
    data = bytearray(whole.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60] = bytes(60)
    (folder / "b.mp4").write_bytes(data)
    (folder / "c").mkdir()
    for k, frame in enumerate(clip_files.moving(30, 60, 80, seed=1)):
        Image.fromarray(frame).save(folder / "c" / f"{k:06d}.png")
    return str(folder)


KINDS = ["trajectories", "psfs", "convolve", "convolve with paths", "convolve scenes", "average-frames"]
SHAKEN = ["photos shaken", "photos shaken at depths", "photos with moving objects"]


@pytest.fixture(params=KINDS + SHAKEN)
def made_by(request: pytest.FixtureRequest, paths: str, photos: str, clips: str, tmp_path: pathlib.Path) -> Any:
    """A function from a shard length to each kind of maker."""

    def make(shard_length: int | None = None) -> maker.Maker:
        if request.param in SHAKEN:
            made = kinds.make(request.param, tmp_path / "inputs")
            return maker.with_shard_length(made, shard_length) if shard_length else made
        options = CONVOLVE | {"shard_length": shard_length}
        if request.param == "trajectories":
            return trajectory_maker(shard_length=shard_length)
        if request.param == "psfs":
            return psfs.maker(paths, {"exposures": "0.1,1", "size": 33, "seed": 4, "shard_length": shard_length})
        if request.param == "average-frames":
            asked = {"frames": "3-7", "size": 48, "per_window": 2, "splits": "train=0.5,val=0.5"}
            return average_frames_request.maker([clips], {"seed": 4, "shard_length": shard_length, **asked})
        if request.param == "convolve with paths":
            drawn = {name: value for name, value in options.items() if name not in SMALL}
            return convolve.maker(photos, drawn | {"trajectories": paths})
        return convolve.maker("scenes:9" if "scenes" in request.param else photos, options)

    return make


def decoded(path: str) -> dict[str, npt.NDArray[Any]]:
    dataset = reader.open(path)
    arrays = {name: dataset.read(name, range(dataset.items)) for name in dataset.names}
    return arrays | dict(dataset.columns)


def test_neither_shards_nor_workers_nor_order_change_anything(made_by: Any, tmp_path: pathlib.Path) -> None:
    run.produce(made_by(7), tmp_path / "a.zarr", workers=1)
    run.produce(made_by(16), tmp_path / "b.zarr", workers=4)
    run.produce(made_by(), tmp_path / "c.zarr", workers=3)
    first = decoded(str(tmp_path / "a.zarr"))
    for other in ("b", "c"):
        again = decoded(str(tmp_path / f"{other}.zarr"))
        assert first.keys() == again.keys()
        for name, values in first.items():
            assert np.array_equal(values, again[name]), name


def test_items_alone_equal_items_together(made_by: Any) -> None:
    description = made_by()
    together = description.make(range(3, 20))
    for item in (3, 9, 19):
        alone = pickle.loads(pickle.dumps(description)).make(range(item, item + 1))
        for name, values in together.items():
            assert np.array_equal(values[item - 3], alone[name][0]), name


def test_another_seed_gives_other_data(made_by: Any) -> None:
    description = made_by()
    if isinstance(description, psfs.PsfMaker):
        pytest.skip("PSFs are drawn from nothing but their paths")
    other = dataclasses.replace(description, seed=5)
    arrays, others = description.make(range(4)), other.make(range(4))
    main = "position" if "position" in arrays else "blurred"
    assert all(not np.array_equal(arrays[main][k], others[main][k]) for k in range(4))


def test_the_schema_is_what_is_made(made_by: Any) -> None:
    description = made_by()
    arrays = description.make(range(2))
    assert set(arrays) == set(description.schema.names)
    for spec in description.schema.arrays:
        assert arrays[spec.name].shape == (2, *spec.shape), spec.name
        assert arrays[spec.name].dtype == spec.dtype, spec.name
    assert description.peak_bytes(2) >= sum(values.nbytes for values in arrays.values())


@pytest.mark.slow
def test_the_plan_knows_the_memory_of_pairs(tmp_path: pathlib.Path) -> None:
    """Whole photos, where images count and not what Python takes anyway."""
    script = pathlib.Path(__file__).with_name("traced_makers.py")
    command = [sys.executable, "-X", "tracemalloc", str(script), str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert len(found) == 18
    for kind, planned, taken in found:
        assert taken <= planned, kind


def test_the_recorded_recipe_is_the_recipe(made_by: Any, tmp_path: pathlib.Path) -> None:
    description = made_by()
    run.produce(description, tmp_path / "a.zarr")
    stored = reader.open(tmp_path / "a.zarr").attributes["recipe"]
    assert toml.parse(stored, type(description.recipe)) == description.recipe


def test_every_pair_is_consistent(photos: str, tmp_path: pathlib.Path) -> None:
    outcome = run.produce(convolve.maker(photos, CONVOLVE), tmp_path / "a.zarr")
    assert [left.name for left in outcome.skipped] == ["9.png"]
    dataset = reader.open(tmp_path / "a.zarr")
    assert dataset.items == 40  # eight photos, five pairs each; the ninth cannot be decoded
    assert dataset.transfer_function == "gamma2.2"
    psf = dataset.read("psf", range(40))
    assert np.abs(psf.sum((1, 2), dtype=np.float64) - 1).max() < 1e-6
    grid = np.arange(psf.shape[1]) - psf.shape[1] // 2
    assert np.abs((psf.sum(1, dtype=np.float64) * grid).sum(1)).max() < 1e-4, "off centre in x"
    assert np.abs((psf.sum(2, dtype=np.float64) * grid).sum(1)).max() < 1e-4, "off centre in y"
    assert set(np.unique(dataset.columns["exposure"])) == {np.float32(0.1), np.float32(0.5), np.float32(1)}
    assert dataset.columns["length"].min() >= 5
    assert dataset.columns["length"].max() < 20


def test_copies_of_a_photo_share_a_split(photos: str, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    for k in range(8):
        for copy in ("a", "b"):
            (folder / f"{copy}{k}.png").write_bytes((pathlib.Path(photos) / f"{k}.png").read_bytes())
    description = convolve.maker(str(folder), CONVOLVE | {"splits": "train=0.5,val=0.5"})
    assert description.split[:8] == description.split[8:]
    assert set(description.split) == {0, 1}
