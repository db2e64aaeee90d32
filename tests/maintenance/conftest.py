"""Small datasets for the tests of verify and repair."""

import pathlib
import shutil

import fake_maker
import kinds
import pytest

from blursynth.makers import registry
from blursynth.production import run


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets of the fake maker can be made again from their records."""
    monkeypatch.setitem(registry.MAKERS, "fake", "fake_maker")


@pytest.fixture
def fake(known: None, tmp_path: pathlib.Path) -> pathlib.Path:  # noqa: ARG001
    run.produce(fake_maker.Fake(), tmp_path / "f.zarr")
    return tmp_path / "f.zarr"


@pytest.fixture(scope="module")
def pairs_as_made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("pairs")
    run.produce(kinds.make("photos", folder), folder / "pairs.zarr")
    return folder


@pytest.fixture
def pairs(pairs_as_made: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """Pairs of eight photos, the last of which cannot be read, beside a copy of the photos."""
    shutil.copytree(pairs_as_made, tmp_path / "made")
    return tmp_path / "made" / "pairs.zarr"
