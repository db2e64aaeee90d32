"""What a dataset holds: its arrays, their shards and chunks, and the Zarr v3 metadata that says so.

The metadata documents are written as plain JSON, so that neither making nor reading a dataset imports zarr-python; the
tests hold them equal to what zarr-python writes for the same arrays.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

FORMAT_VERSION = 1

# The largest array's shard before compression: the low end of 64 to 128 MiB keeps a task's memory small.
SHARD_BYTES = 64 * 2**20
# A small dataset still has enough shards to keep many workers busy and to lose little at an interruption.
FEWEST_SHARDS = 16

GROUP = "zarr.json"
ATTRIBUTE = "blursynth"
DIGEST = "digest"
GROWTH = "digest/growth.json"  # what a dataset grows into, while it does; below an array, where no reader looks
DIGEST_BYTES = 32
VALID = "valid"
SOURCE = "source"


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """One array of a dataset, described per item: the leading dimension `item` is left out.

    `shape == ()` is a column: a number per item, stored uncompressed with one chunk a shard. Anything else is stored
    in shards of whole items, with inner chunks of one item by `chunk` (None: the whole item). `dtype` is NumPy's name
    of a number type. `attributes` are CF attributes (units, scale_factor, long_name) and the like; JSON only.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    dimensions: tuple[str, ...] = ()
    chunk: tuple[int, ...] | None = None
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    compression: Literal["lz4", "zstd"] = "lz4"

    def __post_init__(self) -> None:
        assert np.dtype(self.dtype).name == self.dtype, f"{self.name}: {self.dtype} is not a NumPy name"
        assert np.dtype(self.dtype).kind in "biuf", f"{self.name}: only numbers are portable, not {self.dtype}"
        assert len(self.dimensions) == len(self.shape), f"{self.name}: a name for each dimension but item"
        assert self.chunk is None or len(self.chunk) == len(self.shape), f"{self.name}: chunk does not fit the shape"
        assert self.name != DIGEST, "digest is the format's own array"

    @property
    def is_column(self) -> bool:
        return not self.shape

    @property
    def bytes_per_item(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True)
