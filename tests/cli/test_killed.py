"""Every command that makes a dataset is killed at random moments and run again: the result is that of one run."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import click
import clip_files
import kinds
import mask_files
import numpy as np
import pytest
from PIL import Image

from blursynth.cli import main
from blursynth.storage import reader

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = {
    "trajectories": ["--n", "3000", "--shard-length", "40"],
    "psfs": ["paths.zarr", "--exposures", "0.1,1", "--size", "63", "--shard-length", "60"],
    "average-frames": ["clips", "--frames", "3-7", "--size", "64", "--per-window", "4", "--shard-length", "7"],
    "shake": ["photos", "--size", "96", "--per-photo", "40", "--motion", "5:20", "--shard-length", "9"],
    "objects": ["photos", "--masks", "masks.json", "--size", "96", "--per-photo", "20", "--shard-length", "5"],
    "convolve": ["photos", "--size", "96", "--per-photo", "40", "--length", "5:30", "--shard-length", "9"],
    "import": ["flat", "set", "--transfer", "srgb", "--size", "32", "--per-pair", "90", "--shard-length", "9"],
}
DATASETS = {"convolve": 4}
KILLS = 3
"""Twelve moments of one command, because one engine runs them all, and three of each other. Every object that this
engine writes is a moment in `production/test_run.py` and `test_growth.py`, where a store dies before it."""


def blursynth(folder: pathlib.Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "blursynth", *arguments, "--quiet"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: pathlib.Path, *arguments: str) -> str:
    with blursynth(folder, *arguments) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert isinstance(out, str)
    return out


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of what the commands read, where each makes datasets of its own name."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "photos").mkdir()
    draws = np.random.default_rng(0)
    for k in range(8):
        Image.fromarray(draws.integers(0, 256, (120, 150, 3), dtype=np.uint8)).save(folder / "photos" / f"{k}.png")
    whole = (folder / "photos" / "7.png").read_bytes()
    (folder / "photos" / "7.png").write_bytes(whole[:20000])
    mask_files.instances(folder / "masks.json", {f"{k}.png": (120, 150) for k in range(8)})
    kinds.pair_files(folder / "set")
    (folder / "clips").mkdir()
    options = {"crf": "20", "preset": "veryfast", "g": "25"}
    for k in range(3):
        clip_files.write(folder / "clips" / f"{k}.mp4", clip_files.moving(220, 96, 128, seed=k), options=options)
    finish(folder, "trajectories", "--n", "1500", "--out", "paths.zarr")
    return folder


def test_every_making_command_is_here() -> None:
    making = set()
    for name in main.COMMANDS:
        command = main.blursynth.get_command(click.Context(main.blursynth), name)
        assert command is not None
        if {"append", "seed"} <= {option.name for option in command.params}:  # `make` has no seed: it runs these
            making.add(name)
    assert making == set(COMMANDS)


def same(one: pathlib.Path, other: pathlib.Path) -> None:
    left, right = reader.open(one), reader.open(other)
    assert len(left) == len(right) > 0
    for name in right.names:
        np.testing.assert_array_equal(left.read(name, range(len(left))), right.read(name, range(len(right))))
    for name, values in right.columns.items():
        np.testing.assert_array_equal(left.columns[name], values)
    assert left.fingerprint == right.fingerprint
    assert left.attributes["skipped"] == right.attributes["skipped"]


def finished_shards(dataset: pathlib.Path) -> int:
    return len(list(dataset.glob("digest/c/*/0/0")))


def wait_for(process: subprocess.Popen[str], dataset: pathlib.Path, shards: int) -> None:
    """Until so many shards are finished: how fast that is differs from machine to machine."""
    while process.poll() is None and finished_shards(dataset) < shards:
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_many_moments(command: str, inputs: pathlib.Path) -> None:
    whole = f"{command}.zarr"
    finish(inputs, command, *COMMANDS[command], "--out", whole, "--workers", "2")
    shards = finished_shards(inputs / whole)
    moments = random.Random(command)
    struck, datasets = 0, DATASETS.get(command, 1)
    for dataset in range(datasets):
        out = f"{command}-{dataset}.zarr"
        for _ in range(KILLS):
            with blursynth(inputs, command, *COMMANDS[command], "--out", out, "--workers", "2") as process:
                finished = finished_shards(inputs / out)
                wait_for(process, inputs / out, moments.randint(finished, max(finished, shards - 1)))
                time.sleep(moments.uniform(0, 0.02))
                process.kill()
            struck += process.returncode == -signal.SIGKILL
        finish(inputs, command, *COMMANDS[command], "--out", out)
        same(inputs / out, inputs / whole)
        assert not list((inputs / out).rglob("*__lock"))
    assert struck >= KILLS * datasets // 2, "most came too late"
    assert not list(inputs.glob("*.lock"))


@pytest.mark.slow
def test_an_append_killed_at_many_moments(inputs: pathlib.Path) -> None:
    """Between the kills the dataset is the short one, whole, or unfinished for an instant; at the end the long one."""
    more = ["trajectories", "--n", "3000", "--append", "--workers", "2", "--out"]
    began = time.monotonic()
    finish(inputs, "trajectories", "--n", "3000", "--shard-length", "40", "--out", "append.zarr")
    length = time.monotonic() - began
    moments = random.Random("append")
    for dataset in range(2):
        out = f"append-{dataset}.zarr"
        finish(inputs, "trajectories", "--n", "1010", "--shard-length", "40", "--out", out)
        for _ in range(KILLS):
            with blursynth(inputs, *more, out) as process:
                time.sleep(moments.uniform(0.3 * length, 0.9 * length))
                process.kill()
            stored = reader.stored_attributes(str(inputs / out))
            assert stored is not None
            assert (stored["items"], stored["complete"]) in ((1010, True), (3000, False), (3000, True))
        finish(inputs, *more, out)
        same(inputs / out, inputs / "append.zarr")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_stop_is_said_and_leaves_a_resumable_dataset(number: signal.Signals, tmp_path: pathlib.Path) -> None:
    arguments = ["trajectories", "--n", "200000", "--shard-length", "50", "--out", "f.zarr"]
    with blursynth(tmp_path, *arguments) as process:
        while not list(tmp_path.glob("f.zarr/digest/c/*/0/0")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err.strip() == "blursynth: Interrupted. What is finished is kept: run the same command again to go on."
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.zarr"]
    assert 0 < len(reader.open(tmp_path / "f.zarr", incomplete=True)) < 200_000
