"""Read finished datasets and streams as batches of training pairs.

The pair at a position of the stream follows from the recipe's seed and that position alone, so that a run continues
exactly where it stopped.

Legend of tensor names: N images, C = 3 channels (R, G, B), H rows, W columns; P = 2, blurred and sharp.
"""

import dataclasses
import logging
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from blursynth import errors
from blursynth.loading import patches, stream
from blursynth.storage import reader
from trainers import distributed, recipe
from trainers.methods import method
from trainers.training import augmentation

IMAGES = stream.IMAGES
"""The arrays of a dataset that are trained on, in the order of a tensor's dimension P."""

LISTED = 20_000
"""Training photos of a stream whose digests a checkpoint lists at most."""

STEPS_AHEAD = 4
"""How many steps' images wait for the device at most, beyond those being read."""

_log = logging.getLogger(__name__)
_ENDLESS = 2**62


@dataclasses.dataclass(frozen=True)
class Drawn:
    """The pairs of a step on the host, uint8 (P, N, H, W, C), not augmented yet, and their augmentation."""

    pairs: torch.Tensor
    choices: augmentation.Choices

    def pinned(self) -> "Drawn":
        """Copy to pinned memory, from which a GPU copies while the host goes on."""
        return Drawn(self.pairs.pin_memory(), self.choices.pinned())


class TrainingData:
    """The training pairs of a recipe: datasets opened and checked, patches drawn step by step."""

    def __init__(self, section: recipe.Data, seed: int, divisor: int = 1, smallest: int = 1) -> None:
        self.section = section
        self.seed = seed
        self.parts = tuple(_training_part(entry, section.limit) for entry in section.train)
        crop = (section.crop, section.crop) if section.crop else None
        self.patches = patches.Patches(self.parts, IMAGES, seed, crop)
        require_fit(self.patches.size, divisor, smallest)
        warn_of_other_light([part.dataset for part in self.parts])

    @property
    def epoch(self) -> int:
        """Images in an epoch: as many as the training sets hold."""
        return self.patches.epoch_length

    def describe(self) -> list[dict[str, Any]]:
        """Return what a checkpoint records of each training set."""
        return [_description(part) for part in self.parts]

    def steps(self, first: int, images: int, rank: int = 0, ranks: int = 1) -> Iterator[Drawn]:
        """Yield the pairs of steps first, first + 1, ... endlessly: images / ranks pairs each.

        A step takes the next `images` positions of the stream; of these, rank r of R takes r, r + R, r + 2 R, ...
        """
        assert images % ranks == 0, f"{images} images a step on {ranks} ranks"
        positions = range(first * images + rank, _ENDLESS, ranks)
        for cut in self.patches.stream(positions, images // ranks):
            yield self._drawn(cut)

    def sample(self, position: int, count: int) -> Drawn:
        """Return the pairs at `count` positions of the order from `position` on."""
        return self._drawn(self.patches.at(range(position, position + count)))

    def _drawn(self, images: patches.Images) -> Drawn:
        pairs = torch.from_numpy(np.stack([images[name] for name in IMAGES]))
        return Drawn(pairs, augmentation.choose(self.section, self.seed, images["position"]))


class Prefetch:
    """Reads and pins the next steps in a thread while the device works; use in a `with` block."""

    def __init__(self, steps: Iterator[Drawn], device: torch.device) -> None:
        self._steps = steps
        self._pin = device.type == "cuda"
        self._queue: queue.Queue[Drawn | BaseException] = queue.Queue(maxsize=STEPS_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="prefetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def get(self) -> Drawn:
        """Return the pairs of the next step; raise what reading them raised."""
        step = self._queue.get()
        if isinstance(step, BaseException):
            raise step
        return step

    def _fill(self) -> None:
        try:
            for drawn in self._steps:
                if not self._put(drawn.pinned() if self._pin else drawn):
                    return
        except BaseException as error:  # handed to the training thread, which raises it
            self._put(error)

    def _put(self, what: Drawn | BaseException) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(what, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


def batches(section: recipe.Data, drawn: Drawn, batch: int, device: torch.device) -> list[method.Batch]:
    """Augment a step's pairs on the device and split them into batches; does not wait for the device."""
    pairs, choices = drawn.pairs.to(device, non_blocking=True), drawn.choices.to(device)
    cut = []
    for start in range(0, pairs.shape[1], batch):
        some = slice(start, start + batch)
        cut.append(method.Batch(*augmentation.apply(section, pairs[:, some], choices.of(some))))
    return cut


def _description(part: patches.Part) -> dict[str, Any]:
    """Return what a checkpoint records of a training set; of a stream also what it is made from."""
    about = {
        "path": str(part.dataset.path),
        "fingerprint": part.dataset.fingerprint,
        "transfer_function": part.dataset.transfer_function,
        "pairs": len(part),
        "weight": part.weight,
    }
    if isinstance(part.dataset, stream.Stream):
        digests = sorted(part.dataset.source_digests("train"))
        about["stream"] = part.dataset.identity() | {
            "trained_sources": [each[:16] for each in digests] if len(digests) <= LISTED else None
        }
    return about


def _training_part(entry: recipe.TrainingSet, limit: int | None) -> patches.Part:
    dataset = open_pairs(entry.path) if entry.path is not None else _open_stream(entry)
    items = dataset.in_split("train")[:limit]
    if not items.size:
        raise errors.DatasetError(
            f'{dataset.path} has no pairs in the split "train", so there is nothing to train on; make it with a '
            "training split."
        )
    return patches.Part(dataset, items, entry.weight, entry.repeat)


def _open_stream(entry: recipe.TrainingSet) -> stream.Stream:
    # Imported here: making pairs takes Numba and a second to load, and training on stored pairs needs neither.
    from blursynth.api import streams

    assert entry.stream is not None
    shared = streams.cache_bytes(entry.cache) // distributed.count()  # the processes of a run are on one machine
    threads = entry.threads or max(1, (os.cpu_count() or 1) // distributed.count())
    return streams.stream(
        entry.stream, entry.source, seed=entry.seed, dataset=entry.dataset, cache=shared, threads=threads
    )


def open_pairs(path: str) -> reader.Dataset:
    """Open a finished dataset of pairs; DatasetError where it is anything else."""
    try:
        dataset = reader.open(path)
    except errors.NotADatasetError:
        raise errors.NotADatasetError(
            f"{path} is not a dataset of blursynth; training needs one: make it with `blursynth convolve`, "
            "or of other files with `blursynth import`."
        ) from None
    if dataset.kind != "pairs":
        raise errors.DatasetError(
            f"{path} holds {dataset.kind}, but training needs pairs of blurred and sharp images: make them with "
            f"`blursynth convolve`."
        )
    return dataset


def require_fit(patch: tuple[int, int], divisor: int, smallest: int) -> None:
    """Raise DatasetError where a network cannot take patches of (height, width)."""
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


def warn_of_other_light(datasets: Sequence[patches.Readable]) -> None:
    """Warn where datasets were blurred with different transfer functions, which lowers scores."""
    transfers = {str(data.path): data.transfer_function for data in datasets}
    if len(set(transfers.values())) > 1:
        listed = ", ".join(f"{path}: {transfer}" for path, transfer in transfers.items())
        _log.warning("The datasets' blur was made for different transfer functions (%s); scores will suffer.", listed)
