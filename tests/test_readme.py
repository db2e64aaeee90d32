"""Every block of the README and of docs/ runs in order, in a folder with some photos and a clip."""

import os
import pathlib
import re
import subprocess
import sys
import tomllib

import clip_files
import mask_files
import numpy as np
import pytest
from PIL import Image

from blursynth.config import toml
from blursynth.makers import dataset_recipe
from blursynth.media import photos
from trainers import recipe

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if path != ROOT / "docs" / "index.md"  # the README again, and the contents of the built pages
}
README = PAGES["README.md"]
TABLES = [table for text in PAGES.values() for table in re.findall(r"^```toml\n(.*?)^```", text, flags=re.M | re.S)]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

MODULES = {"python": "", "blursynth": " -m blursynth", "dask": " -m dask", "torchrun": " -m torch.distributed.run"}
"""Commands of the README as this Python runs them."""


SHORT = "--set schedule.constant=20 --set schedule.decay=0"
SHORTER = {
    "trajectories --n 100000": "trajectories --n 3000",
    "smoke/deblurgan --data crops.zarr": f"smoke/deblurgan --data crops.zarr {SHORT}",
    "smoke/deblurgan --data gpu.zarr": f"smoke/deblurgan --data gpu.zarr {SHORT}",
}
"""What takes long as it stands is run for less: paths, and runs of a recipe that the README trains whole."""


def blocks_of(text: str) -> list[tuple[str, str]]:
    """Language and text of every block that is run."""
    return re.findall(r"^```(sh|python)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def shorter(block: str) -> str:
    """A block as it is run here."""
    for long, short in SHORTER.items():
        block = block.replace(long, short)
    return block


def test_what_is_run_for_less_is_there() -> None:
    assert [long for long in SHORTER if not any(long in text for text in PAGES.values())] == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_a_table(page: str) -> None:
    languages = re.findall(r"^```(\w+)", PAGES[page], flags=re.MULTILINE)
    assert set(languages) <= {"sh", "python", "toml", "console"}
    assert languages.count("console") == (page == "README.md"), "only the installation is not run here"


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page: str) -> None:
    folder = (ROOT / page).parent
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page])
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_page_and_picture_is_shown() -> None:
    linked = {
        (ROOT / page).parent.joinpath(link).resolve()
        for page, text in PAGES.items()
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text)
    }
    files = [*(ROOT / "docs").rglob("*.jpg"), *(ROOT / page for page in PAGES if page != "README.md")]
    assert [path for path in files if path not in linked] == []


@pytest.mark.parametrize("text", TABLES)
def test_every_table_is_a_recipe(text: str, tmp_path: pathlib.Path) -> None:
    table = tomllib.loads(text)
    if "data" in table:  # part of one for training
        toml.build(table["data"], recipe.Data)
    else:
        (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
        assert dataset_recipe.load(str(tmp_path / "recipe.toml"))


def depth_files(photos: pathlib.Path, folder: pathlib.Path) -> None:
    """A map for each photo: a floor that comes nearer."""
    folder.mkdir()
    for path in photos.iterdir():
        height, width = np.asarray(Image.open(path)).shape[:2]
        rows = np.linspace(10_000, 1_000, height).astype(np.uint16)
        Image.fromarray(np.repeat(rows[:, None], width, axis=1)).save(folder / path.name)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> dict[str, str]:
    """An environment whose `blursynth`, `dask` and `python` are ours, in a folder with photos and a clip."""
    skimage_data = pytest.importorskip("skimage.data")
    (tmp_path / "photos").mkdir()
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        Image.fromarray(np.asarray(getattr(skimage_data, name)())).save(tmp_path / "photos" / f"{name}.png")
    depth_files(tmp_path / "photos", tmp_path / "depth")
    sizes = {path.name: np.asarray(Image.open(path)).shape[:2] for path in (tmp_path / "photos").iterdir()}
    mask_files.instances(tmp_path / "instances.json", sizes)
    clip_files.write(tmp_path / "video.mp4", clip_files.moving(99, 128, 160))
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, arguments in (
        ("python", ""),
        ("blursynth", " -m blursynth"),
        ("dask", " -m dask"),
        ("torchrun", " -m torch.distributed.run"),
    ):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        script.chmod(0o755)
    # One thread for PyTorch: another test runs beside this one.
    own = {"PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return dict(os.environ) | own


@pytest.mark.slow
def test_every_block_runs(machine: dict[str, str], tmp_path: pathlib.Path) -> None:
    """All pages in one folder: what a page makes and another has made already is complete at once."""
    for page, text in PAGES.items():
        for language, block in blocks_of(text):
            block = shorter(block)
            command = ["sh", "-ec", block] if language == "sh" else [sys.executable, "-W", "error", "-c", block]
            done = subprocess.run(
                command, cwd=tmp_path, env=machine, capture_output=True, text=True, check=False, timeout=900
            )
            assert done.returncode == 0, f"{page}:\n{block}\n{done.stdout}\n{done.stderr}"
    assert len(list((tmp_path / "restored").glob("*.png"))) == 4


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs(script: pathlib.Path, tmp_path: pathlib.Path) -> None:
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", script], cwd=tmp_path, env=environment, check=True, timeout=300)


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
