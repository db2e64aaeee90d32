"""Things in the scene that move by themselves while the camera does: sliding and turning in the plane of the image.

A body's own motion is (x, y, angle): px and radians by which it has moved, as the camera of the sharp image would see
it, turned about its pivot. What the camera does then happens to where the body is:

    p(t) = camera_t(pivot + turn(angle_t) (p - pivot) + (x_t, y_t))

Maps are those of `kernels.pose`; positions are px from the principal point, x then y.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, pose

OWN = ("x", "y", "angle")

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Body:
    """own_K3: float32, at the knots of the camera's path. pivot: (x, y). corners_P2: float64, around all of it."""

    own_K3: npt.NDArray[np.float32]
    pivot: tuple[float, float]
    corners_P2: Floats


@dataclasses.dataclass(frozen=True)
class Samples:
    """`pose.Samples` with what bodies do meanwhile: own_BT3, float64. motions: px that each one's corners come."""

    camera: pose.Samples
    own_BT3: Floats
    motions: tuple[float, ...]


def maps(
    pose_T6: npt.ArrayLike, own_T3: npt.ArrayLike, pivot: tuple[float, float], focal: float, inverse_depth: float
) -> tuple[Floats, Floats]:
    """Displacements of a body under each pose: (to where it is at that moment, and back), float64 (T, 8) each."""
    poses = np.require(pose_T6, np.float64, ["C", "A", "W"])
    owns = np.require(own_T3, np.float64, ["C", "A", "W"])
    assert owns.shape == (len(poses), len(OWN))
    there, back = np.empty((len(poses), 8)), np.empty((len(poses), 8))
    _maps(poses, owns, float(pivot[0]), float(pivot[1]), float(focal), float(inverse_depth), there, back)
    return there, back


def samples(
    path_K6: npt.ArrayLike,
    bodies: list[Body],
    view: pose.View,
    inverse_depth: float,
    exposure: float,
    row_time: float = 0.0,
) -> Samples:
    """Moments at which camera and bodies are to be seen so that nothing moves by more than half a pixel between two.

    See `pose.samples`; bodies are at the scene's depth.
    """
    path = np.require(path_K6, np.float64, ["C", "A", "W"])
    camera = pose.samples(path, view, [inverse_depth], exposure, row_time)
    if not bodies:
        return Samples(camera, np.empty((0, len(camera.pose_T6), len(OWN))), ())
    arcs = [pose.arcs(path, view, [inverse_depth])]
    arcs += [_arc(path, body, view.focal, inverse_depth) for body in bodies]
    together = np.concatenate([[0.0], np.cumsum(np.max([np.diff(arc) for arc in arcs], axis=0))])
    knots = np.concatenate([path, *(body.own_K3.astype(np.float64) for body in bodies)], axis=1)
    found = pose.moments(np.ascontiguousarray(knots), together, view.height, exposure, row_time)
    split = len(pose.POSE)
    own = found.pose_T6[:, split:].reshape(len(found.pose_T6), len(bodies), len(OWN)).transpose(1, 0, 2)
    seen = dataclasses.replace(found, pose_T6=np.ascontiguousarray(found.pose_T6[:, :split]), motion=camera.motion)
    return Samples(seen, np.ascontiguousarray(own), tuple(float(arc[-1]) for arc in arcs[1:]))


def reach(path_K6: npt.ArrayLike, body: Body, view: pose.View, inverse_depth: float) -> float:
    """The furthest, px, that a body's corners are moved along any axis."""
    moved = _displaced(np.asarray(path_K6, np.float64), body, view.focal, inverse_depth)
    return float(np.abs(moved).max())


def _arc(path: Floats, body: Body, focal: float, inverse_depth: float) -> Floats:
    """Length of the path of a body's fastest corner up to each knot, px."""
    steps = np.diff(_displaced(path, body, focal, inverse_depth), axis=0)
    lengths = np.sqrt(steps[..., 0] * steps[..., 0] + steps[..., 1] * steps[..., 1]).max(axis=1)
    return np.concatenate([[0.0], np.cumsum(lengths)])


def _displaced(path: Floats, body: Body, focal: float, inverse_depth: float) -> Floats:
    """How far each corner is from where it was, px, (K, P, 2)."""
    there, _ = maps(path, body.own_K3, body.pivot, focal, inverse_depth)
    c = there.T[..., None]
    x, y = body.corners_P2.T
    q = c[6] * x + c[7] * y
    dx, dy = c[0] * x + c[1] * y + c[2] - x * q, c[3] * x + c[4] * y + c[5] - y * q
    displaced: Floats = np.stack([dx, dy], axis=-1) / (1.0 + q)[..., None]
    return displaced


@jit.inline
def _times(m: pose.Nine, n: pose.Nine) -> pose.Nine:
    """The matrix product: n first."""
    a, b, c, d, e, f, g, h, i = m
    return (
        a * n[0] + b * n[3] + c * n[6],
        a * n[1] + b * n[4] + c * n[7],
        a * n[2] + b * n[5] + c * n[8],
        d * n[0] + e * n[3] + f * n[6],
        d * n[1] + e * n[4] + f * n[7],
        d * n[2] + e * n[5] + f * n[8],
        g * n[0] + h * n[3] + i * n[6],
        g * n[1] + h * n[4] + i * n[7],
        g * n[2] + h * n[5] + i * n[8],
    )


@jit.kernel
def _maps(
    poses: Floats,
    owns: Floats,
    pivot_x: float,
    pivot_y: float,
    focal: float,
    inverse_depth: float,
    there: Floats,
    back: Floats,
) -> None:
    turn = np.zeros(6)
    for t in range(poses.shape[0]):
        turn[2] = owns[t, 2]
        r = pose.plane(turn, 0.0)
        x = pivot_x - (r[0] * pivot_x + r[1] * pivot_y) + owns[t, 0]
        y = pivot_y - (r[3] * pivot_x + r[4] * pivot_y) + owns[t, 1]
        own = (r[0], r[1], x / focal, r[3], r[4], y / focal, 0.0, 0.0, 1.0)
        moved = _times(pose.plane(poses[t], inverse_depth), own)
        pose.fill(moved, focal, there[t])
        pose.fill(pose.inverse(moved), focal, back[t])
