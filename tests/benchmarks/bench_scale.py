"""What a large trial costs: planning, scheduling, workers, memory, and the time and disk of half a million pairs.

    python tests/benchmarks/bench_scale.py [FOLDER]

Writes up to a gigabyte under FOLDER (by default the system's temporary folder). Figures are the best of the runs of
this script; the machine's load before each part is printed, because on a busy machine four workers are not four.
"""

import concurrent.futures
import functools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "production"))

import test_scale

from blursynth.config import photo_pairs, toml
from blursynth.makers import convolve, trajectories
from blursynth.production import (
    calibration,
    capacity,
    cluster,
    dry_run,
    executors,
    resume,
    retries,
    run,
    worker_process,
)
from blursynth.production import maker as makers

PAIRS = {"seed": 0, "size": 256, "length": "20:60"}


def heading(text: str, columns: Sequence[str]) -> None:
    print(f"\n{text}; load {os.getloadavg()[0]:.1f} on {executors.available_workers()} processors\n")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def seconds(work: Callable[[], object], runs: int = 3) -> float:
    best = float("inf")
    for _ in range(runs):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def plan_alone() -> None:
    heading("Plan and policy, simulated executor", ("pairs", "shards", "seconds", "us a shard", "peak memory, MB"))
    for items in (100_000, 1_000_000, 10_000_000):
        many = test_scale.Many(items)
        taken = seconds(lambda many=many: test_scale.simulate(many, test_scale.Simulated()))
        tracemalloc.start()
        test_scale.simulate(many, test_scale.Simulated())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        shards = many.schema.shards
        row(f"{items:,}", f"{shards:,}", f"{taken:.3f}", f"{1e6 * taken / shards:.1f}", f"{peak / 1e6:.1f}")


def nothing(_: Any) -> None:
    """A task that costs its scheduling alone."""


def scheduling(address: str) -> tuple[float, float]:
    """Seconds a task of threads and of a cluster of processes."""
    heading("Scheduling, tasks that do nothing", ("tasks", "threads, us a task", "cluster, us a task"))
    threads = executors.Threads(executors.available_workers())
    with cluster.connected(address) as processes:
        for count in (1000, 3000, 10_000, 30_000):
            tasks = resume.Job(test_scale.Many(count, shard_length=1), "/nowhere", resume.State.NEW).tasks()
            costs = []
            for executor in (threads, processes):
                work = functools.partial(
                    retries.complete, executor, nothing, tasks, finished=lambda _: None, stops=lambda _: True
                )
                few = executor is processes and count > 10_000
                costs.append(float("nan") if few else seconds(work, 2 if executor is threads else 1) / count)
            row(f"{count:,}", f"{1e6 * costs[0]:.0f}", f"{1e6 * costs[1]:.0f}")
            if count == 10_000:
                found = costs[0], costs[1]
    return found


def share(costs: tuple[float, float]) -> None:
    """The part of a task's time that is scheduling, at the default shard size of a large dataset."""
    heading("Scheduling at the default shard size", ("task", "seconds", "threads, share", "cluster, share"))
    for name, maker in {"trajectories": paths(1_000_000), "pairs 256x256": scenes(100, 1000)}.items():
        length = maker.schema.shard_length
        tasks = resume.Job(maker, "/nowhere", resume.State.NEW).tasks()
        one = calibration.measure(maker, tasks[:1], 1).seconds_per_item * length
        row(f"{name}, {length} items", f"{one:.2f}", *(f"{100 * cost / one:.3f} %" for cost in costs))


def paths(items: int) -> makers.Maker:
    return trajectories.TrajectoryMaker(toml.build({"n": items}, photo_pairs.Trajectories), 0)


def scenes(count: int, per_photo: int) -> makers.Maker:
    return convolve.maker(f"scenes:{count}", PAIRS | {"per_photo": per_photo})


def compute(maker: makers.Maker, workers: int, blocks: int, length: int) -> tuple[float, float]:
    """Seconds, and seconds of processors, to make blocks of items on threads and store nothing."""
    worker_process.prepare_process()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        began, busy = time.perf_counter(), time.process_time()
        list(pool.map(maker.make, (range(k * length, (k + 1) * length) for k in range(blocks))))
        return time.perf_counter() - began, time.process_time() - busy


