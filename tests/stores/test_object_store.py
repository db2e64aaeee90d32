"""Datasets in an object store: the same as on a disk, whatever the store does."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import kinds
import numpy as np
import pytest

from blursynth import __main__ as entry
from blursynth import errors
from blursynth.layouts import export
from blursynth.maintenance import repair, replay, verify
from blursynth.makers import convolve, imported_pairs_request
from blursynth.production import run
from blursynth.storage import lock, reader
from blursynth.stores import s3
from blursynth.stores import store as place

object_store = pytest.importorskip("object_store", reason="moto and boto3 are not installed")
pytestmark = pytest.mark.slow
BUCKET = object_store.BUCKET
ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[object_store.Store]:
    with object_store.served() as store:
        yield store


@pytest.fixture
def store(
    server: object_store.Store, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[object_store.Store]:
    """The server without faults, and short pauses between attempts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3, "RETRIES", {"max_retries": 8, "initial_delay": "10ms", "max_delay": "50ms"})
    server.faults.clear()
    server.prefix = request.node.name.replace("[", "-").replace("]", "").replace(" ", "-")
    yield server
    server.faults.clear()


def at(store: object_store.Store, name: str) -> str:
    return f"s3://{BUCKET}/{store.prefix}/{name}"


def same_as_local(store: object_store.Store, name: str, local: pathlib.Path) -> None:
    """Object by object, but for the group's document, which has the time and the command."""
    here, there = kinds.contents(local), store.contents(f"{store.prefix}/{name}")
    assert here.keys() == there.keys()
    assert all(here[key] == there[key] for key in here if key != "zarr.json")


@pytest.mark.parametrize("kind", ["photos", "psfs", "imported crops"])
def test_a_dataset_is_the_one_on_a_disk(store: object_store.Store, tmp_path: pathlib.Path, kind: str) -> None:
    maker = kinds.make(kind, tmp_path)
    local = run.produce(maker, tmp_path / "a.zarr", workers=2)
    outcome = run.produce(maker, at(store, "a.zarr"), workers=2)
    assert (outcome.made, outcome.invalid) == (local.made, local.invalid)
    same_as_local(store, "a.zarr", tmp_path / "a.zarr")
    assert all(key.startswith("a.zarr/") for key in store.contents(store.prefix)), "the lock is gone"
    there, here = reader.open(at(store, "a.zarr")), reader.open(tmp_path / "a.zarr")
    assert there.fingerprint == here.fingerprint
    for name in here.names:
        assert np.array_equal(there.read(name, range(here.items)), here.read(name, range(here.items)))
    assert run.produce(maker, at(store, "a.zarr")).nothing_to_do


def test_commands_that_look_at_a_dataset_and_mend_it(store: object_store.Store, tmp_path: pathlib.Path) -> None:
    maker = kinds.make("photos", tmp_path)
    run.produce(maker, at(store, "a.zarr"))
    whole = store.contents(f"{store.prefix}/a.zarr")
    report = verify.verify(at(store, "a.zarr"), workers=2)
    assert (report.sound, report.compared) == (True, 21)
    assert replay.replay(at(store, "a.zarr"), 4).equal
    store.delete(f"{store.prefix}/a.zarr/sharp/c/2/0/0/0")
    store.put(f"{store.prefix}/a.zarr/psf/c/1/0/0", whole["psf/c/1/0/0"][:-9])
    findings = {found.where for found in verify.verify(at(store, "a.zarr")).findings}
    assert findings == {"sharp/c/2/0/0/0", "psf/c/1/0/0"}
    outcome = repair.repair(at(store, "a.zarr"), workers=2)
    assert (len(outcome.healed), outcome.unhealed) == (2, ())
    assert store.contents(f"{store.prefix}/a.zarr") == whole


