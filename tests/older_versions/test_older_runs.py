"""Training runs of the version before: they go on as if nothing had happened, and their results are kept."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import kept
import numpy as np
import pytest
import torch
from numpy import typing as npt
from PIL import Image
from safetensors import torch as safetensors_torch

FINISHED = "pixel-loss"
STOPPED = ("averaged", "deblurgan", "pix2pix")
STOPPED_TOO = (
    "deblurgan-release",
    "deepdeblur",
    "deepdeblur-release",
    "deep-generative-filter",
    "light-deblurgan",
    "resgan",
)
PACE = {"images_per_second", "data_wait"}
LOSS, CHANGE = 5e-3, 0.05
"""Relative tolerances, of losses and of what two steps change. Another vector width moves losses by less than 1e-3 and
changes by 1e-6, with bfloat16 by 0.012; a lost moment, draw or rate moves the latter by far more than 0.05."""


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Runs set torch's number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def older(tmp_path: pathlib.Path) -> pathlib.Path:
    """Runs, scores and restored photos as the version before left them, in another place."""
    return kept.unpack("runs.tar.xz", tmp_path)


def command(older: pathlib.Path, *words: str) -> list[str]:
    """The command that begins with these words."""
    (found,) = (each for each in kept.about(older)["commands"] if tuple(each[: len(words)]) == words)
    return list(found)


def again(older: pathlib.Path, *words: str) -> str:
    """Run that command again."""
    module, *arguments = command(older, *words)
    return kept.run(older, module, arguments)


def log(folder: pathlib.Path) -> list[tuple[dict[str, str], dict[str, float]]]:
    """The texts and the numbers of each of a run's lines, by dotted keys, without how fast it was."""
    lines = []
    for text in (folder / "log.jsonl").read_text().splitlines():
        values = {key: value for key, value in flat("", json.loads(text)) if key not in PACE}
        texts = {key: value for key, value in values.items() if isinstance(value, str)}
        lines.append((texts, {key: value for key, value in values.items() if key not in texts}))
    return lines


def flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(f"{prefix}.{key}" if prefix else key, inner)
    else:
        yield prefix, value


@pytest.mark.parametrize("name", [*STOPPED, *(pytest.param(name, marks=pytest.mark.slow) for name in STOPPED_TOO)])
def test_a_run_goes_on_to_the_same_losses_and_weights(name: str, tmp_path: pathlib.Path) -> None:
    needed = ("about", "inputs/", "data/pairs", "data/more", f"runs/{name}/", f"expected/{name}.")
    older = kept.unpack("runs.tar.xz", tmp_path, needed)
    run = older / "runs" / name
    wanted, before = log(run), safetensors_torch.load_file(run / "last.safetensors")
    assert "is finished: 8 images seen" in again(older, "trainers.run", f"inputs/{name}.toml")
    texts, numbers = zip(*log(run), strict=True)
    assert texts == tuple(line for line, _ in wanted)
    for line, values in zip(numbers, wanted, strict=True):
        assert line == pytest.approx(values[1], rel=LOSS, abs=LOSS / 10)
    found = safetensors_torch.load_file(run / "last.safetensors")
    undisturbed = safetensors_torch.load_file(older / "expected" / f"{name}.safetensors")
    assert found.keys() == undisturbed.keys() == before.keys()
    kernels = [key for key, tensor in undisturbed.items() if tensor.dim() > 1]
    assert len(kernels) > 20
    for key in kernels:
        change = (undisturbed[key] - before[key]).norm()
        assert (found[key] - undisturbed[key]).norm() <= CHANGE * change, key


def pixels(path: pathlib.Path) -> npt.NDArray[np.int64]:
    """The 8-bit values of a photo."""
    with Image.open(path) as photo:
        return np.asarray(photo).astype(np.int64)


def test_every_checkpoint_restores_a_photo(older: pathlib.Path) -> None:
    checkpoints = [*(f"runs/{name}" for name in (*STOPPED, *STOPPED_TOO, FINISHED)), "converted.safetensors"]
    for number, checkpoint in enumerate(checkpoints):
        kept.run(
            older, "trainers.deblur", [checkpoint, "inputs/photos/0.png", "-o", f"out/{number}", "--device", "cpu"]
        )
        assert pixels(older / f"out/{number}/0.png").shape == pixels(older / "inputs/photos/0.png").shape


def test_a_finished_run_is_left_as_it_is(older: pathlib.Path) -> None:
    run = older / "runs" / FINISHED
    before = kept.files(run)
    assert "is finished: 8 images seen" in again(older, "trainers.run", f"inputs/{FINISHED}.toml")
    recorded = [f"runs/{FINISHED}/recipe.toml", "--out", f"runs/{FINISHED}", "--device", "cpu"]
    assert "is finished: 8 images seen" in kept.run(older, "trainers.run", recorded)
    after = kept.files(run)
    assert [name for name, content in before.items() if after[name] != content] == []


@pytest.mark.parametrize(("verb", "folder"), [("trainers.evaluate", "scores"), ("trainers.detect", "detection")])
def test_scores_are_kept_and_what_is_missing_is_scored(verb: str, folder: str, older: pathlib.Path) -> None:
    words = (verb, f"runs/{FINISHED}")
    scores = older / folder / "per-image.jsonl"
    before = scores.read_bytes()
    tables = {name: (older / folder / name).read_text() for name in ("table.txt", "per-image.csv")}
    again(older, *words)
    assert scores.read_bytes() == before
    assert {name: (older / folder / name).read_text() for name in tables} == tables
    lines = before.splitlines(keepends=True)
    scores.write_bytes(b"".join(lines[:-1]))
    again(older, *words)
    assert scores.read_bytes().splitlines(keepends=True)[:-1] == lines[:-1]
    ours, theirs = (json.loads(text.splitlines()[-1]) for text in (scores.read_bytes(), before))
    assert ours.keys() == theirs.keys()
    assert ours["values"] == pytest.approx(theirs["values"], rel=1e-3)
    measured = {"values", "seconds", "peak_mb"}
    assert {key for key in theirs if ours[key] != theirs[key]} <= measured


def test_restored_photos_are_kept_and_missing_ones_restored(older: pathlib.Path) -> None:
    results = older / "restored"
    before = kept.files(results)
    again(older, "trainers.deblur")
    assert kept.files(results) == before
    (results / "1.png").unlink()
    again(older, "trainers.deblur")
    after = kept.files(results)
    assert sorted(after) == sorted(before)
    unlike = [name for name, content in before.items() if after[name] != content and not name.endswith(".jsonl")]
    assert set(unlike) <= {"1.png"}
    former = kept.unpack("runs.tar.xz", older / "former", ("restored/1.png",)) / "restored/1.png"
    assert np.abs(pixels(results / "1.png") - pixels(former)).max() <= 1


def test_published_weights_are_converted_to_the_same_checkpoint(older: pathlib.Path) -> None:
    module, *arguments = command(older, "trainers.convert")
    kept.run(older, module, [*arguments, "--overwrite"])
    former = kept.unpack("runs.tar.xz", older / "former", ("converted",)) / "converted.safetensors"
    ours, theirs = (safetensors_torch.load_file(path) for path in (older / "converted.safetensors", former))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
