"""How far pixels move, where there is enough texture to tell."""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit


def lengths(
    flow: npt.NDArray[np.float32],
    across: npt.NDArray[np.int16],
    down: npt.NDArray[np.int16],
    texture: int,
    scale: float,
) -> npt.NDArray[np.float32]:
    """|flow| * scale where |across| + |down| > texture, else NaN: float32 (H, W).

    flow: float32 (H, W, 2), px. across, down: int16 (H, W), gradients of the image.
    """
    assert flow.shape == (*across.shape, 2), (flow.shape, across.shape)
    out = np.empty(across.shape, np.float32)
    _lengths(np.ascontiguousarray(flow), across, down, np.int32(texture), np.float32(scale), out)
    return out


def known(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The values of (H, W) that are not NaN, row by row: float32 (N,)."""
    found = np.empty(values.size, np.float32)
    return found[: _known(values, found)]


@jit.kernel
def _lengths(
    flow: npt.NDArray[np.float32],
    across: npt.NDArray[np.int16],
    down: npt.NDArray[np.int16],
    texture: np.int32,
    scale: np.float32,
    out: npt.NDArray[np.float32],
) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            length = np.sqrt(flow[y, x, 0] * flow[y, x, 0] + flow[y, x, 1] * flow[y, x, 1]) * scale
            gradient = abs(np.int32(across[y, x])) + abs(np.int32(down[y, x]))
            out[y, x] = length if gradient > texture else np.float32(np.nan)


@jit.kernel
def _known(values: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> int:
    count = 0
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            found[count] = values[y, x]
            count += 1 if values[y, x] == values[y, x] else 0
    return count
