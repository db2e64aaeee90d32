"""`blursynth export` and `blursynth import`, as typed."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import kinds
import pytest

from blursynth.storage import reader

Run = Callable[..., Any]  # the fixture of conftest.py


def test_there_and_back(run: Run, tmp_path: pathlib.Path) -> None:
    kinds.pair_files(tmp_path / "set")
    refused = run("import", "flat", "set", "-q")
    assert refused.code == 2
    assert "give --transfer gamma2.2, srgb or linear" in refused.err
    made = run("import", "flat", "set", "--transfer", "srgb", "-q")
    assert made.code == 0, made.err
    assert "set-pairs.zarr: 5 pairs" in made.out
    assert "train/target/4.png" in made.out
    written = run("export", "set-pairs.zarr", "tars", "--to", "webdataset", "-q")
    assert written.code == 0, written.err
    assert "4 pairs in " in written.out
    assert "train 3, val 1" in written.out
    assert "0 pairs in" in run("export", "set-pairs.zarr", "tars", "--to", "webdataset", "-q").out
    assert run("import", "webdataset", "tars", "-q", "--out", "again.zarr").code == 0
    assert reader.open(tmp_path / "again.zarr").transfer_function == "srgb"
    assert json.loads((tmp_path / "tars" / "blursynth.json").read_text())["complete"]
    checked = run("verify", "again.zarr", "-q")
    assert (checked.code, "4 sharp images equal to their sources" in checked.out) == (0, True)
    (tmp_path / "tars").rename(tmp_path / "moved")
    assert run("verify", "again.zarr", "-q").code == 1
    assert run("verify", "again.zarr", "-q", "--images", "moved").code == 0
    assert run("replay", "again.zarr", 2, "--images", "moved").code == 0


def test_an_export_is_replaced_only_when_told(run: Run, tmp_path: pathlib.Path) -> None:
    kinds.pair_files(tmp_path / "set")
    run("import", "flat", "set", "--transfer", "linear", "-q")
    assert run("export", "set-pairs.zarr", "out", "--to", "flat", "-q").code == 0
    other = run("export", "set-pairs.zarr", "out", "--to", "gopro", "-q")
    assert (other.code, "Use --overwrite to replace it" in other.err) == (2, True)
    assert run("export", "set-pairs.zarr", "out", "--to", "gopro", "-q", "--overwrite", "--yes").code == 0
    assert {path.name for path in (tmp_path / "out" / "train" / "pairs_00000").iterdir()} == {"blur", "sharp"}


@pytest.mark.parametrize("arguments", [("export", "a.zarr", "out"), ("import", "sidd", "a"), ("import", "flat")])
def test_what_is_missing_is_said(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert "Usage: " in result.err


def test_videos_in_a_store_are_not_looked_for_on_the_disk(run: Run) -> None:
    result = run("average-frames", "s3://bucket/clip.mp4", "--out", "clip.zarr")
    assert (result.code, "videos and their frames are read from a disk" in result.err) == (2, True), result
