"""A dataset of pairs in another tool's layout: planned, written several units at a time, gone on with after a stop.

Every object is written whole or not at all, and is kept where it has the bytes that were written (`exported`);
`blursynth.json` beside the pairs says from the start what is being written, and at last that it is complete.
"""

import csv
import dataclasses
import functools
import hashlib
import io
import logging
import os
import pathlib
import re
import time
import tomllib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from blursynth import errors
from blursynth.layouts import exported, flat, gopro, layout, webdataset
from blursynth.media import pair_names, source_file
from blursynth.production import executors
from blursynth.storage import lock, provenance, reader
from blursynth.stores import store as place

_log = logging.getLogger(__name__)

LAYOUTS: dict[str, types.ModuleType] = {"gopro": gopro, "flat": flat, "webdataset": webdataset}

SEQUENCE = 1000  # pairs in a sequence of the GOPRO tree, where they come from photos
_TAR_BYTES = 128 * 2**20  # of pixels in a tar: about half as much as PNG
_FEWEST_TARS = 16  # of a small set: so many can write it, and read it, side by side
_PIECE = 8 * 2**20  # bytes of pixels that a task reads at a time
_IN_FLIGHT = 16  # objects of a task that are on their way to the store


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Pairs in all, and how many of them were written now; how many in each split; seconds of wall time.

    changed: files that were there with other bytes than they should have, and were written again.
    """

    pairs: int
    written: int
    changed: tuple[str, ...]
    splits: Mapping[str, int]
    seconds: float


def export(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    to: str,
    *,
    blurred_as: str | None = None,
    pairs_per_tar: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Write the pairs of the finished dataset `source` to `out` in the layout `to`: gopro, flat or webdataset.

    `blurred_as`: name of the folder of blurred images in the GOPRO tree, instead of the one for the dataset's
    transfer function. `pairs_per_tar`: by default as many as are 128 MiB of pixels, or a sixteenth of a small set.
    `overwrite`: remove an export that is there; nothing but exports of ours is ever removed. `progress(done, total)` is
    called in this thread, in pairs.

    Raises DatasetError where there is no such dataset, the place is taken or cannot be written, RecipeError where the
    layout has no name for the dataset's light. Whatever stops it, the same call goes on.
    """
    began = time.monotonic()
    dataset = source_file.patiently(lambda: reader.open(source))
    plan = source_file.patiently(lambda: planned(dataset, to, blurred_as, pairs_per_tar))
    path = place.normalise(out)
    manifest = _manifest(dataset, to, plan)
    with lock.held(path):
        record = exported.Record(path, _begin(path, manifest, overwrite))
        try:
            written = _write(
                dataset, path, record, LAYOUTS[to], plan, workers or executors.available_workers(), progress
            )
        finally:
            record.save(now=True)
        table = source_file.patiently(lambda: _table(dataset, LAYOUTS[to], plan))
        place.write_bytes(path, exported.TABLE, table)
        digests = {"digests_sha256": record.sha256, "table_sha256": hashlib.sha256(table).hexdigest()}
        place.write_json(path, exported.MANIFEST, manifest | {"complete": True} | digests)
    return Outcome(len(plan.number), written, tuple(record.changed), manifest["pairs"], time.monotonic() - began)


