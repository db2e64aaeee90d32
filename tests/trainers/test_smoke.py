"""Every smoke recipe trains: its content loss falls by 30 % at least, and it restores images, not grey.

A network that adds its correction to the blurred image and begins with next to none has a loss that is low from the
start and no 30 % to fall: it has to restore held-out images better than it found them instead.
"""

import functools
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from blursynth.config import toml
from blursynth.storage import reader
from trainers import command_line, recipe, run
from trainers.inference import eight_bit, restorer

SMOKE = sorted(path for path in (toml.shipped_folder() / "smoke").glob("*.toml") if not path.stem.endswith("-data"))
CONTENT = ("perceptual", "content", "pixel")
"""Terms that compare a restored image with its sharp one."""
BEGIN_NEAR_THE_IDENTITY = ("demo", "light-deblurgan")
"""Those without norms, whose initial weights are made for that (`networks.initialise`)."""
QUICK = ("deblurgan", "deepdeblur", "pix2pix", "resgan")
"""Methods that have learned as much in half of their recipe's images."""


def halved(path: pathlib.Path) -> list[str]:
    """Arguments that train for half as long."""
    wanted = recipe.load(path)
    if wanted.method_name not in QUICK:
        return []
    schedule = wanted.schedule
    milestones = [each / 2 for each in schedule.milestones]
    changes = (f"constant={schedule.constant / 2}", f"decay={schedule.decay / 2}", f"milestones={milestones}")
    return [argument for change in changes for argument in ("--set", f"schedule.{change}")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pathlib.Path]:
    """A function that gives the dataset that a command's arguments make; twins that begin alike share it."""

    @functools.cache
    def make(arguments: str) -> pathlib.Path:
        out = tmp_path_factory.mktemp("data") / "made.zarr"
        subprocess.run([sys.executable, "-m", "blursynth", *arguments.split(), "--out", str(out)], check=True)
        return out

    return make


@pytest.mark.slow
@pytest.mark.parametrize("path", SMOKE, ids=lambda path: path.stem)
def test_smoke_recipe_learns(
    path: pathlib.Path,
    dataset: Callable[[str], pathlib.Path],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = re.findall(r"^# +blursynth (.*) --out (\S+)$", path.read_text(), re.MULTILINE)
    assert commands
    for made_by, data in commands:
        (tmp_path / data).symlink_to(dataset(made_by))
    monkeypatch.chdir(tmp_path)  # where the recipe finds its datasets
    arguments = [str(path), "--out", "run", "--device", "cpu", "--threads", "1", *halved(path)]
    assert command_line.exit_code(run.main, arguments) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    content = [sum(line["loss"].get(term, 0.0) for term in CONTENT) for line in lines if line["kind"] == "train"]
    if path.stem not in BEGIN_NEAR_THE_IDENTITY:
        assert np.mean(content[-5:]) <= 0.7 * content[0]
    else:
        last = [line for line in lines if line["kind"] == "validation"][-1]
        assert last["psnr"] >= last["blurred_psnr"] + 0.5
    network = restorer.load(tmp_path / "run" / "last.safetensors", torch.device("cpu"))
    for blurred in reader.open(tmp_path / commands[0][1]).read("blurred", range(4)):
        restored = eight_bit.restore(network.restore, blurred, torch.device("cpu"))
        assert restored.std() > 0.5 * blurred.std()
