"""What is written is what is read: whole shards, all-zero items, damage, and what a dataset says of itself."""

import hashlib
import json
import logging
import pathlib
import pickle

import fake_maker
import hypothesis
import numpy as np
import pytest
import tensorstore as ts
from hypothesis import strategies as st

from blursynth import errors
from blursynth.production import run
from blursynth.storage import provenance, reader, writer
from blursynth.storage import schema as schemas
from blursynth.stores import store

FAKE = fake_maker.Fake()


@pytest.fixture
def made(tmp_path: pathlib.Path) -> pathlib.Path:
    run.produce(FAKE, tmp_path / "fake.zarr", workers=2)
    return tmp_path / "fake.zarr"


def test_read_gives_the_items_asked_for_in_order(made: pathlib.Path) -> None:
    dataset = reader.open(made)
    indices = [7, 0, 19, 7]
    for name in ("picture", "frame"):
        wanted = np.stack([FAKE.item(item)[name] for item in indices])
        np.testing.assert_array_equal(dataset.read(name, indices), wanted)
    assert dataset.read("frame", []).shape == (0, 6, 7)
    assert dataset.read("frame", np.array([], np.int64)).dtype == np.int16


def test_dataset_says_what_it_is(made: pathlib.Path) -> None:
    dataset = reader.open(made)
    assert (dataset.kind, dataset.items, len(dataset)) == ("fake", 20, 20)
    assert dataset.names == ("picture", "frame")
    assert list(dataset.columns) == ["valid", "source", "weight"]
    assert dataset.transfer_function == "gamma2.2"
    assert dataset.sources == list(fake_maker.SOURCES)
    assert dataset.splits == ("train", "test")
    assert dataset.attributes["recipe"] == "[motion]\nlevel = 1\n"
    assert dataset.attributes_of("weight") == {"units": "1"}
    assert dataset.shape_of("frame") == (6, 7)
    with pytest.raises(ValueError, match="read-only"):
        dataset.columns["weight"][0] = 1


def test_pickled_dataset_reads_the_same(made: pathlib.Path) -> None:
    dataset = reader.open(made)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again.read("picture", [3]), dataset.read("picture", [3]))


@pytest.mark.parametrize("index", [-1, 20])
def test_index_outside_is_an_error(made: pathlib.Path, index: int) -> None:
    with pytest.raises(IndexError, match="20 items"):
        reader.open(made).read("picture", [0, index])


def test_unknown_array_is_named_with_the_known_ones(made: pathlib.Path) -> None:
    with pytest.raises(errors.DatasetError, match="no array blurred; it has picture, frame"):
        reader.open(made).read("blurred", [0])


def test_all_zero_items_and_shards_are_stored(tmp_path: pathlib.Path) -> None:
    schema = schemas.Schema("black", 5, 2, fake_maker.ARRAYS)
    writer.create(str(tmp_path / "b.zarr"), schema, FAKE.record())
    for shard in range(schema.shards):
        zeros = {a.name: np.zeros((len(schema.items_of(shard)), *a.shape), a.dtype) for a in schema.arrays}
        writer.write_shard(str(tmp_path / "b.zarr"), schema, shard, zeros)
        for array in schema.arrays:
            assert (tmp_path / "b.zarr" / schema.chunk_key(array, shard)).stat().st_size > 0
    # The reader takes a missing inner chunk for damage; so every black item has to be there.
    array = reader.open_array(str(tmp_path / "b.zarr"), "picture")
    assert not array.read().result().any()


def test_stored_objects_are_those_that_tensorstore_and_zarr_would_write(made: pathlib.Path) -> None:
    """The bytes are tensorstore's own for a direct write, and the digests are theirs."""
    digests = reader.open_array(str(made), "digest").read().result()
    for row, array in enumerate(FAKE.schema.arrays):
        direct = {
            "driver": "zarr3",
            "kvstore": {"driver": "memory"},
            "metadata": FAKE.schema.document(array),
            "store_data_equal_to_fill_value": True,
        }
        memory = ts.open(direct, create=True).result()
        memory.write(np.stack([FAKE.item(item)[array.name] for item in range(20)])).result()
        for shard in range(FAKE.schema.shards):
            key = FAKE.schema.chunk_key(array, shard)
            stored = (made / key).read_bytes()
            assert memory.kvstore is not None
            assert memory.kvstore.read(key.removeprefix(f"{array.name}/")).result().value == stored
            assert digests[shard, row].tobytes() == hashlib.sha256(stored).digest()


