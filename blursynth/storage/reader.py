"""Reading a dataset: what it says of itself, its columns, and any items of its arrays.

Imports neither the kernels nor Dask, so that a trainer starts fast and needs neither.
"""

import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsIndex, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import tensorstore as ts

from blursynth import errors
from blursynth.storage import columns, documents, metadata_digests, selection, windows
from blursynth.storage import schema as schemas
from blursynth.stores import store

_log = logging.getLogger(__name__)

# Holds the indexes of shards that were read lately, so that an item costs one read instead of two.
_CACHE_BYTES = 64 * 2**20

Indices: TypeAlias = Sequence[int] | npt.NDArray[np.integer[Any]]


def open(path: str | os.PathLike[str], *, incomplete: bool = False) -> "Dataset":  # noqa: A001
    """Open the dataset at a path for reading.

    Parameters
    ----------
    path
        A folder, or s3://BUCKET/PREFIX.
    incomplete
        Open a dataset in the making too; its items are those that are finished.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetError
        There is none, it is not complete or of a newer format, or its record is damaged or was edited.

    Examples
    --------
    >>> import blursynth as bs
    >>> data = bs.open("pairs.zarr")
    >>> data[3]["blurred"].shape
    (64, 64, 3)
    """
    place_ = store.normalise(path)
    attributes = stored_attributes(place_)
    if attributes is None:
        raise errors.DatasetError(f"There is no dataset at {path}.")
    require_known_version(place_, attributes)
    require_whole(place_, attributes)
    if not attributes["complete"] and not incomplete:
        raise errors.DatasetError(
            f"{path} is not finished. Run the command that makes it again to go on with it: {attributes['command']}"
        )
    return Dataset(place_, documents.complemented(attributes))


def require_whole(path: str, attributes: Mapping[str, Any]) -> None:
    """Raise DatasetError where the record of a finished dataset is not what was written."""
    sealed = metadata_digests.SEAL in attributes or metadata_digests.DOCUMENTS in attributes
    if attributes["complete"] and sealed and not metadata_digests.is_whole(attributes):
        raise errors.DatasetError(
            f"{path} is damaged or was edited: the record in its {schemas.GROUP} is not what was written. "
            f"{documents.ADVICE}"
        )


def stored_attributes(path: str) -> dict[str, Any] | None:
    """Attributes of the dataset at a path, complete or not, as `documents` checks them; None where nothing is yet.

    Raises NotADatasetError where something else is there, DatasetError where the record is damaged.
    """
    if store.is_vacant(path):
        return None
    content = store.read_bytes(path, schemas.GROUP)
    ours = documents.attributes(path, content)
    if ours is None:
        raise errors.NotADatasetError(
            f"{path} exists and is not a blursynth dataset, so it is left alone; name another place. (Of a dataset "
            "that was damaged, `blursynth verify` says how.)"
        )
    documents.require_group(path, content or b"", ours)
    return ours


def require_known_version(path: str, attributes: Mapping[str, Any]) -> None:
    """Raise DatasetError for a dataset that a later version of the package made in a format unknown here."""
    version = attributes["format_version"]
    if version != schemas.FORMAT_VERSION:
        raise errors.DatasetError(
            f"{path} has format version {version}; this blursynth reads version {schemas.FORMAT_VERSION}. "
            "Install a newer blursynth to use it."
        )


def open_array(
    path: str,
    name: str,
    context: ts.Context | None = None,
    document: Mapping[str, Any] | None = None,
    kvstore: Mapping[str, Any] | None = None,
) -> Any:
    """An array of a dataset for reading, as a tensorstore. A missing chunk is an error here, not zeros.

    `document`: take these metadata on trust instead of those stored. `kvstore`: where the objects are, if not there.
    """
    spec = {
        "driver": "zarr3",
        "kvstore": kvstore or store.kvstore_spec(path, name),
        "fill_missing_data_reads": False,
        "recheck_cached_data": "open",
        "recheck_cached_metadata": "open",
    }
    if document is None:
        store.require_plain(path, f"{name}/zarr.json")
    else:
        metadata = {key: value for key, value in document.items() if key != "attributes"}
        spec |= {"metadata": metadata, "assume_metadata": True}
    return ts.open(spec, read=True, context=context or store.context()).result()


