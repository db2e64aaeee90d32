"""Cutting a dataset into tasks: one whole shard each, so that no two tasks ever write the same object."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from blursynth.storage import schema as schemas


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """Make the items of one shard, all of them."""

    shard: int
    items: range


def shard_tasks(schema: schemas.Schema, finished: npt.NDArray[np.bool_] | None = None) -> Iterator[ShardTask]:
    """A task for every shard that is not finished, in order; without `finished` they tile the dataset exactly once."""
    for shard in range(schema.shards):
        if finished is None or not finished[shard]:
            yield ShardTask(shard, schema.items_of(shard))


def spread(tasks: Sequence[ShardTask], workers: int) -> list[ShardTask]:
    """The same tasks in the order in which `workers` that each work through a part of their own would begin them.

    What follows in a dataset often follows in its source, a video above all, and is cheaper to go on with than to find.
    """
    length = -(-len(tasks) // workers) if tasks else 0
    return [task for k in range(length) for task in tasks[k::length]]
