"""Random camera-shake trajectories: the Markov motion of Boracchi and Foi (2012), Algorithm 1 of DeblurGAN (2018).

A path has M positions x (complex: real part to the right, imaginary part down, in pixels) and starts at 0. Each step

    v <- v + kick + anxiety * (gaussian * (n1 + i n2) - inertia * x) * L / (M - 1)
    v <- v / |v| * L / (M - 1)
    x <- x + v

so its length is L. The kick is 2 v exp(i (pi + u - 1/2)) when an impulse fires, else nothing. Two dynamics:

- `boracchi-foi`: the authors' reference and DeblurGAN's public code. An impulse fires when a uniform draw is below
  impulse * anxiety, u is uniform in [0, 1), and the first velocity has the magnitude `anxiety` before it is normalised.
- `algorithm-1`: as printed in DeblurGAN. The draw that fires the impulse and u are standard normal, the perturbation is
  anxiety * gaussian * (n1 + i n2) * inertia * x, and the first velocity has the magnitude L / (M - 1).

Inertia pulls toward the start of the path, as in both public codes (their comments say "previous position").
Velocities here are in units of L / (M - 1), which leaves the same recursion with fewer multiplications.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.kernels import elementary, jit, random

STEPS = 2000
LENGTH = 60.0
PARAMETERS = ("anxiety", "inertia", "impulse", "gaussian", "angle")
DYNAMICS = ("boracchi-foi", "algorithm-1")
# Below this the perturbation is lost in the rounding of a unit vector, and |v|^2 of the first step would underflow.
LEAST_ANXIETY = 1e-12

LANES = 16
# Rows of the state that LANES trajectories share: one array, so that the compiler knows that rows do not overlap.
X, Y, X_LOST, Y_LOST, V_X, V_Y = 0, 1, 2, 3, 4, 5
NOISE, PULL, FREQUENCY = 6, 7, 8
SHAKE, ANGLE, N_X, N_Y, KICK_X, KICK_Y = 9, 10, 11, 12, 13, 14
ROWS = 15

EXTRA_DRAWS = np.uint64(1 << 31)  # algorithm-1 needs two more normals a step; they have their own half of the counter
HALF_WORD = np.uint64(1)
TO_UNIT = np.float32(2.0**-31)
HALF = np.float32(0.5)
MINUS_TWO = np.float32(-2.0)
TWO = np.float32(2.0)
TURN_PER_RADIAN = np.float32(0.15915494309189535)


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


def scale_factor(length: float) -> float:
    """The smallest power of two, in px, whose int16 range holds every position of a path of `length` px."""
    assert length > 0
    return float(2.0 ** np.ceil(np.log2(length / np.iinfo(np.int16).max)))


def simulate(
    seed: int, items: npt.ArrayLike, parameters: npt.ArrayLike, *, steps: int, length: float, dynamics: str
) -> Paths:
    """Draw trajectories; item i is a function of seed, items[i], parameters[i] and the options alone.

    seed: 0 <= seed < 2**63. items: int64 (N,), >= 0. parameters: float32 (N, 5), columns `PARAMETERS`: anxiety >= 0,
    inertia, impulse >= 0, gaussian (no unit; gaussian in 1, inertia in 1/px), angle of the first velocity in radians.
    steps: positions of a path, M >= 2. length: L > 0, px. dynamics: one of `DYNAMICS`.
    Source: Boracchi and Foi, "Modeling the performance of image restoration from motion blur", 2012; DeblurGAN,
    Algorithm 1. Differs from both in float32 arithmetic, and an anxiety below 1e-12 counts as 0: a straight line.
    """
    position = np.empty((np.size(items), steps, 2), np.float32)
    impulses = _fill(seed, items, parameters, length, dynamics, 1.0, position)
    return Paths(position, impulses)


def simulate_rounded(
    seed: int,
    items: npt.ArrayLike,
    parameters: npt.ArrayLike,
    *,
    steps: int,
    length: float,
    dynamics: str,
    scale: float,
) -> RoundedPaths:
    """The paths of `simulate`, each coordinate as the nearest whole number of `scale` px (see `scale_factor`)."""
    assert scale >= scale_factor(length), "positions would overflow int16"
    position = np.empty((np.size(items), steps, 2), np.int16)
    impulses = _fill(seed, items, parameters, length, dynamics, 1.0 / scale, position)
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
    anxiety, inertia, impulse, gaussian, angle = np.asarray(parameters, np.float64).tolist()
    as_printed = _as_printed(dynamics)
    draws = np.stack([np.asarray(d, np.float64) for d in (u_shake, u_angle, n_re, n_im)])
    noise, pull = _coefficients(anxiety, inertia, gaussian, as_printed)
    unit = length / draws.shape[1]
    speed = anxiety / unit if anxiety >= LEAST_ANXIETY and not as_printed else 1.0
    start = (speed * np.cos(angle), speed * np.sin(angle))
    path = _replay(draws, noise, pull, impulse * anxiety, unit, as_printed, start[0], start[1])
    return np.ascontiguousarray(path).view(np.complex128)[:, 0]


def _as_printed(dynamics: str) -> bool:
    assert dynamics in DYNAMICS, dynamics
    return dynamics == "algorithm-1"


def _coefficients(anxiety, inertia, gaussian, as_printed):  # type: ignore[no-untyped-def]
    """The two factors of the perturbation in units of L / (M - 1): of the noise, and of the position."""
    calm = anxiety < LEAST_ANXIETY
    noise = np.where(calm, 0.0, anxiety * gaussian * (inertia if as_printed else 1.0))
    pull = np.where(calm, 0.0, anxiety * inertia)
    return noise, pull


def _fill(
    seed: int,
    items: npt.ArrayLike,
    parameters: npt.ArrayLike,
    length: float,
    dynamics: str,
    per_px: float,
    position: npt.NDArray[np.float32] | npt.NDArray[np.int16],
) -> npt.NDArray[np.int32]:
    numbers = np.require(items, np.int64, ["C", "A"]).astype(np.uint64)
    table = np.asarray(parameters, np.float32)
    assert 0 <= seed < 2**63
    assert table.shape == (numbers.size, len(PARAMETERS))
    assert position.shape[1] >= 2
    assert length > 0
    as_printed = _as_printed(dynamics)
    anxiety, inertia, impulse, gaussian, angle = table.astype(np.float64).T
    unit = length / (position.shape[1] - 1)
    noise, pull = _coefficients(anxiety, inertia, gaussian, as_printed)
    speed = np.where((anxiety < LEAST_ANXIETY) | as_printed, 1.0, anxiety / unit)
    prepared = np.stack([noise, pull, impulse * anxiety, speed, angle], axis=1).astype(np.float32)
    impulses = np.empty(numbers.size, np.int32)
    _simulate(
        np.uint64(seed & 0xFFFFFFFF),
        np.uint64(seed >> 32),
        numbers,
        prepared,
        np.float32(unit),
        as_printed,
        np.float32(per_px),
        position.dtype == np.int16,
        position,
        impulses,
    )
    return impulses


@jit.inline
def _advance(x, y, v_x, v_y, kick_x, kick_y, n_x, n_y, noise, pull, as_printed):  # type: ignore[no-untyped-def]
    """One step of the velocity, a unit vector afterwards; every argument of one floating type."""
    if as_printed:
        push_x = noise * (n_x * x - n_y * y)
        push_y = noise * (n_x * y + n_y * x)
    else:
        push_x = noise * n_x - pull * x
        push_y = noise * n_y - pull * y
    w_x = v_x + (kick_x * v_x - kick_y * v_y) + push_x
    w_y = v_y + (kick_x * v_y + kick_y * v_x) + push_y
    norm = np.sqrt(w_x * w_x + w_y * w_y)
    moving = norm > 0
    # A velocity that cancels exactly has no direction: keep the last one.
    return (w_x / norm if moving else v_x), (w_y / norm if moving else v_y)


@jit.inline
def _add(total, lost, term):  # type: ignore[no-untyped-def]
    """Kahan's sum: two thousand float32 steps would else drift by up to 2e-3 px along a straight line."""
    wanted = term - lost
    result = total + wanted
    return result, (result - total) - wanted


