"""The metadata that a dataset's arrays are given, and how a dataset is cut into shards."""

import itertools
import json
import pathlib
import warnings
from typing import Any

import hypothesis
import numpy as np
import pytest
import zarr
import zarr.codecs
from hypothesis import strategies as st

from blursynth.storage import schema as schemas

PICTURES = schemas.ArraySpec(
    "sharp", "uint8", (16, 12, 3), ("y", "x", "channel"), attributes={"transfer_function": "srgb"}
)
TILES = schemas.ArraySpec("frame", "float32", (10, 12), ("y", "x"), chunk=(4, 4), compression="zstd")
PATHS = schemas.ArraySpec("position", "int16", (20, 2), ("step", "axis"), attributes={"units": "px"})
COLUMN = schemas.ArraySpec("weight", "float64")
FLAG = schemas.ArraySpec("valid", "bool")
SCHEMA = schemas.Schema("test", 10, 4, (PICTURES, TILES, PATHS, COLUMN, FLAG))


def written_by_zarr(folder: pathlib.Path, array: schemas.ArraySpec) -> Any:
    """The document that zarr-python writes for the same array."""
    options: dict[str, Any]
    checksum = zarr.codecs.Crc32cCodec()
    if array.is_column:
        options = {"chunks": (4,), "compressors": [checksum]}
    else:
        blosc = zarr.codecs.BloscCodec(
            cname=array.compression, clevel=1, shuffle="shuffle", typesize=np.dtype(array.dtype).itemsize
        )
        inner = array.chunk or array.shape
        padded = tuple(-(-extent // part) * part for extent, part in zip(array.shape, inner, strict=True))
        options = {"chunks": (1, *inner), "shards": (4, *padded), "compressors": [blosc, checksum]}
    zarr.create_array(
        folder / array.name,
        shape=(10, *array.shape),
        dtype=array.dtype,
        fill_value=0,
        dimension_names=("item", *array.dimensions),
        attributes=dict(array.attributes),
        **options,
    )
    return json.loads((folder / array.name / "zarr.json").read_text())


@pytest.mark.parametrize("array", SCHEMA.arrays, ids=lambda array: array.name)
def test_document_is_the_one_that_zarr_python_writes(array: schemas.ArraySpec, tmp_path: pathlib.Path) -> None:
    assert SCHEMA.document(array) == written_by_zarr(tmp_path, array)


def test_digest_and_group_documents_are_those_that_zarr_python_writes(tmp_path: pathlib.Path) -> None:
    document = SCHEMA.digest_document()
    group = zarr.create_group(tmp_path / "group", attributes={"blursynth": {"kind": "test"}})
    group.create_array(
        "digest",
        shape=(3, 5, 32),
        chunks=(1, 5, 32),
        dtype="uint8",
        fill_value=0,
        compressors=[zarr.codecs.Crc32cCodec()],
        dimension_names=("shard", "array", "byte"),
        attributes=document["attributes"],
    )
    assert document == json.loads((tmp_path / "group" / "digest" / "zarr.json").read_text())
    assert schemas.group_document({"kind": "test"}) == json.loads((tmp_path / "group" / "zarr.json").read_text())


@hypothesis.given(items=st.integers(1, 10**7), length=st.integers(1, 10**5))
def test_shards_tile_the_items(items: int, length: int) -> None:
    hypothesis.assume(items // length < 2000)
    schema = schemas.Schema("test", items, length, (COLUMN,))
    ranges = [schema.items_of(shard) for shard in range(schema.shards)]
    assert ranges[0].start == 0
    assert ranges[-1].stop == items
    assert all(left.stop == right.start for left, right in itertools.pairwise(ranges))
    assert all(0 < len(part) <= length for part in ranges)


def test_shard_length_by_hand() -> None:
    paths = (schemas.ArraySpec("position", "int16", (2000, 2), ("step", "axis")), COLUMN)
    assert schemas.shard_length_for(100_000, paths) == 6250  # sixteen shards of 50 MB
    assert schemas.shard_length_for(10**7, paths) == 8389  # the first length that reaches 64 MiB
    assert schemas.shard_length_for(1, paths) == 1
    huge = (schemas.ArraySpec("frame", "uint8", (10_000, 10_000, 3), ("y", "x", "channel")),)
    assert schemas.shard_length_for(100, huge) == 1


@hypothesis.given(items=st.integers(1, 10**7), side=st.integers(1, 3000))
def test_shards_are_large_enough_or_there_are_sixteen(items: int, side: int) -> None:
    arrays = (schemas.ArraySpec("sharp", "uint8", (side, side, 3), ("y", "x", "channel")), COLUMN)
    length = schemas.shard_length_for(items, arrays)
    largest = length * max(array.bytes_per_item for array in arrays)
    one_item = max(array.bytes_per_item for array in arrays)
    assert length == 1 or largest < schemas.SHARD_BYTES + one_item
    assert largest >= schemas.SHARD_BYTES or length * 16 < items + 16


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "digest", "dtype": "uint8"},
        {"name": "name", "dtype": "U8"},
        {"name": "name", "dtype": "complex64"},
        {"name": "name", "dtype": "uint8", "shape": (3,)},
        {"name": "name", "dtype": "uint8", "shape": (3,), "dimensions": ("x",), "chunk": (1, 1)},
    ],
)
def test_an_array_that_the_format_cannot_hold_is_our_mistake(wrong: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, TypeError)), warnings.catch_warnings():
        schemas.ArraySpec(**wrong)
