"""Pairs of both commands that make them, mixed two to one, as DeblurGAN's COMB set is."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import clip_files
import numpy as np
import pytest

from blursynth.makers import average_frames_request, convolve
from blursynth.production import run as produce
from trainers import command_line, recipe, run
from trainers.training import data


@pytest.fixture
def mixed(tmp_path: pathlib.Path) -> str:
    """The list of training sets: convolved scenes with weight 2, averaged frames with weight 1."""
    synthetic = convolve.maker("scenes:12", {"seed": 0, "size": 32, "length": "5:15"})
    produce.produce(synthetic, tmp_path / "synth.zarr")
    (tmp_path / "clips").mkdir()
    for name in "abcd":
        clip_files.write(tmp_path / "clips" / f"{name}.mp4", clip_files.moving(60, seed=ord(name)))
    asked = {"seed": 0, "frames": "3-7", "size": 32, "per_window": 2, "splits": "train=0.75,val=0.25"}
    produce.produce(average_frames_request.maker([str(tmp_path / "clips")], asked), tmp_path / "frames.zarr")
    return (
        f'[{{path = "{tmp_path / "synth.zarr"}", weight = 2.0}}, {{path = "{tmp_path / "frames.zarr"}", weight = 1.0}}]'
    )


def test_two_synthetic_pairs_to_one_of_video_are_trained_on(
    mixed: str,
    tmp_path: pathlib.Path,
    fake_method: Any,  # noqa: ARG001
    recipe_text: Callable[..., str],
) -> None:
    path = tmp_path / "recipe.toml"
    text = recipe_text(tmp_path / "none.zarr", tmp_path / "run")
    path.write_text(text.replace(f'[{{path = "{tmp_path / "none.zarr"}"}}]', mixed))
    training = data.TrainingData(recipe.load(str(path)).data, seed=3)
    count = 30 * training.epoch
    parts = training.patches.at(np.arange(count))["part"]
    assert np.bincount(parts).tolist() == pytest.approx([count * 2 / 3, count / 3], rel=0.02)
    assert command_line.exit_code(run.main, [str(path), "--device", "cpu"]) == 0
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log
