"""A dataset's metadata are checked when they are read: by their digest, by a model, and against what is stored."""

import copy
import hashlib
import json
import pathlib
import resource
from collections.abc import Callable
from typing import Any

import fake_maker
import numpy as np
import pytest

from blursynth import errors
from blursynth.production import run
from blursynth.storage import integrity, metadata_digests, reader, writer
from blursynth.storage import schema as schemas
from blursynth.stores import store

NOT_SEALED = (metadata_digests.SEAL, metadata_digests.DOCUMENTS, "fingerprint", "valid_items")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("documents") / "f.zarr"
    run.produce(fake_maker.Fake(), path)
    return path


@pytest.fixture
def edited(made: pathlib.Path) -> Any:
    """A function that puts changed metadata in place, until the test ends."""
    before = {path: path.read_bytes() for path in made.rglob("zarr.json")}
    yield lambda key, content: (made / key).write_bytes(content)
    for path, content in before.items():
        path.write_bytes(content)


def record(made: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "zarr.json").read_text())["attributes"][schemas.ATTRIBUTE]
    return found


def grouped(ours: dict[str, Any], *, sealed: bool = True) -> bytes:
    """A group's document; `sealed`: as if it had been written so."""
    if sealed:
        ours = {**ours, metadata_digests.SEAL: metadata_digests._digest(ours)}
    return store.json_bytes(schemas.group_document(ours))


def used(path: pathlib.Path) -> None:
    """Whatever a reader reads."""
    dataset = reader.open(path, incomplete=True)
    some = [0] if len(dataset) else []
    for name in dataset.attributes["arrays"]:
        dataset.read(name, some)
        dataset.attributes_of(name)
    assert dict(dataset.columns)
    assert dataset.sources is not None


WRONG_VALUES = (None, -1, 10**15, 10**30, "x", [], {}, True, 1.5, [None], [1], {"a": None})
KEYS = (
    "format_version",
    "kind",
    "complete",
    "items",
    "shard_length",
    "arrays",
    "recipe",
    "seed",
    "command",
    "versions",
)
KEYS += ("created", "sources", "sources_sha256", "splits", "skipped", "extra", "maker", "inputs", "valid_items")
KEYS += ("fingerprint", "documents")


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("key", KEYS)
def test_values_of_another_kind(key: str, complete: bool, made: pathlib.Path, edited: Callable[..., None]) -> None:
    """Sealed by whoever wrote them, and unsealed: refused by name, or of a kind that does no harm."""
    refusals = []
    for value in WRONG_VALUES:
        ours = record(made) | {key: value}
        if not complete:
            ours = {name: each for name, each in ours.items() if name not in NOT_SEALED}
            ours["complete"] = value if key == "complete" else False
        edited("zarr.json", grouped(ours, sealed=complete))
        try:
            used(made)
        except errors.DatasetError as error:
            refusals.append(str(error))
        edited("zarr.json", grouped(record(made)))
    assert all(str(made) in words for words in refusals)
    assert len(refusals) >= (0 if key in NOT_SEALED and not complete else 8)


MALFORMED = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "not UTF-8": lambda content: content.replace(b"fake", b"f\xffke", 1),
    "a list": lambda _: b"[]",
    "null": lambda _: b"null",
    "deep": lambda content: content.replace(b'"extra": {}', b'"extra": {"a": ' + b"[" * 100_000 + b"}", 1),
    "5,000 digits": lambda content: content.replace(b'"seed": 0', b'"seed": ' + b"1" * 5000, 1),
    "NaN": lambda content: content.replace(b'"seed": 0', b'"seed": NaN', 1),
    "a key twice": lambda content: content.replace(b'"seed": 0', b'"seed": 0, "seed": 0', 1),
    "no record": lambda content: content.replace(b'"blursynth": {\n', b'"other": {\n', 1),
    "no version": lambda content: content.replace(b'"format_version": 1,', b"", 1),
    "a recipe that is no TOML": lambda content: content.replace(b"level = 1", b"level = ", 1),
    "a deep recipe": lambda content: content.replace(b"level = 1", b"level = " + b"[" * 5000, 1),
    "no items": lambda content: content.replace(b'"items": 20,', b"", 1),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_documents_of_the_group(name: str, made: pathlib.Path, edited: Callable[..., None]) -> None:
    content = (made / "zarr.json").read_bytes()
    changed = MALFORMED[name](content)
    assert changed != content
    edited("zarr.json", changed)
    for read in (reader.open, lambda path: reader.stored_attributes(str(path))):
        with pytest.raises(errors.DatasetError, match=str(made)):
            read(made)
    found, findings = integrity.inspect(str(made))
    assert found is None
    assert [finding.where for finding in findings] == ["zarr.json"]


