"""`python -m trainers.run`: what a user types, and what is said when something is wrong."""

import importlib
import os
import pathlib
import signal
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch

from trainers import command_line, run
from trainers.checkpoints import checkpoint
from trainers.training import run_folder

Arguments = list[str]


@pytest.fixture
def command(
    fake_method: Any,  # noqa: ARG001
    make_pairs: Callable[..., pathlib.Path],
    recipe_text: Callable[..., str],
    tmp_path: pathlib.Path,
) -> Arguments:
    """Arguments that train the fake method in tmp_path / "run" in a second."""
    data = make_pairs(tmp_path / "pairs.zarr")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(data, tmp_path / "run"))
    return [str(recipe), "--device", "cpu"]


def test_trains_then_says_that_it_is_finished(
    command: Arguments, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.exit_code(run.main, command) == 0
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} >= {
        "recipe.toml",
        "log.jsonl",
        "last.safetensors",
        "best.safetensors",
    }
    assert "48 images seen" in capsys.readouterr().out
    written = (folder / "last.safetensors").stat().st_mtime_ns
    # The same run again, asked for by its own resolved recipe.
    assert command_line.exit_code(run.main, [str(folder / "recipe.toml"), "--device", "cpu"]) == 0
    assert "is finished: 48 images seen" in capsys.readouterr().out
    assert (folder / "last.safetensors").stat().st_mtime_ns == written


