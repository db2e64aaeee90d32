"""Camera poses along a path: what each does to the pixels of a plane, and how finely in time a path has to be sampled.

A pose is (rx, ry, rz, tx, ty, tz): a rotation vector in radians and a translation in the unit of depth, from the
camera of the sharp image to the camera at that moment, X' = R(r) X + t. Axes: x to the right, y down, z into the
scene. A plane that faces the sharp camera at depth d then moves by the homography K (R + t (0, 0, 1) / d) K^-1
(Hartley and Zisserman 2004, equation 13.2), with K from the focal length in px and the principal point.

Homographies are kept as displacements ("maps"): eight numbers c, with x and y in px from the principal point,

    dx = (c0 x + c1 y + c2 - x q) / (1 + q),  dy = (c3 x + c4 y + c5 - y q) / (1 + q),  q = c6 x + c7 y

so that no pose is no displacement to the bit, and float32 is precise to 1e-5 px in the image kernels. Nothing but
additions, multiplications and divisions of float64 happens here, in a fixed order.
"""

import dataclasses
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit

POSE = ("rx", "ry", "rz", "tx", "ty", "tz")
# Successive samples move no pixel of the frame by more than half a pixel; the rest is room for curvature.
STEP = 0.49
SERIES = 14  # terms of the sine and cosine series: exact in float64 for angles up to pi

Floats: TypeAlias = npt.NDArray[np.float64]
Nine: TypeAlias = tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any]


@dataclasses.dataclass(frozen=True)
class View:
    """A frame of pixels and the camera behind it.

    height, width: px. focal: px. centre_x, centre_y: principal point, px from the centre of the frame's pixel (0, 0).
    """

    height: int
    width: int
    focal: float
    centre_x: float
    centre_y: float


@dataclasses.dataclass(frozen=True)
class Samples:
    """Moments of an exposure: pose float64 (T, 6); weights float32 (R, T), each row summing to 1.

    R is 1, or the frame's height where rows are exposed one after the other. motion: px, the length of the path that
    the frame's fastest points take.
    """

    pose_T6: Floats
    weights_RT: npt.NDArray[np.float32]
    motion: float


def maps(pose: npt.ArrayLike, focal: float, inverse_depth: float) -> tuple[Floats, Floats]:
    """Displacements of a plane under each pose: (to the camera at that moment, and back), float64 (T, 8) each.

    pose: (T, 6). focal: px, > 0. inverse_depth: 1 / depth, >= 0; 0 is infinitely far.
    """
    poses = np.require(pose, np.float64, ["C", "A", "W"])
    assert poses.ndim == 2
    assert poses.shape[1] == len(POSE)
    assert focal > 0
    assert inverse_depth >= 0
    there, back = np.empty((len(poses), 8)), np.empty((len(poses), 8))
    _maps(poses, float(focal), float(inverse_depth), there, back)
    return there, back


def samples(
    path: npt.ArrayLike, view: View, inverse_depths: npt.ArrayLike, exposure: float, row_time: float = 0.0
) -> Samples:
    """Moments at which a path is to be seen so that successive ones move no pixel by more than half a pixel.

    path: float32 (K, 6), poses at equal steps in time from the start of the first row's exposure to the end of the
    last row's; linear in between. inverse_depths: (L,), depths in the scene. exposure: time a row is exposed, > 0;
    row_time: time from one row's start to the next's, >= 0, in the same unit.
    Samples lie at equal steps along the path; the time spent between two of them is shared in proportion to the
    distance to each, so that the mean pose is kept, but for corners of the path that lie between two samples.
    """
    knots = np.require(path, np.float64, ["C", "A", "W"])
    depths = np.require(inverse_depths, np.float64, ["C", "A", "W"])
    assert knots.ndim == 2
    assert knots.shape[0] >= 2
    assert knots.shape[1] == len(POSE)
    assert exposure > 0
    assert row_time >= 0
    return moments(knots, arcs(knots, view, depths), view.height, exposure, row_time)


def arcs(path: npt.ArrayLike, view: View, inverse_depths: npt.ArrayLike) -> Floats:
    """Length of the path of the frame's fastest points up to each knot, px, float64 (K,); see `samples`."""
    knots = np.require(path, np.float64, ["C", "A", "W"])
    depths = np.require(inverse_depths, np.float64, ["C", "A", "W"])
    found: Floats = _arcs(knots, depths, view.focal, _grid(view))
    return found


