"""`blursynth.stream`: from a recipe or a synthesizer to a stream, and what cannot be one."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import kinds
import numpy as np
import pytest
from click.testing import CliRunner

import blursynth
from blursynth import errors
from blursynth.api import streams
from blursynth.cli import main

RECIPE = """
seed = 3

[uniform]
command = "convolve"
size = 24
per_photo = 6
motion = { length = "4:9", steps = 100 }

[field]
command = "convolve"
size = 24
field = "2x2"
source = "scenes:3"

[paths]
command = "trajectories"
n = 5
"""


@dataclasses.dataclass(frozen=True)
class Given:
    """A synthesizer."""

    command: str
    options: Mapping[str, Any]


@pytest.fixture
def recipe(tmp_path: pathlib.Path) -> str:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return str(tmp_path / "recipe.toml")


def test_a_stream_equals_the_dataset_that_make_stores(recipe: str, tmp_path: pathlib.Path) -> None:
    arguments = ["make", recipe, "--source", "uniform=scenes:3", "--only", "uniform", "-o", str(tmp_path), "-q"]
    assert CliRunner().invoke(main.blursynth, arguments, catch_exceptions=False).exit_code == 0
    stored = blursynth.open(tmp_path / "uniform.zarr")
    flow = blursynth.stream(recipe, "scenes:3", dataset="uniform")
    assert len(flow) == len(stored) == 18
    for name in stored.names:
        assert np.array_equal(flow[:][name], stored.read(name, range(18)))
    for name, column in stored.columns.items():
        assert np.array_equal(flow[:][name], column)


def test_synthesizers_stream_a_million_items_of_each_photo(tmp_path: pathlib.Path) -> None:
    folder = kinds.photos(tmp_path / "photos")
    flow = blursynth.stream(Given("convolve", {"size": 24, "length": "4:9"}), folder, seed=5)
    assert flow.items_per_source == 2**20
    assert len(flow) == 8 * 2**20
    assert flow.seed == 5
    other = blursynth.stream(Given("convolve", {"size": 24, "length": "4:9", "seed": 6}), folder)
    assert other.seed == 6
    assert not np.array_equal(flow[2**22]["psf"], other[2**22]["psf"])


def test_the_recipes_own_source_and_seed_are_used(recipe: str) -> None:
    flow = blursynth.stream(recipe, dataset="field")
    assert (flow.path, flow.seed, len(flow.sources)) == ("scenes:3", 3, 3)
    assert blursynth.stream(recipe, "scenes:2", dataset="field", seed=8).seed == 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "uniform, field"),
        ({"dataset": "paths"}, "trajectories"),
        ({"dataset": "other"}, "other"),
        ({"dataset": "uniform", "source": None}, "source"),
        ({"cache": -1}, "-1"),
        ({"cache": 2**62}, "machine"),
        ({"cache": "much"}, "much"),
        ({"threads": 0}, "threads"),
    ],
)
def test_what_cannot_be_streamed_is_refused(recipe: str, changes: dict[str, Any], words: str) -> None:
    options: dict[str, Any] = {"source": "scenes:2"} | changes
    if "cache" in changes or "threads" in changes:
        options["dataset"] = "uniform"
    with pytest.raises(errors.RecipeError, match=words):
        blursynth.stream(recipe, options.pop("source"), **options)


def test_commands_that_do_not_stream_are_refused_as_synthesizers() -> None:
    with pytest.raises(errors.RecipeError, match="convolve, shake, objects"):
        blursynth.stream(Given("average-frames", {}), "clip.mp4")
    with pytest.raises(errors.RecipeError):
        blursynth.stream(Given("convolve", {"size": 24}), "scenes:2", dataset="uniform")
    with pytest.raises(errors.RecipeError):
        blursynth.stream(Given("convolve", {"size": 24}))


def test_photos_left_out_are_warned_of_or_refused(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = kinds.photos(tmp_path / "photos")
    (folder / "none.png").write_bytes(b"no picture")
    given = Given("convolve", {"size": 24, "length": "4:9"})
    with caplog.at_level(logging.WARNING):
        assert len(blursynth.stream(given, folder).sources) == 8
    assert any("none.png" in record.message for record in caplog.records)
    with pytest.raises(errors.InputError, match=r"none\.png"):
        blursynth.stream(given, folder, strict=True)


def test_the_cache_is_a_quarter_of_the_free_memory_unless_given(tmp_path: pathlib.Path) -> None:
    assert 0 < streams.cache_bytes(None) <= 2**46
    assert streams.cache_bytes("2MB") == 2_000_000
    assert streams.cache_bytes(0) == streams.cache_bytes("0") == 0
    flow = blursynth.stream(
        Given("convolve", {"size": 24, "length": "4:9"}), kinds.photos(tmp_path / "photos"), cache=12_000
    )
    cache = flow.maker.cache  # type: ignore[attr-defined]
    for _ in flow.batches(2, split=None, repeat=5):
        assert cache.bytes <= 12_000
    assert cache.bytes > 0
