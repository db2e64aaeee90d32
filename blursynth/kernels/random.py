"""Counter-based random draws: a pure function of (seed, stream, item, step), the same on any split of the work.

Philox4x32 with ten rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
turns a counter of four 32-bit words and a key of two into four words that pass the common batteries of tests. Here
the counter is (step, stream, item low, item high) and the key is (seed low, seed high).
"""

import enum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit

MULTIPLIER_0 = np.uint64(0xD2511F53)
MULTIPLIER_1 = np.uint64(0xCD9E8D57)
KEY_STEP_0 = np.uint64(0x9E3779B9)
KEY_STEP_1 = np.uint64(0xBB67AE85)
WORD = np.uint64(0xFFFFFFFF)
WORD_BITS = np.uint64(32)
ROUNDS = 10

Words: TypeAlias = Any  # uint64, a scalar or an array


class Stream(enum.IntEnum):
    """Independent sources of draws of one item. Numbers are part of the format: never change or reuse one."""

    MOTION_PARAMETERS = 0
    MOTION = 1
    CROP = 2
    EXPOSURE = 3
    TRAJECTORY_CHOICE = 4
    SCENE = 5
    SPLIT = 6
    FRAMES = 7
    KERNEL_CHOICE = 8
    FIELD_PARAMETERS = 16
    FIELD_MOTION = 17
    CAMERA_PARAMETERS = 18
    CAMERA_TURN = 19
    CAMERA_ROLL = 20
    CAMERA_SHIFT = 21
    SENSOR = 24
    NOISE = 25
    OBJECT_CHOICE = 32
    OBJECT_PARAMETERS = 33
    OBJECT_SHIFT = 34
    OBJECT_TURN = 35


def philox(
    step: Words, stream: Words, item_low: Words, item_high: Words, seed_low: Words, seed_high: Words
) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10: four random 32-bit words for a counter of four and a key of two words.

    Every argument and result is uint64 holding a 32-bit word, a scalar or an array (they broadcast): a product of two
    words then never overflows, in compiled code and in NumPy alike.
    """
    a, b, c, d = step, stream, item_low, item_high
    for _ in range(ROUNDS):
        product_0 = MULTIPLIER_0 * a
        product_1 = MULTIPLIER_1 * c
        a = (product_1 >> WORD_BITS) ^ b ^ seed_low
        b = product_1 & WORD
        c = (product_0 >> WORD_BITS) ^ d ^ seed_high
        d = product_0 & WORD
        seed_low = (seed_low + KEY_STEP_0) & WORD
        seed_high = (seed_high + KEY_STEP_1) & WORD
    return a, b, c, d


philox_inline = jit.inline(philox)


def uniforms(seed: int, stream: Stream, items: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
    """Uniform draws of many items.

    seed: 0 <= seed < 2**63. items: int64 (N,), >= 0. count: draws of each item.
    Returns float64 (N, count) in [0, 1), multiples of 2**-53. Row i depends on seed, stream and items[i] alone, and
    its first draws do not depend on count.
    """
    numbers = np.asarray(items, np.int64)
    assert 0 <= seed < 2**63
    assert numbers.ndim == 1
    assert numbers.size == 0 or numbers.min() >= 0
    item = numbers.astype(np.uint64)[:, np.newaxis]
    blocks = np.arange((count + 1) // 2, dtype=np.uint64)[np.newaxis, :]
    words = philox(
        blocks,
        np.uint64(stream),
        item & WORD,
        item >> WORD_BITS,
        np.uint64(seed & 0xFFFFFFFF),
        np.uint64(seed >> 32),
    )
    first, second = (_fraction(high, low) for high, low in (words[:2], words[2:]))
    pairs = np.stack([first, second], axis=-1)
    return np.ascontiguousarray(pairs.reshape(numbers.size, 2 * blocks.size)[:, :count])


def _fraction(high: Words, low: Words) -> npt.NDArray[np.float64]:
    """Two words to a float64 in [0, 1): the top 53 of their 64 bits."""
    top_53: npt.NDArray[np.uint64] = (high << WORD_BITS | low) >> np.uint64(11)
    return top_53.astype(np.float64) * 2.0**-53
