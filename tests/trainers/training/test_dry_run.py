"""`--dry-run`: the recipe, layers, readings, arithmetic and memory of what would be trained."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from blursynth.config import toml
from trainers import recipe
from trainers.training import cost, dry_run

CPU = torch.device("cpu")
SHIPPED = [
    path
    for folder in ("training", "smoke")
    for path in sorted((toml.shipped_folder() / folder).glob("*.toml"))
    if not path.stem.endswith("-data")
]


@pytest.fixture(autouse=True)
def no_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights stay what lay in memory: whole networks are built here, and none of their values is looked at."""
    for name in ("normal_", "uniform_", "trunc_normal_"):
        monkeypatch.setattr(torch.Tensor, name, lambda tensor, *_, **__: tensor, raising=False)


def test_equal_layers_are_counted() -> None:
    def block() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3), torch.nn.ReLU())

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), block(), block(), torch.nn.ReLU(), torch.nn.ReLU())
    assert dry_run.layers(network) == [
        "Conv2d(3, 2, kernel_size=(1, 1), stride=(1, 1)), 8 parameters",
        "2 x Sequential:",
        "  Conv2d(2, 2, kernel_size=(3, 3), stride=(1, 1)), 38 parameters",
        "  ReLU()",
        "2 x ReLU()",
    ]


def of_shipped() -> Iterator[Any]:
    """Every recipe; one of each method at full size and one of its small twins are fast."""
    seen = set()
    for path in SHIPPED:
        of = path.parent.name, recipe.load(path).method_name
        yield pytest.param(path, marks=pytest.mark.slow if of in seen else (), id=f"{of[0]}/{path.stem}")
        seen.add(of)


@pytest.mark.parametrize("path", list(of_shipped()))
def test_every_shipped_recipe_is_described_whole(path: pathlib.Path) -> None:
    wanted = recipe.load(path)
    said = dry_run.describe(wanted, CPU).text
    assert toml.to_toml(wanted) in said
    for words in ("Layers:", "generator, ", "Multiply-adds of a step", "Estimated memory of a step", "1280x720"):
        assert words in said, words
    assert "differ, and this recipe:" in said or "one reading" in said
    assert re.search(r"generator: [\d,]+ convolutions, [\d,]+ parameters", said)


def test_the_other_reading_is_set_beside_this_recipe() -> None:
    said = dry_run.describe(recipe.load("deblurgan", ["method.clamp=true"]), CPU).text
    assert "  convolutions: paper 2, release 1; here 2" in said
    assert "  clamp: paper False, release True; here True" in said
    assert "  perceptual.reduction: paper 'channel-sum', release 'mean'; here 'channel-sum'" in said
    assert "width:" not in said.split("differ, and this recipe:")[1]


@pytest.mark.parametrize("name", ["deblurgan", "light-deblurgan"])
def test_a_recipe_without_a_pixel_loss_is_shown_without_one(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for weights in ("torch-hub", "random"):
        said = dry_run.describe(recipe.load(name, [f"method.perceptual.weights={weights}"]), CPU).text
        assert recipe.load(name).method.model_dump()["pixel_weight"] == 0
        assert " x pixel" not in said
        assert ("100 x perceptual" in said) == (weights == "random")


def test_deepdeblur_is_counted_as_its_layers_say() -> None:
    said = dry_run.describe(recipe.load("deepdeblur"), CPU).text
    assert "19 x ResidualBlock:" in said
    # Per pixel of its level: 5x5 from 3 or 6 channels to 64, 38 from 64 to 64, one to 3; the upconvolution spreads
    # each of the coarser level's 3 channels to 3 through 5x5.
    inner = 25 * (38 * 64 * 64 + 64 * 3)
    levels = [inner + 25 * 6 * 64, (inner + 25 * 6 * 64) / 4, (inner + 25 * 3 * 64) / 16]
    pyramid = 2 * 3 * 64  # two halvings by 8x8, the second on a quarter of the pixels, each a quarter smaller
    total = 256 * 256 * (sum(levels) + 25 * 9 * (1 / 4 + 1 / 16) + pyramid / 2 * (1 / 4 + 1 / 16))
    (found,) = re.findall(r"Restoring 256x256: ([\d.,]+) G multiply-adds", said)
    assert float(found.replace(",", "")) == pytest.approx(total / 1e9, rel=1e-3)


def test_what_would_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost.device_memory, "room", lambda device: 2 * 2**30)  # noqa: ARG005
    said = "\n".join(dry_run.describe(recipe.load("deepdeblur", ["data.batch=4"]), CPU).obstacles)
    assert "memory (2 GiB) is not enough for data.batch = 4" in said
    assert "By estimate a batch of 1 fits: set data.batch to it, or keep the batch with" in said


def test_whole_images_need_the_data_to_be_counted() -> None:
    said = dry_run.describe(recipe.load("deepdeblur", ["data.crop=0", "data.rotate=false"]), CPU).text
    assert "Arithmetic and memory depend on the data" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["data.crop=64"], "The discriminator needs patches of 193 pixels or more"),
        (["data.crop=254"], "needs sides that are multiples of 4"),
        (["method.adversarial_weight=0.0", "data.crop=64"], ""),
    ],
)
def test_a_step_that_cannot_be_made_is_an_obstacle(changes: list[str], words: str) -> None:
    found = dry_run.describe(recipe.load("deepdeblur", changes), CPU)
    missing, *others = found.obstacles
    assert "There is no dataset at gopro.zarr" in missing
    assert len(others) == bool(words)
    assert words in "".join(others)
    assert ("Multiply-adds of a step" in found.text) == (not words)
    assert "Restoring 1280x720" in found.text


def test_parts_that_a_method_cannot_make_are_an_obstacle() -> None:
    found = dry_run.describe(recipe.load("light-deblurgan", ["engine.accumulation_steps=2", "data.batch=2"]), CPU)
    assert any("cannot split a batch" in obstacle for obstacle in found.obstacles)
