"""Measure how fast a recipe trains and restores here, with the data, step and engine of a run."""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import blursynth
from blursynth.config import toml
from trainers import command_line, device_memory, methods, recipe
from trainers.training import augmentation, data, engine, recorder, session

_WARMING = 2
"""Steps before the clock starts: allocations, the choice of algorithms, compilation."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement: `images_per_second`, `data_wait` (a share) and `peak_bytes` of training steps.

    `restoring` has the median seconds for one image of each size, "WIDTHxHEIGHT". On a GPU `peak_bytes` counts tensors,
    on a CPU the whole process. `data_wait` is None without a dataset; everything is None where memory ran out.
    """

    recipe: str
    precision: str
    compiled: bool
    batch: int
    images_per_second: float | None = None
    data_wait: float | None = None
    peak_bytes: int | None = None
    restoring: dict[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is measured: `steps` of training, and `repeats` restorings of each size (height, width).

    `from_data`: pairs are read from the recipe's datasets rather than made of noise.
    """

    steps: int
    repeats: int
    sizes: tuple[tuple[int, int], ...]
    from_data: bool
    threads: int | None


def environment(device: torch.device) -> dict[str, Any]:
    """Return what is recorded with each timing: device, cores, threads, load and versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_1_minute": os.getloadavg()[0],
        "torch": str(torch.__version__),
        "blursynth": blursynth.__version__,
    }


def measure(config: recipe.Recipe, device: torch.device, effort: Effort) -> Row:
    """Measure in a new process, so that its memory peak is its own and nothing is left over."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        # A recipe's class is made with its method: text crosses to the other process.
        return pool.submit(_measure, toml.to_toml(config), str(device), effort).result()


def _measure(text: str, device_name: str, effort: Effort) -> Row:
    config, device = recipe.parse(text), torch.device(device_name)
    if effort.threads:
        torch.set_num_threads(effort.threads)
    section = config.engine
    row = Row(config.name, section.precision, section.compile, config.data.batch)
    try:
        return _filled(row, config, device, effort)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not device_memory.ran_out(error):
            raise
        return row


def _filled(row: Row, config: recipe.Recipe, device: torch.device, effort: Effort) -> Row:
    run = _session(config, device, effort)
    memory = device_memory.Peak(device)
    waited, spent = _train(run, effort)
    peak = memory.bytes()
    return dataclasses.replace(
        row,
        images_per_second=effort.steps * run.pairs_per_step / spent,
        data_wait=waited / spent if effort.from_data else None,
        peak_bytes=peak,
        restoring={f"{size[1]}x{size[0]}": _restore(run, size, effort.repeats) for size in effort.sizes},
    )


def _session(config: recipe.Recipe, device: torch.device, effort: Effort) -> session.Session:
    kind = methods.find(config.method_name)
    torch.manual_seed(0)
    trained = kind(kind.for_measuring(config.method), device)
    engine.prepare(config.engine, trained, device)
    if not effort.from_data:
        side = config.data.crop or 256
        data.require_fit((side, side), kind.divisor, kind.smallest)
    training: Any = session.open_data(config)[0] if effort.from_data else _MadeUp(config.data)
    return session.Session(config, device, training, None, trained)


class _MadeUp:
    """Pairs of noise instead of a dataset."""

    def __init__(self, section: recipe.Data) -> None:
        self._section = section

    def steps(self, first: int, images: int) -> Iterator[data.Drawn]:
        """As `TrainingData.steps` gives them; the pairs are always the same."""
        side = self._section.crop or 256
        pairs = torch.randint(0, 256, (2, images, side, side, 3), dtype=torch.uint8)
        while True:
            positions = np.arange(first * images, (first + 1) * images)
            yield data.Drawn(pairs, augmentation.choose(self._section, 0, positions))
            first += 1


def _train(run: session.Session, effort: Effort) -> tuple[float, float]:
    """Seconds waited for data, and in all, over the timed steps."""
    state = recorder.State()
    waited = since = 0.0
    section, device = run.recipe.data, run.device
    with data.Prefetch(run.data.steps(0, run.pairs_per_step), device) as prefetch:
        for step in range(_WARMING + effort.steps):
            if step == _WARMING:
                _finish(device)
                waited, since = 0.0, time.perf_counter()
            begun = time.perf_counter()
            drawn = prefetch.get()
            waited += time.perf_counter() - begun
            state.add(run.method.step(data.batches(section, drawn, section.batch, device)))
        _finish(device)
    return waited, time.perf_counter() - since


def _restore(run: session.Session, size: tuple[int, int], repeats: int) -> float | None:
    """Median of seconds for one image, or None where memory was not enough."""
    image_NCHW = torch.rand(1, 3, *size, device=run.device)

    def once() -> float:
        begun = time.perf_counter()
        run.method.restore(image_NCHW)
        _finish(run.device)
        return time.perf_counter() - begun

    try:
        once()
        return statistics.median(once() for _ in range(repeats))
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not device_memory.ran_out(error):
            raise
        return None


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def table(rows: list[Row]) -> str:
    """Rows as text."""
    sizes = max((list(row.restoring) for row in rows), key=len)
    heads = ["recipe", "precision", "compiled", "batch", "images/s", "data wait", "peak GiB"]
    lines = [[*heads, *(f"{size} s" for size in sizes)], *([*_words(row, sizes)] for row in rows)]
    return "\n".join(command_line.aligned(lines, right=True))


def _words(row: Row, sizes: list[str]) -> Iterator[str]:
    yield from (row.recipe, row.precision, "yes" if row.compiled else "no", str(row.batch))
    if row.images_per_second is None:
        yield from ("out of memory", *["-"] * (2 + len(sizes)))
        return
    shown: list[tuple[float | None, Callable[[float], str]]] = [
        (row.images_per_second, lambda value: f"{value:.3g}"),
        (row.data_wait, lambda value: f"{value:.1%}"),
        (row.peak_bytes, lambda value: f"{value / 2**30:.2f}"),
        *((row.restoring[size], lambda value: f"{value:.3g}") for size in sizes),
    ]
    yield from ("-" if value is None else say(value) for value, say in shown)
