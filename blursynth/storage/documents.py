"""What the JSON documents of a dataset have to say, checked whenever they are read.

A model allows more keys than it names: a later version of the package may add some within one format version. What is
declared is bounded, so that nothing larger than what is stored is ever allocated because of it.
"""

import hashlib
import math
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import pydantic

from blursynth import errors
from blursynth.config import records, toml
from blursynth.storage import metadata_digests
from blursynth.storage import schema as schemas
from blursynth.stores import store

_MOST_ITEMS = 2**48
_MOST_ITEM_BYTES = 2**32
_MOST_CHUNK_BYTES = 2**31  # that blosc can hold
_MOST_DIMENSIONS = 16
_MOST_SHARDS = 2**24
_OLDEST: dict[str, Any] = {"maker": "", "inputs": {}, "created": ""}
_LARGE_COLUMN = 2**28  # bytes

ADVICE = "`blursynth verify` names what is damaged, `blursynth repair` makes it again."

Count = Annotated[int, pydantic.Field(ge=1, le=_MOST_ITEMS)]
NotNegative = Annotated[int, pydantic.Field(ge=0, le=_MOST_ITEMS)]
Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
Sha256 = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]


class Open(toml.Model):
    """A model that lets unknown keys pass."""

    model_config = pydantic.ConfigDict(extra="allow")


class Skipped(toml.Model):
    name: str
    reason: str


class Shorter(Open):
    """What a dataset was before it grew."""

    items: Count
    sources: NotNegative
    fingerprint: str


class Growth(Open):
    """Of a dataset that grows: how many items are kept, and the digest of the last old shard's row."""

    kept: Count
    last_row: Sha256


