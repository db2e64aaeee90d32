"""What `blursynth` promises: names that resolve, docstrings with examples that run, a page for each."""

import doctest
import inspect
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import blursynth
from blursynth.makers import convolve
from blursynth.production import run

REFERENCE = pathlib.Path(__file__).parents[2] / "docs" / "reference" / "api.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What examples read: photos, pairs of them and a recipe."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "photos").mkdir()
    draws = np.random.default_rng(0)
    for k in range(4):
        Image.fromarray(draws.integers(0, 256, (80, 90, 3), np.uint8)).save(folder / "photos" / f"{k}.png")
    run.produce(convolve.maker(str(folder / "photos"), {"seed": 0, "size": 64, "length": 10}), folder / "pairs.zarr")
    (folder / "flow.toml").write_text('[flow]\ncommand = "convolve"\nsize = 64\nlength = 10\n')
    return folder


@pytest.mark.parametrize("name", blursynth.__all__)
def test_examples_run(name: str, place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = getattr(blursynth, name)
    found = doctest.DocTestFinder(recurse=False).find(value, name, globs={"np": np})
    (examples,) = found
    assert examples.examples
    assert "Examples\n--------" in (inspect.getdoc(value) or "")
    monkeypatch.chdir(place)
    said: list[str] = []
    doctest.DocTestRunner().run(examples, out=said.append)
    assert not said, "".join(said)


def test_every_public_name_is_in_the_reference() -> None:
    page = REFERENCE.read_text().partition("currentmodule:: blursynth.torch")[0]
    listed = set(re.findall(r"^\.\. auto(?:function|class):: ([a-zA-Z_]+)$", page, re.MULTILINE))
    assert listed == set(blursynth.__all__)


@pytest.mark.parametrize("name", [name for name in blursynth.__all__ if inspect.isfunction(getattr(blursynth, name))])
def test_functions_document_each_parameter(name: str) -> None:
    function = getattr(blursynth, name)
    section = (inspect.getdoc(function) or "").partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    heads = [line.partition(" :")[0] for line in section.splitlines() if not line.startswith(" ")]
    documented = {part.strip().lstrip("*") for head in heads for part in head.split(",")}
    assert documented == set(inspect.signature(function).parameters)


def test_importing_is_cheap_and_loads_no_kernel() -> None:
    code = "import sys, blursynth; print([n for n in ('numba', 'numpy', 'zarr', 'torch', 'cv2') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_pages_are_built_without_warnings(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("sphinx", reason="pip install '.[docs]'")
    root = pathlib.Path(__file__).parents[2]
    options = ["--quiet", "--fail-on-warning", "--keep-going"]
    command = [sys.executable, "-m", "sphinx", *options, str(root / "docs"), str(tmp_path / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "reference" / "api.html").read_text()
    assert all(f'id="blursynth.{name}"' in page for name in blursynth.__all__)
