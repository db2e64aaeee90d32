"""What verify finds: damage, values that break a rule, sources that changed; and nothing where all is well."""

import dataclasses
import json
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

import fake_maker
import kinds
import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.maintenance import verify
from blursynth.makers import convolve
from blursynth.production import maker as makers
from blursynth.production import run
from blursynth.storage import metadata_digests, reader
from blursynth.storage import schema as schemas
from blursynth.stores import store

FAKE = fake_maker.Fake()


def found(path: pathlib.Path, **options: Any) -> dict[str, str]:
    """The problems that verify finds, by where they are; each place is named once."""
    report = verify.verify(path, **options)
    problems = {finding.where: finding.problem for finding in report.findings if not finding.warning}
    assert len(problems) == len([finding for finding in report.findings if not finding.warning])
    assert report.sound == (not problems)
    return problems


def of_copy(path: pathlib.Path) -> dict[str, str]:
    """Where the photos of `pairs` lie now."""
    return {"photos": str(path.parent / "photos")}


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_nothing_is_found_in_a_fresh_dataset_of_any_kind(kind: str, kept: Callable[[str], kinds.Kept]) -> None:
    maker = kept(kind).maker
    report = verify.verify(kept(kind).path, workers=2)
    assert report.findings == ()
    assert (report.sound, report.items, report.shards) == (True, maker.schema.items, maker.schema.shards)
    left_out = {"imported": 1, "imported tars": 1}.get(kind, 3 if kind.startswith(("photos", "imported")) else 0)
    assert report.compared == (report.items - left_out if report.kind == "pairs" else 0)
    assert isinstance(maker, makers.FromSources) == (report.kind == "pairs")