@jit.inline
def _normals(word_0, word_1):  # type: ignore[no-untyped-def]
    """Two standard normal float32 from two words (Box and Muller 1958); at most 6.7 in magnitude."""
    uniform = (np.float32(np.int32(word_0 >> HALF_WORD)) + HALF) * TO_UNIT
    turns = np.float32(np.int32(word_1 >> HALF_WORD)) * TO_UNIT
    radius = np.sqrt(MINUS_TWO * elementary.log(uniform))
    cosine, sine = elementary.cos_sin_turns(turns)
    return radius * cosine, radius * sine


@jit.inline
def _draw(state, items, step, seed_low, seed_high, as_printed):  # type: ignore[no-untyped-def]
    """This step's draws of every lane."""
    stream = np.uint64(random.Stream.MOTION)
    for lane in range(LANES):
        item = items[lane]
        low, high = item & random.WORD, item >> random.WORD_BITS
        words = random.philox_inline(step, stream, low, high, seed_low, seed_high)
        state[SHAKE, lane] = np.float32(np.int32(words[0] >> HALF_WORD)) * TO_UNIT
        state[ANGLE, lane] = np.float32(np.int32(words[1] >> HALF_WORD)) * TO_UNIT
        state[N_X, lane], state[N_Y, lane] = _normals(words[2], words[3])
    if as_printed:
        for lane in range(LANES):
            item = items[lane]
            low, high = item & random.WORD, item >> random.WORD_BITS
            words = random.philox_inline(step + EXTRA_DRAWS, stream, low, high, seed_low, seed_high)
            state[SHAKE, lane], state[ANGLE, lane] = _normals(words[0], words[1])


