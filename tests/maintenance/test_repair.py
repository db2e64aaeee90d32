"""Damage of every sort is found and mended to the byte, and what is sound is not touched."""

import dataclasses
import json
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

import clip_files
import dying_store
import fake_maker
import hypothesis
import kinds
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from blursynth import errors
from blursynth.maintenance import repair, verify
from blursynth.makers import average_frames_request, convolve, registry
from blursynth.production import run
from blursynth.sources import clip_files as clip_files_
from blursynth.storage import lock, metadata_digests, provenance, reader, writer
from blursynth.storage import schema as schemas
from blursynth.stores import store

FAKE = fake_maker.Fake()
FLIPS = 100


def mend(path: pathlib.Path) -> repair.Outcome:
    """The fixture `pairs` is a copy, beside a copy of its photos; all else lies where it was made."""
    moved = {"photos": str(path.parent / "photos")} if path.name == "pairs.zarr" else {}
    return repair.repair(path, moved=moved, workers=2)


def flip(path: pathlib.Path, draws: random.Random, objects: list[str]) -> str:
    """Change one byte at a random place of one of these objects; gives the object."""
    key = draws.choice(objects)
    value = bytearray((path / key).read_bytes())
    value[draws.randrange(len(value))] ^= draws.randrange(1, 256)
    (path / key).write_bytes(value)
    return key


def flip_and_mend(path: pathlib.Path, flips: int) -> tuple[int, int, int]:
    """Flip a byte, verify, repair, again and again; gives how many were in shards, found, and mended to the byte.

    Half of the flips are in metadata. Of those in the group's own document only what says nothing can be mended.
    """
    whole = kinds.contents(path)
    metadata = [key for key in whole if key.endswith("zarr.json")]
    shards = [key for key in whole if not key.endswith("zarr.json")]
    draws = random.Random(flips)
    in_shards = found = mended = 0
    for number in range(flips):
        key = flip(path, draws, metadata if number % 2 else shards)
        findings = verify.verify(path, quick=bool(number % 4), sources=False).findings
        found += any(finding.where == key and finding.damage for finding in findings)
        in_shards += key in shards
        try:
            mend(path)
        except errors.DatasetError:
            assert key == schemas.GROUP
            (path / key).write_bytes(whole[key])
        else:
            mended += kinds.contents(path) == whole
    return in_shards, found, mended


