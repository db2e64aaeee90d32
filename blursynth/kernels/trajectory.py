"""Random camera-shake trajectories: the Markov motion of Boracchi and Foi (2012), Algorithm 1 of DeblurGAN (2018).

A path has M positions x (complex: real part to the right, imaginary part down, in pixels) and starts at 0. Each step

    v <- v + kick + anxiety * (gaussian * (n1 + i n2) - inertia * x) * L / (M - 1)
    v <- v / |v| * L / (M - 1)
    x <- x + v

so its length is L. The kick is 2 v exp(i (pi + u - 1/2)) when an impulse fires, else nothing. Two dynamics:

- `boracchi-foi`: the authors' reference and DeblurGAN's public code. An impulse fires when a uniform draw is below
  impulse * anxiety, u is uniform in [0, 1), and the first velocity has the magnitude `anxiety` before it is normalised.
- `algorithm-1`: as printed in DeblurGAN. The draw that fires the impulse and u are standard normal, the perturbation is
  anxiety * gaussian * (n1 + i n2) * inertia * x * L / (M - 1), and the first velocity has the magnitude L / (M - 1).

Inertia pulls toward the start of the path, as in both public codes (their comments say "previous position").
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.kernels import random, trajectory_steps

STEPS = 2000
LENGTH = 60.0
PARAMETERS = ("anxiety", "inertia", "impulse", "gaussian", "angle")
DYNAMICS = ("boracchi-foi", "algorithm-1")
# Below this the perturbation is lost in the rounding of a unit vector, and |v|^2 of the first step would underflow.
LEAST_ANXIETY = 1e-12


@dataclasses.dataclass(frozen=True)
class Paths:
    """Trajectories: position float32 (N, M, 2), px, x then y, starting at 0; impulses int32 (N,), how many fired."""

    position: npt.NDArray[np.float32]
    impulses: npt.NDArray[np.int32]


@dataclasses.dataclass(frozen=True)
class RoundedPaths:
    """Trajectories: position int16 (N, M, 2), units of `scale` px, x then y; impulses int32 (N,), how many fired."""

    position: npt.NDArray[np.int16]
    impulses: npt.NDArray[np.int32]


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """Parameters (float64, each a number or (N,)) as `motion` wants them: velocities in units of L / (M - 1)."""

    noise: npt.NDArray[np.float64]
    pull: npt.NDArray[np.float64]
    frequency: npt.NDArray[np.float64]
    speed: npt.NDArray[np.float64]
    angle: npt.NDArray[np.float64]


def scale_factor(length: float) -> float:
    """The smallest power of two, in px, whose int16 range holds every position of a path of `length` px."""
    assert length > 0
    return float(2.0 ** np.ceil(np.log2(length / np.iinfo(np.int16).max)))


def simulate(
    seed: int,
    items: npt.ArrayLike,
    parameters: npt.ArrayLike,
    *,
    steps: int,
    length: npt.ArrayLike,
    dynamics: str,
    stream: random.Stream = random.Stream.MOTION,
) -> Paths:
    """Draw trajectories; row i is a function of seed, items[i], parameters[i] and the options alone.

    seed: 0 <= seed < 2**63. items: int64 (N,), >= 0. parameters: float32 (N, 5), columns `PARAMETERS`: anxiety >= 0
    (p_s), inertia (I, 1/px), impulse >= 0 (p_b), gaussian (p_g), angle of the first velocity (phi, radians).
    steps: positions of a path, M >= 2. length: L > 0, px, one for all or float (N,). dynamics: one of `DYNAMICS`.
    stream: where the draws come from, for items that have several paths.
    Source: Boracchi and Foi, "Modeling the performance of image restoration from motion blur", 2012; DeblurGAN,
    Algorithm 1. Differs from both in float32 arithmetic (the position with compensated sums), and in that an anxiety
    below 1e-12 is a straight line for either dynamics. The same bytes come out on every processor.
    """
    position = np.empty((np.size(items), steps, 2), np.float32)
    impulses = _fill(seed, stream, items, parameters, length, dynamics, 1.0, position)
    return Paths(position, impulses)


def simulate_rounded(
    seed: int,
    items: npt.ArrayLike,
    parameters: npt.ArrayLike,
    *,
    steps: int,
    length: npt.ArrayLike,
    dynamics: str,
    scale: float,
) -> RoundedPaths:
    """The paths of `simulate`, each coordinate as the nearest whole number of `scale` px (see `scale_factor`)."""
    assert np.size(items) == 0 or scale >= scale_factor(float(np.max(length))), "positions would overflow int16"
    position = np.empty((np.size(items), steps, 2), np.int16)
    impulses = _fill(seed, random.Stream.MOTION, items, parameters, length, dynamics, 1.0 / scale, position)
    return RoundedPaths(position, impulses)


def from_draws(
    parameters: npt.ArrayLike,
    u_shake: npt.ArrayLike,
    u_angle: npt.ArrayLike,
    n_re: npt.ArrayLike,
    n_im: npt.ArrayLike,
    *,
    length: float,
    dynamics: str,
) -> npt.NDArray[np.complex128]:
    """One trajectory in float64 from given draws, through the step function of `simulate`.

    parameters: (5,), columns `PARAMETERS`. Draws: float64 (M - 1,) each; u_shake fires the impulse, u_angle is u (both
    uniform in [0, 1) for `boracchi-foi`, standard normal for `algorithm-1`), n_re and n_im are standard normal.
    Returns complex128 (M,), px, starting at 0.
    """
    draws = np.stack([np.asarray(draw, np.float64) for draw in (u_shake, u_angle, n_re, n_im)])
    unit = length / draws.shape[1]
    prepared = _prepare(np.asarray(parameters, np.float64), unit, dynamics)
    path = trajectory_steps.replay(
        draws,
        float(prepared.noise),
        float(prepared.pull),
        float(prepared.frequency),
        unit,
        float(prepared.speed * np.cos(prepared.angle)),
        float(prepared.speed * np.sin(prepared.angle)),
        _as_printed(dynamics),
    )
    return path[:, 0] + 1j * path[:, 1]


def _as_printed(dynamics: str) -> bool:
    assert dynamics in DYNAMICS, dynamics
    return dynamics == "algorithm-1"


def _prepare(parameters: npt.NDArray[np.float64], unit: npt.ArrayLike, dynamics: str) -> _Prepared:
    """parameters: (..., 5). unit: L / (M - 1), px."""
    anxiety, inertia, impulse, gaussian, angle = np.moveaxis(parameters, -1, 0)
    anxiety = np.where(anxiety < LEAST_ANXIETY, 0.0, anxiety)
    if _as_printed(dynamics):
        noise, pull = anxiety * gaussian * inertia, np.zeros_like(anxiety)
        speed = np.ones_like(anxiety)
    else:
        noise, pull = anxiety * gaussian, anxiety * inertia
        speed = np.where(anxiety > 0, anxiety / unit, 1.0)
    # Without anxiety nothing fires, although a normal draw is below 0 half of the time.
    frequency = np.where(anxiety > 0, impulse * anxiety, -np.inf)
    return _Prepared(noise, pull, frequency, speed, angle)


def _fill(
    seed: int,
    stream: random.Stream,
    items: npt.ArrayLike,
    parameters: npt.ArrayLike,
    length: npt.ArrayLike,
    dynamics: str,
    per_px: float,
    position: npt.NDArray[np.float32] | npt.NDArray[np.int16],
) -> npt.NDArray[np.int32]:
    numbers = np.asarray(items, np.int64)
    table = np.asarray(parameters, np.float32)
    steps = position.shape[1]
    assert 0 <= seed < 2**63
    assert numbers.size == 0 or numbers.min() >= 0
    assert table.shape == (numbers.size, len(PARAMETERS))
    assert 2 <= steps <= 2**31
    unit = np.broadcast_to(np.asarray(length, np.float64), numbers.shape) / (steps - 1)
    assert np.all(unit > 0)
    prepared = _prepare(table.astype(np.float64), unit, dynamics)
    columns = (prepared.noise, prepared.pull, prepared.frequency, prepared.speed, prepared.angle, unit)
    impulses = np.empty(numbers.size, np.int32)
    trajectory_steps.simulate(
        np.uint64(seed & 0xFFFFFFFF),
        np.uint64(seed >> 32),
        np.uint64(stream),
        np.ascontiguousarray(numbers.astype(np.uint64)),
        np.ascontiguousarray(np.stack(columns, axis=1).astype(np.float32)),
        np.float32(per_px),
        _as_printed(dynamics),
        position.dtype == np.int16,
        position,
        impulses,
    )
    return impulses
