"""The motion behind `trajectory`: one step of the velocity, and the loop that advances sixteen paths side by side.

Velocities are in units of L / (M - 1), which leaves the recursion of `trajectory` with fewer multiplications. Only
additions, multiplications, divisions and square roots that IEEE 754 defines to the bit are used, in a fixed order.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, portable_math, random

State: TypeAlias = npt.NDArray[np.float32]
Number: TypeAlias = Any  # a scalar, float32 in `simulate`, float64 in `replay`
Pair: TypeAlias = tuple[Number, Number]

LANES = 16
# Rows of the state (ROWS, LANES) that sixteen trajectories share. One array: its rows plainly do not overlap, and the
# loops over lanes become vector instructions without checks.
X, Y, X_LOST, Y_LOST, V_X, V_Y = 0, 1, 2, 3, 4, 5
NOISE, PULL, FREQUENCY, UNIT = 6, 7, 8, 9
SHAKE, ANGLE, N_X, N_Y, KICK_X, KICK_Y = 10, 11, 12, 13, 14, 15
ROWS = 16
# Columns of the prepared parameters (N, 6), float32: factor of the noise, factor of the position, probability of an
# impulse (or its threshold), first speed, first angle in radians, L / (M - 1) in px.
PREPARED_NOISE, PREPARED_PULL, PREPARED_FREQUENCY, PREPARED_SPEED, PREPARED_ANGLE, PREPARED_UNIT = 0, 1, 2, 3, 4, 5

EXTRA_DRAWS = np.uint64(1 << 31)  # algorithm-1 needs two more normals a step; they have their own half of the counter
TOP_31 = np.uint64(1)
PER_31 = np.float32(2.0**-31)
ZERO = np.float32(0.0)
HALF = np.float32(0.5)
TWO = np.float32(2.0)
MINUS_TWO = np.float32(-2.0)
TURNS_PER_RADIAN = np.float32(0.15915494309189535)


@jit.inline
def turn(
    x: Number,
    y: Number,
    v_x: Number,
    v_y: Number,
    kick: Pair,
    normal: Pair,
    noise: Number,
    pull: Number,
    as_printed: bool,
) -> Pair:
    """The next velocity, a unit vector, at position (x, y); all of one floating type.

    kick: the complex factor 2 exp(i (pi + u - 1/2)) of an impulse, or 0. normal: n1, n2.
    """
    kick_x, kick_y = kick
    n_x, n_y = normal
    if as_printed:
        push_x = noise * (n_x * x - n_y * y)
        push_y = noise * (n_x * y + n_y * x)
    else:
        push_x = noise * n_x - pull * x
        push_y = noise * n_y - pull * y
    w_x = v_x + (kick_x * v_x - kick_y * v_y) + push_x
    w_y = v_y + (kick_x * v_y + kick_y * v_x) + push_y
    norm = np.sqrt(w_x * w_x + w_y * w_y)
    # A velocity that cancels exactly has no direction: keep the last one.
    moving = norm > 0
    return (w_x / norm if moving else v_x), (w_y / norm if moving else v_y)


@jit.inline
def add(total: Number, lost: Number, term: Number) -> Pair:
    """Kahan's sum: two thousand float32 additions would else drift by up to 2e-3 px along a straight line."""
    wanted = term - lost
    result = total + wanted
    return result, (result - total) - wanted


@jit.inline
def _uniform(word: np.uint64) -> np.float32:
    """A word to a float32 in [0, 1], by its top 31 bits: signed conversion is an instruction everywhere."""
    return np.float32(np.int32(word >> TOP_31)) * PER_31


@jit.inline
def normals(word_0: np.uint64, word_1: np.uint64) -> tuple[np.float32, np.float32]:
    """Two standard normal float32 from two words (Box and Muller 1958); at most 6.7 in magnitude."""
    positive = (np.float32(np.int32(word_0 >> TOP_31)) + HALF) * PER_31
    radius = np.sqrt(MINUS_TWO * portable_math.log(positive))
    cosine, sine = portable_math.cos_sin_turns(_uniform(word_1))
    return radius * cosine, radius * sine


@jit.inline
def _draw(
    state: State,
    items: npt.NDArray[np.uint64],
    stream: np.uint64,
    step: np.uint64,
    seed_low: np.uint64,
    seed_high: np.uint64,
) -> None:
    """This step's draws of every lane: two uniform, two normal."""
    for lane in range(LANES):
        low, high = items[lane] & random.WORD, items[lane] >> random.WORD_BITS
        words = random.philox_inline(step, stream, low, high, seed_low, seed_high)
        state[SHAKE, lane], state[ANGLE, lane] = _uniform(words[0]), _uniform(words[1])
        state[N_X, lane], state[N_Y, lane] = normals(words[2], words[3])


@jit.inline
def _draw_normal_impulses(
    state: State,
    items: npt.NDArray[np.uint64],
    stream: np.uint64,
    step: np.uint64,
    seed_low: np.uint64,
    seed_high: np.uint64,
) -> None:
    """Put standard normal draws in place of the impulse's two uniform ones."""
    for lane in range(LANES):
        low, high = items[lane] & random.WORD, items[lane] >> random.WORD_BITS
        words = random.philox_inline(step | EXTRA_DRAWS, stream, low, high, seed_low, seed_high)
        state[SHAKE, lane], state[ANGLE, lane] = normals(words[0], words[1])


