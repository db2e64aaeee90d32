"""The contact sheet of a dataset: some of its items as a picture."""

import math

import numpy as np
import numpy.typing as npt

from blursynth import errors, recipe_file
from blursynth.report import averaged, drawing, shaken
from blursynth.storage import reader
from blursynth.synthesis import motion, recipe

PATH_POINTS = 400  # a path is drawn through at most this many of its samples


def sheet(dataset: reader.Dataset, count: int = 8, cell: int = 192) -> drawing.Picture:
    """`count` items spread evenly over the dataset, as uint8 RGB (H, W, 3).

    Pairs: a row an item with sharp, blurred, kernel (where stored) and path (where it was drawn for the item); of
    averaged frames, sharp, blurred, their difference and the frames used.
    Trajectories and PSFs: a grid. Raises DatasetError for a dataset that cannot be shown.
    """
    if dataset.items == 0:
        raise errors.DatasetError(f"{dataset.path} has no valid items to show.")
    items = np.unique(np.linspace(0, dataset.items - 1, min(count, dataset.items)).round().astype(np.int64))
    title = f"{dataset.path}: {dataset.items} {dataset.kind}, {len(items)} shown"
    if dataset.kind == "pairs":
        return _pairs(dataset, items, cell, title)
    if dataset.kind == "psfs":
        return _psfs(dataset, items, cell, title)
    if dataset.kind == "trajectories":
        return _trajectories(dataset, items, cell, title)
    raise errors.DatasetError(f"{dataset.path} holds {dataset.kind}; a preview can show pairs, psfs or trajectories.")


def _pairs(dataset: reader.Dataset, items: npt.NDArray[np.int64], cell: int, title: str) -> drawing.Picture:
    sharp_NHWC, blurred_NHWC = dataset.read("sharp", items), dataset.read("blurred", items)
    psf_NKK = dataset.read("psf", items) if "psf" in dataset.names else None
    fields = dataset.read("psf_field", items) if "psf_field" in dataset.names else None
    cameras = shaken.Cameras(dataset) if "camera_path" in dataset.names else None
    whose = dataset.read("object_mask", items) if "object_mask" in dataset.names else None
    paths = _drawn_paths(dataset, items) if "anxiety" in dataset.columns else None
    windows = averaged.Clips(dataset) if averaged.is_averaged(dataset) else None
    names = [source["name"] for source in dataset.sources]
    split_names = dataset.attributes["splits"]
    cells, captions = [], []
    for k, item in enumerate(items):
        source = names[dataset.columns["source"][item]]
        split = split_names[dataset.columns["split"][item]]
        cells += [drawing.photo(sharp_NHWC[k], cell), drawing.photo(blurred_NHWC[k], cell)]
        captions += [f"{item} sharp ({split}): {source}", f"{item} blurred"]
        if psf_NKK is not None:
            cells.append(drawing.kernel(psf_NKK[k], cell))
            captions.append(f"PSF {psf_NKK.shape[1]} px, peak {psf_NKK[k].max():.3f}")
        if fields is not None:
            cells.append(drawing.kernels(fields[k], cell))
            captions.append(f"{fields.shape[1]}x{fields.shape[2]} PSFs of {fields.shape[3]} px")
        if whose is not None:
            cells.append(drawing.photo(drawing.tinted(sharp_NHWC[k], whose[k]), cell))
            captions.append(f"objects that move: {dataset.columns['objects'][item]}")
        if cameras is not None:
            cells.append(drawing.kernels(cameras.kernels(item), cell))
            captions.append(cameras.caption(item))
        if paths is not None:
            shown = paths[k][: max(2, math.ceil(len(paths[k]) * float(dataset.columns["exposure"][item])))]
            cells.append(drawing.path(_thinned(shown), cell, _extent(shown)))
            captions.append(f"path, {_extent(shown):.0f} px across, anxiety {dataset.columns['anxiety'][item]:.3f}")
        if windows is not None:
            cells += [
                drawing.photo(averaged.difference(blurred_NHWC[k], sharp_NHWC[k]), cell),
                windows.cell(item, cell),
            ]
            captions += ["difference x 4", windows.caption(item)]
    return drawing.grid(cells, captions, columns=len(cells) // len(items), title=title)


def _psfs(dataset: reader.Dataset, items: npt.NDArray[np.int64], cell: int, title: str) -> drawing.Picture:
    psf_NKK = dataset.read("psf", items)
    cells = [drawing.kernel(psf_KK, cell) for psf_KK in psf_NKK]
    columns = dataset.columns
    if "pair" in columns:
        captions = [f"pair {columns['pair'][k]} at ({columns['point_x'][k]}, {columns['point_y'][k]})" for k in items]
    else:
        captions = [f"path {columns['trajectory'][k]}, exposure {columns['exposure'][k]:g}" for k in items]
    return drawing.grid(cells, captions, columns=_square(len(cells)), title=title)


def _trajectories(dataset: reader.Dataset, items: npt.NDArray[np.int64], cell: int, title: str) -> drawing.Picture:
    scale = np.float32(dataset.attributes_of("position")["scale_factor"])
    paths = dataset.read("position", items).astype(np.float32) * scale
    cells = [drawing.path(_thinned(path), cell, _extent(path)) for path in paths]
    columns = dataset.columns
    captions = [
        f"{item}: {_extent(path):.0f} px across, anxiety {columns['anxiety'][item]:.3f}"
        for item, path in zip(items, paths, strict=True)
    ]
    return drawing.grid(cells, captions, columns=_square(len(cells)), title=title)


def _drawn_paths(dataset: reader.Dataset, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32] | None:
    """The items' paths in px, followed again from the recorded recipe; None where they came from a dataset."""
    request = recipe_file.parse(dataset.attributes["recipe"], recipe.Convolve, str(dataset.path))
    if request.motion is None:
        return None
    return motion.simulate(request.motion, dataset.attributes["seed"], dataset.item_numbers[items]).pixels()


def _thinned(path: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return path[:: max(1, len(path) // PATH_POINTS)]


def _extent(path: npt.NDArray[np.float32]) -> float:
    """Side in px of the square around the path's mean that shows all of it, with a little room."""
    return max(4.0, 2.2 * float(np.abs(path - path.mean(axis=0)).max()))


def _square(cells: int) -> int:
    return max(1, math.ceil(math.sqrt(cells)))
