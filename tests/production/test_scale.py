"""Plans of ten million items: tasks tile once, memory and files stay bounded, and what a run costs grows linearly.

The simulated executor runs no task: it counts calls, objects and bytes, so that what is looked at is the plan, the
policy and the bookkeeping. The slow test makes a dataset of ten million (very small) items for real.
"""

import dataclasses
import itertools
import pathlib
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blursynth.production import maker, plan, resume, retries, run
from blursynth.storage import provenance, reader
from blursynth.storage import schema as schemas

PAIR = (
    schemas.ArraySpec("blurred", "uint8", (256, 256, 3), ("y", "x", "channel")),
    schemas.ArraySpec("sharp", "uint8", (256, 256, 3), ("y", "x", "channel")),
    schemas.ArraySpec("psf", "float32", (63, 63), ("ky", "kx")),
    *(schemas.ArraySpec(f"column_{k}", "float32") for k in range(14)),
)
NUMBER = (schemas.ArraySpec("number", "uint32"),)


@dataclasses.dataclass(frozen=True)
class Many:
    """A maker of any number of items; `make` gives each its own number."""

    items: int
    arrays: tuple[schemas.ArraySpec, ...] = PAIR
    shard_length: int | None = None

    @property
    def schema(self) -> schemas.Schema:
        return schemas.sized("many", self.items, self.arrays, self.shard_length)

    def record(self) -> provenance.Record:
        return provenance.Record("", 0, "many")

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        return {"number": np.arange(items.start, items.stop, dtype=np.uint32)}

    def peak_bytes(self, items: int) -> int:
        return 3 * items * self.schema.bytes_per_item

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> list[provenance.Skipped]:
        raise AssertionError(invalid)


class Simulated:
    """An executor on which every task succeeds at once, but for each `fails`-th at its first attempt."""

    workers = 1000
    memory = {"everywhere": (1, 2**60)}  # noqa: RUF012

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        self.covered: list[range] = []
        self.failed: set[int] = set()

    def run(
        self,
        function: Callable[[plan.ShardTask], None],  # noqa: ARG002
        tasks: Sequence[plan.ShardTask],
        ended: Callable[[plan.ShardTask, Exception | None], None],
    ) -> None:
        for task in tasks:
            if self.fails and task.shard % self.fails == 1 and task.shard not in self.failed:
                self.failed.add(task.shard)
                ended(task, OSError("worker lost"))
            else:
                self.covered.append(task.items)
                ended(task, None)


def simulate(many: maker.Maker, executor: Simulated) -> list[int]:
    """Plan and run it; gives the progress reported, in items."""
    done = [0]
    job = resume.Job(many, "/nowhere", resume.State.NEW)
    retries.complete(
        executor,
        lambda _: None,
        job.tasks(),
        finished=lambda task: done.append(done[-1] + len(task.made)),
        stops=lambda _: False,
    )
    return done


@pytest.mark.parametrize("fails", [0, 50])
@pytest.mark.parametrize("items", [500_000, 10_000_000])
def test_tasks_tile_the_dataset_once(items: int, fails: int) -> None:
    executor = Simulated(fails)
    done = simulate(Many(items), executor)
    covered = sorted(executor.covered, key=lambda items: items.start)
    assert covered[0].start == 0
    assert covered[-1].stop == items
    assert all(left.stop == right.start for left, right in itertools.pairwise(covered))
    assert done == sorted(done)
    assert done[-1] == items
    assert bool(executor.failed) == bool(fails)


def test_a_shard_has_a_bounded_size_and_files_are_few() -> None:
    """Ten million pairs: shards of 64 MiB and a few files each, whatever the number of items."""
    schema = Many(10_000_000).schema
    assert 64 * 2**20 <= schema.shard_length * PAIR[0].bytes_per_item < 65 * 2**20
    files = schema.shards * (len(schema.arrays) + 1) + len(schema.arrays) + 2
    assert schema.shards == 29_240
    assert files < 530_000  # of 22 MB on average; a folder of PNG pairs would have twenty million


def test_the_memory_of_a_plan_is_bounded_and_linear() -> None:
    """A few hundred bytes a shard, kept by the run; no item is ever listed."""
    peaks = []
    for items in (100_000, 1_000_000, 10_000_000):
        tracemalloc.start()
        simulate(Many(items), Simulated())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[-1] < 30e6
    assert peaks[2] / peaks[1] < 12
    assert peaks[1] / peaks[0] < 12


def test_what_a_task_needs_does_not_depend_on_the_number_of_items() -> None:
    lengths = {Many(items).schema.shard_length for items in (100_000, 1_000_000, 10_000_000)}
    assert len(lengths) == 1
    assert Many(1000).schema.shard_length < lengths.pop()


@pytest.mark.slow
def test_ten_million_items_for_real(tmp_path: pathlib.Path) -> None:
    """Four thousand shards, interrupted in the middle, and every item holds its own number."""
    many = Many(10_000_000, NUMBER, shard_length=2500)

    def progress(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.produce(many, tmp_path / "f.zarr", progress=progress)
    outcome = run.produce(many, tmp_path / "f.zarr")
    assert 5_000_000 < outcome.resumed < 5_100_000
    assert np.array_equal(reader.open(tmp_path / "f.zarr").columns["number"], np.arange(10_000_000, dtype=np.uint32))
    assert len(list(tmp_path.rglob("*"))) < 2 * 4000 * 5