def test_fingerprint_is_of_the_content(tmp_path: pathlib.Path) -> None:
    makers = {"a": FAKE, "b": FAKE, "c": fake_maker.Fake(seed=1)}
    for name, maker in makers.items():
        run.produce(maker, tmp_path / name)
    prints = [reader.open(tmp_path / name).fingerprint for name in makers]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("shard", [0, 1])
@pytest.mark.parametrize("there", ["the same", "another", "longer", "cut", "empty", "junk", "a dangling link"])
def test_an_object_that_is_there_is_replaced(there: str, shard: int, tmp_path: pathlib.Path) -> None:
    """Also where a shard does not cover it: a last one that is not full, and tiles that reach beyond the image."""
    tiled = schemas.ArraySpec("tiled", "uint8", (5, 7), ("y", "x"), chunk=(4, 4))
    arrays = (tiled, schemas.column("weight", "float64", "any"))
    short, long = (schemas.sized("fake", items, arrays, shard_length=3) for items in (5, 6))
    random = np.random.default_rng(0)
    older, wanted = ({"tiled": random.integers(1, 256, (3, 5, 7), np.uint8), "weight": random.random(3)} for _ in "12")
    mine = {name: values[: len(short.items_of(shard))] for name, values in wanted.items()}
    expected = writer.encode_shard(short, shard, mine)
    path = str(tmp_path)
    for array in arrays:
        file = tmp_path / short.chunk_key(array, shard)
        before = {"the same": expected, "longer": writer.encode_shard(long, shard, older)}.get(there)
        before = before or writer.encode_shard(short, shard, {k: v[: len(mine[k])] for k, v in older.items()})
        file.parent.mkdir(parents=True)
        if there == "a dangling link":
            file.symlink_to(tmp_path / "nowhere")
        else:
            file.write_bytes(
                {"cut": before[array.name][:-3], "empty": b"", "junk": b"x" * 99}.get(there, before[array.name])
            )
    writer.write_shard(path, short, shard, mine)
    rows = ts.open(
        {"driver": "zarr3", "kvstore": f"file://{path}/digest/", "metadata": short.digest_document(), "create": True}
    ).result()
    for row, array in enumerate(arrays):
        stored = (tmp_path / short.chunk_key(array, shard)).read_bytes()
        assert stored == expected[array.name]
        assert rows[shard, row].read().result().tobytes() == hashlib.sha256(stored).digest()


def test_an_item_is_read_without_the_rest_of_its_shard(made: pathlib.Path) -> None:
    """Item 1's shard is overwritten with junk but for that item's inner chunk and the index."""
    stored = made / "picture" / "c" / "0" / "0" / "0" / "0"
    content = np.frombuffer(stored.read_bytes(), np.uint8).copy()
    index_bytes = 3 * 16 + 4  # offset and length of three inner chunks, and a checksum
    start, length = content[-index_bytes:-4].view(np.uint64).reshape(3, 2)[1].astype(int)
    junk = np.full_like(content, 0xAA)
    junk[start : start + length] = content[start : start + length]
    junk[-index_bytes:] = content[-index_bytes:]
    stored.write_bytes(junk.tobytes())
    np.testing.assert_array_equal(reader.open(made).read("picture", [1])[0], FAKE.item(1)["picture"])
    with pytest.raises(errors.DatasetError, match="Could not read picture"):
        reader.open(made).read("picture", [2])


@pytest.mark.parametrize("name", ["picture", "frame", "weight"])
def test_a_flipped_byte_is_an_error_not_another_value(made: pathlib.Path, name: str) -> None:
    array = next(array for array in FAKE.schema.arrays if array.name == name)
    stored = made / FAKE.schema.chunk_key(array, 0)
    content = bytearray(stored.read_bytes())
    for position in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[position] ^= 0x10
        stored.write_bytes(flipped)
        dataset = reader.open(made)
        with pytest.raises(errors.DatasetError, match=rf"Could not read {name} in .*`blursynth repair` makes"):
            _ = dataset.columns[name] if array.is_column else dataset.read(name, [0, 1, 2])


