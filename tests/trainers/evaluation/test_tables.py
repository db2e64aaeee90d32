"""A summary of scores and its tables: their figures are those of slow references, and every remark has its reason."""

import csv
import dataclasses
import io
import json
import math
import pathlib
import statistics
import types
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch

from trainers import protocols
from trainers.evaluation import bootstrap, scores, summary, tables
from trainers.metrics import catalogue
from trainers.test_sets import items

METRICS = ("psnr", "ssim", "uiqi", "vif", "norm-nr")
INPUT, MINE = scores.Network(scores.INPUT), scores.Network("mine|a", pathlib.Path("mine.safetensors"))
COUNT = 24


def entry(row: scores.Network, number: int, **changes: Any) -> scores.Entry:
    """Image `number`, two of a group, with scores of its own and without the last metric."""
    better = 0.0 if row is INPUT else 1.0 + number / 10
    values = {"psnr": 20 + number + better, "ssim": 0.5 + (number + better) / 100, "uiqi": 0.25, "vif": 0.1 * better}
    timing = {} if row is INPUT else {"seconds": 0.5 + number, "peak_mb": 100.0 + number}
    plain = scores.Entry(row.name, f"{number}.png", f"g{number // 2}", "8x6", values, {"norm-nr": "no program"}, {})
    return dataclasses.replace(plain, **timing, **changes)


def both() -> list[scores.Entry]:
    return [entry(row, number) for row in (INPUT, MINE) for number in range(COUNT)]


@pytest.fixture(autouse=True)
def parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "_parameters", lambda _: 3_000_000)


def summed_up(entries: Sequence[scores.Entry], rows: Sequence[scores.Network] = (INPUT, MINE)) -> dict[str, Any]:
    images = [each for each in entries if each.row == rows[0].name]
    listed: Any = [types.SimpleNamespace(name=each.image) for each in images]
    tests = items.TestSet("photos", listed, "f", "split test", "srgb")
    wanted = scores.Wanted(protocols.find("gopro-rgb"), METRICS, tests, torch.device("cpu"))
    journal: Any = types.SimpleNamespace(entries={(each.row, each.image): each for each in entries})
    return summary.summary(rows, wanted, journal)


def row_of(found: Mapping[str, Any], row: scores.Network) -> dict[str, Any]:
    return next(dict(each) for each in found["rows"] if each["name"] == row.name)


def test_means_times_and_sizes() -> None:
    entries = both()
    found = summed_up(entries)
    for row in (INPUT, MINE):
        own = [each for each in entries if each.row == row.name]
        described = row_of(found, row)
        assert described["scores"].keys() == set(METRICS[:-1])
        for name, score in described["scores"].items():
            assert score["mean"] == pytest.approx(statistics.fmean(each.values[name] for each in own))
            assert score["low"] <= score["mean"] + 1e-12
            assert score["mean"] <= score["high"] + 1e-12
            assert score["count"] == COUNT
        assert described["missing"].keys() == {"norm-nr"}
        assert described["missing"]["norm-nr"].startswith(f"{COUNT} of {COUNT} images")
    mine = row_of(found, MINE)
    assert (mine["median_seconds"], mine["peak_mb"]) == (0.5 + (COUNT - 1) / 2, 100.0 + COUNT - 1)
    assert (mine["parameters"], mine["parameters_mb"]) == (3_000_000, 12.0)
    assert row_of(found, INPUT)["median_seconds"] is None
    assert "parameters" not in row_of(found, INPUT)
    assert (found["test_set"]["images"], found["test_set"]["groups"], found["test_set"]["sizes"]) == (24, 12, ["8x6"])


def test_differences_are_of_images_that_both_have_a_score_for() -> None:
    entries = both()
    entries[3].values.pop("psnr")
    entries[COUNT + 5].values.pop("psnr")
    (found,) = summed_up(entries)["differences"]
    assert (found["row"], found["against"]) == (MINE.name, INPUT.name)
    apart = [1 + number / 10 for number in range(COUNT) if number not in (3, 5)]
    assert found["scores"]["psnr"]["mean"] == pytest.approx(statistics.fmean(apart))
    assert found["scores"]["psnr"]["count"] == COUNT - 2
    assert found["scores"]["uiqi"]["mean"] == 0
    assert "norm-nr" not in found["scores"]


def test_an_interval_is_of_groups() -> None:
    """Copies of an image in its group say nothing new; one group alone has no interval."""
    once = bootstrap.mean([1.0, 2.0, 4.0], ["a", "b", "c"])
    twice = bootstrap.mean([1.0, 1.0, 2.0, 2.0, 4.0, 4.0], ["a", "a", "b", "b", "c", "c"])
    assert (once.mean, once.low, once.high) == (twice.mean, twice.low, twice.high)
    alone = bootstrap.mean([1.0, 2.0], ["a", "a"])
    assert (alone.mean, alone.count) == (1.5, 2)
    assert math.isnan(alone.low)
    assert math.isnan(alone.high)


def test_many_sizes_are_the_first_and_the_last() -> None:
    entries = [dataclasses.replace(entry(INPUT, number), size=f"{number + 1}x9") for number in range(6)]
    assert summed_up(entries, [INPUT])["test_set"]["sizes"] == ["1x9", "...", "6x9"]


def test_json_has_no_number_that_readers_refuse() -> None:
    values = {"a": math.nan, "b": [math.inf, {"c": -math.inf}], "d": (1, 0.5, None, "text")}
    read = json.loads(summary.to_json(values), parse_constant=pytest.fail)
    assert read == {"a": None, "b": ["infinite", {"c": "-infinite"}], "d": [1, 0.5, None, "text"]}


