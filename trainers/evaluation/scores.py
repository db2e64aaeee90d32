"""Scores of several networks on one test set: restored one image at a time, written down as they come, and resumed."""

import concurrent.futures
import dataclasses
import json
import logging
import math
import os
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import pydantic
import torch
import tqdm

from blursynth import errors
from blursynth.config import records, toml
from blursynth.media import atomic_file, source_file
from trainers import device_memory, seeding
from trainers.checkpoints import checkpoint, result_record
from trainers.inference import eight_bit, restorer
from trainers.methods import method
from trainers.protocols import protocol
from trainers.test_sets import datasets
from trainers.test_sets import items as test_set

_log = logging.getLogger(__name__)

INPUT = "blurred input"
"""The row of the images that are given to the networks."""

PER_IMAGE = "per-image.jsonl"
ASKED = "evaluation.json"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked for; all of it decides the scores but `device`, which decides the times."""

    protocol: protocol.Protocol
    metrics: tuple[str, ...]
    tests: test_set.TestSet
    device: torch.device
    dropout: bool = True
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Network:
    """A row of the table: a checkpoint, or (`path` None) the blurred input itself.

    `seen` says in words what of the test set it was trained on, if anything.
    """

    name: str
    path: pathlib.Path | None = None
    sha256: str = ""
    about: checkpoint.About | None = None
    seen: str = ""

    def describe(self) -> dict[str, Any]:
        """What a table says of it."""
        if self.about is None:
            return {"name": self.name}
        known = {key: getattr(self.about, key) for key in ("method", "variant", "images_seen", "provenance")}
        light = sorted({str(each["transfer_function"]) for each in self.about.datasets})
        return {
            "name": self.name,
            "checkpoint_sha256": self.sha256,
            **known,
            "trained_on_light": light,
            "seen": self.seen,
        }


@dataclasses.dataclass(frozen=True)
class Entry:
    """What became of one image in one row. `non_finite` counts values of the output that are no finite number."""

    row: str
    image: str
    group: str
    size: str
    values: dict[str, float]
    missing: dict[str, str]
    notes: dict[str, float]
    seconds: float | None = None
    peak_mb: float | None = None
    non_finite: int = 0


class _Line(toml.Model):
    """An Entry in its file, with the row's weights. PSNR is infinite for equal images."""

    model_config = pydantic.ConfigDict(allow_inf_nan=True)

    key: str
    row: str
    image: str
    group: str
    size: str
    values: Mapping[str, float]
    missing: Mapping[str, str]
    notes: Mapping[str, float]
    seconds: float | None = None
    peak_mb: float | None = None
    non_finite: Annotated[int, pydantic.Field(ge=0)] = 0


def networks(paths: Sequence[pathlib.Path], wanted: Wanted) -> list[Network]:
    """The rows: the input, then each checkpoint under its run folder's (or file's) name; warns of other light."""
    rows = [Network(INPUT)]
    for path in paths:
        file = checkpoint.find(path)
        about = checkpoint.about(file)
        name = path.name if path.is_dir() else f"{file.parent.name}/{file.stem}" if file.parent.name else file.stem
        taken = sum(row.name == name or row.name.startswith(f"{name} #") for row in rows)
        seen = _seen(about, wanted.tests)
        rows.append(Network(f"{name} #{taken + 1}" if taken else name, file, result_record.sha256(file), about, seen))
        _warn(rows[-1], wanted.tests)
    return rows


def _warn(row: Network, tests: test_set.TestSet) -> None:
    assert row.about is not None
    light = {str(each["transfer_function"]) for each in row.about.datasets}
    if light and tests.transfer_function is not None and light != {tests.transfer_function}:
        _log.warning(
            "%s was trained on blur made for %s, and %s has blur made for %s; its scores will suffer.",
            row.name, " and ".join(sorted(light)), tests.name, tests.transfer_function,
        )  # fmt: skip
    if row.seen:
        _log.warning("%s was trained on %s: its scores are no test.", row.name, row.seen)


