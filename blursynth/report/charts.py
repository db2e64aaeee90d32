"""Bar charts of distributions: the numbers that `chart.svg` draws, in px. Colours are the page's."""

import dataclasses
import math

from blursynth.report import distribution

_WIDTH, _HEIGHT = 320, 138
_LEFT, _RIGHT, _TOP, _BASE = 6, 314, 18, 118  # of the bars, px; labels below the base
_RUG = 9  # px, length of the marks of reference values
_LABELS = 5  # at most, along the axis


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar and its tooltip."""

    x: str
    y: str
    width: str
    height: str
    tip: str


@dataclasses.dataclass(frozen=True)
class Mark:
    """A reference value below the axis."""

    x: str
    tip: str
    y1: int = _BASE + 2
    y2: int = _BASE + 2 + _RUG


@dataclasses.dataclass(frozen=True)
class Label:
    """A number below the axis. anchor: SVG's text-anchor."""

    x: str
    y: int
    anchor: str
    text: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """Everything that a chart shows. label: the chart in words, for those who hear it."""

    heading: str
    meaning: str
    summary: str
    label: str
    most: str
    bars: list[Bar]
    marks: list[Mark]
    labels: list[Label]
    height: int
    width: int = _WIDTH
    left: int = _LEFT
    right: int = _RIGHT
    top: int = _TOP - 5
    base: int = _BASE


def chart(shown: distribution.Distribution) -> Chart:
    """Lay out the chart of a distribution of at least one number; reference values are marks below the axis."""
    missing = f" {shown.missing:,} have none." if shown.missing else ""
    return Chart(
        heading=shown.title + ("" if shown.units == "1" else f", {shown.units}"),
        meaning=shown.meaning + "." if shown.meaning else "",
        summary=f"{summary(shown)}.{missing}",
        label=f"{shown.title}: {summary(shown)}",
        most=f"{max(shown.counts):,}",
        bars=_bars(shown),
        marks=[Mark(_round(_place(shown, value)), number(value)) for value in shown.beside],
        labels=_labels(shown),
        height=_HEIGHT + (_RUG if shown.beside else 0),
    )


def _bars(shown: distribution.Distribution) -> list[Bar]:
    pitch = (_RIGHT - _LEFT) / len(shown.counts)
    bars = []
    for k, count in enumerate(shown.counts):
        height = (_BASE - _TOP) * count / max(shown.counts)
        x, y = _round(_LEFT + k * pitch + pitch * 0.06), _round(_BASE - height)
        bars.append(Bar(x, y, _round(pitch * 0.88), _round(height), f"{_bin(shown, k)}: {count:,}"))
    return bars


def summary(shown: distribution.Distribution) -> str:
    """`median 12 px, 5 % to 95 %: 8 to 20 px`."""
    unit = "" if shown.units == "1" else f" {shown.units}"
    return f"median {number(shown.median)}{unit}, 5 % to 95 %: {number(shown.low)} to {number(shown.high)}{unit}"


def number(value: float, digits: int = 3) -> str:
    """A number with so many digits that count, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _bin(shown: distribution.Distribution, k: int) -> str:
    if shown.distinct:
        return number(shown.distinct[k], 5)
    return f"{number(shown.edges[k], 5)} to {number(shown.edges[k + 1], 5)}"


def _labels(shown: distribution.Distribution) -> list[Label]:
    """Numbers below the axis: each distinct value as far as there is room, or round numbers."""
    if shown.distinct:
        slots = len(shown.distinct)
        step = -(-slots // (2 * _LABELS))
        pitch = (_RIGHT - _LEFT) / slots
        places = [(_LEFT + (k + 0.5) * pitch, shown.distinct[k]) for k in range(0, slots, step)]
    else:
        places = [(_place(shown, value), value) for value in ticks(shown.edges[0], shown.edges[-1])]
    y = _BASE + 16 + (_RUG if shown.beside else 0)
    return [_label(x, y, value) for x, value in places]


def _label(x: float, y: int, value: float) -> Label:
    anchor = "start" if x < _LEFT + 12 else "end" if x > _RIGHT - 12 else "middle"
    return Label(_round(x), y, anchor, number(value, 5))


def _place(shown: distribution.Distribution, value: float) -> float:
    """Where a value lies along the axis, px."""
    first, last = shown.edges[0], shown.edges[-1]
    return _LEFT + (_RIGHT - _LEFT) * (value - first) / (last - first)


def ticks(first: float, last: float) -> list[float]:
    """At most _LABELS round numbers (1, 2 or 5 times a power of ten apart) from first to last."""
    least = (last - first) / _LABELS
    power = 10.0 ** math.floor(math.log10(least))
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        low, high = math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9)
        if high - low + 1 <= _LABELS:
            return [k * step for k in range(low, high + 1)]
    raise AssertionError("the largest step leaves few enough")


def _round(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
