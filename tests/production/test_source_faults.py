"""A source that cannot be read, or is not what it was, never becomes data: the shard fails, and no item is marked.

For each making command, each kind of source that it reads, and each fault: once, which leaves no trace, and for good,
after which the same command completes the dataset.
"""

import contextlib
import dataclasses
import errno
import io
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

import clip_files
import kinds
import mask_files
import numpy as np
import object_store
import pytest
from PIL import Image

from blursynth import __main__, errors
from blursynth.maintenance import replay, verify
from blursynth.makers import average_frames_request, convolve, imported_pairs_request, objects, shake
from blursynth.media import source_file, video
from blursynth.production import maker, retries, run
from blursynth.sources import image_files, masks
from blursynth.storage import reader, writer
from blursynth.stores import store as place

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAULTS = {name: getattr(errno, name) for name in ("ENOENT", "EIO", "ESTALE", "EACCES", "ETIMEDOUT")} | {"cut": 0}
SMALL: dict[str, Any] = {"seed": 4, "size": 16, "shard_length": 2}
BLUR = {"steps": 50, "length": "3:6"}


class Faults:
    """Stands for every read of a source; `let_fail` makes those of some files fail."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.let_fail("", "EIO", times=0)

    def let_fail(self, matching: str, kind: str, times: int) -> None:
        """The next `times` reads of files with this in their path."""
        self.matching, self.kind, self.times = matching, kind, times

    def of(self, path: object) -> bool:
        """Whether this read is to be cut short; raises the system's error if it is to fail."""
        self.reads.append(str(path))
        if self.times == 0 or self.matching not in str(path):
            return False
        self.times -= 1
        if self.kind == "cut":
            return True
        raise OSError(FAULTS[self.kind], os.strerror(FAULTS[self.kind]), str(path))


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """In the place of what reads files on a disk, objects in a store, lists of tars, and opens videos."""
    found, on_disk, in_store, opened, video_ = (
        Faults(), source_file.raw, image_files.stored_bytes, place.opened, video.av.open,
    )  # fmt: skip

    def raw(path: str | pathlib.Path, start: int = 0, size: int | None = None) -> tuple[bytes, int]:
        cut = found.of(path)
        data, expected = on_disk(path, start, size)
        return data[:-1] if cut else data, expected

    def stored(root: str, name: str, start: int, size: int | None) -> bytes | None:
        with place.failures(root, f"read {name}", hint=""):
            cut = found.of(f"{root}/{name}")
        data = in_store(root, name, start, size)
        return data[: len(data) // 2] if cut and data else data

    def opened_tar(path: str, key: str) -> IO[bytes]:
        cut = found.of(f"list of {key}")
        if not cut:
            return opened(path, key)
        with opened(path, key) as file:
            return io.BytesIO(file.read(1024))

    def opened_video(path: str, *more: Any, **options: Any) -> Any:
        if "w" not in more:  # tests write their clips, too
            found.of(f"video {path}")
        return video_(path, *more, **options)

    monkeypatch.setattr(source_file, "raw", raw)
    monkeypatch.setattr(image_files, "stored_bytes", stored)
    monkeypatch.setattr(place, "opened", opened_tar)
    monkeypatch.setattr(video.av, "open", opened_video)
    for module in (retries, source_file):
        monkeypatch.setattr(module, "WAITS", (0.0, 0.0))
    return found


def photos(folder: pathlib.Path) -> str:
    """Three photos of noise, and one whose header is whole and whose pixels are not."""
    folder.mkdir()
    draws = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(draws.integers(0, 256, (24, 30 + k, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    (folder / "3.png").write_bytes((folder / "2.png").read_bytes()[:900])
    return str(folder)


def sidecars(folder: pathlib.Path, write: Callable[[pathlib.Path, tuple[int, int]], None]) -> str:
    folder.mkdir()
    for k in range(4):
        write(folder / str(k), (24, 30 + min(k, 2)))
    return str(folder)


def depth(path: pathlib.Path, size: tuple[int, int]) -> None:
    metres = np.full(size, 2.0, np.float32)
    metres[:, 12:] = 5
    np.save(path.with_suffix(".npy"), metres)


def outline(path: pathlib.Path, _: tuple[int, int]) -> None:
    path.with_suffix(".txt").write_text("0 0.2 0.2 0.5 0.2 0.5 0.7 0.2 0.7\n")


def of_photos(folder: pathlib.Path) -> maker.Maker:
    return convolve.maker(photos(folder / "photos"), SMALL | BLUR)


def with_a_field(folder: pathlib.Path) -> maker.Maker:
    return convolve.maker(photos(folder / "photos"), SMALL | BLUR | {"field": "2x2"})


def with_gyro(folder: pathlib.Path) -> maker.Maker:
    rates = np.column_stack([np.arange(60) / 200, np.full((60, 3), 0.5)])
    np.savetxt(folder / "gyro.csv", rates, delimiter=",")
    asked = SMALL | {"gyro": str(folder / "gyro.csv"), "exposure": "0.05", "knots": 5}
    return shake.maker(photos(folder / "photos"), asked)


def with_depth(folder: pathlib.Path) -> maker.Maker:
    asked = SMALL | {"motion": "2:4", "depth": sidecars(folder / "depth", depth)}
    return shake.maker(photos(folder / "photos"), asked)


def with_outlines(folder: pathlib.Path) -> maker.Maker:
    asked = SMALL | {"motion": "1:2", "object_motion": "2:3", "masks": sidecars(folder / "labels", outline)}
    return objects.maker(photos(folder / "photos"), asked)


def with_maps(folder: pathlib.Path) -> maker.Maker:
    (folder / "masks").mkdir()
    mask_files.panoptic(folder / "masks" / "panoptic.json", {f"{k}.png": (24, 30 + min(k, 2)) for k in range(4)})
    asked = SMALL | {"motion": "1:2", "object_motion": "2:3", "masks": str(folder / "masks")}
    return objects.maker(photos(folder / "photos"), asked)


def of_frames(folder: pathlib.Path) -> maker.Maker:
    (folder / "GOPR1").mkdir()
    for k, frame in enumerate(clip_files.moving(12, 24, 32)):
        Image.fromarray(frame).save(folder / "GOPR1" / f"{k:04d}.png")
    (folder / "GOPR1" / "0011.png").write_bytes((folder / "GOPR1" / "0011.png").read_bytes()[:300])
    return average_frames_request.maker(
        [str(folder / "GOPR1")], {"seed": 1, "frames": "3", "splits": "train=1", "shard_length": 1}
    )


def of_video(folder: pathlib.Path) -> maker.Maker:
    clip = clip_files.write(folder / "a.mp4", clip_files.moving(12))
    return average_frames_request.maker([str(clip)], {"seed": 1, "frames": "3", "splits": "train=1", "shard_length": 1})


def of_pairs(folder: pathlib.Path) -> maker.Maker:
    asked = {"seed": 4, "shard_length": 2, "transfer": "srgb"}
    return imported_pairs_request.maker("flat", str(kinds.pair_files(folder / "images", count=4)), asked)


def of_tars(folder: pathlib.Path) -> maker.Maker:
    asked = {"seed": 4, "shard_length": 2, "transfer": "srgb"}
    return imported_pairs_request.maker("webdataset", str(kinds.pair_tars(folder, 4)), asked)


# Each command, and what stands in the paths of each kind of source that its shards are made from.
COMMANDS: dict[str, tuple[Callable[[pathlib.Path], maker.Maker], tuple[str, ...]]] = {
    "convolve": (of_photos, ("/photos/",)),
    "convolve with a field": (with_a_field, ("/photos/",)),
    "shake with gyro": (with_gyro, ("/photos/", "gyro.csv")),
    "shake with depth": (with_depth, ("/photos/", "/depth/")),
    "objects with outlines": (with_outlines, ("/photos/", "/labels/")),
    "objects with maps": (with_maps, ("/photos/", "/panoptic/", "panoptic.json")),
    "average-frames of a folder": (of_frames, ("/GOPR1/",)),
    "average-frames of a video": (of_video, ("video ",)),
    "import flat": (of_pairs, ("/input/", "/target/")),
    "import webdataset": (of_tars, ("/tars/", "list of ")),
}
NAMED = {"video ": "a.mp4", "list of ": ".tar"}  # in the report, where it is not the kind itself
READS = [(command, kind) for command, (_, kinds_) in COMMANDS.items() for kind in kinds_]
WAYS = [("convolve", "/photos/"), ("import webdataset", "list of "), ("average-frames of a video", "video ")]
"""Of reading: a file, a list of a tar, a video. Each meets every fault; what else is read meets two, in turn."""
FAULTS_OF = [
    (command, kind, fault)
    for number, (command, kind) in enumerate(READS)
    for place, fault in enumerate(FAULTS)
    if ((command, kind) in WAYS or fault == "cut" or place == number % 5) and (kind, fault) != ("video ", "cut")
]
"""FFmpeg reads a video: test_clip_faults.py cuts one that is being read."""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Of a command: what makes its maker, which is that of a fresh process, and the undisturbed dataset."""

    fresh: Callable[[], maker.Maker]
    record: dict[str, Any]


def as_recorded(path: pathlib.Path | str) -> dict[str, Any]:
    """What a dataset is, but for when it was begun."""
    stored = reader.stored_attributes(str(path))
    assert stored is not None
    kept = {"fingerprint", "skipped", "valid_items", "sources_sha256", "complete", "documents"}
    return {key: value for key, value in stored.items() if key in kept}


@pytest.fixture(scope="module")
def known() -> dict[str, Inputs]:
    return {}


@pytest.fixture
def inputs_of(known: dict[str, Inputs], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Inputs]:
    """The inputs of a command, made when they are first asked for."""

    def of(command: str) -> Inputs:
        if command not in known:
            folder = tmp_path_factory.mktemp("inputs")
            made = pickle.dumps(COMMANDS[command][0](folder))

            def fresh() -> maker.Maker:
                masks._load.cache_clear()
                masks._texts.cache_clear()
                again: maker.Maker = pickle.loads(made)
                return again

            run.produce(fresh(), folder / "whole.zarr", workers=1)
            known[command] = Inputs(fresh, as_recorded(folder / "whole.zarr"))
        return known[command]

    return of


def holds_only_sound_items(out: pathlib.Path | str, made_by: maker.Maker, record: dict[str, Any]) -> None:
    """Begun, and whatever is marked invalid in it is so in the undisturbed dataset too."""
    attributes = reader.stored_attributes(str(out))
    assert attributes is not None
    assert not attributes["complete"]
    allowed = attributes["items"] - record["valid_items"]
    invalid = 0
    for shard in np.flatnonzero(writer.finished(str(out), made_by.schema)).tolist():
        items = made_by.schema.items_of(shard)
        flags = reader.open_array(str(out), "valid")[items.start : items.stop].read().result()
        invalid += int((flags == 0).sum())
    assert invalid <= allowed


@pytest.mark.parametrize(("command", "kind", "fault"), FAULTS_OF)
def test_once_leaves_no_trace_and_for_good_marks_nothing(
    command: str, kind: str, fault: str, inputs_of: Any, faults: Faults, tmp_path: pathlib.Path
) -> None:
    inputs = inputs_of(command)
    faults.let_fail(kind, fault, times=1)
    run.produce(inputs.fresh(), tmp_path / "once.zarr", workers=1)
    assert faults.times == 0, "nothing of this kind was read"
    assert as_recorded(tmp_path / "once.zarr") == inputs.record
    faults.let_fail(kind, fault, times=10**9)
    with pytest.raises(errors.BlursynthError) as report:
        run.produce(inputs.fresh(), tmp_path / "never.zarr", workers=1)
    assert NAMED.get(kind, kind) in str(report.value)
    holds_only_sound_items(tmp_path / "never.zarr", inputs.fresh(), inputs.record)
    faults.let_fail(kind, fault, times=0)
    run.produce(inputs.fresh(), tmp_path / "never.zarr", workers=1)
    assert as_recorded(tmp_path / "never.zarr") == inputs.record


@pytest.mark.parametrize("command", COMMANDS)
def test_every_read_of_a_source_is_among_those(command: str, inputs_of: Any, faults: Faults, tmp_path: Any) -> None:
    inputs = inputs_of(command)
    faults.reads.clear()
    run.produce(inputs.fresh(), tmp_path / "a.zarr", workers=1)
    assert faults.reads
    assert [path for path in faults.reads if not any(kind in path for kind in COMMANDS[command][1])] == []


@pytest.mark.parametrize("command", ["convolve", "objects with outlines", "import flat", "average-frames of a folder"])
def test_any_read_may_fail_once(command: str, inputs_of: Any, faults: Faults, tmp_path: pathlib.Path) -> None:
    """Those that find again why an item was left out included."""
    inputs = inputs_of(command)
    faults.reads.clear()
    run.produce(inputs.fresh(), tmp_path / "whole.zarr", workers=1)
    reads = list(faults.reads)
    assert inputs.record["skipped"]
    honest = faults.of
    for number in range(len(reads)):
        seen = iter(range(10**9))

        def at_this_read(path: object, number: int = number, seen: Iterator[int] = seen) -> bool:
            faults.let_fail("", "EIO", times=int(next(seen) == number))
            return honest(path)

        faults.of = at_this_read  # type: ignore[method-assign]
        run.produce(inputs.fresh(), tmp_path / f"{number}.zarr", workers=1)
        assert as_recorded(tmp_path / f"{number}.zarr") == inputs.record, reads[number]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_at_the_start_the_file_is_named_and_nothing_is_made(
    command: str, fault: str, faults: Faults, tmp_path: pathlib.Path
) -> None:
    """One file of each kind that a scan reads cannot be read; inputs are written anew for each scan."""
    (tmp_path / "0").mkdir()
    COMMANDS[command][0](tmp_path / "0")
    reads = [path.replace(f"{tmp_path}/0/", "") for path in faults.reads]
    assert reads
    one_of_a_kind = {pathlib.PurePath(path).parent.name + pathlib.PurePath(path).suffix: path for path in reads}
    for number, name in enumerate(one_of_a_kind.values(), 1):
        if ("list of" in name or "video" in name) and fault == "cut":
            continue  # whether a tar or a video is whole is for its reader to say
        folder = tmp_path / str(number)
        folder.mkdir()
        masks._load.cache_clear()
        file = pathlib.PurePath(name).name
        faults.let_fail(file if file == name else f"/{file}", fault, times=10**9)
        with pytest.raises(errors.SourceError, match=file.removeprefix("list of ")):
            COMMANDS[command][0](folder)
        faults.let_fail("", fault, times=0)


@pytest.fixture(scope="module")
def server() -> Iterator[object_store.Store]:
    with object_store.served() as store:
        yield store


@pytest.mark.parametrize("fault", FAULTS)
def test_photos_in_an_object_store(
    fault: str, server: object_store.Store, faults: Faults, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    if not server.contents("photos"):
        for path in sorted(pathlib.Path(photos(tmp_path / "photos")).iterdir()):
            server.put(f"photos/{path.name}", path.read_bytes())
    where = f"s3://{object_store.BUCKET}/photos"
    faults.let_fail("/photos/1.png", fault, times=10**9)
    if fault != "cut":  # the store says itself how long an object is
        with pytest.raises(errors.SourceError, match=r"1\.png"):
            convolve.maker(where, SMALL | BLUR)
    faults.let_fail("", fault, times=0)
    made = convolve.maker(where, SMALL | BLUR)
    run.produce(made, tmp_path / "whole.zarr", workers=1)
    record = as_recorded(tmp_path / "whole.zarr")
    faults.let_fail("/photos/1.png", fault, times=1)
    run.produce(made, tmp_path / "once.zarr", workers=1)
    assert as_recorded(tmp_path / "once.zarr") == record
    faults.let_fail("/photos/1.png", fault, times=10**9)
    with pytest.raises(errors.DatasetError, match=r"1\.png"):
        run.produce(made, tmp_path / "never.zarr", workers=1)
    holds_only_sound_items(tmp_path / "never.zarr", made, record)
    faults.let_fail("", fault, times=0)
    run.produce(made, tmp_path / "never.zarr", workers=1)
    assert as_recorded(tmp_path / "never.zarr") == record


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("fault", ["ENOENT", "EIO", "cut"])
def test_the_command_line_exits_with_2_and_completes(
    fault: str, strict: bool, faults: Faults, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder = pathlib.Path(photos(tmp_path / "photos"))
    (folder / "3.png").unlink()
    command = ["blursynth", "convolve", str(folder), "--size", "16", "--length", "3:6", "-o", f"{tmp_path}/a.zarr"]
    monkeypatch.setattr(sys, "argv", [*command, "-q", *(["--strict"] if strict else [])])
    listed = len(list(folder.iterdir()))

    def call() -> int:
        try:
            __main__.main()
        except SystemExit as end:
            return int(end.code or 0)
        raise AssertionError("it ends by exiting")

    honest = faults.of

    def after_the_scan(path: object) -> bool:
        if len(faults.reads) >= listed:
            return honest(path)
        faults.reads.append(str(path))
        return False

    faults.of = after_the_scan  # type: ignore[method-assign]
    faults.let_fail("1.png", fault, times=10**9)
    assert call() == 2
    assert "1.png" in capsys.readouterr().err
    assert not as_recorded(tmp_path / "a.zarr")["complete"]
    faults.let_fail("", fault, times=0)
    assert call() == 0
    assert reader.open(tmp_path / "a.zarr").items == 3


@pytest.mark.usefixtures("faults")
def test_changed_bytes_are_no_content(inputs_of: Any, tmp_path: pathlib.Path) -> None:
    """A photo that is swapped, or damaged, while pairs are made of it."""
    made = of_photos(tmp_path)
    path = tmp_path / "photos" / "1.png"
    data = path.read_bytes()
    for change in (data[:-20], bytes(len(data)), (tmp_path / "photos" / "0.png").read_bytes()):
        path.write_bytes(change)
        with pytest.raises(errors.DatasetError, match=r"1\.png has changed"):
            run.produce(made, tmp_path / "a.zarr", workers=1)
    path.write_bytes(data)
    run.produce(made, tmp_path / "a.zarr", workers=1)
    assert as_recorded(tmp_path / "a.zarr") == inputs_of("convolve").record


@pytest.mark.usefixtures("faults")
@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("convolve", "photos/1.png"),
        ("shake with gyro", "gyro.csv"),
        ("shake with depth", "depth/1.npy"),
        ("objects with outlines", "labels/1.txt"),
        ("objects with maps", "masks/panoptic/1.png"),
        ("average-frames of a folder", "GOPR1/0004.png"),
        ("import flat", "images/train/target/1.png"),
    ],
)
def test_what_stands_in_the_place_of_a_file_is_no_content(command: str, name: str, tmp_path: pathlib.Path) -> None:
    """A pipe, a device, a link to nothing and a folder, for a file that was there when the command started."""
    made = pickle.dumps(COMMANDS[command][0](tmp_path))
    path = tmp_path / name
    kept = path.rename(tmp_path / "kept")
    for stands in (
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to("nowhere"),
        path.mkdir,
    ):
        stands()
        masks._load.cache_clear()
        masks._texts.cache_clear()
        with pytest.raises(errors.BlursynthError, match=rf"\b{path.stem}\."):
            run.produce(pickle.loads(made), tmp_path / "a.zarr", workers=1)
        assert not as_recorded(tmp_path / "a.zarr")["complete"]
        path.rmdir() if path.is_dir() else path.unlink()
    kept.rename(path)
    run.produce(pickle.loads(made), tmp_path / "a.zarr", workers=1)
    run.produce(pickle.loads(made), tmp_path / "b.zarr", workers=1)
    assert as_recorded(tmp_path / "a.zarr") == as_recorded(tmp_path / "b.zarr")


def test_a_run_that_goes_on_with_moved_photos_says_where_they_are(tmp_path: pathlib.Path) -> None:
    made, out = of_photos(tmp_path), tmp_path / "a.zarr"
    writer.create(str(out), made.schema, made.record())
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    again = convolve.maker(str(tmp_path / "elsewhere"), SMALL | BLUR, "blursynth convolve elsewhere")
    run.produce(again, out, workers=1)
    record = reader.open(out).attributes
    assert record["inputs"]["photos"] == str(tmp_path / "elsewhere")
    assert record["command"] == "blursynth convolve elsewhere"
    assert verify.verify(out).sound


def test_what_an_older_version_left_out_is_not_finished_in_silence(tmp_path: pathlib.Path) -> None:
    """A dataset that is begun, in which pairs of a photo that is sound are marked invalid."""
    made = of_photos(tmp_path)
    path, items = str(tmp_path / "a.zarr"), made.schema.items_of(0)
    writer.create(path, made.schema, made.record())
    arrays = made.make(items)
    arrays["valid"][0] = 0
    writer.write_shard(path, made.schema, 0, arrays)
    with pytest.raises(errors.DatasetError, match=r"0\.png"):
        run.produce(made, path, workers=1)
    assert not as_recorded(path)["complete"]
    run.produce(made, path, workers=1, overwrite=True)
    assert as_recorded(path)["complete"]


@pytest.mark.parametrize("fault", FAULTS)
def test_looking_at_a_dataset_makes_no_wrong_statement(fault: str, faults: Faults, tmp_path: pathlib.Path) -> None:
    """verify and replay say that a photo cannot be read, not that it has changed; it is all they say."""
    made = of_photos(tmp_path)
    run.produce(made, tmp_path / "a.zarr", workers=1)
    assert verify.verify(tmp_path / "a.zarr").sound
    faults.let_fail("1.png", fault, times=1)
    (finding,) = verify.verify(tmp_path / "a.zarr", workers=1).findings
    assert finding.where == "1.png"
    assert "cannot be read" in finding.problem
    assert "changed" not in finding.problem
    faults.let_fail("1.png", fault, times=1)
    with pytest.raises(errors.SourceError, match="cannot be read"):
        replay.replay(tmp_path / "a.zarr", 1)
    assert replay.replay(tmp_path / "a.zarr", 1).equal


def test_a_folder_that_cannot_be_listed_stops_the_scan(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pathlib.Path(photos(tmp_path / "photos"))
    (folder / "more").mkdir()
    honest = pathlib.Path.iterdir

    def iterdir(path: pathlib.Path) -> Any:
        if path.name == "more":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return honest(path)

    monkeypatch.setattr(pathlib.Path, "iterdir", iterdir)
    with pytest.raises(errors.SourceError, match="more"):
        convolve.maker(str(folder), SMALL | BLUR)


@pytest.mark.slow
def test_photos_that_are_away_for_a_second(tmp_path: pathlib.Path) -> None:
    """What a file server that hiccups looks like: nothing is lost, whatever the command's first exit code."""
    photos(tmp_path / "photos")
    (tmp_path / "photos" / "3.png").unlink()
    command = [sys.executable, "-m", "blursynth", "convolve", "photos", "--size", "16", "--per-photo", "600"]
    command += ["--length", "3:6", "--shard-length", "4", "--workers", "1", "--out", "a.zarr", "-q"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while len(list((tmp_path / "a.zarr" / "digest" / "c").glob("*"))) < 20:
            assert time.monotonic() < until
            time.sleep(0.02)
        shutil.move(tmp_path / "photos", tmp_path / "gone")
        time.sleep(1)
        with contextlib.suppress(OSError):
            shutil.move(tmp_path / "gone", tmp_path / "photos")
        first = process.wait(60)
    stored = reader.stored_attributes(str(tmp_path / "a.zarr"))
    assert stored is not None
    assert stored["complete"] == (first == 0)
    assert subprocess.run(command, cwd=tmp_path, env=environment, check=True).returncode == 0
    dataset = reader.open(tmp_path / "a.zarr")
    assert dataset.items == dataset.attributes["items"] == 1800
