"""Whether a dataset's files are what was written: every object of every shard, and every byte of the metadata.

Nothing is decoded to find damage: digests are compared. What is wrong is a `Finding`, never an exception, so that one
bad object hides no other.
"""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.storage import documents, metadata_digests, reader
from blursynth.storage import schema as schemas
from blursynth.stores import store

# What a record must have for anything below to make sense.
_REQUIRED = frozenset(
    {"format_version", "kind", "complete", "items", "shard_length", "arrays", "recipe", "seed", "command", "versions"}
    | {"sources", "sources_sha256", "splits", "skipped", "extra", "maker", "inputs", "created"}
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    `where`: the object (a key relative to the dataset), or the source. `problem`: what is wrong with it, as it stands
    after its name. `array`, `shard`, `items`: what of the dataset it touches. `warning`: it harms nothing. `damage`:
    the object is gone or is not what was stored; else it is, and what it says is not right. recorded: the object has
    the digest that is recorded of it, and is damage all the same, from before it was recorded.
    """

    where: str
    problem: str
    array: str | None = None
    shard: int | None = None
    items: tuple[int, ...] = ()
    warning: bool = False
    damage: bool = True
    recorded: bool = False


@dataclasses.dataclass(frozen=True)
class Stored:
    """What is at a dataset's path, as far as its metadata can be trusted.

    `documents`: the arrays' metadata that are sound. `keys`: every object there. `finished` (shards,): shards with a
    row of digests that can be read; `rows` uint8 (shards, arrays, 32): those rows.
    """

    path: str
    attributes: dict[str, Any]
    documents: dict[str, Any]
    keys: frozenset[str]
    finished: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.uint8]

    @property
    def arrays(self) -> list[str]:
        return list(self.attributes["arrays"])

    @property
    def complete(self) -> bool:
        return self.attributes["complete"] is True

    @property
    def shards(self) -> int:
        return len(self.finished)

    def items_of(self, shard: int) -> range:
        start = shard * self.attributes["shard_length"]
        return range(start, min(start + self.attributes["shard_length"], self.attributes["items"]))

    @property
    def sources(self) -> list[dict[str, Any]] | None:
        """The list of sources; empty where nothing was read, None where it is lost."""
        if schemas.SOURCE not in self.arrays:
            return []
        document = self.documents.get(schemas.SOURCE)
        return None if document is None else list(document["attributes"].get("sources", []))

    def key(self, array: str, shard: int) -> str:
        """The object of an array's shard. Where the array's metadata are lost, the one there is, if there is one."""
        if array in self.documents:
            return "/".join([array, "c", str(shard), *("0" for _ in self.documents[array]["shape"][1:])])
        return self._found.get((array, shard), f"{array}/c/{shard}")

    @functools.cached_property
    def _found(self) -> dict[tuple[str, int], str]:
        matches = (re.fullmatch(r"([^/]+)/c/(\d+)(?:/0)*", key) for key in sorted(self.keys))
        return {(match[1], int(match[2])): match[0] for match in matches if match}

    def fingerprint(self) -> str:
        """What `fingerprint` is of these rows of digests."""
        return hashlib.sha256(self.rows.tobytes()).hexdigest()


def inspect(path: str) -> tuple[Stored | None, list[Finding]]:
    """Look at a dataset's metadata and list its objects; None where the group's document is lost.

    Raises DatasetError where there is no dataset, or one of a newer format.
    """
    attributes, findings = _group(path)
    if attributes is None:
        return None, findings
    sound, more = _documents(path, attributes)
    with store.failures(path, "list the files", hint=""):
        keys = frozenset(key.decode() for key in store.store(path).list().result())
    finished, rows, unreadable = _digests(path, attributes, keys)
    stored = Stored(path, attributes, sound, keys, finished, rows)
    return stored, [*findings, *more, *unreadable, *_fingerprint(stored), *_strangers(stored)]


def shard(stored: Stored, shard: int) -> list[Finding]:
    """Compare every object of one shard with its digest. Of a shard without digests, only what is missing shows.

    A shard that is still to be made has nothing to compare.
    """
    findings: list[Finding] = []
    if not stored.complete and not stored.finished[shard]:
        return findings
    items = tuple(stored.items_of(shard))
    for row, name in enumerate(stored.arrays):
        key = stored.key(name, shard)
        try:
            digest, size = store.digest(stored.path, key)
        except errors.DatasetError as error:
            findings.append(Finding(key, str(error), name, shard, items))
            continue
        if digest is None:
            findings.append(Finding(key, "is missing", name, shard, items))
        elif stored.finished[shard] and digest != stored.rows[shard, row].tobytes():
            findings.append(Finding(key, _what_happened(stored, name, shard, size), name, shard, items))
    return findings


def undecodable(stored: Stored, name: str, shard: int) -> npt.NDArray[np.int64]:
    """Rows of an array's shard that cannot be decoded, int64: of the bytes that are stored, read before.

    So what a store does not give at this moment is a StorageError, and no damage.
    """
    key = stored.key(name, shard)
    content = store.read_bytes(stored.path, key)
    array = reader.open_array("", name, document=stored.documents[name], kvstore={"driver": "memory"})
    array.kvstore.write(key.partition("/")[2], content or b"").result()
    lost = []
    for row, item in enumerate(stored.items_of(shard)):
        try:
            array[item].read().result()
        except ValueError:
            lost.append(row)
    return np.array(lost, np.int64)


def _group(path: str) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The group's attributes, or None where they cannot be trusted."""
    if store.is_vacant(path):
        raise errors.DatasetError(f"There is no dataset at {path}.")
    text = store.read_bytes(path, schemas.GROUP)
    attributes = _attributes(path, text)
    if attributes is None or not attributes.keys() >= _REQUIRED:
        if text is None or store.read_bytes(path, metadata_digests.document_key(schemas.DIGEST)) is None:
            raise errors.NotADatasetError(f"{path} is not a blursynth dataset.")
        return None, [Finding(schemas.GROUP, "is damaged: the record of what the dataset is cannot be read")]
    sealed = metadata_digests.is_whole(attributes)
    if sealed or not attributes["complete"]:
        reader.require_known_version(path, attributes)
    if attributes["complete"] and not sealed:
        problem = "is damaged or was edited: the record is not what was written"
        if attributes["format_version"] != schemas.FORMAT_VERSION:
            problem += f", or it is of format version {attributes['format_version']}, which this version does not know"
        return None, [Finding(schemas.GROUP, problem)]
    if text != store.json_bytes(schemas.group_document(attributes)):
        return attributes, [Finding(schemas.GROUP, "is not as it was written, but the record in it is whole")]
    return attributes, []


def _attributes(path: str, text: bytes | None) -> dict[str, Any] | None:
    try:
        return documents.attributes(path, text)
    except errors.DatasetError:
        return None


def _documents(path: str, attributes: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """The metadata of the arrays that are sound: equal to their digest, or, while a dataset is made, JSON."""
    sound, findings = {}, []
    for name in [*attributes["arrays"], schemas.DIGEST]:
        key = metadata_digests.document_key(name)
        text = store.read_bytes(path, key)
        if text is None:
            findings.append(Finding(key, "is missing", name))
        elif attributes["complete"] and not documents.is_as_written(text, name, attributes):
            findings.append(Finding(key, "is damaged or was edited: it is not what was written", name))
        else:
            try:
                sound[name] = documents.array(path, name, text, attributes)
            except errors.DatasetError as error:
                findings.append(Finding(key, f"is damaged: {error}", name))
    return sound, findings


def _digests(
    path: str, attributes: Mapping[str, Any], keys: frozenset[str]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8], list[Finding]]:
    """The rows of digests that can be read, without trusting the metadata stored beside them."""
    schema = schemas.digest_schema(attributes)
    rows = np.zeros((schema.shards, len(schema.arrays), schemas.DIGEST_BYTES), np.uint8)
    finished = np.zeros(schema.shards, np.bool_)
    findings = []
    array = reader.open_array(path, schemas.DIGEST, document=schema.digest_document())
    there = [shard for shard in range(schema.shards) if schemas.digest_key(shard) in keys]
    for shard in there:
        store.require_plain(path, schemas.digest_key(shard))
    for shard, reading in [(shard, array[shard].read()) for shard in there]:
        try:
            rows[shard] = reading.result()
        except ValueError:
            problem = "is damaged: the digests of its shard cannot be read"
            findings.append(Finding(schemas.digest_key(shard), problem, schemas.DIGEST, shard))
        else:
            finished[shard] = True
    missing = sorted(set(range(schema.shards)) - set(there)) if attributes["complete"] else []
    findings += [Finding(schemas.digest_key(shard), "is missing", schemas.DIGEST, shard) for shard in missing]
    return finished, rows, findings


def _fingerprint(stored: Stored) -> Iterator[Finding]:
    """What only the digests of all shards together can tell."""
    if stored.complete and stored.finished.all() and stored.fingerprint() != stored.attributes["fingerprint"]:
        problem = "holds digests that are not those that were recorded: a shard may come whole from another dataset"
        yield Finding(schemas.DIGEST, problem)


def _strangers(stored: Stored) -> list[Finding]:
    """Objects that no part of the dataset is stored in."""
    known = {schemas.GROUP, *(metadata_digests.document_key(name) for name in [*stored.arrays, schemas.DIGEST])}
    for shard in range(stored.shards):
        known |= {schemas.digest_key(shard), *(stored.key(name, shard) for name in stored.arrays)}
    problem = "is no part of the dataset; readers pass it over"
    return [Finding(key, problem, warning=True, damage=False) for key in sorted(stored.keys - known)]


def _what_happened(stored: Stored, name: str, shard: int, size: int) -> str:
    """In words, why an object is not the one that was recorded: it can be decoded, or it cannot."""
    if name in stored.documents:
        items = stored.items_of(shard)
        try:
            reader.open_array(stored.path, name)[items.start : items.stop].read().result()
        except (ValueError, OSError):
            return f"is damaged or cut short: its {size} bytes cannot be decoded"
        return "is whole but not the shard that was recorded: it comes from another dataset or another run"
    return "is damaged: it is not what was written"