def _seen(about: checkpoint.About, tests: test_set.TestSet) -> str:
    """What of a test set was trained on, as far as the training sets are still where they were; else "".

    A set that is gone is named in a warning. The test set may be one of them, wherever it lies now.
    """
    fingerprint, _, split = tests.fingerprint.partition(" ")
    if split in ("train", datasets.ALL) and fingerprint in {each.get("fingerprint") for each in about.datasets}:
        return f"these very images ({tests.name})"
    trained: set[str] = set()
    for each in about.datasets if tests.sources else ():
        found: frozenset[str] | None
        if isinstance(each.get("stream"), Mapping):
            prefixes = each["stream"].get("trained_sources")
            found = None if prefixes is None else frozenset(sha for sha in tests.sources if sha[:16] in prefixes)
        else:
            found = datasets.trained_sources((each["path"], tests.name), each["fingerprint"])
        trained |= found or set()
        if found is None:
            _log.warning(
                "The training set %s is not there any more: whether %s shares photos with it is not known.",
                each["path"], tests.name,
            )  # fmt: skip
    shared = len(trained & tests.sources)
    return f"{shared} of the {len(tests.sources)} photos or clips that {tests.name} is made from" if shared else ""


class Journal:
    """Entries as they come, a JSON line each, kept across interruptions; `close` it in the end.

    A folder with another evaluation is refused with InputError, unless `overwrite`.
    """

    def __init__(self, folder: pathlib.Path, rows: Sequence[Network], wanted: Wanted, *, overwrite: bool) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        asked = {
            "protocol": wanted.protocol.label,
            "metrics": list(wanted.metrics),
            "test_set": wanted.tests.fingerprint,
            "dropout": wanted.dropout,
            "seed": wanted.seed,
            "device": wanted.device.type,
        }
        folder.mkdir(parents=True, exist_ok=True)
        self._path, stored = folder / PER_IMAGE, folder / ASKED
        for file in (self._path, stored):
            source_file.require_file(file)
        if source_file.is_file(stored) and not overwrite:
            found = records.parse(source_file.read(stored), stored)
            if not isinstance(found, dict):
                raise errors.InputError(f"{stored} is damaged; choose another --out, or give --overwrite.")
            differing = result_record.differences(found, asked)
            if differing:
                raise errors.InputError(
                    f"{folder} holds another evaluation; it differs in {'; '.join(differing)}. Choose another --out, "
                    "or give --overwrite."
                )
        elif not overwrite and any(folder.iterdir()):
            raise errors.InputError(f"{folder} holds something else than an evaluation; choose another --out.")
        atomic_file.replace(stored, json.dumps(asked, indent=1).encode())
        self._keys = {row.name: f"{row.name} {row.sha256}" for row in rows}
        if overwrite:
            self._path.unlink(missing_ok=True)
        self._load()

    def _load(self) -> None:
        """Entries of rows that are still the same; lines that are damaged and rows of other weights are dropped.

        Rows that are not asked for this time stay in the file.
        """
        lines = source_file.read(self._path).split(b"\n") if source_file.is_file(self._path) else []
        others = []
        for number, line in enumerate(lines[:-1], 1):
            name = f"line {number} of {self._path}"
            try:
                values = records.parse(line, name, finite=False)
                records.check(values, _Line, name)
            except errors.InputError as error:
                _log.warning("%s The image is scored again.", error)
                continue
            if values["row"] not in self._keys:
                others.append(f"{line.decode()}\n")
            elif values.pop("key") == self._keys[values["row"]]:
                entry = Entry(**values)
                self.entries[entry.row, entry.image] = entry
        content = "".join([*others, *(self._line(entry) for entry in self.entries.values())])
        atomic_file.replace(self._path, content.encode())
        self._file = self._path.open("a", encoding="utf-8")

    def _line(self, entry: Entry) -> str:
        return json.dumps({"key": self._keys[entry.row], **dataclasses.asdict(entry)}) + "\n"

    def add(self, entry: Entry) -> None:
        self.entries[entry.row, entry.image] = entry
        self._file.write(self._line(entry))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def run(rows: Sequence[Network], wanted: Wanted, journal: Journal, bar: "tqdm.tqdm[Any]") -> None:
    """Score what the journal lacks; the bar counts images, those in the journal first."""
    for row in rows:
        todo = [item for item in wanted.tests.items if (row.name, item.name) not in journal.entries]
        bar.set_description(row.name)
        bar.update(len(wanted.tests.items) - len(todo))
        network = load(row, wanted) if todo else None
        # Items with many ground truths come with hundreds of megabytes each: one at a time.
        alone = wanted.device.type == "cuda" or wanted.tests.many
        for some in _chunks(todo, 1 if alone else os.cpu_count() or 1):
            for entry in _score(row, network, some, wanted):
                journal.add(entry)
                bar.update(1)


