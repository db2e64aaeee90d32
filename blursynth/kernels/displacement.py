"""How far pixels move, where there is enough texture to tell."""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit

NAN = np.float32(np.nan)


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
    across, down = np.ascontiguousarray(across), np.ascontiguousarray(down)
    _lengths(
        np.ascontiguousarray(flow).reshape(-1), across.reshape(-1), down.reshape(-1),
        np.int32(texture), np.float32(scale), out.reshape(-1),
    )  # fmt: skip
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
    for i in range(out.size):
        length = np.sqrt(flow[2 * i] * flow[2 * i] + flow[2 * i + 1] * flow[2 * i + 1]) * scale
        gradient = abs(np.int32(across[i])) + abs(np.int32(down[i]))
        out[i] = length if gradient > texture else NAN


@jit.kernel
def _known(values: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> int:
    count = 0
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            found[count] = values[y, x]
            count += 1 if values[y, x] == values[y, x] else 0
    return count
