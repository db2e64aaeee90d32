"""The shape of PSFs in numbers: how far they reach, how round they are, which way they point."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from blursynth.report import distribution

SEEN = 0.02  # of the peak: what lies below is no part of the support

# The quantities of `measure`: name -> (title, unit, what it is).
QUANTITIES = {
    "support": ("kernel support", "px", f"pixels above {100 * SEEN:g} % of the peak"),
    "extent": ("kernel extent", "px", "longer side of the box around the support"),
    "spread": ("kernel spread", "px", "root mean square distance of the light from its centroid"),
    "anisotropy": ("kernel anisotropy", "1", "1 - b / a, a and b the spread along and across: 0 is round, 1 a line"),
    "direction": ("kernel direction", "degrees", "of the longer axis, counter-clockwise from the right"),
    "peak": ("kernel peak", "1", "the largest value; a sharp point has 1"),
}

Shapes = dict[str, npt.NDArray[np.float64]]


def measure(psf_NKK: npt.NDArray[np.floating]) -> Shapes:
    """The QUANTITIES of each of N kernels, float64 (N,) by name.

    psf_NKK: (N, ky, kx), not negative, not all zero, any sum. Moments are about the kernel's own centroid, each pixel
    a point at its middle; with covariance eigenvalues a^2 >= b^2, spread is sqrt(a^2 + b^2) and anisotropy 1 - b / a (0
    for a kernel of one pixel). direction is in [0, 180), not a number where a = b.
    """
    rows, columns = (np.arange(extent, dtype=np.float64) for extent in psf_NKK.shape[1:])
    down, across = psf_NKK.sum(axis=2, dtype=np.float64), psf_NKK.sum(axis=1, dtype=np.float64)
    total = down.sum(axis=1)
    row, column = down @ rows / total, across @ columns / total
    row_NK, column_NK = rows - row[:, None], columns - column[:, None]
    vertical = (down * row_NK**2).sum(axis=1) / total
    horizontal = (across * column_NK**2).sum(axis=1) / total
    # About the centroid from the start: differences of large moments would leave their rounding in b.
    along_rows = (psf_NKK @ column_NK[:, :, None])[:, :, 0]
    mixed = (along_rows * row_NK).sum(axis=1) / total
    mean, apart = (vertical + horizontal) / 2, np.hypot((horizontal - vertical) / 2, mixed)
    long, short = mean + apart, np.maximum(mean - apart, 0)
    # Rows count down and angles up, hence the sign.
    angle = np.degrees(0.5 * np.arctan2(-2 * mixed, horizontal - vertical)) % 180
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(long > _NONE, np.sqrt(short / long), 1.0)
    peak = psf_NKK.max(axis=(1, 2)).astype(np.float64)
    seen = psf_NKK > SEEN * peak[:, None, None]
    return {
        "support": seen.sum(axis=(1, 2)).astype(np.float64),
        "extent": np.maximum(_reach(seen.any(axis=2)), _reach(seen.any(axis=1))).astype(np.float64),
        "spread": np.sqrt(np.maximum(vertical + horizontal, 0)),
        "anisotropy": 1 - ratio,
        "direction": np.where(apart > _NONE, angle, np.nan),
        "peak": peak,
    }


def joined(parts: Sequence[Shapes]) -> Shapes:
    """The shapes of several batches as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in QUANTITIES}


def distributions(shapes: Shapes, beside: dict[str, tuple[float, ...]]) -> list[distribution.Distribution]:
    """How each quantity is distributed. beside: values of each to show next to it, within the same range."""
    return [
        distribution.of(name, shapes[name], title, unit, meaning, beside.get(name, ()))
        for name, (title, unit, meaning) in QUANTITIES.items()
    ]


_NONE = 1e-9  # px^2: less is rounding


def _reach(seen_NK: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """From the first to the last place that is seen, both counted."""
    reach: npt.NDArray[np.intp] = seen_NK.shape[1] - seen_NK[:, ::-1].argmax(axis=1) - seen_NK.argmax(axis=1)
    return reach
