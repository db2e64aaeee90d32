"""What the production room asks of a kind of dataset."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.storage import provenance, reader, schema


class Maker(Protocol):
    """How the items of a dataset are made. Can be pickled: it is sent to whoever makes a shard.

    An item whose source holds nothing that can be used (a damaged photo) is marked invalid in the column `valid` of
    `make`'s result and explained by `skipped`, so that it takes part in the plan and is hidden from readers. A source
    that cannot be read, or is not as recorded, is a SourceError instead: the shard fails. A dataclass with a field
    `shard_length`: items a shard, or None for the usual number.
    """

    @property
    def shard_length(self) -> int | None: ...

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
        """The most memory that making and encoding this many items takes at once, the result included, in bytes."""
        ...

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> Sequence[provenance.Skipped]:
        """Why these items could not be made, recomputed from the inputs; several items may share one entry.

        Raises SourceError where an input cannot be read, or is not as recorded.
        """
        ...


def wrongly_left_out(name: str) -> errors.DatasetError:
    """What there is to say of items that are marked invalid, though their source can be used.

    Only versions that took a source that could not be read for one that is damaged have left such behind.
    """
    return errors.DatasetError(
        f"Items made from {name} are marked as left out, though it can be used: an earlier version began this dataset "
        "while the file could not be read. Use --overwrite to make it anew."
    )


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


@runtime_checkable
class PartlyReadable(Maker, Protocol):
    """What a maker adds that uses sources of which a part is lost, such as clips that end early."""

    def losses(self, names: Collection[str]) -> Sequence[provenance.Skipped]:
        """Return what the used sources with these names have lost, whatever is made of them."""
        ...


@runtime_checkable
class Reading(Maker, Protocol):
    """What a maker adds that reads files while it makes items."""

    def reads(self) -> Iterator[tuple[str, str]]:
        """Those files, sources and whatever else: (folder or prefix, name in it). None is opened for this."""
        ...


@runtime_checkable
class Growing(Maker, Protocol):
    """What a maker adds whose datasets can be made longer: items that are there keep their numbers and values."""

    @property
    def grows(self) -> frozenset[str]:
        """Dotted keys of the record that may differ between a dataset and the longer one, besides `items`."""
        ...

    def grown_from(self, there: reader.Dataset) -> "Maker":
        """This maker with the items of a dataset that is there first, in their order.

        Raises InputError or DatasetError where what those items came from has changed or gone.
        """
        ...


AnyMaker = TypeVar("AnyMaker", bound=Maker)


def with_shard_length(maker: AnyMaker, length: int) -> AnyMaker:
    """The same maker with this many items a shard."""
    same: AnyMaker = dataclasses.replace(maker, shard_length=length)  # type: ignore[type-var]
    return same
