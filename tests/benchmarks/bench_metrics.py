"""Speed and memory of the metrics: `python tests/benchmarks/bench_metrics.py`.

Prints images of 1280x720 a second for each metric in float32 beside float64, and beside torchmetrics where it has the
same; then for the five of most tables (PSNR, SSIM, MS-SSIM, FSIM, VIF) together: on all threads one image after
another, and on as many images at a time as there are cores, each on one thread, which is how `python -m
trainers.evaluate` computes them on a CPU. Then images a second of processor time on one core, which other work on the
machine changes less, and peak memory after 8 and 40 images.
"""

import concurrent.futures
import os
import pathlib
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import skimage.data
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from trainers.metrics import catalogue

CORES = os.cpu_count() or 1
FIVE = ("psnr", "ssim", "ms-ssim", "fsim", "vif")


def image() -> tuple[torch.Tensor, torch.Tensor]:
    """A photo and a streaked one: uint8 (1, 3, 720, 1280)."""
    photo = skimage.data.astronaut()
    sharp = np.concatenate([np.concatenate([photo, photo[:, ::-1], photo], axis=1)] * 2)[:720, :1280]
    streaked = np.mean([np.roll(sharp, shift, axis=1) for shift in range(-3, 4)], axis=0).round().astype(np.uint8)
    restored, target = (torch.from_numpy(each.copy()).permute(2, 0, 1)[None].contiguous() for each in (streaked, sharp))
    return restored, target


def rate(work: Callable[[], object], images: int, rounds: int = 5) -> float:
    """Images a second, the best of several rounds after one that warms up."""
    work()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return images / min(seconds)


def one_core(work: Callable[[], object], rounds: int = 4) -> float:
    """Calls a second of processor time on one thread, the best of several rounds after one that warms up."""
    work()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return 1 / min(seconds)


def score(names: tuple[str, ...], dtype: torch.dtype) -> None:
    pair = image_pair
    for name in names:
        catalogue.METRICS[name].function(*pair, data_range=255, dtype=dtype)


def peers() -> dict[str, Callable[[], object]]:
    """torchmetrics' functions of the same definitions."""
    from torchmetrics.functional import image as theirs

    restored, sharp = (each.float() for each in image_pair)
    return {
        "psnr": lambda: theirs.peak_signal_noise_ratio(restored, sharp, data_range=255.0),
        "ssim": lambda: theirs.structural_similarity_index_measure(restored, sharp, data_range=255.0),
        "ms-ssim": lambda: theirs.multiscale_structural_similarity_index_measure(restored, sharp, data_range=255.0),
        "vifp": lambda: theirs.visual_information_fidelity(restored, sharp),
    }


def at_once(images: int) -> None:
    with concurrent.futures.ThreadPoolExecutor(CORES, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(lambda _: score(FIVE, torch.float32), range(images)))


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    image_pair = image()
    torch.set_num_threads(CORES)
    print(f"1280x720, {CORES} threads{'':26s}float32      float64")
    others = peers()
    for name in catalogue.METRICS:
        speeds = [rate(lambda n=name, d=dtype: score((n,), d), 1, 3) for dtype in (torch.float32, torch.float64)]
        peer = rate(others[name], 1, 3) if name in others else None
        beside = "" if peer is None else f"   torchmetrics, float32 {peer:6.1f}/s   x{speeds[0] / peer:.1f}"
        print(f"{name:40s}{speeds[0]:8.1f}/s   {speeds[1]:8.1f}/s{beside}")
    print(f"{'these five: ' + ', '.join(FIVE):40s}{rate(lambda: score(FIVE, torch.float32), 1):8.1f}/s")
    torch.set_num_threads(1)
    together = rate(lambda: at_once(2 * CORES), 2 * CORES)
    print(f"{f'the same, {CORES} images at a time':40s}{together:8.1f}/s   (target 4/s)")
    print(f"{'one core, by processor time: the five':40s}{one_core(lambda: score(FIVE, torch.float32)):8.2f}/s")
    for name, peer in others.items():
        speeds = one_core(lambda n=name: score((n,), torch.float32)), one_core(peer)
        print(f"{name:40s}{speeds[0]:8.2f}/s   torchmetrics {speeds[1]:6.2f}/s   x{speeds[0] / speeds[1]:.1f}")
    at_once(8)
    first = peak()
    at_once(40)
    print(f"peak memory after 8 images {first:.0f} MiB, after 40 more {peak():.0f} MiB")
