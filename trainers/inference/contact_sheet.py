"""Sample sheets: a row for each image, with blurred, restored and sharp from left to right."""

from collections.abc import Sequence

import numpy as np
from numpy import typing as npt
from PIL import Image, ImageDraw, ImageFont

LARGEST = 384
"""Images larger than this many pixels are shown by their centre, pixel for pixel."""

SMALLEST = 192
"""Images whose longer side is smaller are enlarged by the least whole number that makes it no smaller than this."""

GAP = 4
LINE = 18
"""Pixels for a line of text under an image."""

_GREY = 127


def sheet(rows: Sequence[Sequence[npt.NDArray[np.uint8]]], captions: Sequence[Sequence[str]]) -> npt.NDArray[np.uint8]:
    """Lay out rows of images, uint8 (h, w, 3), with captions, as one picture, uint8 (H, W, 3).

    The images of a row have one size. Columns are as wide as their widest image; captions break into lines that fit.
    """
    shown = [[_enlarged(_centre(image)) for image in row] for row in rows]
    font = ImageFont.load_default(size=13)
    widths = [max(image.shape[1] for image in images) for images in zip(*shown, strict=True)]
    texts = [[_broken(text, width, font) for text, width in zip(row, widths, strict=True)] for row in captions]
    heights = [
        row[0].shape[0] + LINE * max(len(lines) for lines in row_texts)
        for row, row_texts in zip(shown, texts, strict=True)
    ]
    canvas = np.full((sum(heights) + GAP * (len(rows) + 1), sum(widths) + GAP * (len(widths) + 1), 3), _GREY, np.uint8)
    lefts = [GAP + sum(widths[:column]) + GAP * column for column in range(len(widths))]
    tops = [GAP + sum(heights[:row]) + GAP * row for row in range(len(rows))]
    for row, top in zip(shown, tops, strict=True):
        for image, left in zip(row, lefts, strict=True):
            canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for row, row_texts, top in zip(shown, texts, tops, strict=True):
        for lines, left in zip(row_texts, lefts, strict=True):
            for number, line in enumerate(lines):
                pen.text((left, top + row[0].shape[0] + LINE * number + 1), line, fill="white", font=font)
    return np.array(picture)


def _centre(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    top, left = (max(0, (size - LARGEST) // 2) for size in image.shape[:2])
    return image[top : top + LARGEST, left : left + LARGEST]


def _enlarged(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    factor = max(1, -(-SMALLEST // max(image.shape[:2])))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _broken(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Break a caption into lines of whole words where they fit, of letters where a word does not."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        lines += [""] if lines[-1] else []
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines
