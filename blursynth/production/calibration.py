"""What a few items of a dataset cost: made and encoded for real, in memory, and thrown away."""

import concurrent.futures
import dataclasses
import time
from collections.abc import Sequence

from blursynth.production import maker as makers
from blursynth.production import plan, worker_process
from blursynth.storage import writer

SECONDS = 0.5  # that a block of items should take; all of it is done in two to three times this, and compiling


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Of items spread over the dataset.

    items: how many were made. seconds_per_item: of one worker's time, while all of them work. bytes_per_item: as
    stored.
    """

    items: int
    seconds_per_item: float
    bytes_per_item: float


@dataclasses.dataclass(frozen=True)
class _Block:
    items: int
    seconds: float
    bytes: int


def measure(maker: makers.Maker, tasks: Sequence[plan.ShardTask], workers: int) -> Calibration:
    """Make a block of items of several shards at once, as many as there are workers.

    Blocks are as long as makes them take SECONDS, and a whole shard at most, so that what a shard costs once is
    shared by many items as it will be.
    """
    worker_process.prepare_process()
    length = _length(maker, tasks[0].made)
    spread = [tasks[k * len(tasks) // workers] for k in range(min(workers, len(tasks)))]
    with concurrent.futures.ThreadPoolExecutor(len(spread)) as pool:
        blocks = list(pool.map(lambda task: _make(maker, task.made[:length]), spread))
    items = sum(block.items for block in blocks)
    return Calibration(
        items, sum(block.seconds for block in blocks) / items, sum(block.bytes for block in blocks) / items
    )


def _length(maker: makers.Maker, shard: range) -> int:
    """Items in a block of SECONDS, found by making longer and longer ones; the first compiles."""
    _make(maker, shard[:1])
    length = 1
    while length < len(shard):
        block = _make(maker, shard[:length])
        if block.seconds > SECONDS / 4:
            return max(1, min(len(shard), round(length * SECONDS / block.seconds)))
        length *= 4
    return len(shard)


def _make(maker: makers.Maker, items: range) -> _Block:
    began = time.perf_counter()
    arrays = maker.make(items)
    alone = dataclasses.replace(maker.schema, items=len(items), shard_length=len(items))
    size = sum(map(len, writer.encode_shard(alone, 0, arrays).values()))
    return _Block(len(items), time.perf_counter() - began, size)
