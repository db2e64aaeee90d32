"""A sequence against published averages: no difference where there is none, and a sentence where they cannot match."""

import pathlib
from collections.abc import Sequence
from typing import Any

import clip_files
import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.makers import average_frames_request
from blursynth.production import run
from blursynth.report import averaged, drawing, gopro_comparison
from blursynth.sources import clip_files as clip_files_
from blursynth.storage import reader


def sequence(folder: pathlib.Path, frames: int = 24) -> str:
    folder.mkdir(parents=True)
    for k, frame in enumerate(clip_files.moving(frames)):
        Image.fromarray(frame).save(folder / f"{k:04d}.png")
    return str(folder)


def averages(folder: str, out: pathlib.Path, **options: Any) -> reader.Dataset:
    run.produce(average_frames_request.maker([folder], {"seed": 0, **options}), out)
    return reader.open(out)


def publish(images: Sequence[np.ndarray[Any, Any]], folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{100 + k}.png")


def compared(clips: Sequence[str], published: pathlib.Path, **options: Any) -> list[str]:
    return list(gopro_comparison.compare(clips, str(published), average_frames_request.request(options)))


def test_our_own_averages_have_no_difference(tmp_path: pathlib.Path) -> None:
    folder = sequence(tmp_path / "GOPR1_07_00")
    for name, gamma in (("blur", 1.0), ("blur_gamma", 2.2)):
        dataset = averages(folder, tmp_path / f"{name}.zarr", gamma=gamma)
        images = [image + np.uint8(k == 2) for k, image in enumerate(dataset.read("blurred", range(3)))]
        publish(images, tmp_path / "published" / name)
    lines = compared([folder], tmp_path / "published")
    assert "M = 7, 3 windows" in lines[0]
    assert sum("100.000%" in line for line in lines) == 6
    assert [line.split()[-1] for line in lines if ".png" in line] == ["+0.000", "+0.000", "-1.000"] * 2
    publish(images[:2], tmp_path / "fewer" / "blur")
    assert sum(".png" in line for line in compared([folder], tmp_path / "fewer")) == 2


def test_what_does_not_match_is_an_error(tmp_path: pathlib.Path) -> None:
    folder = sequence(tmp_path / "GOPR1_07_00")
    with pytest.raises(errors.InputError, match="neither a folder"):
        compared([folder], tmp_path)
    publish([np.zeros((9, 9, 3), np.uint8)], tmp_path / "published" / "blur")
    with pytest.raises(errors.InputError, match="9x9"):
        compared([folder], tmp_path / "published")
    other = sequence(tmp_path / "GOPR2_07_00")
    with pytest.raises(errors.InputError, match="2 sequences"):
        compared([folder, other], tmp_path / "published")
    short = sequence(tmp_path / "short", 5)
    with pytest.raises(errors.InputError, match="5 frames"):
        compared([short], tmp_path / "published", frames="7")


def test_a_clip_that_is_not_whole_is_not_compared(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sequence(tmp_path / "GOPR1_07_00")
    publish([], tmp_path / "published" / "blur")
    monkeypatch.setattr(clip_files_.Clip, "loss", "its last frames are cut off")
    with pytest.raises(errors.InputError, match="cut off"):
        compared([folder], tmp_path / "published")


def test_frames_that_are_lost_are_named_with_their_window(tmp_path: pathlib.Path) -> None:
    folder = sequence(tmp_path / "GOPR1_07_00")
    images = averages(folder, tmp_path / "a.zarr").read("blurred", range(3))
    publish(images, tmp_path / "published" / "blur_gamma")
    damaged = tmp_path / "GOPR1_07_00" / "0009.png"
    damaged.write_bytes(damaged.read_bytes()[:300])
    _, _, _, first, second, third, *_ = compared([folder], tmp_path / "published", frames="7")
    assert "100.000%" in first
    assert "1 of its frames" in second
    assert "100.000%" in third


def test_the_frames_behind_a_pair_are_shown_while_they_can_be_read(tmp_path: pathlib.Path) -> None:
    folder = sequence(tmp_path / "GOPR1_07_00")
    dataset = averages(folder, tmp_path / "a.zarr")
    shown = averaged.Clips(dataset)
    paper = np.array(drawing.PAPER)
    assert (shown.cell(0, 96) != paper).any()
    for file in pathlib.Path(folder).iterdir():
        file.unlink()
    assert (shown.cell(0, 96) == paper).all()
    assert (averaged.Clips(dataset).cell(0, 96) == paper).all()
