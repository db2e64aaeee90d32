"""Sharp photo + PSF -> pair: uniform motion blur in linear light."""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import convolve
from blursynth.synthesis import sample


def blur(
    photo_HWC: npt.NDArray[np.uint8],
    psf_KK: npt.NDArray[np.float32],
    transfer: str,
    top: int,
    left: int,
    height: int,
    width: int,
) -> sample.Pair:
    """The crop of a photo at (top, left), and the same crop blurred.

    blurred(x) = g(sum_t psf(t) g^-1(photo(x - t))), equation 1 of Kupyn et al. 2018 without noise, with g the
    transfer function. The blur is taken over the crop and its margin in the photo; only beyond the photo's own edge
    is it reflected. The sharp crop is bit-equal to the photo and stays where it is; the PSF is centred, so the two
    are aligned. The photo (uint8, encoded) is not changed.
    """
    margin = psf_KK.shape[0] // 2
    sharp_HWC = photo_HWC[top : top + height, left : left + width].copy()
    window = with_margin(photo_HWC, top, left, height, width, margin)
    return sample.Pair(convolve.uniform_encoded(window, psf_KK, transfer), sharp_HWC, psf_KK)


def light(
    photo_HWC: npt.NDArray[np.uint8],
    psf_KK: npt.NDArray[np.float32],
    table: npt.NDArray[np.float32],
    top: int,
    left: int,
    height: int,
    width: int,
) -> npt.NDArray[np.float32]:
    """The blurred crop as `blur` takes it, as light: float32 (height, width, 3), not clipped.

    table: the linear light of each code, float32 (256,).
    """
    window = with_margin(photo_HWC, top, left, height, width, psf_KK.shape[0] // 2)
    return convolve.uniform(table[window], psf_KK)


def with_margin(
    photo_HWC: npt.NDArray[np.uint8], top: int, left: int, height: int, width: int, margin: int
) -> npt.NDArray[np.uint8]:
    """The crop and `margin` px around it: the photo's own pixels where it has them, reflected beyond its edge.

    Returns uint8 (height + 2 margin, width + 2 margin, C). The edge pixel itself is not repeated (d c b | a b c d).
    """
    rows, above, below = _inside(top - margin, top + height + margin, photo_HWC.shape[0])
    columns, before, after = _inside(left - margin, left + width + margin, photo_HWC.shape[1])
    window_HWC = photo_HWC[rows, columns]
    if above or below or before or after:
        # What is cut is longer than what is missing, or the whole photo: its reflection is the photo's.
        return np.pad(window_HWC, ((above, below), (before, after), (0, 0)), mode="reflect")
    return np.ascontiguousarray(window_HWC)


def _inside(start: int, stop: int, size: int) -> tuple[slice, int, int]:
    """The part of [start, stop) that lies in [0, size), and how much is missing before and after it."""
    return slice(max(start, 0), min(stop, size)), max(-start, 0), max(stop - size, 0)
