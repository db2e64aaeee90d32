"""What an evaluation comes to: means, intervals, paired differences, time, memory and parameters, ready for JSON."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from trainers.evaluation import bootstrap
from trainers.evaluation import scores as evaluation
from trainers.inference import restorer
from trainers.metrics import catalogue

_MEGA = 1e6


def summary(
    rows: Sequence[evaluation.Network], wanted: evaluation.Wanted, journal: evaluation.Journal
) -> dict[str, Any]:
    """Everything a table shows, ready for JSON: means with intervals, paired differences, time, memory, parameters."""
    found = {row.name: [journal.entries[row.name, item.name] for item in wanted.tests.items] for row in rows}
    described = [_row(row, found[row.name], wanted) for row in rows]
    differences = [
        {"row": row.name, "against": other.name, **_differences(found[row.name], found[other.name], wanted.metrics)}
        for index, row in enumerate(rows)
        for other in rows[:index]
    ]
    every = found[rows[0].name]
    sizes = sorted({entry.size for entry in every})
    return {
        "protocol": {"name": wanted.protocol.name, "version": wanted.protocol.version, "about": wanted.protocol.about},
        "test_set": {
            "name": wanted.tests.name,
            "about": wanted.tests.about,
            "images": len(every),
            "groups": len({entry.group for entry in every}),
            "sizes": sizes if len(sizes) <= 4 else [sizes[0], "...", sizes[-1]],
            "transfer_function": wanted.tests.transfer_function or "unknown",
            "fingerprint": wanted.tests.fingerprint,
        },
        "device": str(wanted.device),
        "precision": "float32",
        "statistic": "Means of the images' values",
        "intervals": f"{bootstrap.LEVEL:.0%} bootstrap intervals, {bootstrap.DRAWS} draws of whole groups",
        "metrics": {name: _title(name) for name in wanted.metrics},
        "rows": described,
        "differences": differences,
    }


def _title(name: str) -> dict[str, Any]:
    if name in catalogue.MISSING:
        return {"title": "Norm-NR", "places": 4, "light": ""}
    if name not in catalogue.METRICS:
        return {"title": name, "places": 4, "light": ""}
    metric = catalogue.METRICS[name]
    return {"title": metric.title, "places": metric.places, "light": metric.light}


def _row(row: evaluation.Network, entries: Sequence[evaluation.Entry], wanted: evaluation.Wanted) -> dict[str, Any]:
    scores, missing = {}, {}
    for name in wanted.metrics:
        counted = [entry for entry in entries if name in entry.values]
        reasons = {entry.missing[name] for entry in entries if name in entry.missing}
        if reasons:
            missing[name] = f"{len(entries) - len(counted)} of {len(entries)} images: {' / '.join(sorted(reasons)[:3])}"
        if counted:
            mean = bootstrap.mean([entry.values[name] for entry in counted], [entry.group for entry in counted])
            scores[name] = dataclasses.asdict(mean)
    seconds = [entry.seconds for entry in entries if entry.seconds is not None]
    peaks = [entry.peak_mb for entry in entries if entry.peak_mb is not None]
    spoiled = [entry.image for entry in entries if entry.non_finite]
    about = {
        **row.describe(),
        "scores": scores,
        "missing": missing,
        "non_finite": {"images": spoiled, "values": sum(entry.non_finite for entry in entries)},
        "median_seconds": float(np.median(seconds)) if seconds else None,
        "peak_mb": max(peaks) if peaks else None,
    }
    if row.path is not None:
        count = _parameters(row.path)
        about |= {"parameters": count, "parameters_mb": count * 4 / _MEGA}
    return about


def _differences(
    entries: Sequence[evaluation.Entry], others: Sequence[evaluation.Entry], metrics: Sequence[str]
) -> dict[str, Any]:
    """Row minus other, over the images that both have a score for."""
    found = {}
    for name in metrics:
        both = [pair for pair in zip(entries, others, strict=True) if all(name in entry.values for entry in pair)]
        if both:
            values = [[entry.values[name] for entry in column] for column in zip(*both, strict=True)]
            groups = [pair[0].group for pair in both]
            found[name] = dataclasses.asdict(bootstrap.difference(values[0], values[1], groups))
    return {"scores": found}


def _parameters(path: pathlib.Path) -> int:
    """Of the restoring network."""
    return sum(value.numel() for value in restorer.load(path, torch.device("cpu")).networks["generator"].parameters())


def as_columns(entry: evaluation.Entry, metrics: Sequence[str], label: str) -> Mapping[str, Any]:
    """One line of the per-image CSV."""
    scores = {name: repr(entry.values[name]) if name in entry.values else "" for name in metrics}
    seconds = "" if entry.seconds is None else f"{entry.seconds:.6f}"
    notes = json.dumps(entry.notes) if entry.notes else ""
    return {
        "protocol": label, "row": entry.row, "image": entry.image, "group": entry.group, "size": entry.size, **scores,
        "seconds": seconds, "non_finite": entry.non_finite, "notes": notes,
    }  # fmt: skip


def to_json(found: Mapping[str, Any]) -> str:
    """A summary as JSON that every reader takes: what is no number becomes null, infinity the word "infinite"."""
    return json.dumps(_plain(found), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "infinite" if value > 0 else "-infinite"
    return value