def planned(dataset: reader.Dataset, to: str, blurred_as: str | None, pairs_per_tar: int | None) -> layout.Plan:
    """What an export of a dataset consists of. Raises as `export` does."""
    if not {"blurred", "sharp"} <= set(dataset.names):
        raise errors.DatasetError(f"{dataset.path} holds {dataset.kind}; pairs can be exported.")
    if not dataset.items:
        raise errors.DatasetError(f"{dataset.path} has no item that could be exported.")
    if blurred_as is not None and to != "gopro":
        raise errors.RecipeError(f"--blurred-as names a folder of the GOPRO tree; --to {to} has none.")
    if pairs_per_tar is not None and to != "webdataset":
        raise errors.RecipeError(f"--pairs-per-tar is for tars; --to {to} writes none.")
    blurred = gopro.blurred_folder(dataset.transfer_function, blurred_as) if to == "gopro" else ""
    pair_bytes = 2 * int(np.prod(dataset.shape_of("sharp")))
    usual = max(1, min(_TAR_BYTES // pair_bytes, -(-dataset.items // _FEWEST_TARS)))
    sequence, sequences = _sequences(dataset)
    return layout.Plan(
        number=dataset.item_numbers,
        split=np.asarray(dataset.columns["split"]),
        splits=dataset.splits,
        sequence=sequence,
        sequences=sequences,
        blurred=blurred,
        pairs_per_tar=pairs_per_tar or usual,
    )


def _sequences(dataset: reader.Dataset) -> tuple[Any, tuple[str, ...]]:
    """The sequence of each pair: its clip's, or the one that it had in an imported tree; else SEQUENCE pairs each."""
    paths = [pathlib.PurePosixPath(source["name"]) for source in dataset.sources]
    if "first_frame" in dataset.columns:  # sources are clips
        of_source: list[str | None] = [path.with_suffix("").as_posix() for path in paths]
    elif "blurred_source" in dataset.columns:  # sources are images of pairs
        recipe = tomllib.loads(dataset.attributes["recipe"])
        of_source = [_sequence_in_tree(path, recipe) for path in paths]
    else:
        of_source = []
    if all(name is None for name in of_source):
        sequence = dataset.item_numbers // SEQUENCE
        return sequence, tuple(f"pairs_{number:05d}" for number in range(int(sequence[-1]) + 1))
    named: dict[str, int] = {}
    numbers = [named.setdefault(re.sub(r"[^\w.-]+", "_", n or "") or "sequence", len(named)) for n in of_source]
    return np.asarray(numbers)[dataset.columns["source"]], tuple(named)


def _sequence_in_tree(path: pathlib.PurePosixPath, recipe: Mapping[str, Any]) -> str | None:
    """The sequence of an imported file: the folder above `sharp`, or those below it (REDS); None where it has none."""
    if path.parent.name == gopro.SHARP:
        return path.parent.parent.name
    if recipe.get("layout") not in ("gopro", "flat"):
        return None
    return pair_names.sequence_below(path.as_posix(), str(recipe.get("sharp") or gopro.SHARP))


def _manifest(dataset: reader.Dataset, to: str, plan: layout.Plan) -> dict[str, Any]:
    """What is written, from what, and how that was made."""
    counts = np.bincount(plan.split, minlength=len(plan.splits)).tolist()
    height, width, _ = dataset.shape_of("sharp")
    record = (
        "kind",
        "recipe",
        "seed",
        "command",
        "versions",
        "created",
        "sources",
        "sources_sha256",
        "skipped",
        "maker",
    )
    return {
        "written_by": f"blursynth {provenance.versions()['blursynth']}",
        "layout": to,
        "complete": False,
        "matching": LAYOUTS[to].MATCHING.format(folder=plan.blurred),
        "transfer_function": dataset.transfer_function,
        "height": height,
        "width": width,
        "pairs": {split: count for split, count in zip(plan.splits, counts, strict=True) if count},
        "fingerprint": dataset.fingerprint,
        "options": {"blurred_as": plan.blurred, "pairs_per_tar": plan.pairs_per_tar if to == "webdataset" else None},
        "dataset": {key: dataset.attributes[key] for key in record},
    }


def _differences(there: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """In words, what makes the export that is there another one."""
    if there.get("layout") != manifest["layout"]:
        return [f"it is laid out as {there.get('layout')}"]
    found = []
    if there.get("fingerprint") != manifest["fingerprint"]:
        found.append("it is of another dataset, or of this one before it grew or was made anew")
    before = there.get("options") or {}
    for name, value in manifest["options"].items():
        if before.get(name) != value:
            found.append(f"--{name.replace('_', '-')} {before.get(name)} there, {value} asked for")
    return found


def _begin(path: str, manifest: Mapping[str, Any], overwrite: bool) -> str | None:
    """Put down what is being written, where nothing else is.

    Gives the SHA-256 of the record of files of a complete export that is there and gone on with, if it says that.
    """
    if not place.is_vacant(path):
        there = place.read_json(path, exported.MANIFEST)
        if not isinstance(there, dict) or "written_by" not in there:
            raise errors.DatasetError(
                f"{path} exists and is not an export of ours, so it is left alone; name another place."
            )
        other = _differences(there, manifest)
        if other and not overwrite:
            raise errors.DatasetError(
                f"{path} holds another export than the one asked for ({'; '.join(other)}). Use --overwrite to replace "
                "it, or choose another place."
            )
        if overwrite:
            place.remove(path, exported.MANIFEST, there | {"complete": False})
        else:
            place.sweep(path)
            return there.get("digests_sha256") if there.get("complete") else None
    place.write_json(path, exported.MANIFEST, manifest)
    return None


def _write(
    dataset: reader.Dataset,
    path: str,
    record: exported.Record,
    to: types.ModuleType,
    plan: layout.Plan,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Write every unit of which something is missing or changed; gives the number of pairs that were written."""
    units = list(to.units(plan))
    there = set(place.names(path) or ()).intersection(key for unit in units for key in unit.keys)
    sound = record.sound(there, workers)
    tasks = [unit for unit in units if not sound.issuperset(unit.keys)]
    total = len(plan.number)
    done = total - sum(len(unit.lacking(sound)) for unit in tasks)
    if there:
        _log.info("Going on with %s: %d of %d pairs are there.", path, done, total)
    read = _Reader(dataset, plan)
    source_file.patiently(read.prepare)
    job = _Job(path, record, to, read, sound, frozenset(there))
    written: dict[layout.Unit, int] = {}

    def finished(unit: layout.Unit) -> None:
        nonlocal done
        done += len(unit.lacking(sound))
        record.save()
        if progress is not None:
            progress(done, total)

    if progress is not None:
        progress(done, total)
    executors.run(lambda unit: written.update({unit: job.write(unit)}), tasks, workers=workers, finished=finished)
    return sum(written.values())


@dataclasses.dataclass(frozen=True)
class _Job:
    """What a task needs. sound: files that have the bytes recorded; there: all that are there."""

    path: str
    record: exported.Record
    to: types.ModuleType
    read: layout.Read
    sound: frozenset[str]
    there: frozenset[str]

    def write(self, unit: layout.Unit) -> int:
        """Write what a unit lacks; gives the number of its pairs of which something was written."""
        store = place.store(self.path)
        writes: list[tuple[str, bytes, Any]] = []
        kept = set(self.sound)

        def end(writes: Sequence[tuple[str, bytes, Any]]) -> None:
            for key, data, write in writes:
                with place.failures(self.path, f"write {key}"):
                    write.result()
                self.record.add(key, data)

        for key, data in self.to.objects(unit, self.read, self.sound):
            if key in self.there and self.record.is_there(key, data):
                self.record.add(key, data)
                kept.add(key)
                continue
            with place.failures(self.path, f"write {key}"):
                writes.append((key, data, store.write(key, data)))
            if len(writes) >= _IN_FLIGHT:
                end(writes[:1])
                del writes[0]
        end(writes)
        return len(unit.lacking(frozenset(kept)))


class _Reader:
    """Reads pairs by position, a few at a time; what of the columns all need is read once, before threads do."""

    def __init__(self, dataset: reader.Dataset, plan: layout.Plan) -> None:
        self._dataset = dataset
        self._plan = plan
        self._at_once = max(1, _PIECE // (2 * int(np.prod(dataset.shape_of("sharp")))))
        self._columns: dict[str, Any] = {}
        self._sources: list[str] = []

    def prepare(self) -> None:
        self._columns = {name: values for name, values in self._dataset.columns.items() if name != "valid"}
        self._sources = [str(source["name"]) for source in self._dataset.sources]

    def __call__(self, positions: Sequence[int]) -> Iterator[layout.Sample]:
        for first in range(0, len(positions), self._at_once):
            part = positions[first : first + self._at_once]
            blurred_NHWC, sharp_NHWC = source_file.patiently(functools.partial(self._read, part))
            for row, position in enumerate(part):
                yield layout.Sample(blurred_NHWC[row], sharp_NHWC[row], self.facts(position))

    def _read(self, positions: Sequence[int]) -> tuple[Any, Any]:
        return self._dataset.read("blurred", positions), self._dataset.read("sharp", positions)

    def facts(self, position: int) -> dict[str, Any]:
        """What is known of a pair: its key, item, split and source by name, and its columns; no number is null."""
        facts: dict[str, Any] = {
            "key": self._plan.file_number(position),
            "item": int(self._plan.number[position]),
            "split": self._plan.split_of(position),
        }
        for name, values in self._columns.items():
            if name == "source":
                facts["source"] = self._sources[int(values[position])] if self._sources else int(values[position])
            elif name != "split":
                value = values[position].item()
                facts[name] = value if np.isfinite(value) else None
        return facts


def _table(dataset: reader.Dataset, to: types.ModuleType, plan: layout.Plan) -> bytes:
    """One line a pair: item, split, source, its files, and all columns."""
    read = _Reader(dataset, plan)
    read.prepare()
    text = io.StringIO()
    rows: csv.DictWriter[str] | None = None
    for position in range(len(plan.number)):
        blurred, sharp = to.names(plan, position)
        facts = read.facts(position)
        row = {"blurred": blurred, "sharp": sharp, **{name: value for name, value in facts.items() if name != "key"}}
        if rows is None:
            rows = csv.DictWriter(text, list(row), lineterminator="\n")
            rows.writeheader()
        rows.writerow(row)
    return text.getvalue().encode()
