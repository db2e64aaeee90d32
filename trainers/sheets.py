"""Sample sheets: one row an image, blurred, restored and sharp from left to right."""

from collections.abc import Sequence

import numpy as np
from numpy import typing as npt
from PIL import Image, ImageDraw, ImageFont

LARGEST = 384
"""Images larger than this many pixels are shown by their centre, pixel for pixel."""

GAP = 4
CAPTION = 18
"""Pixels for the line of text under each image."""

_GREY = 127


def sheet(rows: Sequence[Sequence[npt.NDArray[np.uint8]]], captions: Sequence[Sequence[str]]) -> npt.NDArray[np.uint8]:
    """One picture, uint8 (H, W, 3), of rows of images, uint8 (h, w, 3), with a caption under each.

    The images of a row have one size.
    """
    cut = [[_centre(image) for image in row] for row in rows]
    height = sum(row[0].shape[0] + CAPTION + GAP for row in cut) + GAP
    width = max(sum(image.shape[1] + GAP for image in row) for row in cut) + GAP
    canvas = np.full((height, width, 3), _GREY, np.uint8)
    texts = []
    top = GAP
    for row, row_captions in zip(cut, captions, strict=True):
        left = GAP
        for image, caption in zip(row, row_captions, strict=True):
            canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
            texts.append(((left, top + image.shape[0] + 1), caption))
            left += image.shape[1] + GAP
        top += row[0].shape[0] + CAPTION + GAP
    return _written(canvas, texts)


def _written(canvas: npt.NDArray[np.uint8], texts: list[tuple[tuple[int, int], str]]) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for place, text in texts:
        pen.text(place, text, fill="white", font=ImageFont.load_default(size=13))
    return np.array(picture)


def _centre(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    top, left = (max(0, (size - LARGEST) // 2) for size in image.shape[:2])
    return image[top : top + LARGEST, left : left + LARGEST]
