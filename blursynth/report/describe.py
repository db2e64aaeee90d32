"""What a dataset holds, in words."""

import collections
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from blursynth.storage import reader

# Columns shown as counts, or not at all.
COUNTED = ("split", "valid", "source", "blurred_source", "trajectory", "reason")
SKIPPED_SHOWN = 10
_BINS, _BAR = 8, 40  # of a histogram, and characters of its longest bar


def describe(dataset: reader.Dataset) -> str:
    """A page of text about a dataset, complete or not."""
    lines = [*_heading(dataset), "", *_arrays(dataset)]
    if dataset.items:
        lines += ["", *_columns(dataset)]
        if "first_frame" in dataset.columns:
            lines += ["", *_windows(dataset)]
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
    shapes = {name: shape for name in dataset.names if (shape := dataset.shape_of(name))}
    width = _width(shapes)
    for name, shape in shapes.items():
        units = dataset.attributes_of(name).get("units", "1")
        size = " x ".join(str(extent) for extent in shape)
        yield f"  {name:<{width}}{size}, {dataset.dtype_of(name)}{'' if units == '1' else ', ' + units}"


def _columns(dataset: reader.Dataset) -> Iterator[str]:
    columns = {name: values for name, values in dataset.columns.items() if name not in COUNTED}
    width = _width(columns)
    yield f"{'columns':<{width + 2}}{'least':>10}{'median':>10}{'greatest':>10}"
    for name, values in columns.items():
        low, middle, high = np.min(values), np.median(values), np.max(values)
        units = dataset.attributes_of(name).get("units", "1")
        yield f"  {name:<{width}}{low:>10.4g}{middle:>10.4g}{high:>10.4g}{'' if units == '1' else ' ' + units}"


def _width(names: Iterable[str]) -> int:
    return max([10, *(len(name) + 1 for name in names)])


def _windows(dataset: reader.Dataset) -> Iterator[str]:
    """How M and motion are distributed."""
    columns = dataset.columns
    counts, items = np.unique(columns["frames"], return_counts=True)
    yield "frames in a window (M)"
    yield from (_bar(f"{count}", number, items.max()) for count, number in zip(counts, items, strict=True))
    for name, title in (("step_px", "largest step between frames"), ("motion_px", "motion over the window")):
        values = columns[name]
        if not len(values) or np.isnan(values).any():
            continue
        numbers, edges = np.histogram(values, _BINS, (0, max(float(values.max()), 1.0)))
        yield f"{title}, px"
        labels = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
        yield from (_bar(label, number, numbers.max()) for label, number in zip(labels, numbers, strict=True))


def _bar(label: str, number: int, most: int) -> str:
    return f"  {label:<18}{number:>8} {'#' * round(_BAR * number / most)}"


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