def workers(folder: pathlib.Path) -> None:
    """One and four take turns, and the best of each counts, so that a machine that others slow down is fair to both.

    By processor time: 4, less what workers cost each other, whatever else the machine does.
    """
    heading("Workers", ("job", "one, items/s", "four, items/s", "ratio", "ratio by processor time"))
    for name, maker, blocks, length in (
        ("trajectories, computed", paths(100_000), 64, 1500),
        ("pairs, computed", scenes(64, 40), 64, 40),
    ):
        maker.make(range(length))
        runs = [(compute(maker, 1, blocks, length), compute(maker, 4, blocks, length)) for _ in range(3)]
        (one, cpu_one), (four, cpu_four) = (
            map(min, zip(*of_count, strict=True)) for of_count in zip(*runs, strict=True)
        )
        items = blocks * length
        by_cpu = f"{4 * cpu_one / cpu_four:.2f}"
        row(name, f"{items / one:,.0f}", f"{items / four:,.0f}", f"{one / four:.2f}", by_cpu)
    for name, maker in {"trajectories, stored": paths(40_000), "pairs, stored": scenes(16, 60)}.items():
        rates = []
        for count in (1, 4):
            out = folder / "f.zarr"
            produce = functools.partial(run.produce, maker, out, workers=count, overwrite=True)
            rates.append(maker.schema.items / seconds(produce, 2))
        row(name, *(f"{rate:,.0f}" for rate in rates), f"{rates[1] / rates[0]:.2f}", "")
    shutil.rmtree(folder / "f.zarr")


PEAK = """
import re, sys
from blursynth import recipe_file
from blursynth.production import run, trajectories
from blursynth.synthesis import recipe
maker = trajectories.TrajectoryMaker(recipe_file.build({"n": int(sys.argv[1])}, recipe.Trajectories), 0, "", 250)
run.produce(maker, sys.argv[2], workers=4)
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""


def memory(folder: pathlib.Path) -> None:
    heading("Peak memory, trajectories in shards of 250, four workers", ("items", "MB", "foretold, MB"))
    for items in (1000, 10_000, 100_000):
        out = folder / f"{items}.zarr"
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(items), str(out)], capture_output=True, text=True, check=True
        )
        shutil.rmtree(out)
        task = trajectories.TrajectoryMaker(toml.build({"n": items}, photo_pairs.Trajectories), 0, "", 250)
        foretold = worker_process.BASE_BYTES + 4 * capacity.task_bytes(task)
        row(f"{items:,}", f"{int(done.stdout) * 1.024e-3:.0f}", f"{foretold / 1e6:.0f}")


def projection(folder: pathlib.Path) -> None:
    maker = scenes(300, 10)
    out = folder / "pairs.zarr"
    job = resume.look(maker, str(out))
    told = dry_run.forecast(job, executors.Threads(executors.available_workers()), None)
    taken = run.produce(maker, out).seconds
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    items = maker.schema.items
    heading(
        f"{items} pairs of 256x256 from scenes, 63x63 PSFs stored: {taken:.1f} s, {size / items / 1000:.0f} kB a pair "
        f"(foretold {told.seconds:.1f} s, {told.disk_bytes / items / 1000:.0f} kB). Projected",
        ("pairs", "shards", "files", "disk", "here", "on 64 such processors"),
    )
    cpus = executors.available_workers()
    for many in (500_000, 10_000_000):
        schema = test_scale.Many(many).schema
        files = schema.shards * (len(maker.schema.arrays) + 1)
        here = many * taken / items
        row(
            f"{many:,}",
            f"{schema.shards:,}",
            f"{files:,}",
            capacity.words(many * size / items),
            dry_run.duration(here),
            dry_run.duration(here * cpus / 64),
        )


def main(folder: pathlib.Path) -> None:
    plan_alone()
    share(scheduling(cluster.LOCAL))
    workers(folder)
    memory(folder)
    projection(folder)


if __name__ == "__main__":
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=parent) as temporary:
        main(pathlib.Path(temporary))
