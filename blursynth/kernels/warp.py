"""An image seen through a camera path: warped at every moment, and the light added up.

    out[p] = sum over moments t of weight[t] * image(p + displacement_t(p))

with bilinear interpolation of linear light. Along a row a displacement changes slowly: where its whole part stays the
same, neighbouring results read neighbouring pixels, and the loop runs over vectors like a convolution. So each row
is cut where the whole part changes. A value does not depend on where its row is cut: the same operations in the same
order give it.
"""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, pose

TILE = 256
ZERO = np.float32(0.0)
ONE = np.float32(1.0)
# Parts of the working array, TILE values each: weights of the four pixels, then sums of light and of alpha. One array:
# its parts plainly do not overlap, and a loop over them needs few enough checks to become vector instructions.
A, B, C, D = 0, TILE, 2 * TILE, 3 * TILE
RED, GREEN, BLUE, ALPHA = 4 * TILE, 5 * TILE, 6 * TILE, 7 * TILE
WORK = 8 * TILE
CHANNELS = 3

Floats32 = npt.NDArray[np.float32]


def accumulate(
    planes: npt.ArrayLike, margin: int, maps: npt.NDArray[np.float64], weights: npt.ArrayLike, view: pose.View
) -> Floats32:
    """One plane at one depth.

    planes: float32 (3, H + 2 margin, W + 2 margin), linear light, the frame with pixels around it; what lies beyond
    them repeats the outermost. maps: (T, 8), back from the camera at each moment (see `pose.maps`). weights: float32
    (R, T), R = 1 or H. view: the frame. Returns float32 (H, W, 3), linear light, not clipped.
    """
    source = np.require(planes, np.float32, ["C", "A", "W"])
    shares = np.require(weights, np.float32, ["C", "A", "W"])
    assert source.shape[0] == CHANNELS
    result = np.empty((view.height, view.width, CHANNELS), np.float32)
    check(source.shape[1:], margin, maps, shares, view)
    left, top = -view.centre_x, -view.centre_y
    _accumulate(source, margin, np.ascontiguousarray(maps), shares, left, top, result)
    return result


def point(
    maps: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    weights: npt.ArrayLike,
    view: pose.View,
    points: npt.ArrayLike,
    size: int,
) -> Floats32:
    """What `accumulate` makes of a point of light, divided by its sum: the PSF at each point of the frame.

    maps: (to the camera, and back), (T, 8) each. points: int64 (P, 2), row then column. Returns float32 (P, size,
    size), axes [ky, kx], the point's own place at pixel (size // 2, size // 2); sums to 1, or, where the light falls
    outside the canvas, to the share inside.
    """
    there, back = (np.ascontiguousarray(each) for each in maps)
    shares = np.require(weights, np.float32, ["C", "A", "W"])
    places = np.require(points, np.int64, ["C", "A", "W"])
    canvas = np.zeros((len(places), size, size))
    outside = np.zeros(len(places))
    _point(there, back, shares, view.centre_x, view.centre_y, view.height, places, canvas, outside)
    total = canvas.sum(axis=(1, 2)) + outside
    share: Floats32 = (canvas / total[:, None, None]).astype(np.float32)
    return share


def check(
    window: tuple[int, ...], margin: int, maps: npt.NDArray[np.float64], weights: Floats32, view: pose.View
) -> None:
    assert window == (view.height + 2 * margin, view.width + 2 * margin)
    assert min(window) >= 2
    assert maps.shape[-1] == 8
    assert weights.shape in ((1, maps.shape[-2]), (view.height, maps.shape[-2]))
    assert np.all(np.isfinite(maps))


@jit.inline
def displace(
    c: npt.NDArray[np.float64],
    x: float,
    y: float,
    column: int,
    row: int,
    shape: tuple[int, int],
    width: int,
    work: Floats32,
    offset: npt.NDArray[np.int32],
) -> None:
    """Where a tile's pixels come from: offsets to the upper left of four pixels, and the four weights.

    (x, y): the first pixel, px from the principal point; (column, row): the same in the window of `shape`. Products
    and sums are so arranged that no sum has two products: then there is one way only to fuse them.
    """
    rows, columns = shape
    low_y, high_y = np.float32(-row), np.float32(rows - 1 - row)
    x_0, x_1, x_2 = np.float32(c[1] * y + c[2]), np.float32(c[0] - c[7] * y), np.float32(-c[6])
    y_0, y_1 = np.float32(c[4] * y + c[5] - y * y * c[7]), np.float32(c[3] - y * c[6])
    q_0, q_1 = np.float32(1.0 + c[7] * y), np.float32(c[6])
    first = np.float32(x)
    for j in range(width):
        at = first + np.float32(j)
        q = q_0 + q_1 * at
        dx = (x_0 + (x_1 + x_2 * at) * at) / q
        dy = (y_0 + y_1 * at) / q
        low_x = -np.float32(column + j)
        dx = min(max(dx, low_x), np.float32(columns - 1) + low_x)
        dy = min(max(dy, low_y), high_y)
        whole_x = min(np.floor(dx), np.float32(columns - 2) + low_x)
        whole_y = min(np.floor(dy), high_y - ONE)
        right, down = dx - whole_x, dy - whole_y
        left, up = ONE - right, ONE - down
        offset[j] = np.int32(whole_y) * np.int32(columns) + np.int32(whole_x)
        work[A + j], work[B + j] = up * left, up * right
        work[C + j], work[D + j] = down * left, down * right


