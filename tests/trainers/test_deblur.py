"""`python -m trainers.deblur`: any photo or clip in, one of the same name and size out."""

import errno
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import clip_files
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from PIL import Image

from blursynth.config import toml
from blursynth.media import photos, source_file, video
from trainers import command_line, deblur, recipe
from trainers.checkpoints import checkpoint, result_record
from trainers.inference import photo_files, restorer, tiles


@pytest.fixture
def model(fake_method: Any, recipe_text: Callable[..., str], tmp_path: pathlib.Path) -> pathlib.Path:
    """A checkpoint of the fake method with weights as they are made."""
    wanted = recipe.parse(recipe_text(tmp_path / "pairs.zarr", tmp_path / "run"))
    torch.manual_seed(0)
    made = fake_method(wanted.method, torch.device("cpu"))
    text = toml.to_toml(wanted)
    about = checkpoint.About(text, "fake", "paper", 0, 0, [], {}, {}, {})
    (tmp_path / "run").mkdir()
    checkpoint.save(tmp_path / "run" / "last.safetensors", about, made)
    return tmp_path / "run"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three photos of odd sizes, one of them in a folder below."""
    (tmp_path / "photos" / "below").mkdir(parents=True)
    numbers = np.random.default_rng(0)
    for name, size in (("a.png", (17, 23)), ("b.bmp", (1, 1)), ("below/c.ppm", (40, 9))):
        Image.fromarray(numbers.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def run(*arguments: Any) -> int:
    return command_line.exit_code(deblur.main, [str(argument) for argument in arguments])


def test_a_folder_keeps_names_places_and_sizes(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    out = tmp_path / "out"
    assert run(model, folder, "-o", out) == 0
    sizes = {str(path.relative_to(out)): photos.probe(path) for path in out.rglob("*.png")}
    assert sizes == {"a.png": (17, 23), "b.png": (1, 1), "below/c.png": (40, 9)}


def test_pixels_are_those_of_the_network(model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert run(model / "last.safetensors", folder / "a.png", "-o", tmp_path / "out", "--no-dropout") == 0
    network = restorer.load(model, torch.device("cpu"), dropout=False)
    blurred = torch.from_numpy(photos.read(folder / "a.png")).permute(2, 0, 1)[None] / 255
    expected = (network.restore(blurred)[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(photos.read(tmp_path / "out" / "a.png"), expected)


def test_dropout_follows_the_seed_and_can_be_left_out(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def restored(name: str, *flags: str) -> bytes:
        assert run(model, folder / "a.png", "-o", tmp_path / name, *flags) == 0
        return (tmp_path / name / "a.png").read_bytes()

    first = restored("one")
    assert restored("two") == first
    assert restored("three", "--seed", "1") != first
    assert run(model, folder, "-o", tmp_path / "all") == 0
    assert (tmp_path / "all" / "a.png").read_bytes() == first
    without = restored("four", "--no-dropout")
    assert without != first
    assert restored("five", "--no-dropout", "--seed", "1") == without


def test_an_unreadable_photo_is_listed_and_the_rest_is_done(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "aa.jpg").write_text("no photo")
    assert run(model, folder, "-o", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert "Restored 3 of 4 photos" in said.out
    assert "Left out:" in said.err
    assert "aa.jpg" in said.err
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_a_photo_that_cannot_be_read_for_a_moment_is_listed_and_named(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A refusal of the system, and fewer bytes than there are: neither stops the others nor becomes a result."""
    whole, faults = source_file.raw, {"a.png": "refused", "c.ppm": "short"}

    def raw(path: Any, start: int = 0, size: int | None = None) -> tuple[bytes, int]:
        fault = faults.get(pathlib.Path(path).name)
        if fault == "refused":
            raise OSError(errno.EIO, "Input/output error")
        data, expected = whole(path, start, size)
        return data[:10] if fault else data, expected

    out = tmp_path / "out"
    monkeypatch.setattr(source_file, "raw", raw)
    for more, listed in ([], {"a.png", "c.ppm"}), (["--resume"], {"a.png", "c.ppm"}):
        assert run(model, folder, "-o", out, *more) == 2
        said = capsys.readouterr().err
        assert {name for name in faults if f"{name} cannot be read at the moment" in said} == listed
        assert [path.name for path in out.rglob("*.png")] == ["b.png"]
    monkeypatch.setattr(source_file, "raw", whole)
    assert run(model, folder, "-o", out, "--resume") == 0
    monkeypatch.setattr(source_file, "raw", raw)  # the results are there, and whether they are still right is not known
    assert run(model, folder, "-o", out, "--resume") == 2


