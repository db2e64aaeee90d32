"""Every block of the README and of docs/ runs as it stands, in order, in a folder with some photos and a clip."""

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
from blursynth.media import photos
from trainers import recipe

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
README = PAGES["README.md"]
TABLES = re.findall(r"^```toml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def blocks_of(text: str) -> list[tuple[str, str]]:
    """Language and text of every block that is run."""
    return re.findall(r"^```(sh|python)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_found(page: str) -> None:
    fences = len(re.findall(r"^```\w", PAGES[page], flags=re.MULTILINE))
    console = len(re.findall(r"^```console", PAGES[page], flags=re.MULTILINE))
    tables = len(TABLES) if page == "README.md" else 0
    assert len(blocks_of(PAGES[page])) + tables == fences - console >= 3
    assert console == (page == "README.md"), "only the installation is not run here; the wheel test runs it"


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    named = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page])
    assert [name for name in named if not (folder / name).exists()] == []


def test_every_page_and_picture_is_shown() -> None:
    shown = "".join(PAGES.values())
    pictures = (ROOT / "docs" / "pictures").glob("*.jpg")
    assert [path.name for path in pictures if f"docs/pictures/{path.name}" not in shown] == []
    assert [name for name in PAGES if name != "README.md" and f"docs/{name}" not in README] == []


@pytest.mark.parametrize("text", TABLES)
def test_every_table_is_a_recipe(text: str, tmp_path: pathlib.Path) -> None:
    table = tomllib.loads(text)
    if "data" in table:  # part of one for training
        recipe_file.build(table["data"], recipe.Data)
    else:
        (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
        assert recipe_commands.load(str(tmp_path / "recipe.toml"))


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> dict[str, str]:
    """An environment whose `blursynth`, `dask` and `python` are ours, in a folder with photos and a clip."""
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
    return dict(os.environ) | {"PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_block_runs(page: str, machine: dict[str, str], tmp_path: pathlib.Path) -> None:
    blocks = blocks_of(PAGES[page])
    for language, block in blocks:
        command = ["sh", "-ec", block] if language == "sh" else [sys.executable, "-W", "error", "-c", block]
        done = subprocess.run(
            command, cwd=tmp_path, env=machine, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    if any("restored/" in block for _, block in blocks):
        assert len(list((tmp_path / "restored").glob("*.png"))) == 4


@pytest.mark.slow
def test_pictures_are_made_by_their_script(machine: dict[str, str], tmp_path: pathlib.Path) -> None:
    out = tmp_path / "pictures"
    out.mkdir()
    command = [sys.executable, ROOT / "docs" / "pictures" / "make.py", "--out", out, "--no-report"]
    subprocess.run(command, cwd=tmp_path, env=machine, check=True, capture_output=True, timeout=900)
    made = {path.name for path in out.glob("*.jpg")}
    assert made == {path.name for path in (ROOT / "docs" / "pictures").glob("*.jpg")} - {"report.jpg"}
    for name in made:
        assert photos.probe(out / name) == photos.probe(ROOT / "docs" / "pictures" / name)
