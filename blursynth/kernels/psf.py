"""Point spread functions (PSFs): a trajectory seen through an exposure, drawn on a grid with sub-pixel accuracy.

Position m of a path of M stands for the part [m / M, (m + 1) / M) of the exposure time. Its weight is the part of
that interval which lies inside the exposure, so the steps at the two ends count by their fraction. Each position is
shared among the four pixels around it with bilinear weights (Boracchi and Foi 2012; DeblurGAN's public code), which
keeps its centroid exactly; the whole sums to 1.
"""

import math

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.kernels import jit

CENTRINGS = ("centroid", "bounding-box")


def size_for(length: float) -> int:
    """The odd size, px, that holds the PSF of any part of any path of `length` px, centred on its centroid.

    No point of a path is further than length / 2 from the mean of its positions; one pixel more for the bilinear share.
    """
    assert length >= 0
    return 2 * (math.floor(length / 2) + 1) + 1


def rasterise(
    position: npt.ArrayLike, exposure: npt.ArrayLike, size: int, centring: str = "centroid"
) -> npt.NDArray[np.float32]:
    """Draw PSFs.

    position: float32 (N, M, 2), px, x to the right then y down, any origin. exposure: float32 (N, 2), start and end
    as fractions of the path, 0 <= start < end <= 1. size: side of the square canvas, px.
    centring: `centroid` puts the centroid on the centre of pixel (size // 2, size // 2); `bounding-box` does what
    DeblurGAN's public code does to the whole path: whole pixels, up to 7.6 px off centre.
    Returns float32 (N, size, size), axes [ky, kx], >= 0, each summing to 1 within 1e-6.
    Raises InputError if any weight would fall outside the canvas; the message names the size that would hold it.
    Differs from the public code: sums to 1 for every exposure, the first position has a weight, no index is clamped.
    """
    paths, spans = _checked(position, exposure, size, centring)
    psf = np.empty((paths.shape[0], size, size), np.float32)
    missing = _rasterise(paths, spans, centring == "bounding-box", True, psf)
    if missing > 0:
        needed = size + 2 * int(missing)
        raise errors.InputError(
            f"A kernel of {size}x{size} pixels cannot hold this motion blur: a size of {needed} would."
        )
    return psf


def size_needed(position: npt.ArrayLike, exposure: npt.ArrayLike, size: int, centring: str = "centroid") -> int:
    """`size` where a canvas of that side holds every one of these PSFs, else a side that does; see `rasterise`."""
    paths, spans = _checked(position, exposure, size, centring)
    canvas = np.empty((1, size, size), np.float32)
    return size + 2 * int(_rasterise(paths, spans, centring == "bounding-box", False, canvas))


