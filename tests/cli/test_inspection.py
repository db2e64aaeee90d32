"""`verify`, `repair` and `replay` as users type them: what they print, and their exit codes."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from blursynth.media import photos as media
from blursynth.storage import reader

Run = Callable[..., Any]  # the fixture of conftest.py


@pytest.fixture
def pairs(run: Run, photos: pathlib.Path) -> pathlib.Path:  # noqa: ARG001
    made = run(
        "convolve", "photos", "--size", 64, "--per-photo", 2, "--length", 10, "--shard-length", 4, "--out", "p.zarr"
    )
    assert made.code == 0, made
    return pathlib.Path("p.zarr")


def test_verify_repair_verify(run: Run, pairs: pathlib.Path) -> None:
    sound = run("verify", pairs)
    assert (sound.code, "20 sharp images equal to their sources" in sound.out) == (0, True), sound
    (pairs / "sharp/c/1/0/0/0").unlink()
    (pairs / "blurred/zarr.json").write_text("{}")
    found = run("verify", pairs)
    assert found.code == 1
    assert found.out.splitlines()[:2] == [
        "blurred/zarr.json is damaged or was edited: it is not what was written",
        "sharp/c/1/0/0/0 (items 4 to 7) is missing",
    ]
    assert "2 problems." in found.out
    assert "`blursynth repair " in found.out
    mended = run("repair", pairs)
    assert (mended.code, "mended: sharp/c/1/0/0/0 (items 4 to 7) is missing" in mended.out) == (0, True), mended
    assert "2 mended, 0 not; 1 shards made again" in mended.out
    assert run("verify", pairs).code == 0
    assert "nothing to repair" in run("repair", pairs).out


def test_verify_for_machines(run: Run, pairs: pathlib.Path) -> None:
    report = run("verify", pairs, "--json", "--workers", 2)
    assert report.code == 0
    assert json.loads(report.out)["sound"] is True
    (pairs / "psf/c/0/0/0").write_bytes(b"?")
    report = run("verify", pairs, "--json", "--quick")
    assert report.code == 1
    content = json.loads(report.out)
    assert content["sound"] is False
    assert [each["where"] for each in content["findings"]] == ["psf/c/0/0/0"]
    assert content["findings"][0]["items"] == [0, 1, 2, 3]


def test_photos_that_moved(run: Run, pairs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "photos").rename(tmp_path / "moved")
    found = run("verify", pairs)
    assert found.code == 1
    assert "There is no file or folder" in found.out
    assert "`blursynth repair" not in found.out, "there is nothing to repair"
    assert run("verify", pairs, "--no-sources").code == 0
    assert run("verify", pairs, "--photos", "moved").code == 0
    (pairs / "sharp/c/0/0/0/0").unlink()
    assert run("repair", pairs).code == 2
    assert run("repair", pairs, "--photos", "moved").code == 0
    assert run("replay", pairs, 3, "--photos", "moved").code == 0


def test_what_cannot_be_mended_is_exit_code_1(run: Run, pairs: pathlib.Path, photos: pathlib.Path) -> None:
    (pairs / "sharp/c/1/0/0/0").unlink()
    name = reader.open(pairs).sources[2]["name"]
    (photos / name).unlink()
    result = run("repair", pairs)
    assert result.code == 1
    assert f"not mended: sharp/c/1/0/0/0 (items 4 to 7) could not be made again: {name} cannot be read" in result.out


def test_replay_prints_the_item_and_writes_the_pair(run: Run, pairs: pathlib.Path) -> None:
    again = run("replay", pairs, 5, "--out", "pair")
    assert again.code == 0, again
    source = reader.open(pairs).sources[2]
    assert (
        f"from      {source['name']}, {source['width']}x{source['height']} px, SHA-256 {source['sha256']}" in again.out
    )
    assert "made again, it is equal to the bit" in again.out
    assert np.array_equal(media.read("pair/item-000005-sharp.png"), reader.open(pairs).read("sharp", [5])[0])
    assert sorted(path.name for path in pathlib.Path("pair").iterdir()) == [
        "item-000005-blurred.png",
        "item-000005-sharp.png",
    ]


def test_replay_of_what_is_not_equal(run: Run, pairs: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from blursynth.makers import convolve

    honest = convolve.ConvolveMaker._read
    monkeypatch.setattr(convolve.ConvolveMaker, "_read", lambda self, source: honest(self, source) ^ 1)
    again = run("replay", pairs, 5, "--out", "pair")
    assert again.code == 1
    assert "sharp differs at (0, 0, 0): " in again.out
    assert len(list(pathlib.Path("pair").iterdir())) == 4, "made and stored, blurred and sharp"


def test_sentences(run: Run, pairs: pathlib.Path) -> None:
    run("trajectories", "--n", 5)
    for arguments, words in [
        (("verify", "nowhere"), "There is no dataset at"),
        (("repair", "nowhere"), "There is no dataset at"),
        (("replay", "nowhere", 0), "There is no dataset at nowhere"),
        (("verify", "photos"), "is not a blursynth dataset"),
        (("repair", "photos"), "is not a blursynth dataset"),
        (("replay", pairs, 22), "there is no item 22"),
        (("replay", pairs, -1), "-1"),
        (("replay", "trajectories.zarr", 3, "--out", "x"), "--out writes images, and"),
    ]:
        result = run(*arguments)
        assert (result.code, words in result.err, "Traceback" in result.err) == (2, True, False), result
    (pairs / "zarr.json").write_text("{")
    assert run("verify", pairs).code == 1
    assert "Put a copy of that file back" in run("repair", pairs).err


def test_repair_of_what_is_only_begun_exits_with_1(run: Run, pairs: pathlib.Path) -> None:
    document = json.loads((pairs / "zarr.json").read_text())
    record = next(iter(document["attributes"].values()))
    record["complete"] = False
    (pairs / "zarr.json").write_text(json.dumps(document))
    mended = run("repair", pairs)
    assert mended.code == 1
    assert record["command"] in mended.out
    assert "nothing to repair" not in mended.out