@jit.inline
def _kick(state, impulses):  # type: ignore[no-untyped-def]
    """Fire the impulses of this step: 2 exp(i (pi + u - 1/2)) where the draw is below its frequency, else 0."""
    for lane in range(LANES):
        fires = state[SHAKE, lane] < state[FREQUENCY, lane]
        cosine, sine = elementary.cos_sin_turns(HALF + (state[ANGLE, lane] - HALF) * TURN_PER_RADIAN)
        state[KICK_X, lane] = TWO * cosine if fires else np.float32(0.0)
        state[KICK_Y, lane] = TWO * sine if fires else np.float32(0.0)
        impulses[lane] += np.int32(fires)


@jit.inline
def _move(state, unit, as_printed):  # type: ignore[no-untyped-def]
    """One step of every lane."""
    for lane in range(LANES):
        v_x, v_y = _advance(
            state[X, lane],
            state[Y, lane],
            state[V_X, lane],
            state[V_Y, lane],
            state[KICK_X, lane],
            state[KICK_Y, lane],
            state[N_X, lane],
            state[N_Y, lane],
            state[NOISE, lane],
            state[PULL, lane],
            as_printed,
        )
        state[V_X, lane], state[V_Y, lane] = v_x, v_y
        state[X, lane], state[X_LOST, lane] = _add(state[X, lane], state[X_LOST, lane], v_x * unit)
        state[Y, lane], state[Y_LOST, lane] = _add(state[Y, lane], state[Y_LOST, lane], v_y * unit)


@jit.inline
def _start(state, prepared, first):  # type: ignore[no-untyped-def]
    """Put trajectories first, first + 1, ... into the lanes; lanes past the end repeat the last and are not kept."""
    state[:] = 0
    for lane in range(LANES):
        row = min(first + lane, prepared.shape[0] - 1)
        state[NOISE, lane], state[PULL, lane], state[FREQUENCY, lane] = (
            prepared[row, 0],
            prepared[row, 1],
            prepared[row, 2],
        )
        cosine, sine = elementary.cos_sin_turns(prepared[row, 4] * TURN_PER_RADIAN)
        state[V_X, lane], state[V_Y, lane] = prepared[row, 3] * cosine, prepared[row, 3] * sine


@jit.kernel
def _simulate(  # type: ignore[no-untyped-def]
    seed_low, seed_high, items, prepared, unit, as_printed, per_px, rounded, position, impulses
):
    count, steps = position.shape[0], position.shape[1]
    state = np.empty((ROWS, LANES), np.float32)
    lane_items = np.empty(LANES, np.uint64)
    lane_impulses = np.empty(LANES, np.int32)
    for first in range(0, count, LANES):
        used = min(LANES, count - first)
        for lane in range(LANES):
            lane_items[lane] = items[first + min(lane, used - 1)]
        lane_impulses[:] = 0
        _start(state, prepared, first)
        position[first : first + used, 0] = 0
        for step in range(1, steps):
            _draw(state, lane_items, np.uint64(step - 1), seed_low, seed_high, as_printed)
            _kick(state, lane_impulses)
            _move(state, unit, as_printed)
            for lane in range(used):
                x, y = state[X, lane] * per_px, state[Y, lane] * per_px
                position[first + lane, step, 0] = np.rint(x) if rounded else x
                position[first + lane, step, 1] = np.rint(y) if rounded else y
        impulses[first : first + used] = lane_impulses[:used]


@jit.kernel
def _replay(draws, noise, pull, frequency, unit, as_printed, v_x, v_y):  # type: ignore[no-untyped-def]
    path = np.zeros((draws.shape[1] + 1, 2))
    x, y, x_lost, y_lost = 0.0, 0.0, 0.0, 0.0
    for step in range(draws.shape[1]):
        fires = draws[0, step] < frequency
        angle = np.pi + draws[1, step] - 0.5
        kick_x = 2.0 * np.cos(angle) if fires else 0.0
        kick_y = 2.0 * np.sin(angle) if fires else 0.0
        n_x, n_y = draws[2, step], draws[3, step]
        v_x, v_y = _advance(x, y, v_x, v_y, kick_x, kick_y, n_x, n_y, noise, pull, as_printed)
        x, x_lost = _add(x, x_lost, v_x * unit)
        y, y_lost = _add(y, y_lost, v_y * unit)
        path[step + 1, 0] = x
        path[step + 1, 1] = y
    return path
