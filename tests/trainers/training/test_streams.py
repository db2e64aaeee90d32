"""Training on streams: exact resume, ranks, held-out photos, what is refused, and what is kept when a photo is lost."""

import json
import pathlib
from typing import Any

import kinds
import numpy as np
import pytest
import torch

from blursynth import errors
from blursynth.media import photos
from trainers import recipe
from trainers import run as verb
from trainers.checkpoints import checkpoint
from trainers.training import data, loop, run_folder, session, validation

CPU = torch.device("cpu")
RECIPE = """
[uniform]
command = "convolve"
size = 16
motion = { length = "2:5", steps = 100 }

[field]
command = "convolve"
size = 16
field = "2x2"
motion = { length = "2:5", steps = 100 }
"""


@pytest.fixture
def streamed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, fake_method: Any) -> pathlib.Path:  # noqa: ARG001
    """A folder with a recipe and photos, which is the current one."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    kinds.photos(tmp_path / "photos")
    (tmp_path / "photos" / "cut.png").unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entry(**changes: Any) -> dict[str, Any]:
    return {"stream": "recipe.toml", "dataset": "uniform", "source": "photos", "repeat": 3, **changes}


def config(folder: str = "run", train: list[dict[str, Any]] | None = None, **changes: Any) -> recipe.Recipe:
    values: dict[str, Any] = {
        "name": "streamed",
        "data": {"train": train or [entry()], "batch": 2, "crop": 0},
        "method": {"name": "fake"},
        "schedule": {"clock": "images", "constant": 24},
        "validation": {"every": 12, "images": 2},
        "output": {"folder": folder, "checkpoint_every": 8, "log_every": 4},
    }
    for name, change in changes.items():
        values[name] = values[name] | change
    return recipe._build(values, "the test's recipe")


def trained(config_: recipe.Recipe, steps: int | None = None) -> dict[str, torch.Tensor]:
    """Train, or stop after some steps as if the process had been killed; gives the last checkpoint's tensors."""
    run = session.start(config_, CPU)
    run_folder.create(config_.folder, config_)
    if steps is not None:
        with pytest.MonkeyPatch.context() as patch:

            def stop(made: int) -> None:
                if made == steps:
                    raise KeyboardInterrupt

            patch.setattr(type(run.method), "on_step", staticmethod(stop))
            with pytest.raises(KeyboardInterrupt):
                loop.train(run, config_.folder)
        return {}
    loop.train(run, config_.folder)
    return checkpoint.load_training_state(config_.folder / checkpoint.LAST, run.method) | {
        f"{network}.{name}": value
        for network, module in run.method.networks.items()
        for name, value in module.state_dict().items()
    }


