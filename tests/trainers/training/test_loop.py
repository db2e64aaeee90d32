"""The loop: stopped anywhere and started again it ends with the same weights and the same log."""

import json
import os
import pathlib
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from blursynth import errors
from blursynth.media import photos
from trainers import recipe
from trainers.checkpoints import checkpoint, safe_file
from trainers.training import divergence, loop, run_folder, session

CPU = torch.device("cpu")
TIMINGS = ("images_per_second", "data_wait")


@pytest.fixture
def start(
    fake_method: object,  # noqa: ARG001
    make_pairs: Callable[..., pathlib.Path],
    recipe_text: Callable[..., str],
    tmp_path: pathlib.Path,
) -> Callable[..., session.Session]:
    """A function that opens a session of the fake method's recipe in a folder named by its argument."""
    data = make_pairs(tmp_path / "pairs.zarr")

    def begin(folder: str = "run", **sections: dict[str, Any]) -> session.Session:
        wanted = recipe.parse(recipe_text(data, tmp_path / folder))
        values = wanted.model_dump(exclude_none=True)
        for section, changes in sections.items():
            values[section] |= changes
        wanted = type(wanted).model_validate(values)
        run_folder.create(wanted.folder, wanted)
        return session.start(wanted, CPU)

    return begin


def train(run: session.Session) -> loop.Outcome:
    return loop.train(run, run.recipe.folder)


def log(run: session.Session) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run.recipe.folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in lines]


def tensors(run: session.Session) -> dict[str, torch.Tensor]:
    return safe_file.read(run.recipe.folder / checkpoint.LAST)


