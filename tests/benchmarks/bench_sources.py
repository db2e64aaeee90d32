"""Scenes and photos per second on one core. Run: python tests/benchmarks/bench_sources.py [photo ...]"""

import sys
import tempfile
import time
from collections.abc import Callable

import numpy
from PIL import Image

from blursynth.media import photos
from blursynth.sources import scenes


def best(work: Callable[[], object], repeats: int = 7) -> float:
    """Seconds of the fastest of several runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main(paths: list[str]) -> None:
    print(f"{'work':44} {'ours, ms':>9} {'baseline':>9} {'ratio':>6}")
    for size in (256, 512, 1024):
        collection = scenes.Scenes(8, size, 1)
        ours = best(lambda these=collection: [these.read(index) for index in range(8)], 3) / 8
        print(f"{f'scene {size}x{size}':44} {1e3 * ours:9.1f}")
    with tempfile.TemporaryDirectory() as folder:
        if not paths:
            picture = Image.fromarray(scenes.Scenes(1, 1024, 0).read(0))
            paths = [f"{folder}/scene.jpg", f"{folder}/scene.png"]
            for path in paths:
                picture.save(path)
        for path in paths:
            ours = best(lambda path=path: photos.read(path))
            baseline = best(lambda path=path: numpy.asarray(Image.open(path).convert("RGB")))
            label = f"read {path.rsplit('/', 1)[-1]} (baseline: bare Pillow)"
            print(f"{label[:44]:44} {1e3 * ours:9.1f} {1e3 * baseline:9.1f} {baseline / ours:6.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
