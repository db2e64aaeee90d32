"""Files that the commands of `trainers` are given: what is no file, and what cannot be read at the moment."""

import errno
import os
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from blursynth import errors
from blursynth.media import photos, source_file
from trainers import command_line, convert, deblur, detect, evaluate, recipe, run, test_sets
from trainers.checkpoints import checkpoint, conversion, result_record, safe_file
from trainers.detection import detectors, scores
from trainers.evaluation import published
from trainers.losses import perceptual
from trainers.networks import weight_files
from trainers.test_sets import items, kohler

FILES: dict[str, Callable[[pathlib.Path], object]] = {
    "recipe": recipe.load,
    "weights": weight_files.read,
    "converted": conversion.convert,
    "checkpoint": checkpoint.about,
    "tensors": safe_file.read,
    "declared": safe_file.declared,
    "detector": detectors.Yolo,
    "labels": lambda path: scores.Labels(_Nothing()).read(path),
    "table": lambda path: published.measured([path]),
    "perceptual": lambda path: perceptual.load(perceptual.Config(weights=str(path))),
}
READS: dict[str, Callable[[pathlib.Path], object]] = {
    **FILES,
    "digest": result_record.sha256,
    "matlab": lambda path: list(kohler._of_matlab(items.File(path, "0" * 64, 27))),
}


class _Nothing:
    name, kind, sha256 = "none", "none", ""

    def find(self, _: object) -> detectors.Found:
        raise AssertionError


@pytest.mark.parametrize("kind", ["a FIFO (named pipe)", "a folder", "a device"])
def test_what_is_no_file_is_named_by_its_kind(
    kind: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "given"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to(os.devnull)
    else:
        os.mkfifo(path)
    for name, read in FILES.items():
        if (name, kind) != ("table", "a folder"):  # it has its table.json
            with pytest.raises(errors.InputError) as raised:
                read(path)
            assert kind in str(raised.value)
    given, out = str(path), ["-o", str(tmp_path / "out")]
    commands: list[tuple[Callable[[list[str]], int], list[str]]] = [
        (run.main, [given]),
        (convert.main, [given, *out]),
        (detect.main, ["--names", given, "--data", given]),
        (detect.main, ["--detector", given, "--data", given]),
        (detect.main, ["--labels", given, "--data", given]),
    ]
    if kind != "a folder":
        commands.append((deblur.main, [given, given, *out]))
        commands.append((evaluate.main, ["--tables", "--measured", given]))
    for main, arguments in commands:
        assert command_line.exit_code(main, arguments) == 2  # type: ignore[arg-type]
        assert kind in capsys.readouterr().err


@pytest.mark.parametrize("name", READS)
def test_what_cannot_be_read_at_the_moment(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "given"
    path.write_bytes(b"content that is long enough")

    def raw(*_: object) -> tuple[bytes, int]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(source_file, "raw", raw)
    with pytest.raises(errors.SourceError, match="given"):
        READS[name](path)


@pytest.mark.parametrize("name", FILES)
def test_a_path_of_which_the_system_does_not_say_what_it_is(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "given"
    away(path, monkeypatch)
    with pytest.raises(errors.SourceError, match="given"):
        FILES[name](path)


@pytest.mark.parametrize("part", ["", "zarr.json", "BlurryImages", "ground_truth", "blursynth.json", "sharp/1.png"])
def test_sets_of_images(part: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pairs"
    for side in ("blurred", "sharp"):
        (folder / side).mkdir(parents=True)
        photos.write_png(folder / side / "1.png", np.zeros((4, 4, 3), np.uint8))
    assert len(test_sets.find(str(folder)).items) == 1
    away(folder / part, monkeypatch)
    with pytest.raises(errors.SourceError, match=part or "pairs"):
        test_sets.find(str(folder))


def test_a_checkpoint_of_a_run_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away(tmp_path / checkpoint.BEST, monkeypatch)
    with pytest.raises(errors.SourceError, match=checkpoint.BEST):  # and not the last one instead
        checkpoint.find(tmp_path)


def away(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse to say what is at a path."""
    look = pathlib.Path.stat

    def stat(self: pathlib.Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self == path:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(self))
        return look(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(pathlib.Path, "stat", stat)
