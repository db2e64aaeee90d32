"""Every block of the README runs as it stands, in order, in one empty folder with some photos."""

import os
import pathlib
import re
import subprocess
import sys
import tomllib

import clip_files
import numpy as np
import pytest
from PIL import Image

from blursynth import recipe_file
from blursynth.cli import recipe_commands
from trainers import recipe

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
TABLES = re.findall(r"^```toml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_blocks_are_found() -> None:
    fences = len(re.findall(r"^```\w", README, flags=re.MULTILINE))
    console = len(re.findall(r"^```console", README, flags=re.MULTILINE))
    assert len(BLOCKS) + len(TABLES) == fences - console >= 7
    assert console == 1, "only the installation is not run here; the wheel test runs it"


@pytest.mark.parametrize("text", TABLES)
def test_every_table_is_a_recipe(text: str, tmp_path: pathlib.Path) -> None:
    table = tomllib.loads(text)
    if "data" in table:  # part of one for training
        recipe_file.build(table["data"], recipe.Data)
    else:
        (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
        assert recipe_commands.load(str(tmp_path / "recipe.toml"))


@pytest.mark.slow
def test_every_block_runs(tmp_path: pathlib.Path) -> None:
    skimage_data = pytest.importorskip("skimage.data")
    (tmp_path / "photos").mkdir()
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        Image.fromarray(np.asarray(getattr(skimage_data, name)())).save(tmp_path / "photos" / f"{name}.png")
    clip_files.write(tmp_path / "video.mp4", clip_files.moving(99, 128, 160))
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, arguments in (("python", ""), ("blursynth", " -m blursynth"), ("dask", " -m dask")):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        script.chmod(0o755)
    environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for language, block in BLOCKS:
        command = ["sh", "-ec", block] if language == "sh" else [sys.executable, "-W", "error", "-c", block]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert len(list((tmp_path / "restored").glob("*.png"))) == 4