@jit.inline
def run(offset: npt.NDArray[np.int32], start: int, width: int) -> int:
    """The end of the run of equal offsets that begins at `start`."""
    end = start + 1
    while end < width and offset[end] == offset[start]:
        end += 1
    return end


@jit.inline
def add_colours(
    flat: Floats32, base: int, plane: int, columns: int, width: int, work: Floats32, offset: npt.NDArray[np.int32]
) -> None:
    """Add to RED, GREEN and BLUE the four pixels at base + j + offset[j], weighted; planes are `plane` values apart.

    A run of equal offsets is one vector loop.
    """
    start = 0
    while start < width:
        end = run(offset, start, width)
        corner = base + start + offset[start]
        red, red_below = flat[corner:], flat[corner + columns :]
        green, green_below = flat[corner + plane :], flat[corner + plane + columns :]
        blue, blue_below = flat[corner + 2 * plane :], flat[corner + 2 * plane + columns :]
        w = work[start:]
        for j in range(end - start):
            a, b, c, d = w[A + j], w[B + j], w[C + j], w[D + j]
            w[RED + j] = w[RED + j] + a * red[j] + b * red[j + 1] + c * red_below[j] + d * red_below[j + 1]
            w[GREEN + j] = w[GREEN + j] + a * green[j] + b * green[j + 1] + c * green_below[j] + d * green_below[j + 1]
            w[BLUE + j] = w[BLUE + j] + a * blue[j] + b * blue[j + 1] + c * blue_below[j] + d * blue_below[j + 1]
        start = end


@jit.contracted
def _accumulate(
    planes: Floats32,
    margin: int,
    maps: npt.NDArray[np.float64],
    weights: Floats32,
    left: float,
    top: float,
    result: Floats32,
) -> None:
    flat = planes.reshape(-1)
    _, rows, columns = planes.shape
    height, values = result.shape[0], result.shape[1]
    work = np.zeros(WORK, np.float32)
    offset = np.empty(TILE, np.int32)
    for first in range(0, values, TILE):
        width = min(TILE, values - first)
        for row in range(height):
            shares = weights[row if weights.shape[0] > 1 else 0]
            base = (margin + row) * columns + margin + first
            for j in range(RED, ALPHA):
                work[j] = ZERO
            for t in range(maps.shape[0]):
                share = shares[t]
                if share == ZERO:
                    continue
                x, y = left + first, top + row
                displace(maps[t], x, y, margin + first, margin + row, (rows, columns), width, work, offset)
                for j in range(RED):
                    work[j] = work[j] * share
                add_colours(flat, base, rows * columns, columns, width, work, offset)
            for j in range(width):
                result[row, first + j, 0] = work[RED + j]
                result[row, first + j, 1] = work[GREEN + j]
                result[row, first + j, 2] = work[BLUE + j]


@jit.kernel
def _point(
    there: npt.NDArray[np.float64],
    back: npt.NDArray[np.float64],
    weights: Floats32,
    centre_x: float,
    centre_y: float,
    height: int,
    points: npt.NDArray[np.int64],
    canvas: npt.NDArray[np.float64],
    outside: npt.NDArray[np.float64],
) -> None:
    """Add up, for each point, the weights with which `_accumulate` would read it."""
    size = canvas.shape[1]
    for p in range(points.shape[0]):
        x, y = points[p, 1] - centre_x, points[p, 0] - centre_y
        for t in range(there.shape[0]):
            dx, dy = pose.displacement(there[t], x, y)
            near_row, near_column = int(np.rint(dy)), int(np.rint(dx))
            # The four pixels around a source pixel reach it; two more on each side leave room for magnification.
            for down in range(near_row - 2, near_row + 3):
                row = min(max(points[p, 0] + down, 0), height - 1)
                share = np.float64(weights[row if weights.shape[0] > 1 else 0, t])
                for right in range(near_column - 2, near_column + 3):
                    back_x, back_y = pose.displacement(back[t], x + right, y + down)
                    across, along = 1.0 - abs(right + back_x), 1.0 - abs(down + back_y)
                    if across > 0.0 and along > 0.0:
                        inside = 0 <= down + size // 2 < size and 0 <= right + size // 2 < size
                        if inside:
                            canvas[p, down + size // 2, right + size // 2] += share * across * along
                        else:
                            outside[p] += share * across * along
