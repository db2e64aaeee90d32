"""How pairs of a moving camera are shown: what points of light across the image became."""

import numpy as np
import numpy.typing as npt

from blursynth.storage import reader
from blursynth.synthesis import rendered_psfs, shake

GRID = 3


class Cameras:
    """The camera paths of a dataset."""

    def __init__(self, dataset: reader.Dataset) -> None:
        self._dataset = dataset
        self._height, self._width = dataset.shape_of("sharp")[:2]

    def kernels(self, item: int) -> npt.NDArray[np.float32]:
        """PSFs at the middles of GRID x GRID parts of the image, float32 (GRID, GRID, K, K)."""
        size = rendered_psfs.size_for(self._dataset, item)
        grid = shake.grid(self._height, self._width, GRID, GRID)
        found = rendered_psfs.psfs(self._dataset, item, grid, size)
        return found.reshape(GRID, GRID, size, size)

    def caption(self, item: int) -> str:
        columns = self._dataset.columns
        return f"PSFs, {columns['motion_px'][item]:.0f} px in {columns['moments'][item]} moments"