def moments(knots: Floats, arc: Floats, height: int, exposure: float, row_time: float) -> Samples:
    """`samples` of a path of any coordinates, (K, A), of which the frame's fastest points have come `arc` px, (K,), by
    each knot. In the result, `pose_T6` has A columns.
    """
    assert np.isfinite(arc[-1]), "a path beyond `reach`"
    count = max(1, int(np.ceil(arc[-1] / STEP))) + 1 if arc[-1] > 0 else 1
    pose, weights = np.empty((count, knots.shape[1])), np.zeros((height if row_time > 0 else 1, count))
    _sample(knots, arc, exposure, row_time, exposure + (height - 1) * row_time, pose, weights)
    weights /= np.cumsum(weights, axis=1)[:, -1:]
    used = np.flatnonzero(weights.any(axis=0))
    return Samples(pose[used], np.ascontiguousarray(weights[:, used].astype(np.float32)), float(arc[-1]))


def reach(pose: npt.ArrayLike, view: View, inverse_depths: npt.ArrayLike) -> float:
    """The furthest, px, that any pose moves any pixel of the frame; infinity where some would come from behind."""
    poses = np.require(pose, np.float64, ["C", "A", "W"])
    depths = np.require(inverse_depths, np.float64, ["C", "A", "W"])
    return float(_reach(poses, depths, view.focal, _grid(view)))


def parting(pose: npt.ArrayLike, view: View, inverse_depths: npt.ArrayLike) -> float:
    """The furthest, px, that any pose parts two neighbouring depths of the list, which one pixel of the frame shows."""
    poses = np.require(pose, np.float64, ["C", "A", "W"])
    depths = np.require(inverse_depths, np.float64, ["C", "A", "W"])
    return float(_parting(poses, depths, view.focal, _grid(view)))


def _grid(view: View) -> Floats:
    """Corners, edges and middle of the frame, px from the principal point, (9, 2): a map is fastest at a corner."""
    across = np.array([0.0, (view.width - 1) / 2, view.width - 1]) - view.centre_x
    down = np.array([0.0, (view.height - 1) / 2, view.height - 1]) - view.centre_y
    return np.stack([np.tile(across, 3), np.repeat(down, 3)], axis=1)


@jit.inline
def plane(pose: Floats, inverse_depth: float) -> Nine:
    """R + t (0, 0, 1) / d, row by row; Rodrigues' formula with series instead of the platform's sine and cosine."""
    x, y, z = pose[0], pose[1], pose[2]
    square = x * x + y * y + z * z
    sine, versine = 1.0, 0.5  # sin(a) / a and (1 - cos(a)) / a^2
    sine_term, versine_term = 1.0, 0.5
    for k in range(1, SERIES):
        sine_term = sine_term * (-square) / ((2.0 * k) * (2.0 * k + 1.0))
        versine_term = versine_term * (-square) / ((2.0 * k + 1.0) * (2.0 * k + 2.0))
        sine = sine + sine_term
        versine = versine + versine_term
    return (
        1.0 - versine * (y * y + z * z),
        versine * x * y - sine * z,
        versine * x * z + sine * y + pose[3] * inverse_depth,
        versine * x * y + sine * z,
        1.0 - versine * (x * x + z * z),
        versine * y * z - sine * x + pose[4] * inverse_depth,
        versine * x * z - sine * y,
        versine * y * z + sine * x,
        1.0 - versine * (x * x + y * y) + pose[5] * inverse_depth,
    )


@jit.inline
def inverse(m: Nine) -> Nine:
    """The inverse up to its scale, which a map does not feel."""
    a, b, c, d, e, f, g, h, i = m
    return (
        e * i - f * h,
        c * h - b * i,
        b * f - c * e,
        f * g - d * i,
        a * i - c * g,
        c * d - a * f,
        d * h - e * g,
        b * g - a * h,
        a * e - b * d,
    )


@jit.inline
def fill(m: Nine, focal: float, row: Floats) -> None:
    """The displacement form of a homography about the principal point."""
    scale = m[8] if m[8] > 1e-9 else np.nan
    row[0], row[1], row[2] = m[0] / scale - 1.0, m[1] / scale, m[2] / scale * focal
    row[3], row[4], row[5] = m[3] / scale, m[4] / scale - 1.0, m[5] / scale * focal
    row[6], row[7] = m[6] / scale / focal, m[7] / scale / focal


@jit.inline
def displacement(c: Floats, x: float, y: float) -> tuple[float, float]:
    """Where a map takes the pixel at (x, y), relative to it; infinitely far for one that comes from behind."""
    q = c[6] * x + c[7] * y
    in_front = 1.0 + q > 1e-3
    dx = (c[0] * x + c[1] * y + c[2] - x * q) / (1.0 + q)
    dy = (c[3] * x + c[4] * y + c[5] - y * q) / (1.0 + q)
    return (dx if in_front else np.inf), (dy if in_front else np.inf)


