"""The kernels behind a dataset's items, measured: those that are stored, and those that follow from stored paths."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from blursynth.kernels import psf
from blursynth.report import paths, preview, shaken, shapes
from blursynth.storage import reader

_BATCH_BYTES = 16 * 2**20  # of kernels or paths in memory at once
_PATH_BYTES = 2000 * 24  # of a path in float32, and what it was made from

Kernels = Iterator[npt.NDArray[np.floating]]


@dataclasses.dataclass(frozen=True)
class Measured:
    """shapes: of `kernels` kernels that belong to `items` of the dataset's items. what: the kernels in words."""

    shapes: shapes.Shapes
    kernels: int
    items: int
    what: str


def measure(dataset: reader.Dataset, most: int) -> Measured | None:
    """The shapes of about `most` kernels, of items spread evenly over the dataset; None where items have no kernels.

    An item has as many as are stored or shown for it: one PSF, or each of a field's, or GRID x GRID of a camera's path.
    """
    points = 1
    if "psf" in dataset.names:
        what = "the stored PSFs"
    elif "psf_field" in dataset.names:
        rows, columns = dataset.shape_of("psf_field")[:2]
        points, what = rows * columns, f"the stored PSFs, {rows} x {columns} an item"
    elif "camera_path" in dataset.names:
        points, what = (
            shaken.GRID**2,
            f"PSFs rendered from the stored camera paths, {shaken.GRID} x {shaken.GRID} an item",
        )
    elif paths.follower(dataset) is None:
        return None
    else:
        what = "PSFs of the whole paths" if dataset.kind == "trajectories" else "PSFs rendered from the recorded recipe"
    items = preview.spread(dataset.items, max(1, most // points))
    found = shapes.joined([shapes.measure(batch) for batch in _kernels(dataset, items)])
    return Measured(found, len(found["peak"]), len(items), what)


def _kernels(dataset: reader.Dataset, items: npt.NDArray[np.int64]) -> Kernels:
    """The kernels of these items, (N, ky, kx) at a time."""
    for name in ("psf", "psf_field"):
        if name in dataset.names:
            shape = dataset.shape_of(name)
            for part in _batches(items, 4 * int(np.prod(shape))):
                yield dataset.read(name, part).reshape(-1, *shape[-2:])
            return
    if "camera_path" in dataset.names:
        cameras = shaken.Cameras(dataset)
        for item in items.tolist():
            kernels = cameras.kernels(item)
            yield kernels.reshape(-1, *kernels.shape[-2:])
    else:
        yield from _of_paths(dataset, items)


def _of_paths(dataset: reader.Dataset, items: npt.NDArray[np.int64]) -> Kernels:
    """PSFs of paths: of stored ones the whole, of those that a pair was blurred with as much as was exposed."""
    follow = paths.follower(dataset)
    assert follow is not None
    columns = dataset.columns
    size = psf.size_for(float(columns["length"][items].max()))
    for part in _batches(items, 4 * size**2 + _PATH_BYTES):
        span = np.zeros((len(part), 2), np.float32)
        span[:, 1] = columns["exposure"][part] if "exposure" in columns else 1
        yield psf.rasterise(follow(part), span, size)


def _batches(items: npt.NDArray[np.int64], item_bytes: int) -> list[npt.NDArray[np.int64]]:
    length = max(1, _BATCH_BYTES // item_bytes)
    return [items[start : start + length] for start in range(0, len(items), length)]
