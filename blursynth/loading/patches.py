"""Draw shuffled batches of patches or whole images from datasets and streams, for training.

The patch at a position is a function of (datasets, seed, position) alone: a run continues anywhere, and processes that
share the work need not communicate. Datasets are read ahead by tensorstore's threads, streams by their own.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.loading import sampler

Images = dict[str, npt.NDArray[Any]]

# Read ahead, beyond the batch that is given: enough to keep every core decoding, and little memory.
AHEAD_ITEMS = 64
AHEAD_BYTES = 64 * 2**20
# Positions whose items are worked out at once: one at a time costs a hundred times as much each.
_PLANNED = 1024


class Readable(Protocol):
    """What patches are drawn from: a stored dataset (`storage.reader`) or a stream (`loading.stream`)."""

    path: str
    kind: str

    @property
    def fingerprint(self) -> str:
        """Identity of the items, wherever they lie."""

    @property
    def transfer_function(self) -> str:
        """How encoded values relate to linear intensity."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""

    def in_split(self, split: str) -> npt.NDArray[np.int64]:
        """Return the members of a split: items of a dataset, sources of a stream."""

    def fixed_items(self, split: str) -> npt.NDArray[np.int64]:
        """Return items of a split to validate on: always the same ones."""

    def source_digests(self, split: str) -> frozenset[str]:
        """Return the SHA-256 of the sources of a split."""

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return the shape of one item of an array."""

    def dtype_of(self, name: str) -> np.dtype[Any]:
        """Return the number type of an array."""

    def begin_crops(
        self,
        names: Sequence[str],
        indices: npt.NDArray[np.int64],
        tops: npt.ArrayLike,
        lefts: npt.ArrayLike,
        height: int,
        width: int,
    ) -> Callable[[], Images]:
        """Begin to read a window of each item; calling the result waits for (N, height, width, ...) by name."""

    def items_at(
        self, members: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], passes: npt.NDArray[np.int64], repeat: int
    ) -> npt.NDArray[np.int64]:
        """Return the item at each row of each pass over a part with these members."""


@dataclasses.dataclass(frozen=True)
class Part:
    """What is drawn from one dataset or stream, and how often.

    Parameters
    ----------
    dataset
        A dataset or a stream.
    items : int64 (N,)
        The items of a dataset; the sources (photos) of a stream, as `in_split` returns either.
    weight
        This part's share of all that is drawn, relative to the weights of the other parts.
    repeat
        Of a stream: how many items of each source an epoch counts; each time another one.

    Examples
    --------
    >>> import blursynth as bs
    >>> data = bs.open("pairs.zarr")
    >>> part = bs.Part(data, data.in_split("train"), weight=2)
    >>> len(part)
    3
    """

    dataset: Readable
    items: npt.NDArray[np.int64]
    weight: float = 1.0
    repeat: int = 1

    def __len__(self) -> int:
        return len(self.items) * self.repeat


class Patches:
    """An endless stream of patches at random places of items in random order; `crop` None gives whole images.

    parts: where items are drawn from. names: arrays to read, cut alike: (item, y, x, ...). seed: 0 <= seed < 2**63.
    crop: height and width in px. Raises DatasetError where the parts do not fit together, have no items, or are
    smaller than the crop.

    Examples
    --------
    >>> import blursynth as bs
    >>> data = bs.open("pairs.zarr")
    >>> patches = bs.Patches([bs.Part(data, data.in_split("train"))], ["blurred", "sharp"], seed=0, crop=(32, 32))
    >>> patches.at([0, 1, 2])["sharp"].shape
    (3, 32, 32, 3)
    """

    def __init__(
        self, parts: Sequence[Part], names: Sequence[str], seed: int, crop: tuple[int, int] | None = None
    ) -> None:
        self.parts = tuple(parts)
        self.names = tuple(names)
        self.seed = seed
        _require_items(self.parts)
        self.size = _size(self.parts, self.names, crop)
        """Height and width of every patch in px."""
        self.order = sampler.Order([len(part) for part in parts], [part.weight for part in parts], seed)
        _require_use(self.parts, self.order)

    @property
    def epoch_length(self) -> int:
        """Positions in an epoch: as many as there are items."""
        return self.order.epoch_length

    def at(self, positions: npt.ArrayLike) -> Images:
        """The patches at positions (N,), by name, (N, height, width, ...); see `stream` for what else is there."""
        return self._begin(self._plan(np.asarray(positions, np.int64)))()

    def stream(self, positions: range, batch: int) -> Iterator[Images]:
        """Patches at the positions in batches of `batch`, the last one maybe smaller, read ahead of their use.

        Each is a dict of the arrays by name, (batch, height, width, ...) in the stored dtype, and of int64 (batch,):
        `position`, `part`, `item` (within the part's dataset), `top`, `left`.
        """
        largest = batch * sum(self._bytes(name) for name in self.names)
        ahead = max(1, min(AHEAD_ITEMS // batch, AHEAD_BYTES // largest))
        waiting: collections.deque[Callable[[], Images]] = collections.deque()
        planned = max(1, _PLANNED // batch) * batch
        for start in range(0, len(positions), planned):
            plan = self._plan(np.array(positions[start : start + planned], np.int64))
            for first in range(0, len(plan.item), batch):
                waiting.append(self._begin(plan.cut(slice(first, first + batch))))
                if len(waiting) > ahead:
                    yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()

    def items(self, positions: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the item at each position, within the dataset of its part; nothing is read."""
        return self._plan(np.asarray(positions, np.int64)).item

    def _plan(self, positions: npt.NDArray[np.int64]) -> "_Plan":
        part, row, turn = self.order.at(positions)
        draws = sampler.uniforms(self.seed, sampler.Stream.CROP, positions, 2)
        item, top, left = (np.empty_like(row) for _ in range(3))
        for number, each in enumerate(self.parts):
            mine = part == number
            item[mine] = each.dataset.items_at(each.items, row[mine], turn[mine], each.repeat)
            frame = each.dataset.shape_of(self.names[0])
            top[mine] = draws[mine, 0] * (frame[0] - self.size[0] + 1)
            left[mine] = draws[mine, 1] * (frame[1] - self.size[1] + 1)
        return _Plan(positions, part, item, top, left)

    def _begin(self, plan: "_Plan") -> Callable[[], Images]:
        """Begin to read what is planned; calling the result waits for it."""
        numbers = np.unique(plan.part)
        places = [np.flatnonzero(plan.part == number) for number in numbers]
        readings: list[tuple[_Plan, Callable[[], Images]]] = []
        for number, mine in zip(numbers.tolist(), places, strict=True):
            own = plan.cut(mine)
            dataset = self.parts[number].dataset
            readings.append((own, dataset.begin_crops(self.names, own.item, own.top, own.left, *self.size)))

        def wait() -> Images:
            parts = [own.columns() | reading() for own, reading in readings]  # a stream says which items it made
            return parts[0] if len(parts) == 1 else _joined(parts, places)

        return wait

    def _bytes(self, name: str) -> int:
        """Of one patch."""
        dataset = self.parts[0].dataset
        return int(np.prod((*self.size, *dataset.shape_of(name)[2:]))) * dataset.dtype_of(name).itemsize


class Batches:
    """One epoch of patches, batch by batch: a sequence that is iterated over fastest, reading ahead.

    epoch: which order the items come in. start: how many batches to leave out, for going on in the middle. rank,
    ranks: the epoch's positions rank, rank + ranks, rank + 2 * ranks, ... are used, so that the ranks share an epoch
    without overlap. whole: leave out what does not fill a batch on every rank, so that all have as many.

    To `torch.utils.data.DataLoader(batches, batch_size=None)` it is a map-style dataset, whose workers share the
    batches without overlap; they must be started with `multiprocessing_context="spawn"`. Iterating here is faster.

    Examples
    --------
    >>> import blursynth as bs
    >>> data = bs.open("pairs.zarr")
    >>> patches = bs.Patches([bs.Part(data, data.in_split("train"))], ["blurred", "sharp"], seed=0)
    >>> [batch["blurred"].shape for batch in bs.Batches(patches, 2, epoch=1)]
    [(2, 64, 64, 3), (1, 64, 64, 3)]
    """

    def __init__(
        self,
        patches: Patches,
        batch: int,
        *,
        epoch: int = 0,
        start: int = 0,
        rank: int = 0,
        ranks: int = 1,
        whole: bool = False,
    ) -> None:
        if batch < 1 or epoch < 0 or start < 0 or not 0 <= rank < ranks:
            raise errors.InputError(
                f"Batches of {batch} in epoch {epoch} from batch {start} on for rank {rank} of {ranks} cannot be; give "
                "batch >= 1, epoch and start >= 0, and rank from 0 to ranks - 1."
            )
        self.patches = patches
        self.batch = batch
        length = patches.epoch_length
        stop = length - length % (batch * ranks) if whole else length
        self._positions = range(epoch * length + rank, epoch * length + stop, ranks)[start * batch :]

    def __len__(self) -> int:
        return -(-len(self._positions) // self.batch)

    def __getitem__(self, number: int) -> Images:
        place = range(len(self))[number]  # raises IndexError, and counts from the end where negative
        return self.patches.at(self._positions[place * self.batch : (place + 1) * self.batch])

    def __iter__(self) -> Iterator[Images]:
        return self.patches.stream(self._positions, self.batch)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What is read for some positions, int64 (N,) each."""

    position: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    top: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]

    def columns(self) -> Images:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def cut(self, where: slice | npt.NDArray[np.intp]) -> "_Plan":
        return _Plan(**{name: values[where] for name, values in self.columns().items()})


def _joined(found: Sequence[Images], places: Sequence[npt.NDArray[np.intp]]) -> Images:
    """What was read of several parts, each put at its places."""
    joined: Images = {}
    for name, first in found[0].items():
        joined[name] = np.empty((sum(map(len, places)), *first.shape[1:]), first.dtype)
        for images, mine in zip(found, places, strict=True):
            joined[name][mine] = images[name]
    return joined


def _size(parts: Sequence[Part], names: Sequence[str], crop: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of patches; in all else the arrays of all parts must be alike."""
    frames = {part.dataset.path: _frame(part.dataset, names) for part in parts}
    for name in names:
        forms = {(part.dataset.dtype_of(name), part.dataset.shape_of(name)[2:]) for part in parts}
        if len(forms) > 1:
            raise errors.DatasetError(
                f"{name} is not of one kind in {', '.join(frames)}; take datasets that are alike."
            )
    sizes = sorted(set(frames.values()))
    if crop is None:
        if len(sizes) > 1:
            found = ", ".join(f"{width}x{height}" for height, width in sizes)
            raise errors.DatasetError(f"The datasets have images of several sizes ({found}); give a crop.")
        return sizes[0]
    for path, (height, width) in frames.items():
        if crop[0] > height or crop[1] > width:
            raise errors.DatasetError(
                f"The images of {path} are {width}x{height} pixels, too small for a crop of {crop[1]}x{crop[0]}; give "
                "a smaller crop or make larger images."
            )
    return crop


def _frame(dataset: Readable, names: Sequence[str]) -> tuple[int, int]:
    """Height and width of the images."""
    shapes = [dataset.shape_of(name) for name in names]
    if any(len(shape) < 2 or shape[:2] != shapes[0][:2] for shape in shapes):
        raise errors.DatasetError(
            f"{', '.join(names)} of {dataset.path} are not images of one size, and cannot be cut alike; name others."
        )
    return shapes[0][0], shapes[0][1]


def _require_items(parts: Sequence[Part]) -> None:
    if not parts:
        raise errors.DatasetError("There is no dataset to read batches from; give at least one.")
    for part in parts:
        if not len(part.items):
            raise errors.DatasetError(f"No items of {part.dataset.path} were chosen; choose at least one.")
        if part.repeat < 1:
            raise errors.DatasetError(f"{part.dataset.path} is to be repeated {part.repeat} times; give 1 or more.")
        if not 0 < part.weight < math.inf:
            raise errors.DatasetError(
                f"The weight {part.weight:g} of {part.dataset.path} is no share; give a positive, finite number."
            )
    if not math.isfinite(sum(part.weight for part in parts)):
        raise errors.DatasetError("The weights of the datasets come to more than a number can hold; give smaller ones.")


def _require_use(parts: Sequence[Part], order: sampler.Order) -> None:
    for part, quota in zip(parts, order.quotas, strict=True):
        if not quota:
            raise errors.DatasetError(
                f"The weight {part.weight:g} of {part.dataset.path} is so small that none of the {order.epoch_length} "
                "items of an epoch would be drawn from it; give a larger weight, or leave the dataset out."
            )
