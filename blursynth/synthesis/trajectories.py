"""Draw camera trajectories for items: parameters from the config, then the kernel, keyed by (seed, item)."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.config import photo_pairs
from blursynth.kernels import random, trajectory


@dataclasses.dataclass(frozen=True)
class Motions:
    """Paths of N items, as a dataset stores them.

    position_NMA: int16, x then y in units of `scale` px, starting at 0. parameters: float32 (N,) per name of
    trajectory.PARAMETERS. length: float32 (N,) px. impulses: int32 (N,), sudden turns that fired.
    """

    position_NMA: npt.NDArray[np.int16]
    scale: float
    parameters: dict[str, npt.NDArray[np.float32]]
    length: npt.NDArray[np.float32]
    impulses: npt.NDArray[np.int32]

    def pixels(self) -> npt.NDArray[np.float32]:
        """Positions in px, float32 (N, M, 2). Exact: the scale is a power of two."""
        return self.position_NMA.astype(np.float32) * np.float32(self.scale)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return how the paths were drawn, (N,) each, by the names of a dataset's columns."""
        return {**self.parameters, "length": self.length, "impulses": self.impulses}


@dataclasses.dataclass(frozen=True)
class Stored:
    """Paths of N items out of a dataset of trajectories.

    trajectory: int64 (N,), their items in that dataset. position_NM2: float32, px, x then y.
    """

    trajectory: npt.NDArray[np.int64]
    position_NM2: npt.NDArray[np.float32]

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return which paths these are, by the name of a dataset's column."""
        return {"trajectory": self.trajectory}


def from_start(exposure: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return exposures as (start, end) fractions of the path, float32 (N, 2): each starts with the path."""
    return np.stack([np.zeros_like(exposure), exposure], axis=1).astype(np.float32)


def scale_of(motion: photo_pairs.Motion) -> float:
    """Size in px of one unit of the stored int16 positions."""
    return trajectory.scale_factor(motion.length.maximum)


def parameters(
    motion: photo_pairs.Motion, seed: int, items: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What is drawn for each item: float32 (N, 5), columns trajectory.PARAMETERS, and the path's length (N,), px."""
    uniform = random.uniforms(seed, random.Stream.MOTION_PARAMETERS, items, 6)
    drawn = [motion.anxiety, motion.inertia, motion.impulse, motion.gaussian]
    columns = [source.at(uniform[:, k]) for k, source in enumerate(drawn)]
    angle = 2 * np.pi * uniform[:, 4] if motion.angle is None else np.radians(motion.angle.at(uniform[:, 4]) % 360)
    found = np.stack([*columns, angle], axis=1).astype(np.float32)
    return found, motion.length.at(uniform[:, 5]).astype(np.float32)


def simulate(motion: photo_pairs.Motion, seed: int, items: npt.NDArray[np.int64]) -> Motions:
    """Draw the parameters of each item and follow its path."""
    drawn, length = parameters(motion, seed, items)
    scale = scale_of(motion)
    paths = trajectory.simulate_rounded(
        seed, items, drawn, steps=motion.steps, length=length, dynamics=motion.dynamics, scale=scale
    )
    named = {name: drawn[:, k] for k, name in enumerate(trajectory.PARAMETERS)}
    return Motions(paths.position, scale, named, length, paths.impulses)
