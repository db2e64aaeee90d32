"""Storing and reading datasets, against the bare disk, the bare codec, zarr-python, and a folder of PNG pairs.

    python tests/benchmarks/bench_storage.py [FOLDER] [PAIRS]

Writes a few gigabytes under FOLDER (by default the system's temporary folder). Each figure is the best of three runs;
every row's two figures are from one run of this script.
"""

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zarr

from blursynth.production import executors, run
from blursynth.storage import provenance, reader, writer
from blursynth.storage import schema as schemas

Arrays = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Ready:
    """A maker whose items are ready: what is measured is storing alone."""

    kind: str
    items: int
    arrays: tuple[schemas.ArraySpec, ...]
    block: Arrays

    @property
    def schema(self) -> schemas.Schema:
        return schemas.Schema(self.kind, self.items, schemas.shard_length_for(self.items, self.arrays), self.arrays)

    def record(self) -> provenance.Record:
        return provenance.Record("", 0, "bench_storage")

    def make(self, items: range) -> Arrays:
        return {name: values[: len(items)] for name, values in self.block.items()}

    def peak_bytes(self, items: int) -> int:
        return items * self.schema.bytes_per_item

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> list[provenance.Skipped]:
        raise AssertionError(invalid)


def columns(count: int) -> Arrays:
    values: Arrays = {name: np.linspace(0, 1, count) for name in ("anxiety", "inertia", "exposure")}
    return values | {"valid": np.ones(count, np.bool_)}


def maker_of(kind: str, items: int, block: Arrays, compression: Any = "lz4") -> Ready:
    names = {3: ("step", "axis"), 4: ("y", "x", "channel")}
    arrays = tuple(
        schemas.ArraySpec(name, values.dtype.name, values.shape[1:], names.get(values.ndim, ()), None, {}, compression)
        for name, values in block.items()
    )
    whole = schemas.Schema(kind, items, schemas.shard_length_for(items, arrays), arrays)
    repeats = {name: np.resize(values, (whole.shard_length, *values.shape[1:])) for name, values in block.items()}
    return Ready(kind, items, arrays, repeats)