@jit.inline
def _kick(state: State, impulses: npt.NDArray[np.int32]) -> None:
    """Fire the impulses of this step: 2 exp(i (pi + u - 1/2)) where the draw is below its threshold, else 0."""
    for lane in range(LANES):
        fires = state[SHAKE, lane] < state[FREQUENCY, lane]
        cosine, sine = portable_math.cos_sin_turns(HALF + (state[ANGLE, lane] - HALF) * TURNS_PER_RADIAN)
        state[KICK_X, lane] = TWO * cosine if fires else ZERO
        state[KICK_Y, lane] = TWO * sine if fires else ZERO
        impulses[lane] += np.int32(fires)


@jit.inline
def _move(state: State, as_printed: bool) -> None:
    """One step of every lane."""
    for lane in range(LANES):
        x, y = state[X, lane], state[Y, lane]
        kick = state[KICK_X, lane], state[KICK_Y, lane]
        normal = state[N_X, lane], state[N_Y, lane]
        noise, pull = state[NOISE, lane], state[PULL, lane]
        v_x, v_y = turn(x, y, state[V_X, lane], state[V_Y, lane], kick, normal, noise, pull, as_printed)
        state[V_X, lane], state[V_Y, lane] = v_x, v_y
        state[X, lane], state[X_LOST, lane] = add(x, state[X_LOST, lane], v_x * state[UNIT, lane])
        state[Y, lane], state[Y_LOST, lane] = add(y, state[Y_LOST, lane], v_y * state[UNIT, lane])


@jit.inline
def _start(state: State, prepared: npt.NDArray[np.float32], first: int) -> None:
    """Put trajectories first, first + 1, ... into the lanes; lanes past the end repeat the last and are not kept."""
    for lane in range(LANES):
        state[X, lane], state[Y, lane] = ZERO, ZERO
        state[X_LOST, lane], state[Y_LOST, lane] = ZERO, ZERO
        row = prepared[min(first + lane, prepared.shape[0] - 1)]
        state[NOISE, lane] = row[PREPARED_NOISE]
        state[PULL, lane] = row[PREPARED_PULL]
        state[FREQUENCY, lane] = row[PREPARED_FREQUENCY]
        state[UNIT, lane] = row[PREPARED_UNIT]
        cosine, sine = portable_math.cos_sin_turns(row[PREPARED_ANGLE] * TURNS_PER_RADIAN)
        state[V_X, lane] = row[PREPARED_SPEED] * cosine
        state[V_Y, lane] = row[PREPARED_SPEED] * sine


@jit.kernel
def simulate(
    seed_low: np.uint64,
    seed_high: np.uint64,
    stream: np.uint64,
    items: npt.NDArray[np.uint64],
    prepared: npt.NDArray[np.float32],
    per_px: np.float32,
    as_printed: bool,
    rounded: bool,
    position: npt.NDArray[np.float32] | npt.NDArray[np.int16],
    impulses: npt.NDArray[np.int32],
) -> None:
    """Fill position (N, M, 2) with coordinates times `per_px`, rounded if asked, and impulses (N,).

    stream: where the draws come from. items: uint64 (N,). prepared: (N, 6), the columns above.
    """
    count, steps = position.shape[0], position.shape[1]
    state = np.empty((ROWS, LANES), np.float32)
    lane_items = np.empty(LANES, np.uint64)
    lane_impulses = np.empty(LANES, np.int32)
    for first in range(0, count, LANES):
        used = min(LANES, count - first)
        for lane in range(LANES):
            lane_items[lane] = items[first + min(lane, used - 1)]
            lane_impulses[lane] = np.int32(0)
        _start(state, prepared, first)
        for lane in range(used):
            position[first + lane, 0, 0], position[first + lane, 0, 1] = ZERO, ZERO
        for step in range(1, steps):
            _draw(state, lane_items, stream, np.uint64(step - 1), seed_low, seed_high)
            if as_printed:
                _draw_normal_impulses(state, lane_items, stream, np.uint64(step - 1), seed_low, seed_high)
            _kick(state, lane_impulses)
            _move(state, as_printed)
            for lane in range(used):
                x, y = state[X, lane] * per_px, state[Y, lane] * per_px
                position[first + lane, step, 0] = np.rint(x) if rounded else x
                position[first + lane, step, 1] = np.rint(y) if rounded else y
        # Assigning a slice would pull in Numba's strings, for its error message: a second more to compile.
        for lane in range(used):
            impulses[first + lane] = lane_impulses[lane]


@jit.kernel
def replay(
    draws: npt.NDArray[np.float64],
    noise: float,
    pull: float,
    frequency: float,
    unit: float,
    v_x: float,
    v_y: float,
    as_printed: bool,
) -> npt.NDArray[np.float64]:
    """One path, float64 (M, 2), from draws (4, M - 1): shake, angle, n1, n2; unit: L / (M - 1), px."""
    path = np.zeros((draws.shape[1] + 1, 2))
    x, y, x_lost, y_lost = 0.0, 0.0, 0.0, 0.0
    for step in range(draws.shape[1]):
        angle = np.pi + draws[1, step] - 0.5
        kick_x, kick_y = 0.0, 0.0
        if draws[0, step] < frequency:
            kick_x, kick_y = 2.0 * np.cos(angle), 2.0 * np.sin(angle)
        normal = draws[2, step], draws[3, step]
        v_x, v_y = turn(x, y, v_x, v_y, (kick_x, kick_y), normal, noise, pull, as_printed)
        x, x_lost = add(x, x_lost, v_x * unit)
        y, y_lost = add(y, y_lost, v_y * unit)
        path[step + 1, 0], path[step + 1, 1] = x, y
    return path
