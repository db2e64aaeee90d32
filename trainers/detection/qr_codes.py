"""QR codes placed into photos: scenes in which a detector that needs no weights has something to find."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import typing as npt

from blursynth import errors
from blursynth.media import listing, opencv, photos, source_file
from blursynth.storage import reader

SIDES = (0.5, 0.72)
"""Smallest and largest side of a code, as a share of a cell's side."""

CELL = 224
"""Codes stand in a grid of cells of about this many pixels, one in each: a crop of that size mostly has one whole."""

_DARK, _LIGHT = (10, 60), (200, 250)


def place(pixels: npt.NDArray[np.uint8], seed: int, item: int) -> npt.NDArray[np.uint8]:
    """A photo with a code in every cell of a grid, of random size, place, turn and inks; a function of (seed, item).

    uint8 (H, W, 3) in and out, encoded light. Texts are "blursynth ITEM CELL".
    """
    cv2 = opencv.load("QR codes are read with it")
    encoder = cv2.QRCodeEncoder.create()
    result = pixels.copy()
    height, width = pixels.shape[:2]
    rows, columns = max(1, round(height / CELL)), max(1, round(width / CELL))
    numbers = np.random.Generator(np.random.PCG64([seed, item]))
    for cell in range(rows * columns):
        draws = numbers.uniform(size=8)
        modules = encoder.encode(f"blursynth {item} {cell}")
        # A quiet zone, without which a code is not one.
        modules = np.pad(modules, 3, constant_values=255)
        cell_side = min(height / rows, width / columns)
        side = cell_side * (SIDES[0] + (SIDES[1] - SIDES[0]) * draws[0])
        reach = (cell_side - side * 1.2) / 2
        centre = (
            (cell % columns + 0.5) * width / columns + reach * (2 * draws[1] - 1),
            (cell // columns + 0.5) * height / rows + reach * (2 * draws[2] - 1),
        )
        dark, light = (low + (high - low) * draw for (low, high), draw in ((_DARK, draws[3]), (_LIGHT, draws[4])))
        _paste(cv2, result, modules, centre, side, 24 * draws[5] - 12, (dark, light))
    return result


def _paste(
    cv2: Any,
    canvas: npt.NDArray[np.uint8],
    modules: npt.NDArray[np.uint8],
    centre: tuple[float, float],
    side: float,
    degrees: float,
    inks: tuple[float, float],
) -> None:
    """Draw a code over the canvas, turned about its centre, with smooth edges."""
    count = modules.shape[0]
    factor = 16
    large = np.kron(modules, np.ones((factor, factor), np.uint8)).astype(np.float32)
    painted = inks[0] + (inks[1] - inks[0]) * large / 255
    matrix = cv2.getRotationMatrix2D((count * factor / 2, count * factor / 2), degrees, side / (count * factor))
    matrix[:, 2] += np.array(centre) - count * factor / 2
    size = canvas.shape[1], canvas.shape[0]
    # Smoothed first: the code shrinks, and warping reads single pixels.
    blur = max(1.0, count * factor / side)
    painted = cv2.GaussianBlur(painted, (0, 0), 0.4 * blur)
    drawn = cv2.warpAffine(painted, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(np.ones_like(painted), matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    canvas[:] = np.rint(mask * drawn[..., None] + (1 - mask) * canvas).astype(np.uint8)


def place_all(source: pathlib.Path, out: pathlib.Path, seed: int, *, overwrite: bool = False) -> tuple[int, list[str]]:
    """Codes into every photo of a folder, or every sharp image of a dataset of pairs, as PNG files.

    Gives their number, and a sentence for each photo that was left out. InputError where there are none, where `out`
    is `source` or below it, where two photos would become one file, and, unless `overwrite`, where a file is there
    already.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise errors.InputError(f"{out} is the folder of the photos themselves, or lies in it; choose another --out.")
    left_out: list[str] = []
    targets: list[tuple[pathlib.Path, Callable[[], npt.NDArray[np.uint8]]]]
    if source_file.is_file(source / "zarr.json"):
        dataset = reader.open(source)
        targets = [
            (out / f"{item:08d}.png", functools.partial(_sharp, dataset, index))
            for index, item in enumerate(dataset.item_numbers.tolist())
        ]
    else:
        found = listing.files(source, listing.PHOTOS)
        left_out = list(listing.sentences(found.left_out, source))
        # In the order of paths, not of names: it numbers the photos, and so draws their codes.
        paths = sorted(map(pathlib.Path, found.names))
        targets = [((out / path).with_suffix(".png"), functools.partial(photos.read, source / path)) for path in paths]
    if not targets:
        raise errors.InputError(f"{source} has no photos to place codes into, and is no dataset of pairs.")
    names = [target for target, _ in targets]
    twice = [target for target in names if names.count(target) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise errors.InputError(f"Several photos of {source} would become {twice[0]}; rename all but one.")
    there = [target for target in names if target.exists()]
    if there and not overwrite:
        raise errors.InputError(
            f"{len(there)} of the results exist already, the first being {there[0]}; give --overwrite to replace them, "
            "or another --out."
        )
    placed = 0
    for item, (target, read) in enumerate(targets):
        try:
            image = read()
        except (errors.InputError, errors.SourceError) as error:
            left_out.append(str(error))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        photos.write_png(target, place(image, seed, item))
        placed += 1
    return placed, left_out


def _sharp(dataset: reader.Dataset, index: int) -> npt.NDArray[np.uint8]:
    image: npt.NDArray[np.uint8] = dataset.read("sharp", [index])[0]
    return image
