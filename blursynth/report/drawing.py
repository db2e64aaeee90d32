"""Cells of a contact sheet: photos, kernels and paths as uint8 RGB of a given size, and their arrangement."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]

GAP = 8  # px between cells
CAPTION = 18  # px of a caption's line
PAPER = (250, 250, 250)
INK = (30, 30, 30)
_TINTS = ((250, 200, 40), (230, 80, 60), (80, 200, 90), (80, 120, 240))
SUPERSAMPLE = 4  # a path is drawn this much larger and scaled down, which smooths its line


def photo(pixels_HWC: Picture, size: int) -> Picture:
    """A photo whose longer side is scaled to `size` px; small ones are enlarged without smoothing."""
    image = Image.fromarray(pixels_HWC)
    scale = size / max(image.size)
    shape = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(shape, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS))


def on_paper(picture: Picture, size: int) -> Picture:
    """A picture of at most size x size px in the middle of a cell of that size."""
    height, width = picture.shape[:2]
    cell = np.full((size, size, 3), PAPER, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    cell[top : top + height, left : left + width] = picture
    return cell


def tinted(pixels_HWC: Picture, number_HW: npt.NDArray[np.uint8]) -> Picture:
    """A photo at half its brightness, each number above 0 in a colour of its own."""
    colours = np.array([_TINTS[number % len(_TINTS)] if number else (0, 0, 0) for number in range(256)], np.uint8)
    mixed: Picture = pixels_HWC // 2 + colours[number_HW] // 2
    return mixed


def kernel(psf_KK: npt.NDArray[np.float32], size: int) -> Picture:
    """A PSF, black to white at its peak (square root, so that faint parts show), centre pixel outlined in red."""
    shown = np.sqrt(psf_KK / max(float(psf_KK.max()), 1e-12))
    grey = Image.fromarray((255 * shown).round().astype(np.uint8)).convert("RGB")
    grey = grey.resize((size, size), Image.Resampling.NEAREST)
    pixel = size / psf_KK.shape[0]
    corner = (psf_KK.shape[0] // 2) * pixel
    ImageDraw.Draw(grey).rectangle((corner, corner, corner + pixel, corner + pixel), outline=(220, 40, 40))
    return np.asarray(grey)


def kernels(psf_YXKK: npt.NDArray[np.float32], size: int) -> Picture:
    """A field of PSFs as it lies across the image, each cut to what the widest of them needs."""
    rows, columns, extent = psf_YXKK.shape[:3]
    side = size // max(rows, columns)
    seen = np.argwhere((psf_YXKK > 1e-3 * psf_YXKK.max()).any(axis=(0, 1))) - extent // 2
    reach = min(int(np.abs(seen).max()) + 1, extent // 2)
    psf_YXKK = psf_YXKK[
        ..., extent // 2 - reach : extent // 2 + reach + 1, extent // 2 - reach : extent // 2 + reach + 1
    ]
    shown = np.zeros((size, size, 3), np.uint8)
    for row, column in np.ndindex(rows, columns):
        cell = shown[row * side : (row + 1) * side, column * side : (column + 1) * side]
        cell[: side - 1, : side - 1] = kernel(psf_YXKK[row, column], side - 1)
    return shown


def path(position_MA: npt.NDArray[np.float32], size: int, extent: float) -> Picture:
    """A trajectory in px around its mean, `extent` px across the cell; blue at its start, orange at its end."""
    large = size * SUPERSAMPLE
    image = Image.new("RGB", (large, large), "white")
    pen = ImageDraw.Draw(image)
    pen.line((0, large / 2, large, large / 2), fill=(225, 225, 225), width=SUPERSAMPLE)
    pen.line((large / 2, 0, large / 2, large), fill=(225, 225, 225), width=SUPERSAMPLE)
    centred = position_MA - position_MA.mean(axis=0)
    points = (centred / extent + 0.5) * large
    for k in range(len(points) - 1):
        pen.line([tuple(points[k]), tuple(points[k + 1])], fill=_time_colour(k / len(points)), width=2 * SUPERSAMPLE)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def _time_colour(fraction: float) -> tuple[int, int, int]:
    start, end = (38, 92, 190), (235, 130, 20)
    red, green, blue = (round(a + (b - a) * fraction) for a, b in zip(start, end, strict=True))
    return red, green, blue


def grid(cells: Sequence[Picture], captions: Sequence[str], columns: int, title: str) -> Picture:
    """Cells of one size in rows of `columns`, each with its caption below, under a title."""
    size = cells[0].shape[0]
    rows = math.ceil(len(cells) / columns)
    pitch_x, pitch_y = size + GAP, size + CAPTION + GAP
    image = Image.new("RGB", (columns * pitch_x + GAP, rows * pitch_y + GAP + CAPTION), PAPER)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=13)
    pen.text((GAP, GAP / 2), _fitted(title, image.width - 2 * GAP, font), fill=INK, font=font)
    for k, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        x, y = GAP + (k % columns) * pitch_x, GAP + CAPTION + (k // columns) * pitch_y
        image.paste(Image.fromarray(cell), (x, y))
        pen.text((x, y + size + 1), _fitted(caption, size, font), fill=INK, font=font)
    return np.asarray(image)


def _fitted(text: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, cut with an ellipsis where it is wider than `width` px."""
    while text and font.getlength(text) > width:
        text = text.rstrip("…")[:-1] + "…" if len(text) > 2 else ""
    return text
