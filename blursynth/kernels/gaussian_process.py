"""Smooth random paths: a stationary Gaussian process with Matérn covariance of order 3/2.

    cov(x(s), x(t)) = (1 + a) exp(-a),  a = sqrt(3) |s - t| / l

the prior of Schuler, Hirsch, Harmeling and Schölkopf ("Learning to deblur", 2015, equation 5) for random blur. It is
the output of a critically damped spring driven by white noise, so a step of its position and speed is exact and needs
no covariance matrix (Hartikainen and Särkkä 2010, section 4).
"""

import math

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, random, trajectory_steps


def paths(
    seed: int, items: npt.ArrayLike, stream: random.Stream, *, steps: int, correlation: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Two independent paths of each item.

    steps: positions at equal steps in time from 0 to 1, >= 2. correlation: l, in the same unit, > 0, one for all or
    float (N,). Returns float32 (N, steps, 2) with mean 0 and variance 1. Row i depends on seed, stream, items[i] and
    the options alone.
    """
    numbers = np.asarray(items, np.int64)
    assert 0 <= seed < 2**63
    assert numbers.ndim == 1
    assert numbers.size == 0 or numbers.min() >= 0
    assert steps >= 2
    lengths = np.broadcast_to(np.asarray(correlation, np.float64), numbers.shape)
    table = np.array([_transition(length, steps) for length in lengths.tolist()]).reshape(numbers.size, 7)
    position = np.empty((numbers.size, steps, 2), np.float32)
    _paths(
        np.uint64(seed & 0xFFFFFFFF),
        np.uint64(seed >> 32),
        np.uint64(stream),
        numbers.astype(np.uint64),
        table,
        position,
    )
    return position


def _transition(length: float, steps: int) -> tuple[float, ...]:
    """One step of (position, speed / rate): the matrix A, row by row, and the lower triangle of A A^T + L L^T = 1."""
    assert length > 0
    a = math.sqrt(3.0) / length / (steps - 1)
    decay = math.exp(-a)
    a_00, a_01, a_10, a_11 = decay * (1 + a), decay * a, -decay * a, decay * (1 - a)
    # 1 - exp(-2a)(1 + 2a + 2a^2) loses its digits for a small a, where it is a series that begins with 4/3 a^3.
    tail = sum((-2 * a) ** k / math.factorial(k) * (k * k - 3 * k + 2) / 2 for k in range(3, 24))
    var_x = -tail if a < 0.5 else 1 - decay * decay * (1 + 2 * a + 2 * a * a)
    cov = 2 * decay * decay * a * a
    var_v = 1 - decay * decay * (1 - 2 * a + 2 * a * a)
    l_00 = math.sqrt(var_x)
    l_10 = cov / l_00
    return a_00, a_01, a_10, a_11, l_00, l_10, math.sqrt(max(var_v - l_10 * l_10, 0.0))


@jit.kernel
def _paths(
    seed_low: np.uint64,
    seed_high: np.uint64,
    stream: np.uint64,
    items: npt.NDArray[np.uint64],
    table: npt.NDArray[np.float64],
    position: npt.NDArray[np.float32],
) -> None:
    for n in range(items.size):
        low, high = items[n] & random.WORD, items[n] >> random.WORD_BITS
        for axis in range(2):
            x, v = 0.0, 0.0
            for step in range(position.shape[1]):
                counter = np.uint64(2 * step + axis)
                words = random.philox_inline(counter, stream, low, high, seed_low, seed_high)
                normal_0, normal_1 = trajectory_steps.normals(words[0], words[1])
                n_0, n_1 = np.float64(normal_0), np.float64(normal_1)
                if step == 0:
                    x, v = n_0, n_1
                else:
                    moved = table[n, 0] * x + table[n, 1] * v + table[n, 4] * n_0
                    v = table[n, 2] * x + table[n, 3] * v + table[n, 5] * n_0 + table[n, 6] * n_1
                    x = moved
                position[n, step, axis] = np.float32(x)