class Schema:
    """All arrays of one dataset. Every array has `items` items in shards of `shard_length` whole items."""

    kind: str
    items: int
    shard_length: int
    arrays: tuple[ArraySpec, ...]

    def __post_init__(self) -> None:
        assert self.items > 0, "a dataset has at least one item"
        assert self.shard_length > 0, "a shard has at least one item"
        assert self.arrays, "a dataset has at least one array"
        assert len(set(self.names)) == len(self.arrays), f"array names repeat: {self.names}"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(array.name for array in self.arrays)

    @property
    def shards(self) -> int:
        return -(-self.items // self.shard_length)

    @property
    def bytes_per_item(self) -> int:
        return sum(array.bytes_per_item for array in self.arrays)

    def items_of(self, shard: int) -> range:
        """The items of a shard; only the last may be shorter than `shard_length`."""
        assert 0 <= shard < self.shards, f"shard {shard} of {self.shards}"
        start = shard * self.shard_length
        return range(start, min(start + self.shard_length, self.items))

    def document(self, array: ArraySpec) -> dict[str, Any]:
        """The Zarr v3 metadata (`zarr.json`) of an array."""
        shape = (self.items, *array.shape)
        shard = (self.shard_length, *array.shape)
        codecs = _raw_codecs(array.dtype)
        if not array.is_column:
            inner = (1, *(array.chunk or array.shape))
            shard = (self.shard_length, *_whole_chunks(array))
            codecs = [_sharding_codec(inner, array)]
        dimensions = ("item", *array.dimensions)
        return _document(shape, array.dtype, shard, codecs, dimensions, dict(array.attributes))

    def digest_document(self) -> dict[str, Any]:
        """The metadata of `digest`: one chunk a shard, because the presence of that chunk marks the shard finished."""
        row = (len(self.arrays), DIGEST_BYTES)
        attributes = {
            "long_name": "SHA-256 of each array's stored shard; a row is written when its shard is finished",
            "arrays": list(self.names),
        }
        dimensions = ("shard", "array", "byte")
        return _document((self.shards, *row), "uint8", (1, *row), _raw_codecs("uint8"), dimensions, attributes)

    def chunk_key(self, array: ArraySpec, shard: int) -> str:
        """The object in which an array's part of a shard is stored, relative to the dataset."""
        return "/".join([array.name, "c", str(shard), *("0" for _ in array.shape)])


def column(
    name: str, dtype: str, long_name: str, units: str = "1", valid_range: tuple[float, float] | None = None
) -> ArraySpec:
    """A number an item, with its meaning and unit, and the least and greatest value that it can have (CF names)."""
    attributes: dict[str, Any] = {"long_name": long_name, "units": units}
    if valid_range is not None:
        low, high = (np.asarray(bound).astype(dtype).item() for bound in valid_range)  # as values round to the dtype
        attributes["valid_range"] = [low, high]
    return ArraySpec(name, dtype, attributes=attributes)


def sized(kind: str, items: int, arrays: Sequence[ArraySpec], shard_length: int | None = None) -> Schema:
    """The schema of these arrays, with the usual shard length unless one is given."""
    return Schema(kind, items, shard_length or shard_length_for(items, tuple(arrays)), tuple(arrays))


def shard_length_for(items: int, arrays: tuple[ArraySpec, ...]) -> int:
    """Items in a shard: the largest array's shard is at least 64 MiB before compression, or the dataset has 16 shards.

    A function of the dataset alone, never of the number of workers.
    """
    largest = max(array.bytes_per_item for array in arrays)
    by_size = -(-SHARD_BYTES // largest)
    by_count = -(-items // FEWEST_SHARDS)
    return max(1, min(by_size, by_count))


def digest_schema(attributes: Mapping[str, Any]) -> Schema:
    """A schema that is right about `digest` alone; what else the arrays are does not matter there."""
    arrays = tuple(ArraySpec(name, "uint8") for name in attributes["arrays"])
    return Schema(attributes["kind"], attributes["items"], attributes["shard_length"], arrays)


def digest_key(shard: int) -> str:
    """The object that holds a shard's row of digests, relative to the dataset."""
    return f"{DIGEST}/c/{shard}/0/0"


def group_document(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of the dataset's group, with ours under one key."""
    return {"attributes": {ATTRIBUTE: dict(attributes)}, "zarr_format": 3, "node_type": "group"}


def _whole_chunks(array: ArraySpec) -> tuple[int, ...]:
    """The item's shape rounded up to whole inner chunks: a shard is cut into inner chunks without a remainder."""
    chunk = array.chunk or array.shape
    return tuple(-(-extent // part) * part for extent, part in zip(array.shape, chunk, strict=True))


def _document(
    shape: tuple[int, ...],
    dtype: str,
    chunk: tuple[int, ...],
    codecs: list[dict[str, Any]],
    dimensions: tuple[str, ...],
    attributes: dict[str, Any],
) -> dict[str, Any]:
    return {
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": np.zeros((), dtype).item(),
        "codecs": codecs,
        "attributes": attributes,
        "dimension_names": list(dimensions),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _bytes_codec(dtype: str) -> dict[str, Any]:
    if np.dtype(dtype).itemsize == 1:
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": "little"}}


def _raw_codecs(dtype: str) -> list[dict[str, Any]]:
    return [_bytes_codec(dtype), {"name": "crc32c"}]


def _sharding_codec(inner: tuple[int, ...], array: ArraySpec) -> dict[str, Any]:
    """Inner chunks compressed and checked one by one; the shard's index lies at its end, checked too."""
    blosc = {
        "typesize": np.dtype(array.dtype).itemsize,
        "cname": array.compression,
        "clevel": 1,
        "shuffle": "shuffle",
        "blocksize": 0,
    }
    configuration = {
        "chunk_shape": list(inner),
        "codecs": [_bytes_codec(array.dtype), {"name": "blosc", "configuration": blosc}, {"name": "crc32c"}],
        "index_codecs": [*_raw_codecs("uint64")],
        "index_location": "end",
    }
    return {"name": "sharding_indexed", "configuration": configuration}