class Attributes(Open):
    """A dataset's record, in the attributes of its group (`provenance.attributes`).

    What has an empty default is missing in the oldest datasets, or as long as a dataset is made.
    """

    format_version: Literal[1]
    kind: str
    complete: bool
    items: Count
    shard_length: Count
    arrays: Annotated[tuple[Name, ...], pydantic.Field(min_length=1)]
    recipe: str
    seed: int
    command: str
    versions: Mapping[str, str]
    created: str = ""
    sources: NotNegative
    sources_sha256: str
    splits: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    extra: Mapping[str, Any]
    maker: str = ""
    inputs: Mapping[str, str] = {}
    valid_items: NotNegative = 0
    fingerprint: str = ""
    documents: Mapping[str, str] = {}
    seal: str = ""
    grown_from: tuple[Shorter, ...] = ()

    @pydantic.field_validator("recipe")
    @classmethod
    def _toml(cls, recipe: str) -> str:
        tomllib.loads(recipe)  # what it raises is a ValueError, which becomes a problem of this key
        return recipe

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        if len(set(self.arrays)) < len(self.arrays) or schemas.DIGEST in self.arrays:
            raise ValueError(f"arrays names one twice, or names {schemas.DIGEST}")
        if self.complete and not {"valid_items", "fingerprint"} <= self.model_fields_set:
            raise ValueError("is complete and lacks valid_items or fingerprint")
        if -(-self.items // self.shard_length) > _MOST_SHARDS:
            raise ValueError(f"declares {self.items} items in shards of {self.shard_length}: too many shards")
        if self.valid_items > self.items:
            raise ValueError(f"has {self.valid_items} valid items of {self.items}")
        return self


class Growing(Attributes):
    """The record of what a dataset grows into, while it does."""

    growth: Growth
    grown_from: Annotated[tuple[Shorter, ...], pydantic.Field(min_length=1)]


class _ChunkShape(Open):
    chunk_shape: Annotated[tuple[Count, ...], pydantic.Field(min_length=1, max_length=_MOST_DIMENSIONS)]


class _ChunkGrid(Open):
    name: Literal["regular"]
    configuration: _ChunkShape


class _Codec(Open):
    name: Literal["bytes", "blosc", "crc32c", "sharding_indexed"]
    configuration: Mapping[str, Any] = {}


class Array(Open):
    """The Zarr v3 metadata of one array, in one of the two forms that `schema.Schema.document` writes."""

    shape: Annotated[tuple[Count, ...], pydantic.Field(min_length=1, max_length=_MOST_DIMENSIONS)]
    data_type: Annotated[str, pydantic.Field(pattern="^(bool|u?int(8|16|32|64)|float(16|32|64))$")]
    chunk_grid: _ChunkGrid
    codecs: Annotated[tuple[_Codec, ...], pydantic.Field(min_length=1, max_length=3)]
    attributes: Mapping[str, Any]
    zarr_format: Literal[3]
    node_type: Literal["array"]

    @pydantic.model_validator(mode="after")
    def _is_ours(self) -> Self:
        chunk, item = self.chunk_grid.configuration.chunk_shape, self.shape[1:]
        if len(chunk) != len(self.shape) or any(part < whole for part, whole in zip(chunk[1:], item, strict=True)):
            raise ValueError("its chunks do not hold whole items")
        size = np.dtype(self.data_type).itemsize
        if size * math.prod(chunk[1:]) > _MOST_ITEM_BYTES:
            raise ValueError(f"an item of shape {item} is larger than any that is stored")
        sharded = self.codecs[0].name == "sharding_indexed"
        if sharded != bool(item):
            raise ValueError("arrays are stored in shards, and columns are not")
        if sharded:
            inner = _ChunkShape.model_validate(self.codecs[0].configuration).chunk_shape
            if len(inner) != len(chunk) or any(whole % part for whole, part in zip(chunk, inner, strict=True)):
                raise ValueError(f"inner chunks of shape {inner} do not divide the shard's {chunk}")
            if size * math.prod(inner) >= _MOST_CHUNK_BYTES:
                raise ValueError(f"an inner chunk of shape {inner} is larger than any that is stored")
        return self


class Source(Open):
    """An entry of the list of sources."""

    name: str
    sha256: str


class _Sources(Open):
    sources: tuple[Source, ...] = ()


def attributes(path: str, content: bytes | None) -> dict[str, Any] | None:
    """A dataset's record out of its group's document; None where it is none of ours.

    Raises DatasetError where the document is damaged. A record of another format version is given as it is.
    """
    document = records.parse(content or b"null", f"{path}/{schemas.GROUP}", errors.DatasetError)
    outer = document.get("attributes") if isinstance(document, dict) else None
    ours = outer.get(schemas.ATTRIBUTE) if isinstance(outer, dict) else None
    if not isinstance(ours, dict) or "format_version" not in ours:
        return None
    if type(ours["format_version"]) not in (int, str) or ours["format_version"] == schemas.FORMAT_VERSION:
        record(path, schemas.GROUP, ours)
    return ours


def require_group(path: str, content: bytes, attributes: Mapping[str, Any]) -> None:
    """Raise DatasetError where a document with this record of ours does not say that it is a group of Zarr's."""
    document = records.parse(content, f"{path}/{schemas.GROUP}", errors.DatasetError)
    wanted = {key: value for key, value in schemas.group_document({}).items() if key != "attributes"}
    found = {key: document.get(key) for key in wanted}
    if attributes["format_version"] == schemas.FORMAT_VERSION and found != wanted:
        raise errors.DatasetError(
            f"{path}/{schemas.GROUP} is damaged or was edited: it has {found}, expected {wanted}. {ADVICE}"
        )


def complemented(attributes: dict[str, Any]) -> dict[str, Any]:
    """A record with what those of the oldest datasets lack; others stay as they are, in their order."""
    return attributes | {key: value for key, value in _OLDEST.items() if key not in attributes}


def record(path: str, key: str, values: Any, *, growing: bool = False) -> None:
    """Raise DatasetError where values are no record of a dataset, or, where `growing`, none of what it grows into."""
    records.check(values, Growing if growing else Attributes, f"{path}/{key}", errors.DatasetError)


def array(path: str, name: str, content: bytes, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """An array's metadata; DatasetError where they are damaged or do not fit the dataset's record.

    Those of `digest` are never used: the record says all of them (`schema.digest_schema`).
    """
    where = f"{path}/{metadata_digests.document_key(name)}"
    document: dict[str, Any] = records.parse(content, where, errors.DatasetError)
    if name == schemas.DIGEST:
        return document
    found = records.check(document, Array, where, errors.DatasetError)
    shard_length = found.chunk_grid.configuration.chunk_shape[0]
    # A dataset that has grown since it was opened has more items than it had.
    if found.shape[0] < attributes["items"] or shard_length != attributes["shard_length"]:
        raise errors.DatasetError(
            f"{where} declares {found.shape[0]} items in shards of {shard_length}, and the dataset's record "
            f"{attributes['items']} in shards of {attributes['shard_length']}: one of them is damaged. {ADVICE}"
        )
    return document


def sources(path: str, attributes: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The list of sources, `count` or more once a dataset has grown, in the attributes of the column `source`."""
    where = f"{path}/{metadata_digests.document_key(schemas.SOURCE)}"
    records.check(attributes, _Sources, where, errors.DatasetError)
    listed = list(attributes.get("sources", []))
    if len(listed) < count:
        raise errors.DatasetError(f"{where} lists {len(listed)} sources, expected {count}: it is damaged. {ADVICE}")
    return listed


def require_within(path: str, name: str, values: Any, count: int, what: str) -> None:
    """Raise DatasetError where values of a column are no numbers of a list of `count` entries."""
    if count and values.size and (values.min() < 0 or values.max() >= count):
        raise errors.DatasetError(
            f"{path} is damaged: its column {name} has {values.min()} to {values.max()}, and there are {count} {what}. "
            f"{ADVICE}"
        )


def require_whole_column(path: str, name: str, document: Mapping[str, Any]) -> None:
    """Raise DatasetError where a large column is declared that is not stored: it would be allocated before it is read.

    Columns are stored uncompressed, one chunk a shard, padded, with a checksum of 4 bytes.
    """
    size = np.dtype(document["data_type"]).itemsize
    items, length = document["shape"][0], document["chunk_grid"]["configuration"]["chunk_shape"][0]
    if size * max(items, length) < _LARGE_COLUMN:
        return
    shards = -(-items // length)
    stored = store.keys_below(path, f"{name}/c/")
    last = f"{name}/c/{shards - 1}"
    if len(stored) < shards or store.read_range(path, last, size * length + 3, 1) is None:
        raise errors.DatasetError(
            f"{path} declares {items} items and has not as many in {name}: it is damaged. {ADVICE}"
        )


def is_as_written(content: bytes, name: str, attributes: Mapping[str, Any]) -> bool:
    """Whether an array's document is the one of which a finished dataset's record has the digest, if it has any."""
    expected = attributes.get(metadata_digests.DOCUMENTS, {}).get(metadata_digests.document_key(name))
    return expected is None or hashlib.sha256(content).hexdigest() == expected
