"""Kernels of the user: NumPy's, MATLAB's and PNG files, and datasets of PSFs."""

import dataclasses
import functools
import hashlib
import io
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from blursynth import errors
from blursynth.media import mat, source_file
from blursynth.storage import growth, reader
from blursynth.synthesis import own_kernels

SUFFIXES = (".npy", ".npz", ".mat", ".png")
MOST_BYTES = 2**28
"""Of a file, and of what is packed in it."""

NAMES = ("kernels", "kernel", "psfs", "psf", "f", "h", "k")
"""Variables that are read of a file with several; where it has none of these, all of them are kernels."""


@dataclasses.dataclass(frozen=True, eq=False)
class Kernels:
    """Kernels of a file or a dataset.

    digest: SHA-256 of the file, or the dataset's fingerprint. side: odd, px, of a canvas that holds each. arrays: those
    of a file, float32 (rows, columns) each; of a dataset there are none, it is read when they are needed.
    """

    path: str
    digest: str
    count: int
    side: int
    arrays: tuple[npt.NDArray[np.float32], ...] = ()

    @functools.cached_property
    def _dataset(self) -> reader.Dataset:
        return reader.open(self.path)

    def read(self, numbers: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.float32]:
        """Return kernels by their numbers, float32 (N, side, side); see `own_kernels.on_canvas`."""
        if self.arrays:
            return np.stack([own_kernels.on_canvas(self.arrays[k], side) for k in numbers.tolist()])
        with errors.of_source(self.path):
            return own_kernels.on_canvas(self._dataset.read("psf", numbers), side)


def is_file(path: str) -> bool:
    """Whether a path says a file rather than a dataset."""
    return pathlib.PurePath(path).suffix.lower() in SUFFIXES


def open_(path: str, *, normalise: bool, digest: str | None = None) -> Kernels:
    """Open kernels. digest: of those that were recorded.

    Raises InputError for what is no kernel, SourceError where they cannot be read or are others than were recorded,
    DatasetError for a dataset of another kind.
    """
    return _of_file(path, normalise, digest) if is_file(path) else _of_dataset(path, digest)


def _of_file(path: str, normalise: bool, digest: str | None) -> Kernels:
    source_file.require_file(path, f"a file of kernels ({', '.join(SUFFIXES)})")
    data = source_file.read(path)
    if digest is not None:
        source_file.recorded(path, data, digest)
    kernels = parse(path, data, normalise=normalise)
    return Kernels(path, hashlib.sha256(data).hexdigest(), len(kernels), own_kernels.side(kernels), tuple(kernels))


def _of_dataset(path: str, digest: str | None) -> Kernels:
    with errors.of_source(path):
        dataset = reader.open(path)
    if dataset.kind != "psfs" or len(dataset.shape_of("psf")) != 2:
        raise errors.DatasetError(
            f"{path} holds {dataset.kind}; --kernels takes PSFs, one an item, as `blursynth psfs` makes them from "
            f"trajectories, or a file ({', '.join(SUFFIXES)})."
        )
    known = growth.lengths(dataset)
    if digest is not None and digest not in known:
        raise errors.DatasetError(
            f"{path} holds other PSFs than those that were recorded (fingerprint {dataset.fingerprint[:12]} instead of "
            f"{digest[:12]}); name theirs with --kernels."
        )

    rows = dataset.shape_of("psf")[0]
    digest = dataset.fingerprint if digest is None else digest
    return Kernels(path, digest, known[digest], max(3, 2 * (rows // 2) + 1))


def parse(path: str, data: bytes, *, normalise: bool) -> list[npt.NDArray[np.float32]]:
    """Return the kernels in the bytes of a file, each with the sum 1. Raises InputError."""
    suffix = pathlib.PurePath(path).suffix.lower()
    if len(data) > MOST_BYTES:
        raise errors.InputError(f"{path} has {len(data):,} bytes; a file of kernels has at most {MOST_BYTES:,}.")
    try:
        with errors.boundary(path, f"kernels in a {suffix} file"):
            arrays = list(_READERS[suffix](path, data))
    except MemoryError:  # a damaged file may claim any size
        raise errors.InputError(f"{path} claims more than there is memory for; write it again.") from None
    kernels = [
        own_kernels.checked(kernel, f"{path}: {name}", normalise=normalise).astype(np.float32)
        for name, array in arrays
        for name, kernel in _single(name, array, last=suffix == ".mat")
    ]
    if not kernels:
        raise errors.InputError(f"{path} has no kernel in it.")
    return kernels


Named = Iterator[tuple[str, npt.NDArray[Any]]]


def _single(name: str, array: npt.NDArray[Any], last: bool) -> Named:
    """Each kernel of a variable: of cells, and along the first axis of three, or the last in MATLAB's order."""
    if array.dtype == object:
        for k, each in enumerate(array.ravel().tolist()):
            yield f"{name} {k}", np.asarray(each)
    elif array.ndim == 3:
        yield from ((f"{name} {k}", each) for k, each in enumerate(np.moveaxis(array, -1, 0) if last else array))
    else:
        yield name, array


def _npy(path: str, data: bytes) -> Named:
    yield "kernel", _array(path, data)


def _npz(path: str, data: bytes) -> Named:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        if sum(member.file_size for member in file.infolist()) > MOST_BYTES:
            raise errors.InputError(f"{path} unpacks to more than {MOST_BYTES:,} bytes, the most for kernels.")
        members = {name.removesuffix(".npy"): name for name in sorted(file.namelist())}
        for name in _chosen(list(members)):
            yield name, _array(path, file.read(members[name]))


def _array(path: str, data: bytes) -> npt.NDArray[Any]:
    """A .npy file, which says no more than it has."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    count = 1
    for length in shape:
        count *= length
    if dtype.hasobject or dtype.itemsize == 0 or count * dtype.itemsize != len(data) - file.tell():
        raise errors.InputError(f"{path} is damaged: its header says {shape} of {dtype}. Write it again.")
    file.seek(0)
    loaded: npt.NDArray[Any] = np.load(file, allow_pickle=False)
    return loaded


def _mat(path: str, data: bytes) -> Named:
    variables = mat.read(path, data, MOST_BYTES)
    yield from ((name, variables[name]) for name in _chosen(list(variables)))


def _png(path: str, data: bytes) -> Named:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if max(image.size) > own_kernels.LARGEST:
            raise errors.InputError(f"{path} has {image.size[0]}x{image.size[1]} px; a kernel is smaller.")
        if image.mode not in ("L", "I;16", "I", "1", "RGB"):
            raise errors.InputError(f"{path} has the mode {image.mode}; save it as grey values of 8 or 16 bits.")
        values = np.array(image)
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise errors.InputError(f"{path} is coloured; a kernel has one weight a pixel. Save it in grey.")
        values = values[..., 0]
    yield "kernel", values


def _chosen(names: list[str]) -> list[str]:
    """Which variables are kernels."""
    for name in NAMES:
        if name in names:
            return [name]
    return names


_READERS = {".npy": _npy, ".npz": _npz, ".mat": _mat, ".png": _png}
