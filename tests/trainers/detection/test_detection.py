"""Detection: boxes with known precision and recall, detectors of known blocks and codes, and the whole command."""

import json
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import onnx_files
import pytest
import skimage.data
import torch
from PIL import Image

from blursynth import errors
from blursynth.config import toml
from blursynth.media import photos
from trainers import command_line, detect, recipe
from trainers.checkpoints import checkpoint
from trainers.detection import detectors, qr_codes
from trainers.detection import scores as detection

CPU = torch.device("cpu")


def found(*rows: tuple[float, float, float, float, float, str]) -> detectors.Found:
    return detectors.Found(
        np.array([row[:4] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[4] for row in rows], np.float64),
        tuple(row[5] for row in rows),
    )


def test_overlap_of_boxes_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float64)
    expected = [[1, 50 / 150, 0], [50 / 150, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(detection.overlaps(boxes, boxes), expected)
    assert detection.overlaps(boxes[:0], boxes).shape == (0, 3)
    assert detection.overlaps(np.zeros((1, 4)), np.zeros((1, 4))).item() == 0


def test_counts_of_hand_made_boxes() -> None:
    truth = found((0, 0, 10, 10, 1, "car"), (20, 0, 30, 10, 1, "car"), (0, 20, 10, 30, 1, "person"))
    guess = found(
        (0, 0, 10, 10, 0.9, "car"),  # right
        (1, 0, 10, 10, 0.8, "car"),  # the same car again
        (20, 0, 30, 10, 0.7, "person"),  # a car taken for a person
        (0, 21, 10, 31, 0.6, "person"),  # overlap 9 / 11
    )
    counts = detection.count(guess, truth, 0.5)
    assert counts["all"] == {"true_positives": 2, "false_positives": 2, "false_negatives": 1}
    assert counts["car"] == {"true_positives": 1, "false_positives": 1, "false_negatives": 1}
    assert counts["person"] == {"true_positives": 1, "false_positives": 1, "false_negatives": 0}
    stricter = detection.count(guess, truth, 0.9)
    assert stricter["all"] == {"true_positives": 1, "false_positives": 3, "false_negatives": 2}


def test_the_best_score_takes_a_box_first_and_the_nearest_one() -> None:
    truth = found((0, 0, 10, 10, 1, "car"), (4, 0, 14, 10, 1, "car"))
    counts = detection.count(found((3, 0, 13, 10, 0.9, "car"), (0, 0, 10, 10, 0.5, "car")), truth, 0.3)
    assert counts["all"] == {"true_positives": 2, "false_positives": 0, "false_negatives": 0}


def test_identical_and_empty_findings() -> None:
    some = found((0, 0, 10, 10, 0.9, "car"), (2, 2, 8, 8, 0.3, "person"))
    assert detection.count(some, some, 1.0)["all"] == {"true_positives": 2, "false_positives": 0, "false_negatives": 0}
    nothing = found()
    assert detection.count(nothing, some, 0.5)["all"]["false_negatives"] == 2
    assert detection.count(some, nothing, 0.5)["all"]["false_positives"] == 2
    assert detection.count(nothing, nothing, 0.5) == {"all": dict.fromkeys(detection.COUNTS, 0)}


def test_ratios() -> None:
    counts = [np.array([value], np.float64) for value in (3, 1, 2)]
    values = {name: function(*counts).item() for name, function in detection._FUNCTIONS.items()}
    assert values == {"precision": 0.75, "recall": 0.6, "f1": pytest.approx(2 * 0.75 * 0.6 / 1.35)}
    assert math.isnan(detection._FUNCTIONS["precision"](*(np.zeros(1) for _ in range(3))).item())


def blocks(
    *cells: tuple[int, int, tuple[int, int, int]], scale: int = 1, shape: tuple[int, int] = (64, 64)
) -> np.ndarray:
    """Grey, with coloured blocks at (row, column) of the detector's grid."""
    image = np.full((*shape, 3), 114, np.uint8)
    for row, column, colour in cells:
        side = 8 * scale
        image[row * side : (row + 1) * side, column * side : (column + 1) * side] = colour
    return image


RED, GREEN = (250, 0, 0), (0, 250, 0)


@pytest.mark.parametrize("runtime", ["opencv", "onnxruntime"])
@pytest.mark.parametrize("head", ["v5", "v8"])
def test_both_heads_find_blocks_where_they_are(head: str, runtime: str, tmp_path: pathlib.Path) -> None:
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="an optional runtime that is not installed")
    path = onnx_files.write_detector(tmp_path / "blocks.onnx", head)
    detector = detectors.Yolo(path, size=64, names=("red", "green"), threshold=0.5, runtime=runtime)
    result = detector.find(blocks((1, 2, RED), (5, 5, GREEN)))
    order = np.argsort(result.boxes[:, 0])
    np.testing.assert_allclose(result.boxes[order], [[16, 8, 24, 16], [40, 40, 48, 48]], atol=1e-4)
    assert [result.classes[index] for index in order] == ["red", "green"]
    expected = 250 / 255 * (0.9 if head == "v5" else 1.0)
    np.testing.assert_allclose(result.scores, expected, atol=1e-4)
    assert len(detector.find(blocks())) == 0


def test_boxes_come_back_in_the_image_they_were_found_in(tmp_path: pathlib.Path) -> None:
    """128 wide and 64 high: halved, with grey above and below."""
    path = onnx_files.write_detector(tmp_path / "blocks.onnx", "v8")
    image = blocks((1, 3, RED), scale=2, shape=(64, 128))
    result = detectors.Yolo(path, size=64, threshold=0.5).find(image)
    assert result.classes == ("class 0",)
    np.testing.assert_allclose(result.boxes, [[48, 16, 64, 32]], atol=1e-4)


def test_overlapping_boxes_of_a_class_become_the_best() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [30, 30, 40, 40]], np.float64)
    scores = np.array([0.6, 0.9, 0.5, 0.2])
    kept = detectors.suppress(cv2, boxes, scores, np.array([0, 0, 1, 0]), 0.25)
    assert kept.tolist() == [1, 2]


