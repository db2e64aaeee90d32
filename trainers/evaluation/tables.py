"""An evaluation as text, Markdown and CSV. No table without the name and the version of its protocol."""

import csv
import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from blursynth.media import atomic_file
from trainers import command_line
from trainers.evaluation import scores as evaluation
from trainers.evaluation import summary

_BLOCK = 4
"""Metrics beside each other in a text table."""

_FEW = 10
"""Groups, below which the table warns of its bootstrap intervals."""


def write(
    folder: pathlib.Path, found: Mapping[str, Any], entries: Sequence[evaluation.Entry], columns: Sequence[str]
) -> None:
    """The table as text, Markdown and JSON, and each image's scores (of `columns`) as CSV, into a folder."""
    for name, content in (
        ("per-image.csv", per_image(entries, columns, label(found))),
        ("table.txt", text(found)),
        ("table.md", markdown(found)),
        ("table.json", summary.to_json(found)),
    ):
        atomic_file.replace(folder / name, content.encode())


def text(found: Mapping[str, Any]) -> str:
    """For a terminal: means with intervals, differences, time and size."""
    lines = _heading(found)
    metrics = list(found["metrics"])
    for start in range(0, len(metrics), _BLOCK):
        some = metrics[start : start + _BLOCK]
        lines += ["", *command_line.aligned(_scores(found, some))]
    lines += ["", *command_line.aligned(_classes(found))] if _classes(found) else []
    if found["differences"]:
        lines += [
            "",
            "Paired differences (row minus the other), with intervals:",
            *command_line.aligned(_differences(found)),
        ]
    lines += ["", *command_line.aligned(_costs(found)), *(["", *_notes(found)] if _notes(found) else [])]
    return "\n".join(lines) + "\n"


def markdown(found: Mapping[str, Any]) -> str:
    """The same for a document."""
    parts = [" \n".join(_heading(found)), _pipes(_scores(found, list(found["metrics"])))]
    parts += [_pipes(_classes(found))] if _classes(found) else []
    if found["differences"]:
        parts += ["Paired differences (row minus the other), with intervals:", _pipes(_differences(found))]
    parts += [_pipes(_costs(found))]
    if _notes(found):
        parts += ["\n".join(f"- {note}" for note in _notes(found))]
    return "\n\n".join(parts) + "\n"


def per_image(entries: Sequence[evaluation.Entry], metrics: Sequence[str], label: str) -> str:
    """CSV, one line per row and image."""
    buffer = io.StringIO()
    lines = [summary.as_columns(entry, metrics, label) for entry in entries]
    writer = csv.DictWriter(buffer, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def label(found: Mapping[str, Any]) -> str:
    """ "gopro-rgb v2"."""
    return f"{found['protocol']['name']} v{found['protocol']['version']}"


def _heading(found: Mapping[str, Any]) -> list[str]:
    tests = found["test_set"]
    sizes = " ".join(tests["sizes"])
    groups = f"{tests['groups']} group{'s' * (tests['groups'] != 1)}"
    truth = found.get("truth")
    objects = [f"Truth: {truth['objects']} objects on the sharp images"] if truth else []
    return [
        f"Protocol {label(found)}: {found['protocol']['about']}",
        f"Test set: {tests['name']}, {tests['images']} images of {sizes} in {groups}; {tests['about']};"
        f" transfer function {tests['transfer_function']}",
        f"{found['statistic']} with {found['intervals']}; {found['precision']} on {found['device']}",
        *objects,
    ]


def _scores(found: Mapping[str, Any], metrics: Sequence[str]) -> list[list[str]]:
    titles = [f"{found['metrics'][name]['title']}" for name in metrics]
    return [[label(found), *titles], *([row["name"], *_cells(found, row, metrics)] for row in found["rows"])]


def _cells(found: Mapping[str, Any], row: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    return [_interval(row["scores"].get(name), found["metrics"][name]) for name in metrics]


def _classes(found: Mapping[str, Any]) -> list[list[str]]:
    """A detection's scores by class; nothing for other tables, or where there is one class."""
    if len(found["rows"][0].get("classes", ())) < 2:
        return []
    titles = [metric["title"] for metric in found["metrics"].values()]
    rows = [[label(found), "class", *titles]]
    for row in found["rows"]:
        rows += [
            [row["name"], name, *_cells(found, {"scores": scores}, list(found["metrics"]))]
            for name, scores in row["classes"].items()
        ]
    return rows


def _interval(value: Mapping[str, float] | None, metric: Mapping[str, Any], *, sign: bool = False) -> str:
    if value is None:
        return ""
    places = metric["places"]
    shown = f"{value['mean']:{'+' if sign else ''}.{places}f}"
    if math.isnan(value["low"]):
        return shown
    return f"{shown} [{value['low']:.{places}f}, {value['high']:.{places}f}]"


def _differences(found: Mapping[str, Any]) -> list[list[str]]:
    metrics = [name for name in found["metrics"] if any(name in each["scores"] for each in found["differences"])]
    shown = metrics[:3] if "truth" in found else metrics[:2]
    rows = [[label(found), *(found["metrics"][name]["title"] for name in shown)]]
    for each in found["differences"]:
        cells = (_interval(each["scores"].get(name), found["metrics"][name], sign=True) for name in shown)
        rows.append([f"{each['row']} - {each['against']}", *cells])
    return rows


def _costs(found: Mapping[str, Any]) -> list[list[str]]:
    where = f"{found['precision']}, {found['device']}, {' '.join(found['test_set']['sizes'])}"
    rows = [["Network", f"median s/image ({where})", "peak MB", "parameters (M)", "parameters (MB)"]]
    for row in found["rows"]:
        if "parameters" not in row:
            continue
        cells = (row["median_seconds"], row["peak_mb"], row["parameters"] / 1e6, row["parameters_mb"])
        shown = ("" if cell is None else f"{cell:.{places}f}" for cell, places in zip(cells, (4, 0, 3, 2), strict=True))
        rows.append([row["name"], *shown])
    return rows if len(rows) > 1 else []


def _notes(found: Mapping[str, Any]) -> list[str]:
    notes = []
    groups = found["test_set"]["groups"]
    if groups < _FEW:
        what = "too few for an interval" if groups < 2 else "so few that intervals come out too narrow"
        notes.append(f"The images are of {groups} group{'s' * (groups > 1)} (photo, clip or scene), {what}.")
    reasons: dict[str, list[str]] = {}
    for row in found["rows"]:
        for name, why in row["missing"].items():
            reasons.setdefault(f"{found['metrics'][name]['title']} is empty for {why}", []).append(row["name"])
    for why, rows in reasons.items():
        where = "" if len(rows) == len(found["rows"]) else f"{', '.join(rows)}: "
        notes.append(f"{where}{why}")
    for row in found["rows"]:
        if row.get("seen"):
            notes.append(f"{row['name']} was trained on {row['seen']}: its scores are no test.")
        for name, score in row["scores"].items():
            if math.isinf(score["mean"]):
                title = found["metrics"][name]["title"]
                notes.append(f"{row['name']}: {title} is infinite, because some images equal the sharp ones exactly.")
        spoiled = row["non_finite"]["images"]
        if spoiled:
            named = ", ".join(spoiled[:5]) + (" ..." if len(spoiled) > 5 else "")
            notes.append(
                f"{row['name']}: {row['non_finite']['values']:,} values of the output are not finite numbers, in "
                f"{len(spoiled)} images that are left out of its means: {named}"
            )
    return notes


def _pipes(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
