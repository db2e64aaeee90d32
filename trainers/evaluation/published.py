"""The papers' tables with our row beside the published ones, empty until it is measured."""

import dataclasses
import functools
import pathlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.config import records
from blursynth.media import source_file
from trainers import command_line
from trainers.metrics import catalogue

_DATA = pathlib.Path(__file__).with_name("published.toml")


@dataclasses.dataclass(frozen=True)
class Table:
    """One table as printed. `columns` are our metrics' names (or "seconds", ...); `method` is whose row it asks for."""

    paper: str
    number: str
    test_set: str
    size: str
    blur: str
    protocol: str
    method: str
    benchmark: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Measured:
    """Our measurement for a row of a table: from a `table.json`, with the protocol's label and the test set."""

    method: str
    protocol: str
    label: str
    name: str
    test_set: str
    about: str
    values: Mapping[str, str]


@functools.cache
def published() -> tuple[Table, ...]:
    """All tables, in the order of the papers."""
    found = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    made = []
    for each in found["table"]:
        entry = {**each, "paper": found["papers"][each["paper"]]}
        entry |= {"columns": tuple(each["columns"]), "rows": tuple(tuple(row) for row in each["rows"])}
        made.append(Table(**entry))
    return tuple(made)


def measured(paths: Sequence[pathlib.Path]) -> list[Measured]:
    """Our rows out of the `table.json` of evaluations and detections; InputError where a file is none."""
    return [row for path in paths for row in _rows(path / "table.json" if source_file.is_folder(path) else path)]


def _rows(file: pathlib.Path) -> list[Measured]:
    source_file.require_file(file, "a table.json")
    found = records.parse(source_file.read(file), file, finite=False)
    with errors.boundary(file, "a table.json written by trainers.evaluate or trainers.detect"):
        name, version = found["protocol"]["name"], found["protocol"]["version"]
        tests = f"{found['test_set']['name']}, {found['test_set']['images']} images"
        about = str(found["test_set"]["about"])
        return [
            Measured(row["method"], name, f"{name} v{version}", row["name"], tests, about, _values(row, found))
            for row in found["rows"]
            if "method" in row
        ]


def _values(row: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    values = {}
    for name, score in row["scores"].items():
        mean, places = score["mean"], found["metrics"][name]["places"]
        values[name] = mean if isinstance(mean, str) else f"{mean:.{places}f}"
    if row.get("median_seconds") is not None:
        values["seconds"] = f"{row['median_seconds']:.3f}"
    if row.get("parameters_mb") is not None:
        values["parameters (MB)"] = f"{row['parameters_mb']:.1f}"
    return values


def text(rows: Sequence[Measured]) -> str:
    """Every table with protocol, image size and kind of blur; then the four methods, a column for each test set."""
    parts = [_table(table, rows) for table in published()]
    return "\n\n".join([*parts, _overview()])


def _table(table: Table, rows: Sequence[Measured]) -> str:
    candidates = [row for row in rows if row.protocol == table.protocol]
    # "blur" is not the beginning of "blur_gamma" here: the two differ by several dB.
    ours = [row for row in candidates if re.match(re.escape(table.benchmark) + r"(?!\w)", row.about)]
    others = [f"{row.name} on {row.test_set}" for row in candidates if row not in ours]
    lines = [["", *(_title(column) for column in table.columns)], *(list(row) for row in table.rows)]
    lines += [
        [
            f"here: {row.name} ({row.label}; {row.test_set})",
            *(row.values.get(column, "") for column in table.columns),
        ]
        for row in ours
    ]
    if table.method not in (row.method for row in ours):
        lines.append([f"here: {table.method} (not measured)", *("" for _ in table.columns)])
    heading = [
        f"{table.paper}, Table {table.number}",
        f"  test set: {table.test_set}; image size: {table.size}; blur: {table.blur}",
        f"  to be compared under protocol: {table.protocol}" + (f". {table.note}" if table.note else ""),
    ]
    empty = [catalogue.MISSING[column] for column in table.columns if column in catalogue.MISSING]
    about = [f"  Images of {row.name}: {row.about}." for row in ours]
    left_out = [f"  Measured on another test set, so not beside these: {each}." for each in others]
    return "\n".join([*heading, *_aligned(lines), *about, *(f"  {why}" for why in empty), *left_out])


_COMPARED = (("nah", "2"), ("kupyn", "1"), ("ramakrishnan", "4"), ("li", "I"))
_METHODS = {
    "DeepDeblur (Nah et al.)": ("Ours, K = 2", "Nah et al.", "MS-CNN", "DeepDeblur"),
    "DeblurGAN (Kupyn et al.)": ("", "DeblurGAN Comb", "", "DeblurGAN"),
    "Deep Generative Filter (Ramakrishnan et al.)": ("", "", "Ours (final)", ""),
    "light (Li et al.)": ("", "", "", "Ours"),
}


def _overview() -> str:
    """PSNR of the four methods as published; each paper has its own test set, so its own column."""
    numbers = tomllib.loads(_DATA.read_text(encoding="utf-8"))["table"]
    wanted = [next(t for t in numbers if (t["paper"], t["number"]) == key) for key in _COMPARED]
    lines = [["PSNR (dB) as published", *(f"{t['paper']}: {t['test_set']}, {t['size']}" for t in wanted)]]
    for method, names in _METHODS.items():
        cells = [
            next((row[1] for row in t["rows"] if row[0] == name), "") for t, name in zip(wanted, names, strict=True)
        ]
        lines.append([method, *cells])
    return "\n".join(
        ["Four test sets, four columns: figures of different columns cannot be compared.", *_aligned(lines)]
    )


def _title(column: str) -> str:
    if column in catalogue.METRICS:
        return catalogue.METRICS[column].title
    return {"norm-nr": "Norm-NR", "seconds": "s/image", "f1": "F1"}.get(column, column)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in command_line.aligned(rows)]
