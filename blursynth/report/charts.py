"""Distributions as bar charts: inline SVG that takes its colours from the page's style sheet."""

import math

from blursynth.report import distribution
from blursynth.report.markup import Markup, element

_WIDTH, _HEIGHT = 320, 138
_LEFT, _RIGHT, _TOP, _BASE = 6, 314, 18, 118  # of the bars, px; labels below the base
_RUG = 9  # px, length of the marks of what is shown beside
_LABELS = 5  # at most, along the axis


def bars(shown: distribution.Distribution) -> Markup:
    """The chart of a distribution of at least one number. Values beside it are marks below the axis."""
    most = max(shown.counts)
    slots = len(shown.counts)
    pitch = (_RIGHT - _LEFT) / slots
    drawn = []
    for k, count in enumerate(shown.counts):
        height = (_BASE - _TOP) * count / most
        tip = f"{_bin(shown, k)}: {count:,}"
        box = element(
            "rect",
            element("title", tip),
            class_="bar",
            x=_round(_LEFT + k * pitch + pitch * 0.06),
            y=_round(_BASE - height),
            width=_round(pitch * 0.88),
            height=_round(height),
        )
        drawn.append(box)
    axis = element("line", class_="axis", x1=_LEFT, x2=_RIGHT, y1=_BASE, y2=_BASE)
    top = element("text", f"{most:,}", class_="label", x=_LEFT, y=_TOP - 5)
    return element(
        "svg",
        *drawn,
        axis,
        top,
        *_marks(shown),
        *_labels(shown),
        view_box=f"0 0 {_WIDTH} {_HEIGHT + (_RUG if shown.beside else 0)}",
        role="img",
        aria_label=f"{shown.title}: {summary(shown)}",
    )


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


def _labels(shown: distribution.Distribution) -> list[Markup]:
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


def _label(x: float, y: float, value: float) -> Markup:
    anchor = "start" if x < _LEFT + 12 else "end" if x > _RIGHT - 12 else "middle"
    return element("text", number(value, 5), class_="label", x=_round(x), y=y, text_anchor=anchor)


def _marks(shown: distribution.Distribution) -> list[Markup]:
    return [
        element(
            "line",
            element("title", number(value)),
            class_="mark",
            x1=_round(_place(shown, value)),
            x2=_round(_place(shown, value)),
            y1=_BASE + 2,
            y2=_BASE + 2 + _RUG,
        )
        for value in shown.beside
    ]


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
