"""Spatially varying motion blur: a grid of PSFs, blended with bilinear windows, in linear light.

    out = sum over grid points r of window_r (psf_r * image)

Each pixel of the result averages the light along its own path, as a camera's does: its PSF is interpolated from the
grid. This is the filter of Nagy and O'Leary (SIAM J. Sci. Comput. 19, 1998) with "tent" windows that add up to 1. The
efficient filter flow of Hirsch, Sra, Schölkopf and Harmeling (CVPR 2010, equation 5) applies the same windows before
the convolution; then flat areas do not stay flat where PSFs differ. The grid reaches from edge to edge.
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


def windows(points: int, extent: int) -> Floats32:
    """The windows along one axis, float32 (points, extent): tents that add up to 1 at every pixel."""
    if points == 1 or extent == 1:
        tents = np.zeros((points, extent))
        tents[0] = 1.0
        return tents.astype(np.float32)
    along = np.arange(extent) * ((points - 1) / (extent - 1))
    share: Floats32 = np.clip(1.0 - np.abs(along - np.arange(points)[:, np.newaxis]), 0.0, 1.0).astype(np.float32)
    return share


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
    down, across = windows(kernels.shape[0], height), windows(kernels.shape[1], width)
    result = np.zeros((height, width * channels), np.float32)
    rows = window.reshape(window.shape[0], -1)
    for gy, gx in np.ndindex(kernels.shape[:2]):
        if down[gy].any() and across[gx].any():
            offsets, weights = convolve.taps(kernels[gy, gx], window.shape)
            _add(rows, offsets, weights, down[gy], np.repeat(across[gx], channels), result)
    return result.reshape(height, width, channels)


@jit.contracted
def _add(
    window: Floats32,
    offsets: npt.NDArray[np.int64],
    weights: Floats32,
    down: Floats32,
    across: Floats32,
    result: Floats32,
) -> None:
    """Add the convolution to the result, through its window."""
    flat = window.reshape(-1)
    begin, end = 0, across.size
    while across[begin] == ZERO:
        begin += 1
    while across[end - 1] == ZERO:
        end -= 1
    total = np.empty(TILE, np.float32)
    for row in range(result.shape[0]):
        share = down[row]
        if share == ZERO:
            continue
        for left in range(begin, end, TILE):
            width = min(TILE, end - left)
            convolve.add_taps(flat, row * window.shape[1] + left, offsets, weights, total, width)
            for j in range(width):
                result[row, left + j] = result[row, left + j] + total[j] * (share * across[left + j])
