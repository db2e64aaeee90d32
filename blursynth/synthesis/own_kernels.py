"""Point spread functions that were not drawn here: whether they are PSFs, and on which canvas they lie."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.kernels import random

SUM_WITHIN = 1e-3
"""How far from 1 a kernel's sum may be by rounding alone: in half precision or in decimals of a text."""

_EXACT = 5e-7  # the sum of float32 weights that were made to sum to 1, which are kept to the bit

LARGEST = 4095
"""The largest side in px."""

Read = Callable[[npt.NDArray[np.int64], int], npt.NDArray[np.float32]]
"""Numbers of kernels (N,) and an odd side K to kernels, float32 (N, K, K)."""


def choose(seed: int, items: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Draw the number of the kernel of each item: any of `count`, with equal probability."""
    fractions = random.uniforms(seed, random.Stream.KERNEL_CHOICE, items, 1)[:, 0]
    return np.minimum((fractions * count).astype(np.int64), count - 1)


def checked(kernel: npt.NDArray[Any], name: str, *, normalise: bool) -> npt.NDArray[np.float64]:
    """Return a kernel with the sum 1: float64 (rows, columns).

    Raises InputError, naming it, for what is not two-dimensional, not of real numbers, negative, not finite, or too
    large; and for a sum that is not 1, unless it is to be normalised.
    """
    values = np.asarray(kernel)
    if values.ndim != 2 or values.dtype.kind not in "fiub" or not values.size:
        raise errors.InputError(
            f"{name} has the shape {values.shape} and the type {values.dtype}; expected real numbers in rows and "
            "columns."
        )
    if max(values.shape) > LARGEST:
        raise errors.InputError(
            f"{name} has {values.shape[0]}x{values.shape[1]} px; a kernel has at most {LARGEST} on a side. Crop it."
        )
    weights = values.astype(np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any():
        what = "negative weights" if np.isfinite(weights).all() else "weights that are not finite (NaN or infinite)"
        raise errors.InputError(f"{name} has {what}; a kernel says how light is spread, so each weight is 0 or more.")
    total = float(weights.sum())
    if not 0 < total < np.inf:
        raise errors.InputError(f"{name} has the sum {total:g}; expected some light.")
    if abs(total - 1) > SUM_WITHIN and not normalise:
        raise errors.InputError(
            f"{name} has the sum {total:g}, not 1, and would change the brightness. Scale it, or give --normalise "
            "(normalise=True in Python)."
        )
    return weights if abs(total - 1) <= _EXACT else weights / total


def side(kernels: Sequence[npt.NDArray[Any]]) -> int:
    """Return the odd side, px, of a canvas that holds each kernel with its middle pixel in the middle; 3 or more."""
    return max(3, *(2 * (max(map(int, kernel.shape)) // 2) + 1 for kernel in kernels))


def on_canvas(kernel_YX: npt.NDArray[Any], side: int) -> npt.NDArray[np.float32]:
    """Return kernels, (..., rows, columns), with pixel (rows // 2, columns // 2) at (side // 2, side // 2)."""
    rows, columns = kernel_YX.shape[-2:]
    top, left = side // 2 - rows // 2, side // 2 - columns // 2
    canvas = np.zeros((*kernel_YX.shape[:-2], side, side), np.float32)
    canvas[..., top : top + rows, left : left + columns] = kernel_YX
    return canvas