def pictures(count: int, size: int = 256) -> Arrays:
    """Textures as rich as photos (power spectrum 1/f^2 and a little noise), and the same smoothed by motion."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1
    sharp = np.empty((count, size, size, 3), np.uint8)
    for picture in sharp:
        waves = rng.normal(size=(2, *frequency.shape)) / frequency
        field = np.fft.irfft2(waves[0] + 1j * waves[1], s=(size, size))
        tinted = (field / field.std())[..., None] * rng.uniform(30, 60, 3) + rng.uniform(80, 170, 3)
        picture[:] = np.clip(tinted + rng.normal(0, 2, (size, size, 3)), 0, 255)
    blurred = np.stack([cv2.blur(picture, (15, 1)) for picture in sharp])
    return {"blurred": blurred, "sharp": sharp} | columns(count)


def paths(count: int, steps: int = 2000) -> Arrays:
    """Paths as smooth as those of shaking hands: the heading is a random walk."""
    rng = np.random.default_rng(0)
    heading = np.cumsum(rng.normal(0, 0.03, (count, steps)), 1) + rng.uniform(0, 2 * np.pi, (count, 1))
    position = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], -1) * 60 / (steps - 1), 1)
    return {"position": np.rint(position * 512).astype(np.int16)} | columns(count)


def seconds(work: Callable[[], object], before: Callable[[], object] = lambda: None, runs: int = 3) -> float:
    best = np.inf
    for _ in range(runs):
        before()
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return float(best)


def encode_only(maker: Ready, workers: int) -> None:
    """All shards through the codec and nowhere."""
    schema = maker.schema

    def encode(shard: int) -> None:
        items = schema.items_of(shard)
        for array in schema.arrays:
            values = maker.make(items)[array.name]
            key = schema.chunk_key(array, shard).removeprefix(f"{array.name}/")
            writer._encode(schema.document(array), values, items.start, key)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(encode, range(schema.shards)))


def write_bare(folder: pathlib.Path, dataset: pathlib.Path) -> float:
    """Seconds to write the dataset's bytes as one file, synchronised."""
    size = sum(file.stat().st_size for file in dataset.rglob("*") if file.is_file())
    block = os.urandom(8 * 2**20)

    def write() -> None:
        with (folder / "bare").open("wb") as file:
            for _ in range(-(-size // len(block))):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    taken = seconds(write)
    (folder / "bare").unlink()
    return taken


def shuffled(items: int, count: int, batch: int) -> list[npt.NDArray[np.int64]]:
    order = np.random.default_rng(1).permutation(items)[:count]
    return np.array_split(order, max(1, len(order) // batch))


def row(what: str, ours: float, baseline: str, theirs: float, unit: str) -> None:
    print(f"| {what} | {ours:,.0f} {unit} | {baseline} | {theirs:,.0f} {unit} | {ours / theirs:.2f} |", flush=True)


def bench_making(folder: pathlib.Path, maker: Ready, label: str, workers: int) -> pathlib.Path:
    out = folder / f"{label.replace(' ', '-')}.zarr"
    clear = functools.partial(shutil.rmtree, out, ignore_errors=True)
    taken = seconds(lambda: run.produce(maker, out, workers=workers), clear)
    codec = seconds(functools.partial(encode_only, maker, workers))
    disk = write_bare(folder, out)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    rate = maker.items / taken
    print(f"| {label}: {taken:.2f} s, {size / 1e6:,.0f} MB, {size / maker.items:,.0f} B/item | | | | |")
    row(f"{label}, store", rate, "codec alone", maker.items / codec, "items/s")
    row(f"{label}, store", rate, "bare write and sync of as many bytes", maker.items / disk, "items/s")
    return out


def bench_reading(folder: pathlib.Path, out: pathlib.Path, label: str, items: int, workers: int) -> None:
    batches = shuffled(items, 2048, 64)
    dataset = reader.open(out)

    def read_ours() -> None:
        for batch in batches:
            dataset.read("sharp", batch)
            dataset.read("blurred", batch)

    peers = {name: zarr.open_array(out / name, mode="r") for name in ("sharp", "blurred")}
    few = [int(item) for item in batches[0]]

    def read_zarr() -> None:
        for item in few:
            _ = peers["sharp"][item], peers["blurred"][item]

    png = folder / "png"
    png.mkdir(exist_ok=True)
    some = [int(item) for batch in batches[:8] for item in batch]
    for item in some:
        for name in ("sharp", "blurred"):
            cv2.imwrite(str(png / f"{item}-{name}.png"), dataset.read(name, [item])[0])

    def read_pair(item: int) -> None:
        for name in ("sharp", "blurred"):
            assert cv2.imread(str(png / f"{item}-{name}.png")) is not None

    def read_png() -> None:
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(read_pair, some))

    ours = sum(map(len, batches)) / seconds(read_ours)
    row(f"{label}, read shuffled", ours, "zarr-python", len(few) / seconds(read_zarr), "pairs/s")
    row(f"{label}, read shuffled", ours, f"PNG folder, {workers} threads", len(some) / seconds(read_png), "pairs/s")


def main(folder: pathlib.Path, pairs: int) -> None:
    workers = executors.available_workers()
    print(f"{workers} workers, {cv2.__name__} {cv2.__version__}, load {os.getloadavg()[0]:.1f}\n")
    print("| work | ours | baseline | its figure | ratio |\n|---|---|---|---|---|")
    bench_making(folder, maker_of("trajectories", 100_000, paths(1000)), "100k trajectories", workers)
    for compression in ("lz4", "zstd"):
        maker = maker_of("pairs", pairs, pictures(100), compression)
        out = bench_making(folder, maker, f"pairs {compression}", workers)
        bench_reading(folder, out, f"pairs {compression}", pairs, workers)


if __name__ == "__main__":
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=parent) as temporary:
        main(pathlib.Path(temporary), int(sys.argv[2]) if len(sys.argv) > 2 else 4000)
