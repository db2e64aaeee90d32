"""Sample sheets: one row an image, blurred, restored and sharp from left to right."""

from collections.abc import Sequence

import numpy as np
from numpy import typing as npt

LARGEST = 384
"""Images larger than this many pixels are shown by their centre, pixel for pixel."""

GAP = 4
_GREY = 127


def sheet(rows: Sequence[Sequence[npt.NDArray[np.uint8]]]) -> npt.NDArray[np.uint8]:
    """One picture, uint8 (H, W, 3), of rows of images, uint8 (h, w, 3); the images of a row have one size."""
    cut = [[_centre(image) for image in row] for row in rows]
    height = sum(row[0].shape[0] + GAP for row in cut) + GAP
    width = max(sum(image.shape[1] + GAP for image in row) for row in cut) + GAP
    canvas = np.full((height, width, 3), _GREY, np.uint8)
    top = GAP
    for row in cut:
        left = GAP
        for image in row:
            canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
            left += image.shape[1] + GAP
        top += row[0].shape[0] + GAP
    return canvas


def _centre(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    top, left = (max(0, (size - LARGEST) // 2) for size in image.shape[:2])
    return image[top : top + LARGEST, left : left + LARGEST]