def test_what_is_restored_is_what_is_recorded(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are replaced, and put back, just after their digest was taken."""
    clip_files.write(folder / "clip.mp4", clip_files.moving(3, 32, 48), rate=25)
    out, other, begin = tmp_path / "out", tmp_path / "other", result_record.Record.begin
    assert run(model, folder, "-o", out, "--no-dropout") == 0
    right = {path.name: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    clip_files.write(tmp_path / "clip.mp4", clip_files.moving(4, 32, 48), rate=25)

    def replaced(record: Any, target: pathlib.Path, source: pathlib.Path, *more: Any) -> None:
        begin(record, target, source, *more)
        if source.suffix == ".png":
            Image.fromarray(np.zeros((17, 23, 3), np.uint8)).save(source)
        if source.suffix == ".mp4":
            source.write_bytes((tmp_path / "clip.mp4").read_bytes())

    monkeypatch.setattr(result_record.Record, "begin", replaced)
    assert run(model, folder, "-o", other, "--no-dropout") == 2  # the clip
    assert (other / "a.png").read_bytes() == right["a.png"]
    states = [json.loads(line) for line in (other / result_record.RECORD).read_text().splitlines()]
    finished = {state["result"] for state in states if "sha256" in state}
    assert finished == {"a.png", "b.png", "below/c.png"}


@pytest.mark.parametrize("there", ["pipe", "device", "folder"])
def test_resuming_refuses_what_is_no_file_in_a_results_place(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(model, folder, "-o", out) == 0
    (out / "b.png").unlink()
    if there == "pipe":
        os.mkfifo(out / "b.png")
    elif there == "device":
        (out / "b.png").symlink_to("/dev/zero")
    else:
        (out / "b.png").mkdir()
    capsys.readouterr()
    assert run(model, folder, "-o", out, "--resume") == 2
    assert f"Error: {out / 'b.png'} is no file" in capsys.readouterr().err


def test_results_are_replaced_only_when_asked(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").write_text("old")
    assert run(model, folder, "-o", out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["b.png"]
    assert run(model, folder, "-o", out, "--overwrite") == 0
    assert photos.read(out / "b.png").shape == (1, 1, 3)


def test_what_was_stopped_goes_on(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, folder, "-o", tmp_path / "whole") == 0
    whole = {path.relative_to(tmp_path / "whole"): path.read_bytes() for path in (tmp_path / "whole").rglob("*.png")}
    out = tmp_path / "out"
    assert run(model, folder / "b.bmp", "-o", out) == 0
    kept = (out / "b.png").stat().st_mtime_ns
    assert run(model, folder, "-o", out) == 2
    assert "--resume" in capsys.readouterr().err
    assert run(model, folder, "-o", out, "--resume") == 0
    assert "Restored 2 of 2 photos" in capsys.readouterr().out
    assert (out / "b.png").stat().st_mtime_ns == kept
    assert {path.relative_to(out): path.read_bytes() for path in out.rglob("*.png")} == whole
    assert run(model, folder, "-o", out, "--resume") == 0
    assert "Nothing to do" in capsys.readouterr().out


def test_a_full_disk_is_named(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(photos, "write_png", full)
    assert run(model, folder / "b.bmp", "-o", tmp_path / "out") == 2
    assert f"{tmp_path / 'out' / 'b.png'}: No space left on device" in capsys.readouterr().err


def test_what_cannot_be_done_is_said_before_anything_is_written(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    Image.new("RGB", (3, 3)).save(tmp_path / "other" / "a.png")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    for arguments, words in (
        ((model, folder / "a.png", tmp_path / "other" / "a.png", "-o", out), "would both become"),
        ((model, folder / "none.png", "-o", out), "no photo, clip or folder"),
        ((model, tmp_path / "empty", "-o", out), "has no photos"),
        ((model, folder / "a.png", "-o", folder), "would replace a photo"),
        ((tmp_path / "empty", folder / "a.png", "-o", out), "has no checkpoint"),
        ((tmp_path / "none", folder / "a.png", "-o", out), "none"),
        ((folder / "a.png", folder / "a.png", "-o", out), "is not a checkpoint"),
    ):
        assert run(*arguments, "--overwrite") == 2
        assert words in capsys.readouterr().err
    assert not out.exists()


def test_restoring_needs_nothing_that_only_training_needs(model: pathlib.Path, fake_method: Any) -> None:
    about = checkpoint.about(model / "last.safetensors")
    changed = about.recipe.replace("needs_file = false", "needs_file = true")
    assert changed != about.recipe
    network = restorer.load(model, torch.device("cpu"))
    checkpoint.save(model / "last.safetensors", checkpoint.About(**{**vars(about), "recipe": changed}), network)
    assert isinstance(restorer.load(model, torch.device("cpu")), fake_method)


def test_a_checkpoint_whose_method_is_unknown_here(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = checkpoint.about(model / "last.safetensors")
    renamed = about.recipe.replace('name = "fake"', 'name = "unheard-of"')
    network = restorer.load(model, torch.device("cpu"))
    checkpoint.save(model / "last.safetensors", checkpoint.About(**{**vars(about), "recipe": renamed}), network)
    assert run(model, folder, "-o", tmp_path / "out") == 2
    assert "no training method 'unheard-of'" in capsys.readouterr().err


def test_clips_and_photos_of_a_folder_are_restored_together(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = clip_files.moving(5, 32, 48)
    clip_files.write(folder / "below" / "clip.mov", scene, rate=25)
    (folder / "broken.mp4").write_text("no video")
    assert run(model, folder, "-o", tmp_path / "out", "--no-dropout") == 2
    said = capsys.readouterr()
    assert "Restored 4 of 5 photos and clips" in said.out
    assert "broken.mp4 is not a video" in said.err
    found = video.index(tmp_path / "out" / "below" / "clip.mp4")
    assert (found.frames, found.height, found.width) == (5, 32, 48)
    np.testing.assert_allclose(found.seconds, np.arange(5) / 25)
    assert not list((tmp_path / "out").rglob("*partial*"))


def test_flags_reach_the_network(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []
    kind = restorer.Restorer

    def noted(network: Any, device: torch.device, given: restorer.Limits) -> restorer.Restorer:
        limits.append(given)
        return kind(network, device, given)

    monkeypatch.setattr(restorer, "Restorer", noted)
    flags = ("--tile", "300", "--memory", "0.5", "--self-ensemble", "--bits", "16")
    assert run(model, folder / "a.png", "-o", tmp_path / "out", *flags) == 0
    assert limits == [restorer.Limits(side=300, memory=2**29, ensemble=True)]
    assert photos.read_deep(tmp_path / "out" / "a.png") is not None


@pytest.mark.parametrize(
    "flags", [("--tile", "0"), ("--memory", "-1"), ("--memory", "nan"), ("--memory", "1e300"), ("--bits", "12")]
)
def test_flags_that_cannot_be_meant_are_refused(
    flags: tuple[str, str], model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(SystemExit):
        run(model, folder, "-o", tmp_path / "out", *flags)


def test_a_place_that_cannot_be_written_is_said_before_the_work(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(photo_files, "read", lambda _: pytest.fail("work began"))
    assert run(model, folder, "-o", tmp_path / "file") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    assert run(model, folder, "-o", tmp_path / "out") == 2
    assert "no permission" in capsys.readouterr().err


def test_files_that_differ_in_their_ending_alone_keep_it(
    model: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "both").mkdir()
    for name in ("a.png", "a.bmp", "b.png"):
        Image.new("RGB", (9, 8)).save(tmp_path / "both" / name)
    assert run(model, tmp_path / "both", "-o", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.png")) == ["a.bmp.png", "a.png.png", "b.png"]
    assert "3 of 3" in capsys.readouterr().out


def test_a_network_that_gives_no_numbers_is_said_and_writes_nothing(
    model: pathlib.Path,
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tiles, "restore", lambda _, blurred, *rest, **more: blurred * float("nan"))  # noqa: ARG005
    assert run(model, folder / "a.png", "-o", tmp_path / "out") == 2
    assert "no numbers" in capsys.readouterr().err
    assert list((tmp_path / "out").rglob("*.png")) == []


def test_resuming_refuses_results_of_another_network_or_other_options(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(model, folder / "a.png", "-o", out) == 0
    before = (out / "a.png").read_bytes()
    others = ["--bits", 16], ["--self-ensemble"], ["--no-dropout"], ["--no-average"], ["--seed", 1], ["--tile", 64]
    for flags in others:
        assert run(model, folder, "-o", out, "--resume", *flags) == 2, flags
    other = tmp_path / "other.safetensors"
    weights = safetensors.torch.load_file(model / "last.safetensors")
    weights["generator.4.bias"] += 0.25
    with safetensors.safe_open(model / "last.safetensors", framework="pt") as opened:
        safetensors.torch.save_file(weights, other, opened.metadata())
    capsys.readouterr()
    assert run(other, folder, "-o", out, "--resume") == 2
    assert "checkpoint" in capsys.readouterr().err
    assert (out / "a.png").read_bytes() == before
    assert not (out / "b.png").exists()
    moved = (model / "last.safetensors").rename(tmp_path / "moved.safetensors")
    assert run(moved, folder, "-o", out, "--resume") == 0
    assert run(other, folder, "-o", out, "--overwrite") == 0
    assert run(other, folder, "-o", out, "--resume") == 0
    assert (out / "a.png").read_bytes() != before


def test_resuming_makes_changed_and_damaged_ones_again(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(model, folder, "-o", out) == 0
    whole = {path.name: path.read_bytes() for path in out.rglob("*.png")}
    (out / "b.png").write_bytes(b"")
    (out / "below" / "c.png").write_bytes(whole["c.png"][:60])
    Image.fromarray(np.zeros((17, 23, 3), np.uint8)).save(folder / "a.png")
    capsys.readouterr()
    assert run(model, folder, "-o", out, "--resume") == 0
    said = capsys.readouterr()
    assert "Restored 3 of 3" in said.out
    assert all(f"{name} was" in said.err for name in ("a.png", "b.png", "c.png"))
    same = {path.name for path in out.rglob("*.png") if path.read_bytes() == whole[path.name]}
    assert same == {"b.png", "c.png"}
    assert run(model, folder, "-o", out, "--resume") == 0
    assert "Nothing to do" in capsys.readouterr().out


def test_resuming_makes_what_a_kill_left_unfinished(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(model, folder, "-o", out) == 0
    record = out / result_record.RECORD
    record.write_bytes(record.read_bytes()[:-40])  # the last result was begun, and the line that finishes it is cut
    capsys.readouterr()
    assert run(model, folder, "-o", out, "--resume") == 0
    assert "Restored 1 of 1" in capsys.readouterr().out
    assert run(model, folder, "-o", out, "--resume") == 0
    assert "Nothing to do" in capsys.readouterr().out


def test_resuming_refuses_results_without_a_record_or_of_another_file(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    out = tmp_path / "out"
    assert run(model, folder, "-o", out) == 0
    record = out / result_record.RECORD
    text = record.read_bytes()
    record.write_bytes(b"\n".join(text.split(b"\n")[:-3]))  # the last result has no record
    assert run(model, folder, "-o", out, "--resume") == 2
    record.unlink()
    assert run(model, folder, "-o", out, "--resume") == 2
    record.write_bytes(b"[" * 100_000 + b"\nnull\n\xff\n" + text)
    assert run(model, folder, "-o", out, "--resume") == 0
    folder.rename(tmp_path / "moved")  # the same photos elsewhere
    assert run(model, tmp_path / "moved", "-o", out, "--resume") == 0
    folder.mkdir()
    Image.fromarray(np.zeros((17, 23, 3), np.uint8)).save(folder / "a.png")
    (tmp_path / "second").mkdir()
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(tmp_path / "second" / "a.png")
    assert run(model, tmp_path / "second", "-o", out, "--resume") == 2
    assert photos.probe(out / "a.png") == (17, 23)


def test_what_a_folder_holds_beside_photos_is_listed(
    model: pathlib.Path, folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "phone.heic").write_bytes(b"x")
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "a.png").write_bytes(b"x")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop").symlink_to(folder)
    assert run(model, folder, "-o", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert "Restored 3 of 3 photos" in said.out
    assert [line.partition(" ")[2].rpartition("/")[2].split()[0] for line in said.err.splitlines()] == [
        "phone.heic",
        "pipe.mp4",
    ]
    (folder / "away.png").symlink_to("nowhere.png")
    assert run(model, folder, "-o", tmp_path / "again") == 2
    assert "away.png" in capsys.readouterr().err
