"""Making damaged and missing shards again from the recorded recipe, and nothing else."""

import dataclasses
import hashlib
import os
import time
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.maintenance import left_out, verify
from blursynth.makers import registry
from blursynth.production import executors
from blursynth.production import maker as makers
from blursynth.storage import integrity, lock, metadata_digests, provenance, writer
from blursynth.storage import schema as schemas
from blursynth.stores import store

Finding = integrity.Finding


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was damaged: what of it is as it was again, and what is not, with the reason as `problem`.

    `remarks`: what is another now than it was recorded, in sentences. `shards`: how many have been made again.
    `unfinished`: the command that makes the rest of a dataset that is only begun; "" for a finished one.
    """

    path: str
    healed: tuple[Finding, ...]
    unhealed: tuple[Finding, ...]
    remarks: tuple[str, ...]
    shards: int
    seconds: float
    unfinished: str = ""


def repair(
    path: str | os.PathLike[str],
    *,
    moved: Mapping[str, str] | None = None,
    workers: int | None = None,
    checking: verify.Progress | None = None,
    making: verify.Progress | None = None,
) -> Outcome:
    """Make every damaged or missing object of a dataset again. Sound ones are not touched.

    Items of a finished dataset that are left out as damaged, though their sources (as recorded) can be used, are made.

    What is made again has to be equal to its recorded digest; where it is not, it is stored only if other versions
    of the packages below this one explain that. `moved`: where photos and trajectories lie now. `checking` and
    `making` are called with (done, total) shards. Can be interrupted and run again.

    Raises DatasetError where there is no dataset, another run writes there, or the record itself is damaged, and
    what `registry.rebuild` raises where something has to be made and the inputs are gone.
    """
    began = time.monotonic()
    path = store.normalise(path)
    if store.is_vacant(path):
        raise errors.DatasetError(f"There is no dataset at {path}.")
    with lock.held(path):
        stored, findings = _damage(path, workers, checking)
        restored = _restore_digests(stored, findings)
        if restored:
            stored, findings = _damage(path, workers, None)
        work = _Work(stored, [finding for finding in findings if not finding.recorded])
        work.all(moved or {}, workers, making)
        done = [work]
        recorded = [finding for finding in findings if finding.recorded]
        if recorded:  # once every digest is there, and one shard after the other: see `_Work._forget`
            stored, findings = _damage(path, workers, None)
            left = [finding for finding in findings if finding.recorded]
            work.healed += [finding for finding in recorded if finding not in left]
            done.append(_Work(stored, left))
            done[-1].all(moved or {}, 1, making)
        unhealed = [finding for work in done for finding in work.unhealed]
        revival = left_out.Revival(path, moved or {}, workers)
        if not unhealed:
            revival.run()
    healed = [*restored, *(finding for work in done for finding in work.healed), *revival.made]
    return Outcome(
        path=path,
        healed=tuple(sorted(healed, key=_order)),
        unhealed=tuple(sorted(unhealed, key=_order)),
        remarks=(*(remark for work in done for remark in work.remarks), *revival.remarks),
        shards=sum(work.made for work in done) + len(revival.made),
        seconds=time.monotonic() - began,
        unfinished="" if stored.complete else stored.attributes["command"],
    )


def _order(finding: Finding) -> tuple[int, str]:
    return -1 if finding.shard is None else finding.shard, finding.where


def _damage(path: str, workers: int | None, progress: verify.Progress | None) -> tuple[integrity.Stored, list[Finding]]:
    """What is there, and everything of it that is gone, is not what was recorded, or cannot be decoded."""
    stored, findings = integrity.inspect(path)
    if stored is None:
        raise errors.DatasetError(
            f"{path}/{findings[0].where} {findings[0].problem}, and what the dataset was made from is recorded nowhere "
            "else. Put a copy of that file back, or make the dataset again in another place."
        )
    findings += verify.damage(stored, workers, progress)
    return stored, [finding for finding in findings if finding.damage]


def _restore_digests(stored: integrity.Stored, findings: Sequence[Finding]) -> list[Finding]:
    """Take lost or foreign digests from the objects themselves, where the fingerprint proves them right."""
    findings = [finding for finding in findings if not finding.recorded]
    lost = [finding for finding in findings if finding.array == schemas.DIGEST and finding.shard is not None]
    suspects = {finding.shard for finding in lost if finding.shard is not None}
    for shard in range(stored.shards):
        wrong = {finding.array for finding in findings if finding.shard == shard}
        if wrong >= set(stored.arrays):
            suspects.add(shard)
    if not suspects or not stored.complete:
        return []
    rows = stored.rows.copy()
    for shard in suspects:
        for row, name in enumerate(stored.arrays):
            digest, _ = store.digest(stored.path, stored.key(name, shard))
            rows[shard, row] = np.frombuffer(digest or bytes(schemas.DIGEST_BYTES), np.uint8)
    if dataclasses.replace(stored, rows=rows).fingerprint() != stored.attributes["fingerprint"]:
        return []
    schema = schemas.digest_schema(stored.attributes)
    for shard in suspects:
        writer.write_digests(stored.path, schema, shard, rows[shard])
    return [finding for finding in findings if finding.shard in suspects]


class _Work:
    """The damage of one dataset, as it is mended."""

    def __init__(self, stored: integrity.Stored, findings: Sequence[Finding]) -> None:
        self.stored = stored
        self.findings = findings
        self.healed: list[Finding] = []
        self.unhealed: list[Finding] = []
        self.remarks: list[str] = []
        self.made = 0
        self._rows = stored.rows.copy()
        # Digests that are not the recorded ones, in whatever shard: then no row of them can be trusted.
        self.rows_doubtful = any(finding.where == schemas.DIGEST for finding in findings)

    def all(self, moved: Mapping[str, str], workers: int | None, progress: verify.Progress | None) -> None:
        """Make everything again that is damaged."""
        if any(finding.where != schemas.GROUP for finding in self.findings):
            maker = registry.rebuild(self.stored.attributes, self.stored.sources or (), moved)
            self.documents(maker)
            self.shards(maker, workers, progress)
        self.finish()

    def documents(self, maker: makers.Maker) -> None:
        """Write the arrays' metadata again that are damaged."""
        recorded = self.stored.attributes.get(metadata_digests.DOCUMENTS, {}) if self.stored.complete else {}
        texts = {
            metadata_digests.document_key(name): store.json_bytes(document)
            for name, document in writer.documents(maker.schema, maker.record()).items()
        }
        for finding in self.findings:
            if finding.where not in texts:
                continue
            text = texts[finding.where]
            if hashlib.sha256(text).hexdigest() == recorded.get(finding.where, hashlib.sha256(text).hexdigest()):
                store.write_bytes(self.stored.path, finding.where, text)
                self.healed.append(finding)
            else:
                self._leave([finding], "is damaged, and this version writes other metadata than were recorded")

    def shards(self, maker: makers.Maker, workers: int | None, progress: verify.Progress | None) -> None:
        """Make the shards again in which something is damaged; all of them where it is not known which."""
        damaged = {finding.shard for finding in self.findings if finding.shard is not None}
        tasks = list(range(self.stored.shards)) if self.rows_doubtful else sorted(damaged)

        def finished(_: int) -> None:
            self.made += 1
            if progress is not None:
                progress(self.made, len(tasks))

        executors.run(
            lambda shard: self._shard(maker, shard),
            tasks,
            workers=workers or executors.available_workers(),
            finished=finished,
        )

    def _shard(self, maker: makers.Maker, shard: int) -> None:
        findings = [finding for finding in self.findings if finding.shard == shard]
        try:
            reason = self._make_again(maker, shard)
        except (errors.BlursynthError, OSError) as error:
            reason = f"could not be made again: {error}"
        if reason is None:
            self.healed += findings
        else:
            self._leave(findings or [Finding(schemas.digest_key(shard), "", schemas.DIGEST, shard)], reason)

    def _make_again(self, maker: makers.Maker, shard: int) -> str | None:
        """Store what of a shard is not as recorded; gives the reason where it is better left as it is."""
        stored = self.stored
        items = maker.schema.items_of(shard)
        changed = maker.changed(items) if isinstance(maker, makers.FromSources) else ()
        if changed:
            return f"could not be made again: {changed[0].name} {changed[0].reason}"
        encoded = writer.encode_shard(maker.schema, shard, maker.make(items))
        made = {name: hashlib.sha256(value).digest() for name, value in encoded.items()}
        trusted = bool(stored.finished[shard]) and not self.rows_doubtful
        recorded = {name: stored.rows[shard, row].tobytes() for row, name in enumerate(stored.arrays)}
        # Of what was damaged before it was recorded nothing says what it was, but that all else comes out as recorded.
        damaged = {finding.array for finding in self.findings if finding.shard == shard and finding.recorded}
        wanted = {name: made[name] if name in damaged or not trusted else recorded[name] for name in made}
        others = [name for name in made if damaged and trusted and made[name] != wanted[name]]
        keys = {array.name: maker.schema.chunk_key(array, shard) for array in maker.schema.arrays}
        bad = [name for name, key in keys.items() if store.digest(stored.path, key)[0] != wanted[name]]
        unlike = others or [name for name in bad if made[name] != wanted[name]]
        unproved = bool(damaged) or (bool(bad) and not trusted)
        if (unlike or (unproved and self._others())) and not self._explained():
            return "could not be made again: " + self._why_unlike(unlike or bad)
        row = np.stack([np.frombuffer((made if name in bad else wanted)[name], np.uint8) for name in stored.arrays])
        if damaged and not self._forget(shard, row):
            return "could not be made again: other digests of the dataset are lost, which have to be mended first"
        for name in bad:
            store.write_bytes(stored.path, keys[name], encoded[name])
        if damaged or not stored.finished[shard] or not np.array_equal(row, stored.rows[shard]):
            writer.write_digests(stored.path, maker.schema, shard, row)
        return None

    def _forget(self, shard: int, row: npt.NDArray[np.uint8]) -> bool:
        """Remove the digests of damaged objects before those are replaced, and record what the fingerprint will be.

        So a repair that is killed leaves at most one shard without digests, which the next one makes again, and a
        fingerprint of the others as they are. Gives whether that could be, which takes all the others' digests.
        """
        path, attributes = self.stored.path, self.stored.attributes
        if self.stored.complete:
            if not self.stored.finished.all() or self.rows_doubtful:
                return False
            self._rows[shard] = row
            fingerprint = dataclasses.replace(self.stored, rows=self._rows).fingerprint()
            sealed = metadata_digests.sealed(path, attributes | {"fingerprint": fingerprint})
        store.remove_object(path, schemas.digest_key(shard))
        if self.stored.complete:
            store.write_json(path, schemas.GROUP, schemas.group_document(sealed))
        return True

    def finish(self) -> None:
        """Record what has become of the digests, and write the group's document as it was."""
        stored, _ = integrity.inspect(self.stored.path)
        if stored is None:
            raise errors.DatasetError(f"{self.stored.path} was damaged further while it was repaired; try again.")
        attributes = stored.attributes
        renewed = False
        whole = [finding for finding in self.findings if finding.where == schemas.DIGEST]
        if not stored.complete or stored.fingerprint() == attributes["fingerprint"]:
            self.healed += whole
            if stored.complete and attributes["fingerprint"] != self.stored.attributes["fingerprint"]:
                self.remarks.append(
                    "What had been damaged before it was recorded has other bytes now, so the dataset has a new "
                    "fingerprint: what was made from it will ask for the old one."
                )
        elif self.unhealed or not self._explained():
            self._leave(
                whole, "holds digests that are not those that were recorded, and not everything could be mended"
            )
        else:
            renewed = True
            self.healed += whole
            self.remarks.append(
                f"What was made again is stored in other bytes than before ({'; '.join(self._others())}), so the "
                "dataset has a new fingerprint: what was made from it will ask for the old one."
            )
            attributes = metadata_digests.sealed(stored.path, attributes | {"fingerprint": stored.fingerprint()})
        group = [finding for finding in self.findings if finding.where == schemas.GROUP]
        if renewed or group:
            store.write_json(stored.path, schemas.GROUP, schemas.group_document(attributes))
        self.healed += group

    def _leave(self, findings: Sequence[Finding], reason: str) -> None:
        self.unhealed += [dataclasses.replace(finding, problem=reason) for finding in findings]

    def _others(self) -> list[str]:
        return provenance.other_versions(self.stored.attributes["versions"])

    def _explained(self) -> bool:
        """Whether other bytes may hold the same items: with other versions below this package, but not of itself."""
        changed = provenance.changed_versions(self.stored.attributes["versions"])
        return bool(changed) and "blursynth" not in changed

    def _why_unlike(self, names: Sequence[str]) -> str:
        others = "; ".join(self._others())
        listed = ", ".join(names)
        if others:
            return f"{listed} would not be what was recorded ({others}). Install the versions recorded to repair it."
        return f"{listed} would not be what was recorded, so what made it must have changed"
