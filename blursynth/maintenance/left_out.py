"""Items that are marked as left out although their sources can be used, and making them after all.

Versions that took a source that could not be read at one moment for a damaged one have left such items behind.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.makers import registry, window_columns
from blursynth.production import executors, retries
from blursynth.production import maker as makers
from blursynth.storage import integrity, provenance, reader, writer
from blursynth.storage import schema as schemas
from blursynth.stores import store

Columns = Mapping[str, npt.NDArray[Any]]

_SOURCES = (schemas.SOURCE, "blurred_source")  # columns that name the files of an item
_REASON = "reason"
PROBLEM = "marks items as left out whose sources can be used; `blursynth repair` makes them"


def suspects(columns: Columns) -> npt.NDArray[np.int64]:
    """Rows that are left out for a reason that a source which could not be read may have been taken for."""
    left_out = columns[schemas.VALID] == 0
    if _REASON in columns:
        left_out &= np.isin(columns[_REASON], [int(reason) for reason in window_columns.OF_LOSS.values()])
    return np.flatnonzero(left_out)


def usable(maker: makers.Maker, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which of these items (ascending) can be made. Raises SourceError where their sources cannot be read."""
    found = [
        np.arange(run.start, run.stop, dtype=np.int64)[maker.make(run)[schemas.VALID] == 1] for run in _runs(items)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _runs(items: npt.NDArray[np.int64]) -> Iterator[range]:
    """Items that follow one another, as ranges."""
    for part in np.split(items, np.flatnonzero(np.diff(items) != 1) + 1):
        if part.size:
            yield range(int(part[0]), int(part[-1]) + 1)


class Revival:
    """The items of one finished dataset that are wrongly left out, and how they are made.

    `made`: a finding for each shard in which `run` has made some. `remarks`: what there is to say, in sentences.
    """

    def __init__(self, path: str, moved: Mapping[str, str], workers: int | None) -> None:
        self.path = path
        self.made: list[integrity.Finding] = []
        self.remarks: list[str] = []
        self._workers = workers or executors.available_workers()
        stored, _ = integrity.inspect(path)
        assert stored is not None, f"{path} vanished"
        self._stored = stored
        self._moved = moved
        self._columns = self._read_columns()

    def run(self) -> None:
        """Make them, if there are any. Can be interrupted: the command that made the dataset completes it then."""
        if self._columns is None or not suspects(self._columns).size:
            return
        try:
            self._maker = registry.rebuild(self._stored.attributes, self._stored.sources or (), self._moved)
        except errors.BlursynthError as error:
            self.remarks.append(f"Whether items that were left out can be made now is not known: {error}")
            return
        self._make()

    def _read_columns(self) -> dict[str, npt.NDArray[Any]] | None:
        """The columns that matter; None for a dataset in which nothing is left out, or that is not finished."""
        attributes = self._stored.attributes
        if not self._stored.complete or attributes["valid_items"] == attributes["items"]:
            return None
        names = [name for name in (schemas.VALID, _REASON, *_SOURCES) if name in self._stored.arrays]
        if not {schemas.VALID, schemas.SOURCE} <= set(names):
            return None
        with store.failures(self.path, "read the columns", hint=""):
            return {name: reader.open_array(self.path, name).read().result() for name in names}

    def _make(self) -> None:
        """Find the items, mark the dataset as begun, make them, and finish it again."""
        wrong = self._wrong()
        if not wrong:
            return
        names = self._names(np.concatenate([*wrong.values()]))
        begun = writer.reopen(self.path, self._stored.attributes, sorted(wrong), names)
        task = functools.partial(self._shard, wrong, provenance.identity(begun))
        executors.run(task, sorted(wrong), workers=self._workers, finished=lambda _: None)
        invalid = writer.invalid_items(self.path)
        ours = [k for k in invalid.tolist() if self._names(np.array([k])) & names]
        reasons = list(retries.patiently(lambda: self._maker.skipped(ours))) if ours else []
        if isinstance(self._maker, makers.PartlyReadable):
            reasons = [*self._maker.losses(names), *reasons]
        writer.finalise(self.path, self._maker.schema, reasons, len(invalid))
        key = functools.partial(self._stored.key, schemas.VALID)
        self.made = [
            integrity.Finding(key(shard), PROBLEM.partition(";")[0], schemas.VALID, shard, tuple(items.tolist()))
            for shard, items in sorted(wrong.items())
        ]
        count = sum(len(items) for items in wrong.values())
        self.remarks.append(
            f"{count} items had been left out because their sources could not be read when the dataset was made. They "
            "are made now, so the dataset has a new fingerprint: what was made from it will ask for the old one."
        )

    def _wrong(self) -> dict[int, npt.NDArray[np.int64]]:
        """By shard, the items that can be made."""
        assert self._columns is not None
        items = suspects(self._columns)
        by_shard = {
            shard: items[(items >= of.start) & (items < of.stop)]
            for shard, of in ((k, self._stored.items_of(k)) for k in range(self._stored.shards))
        }
        wrong: dict[int, npt.NDArray[np.int64]] = {}

        def look(shard: int) -> None:
            try:
                found = usable(self._maker, by_shard[shard])
            except (errors.SourceError, errors.InputError) as error:
                self.remarks.append(f"Whether items that were left out can be made now is not known: {error}")
                return
            if found.size:
                wrong[shard] = found

        asked = [shard for shard, mine in by_shard.items() if mine.size]
        executors.run(look, asked, workers=self._workers, finished=lambda _: None)
        self.remarks = list(dict.fromkeys(self.remarks))
        return wrong

    def _names(self, items: npt.NDArray[np.int64]) -> set[str]:
        """Names of the sources of these items."""
        assert self._columns is not None
        listed = self._stored.sources or []
        columns = [self._columns[name] for name in _SOURCES if name in self._columns]
        return {listed[k]["name"] for column in columns for k in np.unique(column[items]).tolist()}

    def _shard(self, wrong: Mapping[int, npt.NDArray[np.int64]], identity: str, shard: int) -> None:
        """Store a shard with the items that are made now; all others stay as they are, to the bit."""
        items = self._stored.items_of(shard)
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name in self._stored.arrays:
            with store.failures(self.path, f"read {name}", hint=""):
                arrays[name] = reader.open_array(self.path, name)[items.start : items.stop].read().result()
        for run in _runs(wrong[shard]):
            made = retries.patiently(functools.partial(self._maker.make, run))
            for name, values in made.items():
                arrays[name][run.start - items.start : run.stop - items.start] = values
        writer.write_shard(self.path, self._maker.schema, shard, arrays, identity)
