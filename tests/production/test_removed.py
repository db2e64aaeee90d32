"""A dataset that is removed while it is made: nothing that is left of it is in the way of the same command."""

import contextlib
import dataclasses
import pathlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import fake_maker
import kinds
import pytest

from blursynth import errors
from blursynth.maintenance import verify
from blursynth.production import run
from blursynth.storage import reader, writer
from blursynth.stores import store

FAKE = fake_maker.Fake(items=8)
WRITES = 60  # more than a dataset of FAKE takes


@contextlib.contextmanager
def removed_at(path: pathlib.Path, count: int, after: bool) -> Iterator[list[int]]:
    """Remove everything at a path when so many objects are stored there: before or after the next is."""
    seen = [0]
    lock = threading.Lock()

    def step(act: Callable[[], Any]) -> Any:
        with lock:
            seen[0] += 1
            due = seen[0] == count
        if due and not after:
            shutil.rmtree(path, ignore_errors=True)
        result = act()
        if due and after:
            if hasattr(result, "result"):
                with contextlib.suppress(ValueError):
                    result.result()
            shutil.rmtree(path, ignore_errors=True)
        return result

    class Store:
        real = staticmethod(store.store)

        def __init__(self, at: str) -> None:
            self.store, self.counts = self.real(at), at == str(path)

        def write(self, *arguments: Any, **options: Any) -> Any:
            if not self.counts:
                return self.store.write(*arguments, **options)
            return step(lambda: self.store.write(*arguments, **options))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.store, name)

    begin = writer._begin
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "store", Store)
        patch.setattr(writer, "_begin", lambda *arguments: step(lambda: begin(*arguments)))
        yield seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("whole") / "f.zarr"
    run.produce(FAKE, path)
    return kinds.contents(path)


def assert_same(path: pathlib.Path, whole: dict[str, bytes]) -> None:
    """As made without a disturbance, but for the time in the record."""
    made = kinds.contents(path)
    assert made.keys() == whole.keys()
    assert all(made[key] == whole[key] for key in whole if key != "zarr.json")
    assert verify.verify(path, sources=False).sound


@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_removed_at_every_object(after: bool, tmp_path: pathlib.Path, whole: dict[str, bytes]) -> None:
    """The run that is disturbed ends well or in a sentence; the same again makes the whole dataset."""
    ended = []
    for count in range(1, WRITES):
        path = tmp_path / str(count) / "f.zarr"
        with removed_at(path, count, after) as seen:
            try:
                run.produce(FAKE, path, workers=2)
            except errors.BlursynthError:
                ended.append(count)
        if seen[0] < count:
            break
        assert [entry.name for entry in path.parent.iterdir()] in ([], ["f.zarr"])
        run.produce(FAKE, path)
        assert_same(path, whole)
    else:
        raise AssertionError("more objects than were expected")
    assert len(ended) > 10


@pytest.mark.slow
def test_removed_at_any_time(tmp_path: pathlib.Path, whole: dict[str, bytes]) -> None:
    maker = dataclasses.replace(FAKE, pause=0.01)
    for number in range(40):
        path = tmp_path / str(number) / "f.zarr"
        timer = threading.Timer(0.003 * number, shutil.rmtree, [path], {"ignore_errors": True})
        timer.start()
        with contextlib.suppress(errors.BlursynthError):
            run.produce(maker, path, workers=4)
        timer.join()
        run.produce(FAKE, path)
        assert_same(path, whole)


def leave(path: pathlib.Path, whole: dict[str, bytes], kept: Callable[[str], bool]) -> None:
    """What is left of a dataset: those of its files that are kept."""
    for key, content in whole.items():
        if kept(key):
            (path / key).parent.mkdir(parents=True, exist_ok=True)
            (path / key).write_bytes(content)


STRAYS: dict[str, Callable[[str], bool]] = {
    "a shard": lambda key: "/c/2" in key,
    "shards without digests": lambda key: "/c/" in key and not key.startswith("digest"),
    "digests": lambda key: key.startswith("digest/c/"),
    "metadata": lambda key: key.endswith("/zarr.json"),
    "metadata and shards": lambda key: key != "zarr.json" and not key.startswith("digest/c"),
}


@pytest.mark.parametrize("name", STRAYS)
@pytest.mark.parametrize("seed", [0, 1])
def test_strays_are_in_nobodys_way_and_count_for_nothing(
    name: str, seed: int, tmp_path: pathlib.Path, whole: dict[str, bytes]
) -> None:
    """Also those of another recipe, whose digests would pass for finished shards."""
    run.produce(dataclasses.replace(FAKE, seed=seed), tmp_path / "other.zarr")
    path = tmp_path / "f.zarr"
    leave(path, kinds.contents(tmp_path / "other.zarr"), STRAYS[name])
    (path / "picture" / "c").mkdir(parents=True, exist_ok=True)
    (path / "picture" / "c" / "left.__lock").touch()
    assert run.produce(FAKE, path).resumed == 0
    assert_same(path, whole)


@pytest.mark.parametrize(
    "foreign",
    ["thesis.txt", "picture/notes.txt", "picture/c/1/0/0/0.bak", "picture/c/a/0/0/0", "paper/c/0/0", ".hidden"],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_ours_is_named_and_left(
    foreign: str, overwrite: bool, tmp_path: pathlib.Path, whole: dict[str, bytes]
) -> None:
    path = tmp_path / "f.zarr"
    leave(path, whole, STRAYS["a shard"])
    (path / foreign).parent.mkdir(parents=True, exist_ok=True)
    (path / foreign).write_text("years of work")
    before = kinds.contents(path)
    with pytest.raises(errors.DatasetError) as refused:
        run.produce(FAKE, path, overwrite=overwrite)
    assert foreign in str(refused.value)
    assert kinds.contents(path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_dataset_that_lost_its_record_is_no_stray(
    overwrite: bool, tmp_path: pathlib.Path, whole: dict[str, bytes]
) -> None:
    """All of it is there but one file, a copy of which makes it whole again."""
    path = tmp_path / "f.zarr"
    leave(path, whole, lambda key: key != "zarr.json")
    before = kinds.contents(path)
    with pytest.raises(errors.DatasetError):
        run.produce(FAKE, path, overwrite=overwrite)
    assert kinds.contents(path) == before


def test_a_late_writer_leaves_nothing_in_the_way(tmp_path: pathlib.Path, whole: dict[str, bytes]) -> None:
    """As a worker that was thought dead: it is making a shard while the dataset is removed, and writes it then."""
    path = tmp_path / "f.zarr"
    run.produce(FAKE, path)
    task = (FAKE, str(path), False, run.resume.Job(FAKE, str(path), run.resume.State.NEW).identity)
    shard = next(iter(run.resume.Job(FAKE, str(tmp_path / "new.zarr"), run.resume.State.NEW).tasks()))
    slow = dataclasses.replace(FAKE, pause=0.3)
    worker = threading.Thread(target=_late, args=(slow, *task[1:], shard))
    worker.start()
    time.sleep(0.1)
    shutil.rmtree(path)
    worker.join()
    run.produce(FAKE, path)
    assert_same(path, whole)
    assert reader.open(path).items == FAKE.items


def _late(*arguments: Any) -> None:
    with contextlib.suppress(errors.StorageError):
        run.make_shard(*arguments)
