"""Pictures beside the scores: each network's best, median and worst image, or photos that have no ground truth."""

import itertools
import pathlib
from collections.abc import Sequence

from blursynth.media import photos
from trainers.evaluation import scores
from trainers.inference import contact_sheet

PAGE = 10
"""Photos without ground truth on one sheet."""


def write(
    folder: pathlib.Path, rows: Sequence[scores.Network], wanted: scores.Wanted, journal: scores.Journal
) -> list[pathlib.Path]:
    """The sheets of an evaluation, as PNG files in `folder`; gives their paths."""
    if not wanted.tests.truth:
        return _pages(folder, rows, wanted)
    return [_extremes(folder, row, wanted, journal) for row in rows if row.path is not None]


def _extremes(
    folder: pathlib.Path, row: scores.Network, wanted: scores.Wanted, journal: scores.Journal
) -> pathlib.Path:
    metric = wanted.metrics[0]
    scored = [
        (journal.entries[row.name, item.name].values[metric], item)
        for item in wanted.tests.items
        if metric in journal.entries[row.name, item.name].values
    ]
    scored.sort(key=lambda pair: -pair[0])
    places = {"best": 0, "median": len(scored) // 2, "worst": len(scored) - 1}
    network = scores.load(row, wanted)
    pictures, captions = [], []
    for place, index in places.items() if scored else ():
        value, item = scored[index]
        before = journal.entries[scores.INPUT, item.name].values.get(metric, float("nan"))
        done = scores.restore(network, item, wanted)
        assert done.image is not None, f"{item.name} was scored"
        frame = int(journal.entries[row.name, item.name].notes.get("frame", 0))
        sharp = wanted.protocol.prepared(next(itertools.islice(item.truths(), frame, None)))
        pictures.append((done.given, done.image, sharp))
        captions.append(
            (
                f"{place}: {item.name}, input {before:.4g}",
                f"{row.name}, {metric} {value:.4g}",
                f"sharp; {wanted.protocol.label}",
            )
        )
    path = folder / f"sheet-{_file_name(row.name)}.png"
    if pictures:
        photos.write_png(path, contact_sheet.sheet(pictures, captions))
    return path


def _pages(folder: pathlib.Path, rows: Sequence[scores.Network], wanted: scores.Wanted) -> list[pathlib.Path]:
    """Input and every network's result, ten photos a page."""
    networks = [(row.name, scores.load(row, wanted)) for row in rows]
    paths = []
    for number, start in enumerate(range(0, len(wanted.tests.items), PAGE), 1):
        pictures, captions = [], []
        for item in wanted.tests.items[start : start + PAGE]:
            done = [scores.restore(network, item, wanted) for _, network in networks]
            pictures.append([each.given if each.image is None else each.image for each in done])
            spoiled = ["" if each.image is not None else " (not finite: input shown)" for each in done]
            captions.append([f"{item.name}: {name}{note}" for (name, _), note in zip(networks, spoiled, strict=True)])
        paths.append(folder / f"sheet-{number:02d}.png")
        photos.write_png(paths[-1], contact_sheet.sheet(pictures, captions))
    return paths


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