def test_a_lost_shard_is_an_error_not_zeros(made: pathlib.Path) -> None:
    (made / "picture" / "c" / "1" / "0" / "0" / "0").unlink()
    dataset = reader.open(made)
    assert dataset.read("picture", [0]).any() == (0 % 4 != 0)
    with pytest.raises(errors.DatasetError, match="Could not read picture"):
        dataset.read("picture", [4])


def test_a_lost_array_is_an_error(made: pathlib.Path) -> None:
    (made / "frame" / "zarr.json").unlink()
    with pytest.raises(errors.DatasetError, match="frame") as raised:
        reader.open(made).read("frame", [0])
    assert "tensorstore_spec" not in str(raised.value)


def test_absent_row_of_digests_is_not_a_row_of_zeros(made: pathlib.Path) -> None:
    attributes = reader.open(made).attributes
    (made / "digest" / "c" / "2" / "0" / "0").unlink()
    finished, _ = reader.digests(str(made), attributes)
    assert list(np.flatnonzero(~finished)) == [2]
    document = FAKE.schema.digest_document()
    zeros = writer._encode(document, np.zeros((1, 5, 32), np.uint8), 2, "c/2/0/0")
    (made / "digest" / "c" / "2" / "0" / "0").write_bytes(zeros)
    finished, _ = reader.digests(str(made), attributes)
    assert finished.all()


