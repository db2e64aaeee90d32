"""A dataset that nobody stored: its items are made when they are read, and equal the stored ones to the bit."""

import concurrent.futures
import functools
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.loading import patches
from blursynth.media import source_file
from blursynth.storage import provenance, schema

Arrays = dict[str, npt.NDArray[Any]]
Integers = npt.NDArray[np.int64]

IMAGES = ("blurred", "sharp")

_log = logging.getLogger(__name__)

_AT_ONCE = 16
"""Items that a thread makes in one call: enough to draw them together, few enough to share a batch among threads."""

_FIXED = 16
"""Items of each held-out source that validation draws from."""


class Maker(Protocol):
    """How the items of a stream are made: what `makers.photo_pairs.PhotoPairsMaker` has. Can be pickled."""

    @property
    def seed(self) -> int:
        """What the items are functions of, beside the recipe and the sources."""

    @property
    def origin(self) -> str:
        """Where the sources lie."""

    @property
    def schema(self) -> schema.Schema:
        """The arrays of an item."""

    @property
    def items_per_source(self) -> int:
        """Items made from each source: item = source * items_per_source + repetition."""

    @property
    def split(self) -> tuple[int, ...]:
        """The split of each source, as an index into the record's splits."""

    def record(self) -> provenance.Record:
        """Return what a dataset of these items records."""

    def make_items(self, item: Integers) -> Arrays:
        """Make items, int64 (N,), in any order; may be called from several threads at once."""

    def skipped(self, invalid: Integers) -> Sequence[provenance.Skipped]:
        """Return why items could not be made."""


