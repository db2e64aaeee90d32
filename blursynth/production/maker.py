"""What the production room asks of a kind of dataset."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blursynth.storage import provenance, schema


class Maker(Protocol):
    """How the items of a dataset are made. Can be pickled: it is sent to whoever makes a shard.

    An item that cannot be made (an unreadable photo) is marked invalid in the column `valid` of `make`'s result and
    explained by `skipped`, so that it takes part in the plan and is hidden from readers.
    """

    @property
    def schema(self) -> schema.Schema:
        """The arrays made, their number of items and the length of a shard."""
        ...

    def record(self) -> provenance.Record:
        """What the dataset is made from."""
        ...

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        """All arrays of the schema for these items, (len(items), *item shape) each.

        A pure function of the recipe, the seed and the item: how items are grouped changes nothing. Is called from
        several threads at once; it starts none itself.
        """
        ...

    def peak_bytes(self, items: int) -> int:
        """The most memory that `make` holds at once for this many items, its result included, in bytes."""
        ...

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> Sequence[provenance.Skipped]:
        """Why these items could not be made, recomputed from the inputs; several items may share one entry."""
        ...
