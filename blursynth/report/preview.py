"""The contact sheet of a dataset: some of its items as pictures."""

import dataclasses
import math
import pathlib
from typing import Literal

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.report import averaged, drawing, paths, shaken
from blursynth.storage import reader

PATH_POINTS = 400  # a path is drawn through at most this many of its samples


@dataclasses.dataclass(frozen=True)
class Cell:
    """picture: uint8 RGB, encoded, its longer side the cell's or less."""

    picture: drawing.Picture
    caption: str
    shows: Literal["photo", "kernel", "path"]


def sheet(dataset: reader.Dataset, count: int = 8, cell: int = 192) -> drawing.Picture:
    """`count` items spread evenly over the dataset, as uint8 RGB (H, W, 3).

    Pairs: a row an item with sharp, blurred, kernel (where stored) and path (where it was drawn for the item); of
    averaged frames, sharp, blurred, their difference and the frames used.
    Trajectories and PSFs: a grid. Raises DatasetError for a dataset that cannot be shown.
    """
    shown = cells(dataset, count, cell)
    flat = [each for row in shown for each in row]
    columns = len(shown[0]) if dataset.kind == "pairs" else _square(len(flat))
    title = f"{pathlib.PurePath(dataset.path).name}: {dataset.items} {dataset.kind}, {len(shown)} shown"
    return drawing.grid(
        [drawing.on_paper(each.picture, cell) for each in flat], [each.caption for each in flat], columns, title
    )


def cells(dataset: reader.Dataset, count: int, cell: int) -> list[list[Cell]]:
    """What `sheet` shows of each of its items, no picture larger than `cell` x `cell` px. Raises as `sheet` does."""
    if dataset.items == 0:
        raise errors.DatasetError(f"{dataset.path} has no valid items to show.")
    items = spread(dataset.items, count)
    if dataset.kind == "pairs":
        return _pairs(dataset, items, cell)
    if dataset.kind == "psfs":
        return _psfs(dataset, items, cell)
    if dataset.kind == "trajectories":
        return _trajectories(dataset, items, cell)
    raise errors.DatasetError(f"{dataset.path} holds {dataset.kind}; a preview can show pairs, psfs or trajectories.")


def spread(items: int, count: int) -> npt.NDArray[np.int64]:
    """At most `count` of so many items, at equal steps from the first to the last: int64, ascending."""
    return np.unique(np.linspace(0, items - 1, min(count, items)).round().astype(np.int64))


def _pairs(dataset: reader.Dataset, items: npt.NDArray[np.int64], cell: int) -> list[list[Cell]]:
    sharp_NHWC, blurred_NHWC = dataset.read("sharp", items), dataset.read("blurred", items)
    psf_NKK = dataset.read("psf", items) if "psf" in dataset.names else None
    fields = dataset.read("psf_field", items) if "psf_field" in dataset.names else None
    cameras = shaken.Cameras(dataset) if "camera_path" in dataset.names else None
    whose = dataset.read("object_mask", items) if "object_mask" in dataset.names else None
    follow = paths.follower(dataset)
    drawn = follow(items) if follow is not None else None
    windows = averaged.Clips(dataset) if averaged.is_averaged(dataset) else None
    names = [source["name"] for source in dataset.sources]
    split_names = dataset.attributes["splits"]
    rows = []
    for k, item in enumerate(items):
        source = names[dataset.columns["source"][item]]
        split = split_names[dataset.columns["split"][item]]
        row = [
            Cell(drawing.photo(sharp_NHWC[k], cell), f"{item} sharp ({split}): {source}", "photo"),
            Cell(drawing.photo(blurred_NHWC[k], cell), f"{item} blurred", "photo"),
        ]
        if psf_NKK is not None:
            caption = f"PSF {psf_NKK.shape[1]} px, peak {psf_NKK[k].max():.3f}"
            row.append(Cell(drawing.kernel(psf_NKK[k], cell), caption, "kernel"))
        if fields is not None:
            caption = f"{fields.shape[1]}x{fields.shape[2]} PSFs of {fields.shape[3]} px"
            row.append(Cell(drawing.kernels(fields[k], cell), caption, "kernel"))
        if whose is not None:
            shown = drawing.photo(drawing.tinted(sharp_NHWC[k], whose[k]), cell)
            row.append(Cell(shown, f"objects that move: {dataset.columns['objects'][item]}", "photo"))
        if cameras is not None:
            row.append(Cell(drawing.kernels(cameras.kernels(item), cell), cameras.caption(item), "kernel"))
        if drawn is not None:
            seen = drawn[k][: max(2, math.ceil(len(drawn[k]) * float(dataset.columns["exposure"][item])))]
            caption = f"path, {_extent(seen):.0f} px across, anxiety {dataset.columns['anxiety'][item]:.3f}"
            row.append(Cell(drawing.path(_thinned(seen), cell, _extent(seen)), caption, "path"))
        if windows is not None:
            apart = averaged.difference(blurred_NHWC[k], sharp_NHWC[k])
            row.append(Cell(drawing.photo(apart, cell), "difference x 4", "photo"))
            row.append(Cell(windows.cell(item, cell), windows.caption(item), "photo"))
        rows.append(row)
    return rows


def _psfs(dataset: reader.Dataset, items: npt.NDArray[np.int64], cell: int) -> list[list[Cell]]:
    psf_NKK = dataset.read("psf", items)
    columns = dataset.columns
    if "pair" in columns:
        captions = [f"pair {columns['pair'][k]} at ({columns['point_x'][k]}, {columns['point_y'][k]})" for k in items]
    else:
        captions = [f"path {columns['trajectory'][k]}, exposure {columns['exposure'][k]:g}" for k in items]
    return [
        [Cell(drawing.kernel(psf_KK, cell), text, "kernel")] for psf_KK, text in zip(psf_NKK, captions, strict=True)
    ]


def _trajectories(dataset: reader.Dataset, items: npt.NDArray[np.int64], cell: int) -> list[list[Cell]]:
    follow = paths.follower(dataset)
    assert follow is not None, "a dataset of trajectories has paths"
    anxiety = dataset.columns["anxiety"]
    return [
        [
            Cell(
                drawing.path(_thinned(path), cell, _extent(path)),
                f"{item}: {_extent(path):.0f} px across, anxiety {anxiety[item]:.3f}",
                "path",
            )
        ]
        for item, path in zip(items, follow(items), strict=True)
    ]


def _thinned(path: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return path[:: max(1, len(path) // PATH_POINTS)]


def _extent(path: npt.NDArray[np.float32]) -> float:
    """Side in px of the square around the path's mean that shows all of it, with a little room."""
    return max(4.0, 2.2 * float(np.abs(path - path.mean(axis=0)).max()))


def _square(cells: int) -> int:
    return max(1, math.ceil(math.sqrt(cells)))
