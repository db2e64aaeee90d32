"""What comes out of every way of making a pair. Shapes are stated here once."""

import dataclasses

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Pair:
    """One training pair: the same scene, blurred and sharp, aligned.

    blurred_HWC, sharp_HWC: uint8 RGB, encoded with the dataset's transfer function. psf_KK: float32, sums to 1,
    centroid on the centre pixel; what blurred it.
    """

    blurred_HWC: npt.NDArray[np.uint8]
    sharp_HWC: npt.NDArray[np.uint8]
    psf_KK: npt.NDArray[np.float32]
