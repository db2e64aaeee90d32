"""What is taken from OpenCV, which is imported when it is used."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors


@dataclasses.dataclass(frozen=True)
class Nearest:
    """index_HW: intp, the flat index of each pixel's nearest one that is not missing. distance_HW: float32, px."""

    index_HW: npt.NDArray[np.intp]
    distance_HW: npt.NDArray[np.float32]


def load(use: str, otherwise: str = "") -> Any:
    """OpenCV, with its own threads off. use: of it, and otherwise: what else to do, for the error where it is missing.

    Raises MissingPackageError.
    """
    try:
        import cv2
    except ImportError as error:
        raise errors.MissingPackageError(
            f"OpenCV cannot be loaded ({error}). {use}: install the system package libgl1 (Debian, Ubuntu) or the "
            f"Python package opencv-python-headless{otherwise}."
        ) from None
    cv2.setNumThreads(1)  # the caller's threads are the parallelism; OpenCV's own would wait for one another, busily
    return cv2


def nearest(missing_HW: npt.NDArray[np.bool_]) -> Nearest:
    """For each pixel the nearest one that is not missing, of which there is at least one; itself where it is one.

    Distances are those of a 5x5 chamfer (Borgefors 1986), 2 % off at most.
    """
    cv2 = load("Planes at several depths are continued with it")
    distance, label = cv2.distanceTransformWithLabels(
        missing_HW.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = np.flatnonzero(~missing_HW)
    place = np.zeros(int(label.max()) + 1, np.intp)
    place[label.reshape(-1)[known]] = known
    return Nearest(place[label], distance)
