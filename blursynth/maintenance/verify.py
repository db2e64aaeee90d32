"""Whether a dataset still is what was made: its files, its values, and the photos it came from."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.maintenance import invariants, left_out
from blursynth.makers import registry
from blursynth.production import executors
from blursynth.production import maker as makers
from blursynth.sources import source as sources_
from blursynth.storage import integrity, provenance, reader
from blursynth.storage import schema as schemas
from blursynth.stores import store

Finding = integrity.Finding
Progress = Callable[[int, int], None]

_AT_ONCE = 8 * 2**20  # bytes of an array that are decoded at a time
_SHARP = "sharp"
_CROPS = ("crop_y", "crop_x")


@dataclasses.dataclass(frozen=True)
class Report:
    """What was looked at and what was found. `compared`: sharp images that were compared with their sources.

    `remarks`: what may explain a difference, in sentences.
    """

    path: str
    kind: str
    items: int
    shards: int
    compared: int
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    seconds: float

    @property
    def sound(self) -> bool:
        return all(finding.warning for finding in self.findings)


def verify(
    path: str | os.PathLike[str],
    *,
    quick: bool = False,
    sources: bool = True,
    moved: Mapping[str, str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare objects with their digests, decode them, and compare what they hold with what it has to be.

    That is ranges and laws of the values, and for sharp images their sources. `quick`: digests alone. `sources`:
    compare with the photos, which are looked for where the record has them or where `moved["photos"]` says.
    `progress(done, total)` is called in this thread, in shards. Nothing is written.
    Raises DatasetError where there is no dataset, or one of a newer format; all else that is wrong is a finding.
    """
    began = time.monotonic()
    path = store.normalise(path)
    stored, findings = integrity.inspect(path)
    if stored is None:
        return Report(path, "dataset", 0, 0, 0, tuple(findings), (), time.monotonic() - began)
    if not stored.complete:
        findings.append(Finding(schemas.GROUP, _unfinished(stored), damage=False))
    maker = None
    if not quick and sources and stored.sources:
        try:
            maker = registry.rebuild(stored.attributes, stored.sources, moved or {})
        except errors.BlursynthError as error:
            advice = "Name their new place with --photos, --clips or --images, or leave them out with --no-sources."
            findings.append(Finding("sources", f"cannot be compared: {error} {advice}", damage=False))
    checks = _all_shards(_Checker(stored, maker, decoded=not quick, judged=not quick), workers, progress)
    findings += dict.fromkeys(finding for check in checks for finding in check.findings)  # a source is named once
    remarks = provenance.other_versions(stored.attributes["versions"]) if any(c.unlike for c in checks) else []
    return Report(
        path=path,
        kind=stored.attributes["kind"],
        items=stored.attributes["items"],
        shards=stored.shards,
        compared=sum(check.compared for check in checks),
        findings=tuple(findings),
        remarks=tuple(remarks),
        seconds=time.monotonic() - began,
    )


def damage(stored: integrity.Stored, workers: int | None, progress: Progress | None) -> list[Finding]:
    """What is wrong with the objects of all shards: other digests than recorded, or nothing that can be decoded."""
    checks = _all_shards(_Checker(stored, None, decoded=True, judged=False), workers, progress)
    return [finding for check in checks for finding in check.findings]


def _unfinished(stored: integrity.Stored) -> str:
    missing = stored.shards - int(stored.finished.sum())
    return (
        f"says that the dataset is not finished: {missing} of {stored.shards} shards are still to be made. Run the "
        f"command that makes it again: {stored.attributes['command']}"
    )


@dataclasses.dataclass
class _Check:
    """What was found in one shard. `compared`, `unlike`: sharp images that were compared, and that differed."""

    findings: list[Finding]
    compared: int = 0
    unlike: int = 0