def digests(
    path: str, attributes: Mapping[str, Any], document: Mapping[str, Any] | None = None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
    """Which shards are finished, bool (shards,), and their rows of digests, uint8 (shards, arrays, 32), else zero.

    `document`: metadata of `digest`, where they are not those that follow from the attributes.
    """
    document = document or schemas.digest_schema(attributes).digest_document()
    shards = -(-attributes["items"] // attributes["shard_length"])
    rows = np.zeros((shards, len(attributes["arrays"]), schemas.DIGEST_BYTES), np.uint8)
    finished = np.zeros(shards, np.bool_)
    keys = store.keys_below(path, f"{schemas.DIGEST}/c/")
    with store.failures(path, "list the finished shards"):
        array = open_array(path, schemas.DIGEST, document=document)
    listed = [shard for shard in range(shards) if schemas.digest_key(shard) in keys]
    for shard in listed:
        store.require_plain(path, schemas.digest_key(shard))
    for shard, reading in [(shard, array[shard].read()) for shard in listed]:
        try:
            rows[shard] = reading.result()
        except ValueError:
            # Cut short or damaged, as a power failure can leave it: such a shard counts as unfinished.
            _log.warning("The digests of shard %d in %s cannot be read: it counts as unfinished.", shard, path)
        else:
            finished[shard] = True
    return finished, rows


class Dataset:
    """A dataset open for reading, by `blursynth.open`.

    Items that were left out while making it are hidden: `items` counts the others. Can be pickled; the copy opens the
    files again.

    Attributes
    ----------
    path : str
        Where it lies.
    kind : str
        What was made: trajectories, psfs or pairs.
    attributes : dict
        The record: recipe, seed, versions and so on.

    Examples
    --------
    >>> import blursynth as bs
    >>> data = bs.open("pairs.zarr")
    >>> len(data), data.splits
    (4, ('train', 'val', 'test'))
    >>> pair = data[-1]
    >>> pair["blurred"].shape, int(pair["source"])
    ((64, 64, 3), 3)
    >>> data[1:3]["sharp"].shape
    (2, 64, 64, 3)
    >>> len(data.split("train")) + len(data.split("val"))
    4
    """

    def __init__(self, path: str, attributes: Mapping[str, Any]) -> None:
        self.path = path
        self.attributes = attributes
        self.kind: str = attributes["kind"]
        self._context = ts.Context({"cache_pool": {"total_bytes_limit": _CACHE_BYTES}})
        self._opened: dict[str, Any] = {}
        self._process = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset, (self.path, self.attributes)

    def __repr__(self) -> str:
        return f"<{self.kind} dataset, {self.items} items, {self.path}>"

    def __len__(self) -> int:
        return self.items

    @overload
    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: selection.Several) -> selection.Arrays: ...
    def __getitem__(self, index: Any) -> Any:
        """Read all arrays and columns by name: of one item, or (N, ...) for a slice, numbers or a mask.

        Raises IndexError for an item that there is not, DatasetError as `read` does.
        """
        return selection.at(index, self.items, self._items)

    def _items(self, items: npt.NDArray[np.int64]) -> selection.Arrays:
        return {
            name: self.read(name, items) if name in self.names else self.columns[name][items]
            for name in self.attributes["arrays"]
        }

    def split(self, name: str) -> selection.Selection:
        """Return the items of a split, to be read as the dataset is. Raises DatasetError where there is none."""
        if name not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise errors.DatasetError(f"{self.path} has no split {name!r:.80}; its splits are: {known}.")
        return selection.Selection(self, self.in_split(name))

    @property
    def items(self) -> int:
        """How many items there are to read."""
        return len(self._stored) if self._stored is not None else int(self.attributes["items"])

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Arrays with more than one number an item."""
        return tuple(name for name in self.attributes["arrays"] if self._array(name).rank > 1)

    @functools.cached_property
    def columns(self) -> Mapping[str, npt.NDArray[Any]]:
        """The columns by name, each (items,), read when first asked for."""
        return columns.Columns([name for name in self.attributes["arrays"] if name not in self.names], self._column)

    @property
    def transfer_function(self) -> str:
        """How the images' codes relate to light: gamma2.2, srgb, linear, ... Raises DatasetError without images."""
        for name in self.names:
            declared = self.attributes_of(name).get("transfer_function")
            if declared is not None:
                return str(declared)
        raise errors.DatasetError(
            f"{self.path} holds {self.kind}, which have no transfer function; use a dataset of pairs."
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all shards' digests: the same for the same stored bytes."""
        if not self.attributes["complete"]:
            raise errors.DatasetError(f"{self.path} is not finished, so it has no fingerprint yet.")
        return str(self.attributes["fingerprint"])

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of what the column `split` counts."""
        return tuple(self.attributes["splits"])

    @property
    def sources(self) -> list[dict[str, Any]]:
        """What the column `source` counts: name, sha256, size of each source. Empty where nothing was read."""
        if schemas.SOURCE not in self.attributes["arrays"]:
            return []
        return documents.sources(self.path, self.attributes_of(schemas.SOURCE), self.attributes["sources"])

    def attributes_of(self, name: str) -> Mapping[str, Any]:
        """CF attributes of an array or column: units, scale_factor, long_name, transfer_function, ..."""
        self._require(name)
        attributes: dict[str, Any] = self._document(name)["attributes"]
        return attributes

    def in_split(self, split: str) -> npt.NDArray[np.int64]:
        """The items of a split, ascending; none where the dataset does not know the split."""
        if split not in self.splits:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.columns["split"] == self.splits.index(split)).astype(np.int64)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Shape of one item of an array."""
        self._require(name)
        return tuple(self._array(name).shape[1:])

    def dtype_of(self, name: str) -> np.dtype[Any]:
        """Stored number type of an array."""
        self._require(name)
        dtype: np.dtype[Any] = self._array(name).dtype.numpy_dtype
        return dtype

    @property
    def item_numbers(self) -> npt.NDArray[np.int64]:
        """The number under which each item was made, int64 (items,): what its randomness is keyed by."""
        return np.arange(self.items, dtype=np.int64) if self._stored is None else self._stored

    def read(self, name: str, indices: Indices) -> npt.NDArray[Any]:
        """Items of an array, in the order asked for: (N, ...) with one item's shape, in the stored dtype and unit.

        Reads only the inner chunks asked for, in parallel. Raises DatasetError where stored data is missing or fails
        its checksum, IndexError for an index outside 0 .. items - 1.
        """
        self._require(name)
        stored = self._stored_at(indices)
        array = self._array(name)
        if not stored.size:
            return np.empty((0, *array.shape[1:]), array.dtype.numpy_dtype)
        with store.failures(self.path, f"read {name}", hint=_DAMAGED):
            values: npt.NDArray[Any] = array[stored].read().result()
        self._require_listed(name, values)
        return values

    def read_crops(
        self,
        names: Sequence[str],
        indices: Indices,
        tops: npt.ArrayLike,
        lefts: npt.ArrayLike,
        height: int,
        width: int,
    ) -> dict[str, npt.NDArray[Any]]:
        """A window of each item of some arrays, by name: (N, height, width) and further axes.

        tops, lefts: first row and column of each window (N,), or of all. Reads only the inner chunks that windows
        touch, all of them in parallel. Raises as `read` does, and IndexError for a window that leaves an item.
        """
        return self.begin_crops(names, indices, tops, lefts, height, width)()

    def begin_crops(
        self,
        names: Sequence[str],
        indices: Indices,
        tops: npt.ArrayLike,
        lefts: npt.ArrayLike,
        height: int,
        width: int,
    ) -> Callable[[], dict[str, npt.NDArray[Any]]]:
        """Begin what `read_crops` does, in the background; calling the result waits for the windows and gives them."""
        stored = self._stored_at(indices)
        top, left = (np.broadcast_to(np.asarray(corner, np.int64), stored.shape) for corner in (tops, lefts))
        readings = {}
        for name in names:
            self._require(name)
            with store.failures(self.path, f"cut windows out of {name}", hint=_DAMAGED):
                readings[name] = windows.begin(self._array(name), stored, top, left, height, width)

        def wait() -> dict[str, npt.NDArray[Any]]:
            values = {}
            for name, reading in readings.items():
                with store.failures(self.path, f"read {name}", hint=_DAMAGED):
                    values[name] = reading.result()
            return values

        return wait

    def fixed_items(self, split: str) -> npt.NDArray[np.int64]:
        """Return the items of a split, as `in_split` does; of a stream there would be no end of them."""
        return self.in_split(split)

    def source_digests(self, split: str) -> frozenset[str]:
        """Return the SHA-256 of the sources that the items of a split are made from."""
        sources = self.sources
        used = np.unique(self.columns[schemas.SOURCE][self.in_split(split)]) if sources else ()
        return frozenset(sources[number]["sha256"] for number in used)

    def items_at(
        self, members: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], passes: npt.NDArray[np.int64], repeat: int
    ) -> npt.NDArray[np.int64]:
        """Return the items at rows of a part with these members; every pass over a dataset has the same items."""
        del passes
        if repeat != 1:
            raise errors.DatasetError(f"{self.path} is stored and holds each item once; only a stream can be repeated.")
        return members[rows]

    def _stored_at(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Where the items that a reader numbers so are stored."""
        asked = np.asarray(indices, np.int64).reshape(-1)
        if asked.size and (asked.min() < 0 or asked.max() >= self.items):
            raise IndexError(f"indices {asked.min()} .. {asked.max()} of a dataset of {self.items} items")
        return asked if self._stored is None else self._stored[asked]

    def _array(self, name: str) -> Any:
        if os.getpid() != self._process:
            # The threads that read are not in a forked copy of a process: it would wait for them for ever.
            raise errors.DatasetError(
                f"{self.path} was opened before this process was forked off, and cannot be read here. Read in threads, "
                'or start processes anew: DataLoader(..., multiprocessing_context="spawn").'
            )
        if name not in self._opened:
            document = self._document(name)
            with store.failures(self.path, f"open {name}", hint=_DAMAGED):
                self._opened[name] = open_array(self.path, name, self._context, document)
        return self._opened[name]

    def _document(self, name: str) -> dict[str, Any]:
        """An array's metadata, if they are those that were written."""
        content = store.read_bytes(self.path, metadata_digests.document_key(name))
        if content is None:
            raise errors.DatasetError(f"{self.path} has lost the array {name}: there is no {name}/zarr.json.")
        if not documents.is_as_written(content, name, self.attributes):
            # The dataset may have grown since it was opened, or be about to.
            now = stored_attributes(self.path)
            if now is None or not documents.is_as_written(content, name, now):
                raise errors.DatasetError(
                    f"{self.path}/{metadata_digests.document_key(name)} is damaged or was edited: it is not what was "
                    f"written. {documents.ADVICE}"
                )
        return documents.array(self.path, name, content, self.attributes)

    def _require_listed(self, name: str, values: npt.NDArray[Any]) -> None:
        """Raise DatasetError for numbers of sources or splits that there are not."""
        if name == schemas.SOURCE:
            documents.require_within(self.path, name, values, self.attributes["sources"], "sources")
        elif name == "split":
            documents.require_within(self.path, name, values, len(self.splits), "splits")

    def _column(self, name: str) -> npt.NDArray[Any]:
        array = self._array(name)
        documents.require_whole_column(self.path, name, self._document(name))
        part = array[: self.items] if self._stored is None else array[self._stored]
        with store.failures(self.path, f"read {name}", hint=_DAMAGED):
            values: npt.NDArray[Any] = part.read().result()
        self._require_listed(name, values)
        values.flags.writeable = False
        return values

    def _require(self, name: str) -> None:
        if name not in self.attributes["arrays"]:
            known = ", ".join(self.attributes["arrays"])
            raise errors.DatasetError(f"{self.path} has no array {name}; it has {known}.")

    @functools.cached_property
    def _stored(self) -> npt.NDArray[np.int64] | None:
        """Where the items that a reader sees are stored: those made and valid; None where all are."""
        stated = self.attributes
        if stated["complete"] and stated["valid_items"] == stated["items"]:
            return None
        if stated["complete"]:
            if schemas.VALID not in stated["arrays"]:
                return None
            documents.require_whole_column(self.path, schemas.VALID, self._document(schemas.VALID))
            return np.flatnonzero(self._flags(slice(0, stated["items"]))).astype(np.int64)
        length = stated["shard_length"]
        starts = np.flatnonzero(digests(self.path, stated)[0]) * length
        parts = [np.arange(start, min(start + length, stated["items"])) for start in starts]
        items = np.concatenate(parts) if parts else np.empty(0, np.int64)
        if schemas.VALID not in stated["arrays"] or not items.size:
            return items
        return np.asarray(items[self._flags(items) != 0], np.int64)

    def _flags(self, items: slice | npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        with store.failures(self.path, f"read {schemas.VALID}", hint=_DAMAGED):
            flags: npt.NDArray[Any] = self._array(schemas.VALID)[items].read().result()
        return flags


_DAMAGED = (
    "Files are damaged, were removed, or lie on a disk that is not mounted now: `blursynth verify` names them, "
    "`blursynth repair` makes them again."
)