@jit.kernel
def _maps(poses: Floats, focal: float, inverse_depth: float, there: Floats, back: Floats) -> None:
    for t in range(poses.shape[0]):
        moved = plane(poses[t], inverse_depth)
        fill(moved, focal, there[t])
        fill(inverse(moved), focal, back[t])


@jit.kernel
def _arcs(knots: Floats, depths: Floats, focal: float, grid: Floats) -> Floats:
    """Length of the path up to each knot, px: from knot to knot, how far the fastest of the grid's points moves."""
    count = knots.shape[0]
    arc = np.zeros(count)
    ahead = np.empty(8)
    last = np.empty((depths.size, grid.shape[0], 2))
    for k in range(count):
        fastest = 0.0
        for layer in range(depths.size):
            fill(inverse(plane(knots[k], depths[layer])), focal, ahead)
            for p in range(grid.shape[0]):
                x, y = displacement(ahead, grid[p, 0], grid[p, 1])
                if k > 0:
                    along, across = x - last[layer, p, 0], y - last[layer, p, 1]
                    fastest = max(fastest, np.sqrt(along * along + across * across))
                last[layer, p, 0], last[layer, p, 1] = x, y
        if k > 0:
            arc[k] = arc[k - 1] + fastest
    return arc


@jit.kernel
def _reach(poses: Floats, depths: Floats, focal: float, grid: Floats) -> float:
    back = np.empty(8)
    furthest = 0.0
    for t in range(poses.shape[0]):
        for layer in range(depths.size):
            fill(inverse(plane(poses[t], depths[layer])), focal, back)
            for p in range(grid.shape[0]):
                x, y = displacement(back, grid[p, 0], grid[p, 1])
                if not (np.isfinite(x) and np.isfinite(y)):
                    return np.inf
                furthest = max(furthest, max(abs(x), abs(y)))
    return furthest


@jit.kernel
def _parting(poses: Floats, depths: Floats, focal: float, grid: Floats) -> float:
    back = np.empty((2, 8))
    furthest = 0.0
    for t in range(poses.shape[0]):
        for layer in range(1, depths.size):
            for k in range(2):
                fill(inverse(plane(poses[t], depths[layer - k])), focal, back[k])
            for p in range(grid.shape[0]):
                x, y = displacement(back[0], grid[p, 0], grid[p, 1])
                other_x, other_y = displacement(back[1], grid[p, 0], grid[p, 1])
                square = (x - other_x) * (x - other_x) + (y - other_y) * (y - other_y)
                furthest = max(furthest, np.sqrt(square))
    return furthest


@jit.inline
def _share(begin: float, end: float, mass: float, step: float, row: Floats) -> None:
    """Spread a mass evenly over [begin, end] of the path, each part to the two samples beside it."""
    last = row.size - 2
    first = min(int(begin / step), last)
    for cell in range(first, min(int(end / step), last) + 1):
        low, high = max(begin, cell * step), min(end, (cell + 1) * step)
        if cell == last:
            high = end
        part = mass * (high - low) / (end - begin) if end > begin else mass
        right = part * (0.5 * (low + high) / step - cell)
        row[cell] += part - right
        row[cell + 1] += right
        if end <= begin:
            break


@jit.kernel
def _sample(
    knots: Floats, arc: Floats, exposure: float, row_time: float, duration: float, pose: Floats, weights: Floats
) -> None:
    """Fill pose (T, A) with poses at equal steps along the path, and weights (R, T) with the time spent near each."""
    count, pieces = pose.shape[0], knots.shape[0] - 1
    step = arc[pieces] / max(count - 1, 1)
    k = 0
    for t in range(count):
        while k < pieces - 1 and arc[k + 1] < t * step:
            k += 1
        length = arc[k + 1] - arc[k]
        fraction = min(max((t * step - arc[k]) / length, 0.0), 1.0) if length > 0 else 0.0
        for axis in range(knots.shape[1]):
            pose[t, axis] = knots[k, axis] + fraction * (knots[k + 1, axis] - knots[k, axis])
    for row in range(weights.shape[0]):
        begin = row * row_time / duration * pieces
        end = min((row * row_time + exposure) / duration * pieces, pieces + 0.0)
        for piece in range(int(begin), min(int(np.ceil(end)), pieces)):
            low, high = max(begin, piece + 0.0), min(end, piece + 1.0)
            length = arc[piece + 1] - arc[piece]
            if count == 1:
                weights[row, 0] += high - low
            elif high > low:
                at = arc[piece] - piece * length
                _share(at + low * length, at + high * length, high - low, step, weights[row])