def test_commands_as_typed(
    store: object_store.Store,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A recipe of two datasets, of which one is made of the other; then what looks at them; then what trains."""
    monkeypatch.chdir(tmp_path)
    recipe = '[paths]\ncommand = "trajectories"\nn = 20\nsteps = 200\nlength = 12\n'
    recipe += '[blobs]\ncommand = "psfs"\nsource = "paths.zarr"\nsize = 33\n'
    (tmp_path / "recipe.toml").write_text(recipe)

    def typed(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["blursynth", *words])
        with pytest.raises(SystemExit) as ended:
            entry.main()
        printed = capsys.readouterr()
        assert ended.value.code == 0, printed.err
        return printed.out

    make = ("make", "recipe.toml", "--out", at(store, ""), "-q")
    assert "nothing is written now" in typed(*make, "--only", "paths", "--dry-run")
    typed(*make)
    assert "20 psfs (complete)" in typed("info", at(store, "blobs.zarr"))
    assert "is sound" in typed("verify", at(store, "blobs.zarr"), "-q")
    assert "equal to the bit" in typed("replay", at(store, "blobs.zarr"), "3")
    assert "blobs.png" in typed("preview", at(store, "blobs.zarr"))
    typed("preview", at(store, "blobs.zarr"), "--out", at(store, "blobs.png"))
    typed("report", at(store, "blobs.zarr"), "--out", at(store, "blobs.html"))
    typed(*make, "--overwrite", "--yes")
    data = pytest.importorskip("trainers.training.data")
    run.produce(kinds.make("scenes", tmp_path), at(store, "pairs.zarr"))
    typed("replay", at(store, "pairs.zarr"), "3", "--out", at(store, "again/"))
    written = {name for name in store.contents(store.prefix) if ".zarr/" not in name}
    assert written == {"blobs.png", "blobs.html", "again/item-000003-blurred.png", "again/item-000003-sharp.png"}
    assert len(data.open_pairs(at(store, "pairs.zarr"))) == 15


def test_growing(store: object_store.Store, tmp_path: pathlib.Path) -> None:
    run.produce(kinds.trajectory_maker(), at(store, "a.zarr"))
    longer = dataclasses.replace(kinds.trajectory_maker(), recipe=kinds.trajectory_recipe(47))
    run.produce(longer, at(store, "a.zarr"), append=True)
    run.produce(longer, tmp_path / "b.zarr")
    items = range(47)
    grown, made = reader.open(at(store, "a.zarr")), reader.open(tmp_path / "b.zarr")
    assert np.array_equal(grown.read("position", items), made.read("position", items))
    assert verify.verify(at(store, "a.zarr")).sound


@pytest.mark.parametrize(
    ("kind", "matching", "every"),
    [
        ("refuse", "", 3),
        ("drop", "", 4),
        ("lose", "PUT|GET", 4),
        ("lose", r"PUT .*\.lock", 1_000_000),
        ("slow", "", 5),
    ],
)
def test_a_store_that_throttles_drops_and_is_slow(
    store: object_store.Store, tmp_path: pathlib.Path, kind: str, matching: str, every: int
) -> None:
    maker = kinds.make("photos", tmp_path)
    run.produce(maker, tmp_path / "a.zarr")
    store.faults.add(kind, matching, every, seconds=0.2)
    run.produce(maker, at(store, "a.zarr"), workers=2)
    assert store.faults.harmed > 5 or every > 5
    assert verify.verify(at(store, "a.zarr")).sound
    store.faults.clear()
    same_as_local(store, "a.zarr", tmp_path / "a.zarr")


def test_a_lock_whose_answer_was_lost_is_ours(store: object_store.Store) -> None:
    """The attempt that made it got no answer, so it was made again, and there it was."""
    store.faults.add("lose", r"PUT .*\.lock", every=1)
    threading.Timer(0.03, store.faults.clear).start()
    with lock.held(at(store, "a.zarr")):
        assert "a.zarr.lock" in store.contents(store.prefix)
        with pytest.raises(errors.DatasetError, match="is being written by process"), lock.held(at(store, "a.zarr")):
            pass
    assert store.contents(store.prefix) == {}


def test_of_many_that_ask_at_once_one_gets_the_lock(store: object_store.Store) -> None:
    inside, most, refused = [0], [0], []
    guard = threading.Lock()

    def ask() -> None:
        try:
            with lock.held(at(store, "a.zarr")):
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.05)
                with guard:
                    inside[0] -= 1
        except errors.DatasetError:
            refused.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert refused


def test_what_cannot_be_reached_is_said(
    store: object_store.Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = kinds.trajectory_maker()
    with pytest.raises(errors.StorageError, match="there is no such bucket") as missing:
        run.produce(maker, "s3://another-bucket/a.zarr")
    assert missing.value.lasts
    with pytest.raises(errors.DatasetError, match="There is no dataset at s3://"):
        reader.open(at(store, "a.zarr"))
    for path in ("s3://", "s3://bucket", "s3://bucket/", "s3://B_/a", "s3://bucket/a/../b"):
        with pytest.raises(errors.DatasetError, match=r"expected s3://BUCKET/NAME|mean nothing in an object store"):
            place.normalise(path)
    store.faults.add("deny")
    with pytest.raises(errors.StorageError, match=r"refuses these credentials \(.*AWS_ACCESS_KEY_ID") as denied:
        run.produce(maker, at(store, "a.zarr"))
    assert denied.value.lasts
    store.faults.clear()
    store.faults.add("refuse")
    with pytest.raises(errors.StorageError, match="did not answer, or asked to wait, every time"):
        run.produce(maker, at(store, "a.zarr"))
    store.faults.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(errors.StorageError, match="did not answer, or asked to wait, every time"):
        run.produce(maker, at(store, "a.zarr"))
    assert str(tmp_path)


def test_a_shard_that_the_store_refused_is_made_when_asked_again(
    store: object_store.Store, tmp_path: pathlib.Path
) -> None:
    maker = kinds.make("photos", tmp_path)
    store.faults.add("refuse", r"PUT .*/sharp/c/2/")
    with pytest.raises(errors.BlursynthError):
        run.produce(maker, at(store, "a.zarr"), workers=2)
    begun = store.contents(f"{store.prefix}/a.zarr")
    assert b'"complete": false' in begun["zarr.json"]
    assert "digest/c/2/0/0" not in begun
    assert "digest/c/3/0/0" in begun
    store.faults.clear()
    outcome = run.produce(maker, at(store, "a.zarr"), workers=2)
    assert (outcome.made, outcome.resumed) == (4, 20)
    assert verify.verify(at(store, "a.zarr")).sound
    puts = [request for request in store.faults.requests if request.startswith("PUT") and "/sharp/c/" in request]
    assert len(puts) == 1


def test_replacing_a_dataset_stopped_anywhere(store: object_store.Store, tmp_path: pathlib.Path) -> None:
    """Half removed, it never passes for complete, and the same command goes on."""
    first, second = kinds.trajectory_maker(), kinds.make("scenes", tmp_path)
    for refused in ("DELETE .*/digest/", "DELETE .*/position/c/1", "DELETE .*zarr.json"):
        run.produce(first, at(store, "a.zarr"), overwrite=True)
        store.faults.add("deny", refused)
        with pytest.raises(errors.StorageError):
            run.produce(second, at(store, "a.zarr"), overwrite=True)
        store.faults.clear()
        with pytest.raises(errors.DatasetError, match="is not finished"):
            reader.open(at(store, "a.zarr"))
        run.produce(first, at(store, "a.zarr"))
        assert verify.verify(at(store, "a.zarr")).sound
    run.produce(second, at(store, "a.zarr"), overwrite=True)
    assert verify.verify(at(store, "a.zarr")).findings == ()


def test_photos_in_a_store(store: object_store.Store, tmp_path: pathlib.Path) -> None:
    """The same dataset as of photos on a disk; they may lie elsewhere when it is looked at again."""
    folder = kinds.photos(tmp_path / "photos")
    (folder / "raw.nef").write_bytes(b"raw")
    for name, data in kinds.contents(folder).items():
        store.put(f"{store.prefix}/photos/{name}", data)
    run.produce(convolve.maker(str(folder), kinds.PAIRS), tmp_path / "a.zarr")
    store.faults.add("drop", "GET", every=6)
    run.produce(convolve.maker(at(store, "photos"), kinds.PAIRS), at(store, "a.zarr"), workers=2)
    store.faults.clear()
    same_as_local(store, "a.zarr", tmp_path / "a.zarr")
    local, there = reader.open(tmp_path / "a.zarr"), reader.open(at(store, "a.zarr"))
    assert there.attributes["skipped"] == local.attributes["skipped"]
    assert verify.verify(at(store, "a.zarr")).compared == 21
    assert verify.verify(tmp_path / "a.zarr", moved={"photos": at(store, "photos")}).compared == 21
    store.put(f"{store.prefix}/photos/3.png", (folder / "4.png").read_bytes())
    store.delete(f"{store.prefix}/photos/2.png")
    findings = verify.verify(at(store, "a.zarr")).findings
    assert {(found.where, found.problem) for found in findings} == {
        ("2.png", "is not in the store now"),
        ("3.png", "has changed since it was recorded: its SHA-256 is another"),
    }
    with pytest.raises(errors.InputError, match="There is no folder"):
        convolve.maker(at(store, "nowhere"), kinds.PAIRS)


@pytest.mark.parametrize("layout", ["flat", "gopro", "webdataset"])
def test_export_to_a_store_and_import_from_it(store: object_store.Store, tmp_path: pathlib.Path, layout: str) -> None:
    run.produce(kinds.make("photos", tmp_path), at(store, "a.zarr"))
    export.export(at(store, "a.zarr"), tmp_path / "out", layout)
    store.faults.add("refuse", "PUT", every=5)
    export.export(at(store, "a.zarr"), at(store, "out"), layout, workers=2)
    assert store.contents(f"{store.prefix}/out") == kinds.contents(tmp_path / "out")
    lost = next(name for name in store.contents(f"{store.prefix}/out") if name.endswith((".png", ".tar")))
    store.delete(f"{store.prefix}/out/{lost}")
    assert export.export(at(store, "a.zarr"), at(store, "out"), layout).written >= 1
    assert store.contents(f"{store.prefix}/out") == kinds.contents(tmp_path / "out")
    run.produce(imported_pairs_request.maker(layout, at(store, "out"), {"seed": 0}), at(store, "b.zarr"))
    a, b = reader.open(at(store, "a.zarr")), reader.open(at(store, "b.zarr"))
    for name in ("blurred", "sharp"):
        assert np.array_equal(a.read(name, range(a.items)), b.read(name, range(a.items)))
    assert verify.verify(at(store, "b.zarr")).compared == 21
    export.export(at(store, "a.zarr"), at(store, "out"), "flat" if layout == "gopro" else "gopro", overwrite=True)
    assert not [key for key in store.contents(f"{store.prefix}/out") if lost == key]


@pytest.mark.slow
def test_killed_and_gone_on_with(store: object_store.Store, tmp_path: pathlib.Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "blursynth", "convolve", str(kinds.photos(tmp_path / "photos")), "--size", "24"]
    command += ["--per-photo", "4", "--length", "8", "--shard-length", "1", "--workers", "2", "-q", "--out"]
    whole = subprocess.run([*command, str(tmp_path / "a.zarr")], env=environment, capture_output=True, check=False)
    assert whole.returncode == 0, whole.stderr
    store.faults.add("slow", "PUT", seconds=0.05)
    running = subprocess.Popen([*command, at(store, "a.zarr")], env=environment)
    try:
        while sum("PUT" in request and "/digest/c/" in request for request in store.faults.requests) < 6:
            assert running.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    with pytest.raises(errors.DatasetError, match="is not finished"):
        reader.open(at(store, "a.zarr"))
    store.faults.clear()
    again = subprocess.run(
        [*command, at(store, "a.zarr")], env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "kept from an earlier run" in again.stdout
    same_as_local(store, "a.zarr", tmp_path / "a.zarr")
