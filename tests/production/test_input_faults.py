"""Inputs that cannot be read while a run is planned: datasets of paths and pairs, and clips given by relative paths."""

import errno
import os
import pathlib
import pickle
import sys
from collections.abc import Callable
from typing import Any

import clip_files
import numpy as np
import pytest
from PIL import Image

from blursynth import __main__, errors
from blursynth.config import photo_pairs, toml
from blursynth.makers import average_frames_request, camera_psfs, convolve, psfs, shake, trajectories
from blursynth.media import source_file
from blursynth.production import resume, retries, run
from blursynth.storage import reader
from blursynth.stores import store

GOOD = 10**9


class Fault:
    """Lets reads of files with `matching` in their path fail, `times` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.matching, self.times = "", 0
        of_file, raw = store._of_file, source_file.raw

        def stored(path: str, key: str, read: Callable[[Any], Any]) -> Any:
            self.of(f"{path}/{key}")
            return of_file(path, key, read)

        def source(path: str | pathlib.Path, *part: Any) -> tuple[bytes, int]:
            self.of(path)
            return raw(path, *part)

        monkeypatch.setattr(store, "_of_file", stored)
        monkeypatch.setattr(source_file, "raw", source)
        for module in (retries, source_file):
            monkeypatch.setattr(module, "WAITS", (0.0, 0.0))

    def of(self, path: object) -> None:
        if self.times and self.matching in str(path):
            self.times -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    def let_fail(self, matching: str, times: int) -> None:
        self.matching, self.times = matching, times


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


@pytest.fixture
def photo(tmp_path: pathlib.Path) -> str:
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "1.png")
    return str(tmp_path / "photos")


@pytest.fixture
def paths(tmp_path: pathlib.Path) -> str:
    run.produce(drawn(4), tmp_path / "paths.zarr", workers=1)
    return str(tmp_path / "paths.zarr")


def drawn(items: int) -> trajectories.TrajectoryMaker:
    request = toml.build({"n": items, "motion": {"steps": 50, "length": "4:6"}}, photo_pairs.Trajectories)
    return trajectories.TrajectoryMaker(request, 4)


def of_paths(paths: str) -> psfs.PsfMaker:
    return psfs.maker(paths, {"exposures": "1", "size": 32})


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["blursynth", *words, "-q"])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    return int(end.value.code or 0)


def test_a_dataset_of_paths_that_cannot_be_read_is_a_source(paths: str, photo: str, fault: Fault) -> None:
    options = {"seed": 1, "size": 16, "trajectories": paths}
    made, blurred = of_paths(paths), convolve.maker(photo, options)
    dataset = psfs.open_trajectories(paths)
    fault.let_fail("paths.zarr", GOOD)
    calls: list[Callable[[], object]] = [
        lambda: of_paths(paths),
        lambda: convolve.maker(photo, options),
        lambda: made.make(range(2)),
        lambda: made.peak_bytes(2),
        lambda: blurred.draw(np.arange(2)),
        lambda: blurred.peak_bytes(2),
        lambda: psfs.positions(dataset, np.arange(2)),
        lambda: psfs.longest_path(dataset),
    ]
    for call in calls:
        with pytest.raises(errors.SourceError, match=r"paths\.zarr"):
            call()


def test_a_dataset_of_pairs_that_cannot_be_read_is_a_source(photo: str, tmp_path: pathlib.Path, fault: Fault) -> None:
    options = {"seed": 1, "size": 16, "motion": "2", "knots": 8, "splits": "train=1"}
    run.produce(shake.maker(photo, options), tmp_path / "pairs.zarr", workers=1)
    pairs = str(tmp_path / "pairs.zarr")
    made = camera_psfs.maker(pairs, {"grid": "2x2"})
    fault.let_fail("pairs.zarr", GOOD)
    for call in (lambda: camera_psfs.maker(pairs, {"grid": "2x2"}), lambda: made.make(range(2))):
        with pytest.raises(errors.SourceError, match=r"pairs\.zarr"):
            call()


def test_what_is_written_is_no_source(paths: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = of_paths(paths)

    def full(*_: object) -> None:
        raise errors.StorageError("full", errno.ENOSPC)

    monkeypatch.setattr(store, "write_bytes", full)
    with pytest.raises(errors.StorageError):
        run.produce(made, tmp_path / "psfs.zarr", workers=1)


@pytest.mark.parametrize("times", [1, GOOD])
@pytest.mark.parametrize(
    ("words", "name"),
    [(["convolve", "{photo}", "--size", "16", "--length", "3:6"], "1.png"), (["psfs", "{paths}"], "paths.zarr")],
)
def test_planning_waits_for_a_source(
    words: list[str],
    name: str,
    times: int,
    photo: str,
    paths: str,
    fault: Fault,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = str(tmp_path / "out.zarr")
    given = [word.format(photo=photo, paths=paths) for word in words]
    fault.let_fail(name, times)
    assert command(monkeypatch, *given, "--out", out) == (0 if times == 1 else 2)
    if times == 1:
        assert fault.times == 0
        assert reader.open(out).items
    else:
        assert GOOD - fault.times == 1 + len(retries.WAITS)  # attempts, each of which fails at its first read
        assert name in capsys.readouterr().err
        assert not os.path.lexists(out)


def test_paths_that_cannot_be_read_once_while_a_dataset_grows(paths: str, tmp_path: pathlib.Path, fault: Fault) -> None:
    run.produce(of_paths(paths), tmp_path / "psfs.zarr", workers=1)
    run.produce(drawn(6), paths, workers=1, append=True)
    more = of_paths(paths)
    fault.let_fail("paths.zarr", 1)
    assert resume.look(more, str(tmp_path / "psfs.zarr"), append=True).state is resume.State.GROW
    assert fault.times == 0


def test_clips_by_relative_paths_are_found_from_any_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_files.write(tmp_path / "a.mp4", clip_files.moving(12))
    (tmp_path / "b").mkdir()
    for k, frame in enumerate(clip_files.moving(12, 24, 32)):
        Image.fromarray(frame).save(tmp_path / "b" / f"{k:04d}.png")
    (tmp_path / "elsewhere").mkdir()
    options: dict[str, Any] = {"seed": 1, "frames": "3", "size": 16, "splits": "train=1", "allow_fps": True}
    monkeypatch.chdir(tmp_path)
    relative = average_frames_request.maker(["a.mp4", "b"], options)
    named = average_frames_request.maker([str(tmp_path / "a.mp4"), str(tmp_path / "b")], options)
    assert relative.record() == named.record()
    assert [clip.record for clip in relative.clips] == [clip.record for clip in named.clips]
    sent = pickle.dumps(relative)
    monkeypatch.chdir(tmp_path / "elsewhere")
    there = pickle.loads(sent)
    items = range(relative.schema.items)
    expected = named.make(items)
    made = there.make(items)
    assert expected["valid"].all()
    assert all(np.array_equal(made[name], expected[name]) for name in expected)
    assert all(os.path.isabs(folder) for folder, _ in there.reads())  # noqa: PTH117
    assert there.changed(items) == []


def test_recorded_inputs_that_were_moved_before_a_dataset_grows(photo: str, tmp_path: pathlib.Path) -> None:
    options = {"seed": 1, "size": 16, "length": "3:6"}
    out = tmp_path / "pairs.zarr"
    run.produce(convolve.maker(photo, options), out, workers=1)
    before = reader.open(out).read("blurred", [0])
    moved = pathlib.Path(photo).rename(tmp_path / "moved")
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(moved / "2.png")
    grown = convolve.maker(str(moved), options)
    assert run.produce(grown, out, workers=1, append=True).made
    dataset = reader.open(out)
    assert dataset.items == grown.schema.items
    assert dataset.attributes["inputs"]["photos"] == str(moved)
    assert np.array_equal(dataset.read("blurred", [0]), before)
    assert run.produce(grown, out, workers=1, append=True).made == 0  # and where they lie is no difference afterwards