class Stream:
    """Blurred/sharp pairs that are made when they are read; read like a dataset.

    Item i is what a stored dataset of the same recipe, seed and photos holds at i: all arrays and columns, equal to
    the bit. Indexing makes one item; `batches` makes shuffled batches ahead of their use in threads. Make streams with
    `blursynth.stream`. A stream can be pickled; the copy has an empty cache.

    Parameters
    ----------
    maker
        What makes the items.
    threads
        Threads that make items; by default one for each CPU that this process may use.

    Examples
    --------
    >>> import blursynth as bs
    >>> flow = bs.stream("flow.toml", "photos/", seed=0, cache="50MB")
    >>> flow[1_000_000]["blurred"].shape
    (64, 64, 3)
    >>> [batch["sharp"].shape for batch in flow.batches(2, epoch=3)]
    [(2, 64, 64, 3), (1, 64, 64, 3)]
    """

    kind = "pairs"

    def __init__(self, maker: Maker, *, threads: int | None = None) -> None:
        self.maker = maker
        self.threads = threads or len(os.sched_getaffinity(0))
        self.path = maker.origin
        """Where the sources lie."""
        self._record = maker.record()
        self._arrays = {array.name: array for array in maker.schema.arrays}
        self._sources_of_split = np.asarray(maker.split, np.int64)
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._damaged: set[int] = set()
        """Sources that were found to be damaged."""

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Stream, threads=self.threads), (self.maker,)

    def __repr__(self) -> str:
        return f"<stream of {len(self.sources)} sources, {self.items} items, {self.path}>"

    def __len__(self) -> int:
        return self.items

    @property
    def items(self) -> int:
        """How many different items there are."""
        return self.maker.schema.items

    @property
    def items_per_source(self) -> int:
        """How many different items there are of each source (photo or scene)."""
        return self.maker.items_per_source

    @property
    def seed(self) -> int:
        """What the items and their order are functions of, beside the recipe and the sources."""
        return self.maker.seed

    @property
    def names(self) -> tuple[str, ...]:
        """Arrays with more than one number an item."""
        return tuple(name for name, array in self._arrays.items() if array.shape)

    @property
    def columns(self) -> tuple[str, ...]:
        """Arrays with one number an item."""
        return tuple(name for name, array in self._arrays.items() if not array.shape)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self._record.splits)

    @property
    def sources(self) -> tuple[dict[str, Any], ...]:
        """Name, sha256 and size of each source."""
        return tuple(dict(source) for source in self._record.sources)

    @property
    def recipe(self) -> str:
        """The recipe as TOML, as a dataset records it."""
        return self._record.recipe_toml

    def identity(self) -> dict[str, Any]:
        """Return what the items are functions of, as JSON: maker, recipe, seed, and a digest of the sources."""
        return {
            "maker": self._record.maker,
            "recipe": self._record.recipe_toml,
            "seed": self._record.seed,
            "sources": len(self._record.sources),
            "sources_sha256": provenance.sources_digest(self._record.sources),
            "extra": dict(self._record.extra),
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of `identity`: equal for streams of equal items."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()

    @property
    def transfer_function(self) -> str:
        """How encoded values relate to linear intensity: gamma2.2, srgb, linear, ..."""
        return str(self.attributes_of("blurred")["transfer_function"])

    def attributes_of(self, name: str) -> dict[str, Any]:
        """Return the CF attributes of an array: units, long_name, transfer_function, ..."""
        return dict(self._array(name).attributes)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return the shape of one item of an array."""
        return self._array(name).shape

    def dtype_of(self, name: str) -> np.dtype[Any]:
        """Return the number type of an array."""
        return np.dtype(self._array(name).dtype)

    def in_split(self, split: str) -> Integers:
        """Return the sources of a split, ascending, int64 (N,); none where there is no such split."""
        if split not in self.splits:
            return np.empty(0, np.int64)
        return np.flatnonzero(self._sources_of_split == self.splits.index(split)).astype(np.int64)

    def fixed_items(self, split: str) -> Integers:
        """Return the first items of each source of a split, at most 16 each: the same ones every time."""
        first = np.arange(min(_FIXED, self.items_per_source))
        return (self.in_split(split)[:, np.newaxis] * self.items_per_source + first).reshape(-1)

    def source_digests(self, split: str) -> frozenset[str]:
        """Return the SHA-256 of the sources of a split."""
        return frozenset(str(self._record.sources[number]["sha256"]) for number in self.in_split(split))

    @overload
    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | Integers) -> Arrays: ...
    def __getitem__(self, index: SupportsIndex | slice | Sequence[int] | Integers) -> dict[str, Any]:
        """Make items: all arrays and columns by name, of one item, or (N, ...) for a slice or a sequence of items.

        Raises
        ------
        IndexError
            There is no such item.
        InputError
            The content of a source cannot be used.
        SourceError
            A source cannot be read, or has changed since the stream was opened.
        """
        if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray):
            return {name: values[0] for name, values in self.read(self._numbers([index.__index__()])).items()}
        if isinstance(index, slice):
            return self.read(np.array(range(*index.indices(self.items)), np.int64))
        return self.read(self._numbers(index))

    def read(self, items: npt.ArrayLike, names: Sequence[str] | None = None) -> Arrays:
        """Make items, int64 (N,), 0 <= item < `items`, in the calling thread; raises as indexing does.

        Returns the arrays by name (all, or `names`), (N, ...) each with an item's shape.
        """
        made = self._made(self._numbers(np.asarray(items)))
        return made if names is None else {name: made[name] for name in names}

    def batches(
        self,
        batch: int,
        *,
        split: str | None = "train",
        crop: tuple[int, int] | None = None,
        epoch: int = 0,
        repeat: int = 1,
        start: int = 0,
        rank: int = 0,
        ranks: int = 1,
        whole: bool = False,
    ) -> patches.Batches:
        """Return the batches of one epoch: each source of the split `repeat` times, in an order of (seed, epoch).

        Each batch is a dict with `blurred` and `sharp`, uint8 (batch, height, width, 3), and what `Patches.stream`
        says. Every epoch makes other items.

        Parameters
        ----------
        split
            Whose sources are drawn; None for all.
        crop
            Height and width in px of a window at a random place of each item; None for whole items.
        epoch, start, rank, ranks, whole
            See `blursynth.Batches`.
        """
        return patches.Batches(
            patches.Patches([self.part(split, repeat=repeat)], IMAGES, self.seed, crop),
            batch,
            epoch=epoch,
            start=start,
            rank=rank,
            ranks=ranks,
            whole=whole,
        )

    def part(self, split: str | None = "train", *, weight: float = 1.0, repeat: int = 1) -> patches.Part:
        """Return the sources of a split (None: all) as a part for `blursynth.Patches`."""
        members = np.arange(len(self.sources)) if split is None else self.in_split(split)
        if not members.size:
            raise errors.DatasetError(
                f"No photo or scene of {self.path} is in the split {split!r}; its splits are {', '.join(self.splits)}."
            )
        return patches.Part(self, members, weight, repeat)

    def measure(self, part: patches.Part, seconds: float = 2.0) -> float:
        """Return how many items of a part are made a second with all threads, measured over about `seconds`."""
        share = _AT_ONCE * self.threads
        order = patches.Patches([part], IMAGES, self.seed)
        size, made, began = order.size, 0, 0.0
        for first in range(0, 2**20, share):
            item = order.items(range(first, first + share))
            self.begin_crops(IMAGES, item, 0, 0, *size)()
            if not first:  # the first one compiles kernels and fills the cache
                began = time.perf_counter()
                continue
            made += share
            if time.perf_counter() - began > seconds:
                break
        return made / (time.perf_counter() - began)

    def items_at(self, members: Integers, rows: Integers, passes: Integers, repeat: int) -> Integers:
        """Return the item at each row of each pass over a part whose members are sources: a new one in every pass.

        A pass has `repeat` rows for each source. Items come again after items_per_source / repeat passes.
        """
        turn, member = np.divmod(rows, len(members))
        return members[member] * self.items_per_source + (passes * repeat + turn) % self.items_per_source

    def begin_crops(
        self,
        names: Sequence[str],
        indices: Integers,
        tops: npt.ArrayLike,
        lefts: npt.ArrayLike,
        height: int,
        width: int,
    ) -> Callable[[], Arrays]:
        """Begin to make items in threads; calling the result waits for a window of each, (N, height, width, ...).

        `item` in the result says which items were made: see `replaced`.
        """
        top, left = (np.broadcast_to(np.asarray(corner, np.int64), indices.shape) for corner in (tops, lefts))
        share = min(_AT_ONCE, max(1, -(-len(indices) // self.threads)))
        parts = [slice(first, first + share) for first in range(0, len(indices), share)]
        pool = self._threads()
        making = [
            pool.submit(self._make_crops, names, indices[some], top[some], left[some], (height, width))
            for some in parts
        ]

        def wait() -> Arrays:
            made = [one.result() for one in making]
            if len(made) == 1:
                return made[0]
            return {name: np.concatenate([one[name] for one in made]) for name in made[0]}

        return wait

    def _make_crops(
        self, names: Sequence[str], items: Integers, tops: Integers, lefts: Integers, size: tuple[int, int]
    ) -> Arrays:
        # A file server may be away for a moment.
        made, instead = source_file.patiently(lambda: self.replaced(items))
        if all(self.shape_of(name)[:2] == size for name in names):
            return {name: made[name] for name in names} | {"item": instead}
        corners = list(zip(tops.tolist(), lefts.tolist(), strict=True))
        return {"item": instead} | {
            name: np.stack(
                [made[name][k, top : top + size[0], left : left + size[1]] for k, (top, left) in enumerate(corners)]
            )
            for name in names
        }

    def _made(self, items: Integers) -> Arrays:
        made = self.maker.make_items(items)
        invalid = items[made[schema.VALID] == 0]
        if invalid.size:
            raise errors.InputError(self._reason(invalid))
        return made

    def replaced(self, items: Integers) -> tuple[Arrays, Integers]:
        """Make items; those whose source is damaged are replaced by items of the next source of the same split.

        What replaces an item follows from the sources' content alone. Each damaged source is named in one warning.
        Returns the arrays by name, and the items that were made, int64 (N,). Raises InputError where no source of a
        split can be used.
        """
        items = items.copy()
        made = self.maker.make_items(items)
        while (rows := np.flatnonzero(made[schema.VALID] == 0)).size:
            for item in items[rows].tolist():
                self._note_damaged(item)
            items[rows] = [self._next(item) for item in items[rows].tolist()]
            for name, values in self.maker.make_items(items[rows]).items():
                made[name][rows] = values
        return made, items

    def _note_damaged(self, item: int) -> None:
        source = item // self.items_per_source
        if source not in self._damaged:
            self._damaged.add(source)
            _log.warning("%s Another photo is taken instead.", self._reason(np.array([item], np.int64)))

    def _next(self, item: int) -> int:
        source, repetition = divmod(item, self.items_per_source)
        members = np.flatnonzero(self._sources_of_split == self._sources_of_split[source])
        usable = [member for member in members.tolist() if member not in self._damaged]
        if not usable:
            raise errors.InputError(
                f"None of the {len(members)} photos in one split of {self.path} can be used. "
                f"{self._reason(np.array([item], np.int64))}"
            )
        following = next((member for member in usable if member > source), usable[0])
        return following * self.items_per_source + repetition

    def _reason(self, invalid: Integers) -> str:
        first = self.maker.skipped(invalid)[0]
        return f"{first.name} in {self.path} cannot be used: {first.reason}."

    def _threads(self) -> concurrent.futures.ThreadPoolExecutor:
        if os.getpid() != self._process:
            raise errors.DatasetError(
                "The stream was opened before this process was forked off, and its threads are not here. Start "
                'processes anew: DataLoader(..., multiprocessing_context="spawn").'
            )
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(self.threads, thread_name_prefix="stream")
        return self._pool

    def _array(self, name: str) -> schema.ArraySpec:
        if name not in self._arrays:
            raise errors.DatasetError(f"The stream has no array {name}; it has {', '.join(self._arrays)}.")
        return self._arrays[name]

    def _numbers(self, index: Sequence[int] | Integers) -> Integers:
        numbers = np.asarray(index)
        if numbers.size and numbers.dtype.kind not in "iu":
            raise IndexError(f"items are numbered by integers; found {numbers.dtype}")
        numbers = numbers.astype(np.int64).reshape(-1)
        if numbers.size and not (-self.items <= numbers.min() and numbers.max() < self.items):
            raise IndexError(f"items {numbers.min()} .. {numbers.max()} of a stream of {self.items} items")
        return np.where(numbers < 0, numbers + self.items, numbers)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over every item in order; `batches` is faster, and shuffles."""
        return (self[item] for item in range(self.items))
