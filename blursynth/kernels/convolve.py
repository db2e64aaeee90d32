"""Uniform motion blur: the convolution of an image with one PSF, in linear light.

    out[y, x] = sum over ky, kx of window[y + K - 1 - ky, x + K - 1 - kx] * psf[ky, kx]

A true convolution: a point of light becomes the PSF, unflipped. The window is the image with its margin: K - 1 rows
and columns more than the result. With the PSF's centroid on pixel (K // 2, K // 2), result pixel (0, 0) lies at
window pixel (K - 1 - K // 2, K - 1 - K // 2).

A motion PSF touches some hundred of its pixels, so the sum runs over those alone and beats an FFT. A tile of TILE
values of one row (columns times channels, flat) stays in the cache while the taps are added to it in a fixed order,
so a value does not depend on where its tile begins.
"""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, response

TILE = 512
ZERO = np.float32(0.0)


def uniform(image: npt.ArrayLike, psf: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Convolve linear light.

    image: float32 (H + K - 1, W + K - 1, C), linear light, the result's window with its margin. psf: float32 (K, K),
    axes [ky, kx]. Returns float32 (H, W, C), not clipped, within 1e-5 of the exact sum for a PSF that sums to 1.
    """
    window = np.require(image, np.float32, ["C", "A", "W"])
    offsets, weights = taps(np.asarray(psf, np.float32), window.shape)
    result = np.empty(_result_shape(window.shape, np.shape(psf)), np.float32)
    _uniform(window.reshape(window.shape[0], -1), offsets, weights, result.reshape(result.shape[0], -1))
    return result


def uniform_encoded(window: npt.ArrayLike, psf: npt.ArrayLike, transfer: str) -> npt.NDArray[np.uint8]:
    """Decode by table, convolve in linear light, and encode to the nearest code, in one pass.

    window: uint8 (H + K - 1, W + K - 1, C), encoded. psf: float32 (K, K), axes [ky, kx]. transfer: one of
    `response.TRANSFER_FUNCTIONS`. Returns uint8 (H, W, C), encoded. A delta at (K // 2, K // 2) is the identity.
    """
    codes = np.require(window, np.uint8, ["C", "A", "W"])
    offsets, weights = taps(np.asarray(psf, np.float32), codes.shape)
    result = np.empty(_result_shape(codes.shape, np.shape(psf)), np.uint8)
    table = response.encode_table(transfer)
    _uniform_encoded(
        codes.reshape(codes.shape[0], -1),
        response.decode_table(transfer).copy(),
        table.code,
        table.step,
        offsets,
        weights,
        result.reshape(result.shape[0], -1),
    )
    return result


def _result_shape(window: tuple[int, ...], psf: tuple[int, ...]) -> tuple[int, int, int]:
    assert len(window) == 3
    assert len(psf) == 2
    assert psf[0] == psf[1]
    height, width, channels = window
    assert height >= psf[0]
    assert width >= psf[0]
    return height - psf[0] + 1, width - psf[0] + 1, channels


def taps(
    psf: npt.NDArray[np.float32], window: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The PSF's non-zero pixels: offsets from a result value into the flat window, and weights; row by row."""
    flipped = psf[::-1, ::-1]
    rows, columns = np.nonzero(flipped)
    offsets = (rows * window[1] + columns) * window[2]
    return offsets.astype(np.int64), np.ascontiguousarray(flipped[rows, columns])


@jit.inline
def add_taps(
    flat: npt.NDArray[np.float32],
    base: int,
    offsets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    total: npt.NDArray[np.float32],
    width: int,
) -> None:
    """total[j] = sum over taps of weight * flat[base + offset + j], four taps to a pass over the tile."""
    taps = offsets.size
    for j in range(width):
        total[j] = ZERO
    for t in range(0, taps - 3, 4):
        a, b, c, d = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
        at_a, at_b = flat[base + offsets[t] :], flat[base + offsets[t + 1] :]
        at_c, at_d = flat[base + offsets[t + 2] :], flat[base + offsets[t + 3] :]
        for j in range(width):
            total[j] = total[j] + a * at_a[j] + b * at_b[j] + c * at_c[j] + d * at_d[j]
    for t in range(taps - taps % 4, taps):
        a = weights[t]
        at_a = flat[base + offsets[t] :]
        for j in range(width):
            total[j] = total[j] + a * at_a[j]


@jit.contracted
def _uniform(
    window: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    result: npt.NDArray[np.float32],
) -> None:
    flat = window.reshape(-1)
    height, values = result.shape
    total = np.empty(TILE, np.float32)
    for left in range(0, values, TILE):
        width = min(TILE, values - left)
        for row in range(height):
            add_taps(flat, row * window.shape[1] + left, offsets, weights, total, width)
            for j in range(width):
                result[row, left + j] = total[j]


@jit.contracted
def _uniform_encoded(
    codes: npt.NDArray[np.uint8],
    decode: npt.NDArray[np.float32],
    code: npt.NDArray[np.uint8],
    step: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    result: npt.NDArray[np.uint8],
) -> None:
    flat = np.empty(codes.size, np.float32)
    flat_codes = codes.reshape(-1)
    for i in range(flat.size):
        flat[i] = decode[flat_codes[i]]
    height, values = result.shape
    total = np.empty(TILE, np.float32)
    for left in range(0, values, TILE):
        width = min(TILE, values - left)
        for row in range(height):
            add_taps(flat, row * codes.shape[1] + left, offsets, weights, total, width)
            for j in range(width):
                result[row, left + j] = response.encode_value(total[j], code, step)
