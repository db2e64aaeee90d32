"""How the values of a column are distributed: numbers to print, and bars to draw."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BINS = 24
MOST_DISTINCT = 12  # values that are counted one by one instead of in bins


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Values of one quantity, in `units` (1 where it has none).

    counts[k] values lie in edges[k] <= value < edges[k + 1], the last edge included; or, where `distinct` is not
    empty, equal distinct[k]. least, low (5 %), median, high (95 %), greatest, mean: of the `number` values that are
    numbers; `missing` are not (NaN). beside: values of something else, which the bins' range includes; `inside` of the
    values lie in theirs.
    """

    name: str
    title: str
    units: str
    meaning: str
    number: int
    missing: int
    counts: tuple[int, ...]
    edges: tuple[float, ...]
    distinct: tuple[float, ...]
    least: float
    low: float
    median: float
    high: float
    greatest: float
    mean: float
    beside: tuple[float, ...] = ()
    inside: int = 0

    @property
    def varies(self) -> bool:
        """Whether there are two different values."""
        return self.least < self.greatest


def of(
    name: str,
    values: npt.NDArray[np.generic],
    title: str,
    units: str = "1",
    meaning: str = "",
    beside: Sequence[float] = (),
) -> Distribution:
    """The distribution of values (N,), of any number type; NaN counts as missing."""
    numbers = np.asarray(values)
    if numbers.dtype.kind == "f":
        numbers = numbers[~np.isnan(numbers)]
    missing = len(values) - len(numbers)
    if not len(numbers):
        nan = float("nan")
        return Distribution(name, title, units, meaning, 0, missing, (), (), (), nan, nan, nan, nan, nan, nan)
    low, median, high = (float(each) for each in np.quantile(numbers, [0.05, 0.5, 0.95]))
    least, greatest = float(numbers.min()), float(numbers.max())
    distinct = () if beside else _distinct(numbers)
    if distinct:
        counts = tuple(int((numbers == value).sum()) for value in distinct)
        edges: tuple[float, ...] = ()
    else:
        places = _edges(min([least, *beside]), max([greatest, *beside]), numbers.dtype.kind in "iu")
        counts = tuple(int(count) for count in np.histogram(numbers, places)[0])
        edges = tuple(float(place) for place in places)
    inside = int(((numbers >= min(beside)) & (numbers <= max(beside))).sum()) if beside else 0
    mean = float(numbers.mean(dtype=np.float64))
    shown = tuple(float(value) for value in distinct)
    moments = (least, low, median, high, greatest, mean)
    return Distribution(
        name, title, units, meaning, len(numbers), missing, counts, edges, shown, *moments, tuple(beside), inside
    )


def _distinct(numbers: npt.NDArray[np.generic]) -> tuple[np.generic, ...]:
    """The different values, where they are few. A look at the first thousand spares sorting millions."""
    if len(np.unique(numbers[:1000])) > MOST_DISTINCT:
        return ()
    found = np.unique(numbers)
    return tuple(found) if len(found) <= MOST_DISTINCT else ()


def _edges(least: float, greatest: float, whole: bool) -> npt.NDArray[np.float64]:
    """Edges of at most BINS bins of one width; whole numbers lie in the middle of bins of whole width."""
    if whole:
        least = np.floor(least)
        width = int(-(-(greatest - least + 1) // BINS))
        bins = int(-(-(greatest - least + 1) // width))
        return least - 0.5 + width * np.arange(bins + 1, dtype=np.float64)
    if least == greatest:
        return np.array([least - 0.5, greatest + 0.5])
    return np.linspace(least, greatest, BINS + 1)
