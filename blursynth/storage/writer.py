"""Making a dataset: its metadata, one whole shard at a time, and the mark that it is complete.

A shard is encoded and stored as one object an array, then its row of `digest`. Every step can be killed and run again:
an object is there whole or not at all, and a shard without its row is made again.
"""

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorstore as ts

from blursynth import errors
from blursynth.storage import metadata_digests, provenance, reader
from blursynth.storage import schema as schemas
from blursynth.stores import s3, store

_log = logging.getLogger(__name__)

_NAMED = 10  # sources that a refusal names


def create(path: str, schema: schemas.Schema, record: provenance.Record) -> None:
    """Write the metadata of a dataset, or what is missing of it.

    The group's document comes first and says what is being made, so that a creation that was killed is recognised
    and continued; where the same sources lie elsewhere now, it says so. Raises DatasetError where the dataset that is
    there was made from something else.
    """
    wanted = provenance.attributes(record, schema)
    stored = reader.stored_attributes(path)
    if stored is None:
        store.write_json(path, schemas.GROUP, schemas.group_document(wanted))
    else:
        require_same(path, stored, wanted, record.sources)
        if not stored["complete"] and stored.get("inputs", {}) != wanted["inputs"]:
            store.write_json(path, schemas.GROUP, schemas.group_document(stored | moved(wanted)))
    for name, document in documents(schema, record).items():
        key = f"{name}/zarr.json"
        existing = store.read_json(path, key) if stored is not None else None
        if existing is None:
            store.write_json(path, key, document)
        elif existing != document:
            raise errors.DatasetError(
                f"{path} was begun with another form of the array {name} than this version makes. "
                "Use --overwrite to make it anew, or another place for the output."
            )


