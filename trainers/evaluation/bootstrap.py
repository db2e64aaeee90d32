"""Means with bootstrap intervals, and paired differences.

What is drawn again are groups of items (those cut from one photo, or one sequence), because items of a group are not
independent; where every item is its own group this is the usual bootstrap.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy import typing as npt

DRAWS = 10_000
LEVEL = 0.95
_SEED = 20120612
_NUMBERS = 2**22
"""Random numbers at a time: what memory is taken does not grow with the number of groups."""

Values = npt.NDArray[np.float64]
Function = Callable[[list[Values]], Values]


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and its 95 % percentile interval; `count` values are in it.

    The ends are not numbers where there is no interval: one group alone, or infinite values.
    """

    mean: float
    low: float
    high: float
    count: int


def mean(values: Sequence[float], groups: Sequence[str]) -> Interval:
    """The mean of `values`, one an item, with its interval; the same input gives the same interval."""
    return statistic([np.asarray(values, np.float64)], groups, lambda sums: sums[0] / sums[-1])


def difference(values: Sequence[float], others: Sequence[float], groups: Sequence[str]) -> Interval:
    """The mean of values - others, item by item, with its interval."""
    both = [np.asarray(each, np.float64) for each in (values, others)]
    with np.errstate(invalid="ignore"):  # two perfect images: infinite PSNR against infinite PSNR says nothing
        return mean(list(both[0] - both[1]), groups)


def statistic(columns: Sequence[Values], groups: Sequence[str], function: Function) -> Interval:
    """A function of the columns' sums over items with its interval.

    `function` takes the sum of each column, then the number of items, all (draws,), and gives (draws,).
    """
    count = len(groups)
    if not count:
        return Interval(math.nan, math.nan, math.nan, 0)
    _, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    table = np.stack([*columns, np.ones(count)])
    sums = np.zeros((len(table), index.max() + 1))
    for row, column in zip(sums, table, strict=True):
        np.add.at(row, index, column)
    whole = float(function([each[None] for each in sums.sum(axis=1)])[0])
    # One group says nothing of how others would do: it would come out as an interval of no width.
    if math.isnan(whole) or sums.shape[1] < 2 or not np.isfinite(table).all():
        return Interval(whole, math.nan, math.nan, count)
    generator = np.random.Generator(np.random.PCG64(_SEED))
    found = []
    at_once = max(1, _NUMBERS // sums.shape[1])
    for start in range(0, DRAWS, at_once):
        drawn = generator.integers(0, sums.shape[1], (min(at_once, DRAWS - start), sums.shape[1]))
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(function([row[drawn].sum(axis=1) for row in sums]))
    low, high = np.nanquantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(whole, float(low), float(high), count)