def test_files_that_are_no_detectors_say_so(tmp_path: pathlib.Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    classifier = onnx_files.write_classifier(tmp_path / "classifier.onnx")
    detector = onnx_files.write_detector(tmp_path / "blocks.onnx", "v8")
    for path, size, words in (
        (tmp_path / "none.onnx", 64, "There is no detector"),
        (tmp_path / "text.onnx", 64, "cannot be read as an ONNX network"),
        (classifier, 64, "is not a detector of the YOLO family: its output is 1x2"),
        (detector, 63, "--size|is not a detector"),
    ):
        with pytest.raises(errors.InputError, match=words):
            detectors.Yolo(path, size=size)


def test_outputs_are_told_apart_by_their_shape() -> None:
    rows = detectors.decode([np.ones((1, 300, 85), np.float32)], "auto", "v5")
    assert rows.shape == (300, 84)
    assert detectors.decode([np.ones((1, 84, 300), np.float32)], "auto", "v8").shape == (300, 84)
    assert detectors.decode([np.ones((1, 84, 30), np.float32)], "v8", "few").shape == (30, 84)
    for outputs in ([np.ones((1, 300, 4))], [np.ones((2, 300, 85))], [np.ones((1, 3))], [np.ones((1, 300, 85))] * 2):
        with pytest.raises(errors.InputError, match="not a detector"):
            detectors.decode(outputs, "auto", "x")


def test_files_with_suppression_inside_hold_corners_and_one_score() -> None:
    values = np.zeros((1, 300, 6), np.float32)
    values[0, 0] = (10, 20, 30, 60, 0.9, 2)
    values[0, 1] = (0, 0, 8, 8, 0.5, 0)
    rows = detectors.decode([values], "auto", "v10")
    np.testing.assert_allclose(rows[:2], [[20, 40, 20, 40, 0, 0, 0.9], [4, 4, 8, 8, 0.5, 0, 0]], rtol=1e-6)
    assert not rows[2:, 4:].any()
    # The same numbers of columns mean one class where there are as many boxes as a head of v5 has.
    assert detectors.decode([np.ones((1, 25200, 6), np.float32)], "auto", "v5").shape == (25200, 5)
    assert detectors.decode([values], "v5", "v5").shape == (300, 5)
    values[0, 0, 5] = 0.7  # a probability
    assert detectors.decode([values], "auto", "v5")[0, 4] == pytest.approx(0.9 * 0.7)
    values[0, 0, 5] = 2
    with pytest.raises(errors.InputError, match="not a detector"):
        detectors.decode([np.ones((1, 300, 85), np.float32)], "v10", "x")


def test_codes_are_placed_read_and_repeatable() -> None:
    photo = np.ascontiguousarray(skimage.data.astronaut()[:384, :400])
    placed = qr_codes.place(photo, 3, 7)
    assert np.array_equal(placed, qr_codes.place(photo, 3, 7))
    assert not np.array_equal(placed, qr_codes.place(photo, 4, 7))
    assert 0.1 < (placed != photo).any(axis=2).mean() < 0.7
    reader = detectors.QrCodes()
    result = reader.find(placed)
    assert len(result) >= 3
    assert set(result.classes) == {"qrcode"}
    assert (result.boxes >= 0).all()
    assert (result.boxes[:, 2] <= 400).all()
    assert len(reader.find(photo)) == 0
    streaked = np.mean([np.roll(placed, shift, axis=1) for shift in range(-9, 10)], axis=0).astype(np.uint8)
    assert len(reader.find(streaked)) < len(result)


@pytest.fixture
def model(fake_method: Any, recipe_text: Callable[..., str], tmp_path: pathlib.Path) -> pathlib.Path:
    """A network that does next to nothing."""
    wanted = recipe.parse(recipe_text(tmp_path / "pairs.zarr", tmp_path / "run"))
    torch.manual_seed(0)
    made = fake_method(wanted.method, CPU)
    with torch.no_grad():
        made.networks["generator"][4].weight.zero_()
        made.networks["generator"][4].bias.zero_()
    about = checkpoint.About(toml.to_toml(wanted), "fake", "paper", 0, 0, [], {}, {}, {})
    (tmp_path / "run").mkdir()
    checkpoint.save(tmp_path / "run" / "last.safetensors", about, made)
    return tmp_path / "run"


@pytest.fixture
def scenes(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three images with blocks; in the blurred ones a red one is gone in b, and a green one is new in c."""
    sharp = {
        "a": blocks((1, 1, RED), (4, 4, GREEN)),
        "b": blocks((2, 6, RED), (6, 2, RED)),
        "c": blocks((3, 3, GREEN)),
    }
    blurred = sharp | {"b": blocks((2, 6, RED)), "c": blocks((3, 3, GREEN), (0, 7, GREEN))}
    for folder, images in (("sharp", sharp), ("blurred", blurred)):
        (tmp_path / "scenes" / folder).mkdir(parents=True)
        for name, image in images.items():
            Image.fromarray(image).save(tmp_path / "scenes" / folder / f"{name}.png")
    return tmp_path / "scenes"


def run(*arguments: Any) -> int:
    return command_line.exit_code(detect.main, [str(argument) for argument in arguments])


def test_a_detection_table_with_a_small_onnx_detector(
    model: pathlib.Path, scenes: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = onnx_files.write_detector(tmp_path / "blocks.onnx", "v8")
    (tmp_path / "names.txt").write_text("red\ngreen\n")
    asked = ("--data", scenes, "--detector", path, "--size", 64, "--names", tmp_path / "names.txt", "--threshold", 0.5)
    out = tmp_path / "scores"
    assert run(model, *asked, "--out", out) == 0
    printed = capsys.readouterr().out
    table = json.loads((out / "table.json").read_text())
    assert table["protocol"] | {"about": ""} == {"name": "detection-yolo", "version": 1, "about": ""}
    assert table["truth"]["objects"] == 5
    blurred, restored = table["rows"]
    # Found: 4 of 5 objects, and one that is not there.
    expected = {"precision": 4 / 5, "recall": 4 / 5, "f1": 4 / 5}
    assert {name: score["mean"] for name, score in blurred["scores"].items()} == pytest.approx(expected)
    assert {name: score["mean"] for name, score in restored["scores"].items()} == pytest.approx(expected)
    assert {name: score["mean"] for name, score in blurred["classes"]["red"].items()} == pytest.approx(
        {"precision": 1, "recall": 2 / 3, "f1": 0.8}
    )
    assert blurred["classes"]["green"]["precision"]["mean"] == pytest.approx(2 / 3)
    assert table["differences"][0]["scores"]["recall"]["mean"] == 0
    assert "detection-yolo v1" in printed
    assert "Ratios of the counts of all images together with 95% bootstrap intervals" in printed
    assert "overlap of at least 0.5, score of at least 0.5" in printed
    labels = json.loads((out / "labels.json").read_text())
    assert labels["sha256"] == table["truth"]["sha256"]
    assert sum(len(image["boxes"]) for image in labels["images"].values()) == 5
    assert photos.read(out / "sheet.png").shape[0] > 64
    assert run(model, *asked, "--out", out) == 0
    # Labels looked at by eye, with one object taken out, count as they are.
    key = next(key for key, image in labels["images"].items() if image["classes"] == ["red", "red"])
    labels["images"][key] = {name: values[:1] for name, values in labels["images"][key].items()}
    (tmp_path / "checked.json").write_text(json.dumps(labels))
    assert run(model, *asked, "--out", tmp_path / "checked", "--labels", tmp_path / "checked.json") == 0
    assert json.loads((tmp_path / "checked" / "table.json").read_text())["truth"]["objects"] == 4


def test_a_pipe_in_the_place_of_names_is_refused(scenes: pathlib.Path, tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "names")
    detector = onnx_files.write_detector(tmp_path / "blocks.onnx", "v5")
    assert run("--data", scenes, "--detector", detector, "--names", tmp_path / "names", "--out", tmp_path / "out") == 2


def test_identical_images_give_one_in_everything(scenes: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for path in (scenes / "sharp").iterdir():
        (scenes / "blurred" / path.name).write_bytes(path.read_bytes())
    detector = onnx_files.write_detector(tmp_path / "blocks.onnx", "v5")
    out = tmp_path / "scores"
    assert run("--data", scenes, "--detector", detector, "--size", 64, "--iou", 1, "--out", out) == 0
    scores = json.loads((out / "table.json").read_text())["rows"][0]["scores"]
    for name in ("precision", "recall", "f1"):
        assert (scores[name]["mean"], scores[name]["low"], scores[name]["high"]) == (1, 1, 1)


def test_a_detection_table_with_codes(model: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, top in (("one", 0), ("two", 180)):
        Image.fromarray(skimage.data.astronaut()[top : top + 320, :400]).save(tmp_path / "photos" / f"{name}.png")
    assert run("--place-codes", tmp_path / "photos", "--out", tmp_path / "scenes" / "sharp") == 0
    (tmp_path / "scenes" / "blurred").mkdir()
    for path in (tmp_path / "scenes" / "sharp").iterdir():
        placed = photos.read(path)
        streaked = np.mean([np.roll(placed, shift, axis=1) for shift in range(-4, 5)], axis=0).astype(np.uint8)
        photos.write_png(tmp_path / "scenes" / "blurred" / path.name, streaked)
    assert run(model, "--data", tmp_path / "scenes", "--out", tmp_path / "scores") == 0
    table = json.loads((tmp_path / "scores" / "table.json").read_text())
    assert table["protocol"]["name"] == "detection-qrcode"
    assert table["truth"]["objects"] >= 3
    assert table["rows"][0]["scores"]["recall"]["mean"] < 1


def test_codes_go_into_the_sharp_images_of_a_dataset(
    make_pairs: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    pairs = make_pairs(tmp_path / "pairs.zarr", items=3, size=(240, 260))
    assert run("--place-codes", pairs, "--out", tmp_path / "codes") == 0
    paths = sorted((tmp_path / "codes").iterdir())
    assert [path.name for path in paths] == [f"{item:08d}.png" for item in range(3)]
    reader = detectors.QrCodes()
    assert sum(len(reader.find(photos.read(path))) for path in paths) >= 2
    (tmp_path / "empty").mkdir()
    assert run("--place-codes", tmp_path / "empty", "--out", tmp_path / "none") == 2


def test_placing_codes_never_replaces_photos(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "photos", tmp_path / "codes"
    source.mkdir()
    photos.write_png(source / "a.png", np.ascontiguousarray(skimage.data.astronaut()[:300, :300]))
    before = (source / "a.png").read_bytes()
    for folder, more in ((source, ()), (source, ("--overwrite",)), (source / "codes", ())):
        assert run("--place-codes", source, "--out", folder, *more) == 2
        assert "choose another --out" in capsys.readouterr().err
    assert [path.name for path in source.iterdir()] == ["a.png"]
    assert (source / "a.png").read_bytes() == before
    assert run("--place-codes", source, "--out", out) == 0
    placed = (out / "a.png").read_bytes()
    assert placed != before
    assert run("--place-codes", source, "--out", out) == 2
    assert "1 of the results exist already" in capsys.readouterr().err
    assert run("--place-codes", source, "--out", out, "--overwrite") == 0
    assert (out / "a.png").read_bytes() == placed
    (source / "b.png").write_text("no photo")
    assert run("--place-codes", source, "--out", tmp_path / "rest") == 2
    assert "Left out: " in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "rest").iterdir()] == ["a.png"]
    Image.open(source / "a.png").save(source / "a.jpg")
    assert run("--place-codes", source, "--out", tmp_path / "more") == 2
    assert "Several photos" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()


def test_what_cannot_be_detected_is_said(
    scenes: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = onnx_files.write_detector(tmp_path / "blocks.onnx", "v8")
    for arguments, words in (
        ((), "Give --data"),
        (("--place-codes", scenes), "say where with --out"),
        (("--data", scenes), "finds nothing on the sharp images"),
        (("--data", scenes, "--detector", scenes / "sharp" / "a.png", "--size", 64), "cannot be read as an ONNX"),
        (("--data", scenes, "--iou", 0), "overlap 0 has to be in"),
    ):
        assert run(*arguments, *(("--out", tmp_path / "out") if "--data" in arguments else ())) == 2
        assert words in capsys.readouterr().err
    out = tmp_path / "scores"
    assert run("--data", scenes, "--detector", detector, "--size", 64, "--out", out) == 0
    assert run("--data", scenes, "--detector", detector, "--size", 64, "--out", out, "--iou", 0.7) == 2
    assert "holds another evaluation" in capsys.readouterr().err
    other = ("--data", scenes, "--detector", detector, "--size", 64, "--threshold", 0.3)
    assert run(*other, "--out", tmp_path / "more", "--labels", out / "labels.json") == 2
    assert "were made by another detector" in capsys.readouterr().err
