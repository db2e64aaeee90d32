"""The worked example "Adding an export layout" of CONTRIBUTING.md."""

import importlib
import pathlib

import kinds
import numpy as np
import pytest
import worked_examples
from PIL import Image

from blursynth.layouts import export
from blursynth.production import run
from blursynth.storage import reader


def test_a_layout_is_one_module_and_one_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = worked_examples.install("Adding an export layout", tmp_path / "code", monkeypatch)
    name, module = line.strip(" ,\n").split(": ")
    layout = importlib.import_module(f"blursynth.layouts.{module}")
    monkeypatch.setitem(export.LAYOUTS, name.strip('"'), layout)
    run.produce(kinds.make("photos", tmp_path), tmp_path / "a.zarr")
    assert export.export(tmp_path / "a.zarr", tmp_path / "out", "suffixed").written == 21
    dataset = reader.open(tmp_path / "a.zarr")
    for row, item in enumerate(dataset.item_numbers.tolist()):
        stem = f"{dataset.splits[dataset.columns['split'][row]]}/{item:06d}"
        for side in ("blurred", "sharp"):
            written = np.asarray(Image.open(tmp_path / "out" / f"{stem}_{side}.png"))
            assert np.array_equal(written, dataset.read(side, [row])[0])
