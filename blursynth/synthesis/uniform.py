"""Sharp photo + PSF -> blurred photo: uniform motion blur in linear light."""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import convolve
from blursynth.synthesis import crop as crops


def blur(crop: crops.Crop, psf_KK: npt.NDArray[np.float32], transfer: str) -> npt.NDArray[np.uint8]:
    """The blurred crop, uint8 (height, width, 3), encoded.

    blurred(x) = g(sum_t psf(t) g^-1(photo(x - t))), equation 1 of Kupyn et al. 2018 without noise, with g the
    transfer function. The blur is taken over the crop and its margin in the photo; only beyond the photo's own edge
    is it reflected. The PSF is centred, so that the blurred crop is aligned with the sharp one.
    """
    return convolve.uniform_encoded(crop.window(psf_KK.shape[0] // 2), psf_KK, transfer)


def light(crop: crops.Crop, psf_KK: npt.NDArray[np.float32], table: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The blurred crop as `blur` takes it, as light: float32 (height, width, 3), not clipped.

    table: the linear light of each code, float32 (256,).
    """
    return convolve.uniform(table[crop.window(psf_KK.shape[0] // 2)], psf_KK)