def moved(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record changes where the sources lie elsewhere when work goes on."""
    return {key: wanted[key] for key in ("inputs", "command")}


def remove(path: str) -> None:
    """Remove the dataset that is there, complete or not."""
    stored = attributes_of(path)
    store.remove(path, schemas.GROUP, schemas.group_document(stored | {"complete": False}))


def reopen(path: str, attributes: Mapping[str, Any], shards: Sequence[int], names: Set[str]) -> dict[str, Any]:
    """Make a finished dataset with these attributes one that is begun, of which these shards are to be made.

    The reasons on record for leaving out sources of these names are dropped. Gives the new attributes. Killed in
    between, it leaves a finished dataset that lacks digests, which can be taken from its objects again.
    """
    for shard in shards:
        with store.failures(path, f"take back the digests of shard {shard}", hint=""):
            store.store(path).write(schemas.digest_key(shard), None).result()
    dropped = {"valid_items", "fingerprint", metadata_digests.DOCUMENTS, metadata_digests.SEAL}
    begun = {key: value for key, value in attributes.items() if key not in dropped}
    begun |= {"complete": False, "skipped": [left for left in attributes["skipped"] if left["name"] not in names]}
    store.write_json(path, schemas.GROUP, schemas.group_document(begun))
    return begun


def documents(schema: schemas.Schema, record: provenance.Record) -> dict[str, dict[str, Any]]:
    """Each array's metadata; the long list of sources is an attribute of the column that counts them."""
    made = {array.name: schema.document(array) for array in schema.arrays}
    assert not record.sources or schemas.SOURCE in made, "sources are listed without a column `source`"
    if record.sources:
        made[schemas.SOURCE]["attributes"]["sources"] = [dict(source) for source in record.sources]
    made[schemas.DIGEST] = schema.digest_document()
    # As read back from disk (tuples become lists), so that what is there can be compared with what would be written.
    stored: dict[str, dict[str, Any]] = json.loads(json.dumps(made, allow_nan=False))
    return stored


def require_same(
    path: str,
    stored: Mapping[str, Any],
    wanted: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    hint: str = "",
) -> None:
    """Raise DatasetError, which shows the difference, where the dataset that is there is not the wanted one.

    `hint`: what else can be done. Other versions of packages are a warning.
    """
    reader.require_known_version(path, stored)
    differences = provenance.differences(stored, wanted)
    if "sources_sha256" in provenance.differing(stored, wanted):
        named = provenance.source_differences(reader.Dataset(path, stored).sources, sources)
        differences += [f"  {line}" for line in named[:_NAMED]]
        differences += [f"  and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise errors.DatasetError(
            f"{path} holds another dataset than the one asked for; it differs in (there -> asked for):\n{listed}\n"
            f"Ask for the same to go on with it, {hint}use --overwrite to replace it, or choose another place for the "
            "output."
        )
    for package, version in stored["versions"].items():
        current = wanted["versions"].get(package)
        if current != version:
            _log.warning("%s was begun with %s %s and goes on with %s.", path, package, version, current)


def require_in_the_making(path: str, identity: str) -> None:
    """Raise StorageError where the dataset of this identity is not, or no longer, what is being made at `path`."""
    group = store.read_json(path, schemas.GROUP)
    documents = [group["attributes"][schemas.ATTRIBUTE] if group else None, store.read_json(path, schemas.GROWTH)]
    if identity in [provenance.identity(attributes) for attributes in documents if attributes is not None]:
        return
    raise lost(path, "was replaced by another dataset" if group else "is gone: it was removed")


def attributes_of(path: str) -> dict[str, Any]:
    """The group attributes of the dataset that is being made. Raises StorageError where it is gone."""
    stored = None if store.read_bytes(path, schemas.GROUP) is None else reader.stored_attributes(path)
    if stored is None:
        raise lost(path)
    return stored


def lost(path: str, what: str = "is gone: it was removed") -> errors.StorageError:
    """The error for a dataset that is not there any more, or another one now, while it is made."""
    return errors.StorageError(
        f"{path} {what} while it was being made, or lies on a file system that not all workers share. "
        "Run the command again to make what is missing.",
        errno.ENOENT,
    )


def write_shard(
    path: str,
    schema: schemas.Schema,
    shard: int,
    arrays: Mapping[str, npt.NDArray[Any]],
    identity: str | None = None,
) -> None:
    """Store all arrays' parts of one shard, then its row of digests.

    `arrays[name]` has shape (items of the shard, *item shape) and the array's dtype; all arrays of the schema, no
    others. `identity`: of the dataset that they are for. Who was thought dead may write late: the same bytes, if the
    dataset is still the same one, and else nothing. Raises StorageError where they cannot be stored.
    """
    items = schema.items_of(shard)
    assert set(arrays) == set(schema.names), f"made {sorted(arrays)}, the schema has {sorted(schema.names)}"
    for array in schema.arrays:
        values = arrays[array.name]
        assert values.shape == (len(items), *array.shape), f"{array.name}: {values.shape} for {items}"
        assert values.dtype == array.dtype, f"{array.name}: {values.dtype}, not {array.dtype}"
    if identity is not None:
        require_in_the_making(path, identity)
    try:
        with store.failures(path, f"write shard {shard}"):
            digests = _ended([_begin(path, schema, array, shard, arrays[array.name]) for array in schema.arrays])
    except errors.StorageError as error:
        if error.number != errno.ENOENT or s3.is_remote(path):
            raise
        digests = [None]  # folders vanish while they are written into
    if identity is not None:
        _require_still(path, identity, [schema.chunk_key(array, shard) for array in schema.arrays])
    whole = [digest for digest in digests if digest is not None]
    if len(whole) < len(digests):  # a removal that has come to the arrays, and not yet to the group's document
        raise lost(path)
    write_digests(path, schema, shard, np.frombuffer(b"".join(whole), np.uint8).reshape(-1, schemas.DIGEST_BYTES))


def _ended(begun: Sequence[Callable[[], bytes | None]]) -> list[bytes | None]:
    """What each gives. Raises the first error when all have ended, so that nothing is written afterwards."""
    digests, failed = [], []
    for finish in begun:
        try:
            digests.append(finish())
        except Exception as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return digests


def encode_shard(schema: schemas.Schema, shard: int, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, bytes]:
    """The bytes of each array's object of one shard, as `write_shard` stores them, by the array's name."""
    start = schema.items_of(shard).start
    encoded = {}
    for array in schema.arrays:
        key = schema.chunk_key(array, shard).partition("/")[2]
        encoded[array.name] = _encode(schema.document(array), arrays[array.name], start, key)
    return encoded


def write_digests(path: str, schema: schemas.Schema, shard: int, digests: npt.NDArray[np.uint8]) -> None:
    """Store a shard's row of digests anew, uint8 (arrays, 32)."""
    key = schemas.digest_key(shard)
    store.write_bytes(path, key, _encode(schema.digest_document(), digests[None], shard, key.partition("/")[2]))


def _require_still(path: str, identity: str, written: Sequence[str]) -> None:
    """As `require_in_the_making`; takes back what was written into a dataset that had been removed."""
    try:
        require_in_the_making(path, identity)
    except errors.StorageError:
        if store.read_json(path, schemas.GROUP) is None:
            with store.failures(path, "take back a shard"):
                for key in written:
                    store.store(path).write(key, None).result()
        raise


def _begin(
    path: str, schema: schemas.Schema, array: schemas.ArraySpec, shard: int, values: npt.NDArray[Any]
) -> Callable[[], bytes | None]:
    """Begin to store an array's part of one shard; gives what waits until it lies there, and gives its SHA-256.

    On a disk tensorstore encodes and writes it with all threads of Python running, and it is hashed as it is read
    back from the system's cache (None: it is gone): as bytes of Python's it would be copied twice while they stand
    still, which took four threads a third of the time of an import. But where an object lies already, tensorstore
    reads it and keeps what the shard does not cover, the padding of tiles and of a shorter last shard: that one is
    replaced, as an object in a store is, by bytes that were encoded before.
    """
    key, start = schema.chunk_key(array, shard), schema.items_of(shard).start
    store.require_plain(path, key)
    if s3.is_remote(path) or os.path.lexists(f"{path}/{key}"):
        encoded = _encode(schema.document(array), values, start, key.partition("/")[2])
        stored = store.store(path).write(key, encoded)
        return lambda: (stored.result(), hashlib.sha256(encoded).digest())[1]
    _, written = _write(store.kvstore_spec(path, array.name), schema.document(array), values, start)

    def finish() -> bytes | None:
        written.result()
        return store.digest(path, key)[0]

    return finish


def _write(
    kvstore: dict[str, Any], document: dict[str, Any], values: npt.NDArray[Any], start: int
) -> tuple[ts.TensorStore, ts.WriteFutures]:
    """Begin to write one whole chunk or shard. It appears whole or not at all.

    All-zero shards and inner chunks are written like any other; by default they would be left out and look like
    missing ones.
    """
    spec = {
        "driver": "zarr3",
        "kvstore": kvstore,
        "metadata": document,
        "open": True,
        "assume_metadata": True,
        "store_data_equal_to_fill_value": True,
    }
    array = ts.open(spec, context=store.context()).result()
    part = array[start : start + len(values)]
    # The values outlive the write, so the copy that tensorstore would make of them is saved.
    return array, part.write(np.ascontiguousarray(values), can_reference_source_data_indefinitely=True)


def _encode(document: dict[str, Any], values: npt.NDArray[Any], start: int, key: str) -> bytes:
    """The bytes of one whole chunk or shard, made by tensorstore in a private memory store.

    So they are known before anything is stored: they can be hashed, compared, and stored as one object.
    """
    array, written = _write({"driver": "memory"}, document, values, start)
    written.result()
    memory = array.kvstore
    assert memory is not None
    found = memory.read(key).result()
    assert found.state == "value", f"encoding {key} stored nothing"
    encoded: bytes = found.value
    return encoded


def finished(path: str, schema: schemas.Schema) -> npt.NDArray[np.bool_]:
    """Which shards are finished, bool (shards,): those with a whole row of digests."""
    attributes = attributes_of(path)
    present, _ = reader.digests(path, attributes, schema.digest_document())
    assert len(present) == schema.shards, f"{path} has {len(present)} shards, not {schema.shards}"
    return present


def is_empty(path: str) -> bool:
    """Whether no shard is finished of the dataset that is there."""
    first, last = f"{schemas.DIGEST}/c/", f"{schemas.DIGEST}/c0"  # "0" comes after "/"
    with store.failures(path, "list the finished shards"):
        return not store.store(path).list(ts.KvStore.KeyRange(first, last)).result()


def invalid_items(path: str) -> npt.NDArray[np.int64]:
    """Numbers of the items that are marked invalid, of a dataset whose shards are all made."""
    with store.failures(path, f"read the column {schemas.VALID}"):
        flags = reader.open_array(path, schemas.VALID).read().result()
    return np.flatnonzero(flags == 0).astype(np.int64)


def finalise(path: str, schema: schemas.Schema, skipped: Sequence[provenance.Skipped], invalid: int) -> None:
    """Mark a dataset complete.

    `skipped`: why items were left out; `invalid`: how many are marked so. Raises DatasetError, and writes nothing,
    where shards are missing.
    """
    attributes = attributes_of(path)
    present, rows = reader.digests(path, attributes)
    missing = np.flatnonzero(~present)
    if missing.size:
        listed = ", ".join(str(shard) for shard in missing[:10]) + (", ..." if missing.size > 10 else "")
        raise errors.DatasetError(
            f"{path} is not finished: {missing.size} of {schema.shards} shards are missing ({listed}). "
            "Run the same command again to make them."
        )
    before = [provenance.Skipped(**entry) for entry in attributes["skipped"]]
    store.sweep(path)
    attributes |= {
        "complete": True,
        "valid_items": schema.items - invalid,
        "fingerprint": hashlib.sha256(rows.tobytes()).hexdigest(),
        "skipped": provenance.skipped_attribute([*before, *skipped]),
    }
    store.write_json(path, schemas.GROUP, schemas.group_document(metadata_digests.sealed(path, attributes)))
    documents = [metadata_digests.document_key(name) for name in attributes["arrays"]]
    if any(store.read_bytes(path, key) is None for key in documents):  # removed meanwhile: this alone is left of it
        store.remove_object(path, schemas.GROUP)
        raise lost(path)
