"""What a dataset holds, in words."""

import collections
from collections.abc import Iterator

import numpy as np

from blursynth.report import averaged
from blursynth.storage import reader

COUNTED = ("split", "valid", "source", "trajectory", "reason")  # columns shown as counts or not at all
SKIPPED_SHOWN = 10


def describe(dataset: reader.Dataset) -> str:
    """A page of text about a dataset, complete or not."""
    lines = [*_heading(dataset), "", *_arrays(dataset)]
    if dataset.items:
        lines += ["", *_columns(dataset)]
        if averaged.is_averaged(dataset):
            lines += ["", *averaged.describe(dataset.columns)]
    return "\n".join([*lines, "", *_provenance(dataset)])


def _heading(dataset: reader.Dataset) -> Iterator[str]:
    made = dataset.attributes
    state = "complete" if made["complete"] else "INCOMPLETE: run the command that made it again to finish it"
    yield f"{dataset.path}: {dataset.items} {dataset.kind} ({state})"
    if dataset.kind == "pairs":
        split_names = made["splits"]
        counts = collections.Counter(split_names[k] for k in dataset.columns["split"])
        yield "  splits    " + ", ".join(f"{name} {counts[name]}" for name in split_names if counts[name])
        yield f"  sources   {len(dataset.sources)}"
        yield f"  light     {dataset.transfer_function}"
    left_out = made["items"] - dataset.items
    if left_out:
        yield f"  left out  {left_out} items"


def _arrays(dataset: reader.Dataset) -> Iterator[str]:
    yield f"arrays, shards of {dataset.attributes['shard_length']} items"
    for name in dataset.names:
        shape = dataset.shape_of(name)
        if shape:
            units = dataset.attributes_of(name).get("units", "1")
            size = " x ".join(str(extent) for extent in shape)
            yield f"  {name:<10} {size}, {dataset.dtype_of(name)}{'' if units == '1' else ', ' + units}"


def _columns(dataset: reader.Dataset) -> Iterator[str]:
    yield f"columns {'':<6}{'least':>10}{'median':>10}{'greatest':>10}"
    for name, values in dataset.columns.items():
        if name not in COUNTED:
            low, middle, high = np.min(values), np.median(values), np.max(values)
            units = dataset.attributes_of(name).get("units", "1")
            yield f"  {name:<12}{low:>10.4g}{middle:>10.4g}{high:>10.4g}{'' if units == '1' else ' ' + units}"


def _provenance(dataset: reader.Dataset) -> Iterator[str]:
    made = dataset.attributes
    yield f"made by  {made['command'] or '(not recorded)'}"
    yield f"seed     {made['seed']}"
    yield f"created  {made['created']}"
    yield "versions " + ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    yield "recipe"
    yield from (f"  {line}" for line in made["recipe"].splitlines() if line)
    skipped = made.get("skipped", [])
    if skipped:
        yield f"left out ({len(skipped)})"
        yield from (f"  {left['name']}: {left['reason']}" for left in skipped[:SKIPPED_SHOWN])
        if len(skipped) > SKIPPED_SHOWN:
            yield f"  and {len(skipped) - SKIPPED_SHOWN} more, in the dataset's attributes"
