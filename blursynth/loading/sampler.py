"""Which item comes when: endless shuffled orders over several datasets as functions of (seed, position), without I/O.

Nothing is stored and no position depends on those before it, so a run continues anywhere, and any number of readers
share an order, at the same cost for a hundred items as for ten million.
"""

import enum
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.uint64]

# After r rounds an item's place is within sqrt(items) / 2 * 2**(-r/2) of uniform (see `permute`): 4e-7 for ten million.
ROUNDS = 64

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


class Stream(enum.IntEnum):
    """Independent uses of one seed. Numbers are part of what a seed means: never change or reuse one."""

    EPOCH = 0
    PASS = 1
    CROP = 2
    AUGMENTATION = 3
    NOISE = 4


class Order:
    """Which item comes at each position of an endless stream drawn from several parts (datasets).

    sizes: items of each part, all > 0. weights: the parts' shares of the positions. seed: 0 <= seed < 2**63.

    An epoch has as many positions as there are items. Each part has its share of them in every epoch, by largest
    remainder; each part is passed over completely, in one random order after another; the parts are mixed anew in
    every epoch. Of one part alone, an epoch is one pass.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int) -> None:
        assert len(sizes) == len(weights), (sizes, weights)
        assert min(sizes) > 0, sizes
        assert min(weights) > 0, weights
        self.sizes = tuple(sizes)
        self.seed = seed
        self.epoch_length = sum(sizes)
        self.quotas = _largest_remainder(self.epoch_length, weights)
        """How many positions of an epoch each part has."""

    def at(self, positions: npt.ArrayLike) -> tuple[Integers, Integers, Integers]:
        """Return part, row within the part, and which pass over the part it belongs to, int64 (N,) each.

        positions: int64 (N,), >= 0, in any order. Passes count from 0.
        """
        epochs, places = np.divmod(np.asarray(positions, np.int64).reshape(-1), self.epoch_length)
        if len(self.sizes) > 1:
            places = permute(places, self.epoch_length, keys(self.seed, Stream.EPOCH, epochs))
        first = np.cumsum((0, *self.quotas))
        parts = np.searchsorted(first, places, side="right") - 1
        rows, passes = np.empty_like(places), np.empty_like(places)
        for part, (size, quota) in enumerate(zip(self.sizes, self.quotas, strict=True)):
            (mine,) = np.nonzero(parts == part)
            passes[mine], within = np.divmod(epochs[mine] * quota + places[mine] - first[part], size)
            rows[mine] = permute(within, size, keys(self.seed, Stream.PASS, passes[mine], part))
        return parts.astype(np.int64), rows, passes


def permute(values: Integers, size: int, key: Words) -> Integers:
    """Where each of `values`, int64 (N,) in 0 .. size - 1, goes in the permutation of 0 .. size - 1 with the key (N,).

    Every key gives a bijection; over keys, few values together go anywhere with nearly equal chances. Swap-or-not,
    Hoang, Morris and Rogaway, "An enciphering scheme based on a card shuffle", CRYPTO 2012, section 2: each round
    pairs x with K - x and swaps the pair or not by a keyed bit. Unlike a Feistel network it takes any size as it is.
    """
    assert values.shape == key.shape
    distinct, of_value = np.unique(key, return_inverse=True)
    rounds = np.arange(2 * ROUNDS, dtype=np.uint64)[:, np.newaxis]
    words = _word(distinct, rounds)
    # Taking a word modulo the size favours small numbers by less than size / 2**64.
    pivots = (words[:ROUNDS] % np.uint64(size)).astype(np.int64)
    locks = words[ROUNDS:]
    single = len(distinct) == 1
    x = values
    for pivot, lock in zip(pivots, locks, strict=True):
        partner = (pivot if single else pivot[of_value]) - x
        partner += (partner >> 63) & size  # modulo the size: shifting spreads the sign over all bits
        upper = np.maximum(x, partner).astype(np.uint64)
        bit = _word(lock if single else lock[of_value], upper) >> np.uint64(63)
        x = np.where(bit, partner, x)
    return x


def uniforms(seed: int, stream: Stream, positions: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
    """Draws that belong to positions: float64 (N, count) in [0, 1), multiples of 2**-53, for positions int64 (N,)."""
    key = keys(seed, stream, np.asarray(positions, np.int64))
    words = _word(key[:, np.newaxis], np.arange(count, dtype=np.uint64))
    top_53 = (words >> np.uint64(11)).astype(np.float64)
    return np.asarray(top_53 * 2.0**-53, np.float64)


def keys(seed: int, stream: Stream, numbers: Integers, part: int = 0) -> Words:
    """A key each for numbers, int64 (N,): a hash of all four."""
    assert 0 <= seed < 2**63
    key = np.zeros(1, np.uint64)
    for number in (seed, int(stream), part):
        key = _word(key, np.array([number], np.uint64))
    return _word(key, numbers.astype(np.uint64))


def _word(key: Any, index: Any) -> Words:
    """The word after `index` others of the generator SplitMix64 started at the key; uint64 arrays, which broadcast.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 17.
    """
    word: Words = key + _GAMMA * (index + np.uint64(1))
    word ^= word >> _SHIFTS[0]
    word *= _MULTIPLIERS[0]
    word ^= word >> _SHIFTS[1]
    word *= _MULTIPLIERS[1]
    word ^= word >> _SHIFTS[2]
    return word


def _largest_remainder(total: int, weights: Sequence[float]) -> tuple[int, ...]:
    """`total` shared out in proportion to `weights` in whole numbers that sum to it."""
    exact = total * np.asarray(weights, np.float64) / sum(weights)
    quotas = np.floor(exact).astype(int)
    most_left = np.argsort(quotas - exact, kind="stable")[: total - int(quotas.sum())]
    quotas[most_left] += 1
    return tuple(int(quota) for quota in quotas)
