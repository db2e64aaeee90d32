"""The worked example "Adding a kind of blur" of CONTRIBUTING.md: its blocks, and all that follows from them."""

import ast
import importlib
import pathlib
from typing import Any

import kinds
import numpy as np
import pytest
import worked_examples
from scipy import ndimage

from blursynth.kernels import response
from blursynth.layouts import export
from blursynth.maintenance import replay, verify
from blursynth.makers import registry
from blursynth.production import run
from blursynth.report import page, preview
from blursynth.storage import reader


@pytest.fixture
def defocus(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Any:
    """The module of the maker, with its line in the registry."""
    line = worked_examples.install("Adding a kind of blur", tmp_path / "code", monkeypatch)
    for name, module in ast.literal_eval(f"{{{line}}}").items():
        monkeypatch.setitem(registry.MAKERS, name, module)
    return importlib.import_module(registry.MAKERS["defocus"])


def test_everything_follows_from_the_blocks(defocus: Any, tmp_path: pathlib.Path) -> None:
    photos = kinds.photos(tmp_path / "photos")
    maker = defocus.maker(str(photos), {"seed": 1, "size": 24, "per_photo": 3, "radius": "2:5", "shard_length": 5})
    run.produce(maker, tmp_path / "a.zarr")
    dataset = reader.open(tmp_path / "a.zarr")
    assert dataset.items == 21, "all but those of the damaged photo"
    assert_blurred_by_discs(dataset, maker)
    assert verify.verify(tmp_path / "a.zarr").findings == ()
    assert replay.replay(tmp_path / "a.zarr", 4).equal
    assert len(preview.cells(dataset, 4, 64)[0]) == 3, "sharp, blurred and PSF"
    assert "radius of the disc" in page.page(dataset, 2, 8, 8)
    assert export.export(tmp_path / "a.zarr", tmp_path / "files", "flat").pairs == 21
    assert run.produce(maker, tmp_path / "a.zarr").made == 0, "the same command finds it finished"


def assert_blurred_by_discs(dataset: reader.Dataset, maker: Any) -> None:
    """Every pair is what SciPy makes of the whole photo and a disc of the stored radius."""
    columns = dataset.columns
    light = response.decode_table("gamma2.2").astype(np.float64)
    for row in range(dataset.items):
        photo = light[maker.photos.read(maker.used[columns["source"][row]])]
        y, x = np.mgrid[-5:6, -5:6]
        disc = (x**2 + y**2 <= columns["radius"][row] ** 2).astype(float)
        blurred = ndimage.convolve(photo, (disc / disc.sum())[..., None], mode="mirror")
        top, left = columns["crop_y"][row], columns["crop_x"][row]
        expected = 255 * blurred[top : top + 24, left : left + 24] ** (1 / 2.2)
        assert np.abs(dataset.read("blurred", [row])[0] - expected).max() < 0.51
