"""The paths behind a dataset's items: stored, or followed again from the recorded recipe."""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from blursynth.config import photo_pairs, toml
from blursynth.storage import reader
from blursynth.synthesis import trajectories

Follow = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]


def follower(dataset: reader.Dataset) -> Follow | None:
    """A function from items (N,), as readers count them, to their paths in px, float32 (N, M, 2), x then y.

    Of a field of PSFs, the path of the image's centre. None where no path is known: where nothing moved along one, or
    paths came from another dataset.
    """
    if dataset.kind == "trajectories":
        return functools.partial(_stored, dataset)
    motion = toml.tables(dataset.attributes["recipe"], dataset.path).get("motion")
    if dataset.kind != "pairs" or "anxiety" not in dataset.columns or not isinstance(motion, dict):
        return None
    return functools.partial(_again, dataset, toml.build(motion, photo_pairs.Motion, dataset.path))


def _stored(dataset: reader.Dataset, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    scale = np.float32(dataset.attributes_of("position")["scale_factor"])
    found: npt.NDArray[np.float32] = dataset.read("position", items).astype(np.float32) * scale
    return found


def _again(
    dataset: reader.Dataset, request: photo_pairs.Motion, items: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    return trajectories.simulate(request, dataset.attributes["seed"], dataset.item_numbers[items]).pixels()