@pytest.mark.usefixtures("streamed")
def test_a_run_resumes_to_the_bit() -> None:
    whole = trained(config("whole"))
    trained(config("parts"), steps=7)
    parts = trained(config("parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.usefixtures("streamed")
def test_held_out_photos_are_never_drawn() -> None:
    config_ = config()
    training, held_out = session.open_data(config_)
    assert held_out is not None
    assert len(held_out) == 2
    (part,) = training.parts
    flow = part.dataset
    drawn = training.patches.at(range(200))["item"] // 2**20
    assert set(drawn) == set(flow.in_split("train"))
    assert not set(drawn) & (set(flow.in_split("val")) | set(flow.in_split("test")))
    assert [blurred.shape for blurred, _ in held_out] == [(16, 16, 3)] * 2
    first, again = list(held_out), list(held_out)
    assert all(np.array_equal(*both) for both in zip(first[0], again[0], strict=True))
    assert training.epoch == 3 * len(flow.in_split("train"))


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize("ranks", [2])
def test_ranks_share_every_step(ranks: int) -> None:
    training = data.TrainingData(config().data, 0)
    whole = training.steps(3, 4)
    shared = [training.steps(3, 4, rank, ranks) for rank in range(ranks)]
    for _ in range(5):
        pairs = next(whole).pairs
        for rank, steps in enumerate(shared):
            assert torch.equal(next(steps).pairs, pairs[:, rank::ranks])


@pytest.mark.usefixtures("streamed")
def test_validation_of_another_stream_photo_is_refused() -> None:
    other = entry(dataset="field", seed=9)  # another seed splits the photos another way
    training = data.TrainingData(config(train=[entry(), other]).data, 0)
    with pytest.raises(errors.DatasetError):
        validation.held_out(config().validation, training)


def test_a_changed_folder_recipe_or_seed_is_named_on_resume(streamed: pathlib.Path) -> None:
    trained(config())

    def refusal(train: dict[str, Any]) -> str:
        config_ = config(train=[train])
        training, held_out = session.open_data(config_)
        with pytest.raises(errors.InputError) as refused:
            run_folder.require_same_data(config_.folder, config_, training.describe(), held_out)
        return str(refused.value)

    training, held_out = session.open_data(config())
    run_folder.require_same_data(config().folder, config(), training.describe(), held_out)
    moved = streamed / "photos"
    moved.rename(streamed / "elsewhere")
    again = config(train=[entry(source="elsewhere")])
    run_folder.check(again.folder, again)
    training, held_out = session.open_data(again)
    run_folder.require_same_data(again.folder, again, training.describe(), held_out)
    (streamed / "elsewhere").rename(moved)
    (moved / "0.png").unlink()
    assert "sources: 7 -> 6" in refusal(entry())
    kinds.photos(moved)
    (moved / "cut.png").unlink()
    (streamed / "recipe.toml").write_text(RECIPE.replace("2:5", "2:6"))
    assert "motion.length: '2:5' -> '2:6'" in refusal(entry())


def test_a_photo_lost_while_training_ends_the_run_with_a_checkpoint(
    streamed: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blursynth.media.source_file.WAITS", ())
    config_ = config(
        train=[entry(cache="0")],
        output={"folder": "run", "checkpoint_every": 1000, "log_every": 4},
        schedule={"clock": "images", "constant": 1000},
        validation={"images": 0},
    )
    run = session.start(config_, CPU)
    run_folder.create(config_.folder, config_)

    def lose(made: int) -> None:
        if made == 5:
            for path in (streamed / "photos").iterdir():
                path.rename(path.with_suffix(".gone"))

    monkeypatch.setattr(type(run.method), "on_step", staticmethod(lose))
    with pytest.raises(errors.SourceError, match=r"\.png"):
        loop.train(run, config_.folder)
    about = checkpoint.about(config_.folder / checkpoint.LAST)
    assert about.step > 5
    for path in (streamed / "photos").iterdir():
        path.rename(path.with_suffix(".png"))
    monkeypatch.setattr(type(run.method), "on_step", None)
    shorter = config_.model_copy(update={"schedule": config_.schedule.model_copy(update={"constant": 40.0})})
    assert loop.train(session.start(shorter, CPU), config_.folder).images >= about.images_seen


def test_what_was_fed_is_shown_at_each_start(streamed: pathlib.Path) -> None:
    trained(config(), steps=5)
    trained(config())
    sheets = sorted((streamed / "run" / "sheets").glob("fed-*.png"))
    assert [path.name for path in sheets] == ["fed-000000000000.png", "fed-000000000008.png"]
    assert photos.read(sheets[0]).shape[1] == 4 + 2 * (192 + 4)


def test_a_checkpoint_knows_the_photos_of_its_stream(streamed: pathlib.Path) -> None:
    trained(config())
    (described,) = checkpoint.about(streamed / "run" / checkpoint.LAST).datasets
    training = data.TrainingData(config().data, 0)
    digests = training.parts[0].dataset.source_digests("train")
    assert sorted(digest[:16] for digest in digests) == described["stream"]["trained_sources"]
    assert described["fingerprint"] == training.parts[0].dataset.fingerprint
    log = [json.loads(line) for line in (streamed / "run" / "log.jsonl").read_text().splitlines()]
    assert all(0 <= line["data_wait"] <= 1 for line in log if "data_wait" in line)
    assert any("data_wait" in line for line in log)


@pytest.mark.parametrize(
    "train",
    [
        {},
        {"path": "pairs.zarr", "stream": "recipe.toml"},
        {"path": "pairs.zarr", "source": "photos"},
        {"path": "pairs.zarr", "repeat": 2},
        {"stream": "recipe.toml", "repeat": 0},
        {"stream": "recipe.toml", "seed": -1},
    ],
)
@pytest.mark.usefixtures("fake_method")
def test_tables_that_say_neither_or_both_are_refused(train: dict[str, Any]) -> None:
    with pytest.raises(errors.RecipeError, match=r"data\.train"):
        config(train=[train])


def test_the_command_line_trains_on_streams(streamed: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (streamed / "run.toml").write_text(
        'name = "r"\n[data]\ntrain = [{path = "x"}]\n[method]\nname = "fake"\n'
        '[schedule]\nclock = "images"\nconstant = 8\n'
    )
    told = [
        "run.toml",
        "--set",
        "data.crop=0",
        "--set",
        "validation.images=0",
        "--stream",
        "recipe.toml:uniform",
        "--source",
        "photos",
        "--out",
        "run",
    ]
    assert verb.main([*told, "--dry-run"]) == 0
    assert "pairs a second" in capsys.readouterr().out
    assert verb.main(told) == 0
    (described,) = checkpoint.about(streamed / "run" / checkpoint.LAST).datasets
    assert described["stream"]["maker"] == "convolve"
    with pytest.raises(errors.RecipeError, match="--stream"):
        verb.main(["run.toml", "--source", "photos"])
