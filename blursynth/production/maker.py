"""What the production room asks of a kind of dataset."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

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


@runtime_checkable
class FromSources(Maker, Protocol):
    """What a maker adds whose sharp images come from files that may change or go: photos, clips."""

    def changed(self, items: Sequence[int] | npt.NDArray[np.int64]) -> Sequence[provenance.Skipped]:
        """The sources behind these items that are not what the record says of them, each once, and why."""
        ...

    def sharp(
        self, rows: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[Any]]
    ) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """The sharp image of each of these rows of the columns, read from its source: (row, uint8 (y, x, channel)).

        Rows come in any order. What the columns say is taken as it stands, and has to be within the source.
        """
        ...
