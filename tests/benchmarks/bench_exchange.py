"""Pairs into other tools' layouts and out of them: PNG encoders, `export`, and `import` against bare decoding.

    python tests/benchmarks/bench_exchange.py [FOLDER OF PHOTOS] [PAIRS]

Without photos, procedural scenes, which compress better than photos. Each figure is the best of several runs; the load
is printed, for the machine may be shared.
"""

import concurrent.futures
import io
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from blursynth.layouts import export
from blursynth.makers import convolve, imported_pairs_request
from blursynth.media import photos
from blursynth.production import executors, run
from blursynth.sources import png
from blursynth.storage import reader

ROUNDS = 3
_RLE = 3  # zlib's Z_RLE, by Pillow's number

Encoder = Callable[[npt.NDArray[np.uint8]], bytes]


def best(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of several runs."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def pillow(level: int, **more: int) -> Encoder:
    def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=level, **more)
        return file.getvalue()

    return encode


def opencv(*options: int) -> Encoder:
    return lambda pixels: bytes(cv2.imencode(".png", pixels[..., ::-1], list(options))[1].tobytes())


def encoders(dataset: reader.Dataset) -> None:
    """One thread, 256x256, half of them blurred."""
    images = [image for name in ("sharp", "blurred") for image in dataset.read(name, range(0, dataset.items, 50))]
    known: dict[str, Encoder] = {
        "ours": png.encode,
        "Pillow, default (6)": pillow(6),
        "Pillow, level 1": pillow(1),
        "Pillow, level 1, run lengths": pillow(1, compress_type=_RLE),
        "OpenCV, default": opencv(),
        "OpenCV, level 1, run lengths": opencv(
            cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE
        ),
    }
    cv2.setNumThreads(1)
    print(f"{'PNG encoder, one thread, 256x256':<40}{'ms':>8}{'kB':>8}{'ratio':>8}")
    ours = 0.0
    for name, encode in known.items():
        sizes = [len(encode(image)) for image in images]
        taken = best(lambda encode=encode: [encode(image) for image in images]) / len(images)  # type: ignore[misc]
        ours = ours or taken
        print(f"{name:<40}{taken * 1e3:>8.2f}{np.mean(sizes) / 1e3:>8.1f}{taken / ours:>8.2f}")


def exports(dataset: reader.Dataset, folder: pathlib.Path, workers: int) -> None:
    print(f"\n{f'export, {workers} threads, {dataset.items} pairs of 256x256':<48}{'pairs/s':>10}{'CPU ms/pair':>14}")
    for to in export.LAYOUTS:
        rates, costs = [], []
        for _ in range(ROUNDS):
            shutil.rmtree(folder / to, ignore_errors=True)
            cpu = time.process_time()
            outcome = export.export(dataset.path, folder / to, to, workers=workers)
            rates.append(outcome.pairs / outcome.seconds)
            costs.append((time.process_time() - cpu) / outcome.pairs)
        print(f"{to:<48}{max(rates):>10.0f}{min(costs) * 1e3:>14.2f}")


def frames(source: str, folder: pathlib.Path) -> None:
    """A GOPRO tree of full frames, 192 pairs: crops of photos, scaled to 1280x720; each sequence has the same ones."""
    photos_ = sorted(path for path in pathlib.Path(source).rglob("*") if path.suffix.lower() in photos.ENDINGS)
    for k in range(48):
        sharp = photos.resize(photos.read(photos_[k % len(photos_)])[k // len(photos_) * 8 :], 720, 1280)
        for name, pixels in (("sharp", sharp), ("blur_gamma", cv2.GaussianBlur(sharp, (0, 0), 2.0))):
            path, *copies = (folder / "train" / f"sequence-{n}" / name / f"{k:06d}.png" for n in range(4))
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)  # as anybody's: Pillow's default level
            for copy in copies:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.hardlink_to(path)


def imports(folder: pathlib.Path, workers: int) -> None:
    """Import against loops that decode the same files and drop the pixels, taken in turns.

    By the clock an import also waits for the disk, to which it writes more than it reads; TMPDIR says where it is.
    """
    files = sorted(folder.rglob("*.png"))
    if not files:
        return

    def decoded(decode: Callable[[pathlib.Path], object], threads: int) -> Callable[[], None]:
        def loop() -> None:
            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(decode, files):
                    pass

        return loop

    out = folder.parent / "imported.zarr"

    def imported() -> None:
        maker = imported_pairs_request.maker("gopro", str(folder), {"seed": 0, "workers": workers})
        run.produce(maker, out, workers=workers)

    cv2.setNumThreads(1)
    pairs = len(files) // 2
    works: Mapping[str, Callable[[], None]] = {
        f"Pillow alone, {workers} threads": decoded(lambda path: np.asarray(Image.open(path)).shape, workers),
        "Pillow alone, one thread": decoded(lambda path: np.asarray(Image.open(path)).shape, 1),
        f"OpenCV alone, {workers} threads": decoded(lambda path: cv2.imread(str(path)).shape, workers),
        f"ours alone, {workers} threads": decoded(lambda path: png.decode(path.read_bytes(), 720, 1280), workers),
        "import": imported,
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            shutil.rmtree(out, ignore_errors=True)
            clock, cpu = time.perf_counter(), time.process_time()
            work()
            taken[name].append((time.perf_counter() - clock, time.process_time() - cpu))
    title = f"import, {workers} threads, {pairs} pairs of 1280x720"
    print(f"\n{title:<48}{'pairs/s':>10}{'ratio':>8}{'CPU ms/pair':>14}{'ratio':>8}")
    best_of = {name: tuple(min(column) for column in zip(*times, strict=True)) for name, times in taken.items()}
    bare = next(iter(best_of.values()))
    for name, (seconds, cpu) in best_of.items():
        shares = f"{bare[0] / seconds:>8.2f}{cpu / pairs * 1e3:>14.1f}{bare[1] / cpu:>8.2f}"
        print(f"{name:<48}{pairs / seconds:>10.1f}{shares}")
    objects = [path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()]
    alone = best(lambda: written(objects, folder.parent, workers))
    label = f"its {sum(map(len, objects)) / 1e6:.0f} MB written alone"
    print(f"{label:<48}{pairs / alone:>10.1f}{bare[0] / alone:>8.2f}")


def written(objects: list[bytes], folder: pathlib.Path, workers: int) -> None:
    """Write these files and wait until they lie on the disk: as fast as anything can that stores them."""

    def write(number: int) -> None:
        with (folder / f"alone-{number}").open("wb") as file:
            file.write(objects[number])
            file.flush()
            os.fsync(file.fileno())

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(write, range(len(objects))))
    for path in folder.glob("alone-*"):
        path.unlink()


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else "scenes:40"
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 1200
    workers = executors.available_workers()
    print(f"load {os.getloadavg()[0]:.1f}, {workers} processors")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        count = 40 if source.startswith("scenes:") else len(list(pathlib.Path(source).rglob("*.*")))
        asked = {"seed": 0, "size": 256, "per_photo": max(1, pairs // count), "length": "5:30"}
        run.produce(convolve.maker(source, asked), folder / "pairs.zarr")
        dataset = reader.open(folder / "pairs.zarr")
        encoders(dataset)
        exports(dataset, folder, workers)
        if not source.startswith("scenes:"):
            frames(source, folder / "tree")
        imports(folder / "tree", workers)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
