"""Draw camera paths and their point spread functions in memory."""

from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.api import images
from blursynth.config import options, photo_pairs, ranges
from blursynth.kernels import psf
from blursynth.synthesis import trajectories as trajectories_


def trajectories(n: int, *, seed: int = 0, first: int = 0, **settings: Any) -> npt.NDArray[np.float32]:
    """Draw random camera paths.

    Parameters
    ----------
    n
        How many.
    seed, first
        Path k is item first + k of `blursynth trajectories` with this seed and these settings, to the bit.
    **settings
        Options of `blursynth trajectories`: preset ("boracchi-foi", "deblurgan", "algorithm-1"), steps, length (px),
        anxiety, inertia, impulse, gaussian, angle (degrees: straight motion; 0 is right, 90 down). A value is a number,
        a range "LOW:HIGH" or (LOW, HIGH), or a list "A,B,C" or [A, B, C].

    Returns
    -------
    ndarray
        float32 (n, steps, 2): x to the right, then y down, in px, at equal steps in time; starts at 0.

    Raises
    ------
    RecipeError
        A setting is unknown or out of range.

    References
    ----------
    Boracchi and Foi: Modeling the performance of image restoration from motion blur, IEEE TIP 21, 2012.
    Kupyn et al.: DeblurGAN, CVPR 2018, Algorithm 1.

    Examples
    --------
    >>> import blursynth as bs
    >>> paths = bs.trajectories(8, seed=0, length="20:60")
    >>> paths.shape, paths.dtype
    ((8, 2000, 2), dtype('float32'))
    """
    for name, value, least in (("n", n, 0), ("seed", seed, 0), ("first", first, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value < 2**63 - 1:
            raise errors.RecipeError(f"{name} is {value!r:.80}; expected a whole number of {least} or more.")
    options.refuse_unknown("trajectories", settings, [option.name for option in options.of(photo_pairs.Motion)])
    values = {name: ranges.text(value) for name, value in settings.items()}
    config = options.build(options.values(values, photo_pairs.Motion), photo_pairs.Motion)
    items = np.arange(first, first + n, dtype=np.int64)
    return trajectories_.simulate(config, int(seed), items).pixels()


def psfs(
    paths: npt.ArrayLike, *, exposure: float | npt.ArrayLike = 1.0, size: int | None = None
) -> npt.NDArray[np.float32]:
    """Draw the point spread function of each path.

    Each position is shared among the four pixels around it with bilinear weights.

    Parameters
    ----------
    paths : (N, M, 2) or (M, 2)
        Positions at equal steps in time, x to the right, then y down, in px, from any origin.
    exposure
        The fraction of the path that is exposed, from its start, above 0 and at most 1: a number, or one for each path.
    size
        Side K of the canvas in px; by default the odd one that the longest path needs.

    Returns
    -------
    ndarray
        float32 (N, K, K) or (K, K), axes y, x: 0 or more, each sums to 1, centroid on pixel (K // 2, K // 2).

    Raises
    ------
    InputError
        An array has another shape or range, or a PSF does not fit the canvas; the message has the size that does.

    Examples
    --------
    >>> import blursynth as bs
    >>> kernels = bs.psfs(bs.trajectories(8, length=20), exposure=0.5)
    >>> kernels.shape, bool(abs(kernels.sum(axis=(1, 2)) - 1).max() < 1e-6)
    ((8, 13, 13), True)
    """
    position = images.numbers(paths, "paths", "(N, M, 2)")
    if position.ndim not in (2, 3) or position.shape[-1] != 2 or position.shape[-2] < 1:
        raise errors.InputError(f"paths have the shape {position.shape}; expected (N, M, 2) or (M, 2), x then y.")
    position_NM2 = position.reshape(-1, *position.shape[-2:]).astype(np.float32)
    fractions = images.numbers(exposure, "exposure", "a number, or one for each path")
    if fractions.shape not in ((), (len(position_NM2),)):
        raise errors.InputError(f"exposure has the shape {fractions.shape}; expected a number, or one for each path.")
    if not ((fractions > 0) & (fractions <= 1)).all():
        raise errors.InputError("exposure has values outside of (0, 1]: fractions of the path.")
    if np.abs(position_NM2).max(initial=0) > 1e6:
        raise errors.InputError("paths have positions beyond 1,000,000 px, where float32 has no tenths of a px left.")
    spans = trajectories_.from_start(np.broadcast_to(fractions, len(position_NM2)).astype(np.float32))
    if size is None:
        size = _side(position_NM2, spans)
    elif isinstance(size, bool) or not isinstance(size, int | np.integer) or not 1 <= size <= 4095:
        raise errors.InputError(f"size is {size!r:.80}; expected a whole number from 1 to 4095.")
    kernels = psf.rasterise(position_NM2, spans, int(size))
    return kernels if position.ndim == 3 else kernels[0]


def _side(position_NM2: npt.NDArray[np.float32], spans: npt.NDArray[np.float32]) -> int:
    """The odd side that holds every path, from the length of the longest."""
    steps = np.hypot(*np.moveaxis(np.diff(position_NM2.astype(np.float64), axis=1), 2, 0)).sum(axis=1)
    longest = float((steps * spans[:, 1]).max(initial=0.0)) + 1e-3  # lengths are sums of rounded steps
    needed = psf.size_needed(position_NM2, spans, min(psf.size_for(longest), 4095))
    if needed > 4095:
        raise errors.InputError(f"The longest path needs a PSF of {needed} px; 4095 is the most. Give shorter paths.")
    return needed
