"""What a step costs, counted by hand, and what is said where it does not fit."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import torch

from trainers import command_line, device_memory, methods, recipe, run
from trainers.methods import deepdeblur, method
from trainers.training import cost

DEEPDEBLUR = {"name": "deepdeblur", "scales": 1, "width": 8, "blocks": 2, "adversarial_weight": 0.0}


def wanted(method: dict[str, Any], batch: int = 1, **sections: Any) -> recipe.Recipe:
    values: dict[str, Any] = {
        "name": "test",
        "data": {"train": ({"path": "pairs.zarr"},), "batch": batch, "crop": 32},
        "method": method,
        "schedule": {"constant": 1.0},
    }
    return recipe._build(values | sections, "test")


def test_multiply_adds_of_restoring_are_those_of_its_convolutions() -> None:
    # 5x5 from 3 to 8 channels, four from 8 to 8, one from 8 to 3, each for 20 x 24 pixels.
    expected = 25 * (3 * 8 + 4 * 8 * 8 + 8 * 3) * 20 * 24
    assert cost.of_restoring(wanted(DEEPDEBLUR), (20, 24)).multiply_adds == expected
    # A step goes forward once and back twice, but for the first layer, whose input needs no gradient.
    forward = 25 * (3 * 8 + 4 * 8 * 8 + 8 * 3) * 32 * 32
    assert cost.of_step(wanted(DEEPDEBLUR), (32, 32), 1).multiply_adds == 3 * forward - 25 * 3 * 8 * 32 * 32


def test_what_stays_is_weights_and_two_moments() -> None:
    parameters = 25 * (3 * 8 + 4 * 8 * 8 + 8 * 3) + 5 * 8 + 3
    kept = cost.of_step(wanted(DEEPDEBLUR), (32, 32), 1).kept
    # Four bytes each, three times; a step counter for each of 12 tensors.
    assert kept == pytest.approx(parameters * 4 * 3, abs=12 * 64)


def test_memory_grows_with_the_batch_and_shrinks_with_parts_and_precision() -> None:
    one, two, four = (cost.of_step(wanted(DEEPDEBLUR, 4), (64, 64), batch).peak for batch in (1, 2, 4))
    assert four - two == pytest.approx(2 * (two - one), rel=0.05)
    parts = cost.of_step(wanted(DEEPDEBLUR, 4, engine={"accumulation_steps": 4}), (64, 64), 4).peak
    assert parts < 1.5 * one
    halves = cost.of_step(wanted(DEEPDEBLUR, 4, engine={"precision": "bfloat16"}), (64, 64), 4).peak
    assert 0.4 * four < halves < 0.8 * four


@pytest.mark.parametrize("name", ["deblurgan", "deepdeblur"])
def test_the_peak_is_that_of_a_real_step(name: str) -> None:
    """The same storages, watched during a real step on the CPU."""
    small: dict[str, Any] = (
        {"width": 4, "blocks": 1, "critic": {"width": 4, "steps": 1}, "perceptual": {"weights": "random"}}
        if name == "deblurgan"
        else {"width": 4, "blocks": 1, "discriminator": {"width": 4, "strides": (2, 2, 2)}}
    )
    asked = wanted({"name": name} | small)
    counted = cost.of_step(asked, (32, 32), 2)
    trained = methods.find(name)(asked.method, torch.device("cpu"))
    watch = device_memory.AllocationCount()
    with watch:
        for tensor in cost._tensors(trained):
            watch.see(tensor)
        batches = [
            method.Batch(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)) for _ in range(trained.batches_per_step)
        ]
        trained.step(batches)
    assert counted.peak == pytest.approx(watch.peak, rel=0.05)
    assert counted.multiply_adds == watch.multiply_adds


@pytest.fixture
def command(make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path) -> list[str]:
    """Arguments that train a small DeepDeblur on batches of 6 patches of 16x16."""
    data = make_pairs(tmp_path / "pairs.zarr")
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"""
name = "test"
data = {{train = [{{path = "{data}"}}], batch = 6, crop = 16}}
method = {{name = "deepdeblur", width = 4, blocks = 1, scales = 1, adversarial_weight = 0.0}}
schedule = {{clock = "images", flat = 12}}
output = {{folder = "{tmp_path / "run"}"}}
"""
    )
    return [str(path), "--device", "cpu"]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")])
def test_out_of_memory_says_what_batch_would_fit(
    command: list[str], error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = recipe.load(command[0])
    peaks = {batch: cost.of_step(asked, (16, 16), batch).peak for batch in (1, 2, 3, 4)}

    def full(*arguments: Any) -> Any:  # noqa: ARG001
        raise error

    def said(room: float) -> str:
        with monkeypatch.context() as patched:
            # Counting what would fit runs steps of its own, whose tensors have no content.
            patched.setattr(cost.device_memory, "room", lambda device: int(room / cost.USABLE) + 1)  # noqa: ARG005
            step = deepdeblur.DeepDeblur.step
            patched.setattr(
                deepdeblur.DeepDeblur,
                "step",
                lambda self, batches: full() if type(batches[0].sharp_NCHW) is torch.Tensor else step(self, batches),
            )
            assert command_line.exit_code(run.main, [*command, "--overwrite"]) == 2
        return capsys.readouterr().err

    words = said(peaks[3] + (peaks[4] - peaks[3]) / 2)
    assert "is not enough for data.batch = 6" in words
    assert "data.batch = 6, patches of 16x16, float32" in words
    assert "a batch of 3 fits: set data.batch to it, or keep the batch with engine.accumulation_steps = 2." in words
    assert "not even one such patch fits: give a smaller data.crop" in said(peaks[1] / 2)
    assert "something else uses it" in said(100 * peaks[1])


def test_other_errors_are_not_taken_for_it() -> None:
    assert device_memory.ran_out(torch.OutOfMemoryError("full"))
    assert not device_memory.ran_out(RuntimeError("shapes differ"))
