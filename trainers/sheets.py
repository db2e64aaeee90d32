"""Sample sheets: one row an image, blurred, restored and sharp from left to right."""

import math
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

    The images of a row have one size. Columns are as wide as their widest image or caption.
    """
    cut = [[_centre(image) for image in row] for row in rows]
    font = ImageFont.load_default(size=13)
    widths = [
        max(max(image.shape[1] for image in images), *(math.ceil(font.getlength(text)) for text in texts))
        for images, texts in zip(zip(*cut, strict=True), zip(*captions, strict=True), strict=True)
    ]
    height = sum(row[0].shape[0] + CAPTION + GAP for row in cut) + GAP
    canvas = np.full((height, sum(width + GAP for width in widths) + GAP, 3), _GREY, np.uint8)
    texts = []
    top = GAP
    for row, row_captions in zip(cut, captions, strict=True):
        left = GAP
        for image, caption, width in zip(row, row_captions, widths, strict=True):
            canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
            texts.append(((left, top + image.shape[0] + 1), caption))
            left += width + GAP
        top += row[0].shape[0] + CAPTION + GAP
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for place, text in texts:
        pen.text(place, text, fill="white", font=font)
    return np.array(picture)


def _centre(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    top, left = (max(0, (size - LARGEST) // 2) for size in image.shape[:2])
    return image[top : top + LARGEST, left : left + LARGEST]
