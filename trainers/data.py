"""Finished datasets -> batches. What comes at a position of the stream of training pairs is a function of the recipe's
seed and that position alone, so that a run continues exactly where it stopped.

Legend of tensor names: N images, C = 3 channels (R, G, B), H rows, W columns; P = 2, blurred and sharp.
"""

import dataclasses
import functools
import itertools
import logging
import pathlib
import queue
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy import typing as npt

from blursynth import errors
from blursynth.storage import reader
from trainers import recipe
from trainers.methods import method

READ_BYTES = 64 * 2**20
"""Pairs are read in blocks of at most this many bytes, many at once, since one at a time is slower."""

STEPS_AHEAD = 4
"""How many steps' images wait for the device at most, beyond the block being cut."""

_log = logging.getLogger(__name__)
_CHANNEL_ORDERS = tuple(itertools.permutations(range(3)))


@dataclasses.dataclass(frozen=True)
class Part:
    """The pairs of one dataset that are used: their item numbers, and the share of the images drawn from them."""

    dataset: reader.Dataset
    items: npt.NDArray[np.int64]
    weight: float

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the dataset's images in pixels."""
        height, width = self.dataset.shape_of("blurred")[:2]
        return height, width


class Order:
    """Which pair comes at each position of an endless stream of training pairs.

    An epoch has as many positions as there are pairs. Each part has its share of them, by largest remainder; each part
    is passed over in one random order after another, and every epoch is shuffled. All keyed by (seed, epoch).
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int) -> None:
        assert min(sizes) > 0, sizes
        self.sizes = tuple(sizes)
        self.seed = seed
        self.epoch_length = sum(sizes)
        self.quotas = _largest_remainder(self.epoch_length, weights)
        self._epoch = functools.lru_cache(maxsize=2)(self._shuffled)

    def take(self, start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Part number and row within the part, int64 (count,) each, for positions start to start + count."""
        pieces = []
        position, end = start, start + count
        while position < end:
            epoch, offset = divmod(position, self.epoch_length)
            stop = min(self.epoch_length, offset + end - position)
            pieces.append(self._epoch(epoch)[:, offset:stop])
            position += stop - offset
        parts, rows = np.concatenate(pieces, axis=1)
        return parts, rows

    def _shuffled(self, epoch: int) -> npt.NDArray[np.int64]:
        drawn = []
        for part, quota in enumerate(self.quotas):
            rows = self._rows(part, epoch * quota, quota)
            drawn.append(np.stack([np.full(quota, part, np.int64), rows]))
        together = np.concatenate(drawn, axis=1)
        return together[:, self._permutation(self.epoch_length, len(self.sizes), epoch)]

    def _rows(self, part: int, start: int, count: int) -> npt.NDArray[np.int64]:
        """Rows `start` to `start + count` of the part's own endless stream of passes."""
        size = self.sizes[part]
        passes = range(start // size, -(-(start + count) // size))
        rows = [self._permutation(size, part, number) for number in passes]
        joined = np.concatenate([np.empty(0, np.int64), *rows])
        return joined[start % size :][:count]

    def _permutation(self, size: int, part: int, number: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng([self.seed, part, number]).permutation(size).astype(np.int64)


class TrainingData:
    """The training pairs of a recipe: opened, checked, and cut into steps."""

    def __init__(self, section: recipe.Data, seed: int, divisor: int = 1, smallest: int = 1) -> None:
        self.section = section
        self.seed = seed
        self.parts = tuple(_training_part(entry, section.limit) for entry in section.train)
        self.order = Order([len(part.items) for part in self.parts], [part.weight for part in self.parts], seed)
        self.patch = _patch_size(self.parts, section.crop, divisor, smallest)
        warn_of_other_light([part.dataset for part in self.parts])

    @property
    def epoch(self) -> int:
        """Images in an epoch."""
        return self.order.epoch_length

    def describe(self) -> list[dict[str, Any]]:
        """What a checkpoint records of each training set."""
        return [
            {
                "path": str(part.dataset.path),
                "fingerprint": part.dataset.fingerprint,
                "transfer_function": part.dataset.transfer_function,
                "pairs": len(part.items),
                "weight": part.weight,
            }
            for part in self.parts
        ]

    def steps(self, first: int, images: int) -> Iterator[torch.Tensor]:
        """For step `first` and on without end: uint8 (P, N = images, H, W, C), what `batches` turns into batches."""
        pair_bytes = 2 * 3 * max(height * width for height, width in (part.size for part in self.parts))
        steps_per_block = max(1, min(64, READ_BYTES // pair_bytes) // images)
        for block in itertools.count():
            start = (first + block * steps_per_block) * images
            pairs = self._cut(start, steps_per_block * images)
            for step in range(steps_per_block):
                yield torch.from_numpy(pairs[:, step * images : (step + 1) * images].copy())

    def _cut(self, start: int, count: int) -> npt.NDArray[np.uint8]:
        """The patches at positions start to start + count, uint8 (2, count, H, W, 3)."""
        parts, rows = self.order.take(start, count)
        pairs = np.empty((2, count, *self.patch, 3), np.uint8)
        for number, part in enumerate(self.parts):
            (places,) = np.nonzero(parts == number)
            if not places.size:
                continue
            items = part.items[rows[places]]
            for image, name in enumerate(("blurred", "sharp")):
                whole = part.dataset.read(name, items)
                for place, pixels in zip(places, whole, strict=True):
                    pairs[image, place] = self._patch_of(pixels, start + int(place))
        return pairs

    def _patch_of(self, pixels: npt.NDArray[np.uint8], position: int) -> npt.NDArray[np.uint8]:
        """A view of `pixels` (H, W, 3): cropped, turned and recoloured as drawn for this position."""
        draws = np.random.Generator(np.random.Philox(key=[self.seed, 1], counter=[0, position, 0, 0])).random(6)
        height, width = self.patch
        top = int(draws[0] * (pixels.shape[0] - height + 1))
        left = int(draws[1] * (pixels.shape[1] - width + 1))
        patch = pixels[top : top + height, left : left + width]
        if self.section.flip_horizontal and draws[2] < 0.5:
            patch = patch[:, ::-1]
        if self.section.flip_vertical and draws[3] < 0.5:
            patch = patch[::-1]
        if self.section.rotate:
            patch = np.rot90(patch, int(draws[4] * 4))
        if self.section.permute_channels:
            patch = patch[:, :, _CHANNEL_ORDERS[int(draws[5] * 6)]]
        return patch


class Prefetch:
    """The steps of a TrainingData, read and cut in a thread while the device works; use in a `with` block."""

    def __init__(self, data: TrainingData, first: int, images: int, device: torch.device) -> None:
        self._steps = data.steps(first, images)
        self._pin = device.type == "cuda"
        self._queue: queue.Queue[torch.Tensor | BaseException] = queue.Queue(maxsize=STEPS_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="prefetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def get(self) -> torch.Tensor:
        """The next step's images, as of `TrainingData.steps`; raises what reading them raised."""
        found = self._queue.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _fill(self) -> None:
        try:
            for images in self._steps:
                if not self._put(images.pin_memory() if self._pin else images):
                    return
        except BaseException as error:  # handed to the training thread, which raises it
            self._put(error)

    def _put(self, what: torch.Tensor | BaseException) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(what, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


def batches(pairs: torch.Tensor, batch: int, device: torch.device) -> list[method.Batch]:
    """uint8 (P, N, H, W, C) on the host -> batches of `batch` pairs on the device, float32 in [0, 1], channels last."""
    on_device = pairs.to(device, non_blocking=True)
    # The bytes lie channels last already, and a permuted view keeps them so.
    images_PNCHW = on_device.permute(0, 1, 4, 2, 3).float().div_(255)
    return [
        method.Batch(images_PNCHW[0, start : start + batch], images_PNCHW[1, start : start + batch])
        for start in range(0, images_PNCHW.shape[1], batch)
    ]


def _training_part(entry: recipe.TrainingSet, limit: int | None) -> Part:
    dataset = open_pairs(entry.path)
    items = items_of(dataset, "train")[:limit]
    if not items.size:
        raise errors.DatasetError(
            f'{entry.path} has no pairs in the split "train", so there is nothing to train on; make it with a '
            "training split."
        )
    return Part(dataset, items, entry.weight)


def open_pairs(path: str) -> reader.Dataset:
    """A finished dataset of pairs; DatasetError where it is anything else."""
    dataset = reader.open(pathlib.Path(path))
    if dataset.kind != "pairs":
        raise errors.DatasetError(
            f"{path} holds {dataset.kind}, but training needs pairs of blurred and sharp images: make them with "
            f"`blursynth convolve`."
        )
    return dataset


def items_of(dataset: reader.Dataset, split: str) -> npt.NDArray[np.int64]:
    """Item numbers of a split, ascending; none where the dataset does not know the split."""
    if split not in dataset.splits:
        return np.empty(0, np.int64)
    return np.flatnonzero(dataset.columns["split"] == dataset.splits.index(split)).astype(np.int64)


def _patch_size(parts: Sequence[Part], crop: int, divisor: int, smallest: int) -> tuple[int, int]:
    sizes = {part.size for part in parts}
    if crop:
        for part in parts:
            if crop > min(part.size):
                raise errors.DatasetError(
                    f"data.crop is {crop}, but the images of {part.dataset.path} are {part.size[1]}x{part.size[0]} "
                    f"pixels; give a crop of at most {min(part.size)} or make larger pairs."
                )
    elif len(sizes) > 1:
        found = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise errors.DatasetError(f"The training sets have images of several sizes ({found}); give data.crop a side.")
    patch = (crop, crop) if crop else parts[0].size
    if patch[0] % divisor or patch[1] % divisor:
        raise errors.DatasetError(
            f"Training patches are {patch[1]}x{patch[0]} pixels, but this network needs sides that are multiples of "
            f"{divisor}; give data.crop such a side."
        )
    if min(patch) < smallest:
        raise errors.DatasetError(
            f"Training patches are {patch[1]}x{patch[0]} pixels, but this network needs {smallest}x{smallest} or more; "
            "give data.crop a larger side or make larger pairs."
        )
    return patch


def warn_of_other_light(datasets: Sequence[reader.Dataset]) -> None:
    """Warn where blur was made in different light: scoring one with the other costs decibels."""
    found = {str(data.path): data.transfer_function for data in datasets}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{path}: {transfer}" for path, transfer in found.items())
        _log.warning("The datasets' blur was made for different transfer functions (%s); scores will suffer.", listed)


def _largest_remainder(total: int, weights: Sequence[float]) -> tuple[int, ...]:
    """`total` shared out in proportion to `weights` in whole numbers that sum to it."""
    exact = total * np.asarray(weights, np.float64) / sum(weights)
    quotas = np.floor(exact).astype(int)
    most_left = np.argsort(quotas - exact, kind="stable")[: total - int(quotas.sum())]
    quotas[most_left] += 1
    return tuple(int(quota) for quota in quotas)
