"""The papers' tables: every figure stands in the paper, and ours beside them where it was measured."""

import json
import pathlib

import pytest

from blursynth import errors
from trainers import command_line, evaluate, protocols
from trainers.evaluation import published
from trainers.metrics import catalogue

FILES = {"Ramakrishnan": "000", "Nah": "001", "Kupyn": "002", "Li": "004"}


def test_every_table_is_there_and_names_protocol_size_and_blur() -> None:
    found = [(table.paper.split()[0], table.number) for table in published.published()]
    assert found == [
        *(("Ramakrishnan", str(number)) for number in range(1, 7)),
        *(("Nah", number) for number in ("2", "3")),
        *(("Kupyn", number) for number in ("1", "2", "3")),
        *(("Li", number) for number in ("I", "II", "III")),
    ]
    for table in published.published():
        assert table.protocol in protocols.PROTOCOLS or table.protocol == "detection-yolo"
        assert all((table.test_set, table.size, table.blur, table.method))
        assert all(len(row) == len(table.columns) + 1 for row in table.rows)
        known = {*catalogue.METRICS, *catalogue.MISSING, "seconds", "precision", "recall", "f1"}
        assert set(table.columns) <= known | {"seconds (Köhler)", "parameters (MB)"}


def test_every_figure_stands_in_its_paper(shared_data: pathlib.Path) -> None:
    for table in published.published():
        (path,) = (shared_data.parent / "papers").glob(f"{FILES[table.paper.split()[0]]}_*.txt")
        text = path.read_text(encoding="utf-8")
        for row in table.rows:
            for figure in row[1:]:
                assert figure in text, f"{table.paper}, Table {table.number}: {figure}"
        # Side by side, along the rows or, where a paper prints its table the other way round, along the columns.
        figures = [[figure for figure in row[1:] if figure] for row in table.rows]
        columns = [list(column) for column, name in zip(zip(*figures, strict=True), _given(table), strict=True) if name]
        assert any(all("\t".join(line) in text for line in lines) for lines in (figures, columns)), table.number


def _given(table: published.Table) -> list[bool]:
    """For each printed column whether its cells stand as they are: not times, which are printed with their units."""
    printed = [name for name, cell in zip(table.columns, table.rows[0][1:], strict=True) if cell]
    return [name != "seconds" for name in printed]


def test_tables_are_printed_with_an_empty_row_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.exit_code(evaluate.main, ["--tables"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("here: ") == 14
    assert "here: deep-generative-filter (not measured)" in printed
    assert "28.9423" in printed
    assert "Norm-NR" not in printed.split("Table 2")[0]


def _with_a_row(printed: str) -> list[tuple[str, str]]:
    """Paper and number of the tables in which "mine" has a row."""
    parts = [part.split("\n") for part in printed.split("\n\n")]
    return [
        (lines[0].split()[0], lines[0].split()[-1])
        for lines in parts
        if any(line.startswith("  here: mine") for line in lines)
    ]


def test_a_measurement_stands_beside_the_published_ones(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        "protocol": {"name": "gopro-rgb", "version": 1},
        "test_set": {"name": "GOPRO_Large", "images": 1111, "about": "GOPRO test set, blur_gamma"},
        "metrics": {"psnr": {"places": 2}, "ssim": {"places": 4}},
        "rows": [
            {"name": "blurred input", "scores": {"psnr": {"mean": 25.0}}},
            {
                "name": "mine",
                "method": "deepdeblur",
                "scores": {"psnr": {"mean": 29.876}, "ssim": {"mean": 0.91234}},
                "median_seconds": 0.25,
                "parameters_mb": 46.9,
            },
        ],
    }
    (tmp_path / "table.json").write_text(json.dumps(found))
    assert command_line.exit_code(evaluate.main, ["--tables", "--measured", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    # In every table of GOPRO under this protocol, whoever made it; not in Köhler's, whose protocol is another.
    assert _with_a_row(printed) == [
        ("Ramakrishnan", "1"),
        ("Ramakrishnan", "4"),
        ("Nah", "2"),
        ("Li", "I"),
        ("Li", "III"),
    ]
    line = next(line for line in printed.split("Table 2\n")[2].split("\n") if "here: mine" in line)
    assert "gopro-rgb v1; GOPRO_Large, 1111 images" in line
    assert printed.count("  Images of mine: GOPRO test set, blur_gamma.") == 5
    assert line.split()[-3:] == ["29.88", "0.9123", "0.250"]
    found["protocol"]["name"] = "deblurgan-half"
    for part, tables_of in (
        ("blur", [("Kupyn", "1")]),
        ("blur_gamma", []),
        ("blur (7 of the 1,111)", [("Kupyn", "1")]),
    ):
        found["test_set"]["about"] = f"GOPRO test set, {part}"
        (tmp_path / "table.json").write_text(json.dumps(found))
        assert _with_a_row(published.text(published.measured([tmp_path]))) == tables_of
    found["protocol"]["name"] = "gopro-rgb"
    found["test_set"] = {"name": "mine.zarr", "images": 24, "about": "split test"}
    (tmp_path / "table.json").write_text(json.dumps(found))
    assert command_line.exit_code(evaluate.main, ["--tables", "--measured", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "here: mine" not in printed
    assert "Measured on another test set, so not beside these: mine on mine.zarr, 24 images." in printed
    (tmp_path / "table.json").write_text("[]")
    with pytest.raises(errors.InputError, match=r"table\.json"):
        published.measured([tmp_path])
