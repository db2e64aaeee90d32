"""--append: a finished dataset grows, what is in it stays, and it can be killed anywhere."""

import dataclasses
import json
import pathlib
from typing import Any

import dying_store
import fake_maker
import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st
from PIL import Image

from blursynth import errors
from blursynth.config import photo_pairs, toml
from blursynth.makers import convolve, psfs, trajectories
from blursynth.production import maker, run
from blursynth.storage import growth, reader
from blursynth.storage import schema as schemas

SHORT = fake_maker.Growing(items=20, shard_length=3)
LONG = dataclasses.replace(SHORT, items=32)


def files(path: pathlib.Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def in_one_go(path: pathlib.Path, whole: pathlib.Path) -> None:
    """Every file but the record of the group, which tells of the growth, is as if the dataset had been made at once."""
    one, other = files(path), files(whole)
    del one["zarr.json"], other["zarr.json"]
    assert one == other


@hypothesis.settings(max_examples=6)
@hypothesis.given(lengths=st.lists(st.integers(2, 40), min_size=2, max_size=4, unique=True), shard=st.integers(1, 9))
def test_grown_in_steps_is_as_made_at_once(
    lengths: list[int], shard: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for items in sorted(lengths):
        grown = fake_maker.Growing(items=items, shard_length=shard, broken=7)
        run.produce(grown, folder / "f.zarr", append=True, workers=2)
        fake_maker.assert_holds(reader.open(folder / "f.zarr"), grown)
    run.produce(grown, folder / "whole.zarr")
    in_one_go(folder / "f.zarr", folder / "whole.zarr")
    assert not (folder / "f.zarr" / schemas.GROWTH).exists()
    one, other = reader.open(folder / "f.zarr"), reader.open(folder / "whole.zarr")
    assert one.fingerprint == other.fingerprint
    assert one.attributes["skipped"] == other.attributes["skipped"]


def test_only_a_partial_last_shard_is_rewritten(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    run.produce(SHORT, path)
    before = {name: (path / name).stat().st_mtime_ns for name in files(path)}
    fingerprint = reader.open(path).fingerprint
    outcome = run.produce(LONG, path, append=True)
    assert (outcome.made, outcome.resumed) == (12, 20)
    touched = {name for name, time in before.items() if (path / name).stat().st_mtime_ns != time}
    assert {name.split("/")[2] for name in touched if not name.endswith("zarr.json")} == {"6"}
    assert reader.open(path).attributes["grown_from"] == [{"items": 20, "sources": 2, "fingerprint": fingerprint}]


def test_items_that_are_there_are_not_made_again(tmp_path: pathlib.Path) -> None:
    run.produce(SHORT, tmp_path / "f.zarr")
    run.produce(Counting(items=32, shard_length=3), tmp_path / "f.zarr", append=True, workers=1)
    fake_maker.assert_holds(reader.open(tmp_path / "f.zarr"), LONG)


@dataclasses.dataclass(frozen=True)
class Counting(fake_maker.Growing):
    """Refuses to make one of the first 20 items."""

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        assert items.start >= 20
        return super().make(items)


def test_killed_before_any_object_and_continued(tmp_path: pathlib.Path) -> None:
    """What was there is readable until the end is near, and never in between; the next run completes the growth."""
    short, long = dataclasses.replace(SHORT, items=5), dataclasses.replace(SHORT, items=8)
    run.produce(long, tmp_path / "whole.zarr")
    readable = unfinished = 0
    for objects in range(40):
        path = tmp_path / f"{objects}.zarr"
        run.produce(short, path)
        try:
            with dying_store.dies_after(objects):
                run.produce(long, path, append=True, workers=1)
        except dying_store.Killed:
            pass
        else:
            break
        if json.loads((path / "zarr.json").read_text())["attributes"]["blursynth"]["complete"]:
            dataset = reader.open(path)
            fake_maker.assert_holds(dataset, short if len(dataset) == 5 else long)
            readable += 1
        else:
            with pytest.raises(errors.DatasetError, match="not finished"):
                reader.open(path)
            unfinished += 1
        run.produce(long, path, append=True, workers=1)
        fake_maker.assert_holds(reader.open(path), long)
        in_one_go(path, tmp_path / "whole.zarr")
    else:
        raise AssertionError("it never ended by itself")
    assert readable > 10  # the note, six objects in each of two shards, and the last removal
    assert unfinished == 1 + len(SHORT.schema.arrays) + 1


class TestRefused:
    def test_another_seed_or_recipe_shows_the_difference(self, tmp_path: pathlib.Path) -> None:
        run.produce(SHORT, tmp_path / "f.zarr")
        before = files(tmp_path / "f.zarr")
        other = dataclasses.replace(LONG, seed=5, level=2)
        with pytest.raises(errors.DatasetError, match=r"recipe\.motion\.level: 1 -> 2\n  seed: 0 -> 5"):
            run.produce(other, tmp_path / "f.zarr", append=True)
        with pytest.raises(errors.DatasetError, match="items: 20 -> 8"):
            run.produce(dataclasses.replace(SHORT, items=8), tmp_path / "f.zarr", append=True)
        assert files(tmp_path / "f.zarr") == before

    def test_without_append_it_is_named(self, tmp_path: pathlib.Path) -> None:
        run.produce(SHORT, tmp_path / "f.zarr")
        with pytest.raises(errors.DatasetError, match=r"items: 20 -> 32\n.*--append to add to it"):
            run.produce(LONG, tmp_path / "f.zarr")

    def test_kinds_that_cannot_grow(self, tmp_path: pathlib.Path) -> None:
        run.produce(fake_maker.Fake(), tmp_path / "f.zarr")
        with pytest.raises(errors.DatasetError, match="of this kind cannot grow"):
            run.produce(fake_maker.Fake(items=30), tmp_path / "f.zarr", append=True)

    def test_unfinished_datasets_are_finished_first(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            run.produce(SHORT, tmp_path / "f.zarr", progress=interrupt(9), workers=1)
        with pytest.raises(errors.DatasetError, match=r"not finished, so nothing can be added yet\..*blursynth fake"):
            run.produce(LONG, tmp_path / "f.zarr", append=True)
        run.produce(SHORT, tmp_path / "f.zarr", append=True)  # the same again goes on with it
        fake_maker.assert_holds(reader.open(tmp_path / "f.zarr"), SHORT)

    def test_another_growth_before_the_first_has_ended(self, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "f.zarr"
        run.produce(SHORT, path)
        with pytest.raises(KeyboardInterrupt):
            run.produce(LONG, path, append=True, progress=interrupt(24), workers=1)
        with pytest.raises(errors.DatasetError, match=r"growing into another dataset(?s:.)*items: 32 -> 41"):
            run.produce(dataclasses.replace(LONG, items=41), path, append=True)
        assert run.produce(SHORT, path).nothing_to_do  # what was there is there
        fake_maker.assert_holds(reader.open(path), SHORT)
        outcome = run.produce(LONG, path)  # what was begun is gone on with, also without --append
        assert outcome.resumed >= 24
        fake_maker.assert_holds(reader.open(path), LONG)

    def test_append_and_overwrite(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(errors.DatasetError, match="give one of them"):
            run.produce(SHORT, tmp_path / "f.zarr", append=True, overwrite=True)


def interrupt(items: int) -> Any:
    def progress(done: int, _: int) -> None:
        if done >= items:
            raise KeyboardInterrupt

    return progress


def test_overwriting_forgets_a_growth(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    run.produce(SHORT, path)
    with pytest.raises(KeyboardInterrupt):
        run.produce(LONG, path, append=True, progress=interrupt(24), workers=1)
    run.produce(dataclasses.replace(SHORT, seed=3), path, overwrite=True)
    assert growth.pending(str(path)) is None
    fake_maker.assert_holds(reader.open(path), dataclasses.replace(SHORT, seed=3))


def test_damaged_digests_are_repaired_first(tmp_path: pathlib.Path) -> None:
    run.produce(SHORT, tmp_path / "f.zarr")
    (tmp_path / "f.zarr" / schemas.digest_key(2)).unlink()
    with pytest.raises(errors.DatasetError, match="lost digests of its shards, so it cannot grow"):
        run.produce(LONG, tmp_path / "f.zarr", append=True)


class TestKinds:
    """Which keys may grow is each maker's own."""

    def paths(self, items: int) -> trajectories.TrajectoryMaker:
        request = toml.build({"n": items, "motion": {"steps": 50, "length": "5:20"}}, photo_pairs.Trajectories)
        return trajectories.TrajectoryMaker(request, 4)

    def test_trajectories(self, tmp_path: pathlib.Path) -> None:
        run.produce(self.paths(40), tmp_path / "f.zarr")
        before = reader.open(tmp_path / "f.zarr").read("position", range(40))
        run.produce(self.paths(77), tmp_path / "f.zarr", append=True)
        run.produce(self.paths(77), tmp_path / "whole.zarr")
        dataset, whole = reader.open(tmp_path / "f.zarr"), reader.open(tmp_path / "whole.zarr")
        position = dataset.read("position", range(77))
        assert np.array_equal(position[:40], before)
        assert np.array_equal(position, whole.read("position", range(77)))
        for name, values in whole.columns.items():
            assert np.array_equal(dataset.columns[name], values)
        assert run.produce(self.paths(77), tmp_path / "f.zarr").nothing_to_do

    def test_psfs_grow_after_their_trajectories(self, tmp_path: pathlib.Path) -> None:
        paths, out = str(tmp_path / "paths.zarr"), tmp_path / "f.zarr"
        run.produce(self.paths(10), paths)
        run.produce(psfs.maker(paths, {"exposures": "0.5,1", "size": 33}), out)
        run.produce(self.paths(16), paths, append=True)
        with pytest.raises(errors.DatasetError, match="--append to add to it"):
            run.produce(psfs.maker(paths, {"exposures": "0.5,1", "size": 33}), out)
        run.produce(psfs.maker(paths, {"exposures": "0.5,1", "size": 33}), out, append=True)
        run.produce(psfs.maker(paths, {"exposures": "0.5,1", "size": 33}), tmp_path / "whole.zarr")
        one, other = reader.open(out), reader.open(tmp_path / "whole.zarr")
        assert len(one) == 32
        assert np.array_equal(one.read("psf", range(32)), other.read("psf", range(32)))
        run.produce(self.paths(20), tmp_path / "others.zarr")
        with pytest.raises(errors.DatasetError, match="holds other paths than those"):
            run.produce(psfs.maker(str(tmp_path / "others.zarr"), {"exposures": "0.5,1", "size": 33}), out, append=True)


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "bdfh":
        photo(folder / f"{name}.png", ord(name))
    return folder


def photo(path: pathlib.Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def pairs(folder: pathlib.Path | str, **options: Any) -> maker.Maker:
    given = {"seed": 4, "size": 32, "per_photo": 3, "steps": 50, "length": "5:9", "splits": "train=0.5,val=0.5"}
    return convolve.maker(str(folder), given | options)


class TestPairs:
    def test_new_photos_follow_whatever_their_names(self, photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
        out = tmp_path / "f.zarr"
        run.produce(pairs(photos), out)
        before = reader.open(out)
        kept = {name: before.read(name, range(12)) for name in before.names} | dict(before.columns)
        photo(photos / "a.png", 1)
        photo(photos / "e.png", 2)
        (photos / "z.png").write_bytes((photos / "b.png").read_bytes())
        with pytest.raises(errors.DatasetError, match=r"a\.png is new\n(?s:.)*--append to add to it"):
            run.produce(pairs(photos), out)
        run.produce(pairs(photos), out, append=True)
        dataset = reader.open(out)
        assert [source["name"] for source in dataset.sources] == [f"{name}.png" for name in "bdfhaez"]
        assert len(dataset) == 21
        for name, values in kept.items():
            now = dataset.read(name, range(21)) if name in dataset.names else dataset.columns[name]
            assert np.array_equal(now[:12], values), name
        split = dataset.columns["split"][::3]
        assert split[6] == split[0], "a copy of a photo lies in another split"
        assert run.produce(pairs(photos), out).nothing_to_do
        assert run.produce(pairs(photos), out, append=True).nothing_to_do

    def test_grown_twice_with_interruptions(self, photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
        out = tmp_path / "f.zarr"
        run.produce(pairs(photos, shard_length=2), out)
        for generation, name in enumerate(("a", "e")):
            photo(photos / f"{name}.png", ord(name))
            with pytest.raises(KeyboardInterrupt):
                run.produce(pairs(photos), out, append=True, progress=interrupt(13 + 3 * generation), workers=1)
            run.produce(pairs(photos), out, append=True)
        dataset = reader.open(out)
        assert dataset.attributes["extra"]["generations"] == [4, 5, 6]
        assert dataset.columns["source"].tolist() == [k // 3 for k in range(18)]
        assert dataset.attributes["recipe"] == pairs(photos).record().recipe_toml

    @pytest.mark.parametrize(("change", "words"), [("unlink", "d.png is gone"), ("repaint", "d.png has changed")])
    def test_photos_gone_or_changed_since_are_named(
        self, photos: pathlib.Path, tmp_path: pathlib.Path, change: str, words: str
    ) -> None:
        out = tmp_path / "f.zarr"
        run.produce(pairs(photos), out)
        photo(photos / "z.png", 9)
        if change == "unlink":
            (photos / "d.png").unlink()
        else:
            photo(photos / "d.png", 77)
        with pytest.raises(errors.InputError, match=words):
            run.produce(pairs(photos), out, append=True)
        with pytest.raises(errors.DatasetError, match=words):
            run.produce(pairs(photos), out)

    def test_more_pairs_a_photo_would_move_items(self, photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
        run.produce(pairs(photos), tmp_path / "f.zarr")
        with pytest.raises(errors.DatasetError, match=r"recipe\.per_photo: 3 -> 4"):
            run.produce(pairs(photos, per_photo=4), tmp_path / "f.zarr", append=True)

    def test_scenes(self, tmp_path: pathlib.Path) -> None:
        run.produce(pairs("scenes:2"), tmp_path / "f.zarr")
        run.produce(pairs("scenes:3"), tmp_path / "f.zarr", append=True)
        run.produce(pairs("scenes:3"), tmp_path / "whole.zarr")
        one, other = reader.open(tmp_path / "f.zarr"), reader.open(tmp_path / "whole.zarr")
        assert np.array_equal(one.read("blurred", range(9)), other.read("blurred", range(9)))

    def test_a_photo_left_out_stays_on_record(self, photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
        whole = (photos / "d.png").read_bytes()
        (photos / "d.png").write_bytes(whole[: len(whole) // 2])
        first = run.produce(pairs(photos), tmp_path / "f.zarr")
        assert [left.name for left in first.skipped] == ["d.png"]
        photo(photos / "z.png", 9)
        outcome = run.produce(pairs(photos), tmp_path / "f.zarr", append=True)
        assert outcome.skipped == first.skipped
        assert len(reader.open(tmp_path / "f.zarr")) == 12
