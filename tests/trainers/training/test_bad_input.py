"""What can be wrong before and while a method trains: each is one sentence with what to do, and exit code 2."""

import json
import logging
import pathlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
import tomli_w
import torch

from trainers import benchmark, command_line, deblur, run
from trainers.inference import restorer
from trainers.methods import deepdeblur

METHODS: dict[str, dict[str, Any]] = {
    "deepdeblur": {"name": "deepdeblur", "width": 4, "blocks": 1, "discriminator": {"width": 4, "strides": [2, 2, 2]}},
    "deblurgan": {
        "name": "deblurgan", "width": 4, "blocks": 1, "critic": {"width": 4, "steps": 1},
        "perceptual": {"weights": "random", "tap": "conv1_2"},
    },
}  # fmt: skip


@pytest.fixture
def written(make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path) -> Callable[..., list[str]]:
    """A function that writes a small recipe and gives the arguments that train it in tmp_path / "run"."""
    data = make_pairs(tmp_path / "pairs.zarr")

    def write(name: str = "deepdeblur", **sections: Any) -> list[str]:
        values: dict[str, Any] = {
            "name": "test",
            "data": {"train": [{"path": str(data)}], "batch": 2, "crop": 8},
            "method": METHODS[name],
            "schedule": {"clock": "images", "constant": 8},
            "validation": {"images": 2},
            "output": {"folder": str(tmp_path / "run"), "sheet": 0},
        }
        for section, changes in sections.items():
            values[section] = values.get(section, {}) | changes
        path = tmp_path / "recipe.toml"
        path.write_text(tomli_w.dumps(values))
        return [str(path), "--device", "cpu"]

    return write


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence on stderr."""
    assert command_line.exit_code(run.main, arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    return said


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"data": {"crop": 6}}, "multiples of 4; give data.crop such a side"),
        ({"data": {"crop": 2}}, "multiples of 4"),
        ({"data": {"crop": 32}}, "too small for a crop of 32x32"),
        ({"data": {"bacth": 4}}, "data.bacth: unknown key; did you mean 'batch'"),
        ({"engine": {"precison": "float32"}}, "engine.precison: unknown key; did you mean 'precision'"),
        ({"engine": {"precision": "float16"}}, "engine.precision: Input should be 'float32', 'tf32' or 'bfloat16'"),
        ({"engine": {"ema_decay": 1.0}}, "engine.ema_decay: Input should be less than 1"),
        (
            {"engine": {"accumulation_steps": 3}},
            "engine.accumulation_steps = 3 does not divide data.batch = 2",
        ),
        ({"data": {"saturation": [1.5, 0.5]}}, "range [least, most]"),
        ({"data": {"train": [{"path": "none.zarr"}]}}, "no dataset at none.zarr"),
        ({"validation": {"split": "test"}}, 'validation never uses the splits "train" and "test"'),
        ({"method": {"discriminator": {"width": 4}}}, "discriminator needs patches of 193 pixels or more"),
    ],
)
def test_a_recipe_that_cannot_train(
    sections: dict[str, Any], words: str, written: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(written(**sections), capsys)


def test_data_that_cannot_be_trained_on(
    written: Callable[..., list[str]],
    make_pairs: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = make_pairs(tmp_path / "psfs.zarr", kind="psfs")
    begun = make_pairs(tmp_path / "begun.zarr", complete=False)
    shared = make_pairs(tmp_path / "shared.zarr", first_source=1)
    arguments = written()
    assert "holds psfs, but training needs pairs" in refused([*arguments, "--data", str(other)], capsys)
    assert "not finished" in refused([*arguments, "--data", str(begun)], capsys)
    seen = refused([*arguments, "--set", f"validation.path={shared}"], capsys)
    assert "3 of the source photos" in seen
    assert "are trained on as well; leave validation.path out" in seen
    seen = refused([*arguments, "--data", str(tmp_path / "pairs.zarr"), "--data", str(shared)], capsys)
    assert "are trained on as well, as pairs of another training set" in seen
    assert not (tmp_path / "run").exists()


def test_validation_in_other_light_is_warned_of(
    written: Callable[..., list[str]],
    make_pairs: Callable[..., pathlib.Path],
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    linear = make_pairs(tmp_path / "linear.zarr", transfer="linear", first_source=100)
    with caplog.at_level(logging.WARNING):
        assert command_line.exit_code(run.main, [*written(), "--set", f"validation.path={linear}"]) == 0
    (said,) = [record.getMessage() for record in caplog.records]
    assert "different transfer functions" in said
    assert "linear.zarr: linear" in said


def test_a_gpu_that_is_not_there(written: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert "no CUDA device" in refused([*written(), "--device", "cuda"], capsys)


@pytest.mark.parametrize("key", ['weights="a\\u0000b"', "seed=99999999999999999999999"])
def test_perceptual_settings(key: str, written: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused([*written("deblurgan"), "--set", f"method.perceptual.{key}"], capsys)
    assert f"method.perceptual.{key.partition('=')[0]}" in said


def test_memory_that_a_machine_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    def verb(_: object) -> int:
        raise MemoryError

    assert command_line.exit_code(verb) == 2
    assert "ran out of memory" in capsys.readouterr().err


def test_more_threads_than_there_can_be(written: Callable[..., list[str]]) -> None:
    for verb in (run.main, benchmark.main):
        with pytest.raises(SystemExit) as raised:
            verb([*written(), "--threads", "99999999999"])
        assert raised.value.code == 2


def test_missing_perceptual_weights(written: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(written("deblurgan", method={"perceptual": {"weights": "nowhere.pth"}}), capsys)
    assert "no file nowhere.pth" in said
    assert "https://download.pytorch.org/models/vgg19" in said


def changed_header(path: pathlib.Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite what a checkpoint says of itself."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    about = json.loads(header["__metadata__"]["blursynth"])
    change(about)
    header["__metadata__"]["blursynth"] = json.dumps(about)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def test_checkpoints_that_cannot_be_gone_on_with(
    written: Callable[..., list[str]], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = written()
    assert command_line.exit_code(run.main, arguments) == 0
    capsys.readouterr()
    last = tmp_path / "run" / "last.safetensors"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    assert "cut short" in refused(arguments, capsys)
    last.write_bytes(whole)
    changed_header(last, lambda about: about.update(format_version=99, versions={"blursynth": "9.9"}))
    newer = refused(arguments, capsys)
    assert "format 99, written by blursynth 9.9" in newer
    assert "Install version 9.9 or later" in newer
    (tmp_path / "photo.png").touch()
    assert (
        command_line.exit_code(deblur.main, [str(last), str(tmp_path / "photo.png"), "-o", str(tmp_path / "out")]) == 2
    )
    assert "Install version 9.9" in capsys.readouterr().err
    last.write_bytes(whole)
    assert "method.width: 4 -> 6" in refused([*arguments, "--set", "method.width=6"], capsys)


def test_parts_are_refused_for_a_method_that_cannot_be_cut_up(
    written: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deepdeblur.DeepDeblur, "accumulates", False)
    assert "cannot split a batch" in refused(written(engine={"accumulation_steps": 2}), capsys)


def test_a_run_without_a_mean_has_none_to_go_on_with(
    written: Callable[..., list[str]], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.exit_code(run.main, written()) == 0
    assert "engine.ema_decay: 0.0 -> 0.9" in refused(written(engine={"ema_decay": 0.9}), capsys)
    network = restorer.load(tmp_path / "run", torch.device("cpu"), averaged=True)
    assert network.restore(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)