def test_cut_short_row_counts_as_unfinished(made: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    attributes = reader.open(made).attributes
    row = made / "digest" / "c" / "2" / "0" / "0"
    row.write_bytes(row.read_bytes()[:20])
    with caplog.at_level(logging.WARNING):
        finished, _ = reader.digests(str(made), attributes)
    assert list(np.flatnonzero(~finished)) == [2]
    assert "shard 2" in caplog.text


class TestRefusals:
    def test_nothing_there(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(errors.DatasetError, match=r"There is no dataset at .*nothing"):
            reader.open(tmp_path / "nothing")

    def test_incomplete(self, tmp_path: pathlib.Path) -> None:
        path = str(tmp_path / "part.zarr")
        writer.create(path, FAKE.schema, FAKE.record())
        with pytest.raises(errors.DatasetError, match=r"not finished.*blursynth fake"):
            reader.open(path)

    @pytest.mark.parametrize("version", [0, 2, "next"])
    def test_another_format_version(self, made: pathlib.Path, version: object) -> None:
        document = json.loads((made / "zarr.json").read_text())
        document["attributes"]["blursynth"]["format_version"] = version
        (made / "zarr.json").write_text(json.dumps(document))
        with pytest.raises(errors.DatasetError, match=f"format version {version}.*newer blursynth"):
            reader.open(made)

    def test_foreign(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "file").write_text("text")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "thesis.tex").write_text("text")
        (tmp_path / "zarr").mkdir()
        (tmp_path / "zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
        for name in ("file", "folder", "zarr"):
            with pytest.raises(errors.DatasetError, match="not a blursynth dataset"):
                reader.open(tmp_path / name)

    def test_metadata_that_is_not_json(self, made: pathlib.Path) -> None:
        (made / "zarr.json").write_bytes(b"\x00\xff{")
        with pytest.raises(errors.DatasetError, match=r"zarr\.json"):
            reader.open(made)

    def test_no_images_no_transfer_function(self, tmp_path: pathlib.Path) -> None:
        schema = schemas.Schema("paths", 1, 1, (schemas.ArraySpec("position", "int16", (4, 2), ("step", "axis")),))
        path = str(tmp_path / "paths.zarr")
        writer.create(path, schema, provenance.Record("", 0, ""))
        writer.write_shard(path, schema, 0, {"position": np.zeros((1, 4, 2), np.int16)})
        writer.finalise(path, schema, (), 0)
        with pytest.raises(errors.DatasetError, match="no transfer function"):
            _ = reader.open(path).transfer_function


def test_unfinished_dataset_shows_its_finished_items(tmp_path: pathlib.Path) -> None:
    maker = fake_maker.Fake(broken=5)
    path = str(tmp_path / "part.zarr")
    writer.create(path, maker.schema, maker.record())
    for shard in (3, 1):
        writer.write_shard(path, maker.schema, shard, maker.make(maker.schema.items_of(shard)))
    dataset = reader.open(path, incomplete=True)
    there = [3, 4, 9, 11]  # shards 1 and 3 hold items 3, 4, 5 and 9, 10, 11; 5 and 10 are left out
    assert dataset.items == 4
    np.testing.assert_array_equal(dataset.columns["weight"], [maker.item(item)["weight"] for item in there])
    np.testing.assert_array_equal(dataset.read("frame", range(4)), [maker.item(item)["frame"] for item in there])
    with pytest.raises(errors.DatasetError, match="no fingerprint"):
        _ = dataset.fingerprint


def test_finalise_names_what_is_missing_and_writes_nothing(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "part.zarr")
    writer.create(path, FAKE.schema, FAKE.record())
    writer.write_shard(path, FAKE.schema, 1, FAKE.make(FAKE.schema.items_of(1)))
    before = (tmp_path / "part.zarr" / "zarr.json").read_bytes()
    with pytest.raises(errors.DatasetError, match=r"6 of 7 shards are missing \(0, 2, 3, 4, 5, 6\)"):
        writer.finalise(path, FAKE.schema, (), 0)
    assert (tmp_path / "part.zarr" / "zarr.json").read_bytes() == before


@hypothesis.settings(max_examples=30)
@hypothesis.given(data=st.data(), items=st.integers(1, 17), length=st.integers(1, 20), broken=st.integers(0, 4))
def test_same_arrays_for_any_shard_length_and_order(
    data: st.DataObject, items: int, length: int, broken: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    maker = fake_maker.Fake(items=items, shard_length=length, broken=broken)
    path = str(tmp_path_factory.mktemp("any") / "fake.zarr")
    writer.create(path, maker.schema, maker.record())
    for shard in data.draw(st.permutations(range(maker.schema.shards))):
        writer.write_shard(path, maker.schema, shard, maker.make(maker.schema.items_of(shard)))
    writer.finalise(path, maker.schema, (), len(writer.invalid_items(path)))
    fake_maker.assert_holds(reader.open(path), maker)


def test_differences_are_named_by_recipe_key() -> None:
    schema = FAKE.schema
    record = provenance.Record("[motion]\nlevel = 1\n[crop]\nsize = 64\n", 0, "one", sources=fake_maker.SOURCES)
    stored = provenance.attributes(record, schema)
    other = provenance.Record("[crop]\nsize=128\n[motion]\nlevel=1", 1, "two", sources=fake_maker.SOURCES[:1])
    lines = provenance.differences(stored, provenance.attributes(other, schema))
    assert lines == ["recipe.crop.size: 64 -> 128", "seed: 0 -> 1", "sources: 2 then, 1 now, not the same files"]
    same = provenance.Record("[crop]\nsize=64\n[motion]\nlevel=1", 0, "three", sources=fake_maker.SOURCES)
    assert provenance.differences(stored, provenance.attributes(same, schema)) == []


def test_place_has_one_name_for_one_place(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(errors.DatasetError, match="NUL"):
        store.normalise("a\0b")
    assert store.normalise(f"{tmp_path}/link/") == store.normalise(tmp_path / "real" / ".." / "real")


def test_a_name_with_a_backslash_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.DatasetError, match="has a backslash in it"):
        run.produce(FAKE, tmp_path / "a\\b")
    assert not list(tmp_path.iterdir())


def test_what_became_of_sources_and_versions_is_told_by_keys_not_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source may be called like a sentence, and a package like the beginning of another's name."""
    old = [{"name": name, "sha256": "0"} for name in ("a is new", "b", "c")]
    now = [{"name": "b", "sha256": "1"}, {"name": "c", "sha256": "0"}, {"name": "d", "sha256": "0"}]
    lost = provenance.lost_sources(old, now)
    assert [next(each["name"] for each in old if line.startswith(each["name"])) for line in lost] == ["a is new", "b"]
    assert provenance.source_differences(old, now)[: len(lost)] == lost
    assert len(provenance.source_differences(old, now)) == len(lost) + 1
    monkeypatch.setattr(provenance, "versions", lambda: {"blursynth": "1", "numpy": "3", "zarr": "2"})
    changed = provenance.changed_versions({"blursynth": "1", "numpy": "2", "dask": "1"})
    assert changed == {"dask": ("1", "none"), "numpy": ("2", "3"), "zarr": ("none", "2")}
