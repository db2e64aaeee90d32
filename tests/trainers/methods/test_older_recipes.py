"""What an epoch counts, and what recipes mean that were recorded before that could be said."""

import json
import pathlib
import re
import tomllib
from collections.abc import Callable
from typing import Any

import golden_curves
import pytest
import tomli_w
import torch

from blursynth import errors
from blursynth.config import toml
from trainers import recipe
from trainers.checkpoints import checkpoint, safe_file
from trainers.inference import restorer
from trainers.methods import older_recipes
from trainers.training import dry_run, loop, run_folder, session

CPU = torch.device("cpu")
OLD_MEANING = {
    "deblurgan": ("schedule.counts", "draws"),
    "deblurgan-wild": ("schedule.counts", "draws"),
    "deblurgan-release": ("schedule.counts", "updates"),  # its critic shares the generator's batch
    "demo": ("schedule.counts", "updates"),  # it has no critic
    "light-deblurgan": ("method.patch_average", "after"),
}


def recorded_before(wanted: recipe.Recipe) -> str:
    """A recipe as a version recorded it that did not have the newer settings."""
    tables = tomllib.loads(toml.to_toml(wanted))
    for path in older_recipes.NEWER:
        section, key = path.split(".")
        tables[section].pop(key, None)
    for old, new in older_recipes.RENAMED.items():
        section = tables[old.split(".")[0]] if "." in old else tables
        section[old.rpartition(".")[2]] = section.pop(new.rpartition(".")[2])
    return tomli_w.dumps(tables)


def setting(wanted: recipe.Recipe, path: str) -> Any:
    section, key = path.split(".")
    return wanted.model_dump()[section][key]


# What counts


def test_three_hundred_epochs_are_three_hundred_updates_of_the_generator_for_each_pair() -> None:
    """The public code's Wasserstein mode: an epoch walks over the pairs once, one generator update for each."""
    updates = sum(1 for _epoch in range(150 + 150) for _pair in range(1000))
    for name in ("deblurgan", "deblurgan-wild", "deblurgan-comb"):
        wanted = recipe.load(name)
        critic = wanted.method.model_dump()["critic"]
        batches = critic["steps"] + 1
        per_step = wanted.schedule.images_of(wanted.data.batch, batches)
        assert (critic["batches"], batches, per_step) == ("fresh", 6, 1)
        assert session.steps(wanted, 1000, per_step) == updates == 300_000
        assert 1.7 < 6 * 24 * 3600 / updates < 1.75
        # The rate falls from the 150,000th update on, to 0 at the last.
        factors = [wanted.schedule.factor(update * per_step, 1000) for update in (149_999, 225_000, 299_999)]
        assert factors == pytest.approx([1.0, 0.5, 1 / 150_000])
        assert f"{6 * 24 * 3600:,} s / {updates:,}" in toml.find(name, "training").read_text()
        drawn = recipe.load(name, ["schedule.counts=draws"])
        assert session.steps(drawn, 1000, drawn.schedule.images_of(1, batches)) == 50_000


@pytest.fixture
def start(make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path) -> Callable[..., session.Session]:
    """A function that starts a small DeblurGAN whose critic has two updates a step, on 18 pairs, for one epoch."""
    data = make_pairs(tmp_path / "pairs.zarr")

    def begin(folder: str, counts: str) -> session.Session:
        values: dict[str, Any] = {
            "name": "test",
            "data": {"train": ({"path": str(data)},), "batch": 2, "crop": 8},
            "method": golden_curves.SETTINGS["deblurgan paper"],
            "schedule": {"counts": counts, "constant": 0.5, "decay": 0.5},
            "validation": {"images": 0},
            "output": {"folder": str(tmp_path / folder), "log_every": 6, "checkpoint_every": 6, "sheet": 0},
        }
        wanted = recipe._build(values, "test")
        run_folder.create(wanted.folder, wanted)
        return session.start(wanted, CPU)

    return begin


@pytest.mark.parametrize(("counts", "steps", "images"), [("updates", 9, 2), ("draws", 3, 6)])
def test_an_epoch_is_counted_in_updates_or_in_draws(
    counts: str, steps: int, images: int, start: Callable[..., session.Session]
) -> None:
    run = start("run", counts)
    assert (run.steps, run.images_per_step, run.pairs_per_step) == (steps, images, 6)
    drawn = []
    step = run.method.step
    run.method.step = lambda batches: (drawn.append(len(batches)), step(batches))[1]  # type: ignore[method-assign]
    assert loop.train(run, run.recipe.folder).images == steps * images == 18
    assert drawn == [3] * steps
    about = checkpoint.about(run.recipe.folder / checkpoint.LAST)
    assert (about.step, about.images_seen) == (steps, 18)
    said = dry_run.describe(run.recipe, CPU, overwrite=True).text
    assert f"Steps: {steps} updates of the restoring network (18 images, 1 epochs)" in said
    assert ("4 of them for the critic alone" in said) == (counts == "updates")


# What was recorded before


