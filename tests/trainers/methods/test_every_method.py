"""What holds for every method alike: its loss curve stays what it was, and a run continues exactly."""

import json
import os
import pathlib
import signal
from collections.abc import Callable
from typing import Any

import golden_curves
import pytest
import tomli_w
import torch

from trainers import methods, recipe
from trainers.checkpoints import checkpoint, safe_file
from trainers.training import loop, run_folder, session

CPU = torch.device("cpu")
TIMINGS = ("images_per_second", "data_wait")
TOLERANCE = 1e-4
"""Of a curve's largest value. Measured: 5e-6 between a processor's vector units and none (they draw other random VGG
weights, in float32), beside 5e-4 for ten times Adam's epsilon and 1e-2 for twice a norm's."""


def test_every_method_has_a_golden_curve() -> None:
    assert {table["name"] for table in golden_curves.SETTINGS.values()} == set(methods.CLASSES)


@pytest.mark.parametrize("setting", golden_curves.SETTINGS)
def test_twenty_steps_give_the_golden_curve(setting: str) -> None:
    expected = json.loads(golden_curves.FILE.read_text())[setting]
    found = golden_curves.curve(setting)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert len(values) == golden_curves.STEPS
        largest = max(abs(value) for value in values)
        assert found[name] == pytest.approx(values, rel=0, abs=TOLERANCE * largest), name


def written(setting: str, data: pathlib.Path, folder: pathlib.Path, everything: bool) -> str:
    """A recipe of six steps of two pairs a batch; `everything` switches on all that the engine can do."""
    images = 6 * 2
    table = {} if "deepdeblur" in setting else {"dropout": 0.4}
    sections: dict[str, Any] = {
        "name": "test",
        "data": {"train": [{"path": str(data)}], "batch": 2, "crop": 8, "flip_horizontal": True},
        "method": golden_curves.SETTINGS[setting] | table,
        "schedule": {"clock": "images", "constant": images / 2, "decay": images / 2},
        "validation": {"every": images // 3, "images": 2},
        "output": {"folder": str(folder), "log_every": images // 3, "checkpoint_every": images // 2, "sheet": 0},
    }
    if everything:
        parts = 2 if methods.find(golden_curves.SETTINGS[setting]["name"]).accumulates else 1
        # One patch at a time: small ones would leave a norm with a single pixel.
        sections["data"] |= {
            "crop": 16,
            "saturation": [0.5, 1.5],
            "noise": 2.0,
            "permute_channels": True,
            "rotate": True,
        }
        sections["engine"] = {"precision": "bfloat16", "channels_last": True, "accumulation_steps": parts}
        sections["engine"] |= {"grad_clip_norm": 1.0, "ema_decay": 0.9}
    return tomli_w.dumps(sections)


FIRST = next(iter(golden_curves.SETTINGS))


@pytest.mark.parametrize(
    ("setting", "everything"),
    [pytest.param(FIRST, False, id="plain"), *((setting, True) for setting in golden_curves.SETTINGS)],
)
def test_stopped_and_resumed_is_the_same_to_the_bit(
    setting: str,
    everything: bool,
    make_pairs: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = make_pairs(tmp_path / "pairs.zarr")

    def start(folder: str) -> session.Session:
        wanted = recipe.parse(written(setting, data, tmp_path / folder, everything))
        run_folder.create(wanted.folder, wanted)
        return session.start(wanted, CPU)

    def result(folder: str) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
        lines = [json.loads(line) for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()]
        kept = [{key: value for key, value in line.items() if key not in TIMINGS} for line in lines]
        return kept, safe_file.read(tmp_path / folder / checkpoint.LAST)

    assert loop.train(start("whole"), tmp_path / "whole").finished
    # One loop stops them all: at every step of one setting, between two checkpoints of each other.
    for stop in (4,) if everything else range(1, 6):
        folder = f"stopped-{stop}"
        stopped = start(folder)
        step, made = stopped.method.step, iter(range(1, 7))

        def interrupted(given: Any, step: Any = step, made: Any = made, stop: int = stop) -> dict[str, torch.Tensor]:
            if next(made) == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(given)

        monkeypatch.setattr(stopped.method, "step", interrupted)
        assert loop.train(stopped, tmp_path / folder).signal == signal.SIGTERM
        assert loop.train(start(folder), tmp_path / folder).finished
        (log, tensors), (log_whole, tensors_whole) = result(folder), result("whole")
        assert log == log_whole
        assert tensors.keys() == tensors_whole.keys()
        assert [name for name in tensors if not torch.equal(tensors[name], tensors_whole[name])] == []
