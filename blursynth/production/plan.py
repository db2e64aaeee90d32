"""Cutting a dataset into tasks: one whole shard each, so that no two tasks ever write the same object."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from blursynth.storage import schema as schemas


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """Write one shard, all of it: its first `kept` items are stored already, the others are made."""

    shard: int
    items: range
    kept: int = 0

    @property
    def made(self) -> range:
        return self.items[self.kept :]


def shard_tasks(
    schema: schemas.Schema, finished: npt.NDArray[np.bool_] | None = None, kept: int = 0
) -> Iterator[ShardTask]:
    """A task for every shard that is not finished, in order; without `finished` they tile the dataset exactly once.

    `kept`: the items below it are stored; a shard in which they end keeps its part of them.
    """
    for shard in range(schema.shards):
        if finished is None or not finished[shard]:
            items = schema.items_of(shard)
            yield ShardTask(shard, items, kept - items.start if kept in items else 0)