def test_flags_replace_data_folder_and_settings(
    command: Arguments, make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    other = make_pairs(tmp_path / "other.zarr", seed=4)
    flags = [
        "--data",
        str(other),
        "--out",
        str(tmp_path / "b"),
        "--set",
        "schedule.constant=8",
        "--set",
        "schedule.decay=0",
    ]
    assert command_line.exit_code(run.main, [*command, *flags]) == 0
    about = checkpoint.about(tmp_path / "b" / "last.safetensors")
    assert about.images_seen == 8
    assert [entry["path"] for entry in about.datasets] == [str(other)]
    assert not (tmp_path / "run").exists()


def test_a_signal_stops_with_a_sentence_and_its_code(
    command: Arguments, fake_method: Any, capsys: pytest.CaptureFixture[str]
) -> None:

    fake_method.on_step = staticmethod(lambda steps: os.kill(os.getpid(), signal.SIGTERM) if steps == 4 else None)
    assert command_line.exit_code(run.main, command) == 143
    assert "Stopped by SIGTERM at 20 images, with a checkpoint" in capsys.readouterr().out
    fake_method.on_step = None
    assert command_line.exit_code(run.main, command) == 0


def test_dry_run_describes_and_writes_nothing(
    command: Arguments, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.exit_code(run.main, [*command, "--dry-run"]) == 0
    out = capsys.readouterr().out
    for words in (
        "crop = 8",
        "TwoNetworks",
        "Training pairs: 18",
        "Steps: 12 updates",
        "(48 images",
        "validation images: 2",
    ):
        assert words in out
    assert not (tmp_path / "run").exists()


def test_dry_run_without_data_or_weights_says_so_and_describes_the_rest(
    command: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ["--data", "none.zarr", "--set", "method.needs_file=true"]
    assert command_line.exit_code(run.main, [*command, "--dry-run", *missing]) == 2
    found = capsys.readouterr()
    assert "TwoNetworks" in found.out
    assert "Training could not start:\n" in found.err
    assert "no dataset at none.zarr" in found.err
    assert "weights for training are missing" in found.err


def test_dry_run_looks_at_the_run_folder_too(
    command: Arguments, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("mine")
    assert command_line.exit_code(run.main, [*command, "--dry-run"]) == 2
    assert "is not a run folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--set", "data.bacth=2"], "did you mean 'batch'"),
        (["--data", "none.zarr"], "no dataset at none.zarr"),
        (["--set", "data.crop=32"], "too small for a crop of 32x32"),
        (["--set", "method.needs_file=true"], "weights for training are missing"),
        (["--set", "method.name=none"], "no training method 'none'"),
        (["--device", "cuda"], "no CUDA device"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    command: Arguments, flags: list[str], words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "cuda" in flags and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert command_line.exit_code(run.main, [*command, *flags]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("threads", ["0", "-1", "many"])
def test_threads_are_a_number_from_one(command: Arguments, threads: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        run.main([*command, "--threads", threads])
    assert stopped.value.code == 2


def test_an_unknown_recipe_names_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.exit_code(run.main, ["no-such-recipe"]) == 2
    assert "training/deblurgan" in capsys.readouterr().err


def test_a_folder_of_another_recipe_is_refused_with_the_difference(
    command: Arguments, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.exit_code(run.main, command) == 0
    changed = [*command, "--set", "method.rate=0.5"]
    assert command_line.exit_code(run.main, changed) == 2
    error = capsys.readouterr().err
    assert "method.rate: 0.01 -> 0.5" in error
    assert "--overwrite" in error
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert command_line.exit_code(run.main, [*changed, "--overwrite"]) == 0
    assert checkpoint.about(tmp_path / "run" / "last.safetensors").recipe.count("rate = 0.5") == 1
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_overwrite_asks_at_a_terminal(
    command: Arguments, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command_line.exit_code(run.main, command) == 0
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n" if "Delete" in question else "y")
    assert command_line.exit_code(run.main, [*command, "--overwrite"]) == 1
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_a_folder_with_other_things_in_it_is_left_alone(
    command: Arguments, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "holiday.jpg").touch()
    for flags in ([], ["--overwrite"]):
        assert command_line.exit_code(run.main, [*command, *flags]) == 2
        assert "not a run folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["holiday.jpg"]


def test_two_runs_in_one_folder_are_kept_apart(
    command: Arguments, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.exit_code(run.main, command) == 0
    with run_folder.Lock(tmp_path / "run"):
        for flags in ([], ["--overwrite"]):
            assert command_line.exit_code(run.main, [*command, *flags]) == 2
            assert "Another process (process" in capsys.readouterr().err
    assert command_line.exit_code(run.main, command) == 0


def test_a_damaged_checkpoint_is_one_sentence(
    command: Arguments, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.exit_code(run.main, command) == 0
    last = tmp_path / "run" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-10])
    assert command_line.exit_code(run.main, command) == 2
    assert "cut short" in capsys.readouterr().err


def test_errors_of_the_system_are_sentences_and_our_own_keep_their_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(error: BaseException) -> Callable[[Any], int]:
        def verb(arguments: Any) -> int:  # noqa: ARG001
            raise error

        return verb

    assert command_line.exit_code(fail(PermissionError(13, "Permission denied", "there/file"))) == 2
    assert capsys.readouterr().err == "Error: there/file: Permission denied.\n"
    assert command_line.exit_code(fail(KeyboardInterrupt())) == 130
    assert command_line.exit_code(fail(torch.OutOfMemoryError("x"))) == 2
    assert "data.batch" in capsys.readouterr().err
    with pytest.raises(AssertionError):
        command_line.exit_code(fail(AssertionError("ours")))


@pytest.mark.parametrize("verb", ["run", "deblur"])
def test_help_has_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"trainers.{verb}").main(["--help"])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "examples:" in said
    assert f"python -m trainers.{verb}" in said


def test_a_run_goes_on_where_its_dataset_lies_now(
    command: Arguments,
    fake_method: Any,
    make_pairs: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command_line.exit_code(run.main, [*command, "--out", str(tmp_path / "undisturbed")]) == 0
    fake_method.on_step = staticmethod(lambda steps: os.kill(os.getpid(), signal.SIGTERM) if steps == 4 else None)
    assert command_line.exit_code(run.main, command) == 143
    fake_method.on_step = None
    moved = (tmp_path / "pairs.zarr").rename(tmp_path / "moved.zarr")
    other = make_pairs(tmp_path / "other.zarr", seed=1)
    capsys.readouterr()
    assert command_line.exit_code(run.main, [*command, "--data", str(other)]) == 2
    said = capsys.readouterr().err
    assert "trained on other data" in said
    assert f"{other}: fingerprint" in said
    assert command_line.exit_code(run.main, [*command, "--data", str(other), "--dry-run"]) == 2
    assert "pairs.zarr" in (tmp_path / "run" / "recipe.toml").read_text()
    assert command_line.exit_code(run.main, [*command, "--data", str(moved)]) == 0
    # By its own recipe, which knows the new place.
    assert command_line.exit_code(run.main, [str(tmp_path / "run" / "recipe.toml"), "--device", "cpu"]) == 0
    tensors = [safetensors.torch.load_file(tmp_path / name / "last.safetensors") for name in ("run", "undisturbed")]
    assert all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())


def test_other_validation_data_are_refused(
    command: Arguments,
    make_pairs: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    held = make_pairs(tmp_path / "held.zarr", seed=2, first_source=100)
    assert command_line.exit_code(run.main, [*command, "--set", f"validation.path={held}"]) == 0
    moved = held.rename(tmp_path / "moved.zarr")
    assert command_line.exit_code(run.main, [*command, "--set", f"validation.path={moved}"]) == 0
    other = make_pairs(tmp_path / "more.zarr", seed=3, first_source=100)
    capsys.readouterr()
    assert command_line.exit_code(run.main, [*command, "--set", f"validation.path={other}"]) == 2
    assert "validation, fingerprints" in capsys.readouterr().err
