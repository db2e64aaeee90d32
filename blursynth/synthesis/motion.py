"""Paths for items: parameters drawn as the recipe asks, then the kernel. Keyed by (seed, item) throughout."""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.kernels import random, trajectory
from blursynth.synthesis import recipe


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


def scale_of(motion: recipe.Motion) -> float:
    """Size in px of one unit of the stored int16 positions."""
    return trajectory.scale_factor(motion.length.maximum)


def parameters(
    motion: recipe.Motion, seed: int, items: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What is drawn for each item: float32 (N, 5), columns trajectory.PARAMETERS, and the path's length (N,), px."""
    uniform = random.uniforms(seed, random.Stream.MOTION_PARAMETERS, items, 6)
    drawn = [motion.anxiety, motion.inertia, motion.impulse, motion.gaussian]
    columns = [source.at(uniform[:, k]) for k, source in enumerate(drawn)]
    found = np.stack([*columns, 2 * np.pi * uniform[:, 4]], axis=1).astype(np.float32)
    return found, motion.length.at(uniform[:, 5]).astype(np.float32)


def simulate(motion: recipe.Motion, seed: int, items: npt.NDArray[np.int64]) -> Motions:
    """Draw the parameters of each item and follow its path."""
    drawn, length = parameters(motion, seed, items)
    scale = scale_of(motion)
    paths = trajectory.simulate_rounded(
        seed, items, drawn, steps=motion.steps, length=length, dynamics=motion.dynamics, scale=scale
    )
    named = {name: drawn[:, k] for k, name in enumerate(trajectory.PARAMETERS)}
    return Motions(paths.position, scale, named, length, paths.impulses)
