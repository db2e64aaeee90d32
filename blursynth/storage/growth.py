"""Making a finished dataset longer: what is there stays readable until the longer one is finished.

1. `begin` writes one object that says what the dataset grows into. The dataset is as it was.
2. Shards are made as ever. New ones lie beyond what readers look at. The last shard, if it was not full, is made of
   its stored items and new ones (`extended`) and replaced object by object; it holds the old items at every moment.
3. `extend` rewrites the arrays' metadata, then `writer.finalise` marks the longer dataset complete, and `end`
   removes the object of step 1. Between those the dataset counts as unfinished.

Killed anywhere, the same steps complete it: a finished shard is one with a row of digests, and the last of the old
shards counts only when its row is no longer the one noted in step 1.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.storage import documents, provenance, reader, writer
from blursynth.storage import schema as schemas
from blursynth.stores import store

GROWN_FROM = "grown_from"
# Of the longer dataset while it is made: how many items are kept, and the SHA-256 of the last old shard's row.
_GROWTH = "growth"


def pending(path: str) -> dict[str, Any] | None:
    """The attributes of what the dataset at a path is growing into, or None."""
    found: dict[str, Any] | None = store.read_json(path, schemas.GROWTH)
    if found is not None:
        documents.record(path, schemas.GROWTH, found, growing=True)
    return found


def _growing(path: str) -> dict[str, Any]:
    """The attributes of what the dataset is growing into. Raises StorageError where it is gone."""
    growing = pending(path)
    if growing is None:
        raise writer.lost(path)
    return growing


def kept_items(growing: Mapping[str, Any]) -> int:
    """Items that were there before the dataset began to grow."""
    return int(growing[_GROWTH]["kept"])


def lengths(dataset: reader.Dataset) -> dict[str, int]:
    """Items by fingerprint: of the finished dataset as it is, and of each shorter one that it has grown from."""
    shorter = {before["fingerprint"]: int(before["items"]) for before in dataset.attributes.get(GROWN_FROM, [])}
    return shorter | {dataset.fingerprint: dataset.items}


def begin(path: str, stored: Mapping[str, Any], schema: schemas.Schema, record: provenance.Record) -> None:
    """Note what the finished dataset with these attributes grows into, unless that is noted already.

    The longer dataset remembers each shorter one that it was: items, sources and fingerprint.
    """
    there = pending(path)
    if there is not None:
        wanted = provenance.attributes(record, schema)
        if there.get("inputs", {}) != wanted["inputs"]:
            store.write_json(path, schemas.GROWTH, {**there, **writer.moved(wanted)})
        return
    for array in schema.arrays:
        _require_same_form(path, array.name, schema.document(array))
    last = -(-stored["items"] // schema.shard_length) - 1
    present, rows = reader.digests(path, stored)
    if not present.all():
        raise errors.DatasetError(f"{path} has lost digests of its shards, so it cannot grow; repair it first.")
    before = {name: stored[name] for name in ("items", "sources", "fingerprint")}
    growing = provenance.attributes(record, schema) | {
        "created": stored["created"],
        GROWN_FROM: [*stored.get(GROWN_FROM, []), before],
        _GROWTH: {"kept": stored["items"], "last_row": hashlib.sha256(rows[last].tobytes()).hexdigest()},
    }
    store.write_json(path, schemas.GROWTH, growing)


def _require_same_form(path: str, name: str, wanted: Mapping[str, Any]) -> None:
    there = store.read_json(path, f"{name}/zarr.json") or {}
    for key in ("data_type", "chunk_grid", "codecs"):
        if there.get(key) != wanted[key]:
            raise errors.DatasetError(f"{path} stores {name} in another form than this version makes; it cannot grow.")


def finished(path: str, schema: schemas.Schema) -> npt.NDArray[np.bool_]:
    """Which shards of the longer dataset are finished, bool (shards,)."""
    growing = _growing(path)
    present, rows = reader.digests(path, growing, schema.digest_document())
    last, over = divmod(growing[_GROWTH]["kept"], schema.shard_length)
    if over and hashlib.sha256(rows[last].tobytes()).hexdigest() == growing[_GROWTH]["last_row"]:
        present[last] = False
    return present


def extended(
    path: str, schema: schemas.Schema, kept: range, arrays: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """A shard's arrays: the stored items `kept`, then those made anew."""
    joined = {}
    for array in schema.arrays:
        with store.failures(path, f"read items {kept.start} to {kept.stop - 1} of {array.name}"):
            stored = reader.open_array(path, array.name)[kept.start : kept.stop].read().result()
        joined[array.name] = np.concatenate([stored, arrays[array.name]])
    return joined


def extend(path: str, schema: schemas.Schema, record: provenance.Record) -> None:
    """All shards are made: give the group's and the arrays' metadata the longer dataset's form, not yet complete."""
    growing, there = _growing(path), writer.attributes_of(path)
    names = {source["name"] for source in record.sources[: growing[GROWN_FROM][-1]["sources"]]}
    left_out = [provenance.Skipped(**entry) for entry in there["skipped"] if entry["name"] in names]
    skipped = provenance.skipped_attribute([*record.skipped, *left_out])
    attributes = {key: value for key, value in growing.items() if key != _GROWTH}
    store.write_json(path, schemas.GROUP, schemas.group_document(attributes | {"skipped": skipped}))
    documents = writer.documents(schema, record)
    for name in (schemas.DIGEST, *schema.names):
        store.write_json(path, f"{name}/zarr.json", documents[name])


def end(path: str) -> None:
    """Forget that the dataset grew, if it has: where it is still shorter, the note is left."""
    growing, there = pending(path), reader.stored_attributes(path)
    if growing is not None and there is not None and there["complete"] and not provenance.differing(there, growing):
        with store.failures(path, "remove the note of what it grew into"):
            store.store(path).write(schemas.GROWTH, None).result()
