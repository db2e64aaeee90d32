"""Spatially varying motion blur: a grid of PSFs, blended with bilinear windows, in linear light.

    out = sum over grid points r of psf_r * (window_r image)

which is the efficient filter flow of Hirsch, Sra, Schölkopf and Harmeling (CVPR 2010, equation 5) with "tent" windows
that add up to 1. The image is windowed before it is convolved, so a point of light becomes the PSF interpolated at its
own place. The grid reaches from edge to edge; beyond it the outermost PSFs hold.
"""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import convolve, jit

TILE = convolve.TILE
ZERO = np.float32(0.0)

Floats32 = npt.NDArray[np.float32]


def positions(points: int, extent: int) -> npt.NDArray[np.float64]:
    """Where `points` grid points lie along `extent` pixels: evenly from the first to the last, or in the middle."""
    assert points >= 1
    return np.linspace(0.0, extent - 1.0, points) if points > 1 else np.array([(extent - 1) / 2])


def windows(points: int, extent: int, margin_before: int, margin_after: int) -> Floats32:
    """The windows along one axis, float32 (points, extent + margins): tents that add up to 1 at every pixel."""
    place = np.arange(-margin_before, extent + margin_after, dtype=np.float64)
    at = positions(points, extent)
    if points == 1 or extent == 1:
        tents = np.zeros((points, place.size))
        tents[0] = 1.0
        return tents.astype(np.float32)
    along = np.clip(place / (at[1] - at[0]), 0.0, points - 1.0)
    return np.clip(1.0 - np.abs(along - np.arange(points)[:, np.newaxis]), 0.0, 1.0).astype(np.float32)


def blur(image: npt.ArrayLike, psf_field: npt.ArrayLike) -> Floats32:
    """Convolve linear light with a field of PSFs.

    image: float32 (H + K - 1, W + K - 1, C), linear light, the result's window with its margin as in
    `convolve.uniform`. psf_field: float32 (GY, GX, K, K), axes [ky, kx], each summing to 1, at `positions(GY, H)` and
    `positions(GX, W)` of the result. Returns float32 (H, W, C), not clipped, within 1e-5 of the exact sum.
    """
    window = np.require(image, np.float32, ["C", "A", "W"])
    kernels = np.require(psf_field, np.float32, ["C", "A", "W"])
    assert window.ndim == 3
    assert kernels.ndim == 4
    size = kernels.shape[2]
    assert kernels.shape[3] == size
    assert min(window.shape[:2]) >= size
    height, width, channels = window.shape[0] - size + 1, window.shape[1] - size + 1, window.shape[2]
    before, after = size - 1 - size // 2, size // 2
    down = windows(kernels.shape[0], height, before, after)
    across = windows(kernels.shape[1], width, before, after)
    result = np.zeros((height, width * channels), np.float32)
    for row, column in np.ndindex(kernels.shape[:2]):
        rows, columns = _span(down[row]), _span(across[column])
        tent = down[row, rows, np.newaxis] * across[column, np.newaxis, columns]
        part = window[rows, columns] * tent[:, :, np.newaxis]
        _add(part, rows.start, columns.start, kernels[row, column], result, channels)
    return result.reshape(height, width, channels)


def _span(tent: Floats32) -> slice:
    """The pixels that a window lets through."""
    through = np.flatnonzero(tent)
    return slice(int(through[0]), int(through[-1]) + 1)


def _add(part: Floats32, top: int, left: int, psf: Floats32, result: Floats32, channels: int) -> None:
    """Add the convolution of a windowed part, whose corner lies at (top, left) in the image's window, to the result."""
    size = psf.shape[0]
    padding = size - 1
    # Zeros on both sides along a row; above and below, taps that would meet none of the part are left out instead.
    padded = np.pad(part, ((0, 0), (padding, padding), (0, 0)))
    flipped = psf[::-1, ::-1]
    tap_rows, tap_columns = np.nonzero(flipped)
    first_tap = np.searchsorted(tap_rows, np.arange(size + 1))  # taps come row by row
    first_column = max(0, left - padding)
    last_column = min(result.shape[1] // channels, left + part.shape[1])
    _convolve_part(
        padded.reshape(part.shape[0], -1),
        tap_rows,
        tap_columns * channels,
        np.ascontiguousarray(flipped[tap_rows, tap_columns]),
        first_tap,
        top,
        (first_column - left + padding) * channels,
        first_column * channels,
        last_column * channels,
        result,
    )


@jit.contracted
def _convolve_part(
    part: Floats32,
    tap_rows: npt.NDArray[np.int64],
    tap_columns: npt.NDArray[np.int64],
    weights: Floats32,
    first_tap: npt.NDArray[np.int64],
    top: int,
    skip: int,
    begin: int,
    end: int,
    result: Floats32,
) -> None:
    """result[row, begin:end] += taps times the rows of the part that they meet."""
    flat = part.reshape(-1)
    rows, stride = part.shape
    size = first_tap.size - 1
    offsets = np.empty(tap_rows.size, np.int64)
    for t in range(tap_rows.size):
        offsets[t] = tap_rows[t] * stride + tap_columns[t]
    total = np.empty(TILE, np.float32)
    for row in range(max(0, top - size + 1), min(result.shape[0], top + rows)):
        # Tap row k meets row (row + k - top) of the part.
        low, high = first_tap[max(0, top - row)], first_tap[min(size, top + rows - row)]
        for left in range(begin, end, TILE):
            width = min(TILE, end - left)
            base = (row - top) * stride + skip + left - begin
            convolve.add_taps(flat, base, offsets[low:high], weights[low:high], total, width)
            for j in range(width):
                result[row, left + j] = result[row, left + j] + total[j]
