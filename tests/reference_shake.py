"""Slow and obvious references in float64 for spatially varying blur: SciPy, and one formula a line."""

import numpy as np
import numpy.typing as npt
from scipy import signal
from scipy.spatial import transform

Floats = npt.NDArray[np.float64]


def field(window: Floats, kernels: Floats) -> Floats:
    """Sum over grid points of tent * (psf * image), each a full convolution."""
    size = kernels.shape[2]
    height, width = window.shape[0] - size + 1, window.shape[1] - size + 1
    result = np.zeros((height, width, window.shape[2]))
    for gy, down in enumerate(tents(height, kernels.shape[0])):
        for gx, across in enumerate(tents(width, kernels.shape[1])):
            for channel in range(window.shape[2]):
                blurred = signal.convolve(window[..., channel], kernels[gy, gx], "valid", "direct")
                result[..., channel] += blurred * np.outer(down, across)
    return result


def tents(extent: int, points: int) -> list[Floats]:
    """Weight of each grid point at each pixel: linear interpolation of 1 at that point and 0 at the others."""
    if points == 1 or extent == 1:
        return [np.ones(extent), *[np.zeros(extent)] * (points - 1)]
    grid = np.linspace(0, extent - 1, points)
    return [np.interp(np.arange(extent), grid, np.eye(points)[k]) for k in range(points)]


def homography(pose: Floats, focal: float, inverse_depth: float) -> Floats:
    """K (R + t n^T / d) K^-1 with the principal point at 0."""
    k = np.diag([focal, focal, 1.0])
    plane = transform.Rotation.from_rotvec(pose[:3]).as_matrix()
    plane[:, 2] += pose[3:] * inverse_depth
    return np.asarray(k @ plane @ np.linalg.inv(k))


def moved(matrix: Floats, points: Floats) -> Floats:
    """Points (P, 2), x then y, under a homography."""
    there = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(there[:, :2] / there[:, 2:])


def bilinear(image: Floats, x: Floats, y: Floats) -> Floats:
    """image (H, W, C) at places, which are moved onto it where they lie beyond its edge."""
    x, y = np.clip(x, 0, image.shape[1] - 1), np.clip(y, 0, image.shape[0] - 1)
    left, top = np.minimum(x.astype(int), image.shape[1] - 2), np.minimum(y.astype(int), image.shape[0] - 2)
    right, down = (x - left)[..., None], (y - top)[..., None]
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)


def accumulate(
    image: Floats, margin: int, backward: list[Floats], weights: Floats, centre: tuple[float, float]
) -> Floats:
    """The weighted mean of the image seen through each homography (camera at that moment -> sharp camera)."""
    height, width = image.shape[0] - 2 * margin, image.shape[1] - 2 * margin
    rows, columns = np.mgrid[0:height, 0:width]
    points = np.column_stack([columns.ravel() - centre[0], rows.ravel() - centre[1]])
    result = np.zeros((height, width, image.shape[2]))
    for t, matrix in enumerate(backward):
        there = moved(matrix, points) + centre
        share = weights[rows if len(weights) > 1 else np.zeros_like(rows), t]
        seen = bilinear(image, there[:, 0].reshape(rows.shape) + margin, there[:, 1].reshape(rows.shape) + margin)
        result += share[..., None] * seen
    return result


def body(pose: Floats, own: Floats, pivot: tuple[float, float], focal: float, inverse_depth: float) -> Floats:
    """The camera's homography after turning about the pivot and sliding."""
    x, y, angle = own
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    to, back = np.eye(3), np.eye(3)
    to[:2, 2], back[:2, 2] = -np.asarray(pivot), (pivot[0] + x, pivot[1] + y)
    return np.asarray(homography(pose, focal, inverse_depth) @ back @ turn @ to)


def laid_over(
    layers: list[Floats], margin: int, backward: list[list[Floats]], weights: Floats, centre: tuple[float, float]
) -> Floats:
    """Layers (H, W, 4), light times alpha and alpha, from back to front, each through its homographies, at every moment
    laid over those before, and the moments' weighted mean."""
    total = 0.0
    for t in range(weights.shape[1]):
        seen = 0.0
        for layer, matrices in zip(layers, backward, strict=True):
            now = accumulate(layer, margin, [matrices[t]], np.ones((1, 1)), centre)
            seen = seen * (1 - now[..., 3:]) + now[..., :3]
        rows = weights[:, t] if len(weights) > 1 else np.repeat(weights[0, t], np.shape(seen)[0])
        total = total + rows[:, None, None] * seen
    return np.asarray(total)