def assert_same(run: session.Session, other: session.Session) -> None:
    assert log(run) == log(other)
    ours, theirs = tensors(run), tensors(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_a_run_logs_validates_and_keeps_its_best(start: Callable[..., session.Session]) -> None:
    run = start()
    outcome = train(run)
    assert (outcome.finished, outcome.images, run.steps) == (True, 48, 12)
    lines = log(run)
    assert [line["images"] for line in lines if line["kind"] == "train"] == [12, 24, 36, 48]
    assert [line["images"] for line in lines if line["kind"] == "validation"] == [20, 40, 48]
    scores = [line["psnr"] for line in lines if line["kind"] == "validation"]
    assert outcome.best == max(scores)
    assert checkpoint.about(run.recipe.folder / checkpoint.BEST).metrics["psnr"] == max(scores)
    assert {line["protocol"] for line in lines if line["kind"] == "validation"} == {"gopro-rgb v2"}
    assert lines[0].keys() >= {"step", "epoch", "loss", "rate", "provenance"}
    assert lines[0]["loss"].keys() == {"content", "critic"}
    about = checkpoint.about(run.recipe.folder / checkpoint.LAST)
    assert (about.step, about.images_seen, about.method, about.variant) == (12, 48, "fake", "paper")
    assert about.datasets[0]["transfer_function"] == "gamma2.2"
    assert recipe.differences(recipe.parse(about.recipe), run.recipe) == []
    assert list((run.recipe.folder / "tensorboard").iterdir())


def test_logged_losses_are_means_and_rates_follow_the_schedule(
    start: Callable[..., session.Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()
    seen, rates = [], []
    step = run.method.step

    def watched(batches: Any) -> dict[str, torch.Tensor]:
        rates.append([each.param_groups[0]["lr"] for each in run.method.optimisers.values()])
        losses = step(batches)
        seen.append(float(losses["content"]))
        return losses

    monkeypatch.setattr(run.method, "step", watched)
    train(run)
    lines = [line for line in log(run) if line["kind"] == "train"]
    assert lines[1]["loss"]["content"] == pytest.approx(np.mean(seen[3:6]), rel=1e-12)
    # Flat for 24 images, then to zero over 24; four images a step.
    factors = [1.0] * 7 + [1 - images / 24 for images in range(4, 24, 4)]
    assert np.allclose(rates, np.outer(factors, [1e-2, 5e-3]), rtol=1e-12)


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 8, 9, 11])  # also where lines, validations and checkpoints are due
def test_stopped_by_a_signal_at_any_step_and_resumed_is_the_same_to_the_bit(
    start: Callable[..., session.Session], fake_method: Any, stop: int
) -> None:
    whole = start("whole")
    train(whole)
    number = (signal.SIGTERM, signal.SIGINT)[stop % 2]
    fake_method.on_step = staticmethod(lambda steps: os.kill(os.getpid(), number) if steps == stop - 1 else None)
    stopped = start("stopped")
    handler = signal.getsignal(number)
    outcome = train(stopped)
    assert (outcome.finished, outcome.signal, outcome.images) == (False, number, stop * 4)
    assert signal.getsignal(number) is handler
    fake_method.on_step = None
    again = start("stopped")
    assert train(again).finished
    assert_same(whole, again)
    best = [safe_file.read(run.recipe.folder / checkpoint.BEST) for run in (whole, again)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


@pytest.mark.parametrize("stop", [2, 5, 9, 11])
def test_killed_without_warning_goes_on_from_the_last_checkpoint(
    start: Callable[..., session.Session], fake_method: Any, stop: int
) -> None:
    whole = start("whole")
    train(whole)

    def die(steps: int) -> None:
        if steps == stop:
            raise MemoryError

    fake_method.on_step = staticmethod(die)
    killed = start("killed")
    with pytest.raises(MemoryError):
        train(killed)
    path = killed.recipe.folder / "log.jsonl"
    path.write_text(path.read_text() + '{"kind": "train", "ima')  # as a crash in the middle of a line leaves it
    fake_method.on_step = None
    train(start("killed"))
    assert_same(whole, killed)


def test_a_finished_run_is_left_as_it_is(start: Callable[..., session.Session]) -> None:
    run = start()
    first = train(run)
    before = (run.recipe.folder / checkpoint.LAST).read_bytes()
    again = train(start())
    assert (again.finished, again.images, again.best) == (True, 48, first.best)
    assert (run.recipe.folder / checkpoint.LAST).read_bytes() == before


def test_kept_checkpoints_have_their_own_names(start: Callable[..., session.Session]) -> None:
    run = start(output={"keep_every": 16})
    train(run)
    kept = sorted(path.name for path in run.recipe.folder.glob("images-*.safetensors"))
    assert kept == [f"images-{images:012d}.safetensors" for images in (16, 32, 48)]
    assert checkpoint.about(run.recipe.folder / kept[0]).images_seen == 16


def test_a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint(
    start: Callable[..., session.Session], fake_method: Any
) -> None:
    fake_method.poison = 7
    run = start()
    with pytest.raises(
        divergence.TrainingDivergedError, match=r'"content" became nan.*last\.safetensors, is at 16 images'
    ):
        train(run)
    assert checkpoint.about(run.recipe.folder / checkpoint.LAST).images_seen == 16
    assert [line["images"] for line in log(run)] == [12, 20, 24]


def test_weights_that_are_no_numbers_are_never_saved(start: Callable[..., session.Session]) -> None:
    run = start()
    with torch.no_grad():
        run.method.networks["critic"][0].bias.fill_(float("inf"))
    run.method.step = lambda batches: {"content": batches[0].sharp_NCHW.mean()}  # type: ignore[method-assign]
    with pytest.raises(divergence.TrainingDivergedError, match=r"weight of the critic .* before the first checkpoint"):
        train(run)
    assert not (run.recipe.folder / checkpoint.LAST).exists()


def test_other_data_at_the_same_path_is_refused(
    start: Callable[..., session.Session], make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    train(start())
    (tmp_path / "pairs.zarr").rename(tmp_path / "old.zarr")
    make_pairs(tmp_path / "pairs.zarr", seed=1)
    with pytest.raises(errors.InputError, match="trained on other data"):
        train(start())


def test_without_validation_there_is_no_best(start: Callable[..., session.Session]) -> None:
    run = start(validation={"images": 0})
    assert train(run).best is None
    assert not (run.recipe.folder / checkpoint.BEST).exists()


def test_sheets_show_blurred_restored_and_sharp(start: Callable[..., session.Session]) -> None:
    run = start()
    train(run)
    sheets = sorted((run.recipe.folder / "sheets").glob("images-*"))
    assert [path.name for path in sheets] == [f"images-{images:012d}.png" for images in (20, 40, 48)]
    picture = photos.read(sheets[-1])
    assert run.held_out is not None
    # Enlarged, because they are small.
    blurred, sharp = (image.repeat(12, axis=0).repeat(12, axis=1) for image in next(iter(run.held_out)))
    side = 12 * 16
    lefts = [4 + column * (side + 4) for column in range(3)]
    assert picture.shape[1] == lefts[-1] + side + 4
    first, restored, last = (picture[4 : 4 + side, left : left + side] for left in lefts)
    assert np.array_equal(first, blurred)
    assert np.array_equal(last, sharp)
    assert not np.array_equal(restored, blurred)
    assert (restored != 127).any()
