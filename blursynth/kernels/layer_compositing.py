"""Layers laid over one another at every moment of an exposure, each seen through motion of its own.

What a layer covers at a moment hides what lies behind: alpha moves and blurs with the layer's light.
"""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, pose, warp

BLOCK = 64  # px of a row of which a layer is seen or not


def composite(
    layers: npt.ArrayLike, margin: int, maps: npt.NDArray[np.float64], weights: npt.ArrayLike, view: pose.View
) -> warp.Floats32:
    """Layers at several depths, each warped by its own maps and laid over those behind it, at every moment.

    layers: float32 (L, 4, H + 2 margin, W + 2 margin), from back to front: red, green, blue in linear light times
    alpha, then alpha. maps: (L, T, 8). The rest as for `warp.accumulate`. Returns float32 (H, W, 3).
    A layer is passed over where none of it is seen; so one that fills a small part of the window costs little.
    """
    source = np.require(layers, np.float32, ["C", "A", "W"])
    shares = np.require(weights, np.float32, ["C", "A", "W"])
    assert source.shape[:2] == (maps.shape[0], 4)
    result = np.empty((view.height, view.width, 3), np.float32)
    warp.check(source.shape[2:], margin, maps[0], shares, view)
    left, top = -view.centre_x, -view.centre_y
    boxes = np.array([_box(layer[3]) for layer in source])
    opaque = bool((source[0, 3] == 1).all())
    _composite(source, boxes, opaque, margin, np.ascontiguousarray(maps), shares, left, top, result)
    return result


def _box(alpha: warp.Floats32) -> tuple[float, float, float, float]:
    """First and last row, first and last column that are not all 0; no row where all are."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not rows.size:
        return np.inf, -np.inf, np.inf, -np.inf
    return float(rows[0]), float(rows[-1]), float(columns[0]), float(columns[-1])


@jit.inline
def _add_alpha(
    flat: warp.Floats32, base: int, columns: int, width: int, work: warp.Floats32, offset: npt.NDArray[np.int32]
) -> None:
    """As `warp.add_colours`, for one plane, added to ALPHA."""
    start = 0
    while start < width:
        end = warp.run(offset, start, width)
        alpha = flat[base + start + offset[start] :]
        below = flat[base + start + offset[start] + columns :]
        w = work[start:]
        for j in range(end - start):
            a, b, c, d = w[warp.A + j], w[warp.B + j], w[warp.C + j], w[warp.D + j]
            w[warp.ALPHA + j] = w[warp.ALPHA + j] + a * alpha[j] + b * alpha[j + 1] + c * below[j] + d * below[j + 1]
        start = end


@jit.inline
def _unseen(
    c: npt.NDArray[np.float64],
    x: float,
    y: float,
    column: int,
    row: int,
    width: int,
    box: npt.NDArray[np.float64],
    shape: tuple[int, int],
) -> bool:
    """Whether a tile reads nothing of a layer that fills this box: what it reads lies on the line between its ends.

    Places beyond the window are read at its edge. Arguments as for `warp.displace`; a pixel more on each side is for
    the four that are read, and for what float32 rounds.
    """
    first_x, first_y = pose.displacement(c, x, y)
    last_x, last_y = pose.displacement(c, x + width - 1.0, y)
    first_x, last_x = first_x + column, last_x + column + width - 1.0
    first_y, last_y = first_y + row, last_y + row
    rows, columns = shape
    unseen: bool = (
        min(max(max(first_y, last_y), 0.0), rows - 1.0) + 1.01 < box[0]
        or min(max(min(first_y, last_y), 0.0), rows - 1.0) - 1.01 > box[1]
        or min(max(max(first_x, last_x), 0.0), columns - 1.0) + 1.01 < box[2]
        or min(max(min(first_x, last_x), 0.0), columns - 1.0) - 1.01 > box[3]
    )
    return unseen


@jit.contracted
def _composite(
    layers: warp.Floats32,
    boxes: npt.NDArray[np.float64],
    opaque: bool,
    margin: int,
    maps: npt.NDArray[np.float64],
    weights: warp.Floats32,
    left: float,
    top: float,
    result: warp.Floats32,
) -> None:
    flat = layers.reshape(-1)
    depth, planes, rows, columns = layers.shape
    plane = rows * columns
    height, values = result.shape[0], result.shape[1]
    work = np.zeros(warp.WORK, np.float32)
    offset = np.empty(warp.TILE, np.int32)
    seen = np.empty(warp.CHANNELS * warp.TILE, np.float32)
    total = np.empty(warp.CHANNELS * warp.TILE, np.float32)
    for first in range(0, values, warp.TILE):
        width = min(warp.TILE, values - first)
        for row in range(height):
            shares = weights[row if weights.shape[0] > 1 else 0]
            total.fill(warp.ZERO)
            for t in range(maps.shape[1]):
                share = shares[t]
                if share == warp.ZERO:
                    continue
                seen.fill(warp.ZERO)
                for layer in range(depth):
                    base = layer * planes * plane + (margin + row) * columns + margin + first
                    behind_all = layer == 0 and opaque
                    block = width if behind_all else BLOCK
                    for begin in range(0, width, block):
                        part = min(block, width - begin)
                        x, y = left + first + begin, top + row
                        column, line = margin + first + begin, margin + row
                        if _unseen(maps[layer, t], x, y, column, line, part, boxes[layer], (rows, columns)):
                            continue
                        warp.displace(maps[layer, t], x, y, column, line, (rows, columns), part, work, offset)
                        for j in range(warp.RED, warp.WORK):
                            work[j] = warp.ZERO
                        warp.add_colours(flat, base + begin, plane, columns, part, work, offset)
                        if behind_all:
                            for j in range(seen.size):
                                seen[j] = work[warp.RED + j]
                            continue
                        _add_alpha(flat, base + begin + warp.CHANNELS * plane, columns, part, work, offset)
                        for channel in range(warp.CHANNELS):
                            start = channel * warp.TILE
                            over, under = work[warp.RED + start :], seen[start + begin :]
                            for j in range(part):
                                under[j] = over[j] + under[j] * (warp.ONE - work[warp.ALPHA + j])
                for j in range(total.size):
                    total[j] = total[j] + share * seen[j]
            for j in range(width):
                for channel in range(warp.CHANNELS):
                    result[row, first + j, channel] = total[channel * warp.TILE + j]