def _all_shards(check: "_Checker", workers: int | None, progress: Progress | None) -> list[_Check]:
    """Check every shard, several at a time; in the shards' order."""
    checks: dict[int, _Check] = {}
    shards = check.stored.shards

    def one(shard: int) -> None:
        checks[shard] = check.shard(shard)

    def finished(_: int) -> None:
        if progress is not None:
            progress(len(checks), shards)

    executors.run(one, range(shards), workers=workers or executors.available_workers(), finished=finished)
    return [checks[shard] for shard in range(shards)]


class _Checker:
    """Looks at one shard at a time; what all shards need is read once. Used by several threads at a time.

    decoded: every object is decoded beside being compared with its digest. judged: and its values looked at.
    """

    def __init__(self, stored: integrity.Stored, maker: makers.Maker | None, *, decoded: bool, judged: bool) -> None:
        self.stored = stored
        self.judged = judged
        self.maker = maker if isinstance(maker, makers.FromSources) else None
        self.sources = stored.sources or []
        self.arrays = (
            {} if not decoded else {name: self._open(name) for name in stored.documents if name in stored.arrays}
        )
        has_crops = judged and self.sources and {_SHARP, schemas.SOURCE} <= stored.documents.keys()
        self.frames = invariants.frames(stored.attributes, self.sources, stored.documents) if has_crops else None

    def _open(self, name: str) -> Any:
        with store.failures(self.stored.path, f"open {name}", hint=""):
            return reader.open_array(self.stored.path, name)

    def shard(self, shard: int) -> _Check:
        """Its objects, then what those hold that are sound."""
        found = _Check(integrity.shard(self.stored, shard))
        if self.stored.finished[shard]:
            damaged = {finding.array for finding in found.findings}
            undecodable = self._undecodable(shard, [name for name in self.arrays if name not in damaged])
            found.findings += undecodable
            damaged |= {finding.array for finding in undecodable}
            if self.judged:
                self._values(shard, {name for name in self.arrays if name not in damaged}, found)
        return found

    def _undecodable(self, shard: int, names: Sequence[str]) -> list[Finding]:
        """Which of these arrays cannot be decoded, although their objects have the digests that are recorded."""
        found = []
        for name in names:
            try:
                for first in range(0, len(self.items(shard)), self._step(name)):
                    self._read(name, shard, first, first + self._step(name))
            except errors.StorageError:
                rows = integrity.undecodable(self.stored, name, shard)
                if not rows.size:
                    raise  # the store did not give it, which says nothing of what it holds
                problem = (
                    "is what was recorded, but its values fail their checksums: it was damaged before it was recorded, "
                    "by the memory or disk of the machine that made it"
                )
                damaged = self._finding(name, shard, rows, problem)
                found.append(dataclasses.replace(damaged, damage=True, recorded=True))
        return found

    def _step(self, name: str) -> int:
        """How many items of an array are decoded at a time."""
        array = self.arrays[name]
        return max(1, _AT_ONCE // int(np.prod(array.shape[1:]) * array.dtype.numpy_dtype.itemsize))

    def _values(self, shard: int, sound: set[str], found: _Check) -> None:
        if schemas.VALID in self.stored.arrays and schemas.VALID not in sound:
            return  # which items count is not known
        columns = {
            name: self._read(name, shard) for name in self.arrays if name in sound and self.arrays[name].rank == 1
        }
        hidden = columns[schemas.VALID] == 0 if schemas.VALID in columns else np.zeros(len(self.items(shard)), bool)
        unusable = hidden.copy()
        for broken in self._broken(shard, sound, columns):
            rows = broken.rows[~hidden[broken.rows]]
            if rows.size:
                found.findings.append(self._finding(broken.array, shard, rows, broken.problem))
            if broken.array in (schemas.SOURCE, *_CROPS):
                unusable[broken.rows] = True
        needed = {_SHARP, schemas.SOURCE, *_CROPS} & set(self.stored.arrays)
        if self.maker is not None and needed <= sound:
            changed = {left.name: left.reason for left in self.maker.changed(self.items(shard))}
            found.findings += [Finding(name, reason, damage=False) for name, reason in changed.items()]
            self._compare(self.maker, shard, columns, np.flatnonzero(~unusable), changed, found)
            if schemas.VALID in columns and not changed:
                self._look_at_left_out(self.maker, shard, columns, found)

    def _broken(self, shard: int, sound: set[str], columns: invariants.Arrays) -> Iterator[invariants.Broken]:
        for name, values in columns.items():
            yield from invariants.check_column(name, values, self._attributes(name))
        if self.frames is not None and schemas.SOURCE in columns:
            yield from invariants.check_crops(columns, self.frames)
        for name in sorted(sound & set(invariants.ARRAYS)):
            step = self._step(name)
            for first in range(0, len(self.items(shard)), step):
                beside = {key: column[first : first + step] for key, column in columns.items()}
                values = self._read(name, shard, first, first + step)
                for broken in invariants.check_array(name, values, self._attributes(name), beside):
                    yield dataclasses.replace(broken, rows=broken.rows + first)

    def _compare(
        self,
        maker: makers.FromSources,
        shard: int,
        columns: invariants.Arrays,
        rows: npt.NDArray[np.int64],
        changed: Mapping[str, str],
        found: _Check,
    ) -> None:
        """Compare the sharp images of these rows with what their sources hold now, but for those that have changed."""
        sharp_NHWC = self._read(_SHARP, shard)
        unlike: dict[str, list[int]] = {}
        for source in np.unique(columns[schemas.SOURCE][rows]).tolist():
            name = self.sources[source]["name"]
            if name in changed:
                continue
            try:
                for row, expected_HWC in maker.sharp(rows[columns[schemas.SOURCE][rows] == source], columns):
                    found.compared += 1
                    if not np.array_equal(sharp_NHWC[row], expected_HWC):
                        unlike.setdefault(name, []).append(row)
            except errors.SourceError as error:
                found.findings.append(Finding(name, sources_.reason(error, name), damage=False))
            except errors.InputError as error:
                found.findings.append(
                    Finding(name, f"cannot be decoded, though it has not changed: {error}", damage=False)
                )
        for name, different in unlike.items():
            found.unlike += len(different)
            problem = f"has sharp images that are not what {name} holds there"
            found.findings.append(self._finding(_SHARP, shard, np.array(different), problem))

    def _look_at_left_out(
        self, maker: makers.FromSources, shard: int, columns: invariants.Arrays, found: _Check
    ) -> None:
        """Name items that are left out as damaged, though their sources can be used."""
        try:
            usable = left_out.usable(maker, left_out.suspects(columns) + self.items(shard).start)
        except (errors.SourceError, errors.InputError) as error:
            found.findings.append(Finding("sources", str(error), damage=False))
            return
        if usable.size:
            rows = usable - self.items(shard).start
            found.findings.append(self._finding(schemas.VALID, shard, rows, left_out.PROBLEM))

    def items(self, shard: int) -> range:
        return self.stored.items_of(shard)

    def _attributes(self, name: str) -> Mapping[str, Any]:
        attributes: Mapping[str, Any] = self.stored.documents[name]["attributes"]
        return attributes

    def _read(self, name: str, shard: int, first: int = 0, last: int | None = None) -> npt.NDArray[Any]:
        """Some rows of an array's shard, decoded."""
        rows = self.items(shard)[first:last]
        with store.failures(self.stored.path, f"read {name}", hint=""):
            values: npt.NDArray[Any] = self.arrays[name][rows.start : rows.stop].read().result()
        return values

    def _finding(self, name: str, shard: int, rows: npt.NDArray[np.int64], problem: str) -> Finding:
        items = tuple((rows + self.items(shard).start).tolist())
        return Finding(self.stored.key(name, shard), problem, name, shard, items, damage=False)
