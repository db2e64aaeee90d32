"""Distributions against slow counting, and the charts that are drawn of them."""

import itertools
import math
from typing import Any

import html_page
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blursynth.report import charts, distribution, page

FINITE = st.floats(-1e6, 1e6, width=32)


def slow_counts(values: list[float], edges: tuple[float, ...]) -> list[int]:
    """How many lie in each bin, one by one; the last bin has its upper edge too."""
    last = len(edges) - 2
    return [
        sum(low <= value < high or (k == last and value == high) for value in values)
        for k, (low, high) in enumerate(itertools.pairwise(edges))
    ]


def slow_quantile(values: list[float], share: float) -> float:
    """Linear between the sorted values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def check(found: distribution.Distribution, values: list[float]) -> None:
    numbers = [value for value in values if not math.isnan(value)]
    assert (found.number, found.missing) == (len(numbers), len(values) - len(numbers))
    assert sum(found.counts) == len(numbers)
    if found.distinct:
        assert list(found.distinct) == sorted(set(numbers))
        assert list(found.counts) == [numbers.count(value) for value in found.distinct]
    else:
        assert list(found.counts) == slow_counts(numbers, found.edges)
        assert len(found.counts) <= distribution.BINS
    scale = max(map(abs, numbers))
    for share, value in ((0, found.least), (0.05, found.low), (0.5, found.median), (0.95, found.high)):
        assert value == pytest.approx(slow_quantile(numbers, share), abs=1e-5 * scale)
    assert found.greatest == max(numbers)
    assert found.mean == pytest.approx(math.fsum(numbers) / len(numbers), abs=1e-6 * scale)


@given(st.lists(st.one_of(FINITE, st.just(math.nan)), min_size=1, max_size=80), st.lists(FINITE, max_size=4))
def test_floats(values: list[float], beside: list[float]) -> None:
    found = distribution.of("x", np.array(values, np.float32), "x", beside=beside)
    if all(map(math.isnan, values)):
        assert (found.number, found.missing, found.counts) == (0, len(values), ())
        return
    check(found, values)
    if beside:
        assert not found.distinct
        assert found.edges[0] <= min(beside)
        assert found.edges[-1] >= max(beside)
        assert found.inside == sum(min(beside) <= value <= max(beside) for value in values)


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=80), st.booleans())
def test_whole_numbers(values: list[int], beside: bool) -> None:
    found = distribution.of("x", np.array(values, np.int32), "x", beside=[3.0] if beside else [])
    check(found, [float(value) for value in values])
    for low, high in zip(found.edges, found.edges[1:], strict=False):
        assert high - low == int(high - low), "bins hold whole numbers of whole numbers"


def test_few_values_are_counted_and_many_are_binned() -> None:
    few = distribution.of("exposure", np.tile(np.float32([0.1, 0.5, 1]), 700), "exposure")
    assert few.distinct == tuple(float(np.float32(value)) for value in (0.1, 0.5, 1))
    assert few.counts == (700, 700, 700)
    # The first thousand are few, all of them are not.
    late = distribution.of("x", np.concatenate([np.zeros(1000), np.arange(20.0)]), "x")
    assert (late.distinct, len(late.counts)) == ((), distribution.BINS)
    same = distribution.of("x", np.full(9, 4.0), "x")
    assert (same.varies, same.distinct, same.counts) == (False, (4.0,), (9,))


@given(FINITE, st.floats(1e-3, 1e6))
def test_ticks_are_round_and_inside(first: float, extent: float) -> None:
    last = first + extent
    found = charts.ticks(first, last)
    assert 1 <= len(found) <= 5
    assert all(first - 1e-6 * extent <= tick <= last + 1e-6 * extent for tick in found)
    steps = np.diff(found)
    assert np.allclose(steps, steps[:1])
    if len(steps):
        digit = steps[0] / 10 ** math.floor(math.log10(steps[0] * (1 + 1e-9)))
        assert min(abs(digit - each) for each in (1, 2, 5, 10)) < 1e-6 * max(1, abs(first) / extent)


def svg(found: distribution.Distribution) -> html_page.Element:
    drawing = page.template("chart.svg").render(chart=charts.chart(found))
    text = html_page.read(f"<!DOCTYPE html><html><head></head><body>{drawing}</body></html>")
    (drawn,) = text.all("svg")
    return drawn


def heights(drawn: html_page.Element) -> list[float]:
    return [float(bar.attributes["height"]) for bar in drawn.all("rect")]


def test_bars_are_as_high_as_counts_and_say_them() -> None:
    values: npt.NDArray[Any] = np.random.default_rng(0).normal(50, 10, 5000)
    found = distribution.of("x", values, "speed", "px", beside=[20.0, 100.0])
    drawn = svg(found)
    most = max(found.counts)
    assert heights(drawn) == pytest.approx([100 * count / most for count in found.counts], abs=0.006)
    said = [int(bar.text.rsplit(": ", 1)[1].replace(",", "")) for bar in drawn.all("rect")]
    assert said == list(found.counts)
    marks = [(float(mark.attributes["x1"]), mark.text) for mark in drawn.all("line", "mark")]
    places = [6 + 308 * (value - found.edges[0]) / (found.edges[-1] - found.edges[0]) for value in (20, 100)]
    assert [place for place, _ in marks] == pytest.approx(places, abs=0.006)
    assert [text for _, text in marks] == ["20", "100"]
    assert drawn.attributes["aria-label"].startswith("speed: median ")
    (_, _, width, height) = map(float, drawn.attributes["viewbox"].split())
    for label in drawn.all("text"):
        assert 0 <= float(label.attributes["x"]) <= width
        assert 0 <= float(label.attributes["y"]) <= height


def test_each_of_few_values_is_labelled() -> None:
    drawn = svg(distribution.of("frames", np.array([7, 9, 11, 11, 13]), "frames"))
    assert [label.text for label in drawn.all("text")] == ["2", "7", "9", "11", "13"]
    assert heights(drawn) == [50, 50, 100, 50]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (12.36, "12.4"), (1234.5, "1,234"), (100000, "100,000"), (0, "0"), (-3, "-3")],
)
def test_numbers(value: float, text: str) -> None:
    assert charts.number(value) == text