def test_lines_of_the_csv_give_every_digit_back() -> None:
    entries = [entry(MINE, 1, notes={"shift": 0.5}), entry(INPUT, 2, non_finite=7)]
    read = list(csv.DictReader(io.StringIO(tables.per_image(entries, METRICS, "gopro-rgb v2"))))
    for line, each in zip(read, entries, strict=True):
        assert {name: float(line[name]) for name in METRICS[:-1]} == each.values
        assert (line["norm-nr"], line["protocol"]) == ("", "gopro-rgb v2")
        assert (line["row"], line["image"], line["group"], line["size"]) == (each.row, each.image, each.group, "8x6")
        assert int(line["non_finite"]) == each.non_finite
    assert [line["seconds"] for line in read] == ["1.500000", ""]
    assert json.loads(read[0]["notes"]) == {"shift": 0.5}
    assert read[1]["notes"] == ""


def split_cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table; a \\| is no border."""
    return [cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")]


def test_markdown_is_made_of_whole_tables() -> None:
    found = summed_up(both())
    parts = tables.markdown(found).split("\n\n")
    drawn = [[split_cells(line) for line in part.splitlines()] for part in parts if part.startswith("|")]
    assert len(drawn) == 3
    for table in drawn:
        assert len({len(line) for line in table}) == 1
        assert set(table[1]) == {"---"}
    means, differences, costs = drawn
    assert [line[0].replace("\0", "|") for line in means[2:]] == [INPUT.name, MINE.name]
    psnr = row_of(found, MINE)["scores"]["psnr"]
    assert means[3][1] == f"{psnr['mean']:.2f} [{psnr['low']:.2f}, {psnr['high']:.2f}]"
    assert means[3][-1] == ""
    assert differences[2][1].startswith("+2.15 [")
    assert [line[0].replace("\0", "|") for line in costs[2:]] == [MINE.name]
    assert costs[2][-2:] == ["3.000", "12.00"]


def test_text_has_a_table_for_every_few_metrics_and_the_same_figures() -> None:
    found = summed_up(both())
    text, label = tables.text(found), tables.label(found)
    heads = [line for line in text.splitlines() if line.startswith(f"{label}  ")]
    assert len(heads) == math.ceil(len(METRICS) / tables._BLOCK) + 1  # and the differences
    assert [title in text for title in (each["title"] for each in found["metrics"].values())] == [True] * len(METRICS)
    for name, score in row_of(found, MINE)["scores"].items():
        places = found["metrics"][name]["places"]
        assert f"{score['mean']:.{places}f} [{score['low']:.{places}f}, {score['high']:.{places}f}]" in text
    alone = tables.text(summed_up([entry(INPUT, number) for number in range(COUNT)], [INPUT]))
    assert "parameters" not in alone
    assert "differences" not in alone


def notes(entries: Sequence[scores.Entry]) -> list[str]:
    return tables._notes(summed_up(entries))


def test_every_remark_has_its_reason() -> None:
    (missing,) = notes(both())
    assert missing.startswith("Norm-NR is empty")
    few = [each for each in both() if int(each.image.partition(".")[0]) < 6]
    assert len(notes(few)) == 2
    one_group = [dataclasses.replace(each, group="only") for each in both()]
    assert notes(one_group)[0] != notes(few)[0]
    found = summed_up(both())
    found["rows"][1]["seen"] = "these very images (photos)"
    assert len([each for each in tables._notes(found) if each.startswith(f"{MINE.name} ")]) == 1
    entries = both()
    entries[COUNT].values["psnr"] = math.inf
    assert [each for each in notes(entries) if each.startswith(f"{MINE.name}: PSNR")]
    assert "inf" in tables.text(summed_up(entries))
    entries = both()
    for number in range(7):
        entries[number] = entry(INPUT, number, values={}, missing={}, non_finite=300)
    (spoiled,) = (each for each in notes(entries) if each.startswith(f"{INPUT.name}: 2,100 values"))
    assert spoiled.count(".png") == 5
    assert spoiled.endswith("...")
    assert row_of(summed_up(entries), INPUT)["scores"]["psnr"]["count"] == COUNT - 7


def test_what_one_row_alone_misses_is_said_of_it() -> None:
    entries = both()
    entries[COUNT] = entry(MINE, 0, values={}, missing=dict.fromkeys(METRICS, "too small"))
    title = catalogue.METRICS["psnr"].title
    assert len([each for each in notes(entries) if each.startswith(f"{MINE.name}: {title} is empty")]) == 1


def test_classes_have_a_table_where_there_are_two() -> None:
    found = summed_up(both())
    by_class = {name: row_of(found, MINE)["scores"] for name in ("car", "bus")}
    for row in found["rows"]:
        row["classes"] = by_class
    found["truth"] = {"objects": 9}
    rows = [line.split() for line in tables.text(found).splitlines()]
    assert [sum(name in line for line in rows) for name in by_class] == [2, 2]
    assert any(line[:2] == ["Truth:", "9"] for line in rows)
    for row in found["rows"]:
        row["classes"] = {"car": by_class["car"]}
    assert not any("car" in line.split() for line in tables.text(found).splitlines())


def test_everything_is_written_beside_each_other(tmp_path: pathlib.Path) -> None:
    entries = both()
    found = summed_up(entries)
    tables.write(tmp_path, found, entries, METRICS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["per-image.csv", "table.json", "table.md", "table.txt"]
    assert (tmp_path / "table.txt").read_text(encoding="utf-8") == tables.text(found)
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == tables.markdown(found)
    assert json.loads((tmp_path / "table.json").read_text())["rows"][1]["name"] == MINE.name
    assert len((tmp_path / "per-image.csv").read_text().splitlines()) == 1 + len(entries)