def test_flipped_bytes_are_found_and_mended(pairs: pathlib.Path) -> None:
    in_shards, found, mended = flip_and_mend(pairs, 24)
    assert (in_shards, found) == (12, 24)
    assert mended >= 21


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["photos", "trajectories", "psfs of cameras", "photos with a field", "imported tars"])
def test_flipped_bytes_are_found_and_mended_at_many_places(
    kind: str, kept: Callable[[str], kinds.Kept], tmp_path: pathlib.Path
) -> None:
    kept(kind).copy(tmp_path / "a.zarr")
    flips = FLIPS if kind == "photos" else FLIPS // 5  # one format holds all kinds, in few shapes
    in_shards, found, mended = flip_and_mend(tmp_path / "a.zarr", flips)
    assert (in_shards, found) == (flips // 2, flips)
    in_the_record = flips // 2 / (len(reader.open(tmp_path / "a.zarr").attributes["arrays"]) + 2)
    assert mended >= flips - 3 * in_the_record


@pytest.mark.slow
def test_every_byte_of_the_record_counts(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    run.produce(fake_maker.Fake(items=2), path)
    whole = (path / "zarr.json").read_bytes()
    draws = random.Random(0)
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= draws.randrange(1, 256)
        (path / "zarr.json").write_bytes(flipped)
        findings = verify.verify(path, quick=True).findings
        assert [each.where for each in findings] == ["zarr.json"], (position, whole[position], flipped[position])


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_what_was_deleted_is_made_again_to_the_byte(
    kind: str, kept: Callable[[str], kinds.Kept], tmp_path: pathlib.Path
) -> None:
    kept(kind).copy(tmp_path / "a.zarr")
    whole = kinds.contents(tmp_path / "a.zarr")
    draws = random.Random(kind)
    gone = draws.sample([key for key in whole if key != schemas.GROUP], len(whole) // 2)
    for key in gone:
        (tmp_path / "a.zarr" / key).unlink()
    outcome = repair.repair(tmp_path / "a.zarr")
    assert sorted(each.where.partition("/c/")[0] for each in outcome.healed) == sorted(
        key.partition("/c/")[0] for key in gone
    )
    assert (outcome.unhealed, outcome.remarks) == ((), ())
    assert kinds.contents(tmp_path / "a.zarr") == whole
    assert [entry.name for entry in tmp_path.iterdir() if "lock" in entry.name] == []


@pytest.mark.usefixtures("known")
@hypothesis.settings(max_examples=20)
@hypothesis.given(data=st.data())
def test_exactly_what_is_damaged_is_written(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "f.zarr"
    run.produce(FAKE, path)
    whole = kinds.contents(path)
    objects = sorted(set(whole) - {schemas.GROUP})
    damage = data.draw(st.dictionaries(st.sampled_from(objects), st.one_of(st.none(), st.binary(max_size=400))))
    damage = {key: value for key, value in damage.items() if value != whole[key]}
    for key, value in damage.items():
        (path / key).unlink() if value is None else (path / key).write_bytes(value)
    times = {key: (path / key).stat().st_mtime_ns for key in objects if key not in damage}
    repair.repair(path)
    assert kinds.contents(path) == whole
    assert {key: (path / key).stat().st_mtime_ns for key in times} == times


def test_a_whole_dataset_is_left_alone(fake: pathlib.Path) -> None:
    times = {file: file.stat().st_mtime_ns for file in fake.rglob("*") if file.is_file()}
    outcome = repair.repair(fake)
    assert (outcome.healed, outcome.unhealed, outcome.shards) == ((), (), 0)
    assert {file: file.stat().st_mtime_ns for file in fake.rglob("*") if file.is_file()} == times


def test_progress_of_checking_and_of_making(fake: pathlib.Path) -> None:
    (fake / "weight/c/1").unlink()
    (fake / "weight/c/5").unlink()
    checked: list[tuple[int, int]] = []
    made: list[tuple[int, int]] = []
    repair.repair(fake, checking=lambda *call: checked.append(call), making=lambda *call: made.append(call))
    assert checked[-1] == (7, 7)
    assert made == [(1, 2), (2, 2)]


def test_lost_digests_need_no_inputs(pairs: pathlib.Path) -> None:
    """The objects' own digests are right where the fingerprint says so."""
    whole = kinds.contents(pairs)
    shutil.rmtree(pairs.parent / "photos")
    (pairs / "digest/c/0/0/0").unlink()
    (pairs / "digest/c/3/0/0").write_bytes(b"?")
    assert repair.repair(pairs, moved={"photos": str(pairs.parent / "photos")}).shards == 0
    assert kinds.contents(pairs) == whole


def flipped(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 16]) + content[41:] if len(content) > 40 else bytes(len(content))


@pytest.mark.parametrize(
    "kind",
    [
        "trajectories",
        "psfs",
        "photos with a field",
        "photos shaken at depths",
        "photos with moving objects",
        "imported",
    ],
)
def test_what_was_recorded_damaged_is_made_again_to_the_byte(
    kind: str, kept: Callable[[str], kinds.Kept], tmp_path: pathlib.Path
) -> None:
    """One object of every array, in turn over the shards; the fingerprint is the original one again."""
    path = kept(kind).copy(tmp_path / "a.zarr")
    whole = kinds.contents(path)
    dataset = reader.open(path)
    damaged = {
        array: k % -(-dataset.attributes["items"] // dataset.attributes["shard_length"])
        for k, array in enumerate(dataset.attributes["arrays"])
    }
    for array, shard in damaged.items():
        kinds.damage_as_recorded(path, array, shard, flipped)
    assert verify.verify(path, quick=True).sound
    assert {each.array: each.shard for each in verify.verify(path, sources=False).findings} == damaged
    outcome = repair.repair(path, workers=2)
    assert {each.array: each.shard for each in outcome.healed} == damaged
    assert (outcome.unhealed, len(outcome.remarks)) == ((), 1)
    assert kinds.contents(path) == whole
    assert verify.verify(path, sources=False).sound


def test_a_doctored_digest_alone_is_repaired_too(fake: pathlib.Path) -> None:
    """The fingerprint then says that some row is wrong, and the damaged object which."""
    whole = kinds.contents(fake)
    kinds.damage_as_recorded(fake, "picture", 2, flipped)
    (fake / "zarr.json").write_bytes(whole["zarr.json"])
    assert ("picture", 2) in {(each.array, each.shard) for each in verify.verify(fake).findings}
    assert repair.repair(fake).unhealed == ()
    assert kinds.contents(fake) == whole


def test_a_shard_of_which_every_object_was_recorded_damaged_is_made_again(fake: pathlib.Path) -> None:
    whole = kinds.contents(fake)
    for array in reader.open(fake).attributes["arrays"]:
        kinds.damage_as_recorded(fake, array, 2, flipped)
    assert repair.repair(fake).unhealed == ()
    assert kinds.contents(fake) == whole


def test_a_repair_that_is_killed_anywhere_is_finished_by_the_next(fake: pathlib.Path) -> None:
    whole = kinds.contents(fake)
    for array, shard in (("picture", 2), ("frame", 2), ("weight", 4)):
        kinds.damage_as_recorded(fake, array, shard, flipped)
    damaged = kinds.contents(fake)
    for objects in range(20):
        for key, content in damaged.items():
            (fake / key).write_bytes(content)
        try:
            with dying_store.dies_after(objects):
                repair.repair(fake, workers=1)
        except dying_store.Killed:
            fake.with_name("f.zarr.lock").unlink(missing_ok=True)
            assert repair.repair(fake).unhealed == (), objects
            assert kinds.contents(fake) == whole, objects
        else:
            assert kinds.contents(fake) == whole
            return
    raise AssertionError("it never ended")


def test_what_was_recorded_damaged_is_not_made_by_what_makes_all_else_otherwise(
    fake: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds.damage_as_recorded(fake, "picture", 2, flipped)
    before = kinds.contents(fake)
    encode_otherwise(monkeypatch, other_weights)
    outcome = repair.repair(fake)
    assert [each.array for each in outcome.unhealed] == ["picture"]
    assert kinds.contents(fake) == before


def test_a_shard_of_another_dataset_with_its_digests_is_replaced(fake: pathlib.Path, tmp_path: pathlib.Path) -> None:
    whole = kinds.contents(fake)
    run.produce(dataclasses.replace(FAKE, seed=1), tmp_path / "other.zarr")
    for key in ("picture/c/3/0/0/0", "frame/c/3/0/0", "valid/c/3", "source/c/3", "weight/c/3", "digest/c/3/0/0"):
        shutil.copyfile(tmp_path / "other.zarr" / key, fake / key)
    assert repair.repair(fake).unhealed == ()
    assert kinds.contents(fake) == whole


def test_the_list_of_sources_is_found_again_among_the_photos(pairs: pathlib.Path) -> None:
    whole = kinds.contents(pairs)
    (pairs / "source/zarr.json").write_bytes(b"{}")
    mend(pairs)
    assert kinds.contents(pairs) == whole
    (pairs / "source/zarr.json").write_bytes(b"{}")
    (pairs.parent / "photos" / "3.png").unlink()
    with pytest.raises(errors.DatasetError, match="sources: 8 then, 7 now"):
        mend(pairs)


REASON = "could not be read when the dataset was made, but can be now"  # as older versions said it


def take_for_damaged(path: pathlib.Path, items: range) -> None:
    """Do to a finished dataset what older versions did where sources could not be read for a moment."""
    there = reader.stored_attributes(str(path))
    assert there is not None
    maker = registry.rebuild(there, reader.Dataset(str(path), there).sources, of_copy(path))
    shards = sorted({item // there["shard_length"] for item in items})
    writer.reopen(str(path), there, shards, frozenset())
    for shard in shards:
        mine = maker.schema.items_of(shard)
        arrays = {
            name: reader.open_array(str(path), name)[mine.start : mine.stop].read().result() for name in there["arrays"]
        }
        rows = [item - mine.start for item in items if item in mine]
        for name in {"blurred", "sharp", "crop_y", "crop_x", "valid"} & arrays.keys():
            arrays[name][rows] = 0
        if "reason" in arrays:
            arrays["reason"][rows] = 2
        writer.write_shard(str(path), maker.schema, shard, arrays)
    invalid = writer.invalid_items(str(path))
    source = reader.open_array(str(path), "source")[items.start].read().result()
    name = reader.Dataset(str(path), there).sources[int(source)]["name"]
    writer.finalise(str(path), maker.schema, [provenance.Skipped(name, REASON)], len(invalid))


def of_copy(path: pathlib.Path) -> dict[str, str]:
    return {"photos": str(path.parent / "photos")} if path.name == "pairs.zarr" else {}


def test_items_left_out_because_their_photo_was_away_are_named_and_made(pairs: pathlib.Path) -> None:
    whole = kinds.contents(pairs)
    before = reader.open(pairs).attributes
    take_for_damaged(pairs, range(9, 12))
    assert kinds.contents(pairs) != whole
    there = reader.open(pairs)
    assert there.items == before["valid_items"] - 3
    findings = verify.verify(pairs, moved=of_copy(pairs)).findings
    assert [(each.array, each.shard, each.items, each.damage) for each in findings] == [
        ("valid", 2, (9, 10, 11), False)
    ]
    outcome = mend(pairs)
    assert [(each.array, each.shard, each.items) for each in outcome.healed] == [("valid", 2, (9, 10, 11))]
    assert outcome.unhealed == ()
    assert kinds.contents(pairs) == whole, "the reason, the number of valid items and the fingerprint included"
    assert verify.verify(pairs, moved=of_copy(pairs)).sound
    assert mend(pairs).healed == ()


def test_items_left_out_stay_so_where_their_photo_cannot_be_read_now_either(pairs: pathlib.Path) -> None:
    take_for_damaged(pairs, range(9, 12))
    as_left = kinds.contents(pairs)
    (pairs.parent / "photos" / "3.png").rename(pairs.parent / "3.png")
    outcome = mend(pairs)
    assert (outcome.healed, outcome.unhealed) == ((), ())
    assert any("3.png" in remark for remark in outcome.remarks)
    assert kinds.contents(pairs) == as_left
    assert "3.png" in [each.where for each in verify.verify(pairs, moved=of_copy(pairs)).findings]


def test_killed_while_such_items_are_made_the_command_completes_it(
    pairs: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kinds.contents(pairs)
    take_for_damaged(pairs, range(9, 15))  # of two shards
    stored = writer.write_shard

    def once(path: str, schema: Any, shard: int, *more: Any) -> None:
        stored(path, schema, shard, *more)
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "write_shard", once)
    with pytest.raises(KeyboardInterrupt):
        repair.repair(pairs, moved=of_copy(pairs), workers=1)
    monkeypatch.setattr(writer, "write_shard", stored)
    attributes = reader.stored_attributes(str(pairs))
    assert attributes is not None
    assert not attributes["complete"]
    sources = reader.Dataset(str(pairs), attributes).sources
    run.produce(registry.rebuild(attributes, sources, of_copy(pairs)), pairs)
    again = kinds.contents(pairs)
    before, after = (json.loads(content.pop("zarr.json")) for content in (whole, again))
    assert again == whole
    ours = [document["attributes"].pop("blursynth") for document in (before, after)]
    assert before == after
    differing = {key for key in {*ours[0], *ours[1]} if ours[0].get(key) != ours[1].get(key)}
    assert differing == {"inputs", "seal"}, "the photos' place alone, which is sealed too"
    assert list(ours[0]) == list(ours[1])


@pytest.mark.parametrize("kind", ["imported", "frames"])
def test_so_are_those_of_imported_files_and_frames(
    kind: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else is known of a clip stays on record."""
    monkeypatch.setattr(clip_files_.Clip, "loss", "its last frames are cut off")
    if kind == "imported":
        maker, items = kinds.make("imported", tmp_path), range(1, 3)
    else:
        folder = tmp_path / "clips" / "GOPR1"
        folder.mkdir(parents=True)
        for k, frame in enumerate(clip_files.moving(24)):
            Image.fromarray(frame).save(folder / f"{k:04d}.png")
        (folder / "0023.png").write_bytes((folder / "0023.png").read_bytes()[:500])
        asked = {"seed": 3, "frames": "5", "splits": "train=1,val=0", "shard_length": 2, "allow_damaged": True}
        maker, items = average_frames_request.maker([str(tmp_path / "clips")], asked), range(3)
    run.produce(maker, tmp_path / "a.zarr")
    whole = kinds.contents(tmp_path / "a.zarr")
    take_for_damaged(tmp_path / "a.zarr", items)
    assert {each.array for each in verify.verify(tmp_path / "a.zarr").findings} == {"valid"}
    assert repair.repair(tmp_path / "a.zarr").unhealed == ()
    assert kinds.contents(tmp_path / "a.zarr") == whole


def test_a_source_that_changed_leaves_its_shards_and_the_rest_is_mended(pairs: pathlib.Path) -> None:
    Image.fromarray(np.zeros((43, 47, 3), np.uint8)).save(pairs.parent / "photos" / "3.png")  # items 9 to 11
    whole = kinds.contents(pairs)
    for shard in (0, 1, 2, 3, 5):
        (pairs / f"sharp/c/{shard}/0/0/0").unlink()
    outcome = mend(pairs)
    assert [each.shard for each in outcome.healed] == [0, 1, 3, 5]
    assert [each.shard for each in outcome.unhealed] == [2]
    assert "3.png has changed" in outcome.unhealed[0].problem
    assert set(whole) - set(kinds.contents(pairs)) == {"sharp/c/2/0/0/0"}


def test_other_paths_than_those_recorded_are_refused(tmp_path: pathlib.Path) -> None:
    run.produce(kinds.make("psfs", tmp_path), tmp_path / "a.zarr")
    run.produce(dataclasses.replace(kinds.trajectory_maker(), seed=5), tmp_path / "paths.zarr", overwrite=True)
    (tmp_path / "a.zarr/psf/c/1/0/0").unlink()
    outcome = repair.repair(tmp_path / "a.zarr")
    assert "holds other trajectories than those that this dataset is made from" in outcome.unhealed[0].problem
    run.produce(kinds.trajectory_maker(), tmp_path / "moved.zarr")
    outcome = repair.repair(tmp_path / "a.zarr", moved={"trajectories": str(tmp_path / "moved.zarr")})
    assert outcome.unhealed == ()
    assert verify.verify(tmp_path / "a.zarr").sound


@pytest.mark.parametrize("kind", ["psfs", "photos with paths"])
def test_paths_that_have_grown_since_are_those_recorded(kind: str, tmp_path: pathlib.Path) -> None:
    run.produce(kinds.make(kind, tmp_path), tmp_path / "a.zarr")
    before = kinds.contents(tmp_path / "a.zarr")
    longer = dataclasses.replace(kinds.trajectory_maker(), recipe=kinds.trajectory_recipe(47))
    run.produce(longer, tmp_path / "paths.zarr", append=True)
    assert verify.verify(tmp_path / "a.zarr").sound
    for key in list(before):
        if key.startswith(("psf/c/", "trajectory/c/")):
            (tmp_path / "a.zarr" / key).unlink()
    assert repair.repair(tmp_path / "a.zarr").unhealed == ()
    assert kinds.contents(tmp_path / "a.zarr") == before


def record_versions(path: pathlib.Path, **versions: str) -> None:
    """As if the dataset had been made with other versions."""
    attributes = reader.stored_attributes(str(path))
    assert attributes is not None
    attributes["versions"] |= versions
    store.write_json(str(path), schemas.GROUP, schemas.group_document(metadata_digests.sealed(str(path), attributes)))


def encode_otherwise(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, bytes]], Any]) -> None:
    """What other versions of a package might do to the bytes of a shard."""
    honest = writer.encode_shard

    def encode(*arguments: Any) -> dict[str, bytes]:
        encoded = honest(*arguments)
        change(encoded)
        return encoded

    monkeypatch.setattr(writer, "encode_shard", encode)


def other_weights(encoded: dict[str, bytes]) -> None:
    encoded["weight"] = b"other" + encoded["weight"]


def test_bytes_that_nothing_explains_are_not_stored(fake: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_otherwise(monkeypatch, other_weights)
    (fake / "weight/c/2").unlink()
    before = kinds.contents(fake)
    outcome = repair.repair(fake)
    assert "weight would not be what was recorded, so what made it must have changed" in outcome.unhealed[0].problem
    assert kinds.contents(fake) == before


def test_bytes_of_other_versions_are_stored_and_said(fake: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_versions(fake, numpy="1.0")
    before = kinds.contents(fake)
    encode_otherwise(monkeypatch, other_weights)
    (fake / "weight/c/2").unlink()
    outcome = repair.repair(fake)
    assert (len(outcome.healed), outcome.unhealed) == (1, ())
    assert "numpy 1.0 then" in outcome.remarks[0]
    assert "new fingerprint" in outcome.remarks[0]
    assert verify.verify(fake, quick=True).sound
    after = kinds.contents(fake)
    assert {key for key in before if before[key] != after[key]} == {"weight/c/2", "digest/c/2/0/0", "zarr.json"}


def test_equal_bytes_of_other_versions_are_as_they_were(fake: pathlib.Path) -> None:
    record_versions(fake, numpy="1.0", blursynth="0.0.1")
    whole = kinds.contents(fake)
    (fake / "weight/c/2").unlink()
    assert repair.repair(fake).remarks == ()
    assert kinds.contents(fake) == whole


@pytest.mark.parametrize("gone", ["weight/c/2", "digest/c/2/0/0"])
def test_another_version_of_this_package_is_not_trusted_with_other_bytes(
    gone: str, fake: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_versions(fake, numpy="1.0", blursynth="0.0.1")
    encode_otherwise(monkeypatch, other_weights)
    (fake / "weight/c/2").write_bytes(b"?")
    (fake / gone).unlink()
    outcome = repair.repair(fake)
    assert all("Install the versions recorded" in each.problem for each in outcome.unhealed)
    assert outcome.healed == ()


def test_an_unfinished_dataset_keeps_its_gaps_for_its_own_command(fake: pathlib.Path) -> None:
    whole = kinds.contents(fake)
    attributes = reader.stored_attributes(str(fake))
    assert attributes is not None
    store.write_json(str(fake), schemas.GROUP, schemas.group_document(attributes | {"complete": False}))
    (fake / "digest/c/2/0/0").unlink()
    (fake / "weight/c/2").unlink()
    (fake / "weight/c/3").write_bytes(b"?")
    outcome = repair.repair(fake)
    assert [each.where for each in outcome.healed] == ["weight/c/3"]
    assert not (fake / "weight/c/2").exists()
    assert outcome.unfinished == attributes["command"]
    run.produce(FAKE, fake)
    assert kinds.contents(fake) == whole


def test_a_lost_record_is_a_sentence(fake: pathlib.Path) -> None:
    (fake / "zarr.json").write_bytes(b"{")
    with pytest.raises(errors.DatasetError, match=r"zarr.json is damaged: .* Put a copy of that file back"):
        repair.repair(fake)


def test_a_record_that_only_looks_otherwise_is_written_as_it_was(fake: pathlib.Path) -> None:
    whole = kinds.contents(fake)
    (fake / "zarr.json").write_bytes(whole["zarr.json"].replace(b"\n", b" "))
    assert [each.where for each in repair.repair(fake).healed] == ["zarr.json"]
    assert kinds.contents(fake) == whole


@pytest.mark.parametrize("field", [b'"node_type": "%s"', b'"zarr_format": %s'])
def test_a_group_that_says_that_it_is_another_thing(field: bytes, fake: pathlib.Path) -> None:
    whole = kinds.contents(fake)
    sound, other = (b"group", b"array") if b"node" in field else (b"3", b"2")
    changed = whole["zarr.json"].replace(field % sound, field % other)
    assert changed != whole["zarr.json"]
    (fake / "zarr.json").write_bytes(changed)
    for use in (reader.open, lambda path: run.produce(FAKE, path)):
        with pytest.raises(errors.DatasetError, match="verify"):
            use(fake)
    repair.repair(fake)
    assert kinds.contents(fake) == whole


def test_a_run_minds_the_seal_of_what_is_complete(fake: pathlib.Path) -> None:
    attributes = reader.stored_attributes(str(fake))
    assert attributes is not None
    store.write_json(str(fake), schemas.GROUP, schemas.group_document(attributes | {"documents": {}}))
    with pytest.raises(errors.DatasetError, match="damaged or was edited"):
        run.produce(FAKE, fake)
    assert run.produce(FAKE, fake, overwrite=True).made


@pytest.mark.usefixtures("known")
def test_no_dataset_and_no_maker_are_errors(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.DatasetError, match="There is no dataset at"):
        repair.repair(tmp_path / "no" / "where")
    assert list(tmp_path.iterdir()) == []
    run.produce(FAKE, tmp_path / "f.zarr")
    monkeypatch.delitem(registry.MAKERS, "fake")
    assert repair.repair(tmp_path / "f.zarr").healed == ()
    (tmp_path / "f.zarr/weight/c/2").unlink()
    with pytest.raises(errors.DatasetError, match="made by fake, which this version does not know"):
        repair.repair(tmp_path / "f.zarr")


def test_two_never_repair_one_dataset(fake: pathlib.Path) -> None:
    with lock.held(str(fake)), pytest.raises(errors.DatasetError, match="is being written by process"):
        repair.repair(fake)


def test_makers_are_rebuilt_as_they_were(kept: Callable[[str], kinds.Kept]) -> None:
    for kind in kinds.KINDS:
        maker = kept(kind).maker
        attributes = provenance.attributes(maker.record(), maker.schema)
        again = registry.rebuild(attributes, maker.record().sources, {})
        assert again.schema == maker.schema
        for name, values in maker.make(range(3, 6)).items():
            assert np.array_equal(again.make(range(3, 6))[name], values), (kind, name)


def test_a_record_that_gives_another_dataset_is_refused(tmp_path: pathlib.Path) -> None:
    maker = kinds.make("scenes", tmp_path)
    assert isinstance(maker, convolve.ConvolveMaker)
    attributes = provenance.attributes(maker.record(), maker.schema) | {"items": 14}
    with pytest.raises(errors.DatasetError, match=r"items: 14 -> 15"):
        registry.rebuild(attributes, maker.record().sources, {})
