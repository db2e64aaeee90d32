"""Each row of the tables of declarations names a test that is there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_each_row_of_tables_names_its_test() -> None:
    text = (ROOT / "docs" / "declarations" / "tables.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| declaration")]
    there = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(rows) > 50
    for row in rows:
        cells = row.strip("| ").split(" | ")
        assert len(cells) == 4, row
        assert cells[1] in ("honoured", "refused", "left out", "unchanged"), row
        assert cells[3].strip("` ") in there, row
