"""Several processes train as one would with all images."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import golden_curves
import pytest
import tomli_w
import two_processes

from trainers import command_line, distributed, run
from trainers.checkpoints import checkpoint

HERE = pathlib.Path(__file__).parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def environment() -> dict[str, str]:
    paths = [str(HERE.parents[1]), str(HERE / "golden"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_for_every_method() -> None:
    done = subprocess.run(
        [*TORCHRUN, str(HERE / "golden" / "two_processes.py")],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    expected = two_processes.curves()
    assert found.keys() == expected.keys() == golden_curves.SETTINGS.keys() | {"spread"}
    assert expected["spread"] == {"loss": [4 * 6.5], "gradient": [4 * 6.5]}  # w^2 times the variance 6.5 of x
    for setting, terms in expected.items():
        assert found[setting].keys() == terms.keys()
        for name, values in terms.items():
            assert found[setting][name] == pytest.approx(values, rel=1e-7, abs=1e-10), (setting, name)


@pytest.fixture
def command(make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path) -> Callable[..., list[str]]:
    """A function that gives the arguments of a small DeepDeblur run in a folder."""
    data = make_pairs(tmp_path / "pairs.zarr")

    def write(folder: str, images: int, **output: Any) -> list[str]:
        sections: dict[str, Any] = {
            "name": "test",
            "data": {"train": [{"path": str(data)}], "batch": 4, "crop": 8, "noise": 2.0, "saturation": [0.5, 1.5]},
            "method": golden_curves.SETTINGS["deepdeblur paper"],
            "schedule": {"clock": "images", "constant": images},
            "engine": {"ema_decay": 0.9},
            "validation": {"every": 16, "images": 2},
            "output": {"folder": str(tmp_path / folder), "log_every": 4, "checkpoint_every": 16, "sheet": 1} | output,
        }
        path = tmp_path / f"{folder}.toml"
        path.write_text(tomli_w.dumps(sections))
        return [str(path), "--device", "cpu", "--threads", "1"]

    return write


def lines(folder: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def assert_alike(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Two logs are equal but for rounding in float32."""
    assert [(line["kind"], line["images"]) for line in found] == [(line["kind"], line["images"]) for line in expected]
    for ours, theirs in zip(found, expected, strict=True):
        if ours["kind"] == "train":
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3, abs=1e-6)
        else:
            assert ours["psnr"] == pytest.approx(theirs["psnr"], abs=1e-2)


@pytest.mark.slow
def test_torchrun_trains_as_one_process_does(command: Callable[..., list[str]], tmp_path: pathlib.Path) -> None:
    assert command_line.exit_code(run.main, command("one", 32, keep_every=16)) == 0
    done = subprocess.run(
        [*TORCHRUN, "-m", "trainers.run", *command("two", 32, keep_every=16)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("32 images seen.") == 1
    one = lines(tmp_path / "one")
    assert_alike(lines(tmp_path / "two"), one)
    # What two processes began, one goes on with.
    arguments = command("mixed", 32, keep_every=16)
    (tmp_path / "mixed" / "sheets").mkdir(parents=True)
    kept = tmp_path / "two" / f"images-{16:012d}.safetensors"
    shutil.copy(kept, tmp_path / "mixed" / "last.safetensors")
    shutil.copy(tmp_path / "two" / "recipe.toml", tmp_path / "mixed" / "recipe.toml")
    assert command_line.exit_code(run.main, arguments) == 0
    assert_alike(lines(tmp_path / "mixed"), [line for line in one if line["images"] > 16])
    assert checkpoint.about(tmp_path / "mixed" / "last.safetensors").images_seen == 32


@pytest.mark.slow
def test_a_signal_stops_all_processes_with_a_checkpoint(
    command: Callable[..., list[str]], tmp_path: pathlib.Path
) -> None:
    arguments = command("run", 2_000_000, checkpoint_every=1_000_000)
    with subprocess.Popen(
        [*TORCHRUN, "-m", "trainers.run", *arguments], env=environment(), stdout=subprocess.PIPE, text=True
    ) as running:
        log = tmp_path / "run" / "log.jsonl"
        until = time.monotonic() + 120
        while not (log.is_file() and log.stat().st_size) and time.monotonic() < until:
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=120)
    assert "Stopped by SIGTERM" in out
    about = checkpoint.about(tmp_path / "run" / "last.safetensors")
    assert about.images_seen == 4 * about.step > 0


def test_one_process_is_left_alone() -> None:
    assert (distributed.count(), distributed.number(), distributed.first(), distributed.largest(3)) == (1, 0, True, 3)


def test_a_batch_that_cannot_be_shared_is_one_sentence(
    command: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distributed, "asked_for", lambda: 3)
    monkeypatch.setattr(distributed, "start", lambda device: None)  # noqa: ARG005
    assert command_line.exit_code(run.main, command("run", 32)) == 2
    assert "data.batch = 4 cannot be shared equally by 3 processes" in capsys.readouterr().err
