"""Finished datasets -> batches. What comes at a position of the stream of training pairs is a function of the recipe's
seed and that position alone, so that a run continues exactly where it stopped.

Legend of tensor names: N images, C = 3 channels (R, G, B), H rows, W columns; P = 2, blurred and sharp.
"""

import itertools
import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy import typing as npt

from blursynth import errors
from blursynth.storage import patches, reader, sampler
from trainers import recipe
from trainers.methods import method

IMAGES = ("blurred", "sharp")
"""The arrays of a dataset that are trained on, in the order of a tensor's dimension P."""

STEPS_AHEAD = 4
"""How many steps' images wait for the device at most, beyond those being read."""

_log = logging.getLogger(__name__)
_CHANNEL_ORDERS = tuple(itertools.permutations(range(3)))
_ENDLESS = 2**62


class TrainingData:
    """The training pairs of a recipe: opened, checked, and cut into steps."""

    def __init__(self, section: recipe.Data, seed: int, divisor: int = 1, smallest: int = 1) -> None:
        self.section = section
        self.seed = seed
        self.parts = tuple(_training_part(entry, section.limit) for entry in section.train)
        crop = (section.crop, section.crop) if section.crop else None
        self.patches = patches.Patches(self.parts, IMAGES, seed, crop)
        _require_fit(self.patches.size, divisor, smallest)
        warn_of_other_light([part.dataset for part in self.parts])

    @property
    def epoch(self) -> int:
        """Images in an epoch."""
        return self.patches.epoch_length

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

    def steps(self, first: int, images: int, rank: int = 0, ranks: int = 1) -> Iterator[torch.Tensor]:
        """For step `first` and on without end: uint8 (P, N = images / ranks, H, W, C), which `batches` cuts.

        A step takes the next `images` positions of the stream; of these, rank r of R has r, r + R, r + 2 R, ...
        """
        assert images % ranks == 0, f"{images} images a step on {ranks} ranks"
        positions = range(first * images + rank, _ENDLESS, ranks)
        for found in self.patches.stream(positions, images // ranks):
            yield torch.from_numpy(self._augmented(found))

    def _augmented(self, found: patches.Images) -> npt.NDArray[np.uint8]:
        """Patches turned and recoloured as drawn for their positions: uint8 (P, N, H, W, C)."""
        draws = sampler.uniforms(self.seed, sampler.Stream.AUGMENTATION, found["position"], 4)
        pairs = np.empty((len(IMAGES), *found[IMAGES[0]].shape), np.uint8)
        for image, name in enumerate(IMAGES):
            for place, pixels in enumerate(found[name]):
                pairs[image, place] = self._turned(pixels, draws[place])
        return pairs

    def _turned(self, patch: npt.NDArray[np.uint8], draws: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """A view of a patch (H, W, 3), turned and recoloured as four draws in [0, 1) say."""
        if self.section.flip_horizontal and draws[0] < 0.5:
            patch = patch[:, ::-1]
        if self.section.flip_vertical and draws[1] < 0.5:
            patch = patch[::-1]
        if self.section.rotate:
            patch = np.rot90(patch, int(draws[2] * 4))
        if self.section.permute_channels:
            patch = patch[:, :, _CHANNEL_ORDERS[int(draws[3] * 6)]]
        return patch


class Prefetch:
    """The steps of a TrainingData, turned and pinned in a thread while the device works; use in a `with` block."""

    def __init__(self, steps: Iterator[torch.Tensor], device: torch.device) -> None:
        self._steps = steps
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


def _training_part(entry: recipe.TrainingSet, limit: int | None) -> patches.Part:
    dataset = open_pairs(entry.path)
    items = dataset.in_split("train")[:limit]
    if not items.size:
        raise errors.DatasetError(
            f'{entry.path} has no pairs in the split "train", so there is nothing to train on; make it with a '
            "training split."
        )
    return patches.Part(dataset, items, entry.weight)


def open_pairs(path: str) -> reader.Dataset:
    """A finished dataset of pairs; DatasetError where it is anything else."""
    dataset = reader.open(path)
    if dataset.kind != "pairs":
        raise errors.DatasetError(
            f"{path} holds {dataset.kind}, but training needs pairs of blurred and sharp images: make them with "
            f"`blursynth convolve`."
        )
    return dataset


def _require_fit(patch: tuple[int, int], divisor: int, smallest: int) -> None:
    """Raise DatasetError for patches, height and width, that a network cannot take."""
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


def warn_of_other_light(datasets: Sequence[reader.Dataset]) -> None:
    """Warn where blur was made in different light: scoring one with the other costs decibels."""
    found = {str(data.path): data.transfer_function for data in datasets}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{path}: {transfer}" for path, transfer in found.items())
        _log.warning("The datasets' blur was made for different transfer functions (%s); scores will suffer.", listed)
