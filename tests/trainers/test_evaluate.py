"""`python -m trainers.evaluate`: every number from its images, resumed, and refused in sentences."""

import csv
import io
import json
import logging
import math
import os
import pathlib
import re
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from blursynth.config import toml
from blursynth.media import photos
from blursynth.storage import reader
from trainers import command_line, evaluate, recipe
from trainers.checkpoints import checkpoint
from trainers.evaluation import bootstrap
from trainers.evaluation import scores as evaluation
from trainers.inference import restorer
from trainers.protocols import gopro

Make = Callable[..., pathlib.Path]


@pytest.fixture
def pairs(make_pairs: Make, tmp_path: pathlib.Path) -> pathlib.Path:
    """Twelve pairs of 32x24, all of them in the split that the tests use."""
    return make_pairs(tmp_path / "pairs.zarr", items=12, size=(24, 32))


@pytest.fixture
def model(fake_method: Any, recipe_text: Callable[..., str], tmp_path: pathlib.Path) -> pathlib.Path:
    return write_model(fake_method, recipe_text, tmp_path, "first", 0)


def write_model(
    fake_method: Any,
    recipe_text: Callable[..., str],
    tmp_path: pathlib.Path,
    name: str,
    seed: int,
    poison: bool = False,
) -> pathlib.Path:
    wanted = recipe.parse(recipe_text(tmp_path / "pairs.zarr", tmp_path / name))
    torch.manual_seed(seed)
    made = fake_method(wanted.method, torch.device("cpu"))
    if poison:
        with torch.no_grad():
            made.networks["generator"][1].running_var.fill_(-1)  # finite, and what it gives is not
    trained_on = [{"path": "other.zarr", "fingerprint": "0", "transfer_function": "gamma2.2"}]
    about = checkpoint.About(toml.to_toml(wanted), "fake", "paper", 0, 7, trained_on, {}, {}, {})
    (tmp_path / name).mkdir()
    checkpoint.save(tmp_path / name / "last.safetensors", about, made)
    return tmp_path / name


def run(*arguments: Any) -> int:
    return command_line.exit_code(evaluate.main, [str(argument) for argument in arguments])


def arguments(model: pathlib.Path, pairs: pathlib.Path, out: pathlib.Path, *more: Any) -> list[Any]:
    return [model, "--data", pairs, "--split", "all", "--protocol", "gopro-rgb", "--out", out, "--no-dropout", *more]