@pytest.mark.parametrize("name", OLD_MEANING)
def test_a_recorded_recipe_keeps_its_meaning(name: str, tmp_path: pathlib.Path) -> None:
    path, meaning = OLD_MEANING[name]
    wanted = recipe.load(name)
    text = recorded_before(wanted)
    assert setting(recipe.recorded(text, "old"), path) == meaning
    # The file of a run folder, given as a recipe, is the same recipe; one of today is as it says.
    (tmp_path / "old.toml").write_text(text)
    assert setting(recipe.load(tmp_path / "old.toml"), path) == meaning
    assert recipe.differences(recipe.recorded(text, "old"), recipe.load(tmp_path / "old.toml")) == []
    (tmp_path / "new.toml").write_text(toml.to_toml(wanted))
    assert recipe.differences(recipe.load(tmp_path / "new.toml"), wanted) == []
    assert recipe.differences(recipe.recorded(toml.to_toml(wanted), "new"), wanted) == []


@pytest.mark.parametrize(("old", "new"), older_recipes.RENAMED.items())
def test_a_renamed_setting_is_read_by_both_names_and_refused_with_both(old: str, new: str) -> None:
    values: dict[str, Any] = {
        "engine": {"accumulation_steps": 2, "ema_decay": 0.5, "grad_clip_norm": 3.0},
        "divergence": {"after": 7},
        "schedule": {"constant": 4.0, "decay": 5.0, "milestones": [2.0], "milestone_factor": 0.5},
    }
    base = {"name": "t", "data": {"train": [{"path": "a.zarr"}], "batch": 2}, "method": {"name": "deblurgan"}}
    today = recipe.parse(tomli_w.dumps(base | values))
    section = values[old.split(".")[0]] if "." in old else values
    section[old.rpartition(".")[2]] = section[new.rpartition(".")[2]]
    with pytest.raises(errors.RecipeError, match=re.escape(f"{old} is the older name of {new}")):
        recipe.parse(tomli_w.dumps(base | values))
    del section[new.rpartition(".")[2]]
    assert recipe.differences(recipe.parse(tomli_w.dumps(base | values)), today) == []


def test_set_takes_old_and_new_names() -> None:
    old = recipe.load("demo", ["schedule.flat=7", "engine.clip=2", "guard.drop=3", "guard.constant=0.5"])
    new = ["schedule.constant=7", "engine.grad_clip_norm=2", "divergence.drop=3", "divergence.constant=0.5"]
    assert recipe.differences(old, recipe.load("demo", new)) == []
    assert (old.divergence.drop, old.divergence.constant, old.engine.grad_clip_norm) == (3.0, 0.5, 2.0)


def test_a_recipe_that_is_written_by_hand_has_todays_meaning(tmp_path: pathlib.Path) -> None:
    for name in ("deblurgan", "light-deblurgan"):
        tables = tomllib.loads(recorded_before(recipe.load(name)))
        del tables["guard"]
        (tmp_path / f"{name}.toml").write_text(tomli_w.dumps(tables))
        found = recipe.load(tmp_path / f"{name}.toml")
        assert found.schedule.counts == "updates"
        assert getattr(found.method, "patch_average", "before") == "before"
    shipped = toml.find("deblurgan", "training").read_text().replace("width = 64 ", "widht = 64 ")
    (tmp_path / "wrong.toml").write_text(shipped)
    with pytest.raises(errors.RecipeError, match="widht"):
        recipe.load(tmp_path / "wrong.toml")


def aged(folder: pathlib.Path) -> None:
    """A run folder as a version left it that did not have the newer settings."""
    stored = folder / run_folder.RECIPE
    text = recorded_before(recipe.parse(stored.read_text()))
    stored.write_text(text)
    last = folder / checkpoint.LAST
    content = last.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    about = json.loads(head["__metadata__"]["blursynth"])
    head["__metadata__"]["blursynth"] = json.dumps(about | {"recipe": text})
    header = json.dumps(head).encode()
    last.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    recorded = checkpoint.about(last).recipe
    assert "counts" not in recorded
    assert "flat = " in recorded


def test_a_run_of_before_goes_on_as_it_began_or_is_refused(start: Callable[..., session.Session]) -> None:
    whole = start("whole", "draws")
    assert loop.train(whole, whole.recipe.folder).finished
    stopped = start("stopped", "draws")
    step, made = stopped.method.step, []

    def interrupted(batches: Any) -> dict[str, torch.Tensor]:
        made.append(len(batches))
        if len(made) == 2:
            raise MemoryError
        return step(batches)

    stopped.method.step = interrupted  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        loop.train(stopped, stopped.recipe.folder)
    folder = stopped.recipe.folder
    aged(folder)
    today = start("other", "updates").recipe
    with pytest.raises(errors.RecipeError, match=r"schedule\.counts: 'draws' -> 'updates'"):
        run_folder.check(folder, today)
    again = recipe.load(folder / run_folder.RECIPE, out=str(folder))
    run_folder.check(folder, again)
    assert loop.train(session.start(again, CPU), folder).finished
    ours, theirs = (safe_file.read(each / checkpoint.LAST) for each in (folder, whole.recipe.folder))
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []
    assert restorer.load(folder / checkpoint.LAST, CPU).restore(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
