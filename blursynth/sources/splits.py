"""Which source belongs to which split, so that no photo is in two."""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy
import numpy.typing

from blursynth import errors
from blursynth.sources import source


def assign(
    sources: Sequence[source.Source], seed: int, fractions: Mapping[str, float]
) -> numpy.typing.NDArray[numpy.int64]:
    """The split of each source, int64 (sources,): positions in the order of `fractions`.

    Different contents (SHA-256) are ranked by a hash of seed and content and cut at the fractions, so that copies of a
    photo under several names share a split, and neither names nor order matter. Each fraction above 0 gets at least
    one content where there are enough. Raises RecipeError where fractions are negative or do not sum to 1.
    """
    shares = list(fractions.values())
    if any(not 0 <= share <= 1 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        given = ", ".join(f"{name} {share:g}" for name, share in fractions.items())
        raise errors.RecipeError(f"The fractions of the splits are {given}; expected numbers from 0 that sum to 1.")
    ranked = sorted({each.sha256 for each in sources}, key=lambda content: _rank(seed, content))
    splits = numpy.repeat(numpy.arange(len(shares)), counts(len(ranked), shares))
    split_of = dict(zip(ranked, splits.tolist(), strict=True))
    return numpy.array([split_of[each.sha256] for each in sources], numpy.int64)


def counts(total: int, shares: Sequence[float]) -> list[int]:
    """`total` things in whole numbers by shares that sum to 1; largest remainders, ties to the earlier share.

    Shares above 0 get at least one, in order, as far as `total` goes; the largest number gives it up.
    """
    exact = [total * share for share in shares]
    whole = [math.floor(number + 1e-9) for number in exact]
    by_remainder = sorted(range(len(shares)), key=lambda k: (whole[k] - exact[k], k))
    for k in by_remainder[: total - sum(whole)]:
        whole[k] += 1
    for k, share in enumerate(shares):
        largest = max(range(len(shares)), key=whole.__getitem__)
        if share > 0 and whole[k] == 0 and whole[largest] > 1:
            whole[largest] -= 1
            whole[k] += 1
    return whole


def _rank(seed: int, content: str) -> bytes:
    return hashlib.sha256(f"{seed} {content}".encode()).digest()