@dataclasses.dataclass(frozen=True)
class Restored:
    """What was given to a network and what came out: `image` is None where some values are no finite numbers."""

    given: protocol.Image
    image: protocol.Image | None
    seconds: float | None = None
    peak_mb: float | None = None
    non_finite: int = 0


def restore(network: method.Method | None, item: test_set.Item, wanted: Wanted) -> Restored:
    """One image of the test set through a network (None: the image itself), clamped and rounded to 8 bits."""
    blurred = wanted.protocol.prepared(item.blurred())
    if network is None:
        return Restored(blurred, blurred)
    blurred_NCHW = eight_bit.to_tensor(blurred, wanted.device)
    # By name, so that an image is restored alike by itself and among others.
    torch.manual_seed(seeding.seed(wanted.seed, item.name))
    peak = device_memory.Peak(wanted.device)
    start = time.perf_counter()
    result_NCHW = network.restore(blurred_NCHW)
    if wanted.device.type == "cuda":
        torch.cuda.synchronize(wanted.device)
    seconds, peak_mb = time.perf_counter() - start, peak.megabytes()
    non_finite = int((~torch.isfinite(result_NCHW)).sum())
    if non_finite:
        return Restored(blurred, None, seconds, peak_mb, non_finite)
    return Restored(blurred, eight_bit.to_image(result_NCHW), seconds, peak_mb)


def load(row: Network, wanted: Wanted) -> method.Method | None:
    """The network of a row, after one image that nobody times; None for the input."""
    if row.path is None:
        return None
    network = restorer.load(row.path, wanted.device, dropout=wanted.dropout, sha256=row.sha256)
    # The first image pays for what a device sets up once; nobody waits for that twice.
    restore(network, wanted.tests.items[0], wanted)
    return network


def _score(
    row: Network, network: method.Method | None, items: Sequence[test_set.Item], wanted: Wanted
) -> Iterator[Entry]:
    """Restore on all threads, one image after another; score several at once, each on one thread."""
    restored = [restore(network, item, wanted) for item in items]
    if wanted.device.type == "cuda" or len(items) == 1:
        yield from (_entry(row, item, found, wanted) for item, found in zip(items, restored, strict=True))
        return
    threads = torch.get_num_threads()
    try:
        with concurrent.futures.ThreadPoolExecutor(
            len(items), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            yield from pool.map(lambda pair: _entry(row, pair[0], pair[1], wanted), zip(items, restored, strict=True))
    finally:
        torch.set_num_threads(threads)


def _entry(row: Network, item: test_set.Item, found: Restored, wanted: Wanted) -> Entry:
    size = f"{found.given.shape[1]}x{found.given.shape[0]}"
    scored = protocol.Scored({})
    if found.image is not None and wanted.tests.truth:
        truths = (wanted.protocol.prepared(truth) for truth in item.truths())
        try:
            scored = wanted.protocol.score(found.image, truths, wanted.metrics, wanted.device)
        except errors.InputError as error:
            raise errors.InputError(f"Image {item.name} of {wanted.tests.name}: {error}") from None
    values = {name: value for name, value in scored.values.items() if not math.isnan(value)}
    undefined = {name: "not a number" for name in scored.values if name not in values}
    return Entry(
        row.name, item.name, item.group, size, values, {**scored.missing, **undefined}, dict(scored.notes),
        found.seconds, found.peak_mb, found.non_finite,
    )  # fmt: skip


def _chunks(items: Sequence[test_set.Item], size: int) -> Iterator[Sequence[test_set.Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