ARRAY = {
    "shape": [
        [0, 5, 4, 3], [-20, 5, 4, 3], [10**15, 5, 4, 3], [20, 10**15, 4, 3], [20], [], "x", None, [20, 5, 4.0, 3],
    ],
    "data_type": ["float128", "r8", "complex64", 3, None, "string"],
    "chunk_grid": [
        {}, None, {"name": "rectangular"}, {"name": "regular", "configuration": {"chunk_shape": [0, 5, 4, 3]}},
        {"name": "regular", "configuration": {"chunk_shape": [10**15, 5, 4, 3]}},
    ],
    "codecs": [[], None, [{"name": "gzip"}], [{"name": "bytes"}], [{}], [{"name": "sharding_indexed"}]],
    "attributes": [None, [], 3],
    "zarr_format": [2, "3", None],
    "node_type": ["group", None],
}  # fmt: skip


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("key", ARRAY)
def test_metadata_of_an_array(key: str, sealed: bool, made: pathlib.Path, edited: Callable[..., None]) -> None:
    whole = json.loads((made / "picture/zarr.json").read_text())
    for value in ARRAY[key]:
        content = json.dumps(whole | {key: value}).encode()
        edited("picture/zarr.json", content)
        ours = copy.deepcopy(record(made))
        if sealed:
            ours[metadata_digests.DOCUMENTS]["picture/zarr.json"] = hashlib.sha256(content).hexdigest()
            edited("zarr.json", grouped(ours))
        else:
            begun = {name: each for name, each in ours.items() if name not in NOT_SEALED} | {"complete": False}
            edited("zarr.json", grouped(begun, sealed=False))
        with pytest.raises(errors.DatasetError, match=str(made)):
            used(made)


def test_metadata_that_are_not_those_that_were_written(made: pathlib.Path, edited: Callable[..., None]) -> None:
    content = (made / "picture/zarr.json").read_bytes()
    edited("picture/zarr.json", content.replace(b'"gamma2.2"', b'"linear"  '))
    assert (made / "picture/zarr.json").read_bytes() != content
    with pytest.raises(errors.DatasetError, match=r"picture/zarr\.json.*blursynth verify"):
        reader.open(made).read("picture", [0])
    edited("picture/zarr.json", content)
    edited("zarr.json", grouped(record(made) | {"seed": 1}, sealed=False))
    with pytest.raises(errors.DatasetError, match="blursynth repair"):
        reader.open(made)


def test_datasets_from_before_there_was_a_seal_open(made: pathlib.Path, edited: Callable[..., None]) -> None:
    missing = (metadata_digests.SEAL, metadata_digests.DOCUMENTS, "maker", "inputs")
    edited("zarr.json", grouped({k: v for k, v in record(made).items() if k not in missing}, sealed=False))
    dataset = reader.open(made)
    assert dataset.items == 20
    assert (dataset.attributes["maker"], dataset.attributes["inputs"]) == ("", {})
    np.testing.assert_array_equal(dataset.read("picture", [3])[0], fake_maker.Fake().item(3)["picture"])


def test_unknown_keys_of_the_same_format_pass(made: pathlib.Path, edited: Callable[..., None]) -> None:
    edited("zarr.json", grouped(record(made) | {"later": {"a": 1}}))
    used(made)


def test_a_declared_quantity_is_never_allocated(tmp_path: pathlib.Path) -> None:
    """Every document says 10^12 items in shards of 10^9; what is stored is small."""
    arrays = (schemas.column("valid", "uint8", "any"), schemas.column("weight", "float64", "any"))
    small = schemas.Schema("fake", 4, 4, arrays)
    path = str(tmp_path / "f.zarr")
    writer.create(path, small, fake_maker.Fake().record().__class__("", 0, "x"))
    writer.write_shard(path, small, 0, {"valid": np.ones(4, np.uint8), "weight": np.ones(4)})
    large = schemas.Schema("fake", 10**12, 10**9, arrays)
    for name, document in ((array.name, large.document(array)) for array in arrays):
        store.write_json(path, f"{name}/zarr.json", document)
    store.write_json(path, "digest/zarr.json", large.digest_document())
    stored = reader.stored_attributes(path)
    assert stored is not None
    counts = {"items": 10**12, "shard_length": 10**9}
    finished = {"complete": True, "valid_items": 10**12 - 1, "fingerprint": "0" * 64}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for ours in (stored | counts | finished, stored | counts | finished | {"valid_items": 10**12}):
        store.write_json(path, "zarr.json", schemas.group_document(metadata_digests.sealed(path, ours)))
        with pytest.raises(errors.DatasetError, match=path):
            used(pathlib.Path(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # kB


@pytest.mark.parametrize("column", ["source", "split"])
def test_numbers_beyond_their_list(column: str, tmp_path: pathlib.Path) -> None:
    maker = fake_maker.Fake()
    arrays = (schemas.column("source", "int32", "any"), schemas.column("split", "uint8", "any"))
    schema = schemas.Schema("fake", 4, 2, arrays)
    path = str(tmp_path / "f.zarr")
    writer.create(path, schema, maker.record())
    for shard in range(2):
        values = {"source": np.zeros(2, np.int32), "split": np.zeros(2, np.uint8)}
        values[column][1] = 2 if shard else 0
        writer.write_shard(path, schema, shard, values)
    writer.finalise(path, schema, (), 0)
    dataset = reader.open(path)
    for read in (lambda: dataset.columns[column], lambda: dataset.read(column, [3])):
        with pytest.raises(errors.DatasetError, match=f"{path}.*{column}"):
            read()
    assert dataset.read(column, [0, 1, 2]).tolist() == [0, 0, 0]


def test_a_reader_opened_before_a_dataset_grew_reads_what_it_had(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    run.produce(fake_maker.Growing(items=8), path)
    early = reader.open(path)
    run.produce(fake_maker.Growing(items=14), path, append=True)
    assert len(early.columns["weight"]) == len(early) == 8
    np.testing.assert_array_equal(early.read("picture", [7])[0], fake_maker.Fake().item(7)["picture"])
