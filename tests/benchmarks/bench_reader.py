"""Reading shuffled batches for training, against a folder of PNG pairs, in one run and from page cache.

    python tests/benchmarks/bench_reader.py [FOLDER] [PAIRS]

Makes PAIRS (default 4,000) pairs of 256x256 and as many PNG files under FOLDER (by default the system's temporary
folder). Each figure is the best of five runs; the load is printed, for the machine may be shared.
"""

import concurrent.futures
import functools
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np
import torch

import blursynth
from blursynth.loading import sampler
from blursynth.makers import convolve
from blursynth.production import executors, run

NAMES = ("blurred", "sharp")
BATCH = 16


class PngPairs:
    """What is commonly used: a file an image, read when asked for. `order` says which pair comes when."""

    def __init__(self, folder: pathlib.Path, order: np.ndarray[Any, Any]) -> None:
        self.folder, self.order = str(folder), order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, number: int) -> dict[str, Any]:
        cv2.setNumThreads(0)
        return {name: cv2.imread(f"{self.folder}/{self.order[number]}-{name}.png") for name in NAMES}


Work = tuple[str, int, Callable[[], object]]
"""What it is called, how many pairs it reads, and a call that reads them."""


def rates(works: Sequence[Work], rounds: int = 5) -> list[float]:
    """Pairs a second of each, the best of several rounds in which all take turns: so all see the same neighbours."""
    best = np.full(len(works), np.inf)
    for _ in range(rounds):
        for place, (_, _, work) in enumerate(works):
            began = time.perf_counter()
            work()
            best[place] = min(best[place], time.perf_counter() - began)
    return [pairs / float(taken) for (_, pairs, _), taken in zip(works, best, strict=True)]


def table(works: Sequence[Work], beside: int, name: str) -> None:
    """A row each, with the ratio to the best of the first `beside` of them."""
    found = rates(works)
    print(f"\n| reading, load {os.getloadavg()[0]:.1f} | pairs/s | ratio to {name} |\n|---|---|---|")
    for (what, _, _), speed in zip(works, found, strict=True):
        print(f"| {what} | {speed:,.0f} | {speed / max(found[:beside]):.1f} |", flush=True)


def use(batches: Iterable[Any]) -> None:
    for _ in batches:
        pass


def use_in_threads(shares: Sequence[Iterable[Any]]) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(use, shares))


def make(folder: pathlib.Path, pairs: int, size: int, per_photo: int, fit: str) -> blursynth.Dataset:
    out = folder / f"pairs-{size}.zarr"
    options = {"seed": 0, "size": size, "fit": fit, "per_photo": per_photo, "no_psf": True}
    run.produce(convolve.maker(f"scenes:{pairs // per_photo}", options), out, workers=executors.available_workers())
    return blursynth.open(out)


def write_png(dataset: blursynth.Dataset, folder: pathlib.Path) -> None:
    folder.mkdir()

    def write(item: int) -> None:
        for name in NAMES:
            cv2.imwrite(str(folder / f"{item}-{name}.png"), dataset.read(name, [item])[0])

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(write, range(len(dataset))))


def of_png(folder: pathlib.Path, pairs: int, workers: int) -> list[Work]:
    few = np.random.default_rng(0).permutation(pairs)[: min(pairs, 1000)]
    files = PngPairs(folder, few)

    def in_threads() -> None:
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            use(pool.map(files.__getitem__, range(len(files))))

    loader: Any = torch.utils.data.DataLoader(files, BATCH, num_workers=workers, persistent_workers=True)
    use(loader)  # the processes start here
    return [
        (f"PNG folder, cv2, {workers} threads", len(few), in_threads),
        (f"PNG folder, cv2, DataLoader of {workers} processes", len(few), functools.partial(use, loader)),
    ]


def of_batches(dataset: blursynth.Dataset, workers: int) -> list[Work]:
    parts = [blursynth.Part(dataset, np.arange(len(dataset)))]
    works: list[Work] = []

    def add(what: str, act: Callable[[Any], object], *given: Any) -> None:
        works.append((what, len(dataset), functools.partial(act, *given)))

    for crop, what in ((None, "256x256 pairs"), ((128, 128), "random 128x128 crops")):
        patches = blursynth.Patches(parts, NAMES, 0, crop)
        for size in (1, 4, BATCH, 64):
            add(f"{what}, batches of {size}", use, blursynth.Batches(patches, size))
    patches = blursynth.Patches(parts, NAMES, 0)
    batches = blursynth.Batches(patches, BATCH)
    add(f"batches of {BATCH} by number", lambda: use(batches[number] for number in range(len(batches))))
    for threads in (2, workers):
        shares = [blursynth.Batches(patches, BATCH, rank=rank, ranks=threads) for rank in range(threads)]
        add(f"{threads} threads, a share each", use_in_threads, shares)
    for processes in (2, workers):
        loader: Any = torch.utils.data.DataLoader(
            batches,  # type: ignore[arg-type]
            batch_size=None,
            num_workers=processes,
            persistent_workers=True,
            multiprocessing_context="spawn",
        )
        use(loader)
        add(f"DataLoader of {processes} processes", use, loader)
    return works


def of_frames(dataset: blursynth.Dataset) -> list[Work]:
    parts = [blursynth.Part(dataset, np.arange(len(dataset)))]
    whole, crops = (blursynth.Batches(blursynth.Patches(parts, NAMES, 0, crop), 4) for crop in (None, (256, 256)))
    size = dataset.shape_of("sharp")[0]
    return [
        (f"{size}x{size} frames, whole", len(dataset), functools.partial(use, whole)),
        (f"256x256 crops of {size}x{size} frames", len(dataset), functools.partial(use, crops)),
    ]


def bench_order() -> None:
    print("\n| order of | positions asked for | ms | us/position |\n|---|---|---|---|")
    for size in (1000, 10_000_000):
        for count in (64, 1024, 2**20):
            order = sampler.Order([size], [1.0], 0)
            work = functools.partial(order.at, np.arange(count))
            seconds = count / rates([("", count, work)])[0]
            print(f"| {size:,} | {count:,} | {seconds * 1e3:.2f} | {seconds / count * 1e6:.2f} |", flush=True)


def main(folder: pathlib.Path, pairs: int) -> None:
    workers = executors.available_workers()
    print(f"{workers} processors, cv2 {cv2.__version__}, load {os.getloadavg()[0]:.1f}", flush=True)
    dataset = make(folder, pairs, 256, 16, "crop")
    write_png(dataset, folder / "png")
    files = of_png(folder / "png", len(dataset), workers)
    table([*files, *of_batches(dataset, workers)], len(files), "the PNG folder's best")
    table(of_frames(make(folder, 120, 1024, 1, "resize")), 1, "whole frames")
    bench_order()


if __name__ == "__main__":
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=parent) as temporary:
        main(pathlib.Path(temporary), int(sys.argv[2]) if len(sys.argv) > 2 else 4000)