def test_progress_counts_shards(fake: pathlib.Path) -> None:
    calls: list[tuple[int, int]] = []
    verify.verify(fake, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (7, 7)


def test_missing_cut_and_foreign_objects_are_told_apart(fake: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run.produce(dataclasses.replace(FAKE, seed=1), tmp_path / "other.zarr")
    (fake / "picture/c/0/0/0/0").unlink()
    cut = fake / "picture/c/2/0/0/0"
    cut.write_bytes(cut.read_bytes()[:-7])
    shutil.copyfile(tmp_path / "other.zarr/frame/c/3/0/0", fake / "frame/c/3/0/0")
    (fake / "digest/c/6/0/0").unlink()
    assert found(fake, quick=True) == {
        "picture/c/0/0/0/0": "is missing",
        "picture/c/2/0/0/0": f"is damaged or cut short: its {cut.stat().st_size} bytes cannot be decoded",
        "frame/c/3/0/0": "is whole but not the shard that was recorded: it comes from another dataset or another run",
        "digest/c/6/0/0": "is missing",
    }
    missing = verify.verify(fake).findings[1]
    assert (missing.array, missing.shard, missing.items) == ("picture", 0, (0, 1, 2))


def test_what_was_damaged_before_it_was_recorded_is_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit that flips between writing and hashing: the digest agrees with it, the checksums inside do not."""
    real = store.digest

    def damaged(path: str, key: str) -> tuple[bytes | None, int]:
        if key == "weight/c/2":
            content = bytearray(pathlib.Path(path, key).read_bytes())
            content[3] ^= 1
            pathlib.Path(path, key).write_bytes(content)
        return real(path, key)

    with monkeypatch.context() as patch:
        patch.setattr(store, "digest", damaged)
        run.produce(FAKE, tmp_path / "f.zarr")
    assert verify.verify(tmp_path / "f.zarr", quick=True).sound
    problems = found(tmp_path / "f.zarr", sources=False)
    assert list(problems) == ["weight/c/2"]
    assert "its values fail their checksums" in problems["weight/c/2"]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit": lambda content: content[:3] + bytes([content[3] ^ 1]) + content[4:],
    "empty": lambda _: b"",
    "cut": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "noise": lambda content: random.Random(0).randbytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_array_is_decoded(damage: str, fake: pathlib.Path) -> None:
    """Each array's object is damaged in a shard of its own, with the digest of the damaged bytes on record."""
    arrays = reader.open(fake).attributes["arrays"]
    for shard, array in enumerate(arrays):
        kinds.damage_as_recorded(fake, array, shard, DAMAGE[damage])
    assert verify.verify(fake, quick=True).sound
    report = verify.verify(fake, workers=2)
    assert [(each.array, each.shard) for each in report.findings] == [(array, k) for k, array in enumerate(arrays)]
    assert all(
        each.damage and set(each.items) <= set(range(3 * each.shard, 3 * each.shard + 3)) for each in report.findings
    )
    assert all(each.items for each in report.findings)


def test_the_item_that_cannot_be_decoded_is_named(pairs: pathlib.Path) -> None:
    """Items of a shard are compressed one by one: a byte in the middle of the first one's part damages it alone."""
    for array in ("blurred", "sharp"):
        kinds.damage_as_recorded(
            pairs, array, 1, lambda content: content[:50] + bytes([content[50] ^ 1]) + content[51:]
        )
    report = verify.verify(pairs, sources=False)
    assert [(each.array, each.items) for each in report.findings] == [("blurred", (4,)), ("sharp", (4,))]


def test_what_the_store_does_not_give_is_no_damage(fake: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise errors.StorageError("The server is gone.", 5)

    monkeypatch.setattr(verify._Checker, "_read", refuse)
    with pytest.raises(errors.StorageError):
        verify.verify(fake)


def test_a_shard_that_comes_whole_from_another_dataset_shows_in_the_fingerprint(
    fake: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run.produce(dataclasses.replace(FAKE, seed=1), tmp_path / "other.zarr")
    for key in ("picture/c/3/0/0/0", "frame/c/3/0/0", "valid/c/3", "source/c/3", "weight/c/3", "digest/c/3/0/0"):
        shutil.copyfile(tmp_path / "other.zarr" / key, fake / key)
    assert list(found(fake)) == ["digest"]


def test_what_is_no_part_of_the_dataset_is_a_warning(fake: pathlib.Path) -> None:
    (fake / "thesis.txt").write_text("years of work")
    (fake / "picture/c/99/0/0").mkdir(parents=True)
    (fake / "picture/c/99/0/0/0").write_bytes(b"beyond the end")
    report = verify.verify(fake)
    assert [(each.where, each.warning) for each in report.findings] == [
        ("picture/c/99/0/0/0", True),
        ("thesis.txt", True),
    ]
    assert report.sound


def test_metadata_that_are_lost_hide_no_damage_of_their_array(fake: pathlib.Path) -> None:
    (fake / "picture/zarr.json").unlink()
    (fake / "picture/c/1/0/0/0").write_bytes(b"?")
    (fake / "picture/c/4/0/0/0").unlink()
    assert found(fake) == {
        "picture/zarr.json": "is missing",
        "picture/c/1/0/0/0": "is damaged: it is not what was written",
        "picture/c/4": "is missing",
    }


def edit(path: pathlib.Path, change: Callable[[dict[str, Any]], Any], sealed: bool = False) -> None:
    """Change the group's attributes; `sealed`: as if they had been written so."""
    attributes = json.loads((path / schemas.GROUP).read_text())["attributes"][schemas.ATTRIBUTE]
    change(attributes)
    attributes = metadata_digests.sealed(str(path), attributes) if sealed else attributes
    store.write_json(str(path), schemas.GROUP, schemas.group_document(attributes))


def test_an_edited_record_is_found(fake: pathlib.Path) -> None:
    edit(fake, lambda attributes: attributes.update(seed=3))
    assert found(fake) == {"zarr.json": "is damaged or was edited: the record is not what was written"}
    edit(fake, lambda attributes: attributes.pop("splits"))
    assert found(fake) == {"zarr.json": "is damaged: the record of what the dataset is cannot be read"}
    edit(fake, lambda attributes: attributes.update(splits=["train", "test"], seed=0))
    assert list(found(fake)) == ["zarr.json"], "equal but for the order of its entries"


def test_a_newer_format_is_refused_if_the_record_is_whole(fake: pathlib.Path) -> None:
    edit(fake, lambda attributes: attributes.update(format_version=2))
    assert "or it is of format version 2" in found(fake)["zarr.json"]
    edit(fake, lambda _: None, sealed=True)
    with pytest.raises(errors.DatasetError, match="has format version 2; this blursynth reads version 1"):
        verify.verify(fake)


def test_no_dataset_is_an_error(tmp_path: pathlib.Path, fake: pathlib.Path) -> None:
    with pytest.raises(errors.DatasetError, match="There is no dataset at"):
        verify.verify(tmp_path / "nowhere")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("hello")
    with pytest.raises(errors.DatasetError, match="is not a blursynth dataset"):
        verify.verify(tmp_path / "notes")
    shutil.rmtree(fake)
    with pytest.raises(errors.DatasetError, match="There is no dataset at"):
        verify.verify(fake)


def test_an_unfinished_dataset_says_so_and_its_finished_shards_are_checked(fake: pathlib.Path) -> None:
    edit(fake, lambda attributes: attributes.update(complete=False))
    for shard in (2, 3):
        (fake / f"digest/c/{shard}/0/0").unlink()
    (fake / "weight/c/3").unlink()
    (fake / "weight/c/5").write_bytes(b"?")
    problems = found(fake)
    assert list(problems) == ["zarr.json", "weight/c/5"]
    assert "not finished: 2 of 7 shards" in problems["zarr.json"]
    assert "blursynth fake" in problems["zarr.json"]


# Values that are stored as they were made and break a rule.


def spoil_psf(made: dict[str, Any]) -> None:
    made["psf"] *= np.float32(1.01)


def shift_psf(made: dict[str, Any]) -> None:
    made["psf"] = np.ascontiguousarray(np.roll(made["psf"], 1, axis=2))


def negative_psf(made: dict[str, Any]) -> None:
    middle = made["psf"].shape[1] // 2
    made["psf"][:, 0, 0] -= np.float32(0.1)
    made["psf"][:, -1, -1] -= np.float32(0.1)
    made["psf"][:, middle, middle] += np.float32(0.2)


def other_pixel(made: dict[str, Any]) -> None:
    made["sharp"][:, 5, 6, 1] ^= np.uint8(1)


def column(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    def spoil(made: dict[str, Any]) -> None:
        made[name][:] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "where", "words"),
    [
        (spoil_psf, "psf/c/2/0/0", "has kernels that do not sum to 1"),
        (shift_psf, "psf/c/2/0/0", "has kernels whose centroid is not on the centre pixel"),
        (negative_psf, "psf/c/2/0/0", "has kernels with weights that are negative or not a number"),
        (other_pixel, "sharp/c/2/0/0/0", "has sharp images that are not what 2.png holds there"),
        (column("split", 3), "split/c/2", "has values outside of [0, 2]"),
        (column("source", 99), "source/c/2", "has values outside of [0, 7]"),
        (column("source", -1), "source/c/2", "has values outside of [0, 7]"),
        (column("crop_y", 30), "crop_y/c/2", "has crops that reach beyond their source"),
        (column("crop_x", -1), "crop_x/c/2", "has crops that reach beyond their source"),
        (column("exposure", 0.05), "exposure/c/2", "has values outside of [0.1, 1]"),
        (column("exposure", np.nan), "exposure/c/2", "has values outside of [0.1, 1]"),
        (column("length", 20.5), "length/c/2", "has values outside of [5, 20]"),
        (column("anxiety", 0.2), "anxiety/c/2", "has values outside of [0, 0.1]"),
        (column("angle", 7), "angle/c/2", "has values outside of [0, 6.28319]"),
        (column("impulses", 201), "impulses/c/2", "has values outside of [0, 200]"),
        (column("valid", 2), "valid/c/2", "has values outside of [0, 1]"),
    ],
)
def test_values_that_break_a_rule_are_named_with_their_item(
    spoil: Callable[[dict[str, Any]], None],
    where: str,
    words: str,
    kept: Callable[[str], kinds.Kept],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = convolve.ConvolveMaker.make

    def make(self: convolve.ConvolveMaker, items: range) -> dict[str, Any]:
        made = honest(self, items)
        if 8 in items:
            alone = {name: values[:1].copy() for name, values in made.items()}
            spoil(alone)
            made |= {name: np.concatenate([alone[name], made[name][1:]]) for name in made}
        return made

    monkeypatch.setattr(convolve.ConvolveMaker, "make", make)
    run.produce(kept("photos").maker, tmp_path / "a.zarr")
    report = verify.verify(tmp_path / "a.zarr")
    wrong = {each.where: each for each in report.findings}
    assert wrong[where].problem.startswith(words), wrong
    assert wrong[where].items == (8,)
    assert not wrong[where].damage
    assert found(tmp_path / "a.zarr", quick=True) == {}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda made: made["position"][:, 0, 1].__setitem__(slice(None), 1), "has paths that do not start at 0"),
        (lambda made: made["position"][:, 9].__setitem__(slice(None), 32000), "reach farther than their length"),
    ],
)
def test_paths_that_break_a_rule(
    spoil: Callable[[dict[str, Any]], None], words: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = kinds.trajectory_maker()
    honest = type(maker).make

    def make(self: Any, items: range) -> dict[str, Any]:
        made = honest(self, items)
        spoil(made)
        return made

    monkeypatch.setattr(type(maker), "make", make)
    run.produce(maker, tmp_path / "a.zarr")
    report = verify.verify(tmp_path / "a.zarr")
    assert {each.where for each in report.findings} == {f"position/c/{shard}/0/0" for shard in range(4)}
    assert all(words in each.problem for each in report.findings)
    assert [item for each in report.findings for item in each.items] == list(range(30))


# Sources.


def test_sources_that_changed_or_are_gone_are_named_once_and_the_rest_is_compared(pairs: pathlib.Path) -> None:
    photos = pairs.parent / "photos"
    (photos / "1.png").unlink()
    Image.fromarray(np.zeros((43, 47, 3), np.uint8)).save(photos / "3.png")
    report = verify.verify(pairs, moved=of_copy(pairs))
    assert [each.where for each in report.findings] == ["1.png", "3.png"]
    assert "changed" not in report.findings[0].problem
    assert "has changed" in report.findings[1].problem
    assert not report.sound
    assert report.compared == 3 * 5
    assert found(pairs, sources=False) == {}
    assert found(pairs, quick=True) == {}


def test_a_folder_of_photos_that_is_gone_is_one_finding(pairs: pathlib.Path) -> None:
    moved = {"photos": str(pairs.parent / "nowhere")}
    problems = found(pairs, moved=moved)
    assert list(problems) == ["sources"]
    assert "There is no file or folder" in problems["sources"]
    assert "--photos" in problems["sources"]


def test_a_photo_that_cannot_be_decoded_any_more_is_named(pairs: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a Pillow that has no decoder for it."""

    def refuse(*_: Any) -> Any:
        raise errors.InputError("no decoder for it")

    monkeypatch.setattr(convolve.ConvolveMaker, "_read", refuse)
    problems = found(pairs, moved=of_copy(pairs))
    assert problems["0.png"] == "cannot be decoded, though it has not changed: no decoder for it"
    assert len(problems) == 7, "cut.png made no pair that could be compared"


def test_images_that_differ_come_with_the_versions_that_may_explain_it(
    pairs: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(pairs, lambda attributes: attributes["versions"].update(pillow="1.0"), sealed=True)
    assert verify.verify(pairs, moved=of_copy(pairs)).remarks == ()
    honest = convolve.ConvolveMaker._read
    monkeypatch.setattr(convolve.ConvolveMaker, "_read", lambda self, source: honest(self, source) ^ 1)
    report = verify.verify(pairs, moved=of_copy(pairs))
    assert sum(len(each.items) for each in report.findings) == report.compared == 21
    assert [remark.partition(" then")[0] for remark in report.remarks] == ["pillow 1.0"]


def test_the_report_is_plain_data(pairs: pathlib.Path) -> None:
    (pairs / "sharp/c/1/0/0/0").unlink()
    report = json.loads(json.dumps(dataclasses.asdict(verify.verify(pairs, moved=of_copy(pairs)))))
    assert report["findings"][0]["items"] == [4, 5, 6, 7]
