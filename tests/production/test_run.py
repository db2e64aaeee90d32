"""From a maker to a dataset: made, continued, replaced, refused."""

import dataclasses
import itertools
import json
import pathlib
import shutil
from typing import Any

import dying_store
import fake_maker
import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from blursynth import errors
from blursynth.production import resume, run
from blursynth.storage import lock, metadata_digests, provenance, reader, writer
from blursynth.stores import store

FAKE = fake_maker.Fake()
Skipped = provenance.Skipped


def contents(path: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder, but for the moment of creation and the seal, which covers it."""
    files = {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
    group = json.loads(files["zarr.json"])
    for moment in ("created", "seal"):
        group["attributes"]["blursynth"].pop(moment, None)
    return files | {"zarr.json": json.dumps(group).encode()}


def test_makes_reports_and_leaves_nothing_beside(tmp_path: pathlib.Path) -> None:
    calls: list[tuple[int, int]] = []
    outcome = run.produce(FAKE, tmp_path / "a" / "f.zarr", workers=2, progress=lambda *call: calls.append(call))
    assert (outcome.made, outcome.resumed, outcome.skipped, outcome.nothing_to_do) == (20, 0, (), False)
    assert calls[0] == (0, 20)
    assert calls[-1] == (20, 20)
    assert all(left[0] < right[0] for left, right in itertools.pairwise(calls))
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["f.zarr"]
    fake_maker.assert_holds(reader.open(tmp_path / "a" / "f.zarr"), FAKE)


def test_complete_and_the_same_is_nothing_to_do(tmp_path: pathlib.Path) -> None:
    run.produce(FAKE, tmp_path / "f.zarr")
    before = contents(tmp_path / "f.zarr")
    outcome = run.produce(FAKE, f"{tmp_path}/f.zarr/")
    assert (outcome.made, outcome.resumed, outcome.nothing_to_do) == (0, 20, True)
    assert contents(tmp_path / "f.zarr") == before


@hypothesis.settings(max_examples=12)
@hypothesis.given(items=st.integers(1, 40), length=st.integers(1, 15), workers=st.integers(1, 5))
def test_same_arrays_for_any_shard_length_and_workers(
    items: int, length: int, workers: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    maker = fake_maker.Fake(items=items, shard_length=length)
    path = tmp_path_factory.mktemp("any") / "f.zarr"
    run.produce(maker, path, workers=workers)
    fake_maker.assert_holds(reader.open(path), maker)


@dataclasses.dataclass(frozen=True)
class Failing(fake_maker.Fake):
    """Raises when it comes to item 12."""

    error: type[BaseException] = RuntimeError

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        if 12 in items:
            raise self.error("stop here")
        return super().make(items)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stopped_run_is_continued(stop: type[BaseException], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    with pytest.raises(stop, match="stop here"):
        run.produce(Failing(error=stop), path, workers=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.zarr"]
    with pytest.raises(errors.DatasetError, match="not finished"):
        reader.open(path)
    calls: list[int] = []
    outcome = run.produce(FAKE, path, workers=1, progress=lambda done, _: calls.append(done))
    assert outcome.made + outcome.resumed == 20
    assert 0 < outcome.resumed < 20
    assert calls[0] == outcome.resumed
    assert calls[-1] == 20
    run.produce(FAKE, tmp_path / "whole.zarr")
    assert contents(path) == contents(tmp_path / "whole.zarr")


@pytest.mark.parametrize("error", [RuntimeError, errors.InputError, MemoryError])
def test_a_shard_that_cannot_be_made_does_not_stop_the_rest(error: type[Exception], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "f.zarr"
    with pytest.raises(
        errors.DatasetError, match=r"1 shard could not be made(?s:.)*items 12 to 14: .*stop here"
    ) as report:
        run.produce(Failing(error=error), path, workers=2)
    assert isinstance(report.value.__cause__, error)
    outcome = run.produce(FAKE, path)
    assert (outcome.made, outcome.resumed) == (3, 17)
    run.produce(FAKE, tmp_path / "whole.zarr")
    assert contents(path) == contents(tmp_path / "whole.zarr")


@dataclasses.dataclass(frozen=True)
class Vanishing(fake_maker.Fake):
    """Its dataset is removed, or replaced, while its items 9 to 11 are made."""

    path: str = ""
    instead: fake_maker.Fake | None = None

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        if 9 in items:
            shutil.rmtree(self.path)
            if self.instead is not None:
                writer.create(self.path, self.instead.schema, self.instead.record())
        return super().make(items)


def test_removed_in_the_middle_is_a_sentence_and_leaves_room_to_begin_anew(tmp_path: pathlib.Path) -> None:
    path = store.normalise(tmp_path / "f.zarr")
    with pytest.raises(errors.StorageError, match=r"f\.zarr is gone: it was removed while it was being made"):
        run.produce(Vanishing(path=path), path, workers=1)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    assert run.produce(FAKE, path).made == 20
    fake_maker.assert_holds(reader.open(path), FAKE)


def test_a_late_writer_leaves_another_dataset_alone(tmp_path: pathlib.Path) -> None:
    path, other = store.normalise(tmp_path / "f.zarr"), fake_maker.Fake(seed=7)
    with pytest.raises(errors.StorageError, match="was replaced by another dataset while it was being made"):
        run.produce(Vanishing(path=path, instead=other), path, workers=1)
    assert not writer.finished(path, other.schema).any()
    run.produce(other, path)
    fake_maker.assert_holds(reader.open(path), other)


def test_killed_before_any_object_and_continued(tmp_path: pathlib.Path) -> None:
    """Die before the first, second, ... object that is stored; the next run makes the dataset all the same."""
    maker = fake_maker.Fake(items=5, shard_length=3)
    run.produce(maker, tmp_path / "whole.zarr", workers=1)
    whole = contents(tmp_path / "whole.zarr")
    for objects in range(len(whole) + 1):  # the group's document is stored twice
        path = tmp_path / f"{objects}.zarr"
        with pytest.raises(dying_store.Killed), dying_store.dies_after(objects):
            run.produce(maker, path, workers=1)
        run.produce(maker, path, workers=1)
        assert contents(path) == whole, f"killed after {objects} objects"


class TestOutputExists:
    @pytest.mark.parametrize("error", [errors.InputError, KeyboardInterrupt])
    def test_begun_and_empty_is_in_nobodys_way(self, error: type[BaseException], tmp_path: pathlib.Path) -> None:
        """What failed before anything was made is replaced by another request, and continued by the same."""
        path = tmp_path / "f.zarr"
        with pytest.raises((errors.DatasetError, KeyboardInterrupt), match="stop here"):
            run.produce(Failing(error=error, items=15, shard_length=15), path)
        begun = json.loads((path / "zarr.json").read_text())["attributes"]["blursynth"]
        assert (begun["items"], begun["complete"]) == (15, False)
        other = fake_maker.Fake(level=2)
        assert resume.look(other, str(path)).state is resume.State.REPLACE
        same = fake_maker.Fake(items=15, shard_length=15)
        assert resume.look(same, str(path)).state is resume.State.RESUME
        run.produce(other, path)
        fake_maker.assert_holds(reader.open(path), other)
        run.produce(other, tmp_path / "whole.zarr")
        assert contents(path) == contents(tmp_path / "whole.zarr")

    def test_begun_with_a_shard_is_refused(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(errors.DatasetError, match="stop here"):
            run.produce(Failing(), tmp_path / "f.zarr")
        with pytest.raises(errors.DatasetError, match=r"recipe.motion.level: 1 -> 2"):
            run.produce(fake_maker.Fake(level=2), tmp_path / "f.zarr")

    def test_another_recipe_is_refused_with_what_differs(self, tmp_path: pathlib.Path) -> None:
        run.produce(FAKE, tmp_path / "f.zarr")
        before = contents(tmp_path / "f.zarr")
        other = fake_maker.Fake(level=2, seed=9)
        with pytest.raises(errors.DatasetError) as refusal:
            run.produce(other, tmp_path / "f.zarr")
        assert "recipe.motion.level: 1 -> 2\n  seed: 0 -> 9\n" in str(refusal.value)
        assert "--overwrite" in str(refusal.value)
        assert contents(tmp_path / "f.zarr") == before

    @pytest.mark.parametrize(
        ("change", "shown"),
        [({"items": 21}, "items: 20 -> 21"), ({"shard_length": 4}, "shard_length: 3 -> 4")],
    )
    def test_another_extent_is_refused(self, change: dict[str, int], shown: str, tmp_path: pathlib.Path) -> None:
        run.produce(FAKE, tmp_path / "f.zarr")
        with pytest.raises(errors.DatasetError, match=shown):
            run.produce(dataclasses.replace(FAKE, **change), tmp_path / "f.zarr")

    def test_begun_by_another_version_is_refused(self, tmp_path: pathlib.Path) -> None:
        run.produce(FAKE, tmp_path / "f.zarr")
        group = tmp_path / "f.zarr" / "zarr.json"
        document = json.loads(group.read_text())
        attributes = document["attributes"]["blursynth"]
        attributes["versions"]["blursynth"] = "0.0.1"
        document["attributes"]["blursynth"] = metadata_digests.sealed(str(tmp_path / "f.zarr"), attributes)
        group.write_text(json.dumps(document))
        with pytest.raises(errors.DatasetError, match=r"versions.blursynth: 0.0.1 ->"):
            run.produce(FAKE, tmp_path / "f.zarr")

    def test_another_form_of_an_array_is_refused(self, tmp_path: pathlib.Path) -> None:
        run.produce(FAKE, tmp_path / "f.zarr")
        array = tmp_path / "f.zarr" / "frame" / "zarr.json"
        document = json.loads(array.read_text())
        document["data_type"] = "float32"
        array.write_text(json.dumps(document))
        with pytest.raises(errors.DatasetError, match="another form of the array frame"):
            run.produce(FAKE, tmp_path / "f.zarr")

    def test_sources_changed_since_are_refused(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run.produce(FAKE, tmp_path / "f.zarr")
        monkeypatch.setattr(fake_maker, "SOURCES", ({"name": "a.png", "sha256": "77"}, *fake_maker.SOURCES[1:]))
        with pytest.raises(errors.DatasetError, match=r"sources: 2 then, 2 now, .*\n +a.png has changed\n"):
            run.produce(FAKE, tmp_path / "f.zarr")

    def test_newer_format_is_refused_until_overwritten(self, tmp_path: pathlib.Path) -> None:
        run.produce(FAKE, tmp_path / "f.zarr")
        group = tmp_path / "f.zarr" / "zarr.json"
        document = json.loads(group.read_text())
        document["attributes"]["blursynth"]["format_version"] = 2
        group.write_text(json.dumps(document))
        with pytest.raises(errors.DatasetError, match="format version 2"):
            run.produce(FAKE, tmp_path / "f.zarr")
        run.produce(FAKE, tmp_path / "f.zarr", overwrite=True)
        fake_maker.assert_holds(reader.open(tmp_path / "f.zarr"), FAKE)

    def test_overwrite_replaces_a_dataset(self, tmp_path: pathlib.Path) -> None:
        run.produce(FAKE, tmp_path / "f.zarr")
        other = fake_maker.Fake(items=7, seed=9)
        outcome = run.produce(other, tmp_path / "f.zarr", overwrite=True)
        assert (outcome.made, outcome.resumed) == (7, 0)
        fake_maker.assert_holds(reader.open(tmp_path / "f.zarr"), other)
        assert [entry.name for entry in tmp_path.iterdir()] == ["f.zarr"]

    def test_killed_removal_is_swept_by_the_next_run(self, tmp_path: pathlib.Path) -> None:
        run.produce(FAKE, tmp_path / "f.zarr")
        (tmp_path / "f.zarr").rename(tmp_path / ".f.zarr.blursynth-removed")
        run.produce(FAKE, tmp_path / "f.zarr")
        assert [entry.name for entry in tmp_path.iterdir()] == ["f.zarr"]

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_what_is_not_ours_is_never_touched(self, overwrite: bool, tmp_path: pathlib.Path) -> None:
        (tmp_path / "thesis.tex").write_text("text")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "thesis.tex").write_text("text")
        for name in ("thesis.tex", "folder"):
            with pytest.raises(errors.DatasetError, match="not a blursynth dataset, so it is left alone"):
                run.produce(FAKE, tmp_path / name, overwrite=overwrite)
        assert (tmp_path / "thesis.tex").read_text() == (tmp_path / "folder" / "thesis.tex").read_text() == "text"
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "thesis.tex"]

    def test_an_empty_folder_is_taken(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "f.zarr").mkdir()
        run.produce(FAKE, tmp_path / "f.zarr")
        assert reader.open(tmp_path / "f.zarr").items == 20

    def test_locked_is_refused(self, tmp_path: pathlib.Path) -> None:
        path = store.normalise(tmp_path / "f.zarr")
        with lock.held(path), pytest.raises(errors.DatasetError, match="is being written by process"):
            run.produce(FAKE, path, overwrite=True)
        assert list(tmp_path.iterdir()) == []


class TestLeftOut:
    BROKEN = fake_maker.Fake(broken=7)  # items 0, 7 and 14, of sources a.png, b.png, a.png

    def test_is_hidden_listed_and_recorded(self, tmp_path: pathlib.Path) -> None:
        outcome = run.produce(self.BROKEN, tmp_path / "f.zarr")
        listed = (Skipped("a.png", "is truncated"), Skipped("b.png", "is truncated"))
        assert outcome.skipped == listed
        dataset = reader.open(tmp_path / "f.zarr")
        fake_maker.assert_holds(dataset, self.BROKEN)
        assert dataset.attributes["skipped"] == [dataclasses.asdict(entry) for entry in listed]
        again = run.produce(self.BROKEN, tmp_path / "f.zarr")
        assert (again.skipped, again.nothing_to_do) == (listed, True)

    def test_strict_stops_at_the_first(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(errors.InputError, match=r"a.png: is truncated\. Without --strict"):
            run.produce(self.BROKEN, tmp_path / "f.zarr", strict=True, workers=1)
        finished = writer.finished(str(tmp_path / "f.zarr"), self.BROKEN.schema)
        assert not finished[[0, 2, 4]].any()  # those with items 0, 7 and 14
        assert run.produce(self.BROKEN, tmp_path / "f.zarr").resumed == 3 * finished[:6].sum() + 2 * finished[6]

    def test_strict_minds_what_an_earlier_run_left_out(self, tmp_path: pathlib.Path) -> None:
        path = str(tmp_path / "f.zarr")
        writer.create(path, self.BROKEN.schema, self.BROKEN.record())
        for shard in range(self.BROKEN.schema.shards):
            writer.write_shard(path, self.BROKEN.schema, shard, self.BROKEN.make(self.BROKEN.schema.items_of(shard)))
        with pytest.raises(errors.InputError, match="is truncated"):
            run.produce(self.BROKEN, path, strict=True)

    def test_nothing_left_is_an_error(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(errors.InputError, match=r"Not one item could be made.*a.png: is truncated"):
            run.produce(fake_maker.Fake(broken=1), tmp_path / "f.zarr")
        assert list(tmp_path.iterdir()) == []


def test_wrong_arrays_are_our_mistake_and_nothing_is_stored(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "f.zarr")
    writer.create(path, FAKE.schema, FAKE.record())
    arrays = FAKE.make(FAKE.schema.items_of(0))
    for wrong in (
        arrays | {"more": np.zeros(3)},
        {name: values for name, values in arrays.items() if name != "frame"},
        arrays | {"frame": arrays["frame"][:2]},
        arrays | {"frame": arrays["frame"].astype(np.int32)},
    ):
        with pytest.raises(AssertionError):
            writer.write_shard(path, FAKE.schema, 0, wrong)
    assert not writer.finished(path, FAKE.schema).any()
