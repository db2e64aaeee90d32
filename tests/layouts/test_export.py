"""What is exported, read back by each layout's own rule and by tools that are not ours."""

import csv
import errno
import gc
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import time
from typing import Any

import clip_files
import kinds
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from blursynth import errors
from blursynth.layouts import export, exported, layout
from blursynth.makers import average_frames_request
from blursynth.production import run
from blursynth.storage import lock, reader

LAYOUTS = ("flat", "gopro", "webdataset")


def pixels(path: pathlib.Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def stored(dataset: reader.Dataset, split: str) -> list[tuple[bytes, bytes]]:
    """Blurred and sharp images of a split, in the order of items."""
    items = dataset.in_split(split)
    images = (dataset.read(name, items) for name in ("blurred", "sharp"))
    return [(blurred.tobytes(), sharp.tobytes()) for blurred, sharp in zip(*images, strict=True)]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_flat_by_place_and_by_name(pairs: reader.Dataset, tmp_path: pathlib.Path, split: str) -> None:
    """MPRNet and Restormer take the i-th file of each sorted folder, BasicSR (NAFNet) equal names."""
    export.export(pairs.path, tmp_path / "flat", "flat", workers=2)
    inputs, targets = (sorted((tmp_path / "flat" / split / name).iterdir()) for name in ("input", "target"))
    assert [path.name for path in inputs] == [path.name for path in targets]
    found = [(pixels(left).tobytes(), pixels(right).tobytes()) for left, right in zip(inputs, targets, strict=True)]
    assert found == stored(pairs, split)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_gopro_by_sorted_sequences(pairs: reader.Dataset, tmp_path: pathlib.Path, split: str) -> None:
    """DeepDeblur's rule: every SEQUENCE/FOLDER/*.png, sorted, against the same path with FOLDER = sharp."""
    export.export(pairs.path, tmp_path / "tree", "gopro", workers=2)
    blurred = sorted((tmp_path / "tree" / split).glob("*/blur_gamma/*.png"))
    assert not list((tmp_path / "tree").glob("*/*/blur/*"))
    found = [(pixels(path).tobytes(), pixels(path.parents[1] / "sharp" / path.name).tobytes()) for path in blurred]
    assert found == stored(pairs, split)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its last file open
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_tars_by_webdataset(pairs: reader.Dataset, tmp_path: pathlib.Path, split: str) -> None:
    webdataset = pytest.importorskip("webdataset")
    export.export(pairs.path, tmp_path / "tars", "webdataset", pairs_per_tar=4, workers=2)
    tars = sorted(str(path) for path in (tmp_path / "tars").glob(f"{split}-*.tar"))
    assert len(tars) == -(-len(stored(pairs, split)) // 4) > 1
    samples = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False).decode("rgb8"))
    assert [(s["blur.png"].tobytes(), s["sharp.png"].tobytes()) for s in samples] == stored(pairs, split)
    gc.collect()
    item = pairs.item_numbers[pairs.in_split(split)[-1]]
    facts = samples[-1]["json"]
    assert (facts["item"], facts["split"]) == (item, split)
    assert facts["source"] == pairs.sources[item // 6]["name"]
    assert facts["exposure"] == pytest.approx(float(pairs.columns["exposure"][pairs.in_split(split)[-1]]))


def test_a_small_set_has_several_tars(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    """As many can write and read it side by side; in each, members of 3 pairs: a sixteenth of 42."""
    export.export(pairs.path, tmp_path / "tars", "webdataset")
    counts = {}
    for path in (tmp_path / "tars").glob("*.tar"):
        with tarfile.open(path) as tar:
            counts[path.name] = len(tar.getnames())
    assert len(counts) >= 14
    assert max(counts.values()) == 9


@pytest.mark.parametrize("to", LAYOUTS)
def test_what_lies_beside_says_how_the_pairs_were_made(pairs: reader.Dataset, tmp_path: pathlib.Path, to: str) -> None:
    outcome = export.export(pairs.path, tmp_path / "out", to, workers=2)
    assert (outcome.pairs, outcome.written) == (42, 42)
    manifest = json.loads((tmp_path / "out" / "blursynth.json").read_text())
    assert manifest["complete"] is True
    assert manifest["transfer_function"] == "gamma2.2"
    assert manifest["fingerprint"] == pairs.fingerprint
    assert manifest["dataset"]["recipe"] == pairs.attributes["recipe"]
    assert sum(manifest["pairs"].values()) == 42
    with (tmp_path / "out" / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["item"]) for row in rows] == pairs.item_numbers.tolist()
    for row in rows:
        for name in (row["blurred"], row["sharp"]):
            tar, found, member = name.partition(".tar/")
            if found:
                with tarfile.open(tmp_path / "out" / f"{tar}.tar") as archive:
                    assert archive.getmember(member).size
            else:
                assert (tmp_path / "out" / name).stat().st_size


@pytest.mark.parametrize("to", LAYOUTS)
def test_the_same_bytes_from_any_number_of_workers_and_after_a_stop(
    pairs: reader.Dataset, tmp_path: pathlib.Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "PAIRS_AT_ONCE", 3)
    per_tar = 3 if to == "webdataset" else None
    export.export(pairs.path, tmp_path / "whole", to, pairs_per_tar=per_tar, workers=3)

    def stop(done: int, total: int) -> None:
        if 0 < done < total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export.export(pairs.path, tmp_path / "out", to, pairs_per_tar=per_tar, workers=1, progress=stop)
    begun = kinds.contents(tmp_path / "out")
    assert json.loads(begun["blursynth.json"])["complete"] is False
    assert 2 <= len(begun) < len(kinds.contents(tmp_path / "whole"))
    outcome = export.export(pairs.path, tmp_path / "out", to, pairs_per_tar=per_tar, workers=2)
    assert 0 < outcome.written < 42
    assert kinds.contents(tmp_path / "out") == kinds.contents(tmp_path / "whole")
    lost = sorted(name for name in begun if name.endswith((".png", ".tar")))[0]
    (tmp_path / "out" / lost).unlink()
    export.export(pairs.path, tmp_path / "out", to, pairs_per_tar=per_tar)
    assert kinds.contents(tmp_path / "out") == kinds.contents(tmp_path / "whole")


@pytest.mark.slow
def test_killed_and_gone_on_with(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    export.export(pairs.path, tmp_path / "whole", "flat")
    code = (
        "import sys, time; from blursynth.layouts import export, layout; from blursynth.sources import png\n"
        "layout.PAIRS_AT_ONCE = 2; encode = png.encode\n"
        "png.encode = lambda pixels: (time.sleep(0.05), encode(pixels))[1]\n"
        "export.export(sys.argv[1], sys.argv[2], 'flat', workers=2)"
    )
    running = subprocess.Popen([sys.executable, "-c", code, pairs.path, str(tmp_path / "out")])
    try:
        while len(list((tmp_path / "out").rglob("*.png"))) < 20:
            assert running.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    outcome = export.export(pairs.path, tmp_path / "out", "flat")
    assert 0 < outcome.written < 42
    assert kinds.contents(tmp_path / "out") == kinds.contents(tmp_path / "whole")


def test_clips_are_sequences_and_light_names_the_folder(tmp_path: pathlib.Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("GOPR0001_03_00", "GOPR0002_05_01"):
        clip_files.write(tmp_path / "clips" / f"{name}.mp4", clip_files.moving(15, 48, 64))
    for gamma, folder in ((1.0, "blur"), (2.2, "blur_gamma")):
        asked = {"seed": 0, "gamma": gamma, "allow_fps": True, "motion": False, "splits": "train=0.5,val=0.5"}
        run.produce(average_frames_request.maker([str(tmp_path / "clips")], asked), tmp_path / f"{folder}.zarr")
        export.export(tmp_path / f"{folder}.zarr", tmp_path / folder, "gopro")
        found = {path.relative_to(tmp_path / folder).parts[1:3] for path in (tmp_path / folder).rglob("*.png")}
        assert found == {(name, each) for name in ("GOPR0001_03_00", "GOPR0002_05_01") for each in (folder, "sharp")}
        assert len(list((tmp_path / folder).glob("*/GOPR0001_03_00/sharp/*.png"))) == 5


def test_light_without_a_name_in_the_tree_is_asked_for(tmp_path: pathlib.Path) -> None:
    run.produce(kinds.make("imported", tmp_path), tmp_path / "a.zarr")
    with pytest.raises(errors.RecipeError, match=r"srgb\. Say with --blurred-as"):
        export.export(tmp_path / "a.zarr", tmp_path / "out", "gopro")
    export.export(tmp_path / "a.zarr", tmp_path / "out", "gopro", blurred_as="blur")
    assert len(list((tmp_path / "out").glob("*/*/blur/*.png"))) == 9


def test_places_that_are_taken(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("text")
    for overwrite in (False, True):
        with pytest.raises(errors.DatasetError, match="not an export of ours"):
            export.export(pairs.path, tmp_path / "mine", "flat", overwrite=overwrite)
    with pytest.raises(errors.DatasetError, match="not an export of ours"):
        export.export(pairs.path, pairs.path, "flat", overwrite=True)
    export.export(pairs.path, tmp_path / "out", "flat")
    with pytest.raises(errors.DatasetError, match="it is laid out as flat"):
        export.export(pairs.path, tmp_path / "out", "gopro")
    export.export(pairs.path, tmp_path / "out", "gopro", overwrite=True)
    assert not list((tmp_path / "out").rglob("input"))
    with lock.held(str(tmp_path / "out")), pytest.raises(errors.DatasetError, match="is being written by"):
        export.export(pairs.path, tmp_path / "out", "gopro")


def test_what_cannot_be_exported(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    run.produce(kinds.trajectory_maker(), tmp_path / "paths.zarr")
    with pytest.raises(errors.DatasetError, match="holds trajectories; pairs can be exported"):
        export.export(tmp_path / "paths.zarr", tmp_path / "out", "flat")
    with pytest.raises(errors.RecipeError, match="names a folder of the GOPRO tree"):
        export.export(pairs.path, tmp_path / "out", "flat", blurred_as="blur")
    with pytest.raises(errors.RecipeError, match="is for tars"):
        export.export(pairs.path, tmp_path / "out", "flat", pairs_per_tar=3)
    assert not (tmp_path / "out").exists()


DAMAGE = {
    "emptied": lambda data, other: data[:0],  # noqa: ARG005
    "cut": lambda data, other: data[: len(data) // 2],  # noqa: ARG005
    "swapped": lambda data, other: other,  # noqa: ARG005
    "one bit": lambda data, other: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],  # noqa: ARG005
}


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("to", LAYOUTS)
def test_files_with_other_bytes_are_written_again_and_named(
    pairs: reader.Dataset, tmp_path: pathlib.Path, to: str, recorded: bool
) -> None:
    export.export(pairs.path, tmp_path / "out", to)
    whole = kinds.contents(tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("left alone")
    names = [name for name in sorted(whole) if name.endswith((".png", ".tar"))]
    for name, damage in zip(names[1:], DAMAGE.values(), strict=False):
        (tmp_path / "out" / name).write_bytes(damage(whole[name], whole[names[0]]))
    if not recorded:  # as an older version left it
        (tmp_path / "out" / exported.DIGESTS).unlink()
    outcome = export.export(pairs.path, tmp_path / "out", to)
    assert sorted(outcome.changed) == names[1:5]
    assert 0 < outcome.written < 42
    assert kinds.contents(tmp_path / "out") == whole | {"mine.txt": b"left alone"}
    again = export.export(pairs.path, tmp_path / "out", to)
    assert (again.written, again.changed) == (0, ())


def test_a_damaged_record_and_a_pipe_in_place_of_a_file(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    export.export(pairs.path, tmp_path / "out", "flat")
    whole = kinds.contents(tmp_path / "out")
    record = tmp_path / "out" / exported.DIGESTS
    record.write_bytes(b"\xff\xfe" + record.read_bytes()[: len(record.read_bytes()) // 2] + b"\n,,\nx,1e9,0\n")
    first = next((tmp_path / "out").rglob("*.png"))
    first.unlink()
    os.mkfifo(first)
    outcome = export.export(pairs.path, tmp_path / "out", "flat")
    assert outcome.written == 1
    assert kinds.contents(tmp_path / "out") == whole


def test_a_record_that_was_edited_proves_nothing(pairs: reader.Dataset, tmp_path: pathlib.Path) -> None:
    """A changed file whose digest was put into the record, too."""
    out = tmp_path / "out"
    export.export(pairs.path, out, "flat")
    whole = kinds.contents(out)
    first, other = sorted(out.rglob("*.png"))[:2]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, other)]
    line = f"{first.relative_to(out).as_posix()},{first.stat().st_size},{digests[0]}"
    forged = f"{first.relative_to(out).as_posix()},{other.stat().st_size},{digests[1]}"
    first.write_bytes(other.read_bytes())
    record = out / exported.DIGESTS
    record.write_text(record.read_text().replace(line, forged))
    outcome = export.export(pairs.path, out, "flat")
    assert (outcome.written, outcome.changed) == (1, (first.relative_to(out).as_posix(),))
    assert kinds.contents(out) == whole


def test_a_read_that_fails_once_is_tried_again(
    pairs: reader.Dataset, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failed = reader.Dataset.read, set[str]()

    def failing_once(dataset: reader.Dataset, name: str, indices: Any) -> Any:
        if name not in failed:
            failed.add(name)
            raise errors.StorageError(f"Could not read {name}: Input/output error.", errno.EIO)
        return read(dataset, name, indices)

    monkeypatch.setattr(reader.Dataset, "read", failing_once)
    assert export.export(pairs.path, tmp_path / "out", "flat").written == 42
    assert failed == {"blurred", "sharp"}
