"""Speed of the kernels beside a baseline measured in the same run: `python tests/benchmarks/bench_kernels.py`.

Prints one line a kernel: ours, the baseline or peer, and the ratio, all in items a second (the best of several
rounds), then what a first call costs with and without the compile cache. Baselines run on one thread.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import cv2
import numpy as np
import scipy.signal

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import reference  # noqa: E402

from blursynth.kernels import convolve, psf, random, response, trajectory  # noqa: E402

COUNT = 3200
WORKERS = os.cpu_count() or 1
SCALE = trajectory.scale_factor(trajectory.LENGTH)
PARAMETERS = reference.draw_parameters("boracchi_foi", COUNT, seed=1)

FIRST_CALLS = """
import time
start = time.perf_counter()
import numpy as np
from blursynth.kernels import convolve, psf, trajectory
imported = time.perf_counter()
options = {"steps": 2000, "length": 60.0, "dynamics": "boracchi-foi", "scale": 1 / 512}
paths = trajectory.simulate_rounded(1, np.arange(16), np.full((16, 5), 0.1), **options)
drawn = time.perf_counter()
kernels = psf.rasterise(paths.position / np.float32(512), np.tile(np.float32([0, 1]), (16, 1)), 63)
seen = time.perf_counter()
convolve.uniform_encoded(np.zeros((318, 318, 3), np.uint8), kernels[0], "gamma2.2")
end = time.perf_counter()
print(f"import {imported - start:.2f} s, trajectories {drawn - imported:.2f} s, "
      f"PSFs {seen - drawn:.2f} s, uniform blur {end - seen:.2f} s")
"""


def rate(work: Callable[[], object], items: int, rounds: int = 7) -> float:
    """Items a second, the best of several rounds after one that warms up."""
    work()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return items / min(seconds)


def line(name: str, ours: float, peer_name: str, peer: float) -> None:
    print(f"{name:44s} {ours:12,.0f}/s   {peer_name:34s} {peer:12,.1f}/s   x{ours / peer:,.1f}")


def draw(worker: int = 0) -> None:
    items = np.arange(COUNT) + worker * COUNT
    options = {"steps": trajectory.STEPS, "length": trajectory.LENGTH, "dynamics": "boracchi-foi", "scale": SCALE}
    trajectory.simulate_rounded(1, items, PARAMETERS, **options)


def bench_trajectories() -> None:
    draws = reference.motion_draws(1, 0, trajectory.STEPS, random.Stream.MOTION, "boracchi-foi")
    python = rate(lambda: reference.trajectory(PARAMETERS[0], draws, 60.0, "boracchi-foi"), 1)
    one = rate(draw, COUNT)
    line("trajectories, M = 2000, int16, one thread", one, "Python loop, draws given", python)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        many = rate(lambda: list(pool.map(draw, range(WORKERS))), WORKERS * COUNT)
    line(f"trajectories, M = 2000, int16, {WORKERS} threads", many, "one thread", one)


def bench_psfs(position: np.ndarray) -> None:
    spans = np.tile(np.float32([0, 1]), (len(position), 1))
    path = position[0].astype(np.float64)
    numpy = rate(lambda: reference.psf(path, 0, 1, 64), 1)
    ours = rate(lambda: psf.rasterise(position, spans, 64), len(position))
    line("PSFs, 64x64, whole path", ours, "NumPy, dense", numpy)


def bench_uniform(kernels: np.ndarray) -> None:
    window = (random.uniforms(1, random.Stream.SCENE, [0], 318 * 318 * 3) * 256).astype(np.uint8).reshape(318, 318, 3)
    linear = response.decode(window, "gamma2.2")
    chosen = kernels[:100]
    taps = np.count_nonzero(chosen, axis=(1, 2))
    print(f"(256x256 RGB, 63x63 PSFs; non-zero pixels: median {np.median(taps):.0f}, mean {taps.mean():.0f})")
    fused = rate(lambda: [convolve.uniform_encoded(window, kernel, "gamma2.2") for kernel in chosen], 100, 3)
    plain = rate(lambda: [convolve.uniform(linear, kernel) for kernel in chosen], 100, 3)
    cv2.setNumThreads(1)
    flipped = [np.ascontiguousarray(kernel[::-1, ::-1]) for kernel in chosen[:10]]
    opencv = rate(lambda: [cv2.filter2D(linear, -1, kernel) for kernel in flipped], 10, 3)
    fft = rate(lambda: [scipy.signal.fftconvolve(linear, kernel[:, :, None], "valid") for kernel in chosen[:10]], 10, 3)
    line("uniform blur, decode + blur + encode", fused, "cv2.filter2D, float32, blur alone", opencv)
    line("uniform blur, float32, blur alone", plain, "cv2.filter2D, float32", opencv)
    line("uniform blur, float32, blur alone", plain, "scipy.signal.fftconvolve, float32", fft)
    widest = kernels[np.argmax(np.count_nonzero(kernels, axis=(1, 2)))]
    worst = rate(lambda: convolve.uniform_encoded(window, widest, "gamma2.2"), 1)
    line(f"the same, widest PSF ({np.count_nonzero(widest)} non-zero)", worst, "cv2.filter2D, float32", opencv)


def bench_first_calls() -> None:
    with tempfile.TemporaryDirectory() as cache:
        paths = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": paths}
        for name in ("cold cache", "warm cache"):
            printed = subprocess.check_output([sys.executable, "-c", FIRST_CALLS], env=environment, text=True)
            print(f"first calls, {name}: {printed.strip()}")


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {WORKERS} cores at the start")
    bench_trajectories()
    options = {"steps": trajectory.STEPS, "length": trajectory.LENGTH, "dynamics": "boracchi-foi"}
    position = trajectory.simulate(1, np.arange(400), PARAMETERS[:400], **options).position
    bench_psfs(position)
    bench_uniform(psf.rasterise(position, np.tile(np.float32([0, 1]), (400, 1)), 63))
    bench_first_calls()


if __name__ == "__main__":
    main()
