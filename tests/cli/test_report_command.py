"""`report` as users type it: the page, the command on it, and the sentences for what goes wrong."""

import pathlib
import shlex
from collections.abc import Callable
from typing import Any

import html_page
import pytest

from blursynth.storage import reader

Run = Callable[..., Any]  # the fixture of conftest.py


def test_the_command_on_the_page_makes_the_dataset_again(run: Run, photos: pathlib.Path) -> None:
    made = run(
        "convolve", photos.name, "--size", 64, "--per-photo", 2, "--length", "5:20", "--seed", 9, "--out", "p.zarr"
    )
    assert made.code == 0, made
    told = run("report", "p.zarr")
    assert (told.code, told.out.startswith("p.html: 0.")) == (0, True), told
    found = html_page.read(pathlib.Path("p.html").read_text(encoding="utf-8"))
    (command,) = found.all("pre", "copy")
    before = reader.open("p.zarr").fingerprint
    pathlib.Path("p.zarr").rename("first.zarr")
    words = shlex.split(command.text.replace("\\\n", ""))
    assert words[0] == "blursynth"
    assert run(*words[1:]).code == 0
    assert reader.open("p.zarr").fingerprint == before
    assert before in found.text


def test_a_dataset_that_has_grown(run: Run) -> None:
    assert run("trajectories", "--n", 20, "--out", "t.zarr").code == 0
    assert run("trajectories", "--n", 30, "--append", "--out", "t.zarr").code == 0
    assert run("report", "t.zarr", "--count", 2, "--out", "grown.html").code == 0
    text = html_page.read(pathlib.Path("grown.html").read_text(encoding="utf-8")).text
    assert "has grown by --append, from 20 items to 30" in text


@pytest.mark.parametrize("half_made", [False, True])
def test_sentences(run: Run, photos: pathlib.Path, half_made: bool, tmp_path: pathlib.Path) -> None:
    assert run("trajectories", "--n", 5).code == 0
    if half_made:
        text = pathlib.Path("trajectories.zarr/zarr.json").read_text().replace('"complete": true', '"complete": false')
        pathlib.Path("trajectories.zarr/zarr.json").write_text(text)
        cases = [(("trajectories.zarr",), "is not finished. Run the command that makes it again")]
    else:
        (tmp_path / "taken.html").mkdir()
        cases = [
            (("nowhere",), "There is no dataset at nowhere"),
            ((photos,), "is not a blursynth dataset"),
            (("trajectories.zarr", "--count", 0), "--count"),
            (("trajectories.zarr", "--sample", -1), "--sample"),
            (("trajectories.zarr", "--out", "trajectories.zarr/zarr.json/a.html"), "Not a directory"),
            (("trajectories.zarr", "--out", "file:///a.html"), "expected a path, or s3://BUCKET/NAME"),
            (("trajectories.zarr", "--out", "taken.html"), "Is a directory"),
        ]
    for arguments, words in cases:
        result = run("report", *arguments)
        assert (result.code, words in result.err, "Traceback" in result.err) == (2, True, False), result


def test_damaged_data_is_named(run: Run) -> None:
    assert run("trajectories", "--n", 5).code == 0
    shard = pathlib.Path("trajectories.zarr/position/c/0/0/0")
    shard.write_bytes(shard.read_bytes()[:-40] + bytes(40))
    result = run("report", "trajectories.zarr")
    assert (result.code, "Could not read position" in result.err, "damaged" in result.err) == (2, True, True), result
    assert not list(pathlib.Path().glob("*.html"))
