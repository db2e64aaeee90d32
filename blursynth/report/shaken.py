"""How pairs of a moving camera are shown: what points of light across the image became."""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import pose
from blursynth.storage import reader
from blursynth.synthesis import shake

GRID = 3


class Cameras:
    """The camera paths of a dataset."""

    def __init__(self, dataset: reader.Dataset) -> None:
        self._dataset = dataset
        self._height, self._width = dataset.shape_of("sharp")[:2]
        self._readout = float(dataset.attributes_of("camera_path")["readout"])

    def kernels(self, item: int) -> npt.NDArray[np.float32]:
        """PSFs at the middles of GRID x GRID parts of the image, float32 (GRID, GRID, K, K)."""
        columns = self._dataset.columns
        size = 2 * (int(columns["motion_px"][item]) + 2) + 1
        points = shake.grid(self._height, self._width, GRID, GRID)
        focal, x, y = (float(columns[name][item]) for name in ("focal_px", "centre_x", "centre_y"))
        frame = pose.View(self._height, self._width, focal, x, y)
        path = self._dataset.read("camera_path", [item])[0]
        found = shake.psfs(path, frame, float(columns["depth"][item]), self._readout, points, size)
        return found.reshape(GRID, GRID, size, size)

    def caption(self, item: int) -> str:
        columns = self._dataset.columns
        return f"PSFs, {columns['motion_px'][item]:.0f} px in {columns['moments'][item]} moments"
