"""Maps that lie beside photos: a number for each pixel, from 16-bit PNG or NumPy's .npy; colours that are numbers.

Unlike a photo, a map is read as it is stored: nothing is converted, and nothing turned.
"""

import io
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.media import photos

ENDINGS = (".png", ".npy")

_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_GREY_16 = ("I;16", "I;16B", "I")  # what Pillow calls 16-bit grey, by version


def probe(path: pathlib.Path, data: bytes) -> tuple[int, int]:
    """(height, width) of a map of numbers, from the file's header. Raises InputError as `read` does."""
    if path.suffix.lower() == ".npy":
        height, width = _array(path, data).shape
        return height, width
    _require_upright(path, data)
    with photos.opened(path, data) as image:
        _require_grey(path, image.mode)
        return image.height, image.width


def read(path: pathlib.Path, data: bytes) -> npt.NDArray[np.float32]:
    """A map of numbers: float32 (H, W), in the file's own unit, from the file's bytes; the path names them.

    Raises InputError for a PNG that is not 16-bit grey (8 bits are a picture of a map, not one), for an array that has
    not two dimensions of numbers, and for a damaged file.
    """
    if path.suffix.lower() == ".npy":
        # What is farther than float32 can say is infinitely far.
        with photos.refusing(path), np.errstate(over="ignore"):
            return np.array(_array(path, data), np.float32)
    with photos.opened(path, data) as image:
        _require_grey(path, image.mode)
        with photos.refusing(path):
            image.load()
    photos.verify_checksums(path, data)
    photos.require_all_rows(image, path, data)
    return np.array(image, np.float32)


def read_numbers(path: pathlib.Path, data: bytes) -> npt.NDArray[np.int32]:
    """A PNG whose colours are numbers, red + 256 green + 65536 blue (COCO's panoptic format): int32 (H, W)."""
    with photos.opened(path, data) as image:
        if image.mode != "RGB":
            raise errors.InputError(f"{path} is a PNG of mode {image.mode}; a panoptic map is 8-bit RGB.")
        with photos.refusing(path):
            image.load()
    photos.verify_checksums(path, data)
    photos.require_all_rows(image, path, data)
    colours = np.array(image, np.int32)
    numbers: npt.NDArray[np.int32] = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    return numbers


def size(path: pathlib.Path, data: bytes) -> tuple[int, int]:
    """(height, width) of a PNG of numbers as colours, from its header. Raises InputError as `read_numbers` does."""
    _require_upright(path, data)
    with photos.opened(path, data) as image:
        return image.height, image.width


def nearest(values: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """A map (H, W) at another size, each pixel as the one whose area holds its middle: numbers are never mixed."""
    if values.shape == (height, width):
        return values
    rows, columns = (
        ((np.arange(extent) + 0.5) * now / extent).astype(np.intp)
        for extent, now in ((height, values.shape[0]), (width, values.shape[1]))
    )
    return np.ascontiguousarray(values[rows[:, None], columns])


def _require_upright(path: pathlib.Path, data: bytes) -> None:
    """Raise InputError for a map that says of itself that it is to be turned: which way its photo is turned is not its
    business."""
    turned = photos.orientation(path, data)
    if turned != 1:
        raise errors.InputError(
            f"{path} has the EXIF orientation {turned}; a map is read as it is stored. Turn it, and write it without."
        )


def _require_grey(path: pathlib.Path, mode: str) -> None:
    if mode not in _GREY_16:
        raise errors.InputError(
            f"{path} is a PNG of mode {mode}; a depth map is a 16-bit grey PNG or a .npy of (H, W)."
        )


def _array(path: pathlib.Path, data: bytes) -> npt.NDArray[Any]:
    """The array in a .npy: a view of its bytes, so that a header cannot ask for more memory than the file has."""
    file = io.BytesIO(data)
    with photos.refusing(path):
        read_header = _NPY_HEADERS[np.lib.format.read_magic(file)]
        shape, by_columns, dtype = read_header(file)
    if len(shape) != 2 or dtype.kind not in "fiu":
        raise errors.InputError(f"{path} holds {dtype} of shape {shape}; a map is one number a pixel, of shape (H, W).")
    with photos.refusing(path):
        values = np.frombuffer(data, dtype, shape[0] * shape[1], file.tell())
    return values.reshape(shape, order="F" if by_columns else "C")
