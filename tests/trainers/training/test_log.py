"""The log of a run: what is written is read back, and a run that goes on has no line twice."""

import contextlib
import itertools
import json
import math
import pathlib
import types
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.summary.writer import event_file_writer

from blursynth import errors
from trainers.training import log


@pytest.fixture(autouse=True)
def a_second_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the board are read in the order of their names, which begin with the second that they were opened in."""
    clock = itertools.count(1_700_000_000)
    monkeypatch.setattr(event_file_writer, "time", types.SimpleNamespace(time=lambda: float(next(clock))))


def lines(folder: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / log.LOG).read_text().splitlines()]


def board(folder: pathlib.Path) -> event_accumulator.EventAccumulator:
    found = event_accumulator.EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return found


def scalars(folder: pathlib.Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in board(folder).Scalars(tag)]


def write(folder: pathlib.Path, seen: int, *images: int, **values: Any) -> None:
    """Entries of a run that goes on from a checkpoint at `seen` images."""
    written = log.Log(folder, seen)
    for each in images:
        written.write("train", each, {"rate": each / 8, **values})
    written.sync()
    written.close()


def test_lines_and_board_hold_what_was_written(tmp_path: pathlib.Path) -> None:
    written = log.Log(tmp_path, 0)
    values = {"loss": {"content": 0.5, "parts": {"pixel": 0.25}}, "step": 3, "protocol": "gopro-rgb v2"}
    written.write("train", 12, values)
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    written.picture("sheet", 12, picture)
    written.sync()  # what was written is there before the log is closed
    assert lines(tmp_path) == [{"kind": "train", "images": 12, **values}]
    found = board(tmp_path)
    assert sorted(found.Tags()["scalars"]) == ["train/loss/content", "train/loss/parts/pixel", "train/step"]
    assert scalars(tmp_path, "train/loss/parts/pixel") == [(12, 0.25)]
    (image,) = found.Images("sheet")
    assert (image.step, image.height, image.width) == (12, 4, 5)
    written.close()


@pytest.mark.parametrize(("seen", "kept"), [(0, []), (19, [10]), (20, [10, 20]), (99, [10, 20, 30])])
def test_a_run_that_goes_on_writes_again_what_came_later(tmp_path: pathlib.Path, seen: int, kept: list[int]) -> None:
    write(tmp_path, 0, 10, 20, 30)
    write(tmp_path, seen, 100)
    assert [line["images"] for line in lines(tmp_path)] == [*kept, 100]


def test_the_board_forgets_what_came_later_too(tmp_path: pathlib.Path) -> None:
    write(tmp_path, 0, 10, 20, 30)
    write(tmp_path, 20, 30, extra=1)
    assert scalars(tmp_path, "train/rate") == [(10, 1.25), (20, 2.5), (30, 3.75)]
    assert scalars(tmp_path, "train/extra") == [(30, 1.0)]


def test_losses_that_are_no_numbers_are_kept(tmp_path: pathlib.Path) -> None:
    write(tmp_path, 0, 10, loss=math.nan)
    write(tmp_path, 10, 20, loss=math.inf)
    write(tmp_path, 20, 30)
    first, second, _ = lines(tmp_path)
    assert math.isnan(first["loss"])
    assert second["loss"] == math.inf


@pytest.mark.parametrize("half", ['{"kind": "train", "ima', '{"kind": "train"}', '{"images": -1}', "[]", "\x00"])
def test_a_last_line_that_a_crash_left_is_dropped(tmp_path: pathlib.Path, half: str) -> None:
    write(tmp_path, 0, 10, 20)
    with (tmp_path / log.LOG).open("a") as file:
        file.write(half)
    write(tmp_path, 20, 30)
    assert [line["images"] for line in lines(tmp_path)] == [10, 20, 30]


@pytest.mark.parametrize("damaged", ['{"kind": "train", "ima', '{"images": "ten"}', "[1]"])
def test_damage_before_the_end_is_an_error_that_leaves_the_file(tmp_path: pathlib.Path, damaged: str) -> None:
    write(tmp_path, 0, 10, 20)
    first, second = (tmp_path / log.LOG).read_text().splitlines()
    content = f"{first}\n{damaged}\n{second}\n"
    (tmp_path / log.LOG).write_text(content)
    with pytest.raises(errors.InputError, match="line 2 of"):
        log.Log(tmp_path, 20)
    assert (tmp_path / log.LOG).read_text() == content


def test_a_folder_in_its_place_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / log.LOG).mkdir()
    with pytest.raises(errors.InputError):
        log.Log(tmp_path, 0)
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.parametrize("name", ["kind", "images"])
def test_values_cannot_take_the_names_of_a_line(tmp_path: pathlib.Path, name: str) -> None:
    with contextlib.closing(log.Log(tmp_path, 0)) as written, pytest.raises(AssertionError):
        written.write("train", 10, {name: 1})
    assert lines(tmp_path) == []