def _checked(
    position: npt.ArrayLike, exposure: npt.ArrayLike, size: int, centring: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    paths = np.require(position, np.float32, ["C", "A", "W"])
    spans = np.require(exposure, np.float32, ["C", "A", "W"])
    assert paths.ndim == 3
    assert paths.shape[2] == 2
    assert spans.shape == (paths.shape[0], 2)
    assert centring in CENTRINGS, centring
    assert size >= 1
    assert np.all(np.isfinite(paths))
    if not np.all((spans[:, 0] >= 0) & (spans[:, 0] < spans[:, 1]) & (spans[:, 1] <= 1)):
        raise errors.InputError("An exposure must satisfy 0 <= start < end <= 1, as fractions of the path.")
    return paths, spans


@jit.inline
def _weight(sample: int, begin: float, end: float) -> float:
    """The part of [sample, sample + 1) that lies inside [begin, end)."""
    return min(sample + 1.0, end) - max(sample + 0.0, begin)


@jit.inline
def _centroid_shift(
    path: npt.NDArray[np.float32], first: int, last: int, begin: float, end: float, centre: float
) -> tuple[float, float]:
    """What to add to a position so that the exposed part's centroid lands on the centre pixel."""
    total, sum_x, sum_y = 0.0, 0.0, 0.0
    for sample in range(first, last):
        weight = _weight(sample, begin, end)
        total += weight
        sum_x += weight * np.float64(path[sample, 0])
        sum_y += weight * np.float64(path[sample, 1])
    return centre - sum_x / total, centre - sum_y / total


@jit.inline
def _box_shift(path: npt.NDArray[np.float32], size: int) -> tuple[float, float]:
    """DeblurGAN's public centring: the path's start keeps a whole-pixel position near the middle of the canvas."""
    x, y = np.float64(path[0, 0]), np.float64(path[0, 1])
    low_x, high_x, low_y, high_y = x, x, y, y
    for sample in range(1, path.shape[0]):
        x, y = np.float64(path[sample, 0]), np.float64(path[sample, 1])
        low_x, high_x = min(low_x, x), max(high_x, x)
        low_y, high_y = min(low_y, y), max(high_y, y)
    # The start's fraction of a pixel goes, one pixel is added, and half of the room left is added, rounded up.
    start_x, start_y = np.float64(path[0, 0]) - low_x, np.float64(path[0, 1]) - low_y
    shift_x = 1.0 - low_x - (start_x - np.floor(start_x))
    shift_y = 1.0 - low_y - (start_y - np.floor(start_y))
    shift_x += np.ceil((size - (high_x + shift_x)) / 2.0)
    shift_y += np.ceil((size - (high_y + shift_y)) / 2.0)
    return shift_x, shift_y


@jit.inline
def _missing(path: npt.NDArray[np.float32], first: int, last: int, shift_x: float, shift_y: float, size: int) -> float:
    """How many pixels the canvas lacks on its worst side, a whole number; 0 where the support fits."""
    low, high = 0.0, size - 1.0
    for sample in range(first, last):
        x, y = np.float64(path[sample, 0]) + shift_x, np.float64(path[sample, 1]) + shift_y
        low = min(low, min(x, y))
        high = max(high, max(x, y))
    return float(max(-np.floor(low), np.ceil(high) - (size - 1.0)))


@jit.inline
def _splat(
    path: npt.NDArray[np.float32],
    first: int,
    last: int,
    begin: float,
    end: float,
    shift_x: float,
    shift_y: float,
    canvas: npt.NDArray[np.float64],
) -> None:
    """Add bilinear weights to a canvas one pixel wider than the PSF.

    Successive positions mostly share their four pixels: the weights gather in registers until the path leaves them.
    """
    row, column = 0, 0
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for sample in range(first, last):
        weight = _weight(sample, begin, end)
        x, y = np.float64(path[sample, 0]) + shift_x, np.float64(path[sample, 1]) + shift_y
        here_column, here_row = int(x), int(y)  # not negative: checked before
        if here_row != row or here_column != column:
            canvas[row, column] += a
            canvas[row, column + 1] += b
            canvas[row + 1, column] += c
            canvas[row + 1, column + 1] += d
            row, column = here_row, here_column
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
        right, down = x - here_column, y - here_row
        lower = weight * down
        upper = weight - lower
        b += upper * right
        a += upper - upper * right
        d += lower * right
        c += lower - lower * right
    canvas[row, column] += a
    canvas[row, column + 1] += b
    canvas[row + 1, column] += c
    canvas[row + 1, column + 1] += d


@jit.kernel
def _rasterise(
    position: npt.NDArray[np.float32],
    exposure: npt.NDArray[np.float32],
    bounding_box: bool,
    draw: bool,
    psf: npt.NDArray[np.float32],
) -> float:
    """Fill `psf` if `draw`; returns how many pixels it lacks on its worst side, 0 where everything fits."""
    count, steps = position.shape[0], position.shape[1]
    size = psf.shape[1]
    canvas = np.empty((size + 1, size + 1))
    worst = 0.0
    for item in range(count):
        path = position[item]
        begin, end = np.float64(exposure[item, 0]) * steps, np.float64(exposure[item, 1]) * steps
        first, last = int(begin), int(np.ceil(end))
        if bounding_box:
            shift_x, shift_y = _box_shift(path, size)
        else:
            shift_x, shift_y = _centroid_shift(path, first, last, begin, end, size // 2)
        worst = max(worst, _missing(path, first, last, shift_x, shift_y, size))
        if worst > 0 or not draw:
            continue
        canvas.fill(0.0)
        _splat(path, first, last, begin, end, shift_x, shift_y, canvas)
        per_weight = 1.0 / (end - begin)
        for row in range(size):
            for column in range(size):
                psf[item, row, column] = canvas[row, column] * per_weight
    return worst