def test_a_table_is_made_of_its_images(
    model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    assert run(*arguments(model, pairs, out)) == 0
    printed = capsys.readouterr().out
    lines = list(csv.DictReader(io.StringIO((out / "per-image.csv").read_text())))
    assert [line["row"] for line in lines] == [evaluation.INPUT] * 12 + ["first"] * 12
    assert {line["protocol"] for line in lines} == {"gopro-rgb v2"}
    found = json.loads((out / "table.json").read_text())
    by_row = {row["name"]: row for row in found["rows"]}
    network = restorer.load(model, torch.device("cpu"), dropout=False)
    dataset = reader.open(pairs)
    for number in (0, 11):
        blurred, sharp = (dataset.read(name, [number])[0] for name in ("blurred", "sharp"))
        given = torch.from_numpy(blurred).permute(2, 0, 1)[None] / 255
        restored = (network.restore(given)[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        for line, image in ((lines[number], blurred), (lines[12 + number], restored)):
            expected = gopro.gopro_rgb(image, [sharp], ("psnr", "ssim"), torch.device("cpu")).values
            assert float(line["psnr"]) == pytest.approx(expected["psnr"], abs=1e-5)
            assert float(line["ssim"]) == pytest.approx(expected["ssim"], abs=1e-6)
    for name, start in ((evaluation.INPUT, 0), ("first", 12)):
        mean = np.mean([float(line["psnr"]) for line in lines[start : start + 12]])
        assert by_row[name]["scores"]["psnr"]["mean"] == pytest.approx(mean)
        assert by_row[name]["scores"]["psnr"]["count"] == 12
    difference = by_row["first"]["scores"]["psnr"]["mean"] - by_row[evaluation.INPUT]["scores"]["psnr"]["mean"]
    paired = found["differences"][0]
    assert (paired["row"], paired["against"]) == ("first", evaluation.INPUT)
    assert paired["scores"]["psnr"]["mean"] == pytest.approx(difference)
    count = sum(each.numel() for each in network.networks["generator"].parameters())
    assert by_row["first"]["parameters"] == count
    assert by_row["first"]["parameters_mb"] == pytest.approx(count * 4e-6)
    assert by_row["first"]["median_seconds"] > 0
    for text in (printed, (out / "table.txt").read_text(), (out / "table.md").read_text()):
        assert "gopro-rgb v2" in text
        assert f"{by_row['first']['scores']['psnr']['mean']:.2f} [" in text
    sheet = photos.read(out / "sheet-first.png")
    assert sheet.shape[1] > 3 * 32


def test_the_same_command_goes_on_where_it_stopped(
    model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(*arguments(model, pairs, whole)) == 0
    original = evaluation.restore
    calls: list[str] = []

    def stops(network: Any, item: Any, wanted: Any) -> Any:
        calls.append(item.name)
        if len(calls) == 19:
            raise KeyboardInterrupt
        return original(network, item, wanted)

    monkeypatch.setattr(evaluation, "restore", stops)
    assert run(*arguments(model, pairs, cut)) == 130
    written = (cut / "per-image.jsonl").read_text()
    kept = written.count("\n")
    assert 12 <= kept < 24
    (cut / "per-image.jsonl").write_text(written + '{"key": "cut sh')
    calls.clear()
    monkeypatch.setattr(evaluation, "restore", lambda *given: calls.append("") or original(*given))
    assert run(*arguments(model, pairs, cut, "--no-sheets")) == 0
    # What was left, and one to warm up.
    assert len(calls) == 24 - kept + 1

    def scores(folder: pathlib.Path) -> list[list[str]]:
        lines = csv.DictReader(io.StringIO((folder / "per-image.csv").read_text()))
        return [[line[key] for key in ("row", "image", "psnr", "ssim")] for line in lines]

    assert scores(cut) == scores(whole)


def test_rows_join_those_that_are_there_and_new_weights_are_scored_anew(
    fake_method: Any,
    recipe_text: Callable[..., str],
    pairs: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = [write_model(fake_method, recipe_text, tmp_path, name, seed) for seed, name in enumerate(("one", "two"))]
    out = tmp_path / "scores"
    original = evaluation.restore
    calls: list[str] = []
    monkeypatch.setattr(evaluation, "restore", lambda *given: calls.append("") or original(*given))

    def restored(*asked: pathlib.Path) -> int:
        """Images that went through a network or stood for the input, without what warms one up."""
        calls.clear()
        assert run(*asked, *arguments(asked[0], pairs, out, "--no-sheets")[1:]) == 0
        return len(calls)

    assert restored(models[0]) == 12 + 12 + 1
    assert restored(models[1]) == 12 + 1
    assert restored(*models) == 0
    (models[1] / "last.safetensors").write_bytes((models[0] / "last.safetensors").read_bytes())
    assert restored(*models) == 12 + 1


def test_another_evaluation_in_the_folder_is_refused(
    model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    assert run(*arguments(model, pairs, out)) == 0
    assert run(*arguments(model, pairs, out, "--metrics", "psnr,uiqi")) == 2
    assert "holds another evaluation" in capsys.readouterr().err
    assert run(*arguments(model, pairs, out, "--metrics", "psnr,uiqi", "--overwrite")) == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert run(*arguments(model, pairs, tmp_path / "mine")) == 2
    assert "something else than an evaluation" in capsys.readouterr().err


def test_values_that_are_no_numbers_are_counted_and_named(
    fake_method: Any,
    recipe_text: Callable[..., str],
    pairs: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoiled = write_model(fake_method, recipe_text, tmp_path, "spoiled", 0, poison=True)
    assert run(*arguments(spoiled, pairs, tmp_path / "scores")) == 1
    found = json.loads((tmp_path / "scores" / "table.json").read_text())["rows"][1]
    assert len(found["non_finite"]["images"]) == 12
    assert found["non_finite"]["values"] > 0
    assert found["scores"] == {}
    assert "not finite numbers, in 12 images" in capsys.readouterr().out


def test_two_networks_of_one_name_and_their_difference(
    model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert run(model, model / "last.safetensors", model, *arguments(model, pairs, tmp_path / "scores")[1:]) == 0
    found = json.loads((tmp_path / "scores" / "table.json").read_text())
    assert [row["name"] for row in found["rows"]] == [evaluation.INPUT, "first", "first/last", "first #2"]
    same = next(each for each in found["differences"] if (each["row"], each["against"]) == ("first #2", "first"))
    assert (same["scores"]["psnr"]["mean"], same["scores"]["psnr"]["low"], same["scores"]["psnr"]["high"]) == (0, 0, 0)


def test_metrics_without_a_value_are_empty_with_a_reason(
    model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments(model, pairs, tmp_path / "scores", "--metrics", "all")) == 0
    printed = capsys.readouterr().out
    assert "MS-SSIM is empty for 12 of 12 images: MS-SSIM needs images of at least 176x176" in printed
    assert "Norm-NR is empty for 12 of 12 images" in printed
    found = json.loads((tmp_path / "scores" / "table.json").read_text())
    assert set(found["rows"][0]["scores"]) == {"psnr", "ssim", "fsim", "uiqi", "cw-ssim-pyssim"}


def test_other_light_than_the_network_was_trained_on_is_named(
    model: pathlib.Path, make_pairs: Make, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_pairs(tmp_path / "srgb.zarr", items=12, size=(24, 32), transfer="srgb")
    with caplog.at_level(logging.WARNING):
        assert run(*arguments(model, other, tmp_path / "scores")) == 0
    assert "trained on blur made for gamma2.2" in caplog.text
    assert "blur made for srgb" in caplog.text


def test_images_that_were_trained_on_are_no_test(
    fake_method: Any,
    recipe_text: Callable[..., str],
    pairs: pathlib.Path,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = write_model(fake_method, recipe_text, tmp_path, "first", 0)
    file = model / "last.safetensors"
    own = {"path": str(pairs), "fingerprint": reader.open(pairs).fingerprint, "transfer_function": "gamma2.2"}
    about = checkpoint.About(**{**vars(checkpoint.about(file)), "datasets": [own]})
    checkpoint.save(file, about, restorer.load(file, torch.device("cpu")))
    for split, warned in (("test", False), ("train", True), ("all", True)):
        caplog.clear()
        asked = (model, "--data", pairs, "--split", split, "--protocol", "gopro-rgb", "--out", tmp_path / split)
        assert run(*asked) == 0
        assert ("was trained on these very images" in caplog.text) == warned
        assert ("was trained on these very images" in (tmp_path / split / "table.md").read_text()) == warned


def test_other_pairs_of_the_photos_trained_on_are_no_test(
    model: pathlib.Path, make_pairs: Make, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = make_pairs(tmp_path / "pairs.zarr", items=12, size=(24, 32))
    other = make_pairs(tmp_path / "other.zarr", items=12, size=(24, 24), first_source=1)
    file = model / "last.safetensors"
    own = {"path": str(pairs), "fingerprint": reader.open(pairs).fingerprint, "transfer_function": "gamma2.2"}
    about = checkpoint.About(**{**vars(checkpoint.about(file)), "datasets": [own]})
    checkpoint.save(file, about, restorer.load(file, torch.device("cpu")))
    for data, split, shared in ((pairs, "val", ""), (other, "test", "1 of the 2"), (other, "all", "8 of the 12")):
        out = tmp_path / f"{data.stem}-{split}"
        assert run(model, "--data", data, "--split", split, "--protocol", "gopro-rgb", "--out", out) == 0
        said = f"first was trained on {shared} photos or clips that {data} is made from: its scores are no test."
        for text in (capsys.readouterr().out, (out / "table.txt").read_text(), (out / "table.md").read_text()):
            assert (said in text) if shared else ("was trained on" not in text)


def test_scores_of_files_that_were_replaced_are_not_kept(
    model: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder_of_pairs(tmp_path / "data")
    asked = arguments(model, data, tmp_path / "scores")
    assert run(*asked) == 0
    assert run(*asked) == 0
    shutil.copytree(data, tmp_path / "copied" / "data", copy_function=shutil.copyfile)  # with other times
    assert run(*arguments(model, tmp_path / "copied" / "data", tmp_path / "scores")) == 0
    replaced = data / "blurred" / "b.png"
    status, content = replaced.stat(), bytearray(replaced.read_bytes())
    content[len(content) // 2] ^= 1
    replaced.write_bytes(content)
    os.utime(replaced, ns=(status.st_atime_ns, status.st_mtime_ns))
    capsys.readouterr()
    assert run(*asked) == 2
    assert "holds another evaluation; it differs in test_set" in capsys.readouterr().err


def test_half_size_is_halved_before_restoring(model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    asked = (model, "--data", pairs, "--split", "all", "--protocol", "deblurgan-half", "--no-dropout")
    assert run(*asked, "--out", tmp_path / "scores") == 0
    line = list(csv.DictReader(io.StringIO((tmp_path / "scores" / "per-image.csv").read_text())))[12]
    assert (line["row"], line["size"]) == ("first", "16x12")
    dataset = reader.open(pairs)
    blurred, sharp = (gopro.halved(dataset.read(name, [0])[0]) for name in ("blurred", "sharp"))
    network = restorer.load(model, torch.device("cpu"), dropout=False)
    result = network.restore(torch.from_numpy(blurred).permute(2, 0, 1)[None] / 255)[0]
    restored = (result * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    expected = gopro.gopro_rgb(restored, [sharp], ("psnr",), torch.device("cpu")).values["psnr"]
    assert float(line["psnr"]) == pytest.approx(expected, abs=1e-5)


def folder_of_pairs(path: pathlib.Path, names: tuple[str, ...] = ("a", "b", "c")) -> pathlib.Path:
    numbers = np.random.default_rng(0)
    for folder in ("blurred", "sharp"):
        (path / folder).mkdir(parents=True)
        for name in names:
            Image.fromarray(numbers.integers(0, 256, (20, 30, 3), np.uint8)).save(path / folder / f"{name}.png")
    return path


def test_what_cannot_be_scored_is_said_in_a_sentence(
    model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = folder_of_pairs(tmp_path / "good")
    unmatched = folder_of_pairs(tmp_path / "unmatched")
    (unmatched / "sharp" / "b.png").unlink()
    (unmatched / "sharp" / "c.png").unlink()
    empty = folder_of_pairs(tmp_path / "empty", ())
    sizes = folder_of_pairs(tmp_path / "sizes")
    Image.new("RGB", (30, 21)).save(sizes / "sharp" / "b.png")
    depths = folder_of_pairs(tmp_path / "depths")
    Image.fromarray(np.zeros((20, 30), np.uint16)).save(depths / "sharp" / "b.png")
    (tmp_path / "nothing").mkdir()
    for data, more, words in (
        (unmatched, (), r"2 images without one partner: blurred/b\.png .*blurred/c\.png"),
        (empty, (), "nor has it two folders of images"),
        (sizes, (), "Image b of .*: The image to score is 30x20 and the sharp one 30x21"),
        (depths, (), "has 8 bits a value and .* 16"),
        (tmp_path / "nothing", (), "neither a dataset of pairs nor a benchmark's folder"),
        (tmp_path / "absent", (), "no dataset or folder"),
        (good, ("--protocol", "gopro"), "no protocol 'gopro'. Did you mean 'gopro-y'|'gopro-rgb'"),
        (good, ("--metrics", "psnr,sim"), "no metric 'sim'"),
        (pairs, ("--split", "half"), 'no pairs in the split "half"'),
        (pairs, ("--part", "blur"), "is a dataset, which has no --part"),
        (good, ("--split", "train"), "no folders called after splits"),
    ):
        out = tmp_path / f"out-{data.name}-{len(more)}"
        assert run(*arguments(model, data, out, *more)) == 2, data
        said = capsys.readouterr().err
        assert re.search(words, said), said
    assert run(model, "--data", good) == 2
    assert "no score is printed without the name of its protocol" in capsys.readouterr().err
    assert run(*arguments(model, good, tmp_path / "fine")) == 0


@pytest.mark.parametrize("name", [evaluation.PER_IMAGE, evaluation.ASKED])
def test_pipes_in_the_place_of_scores(
    name: str, model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    out.mkdir()
    os.mkfifo(out / name)
    assert run(*arguments(model, pairs, out)) == 2
    assert f"{out / name} is a FIFO" in capsys.readouterr().err
    assert (out / name).is_fifo()


def test_intervals_cover_and_groups_count_once() -> None:
    values = np.random.default_rng(0).normal(30, 2, 400).tolist()
    single = bootstrap.mean(values, [str(index) for index in range(400)])
    standard = np.std(values) / math.sqrt(400)
    assert single.mean == pytest.approx(np.mean(values))
    assert single.high - single.low == pytest.approx(2 * 1.96 * standard, rel=0.05)
    doubled = bootstrap.mean(values * 2, [str(index % 400) for index in range(800)])
    assert (doubled.low, doubled.high) == pytest.approx((single.low, single.high), abs=1e-9)
    alone = bootstrap.mean(values, ["one"] * 400)
    assert alone.mean == pytest.approx(single.mean)
    assert math.isnan(alone.low)


def test_paired_differences_are_narrower_than_the_means() -> None:
    images = np.random.default_rng(1).normal(30, 4, 200)
    better = images + np.random.default_rng(2).normal(0.5, 0.1, 200)
    names = [str(index) for index in range(200)]
    found = bootstrap.difference(better.tolist(), images.tolist(), names)
    assert 0.45 < found.low < 0.5 < found.high < 0.55
    assert bootstrap.mean(better.tolist(), names).low < bootstrap.mean(images.tolist(), names).high


def test_infinite_scores_stay_infinite_and_have_no_interval() -> None:
    found = bootstrap.mean([30.0, math.inf], ["a", "b"])
    assert found.mean == math.inf
    assert math.isnan(found.low)
    assert math.isnan(bootstrap.difference([math.inf], [math.inf], ["a"]).mean)
    assert bootstrap.mean([], []).count == 0


def test_intervals_of_many_groups_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(30, 2, 50).tolist()
    names = [str(index) for index in range(50)]
    whole = bootstrap.mean(values, names)
    monkeypatch.setattr(bootstrap, "_NUMBERS", 1000)
    assert bootstrap.mean(values, names) == whole


def test_tables_say_when_groups_are_too_few_and_images_perfect(
    model: pathlib.Path, make_pairs: Make, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = make_pairs(tmp_path / "few.zarr", items=4, size=(24, 32))
    assert run(*arguments(model, pairs, tmp_path / "few")) == 0
    printed = capsys.readouterr().out
    assert "The images are of 4 groups (photo, clip or scene), so few that intervals come out too narrow." in printed
    folder = folder_of_pairs(tmp_path / "perfect")
    for path in (folder / "sharp").iterdir():
        path.write_bytes((folder / "blurred" / path.name).read_bytes())
    assert run(*arguments(model, folder, tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    assert f"{evaluation.INPUT}: PSNR (dB) is infinite, because some images equal the sharp ones exactly." in printed
    assert f"{evaluation.INPUT}: SSIM" not in printed


def test_photos_without_ground_truth_become_sheets_alone(
    model: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "lai"
    (folder / "real").mkdir(parents=True)
    (folder / "ground_truth").mkdir()
    for number in range(12):
        Image.new("RGB", (240, 180), (number, 90, 90)).save(folder / "real" / f"photo{number:02d}.png")
    out = tmp_path / "scores"
    assert run(*arguments(model, folder, out, "--part", "real")) == 0
    assert "no ground truth: 2 sheets" in capsys.readouterr().out
    assert sorted(path.name for path in out.glob("*.png")) == ["sheet-01.png", "sheet-02.png"]
    assert not (out / "table.txt").exists()
    # Rows of two images, input and restored.
    assert photos.read(out / "sheet-02.png").shape[1] == 2 * 240 + 3 * 4


def test_kohler_images_are_scored_against_their_best_frame(
    model: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = np.random.default_rng(0)
    for path in ("BlurryImages", "truth"):
        (tmp_path / "kohler" / path).mkdir(parents=True)
    for item in ("1_1", "2_1"):
        frames = numbers.integers(0, 256, (3, 30, 40, 3), np.uint8)
        for number, frame in enumerate(frames, 1):
            Image.fromarray(frame).save(tmp_path / "kohler" / "truth" / f"GroundTruth{item}_{number}.png")
        Image.fromarray(frames[1]).save(tmp_path / "kohler" / "BlurryImages" / f"Blurry{item}.png")
    asked = (model, "--data", tmp_path / "kohler", "--out", tmp_path / "scores", "--protocol")
    assert run(*asked, "gopro-rgb") == 2
    assert "many ground truths, of which gopro-rgb knows one" in capsys.readouterr().err
    assert run(*asked, "kohler-2012") == 0
    lines = list(csv.DictReader(io.StringIO((tmp_path / "scores" / "per-image.csv").read_text())))
    assert [json.loads(line["notes"])["frame"] for line in lines[:2]] == [1, 1]
    assert [float(line["psnr"]) for line in lines[:2]] == [math.inf, math.inf]
    assert {line["protocol"] for line in lines} == {"kohler-2012 v3"}
    table = json.loads((tmp_path / "scores" / "table.json").read_text(), parse_constant=pytest.fail)
    assert table["rows"][0]["scores"]["psnr"] == {"mean": "infinite", "low": None, "high": None, "count": 2}


def test_damaged_records_are_scored_again_or_refused(
    model: pathlib.Path, pairs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = arguments(model, pairs, tmp_path / "scores")
    assert run(*asked) == 0
    scores = tmp_path / "scores" / "per-image.jsonl"
    whole = scores.read_bytes()
    lines = whole.split(b"\n")
    lines[0], lines[2], lines[4] = (
        lines[0][:30],
        b"[" * 100_000,
        lines[4].replace(b'"values": {', b'"values": {"psnr": null, '),
    )
    scores.write_bytes(b"\n".join(lines))
    assert run(*asked) == 0
    rows = [
        sorted((each["row"], each["image"]) for each in map(json.loads, text.splitlines()))
        for text in (whole, scores.read_bytes())
    ]
    assert rows[0] == rows[1]
    (tmp_path / "scores" / "evaluation.json").write_bytes(b'{"protocol": ')
    capsys.readouterr()
    assert run(*asked) == 2
    assert "evaluation.json" in capsys.readouterr().err
