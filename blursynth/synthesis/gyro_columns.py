"""What the columns of a gyroscope's recording are: names and units in a heading, as common apps and loggers write them.

A name is split into words; its unit is in brackets (`time (s)`, `x [deg/s]`) or, of a time, one of its words
(`time_ns`, `seconds_elapsed`). Rates without a unit are rad/s and times without one seconds: both are then checked for
plausibility by `gyroscope.read`. Everything else that is not understood is refused, never guessed.
"""

import dataclasses
import re
from collections.abc import Sequence

from blursynth import errors

EXPECTED = (
    "a time (time, t, timestamp, seconds_elapsed, with its unit as in time_ns or time (ms), else seconds) and three "
    "rates x, y, z (also gx, wx, gyro_x, omega_x, rotation rate x; with their unit as in x (deg/s), else rad/s)"
)
HOW = "Say what the columns are with --gyro-columns, such as 'time_ns,x,y,z' or 'x (deg/s),y (deg/s),z (deg/s),-,time'"

_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "usec", "micros", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanosecond", "nanoseconds"), 1e-9),
}
_DEGREE = 3.141592653589793 / 180
_RATES = {
    **dict.fromkeys(("rad/s", "rads", "rad/sec", "rads-1", "rads^-1", "rad*s^-1", "radians/s", "radians/sec"), 1.0),
    **dict.fromkeys(("radian/s", "radians/second", "rad·s^-1", "1/s", "radpersecond", "radianspersecond"), 1.0),
    **dict.fromkeys(("deg/s", "deg/sec", "degs-1", "degs^-1", "deg*s^-1", "degrees/s", "degrees/sec"), _DEGREE),
    **dict.fromkeys(("degree/s", "degrees/second", "°/s", "°s-1", "dps", "degpersecond", "degreespersecond"), _DEGREE),
}
_TIME = {"time", "timestamp", "timestamps", "t", "ts", "epoch", "epoc", "elapsed", "unix", "stamp"}
_ABOUT_TIME = {"since", "start", "boot", "sensor", "system", "event", "relative", "in", "of", "the", "logging", "gyro"}
# Names that are about turning and rates, and those that may be about something else where no unit says it:
# `velocity_x`, `rotation_x` (an angle), `g_x` (an acceleration).
_CLEAR = {"w", "gyr", "gyro", "gyros", "gyroscope", "omega", "ω", "rate", "rates", "rotationrate", "angularvelocity"}
_CLEAR |= {"angvel"}
_TURNING, _SPEED = {"angular", "rotation", "rot", "turn", "turning"}, {"velocity", "speed"}
_AXIS = {"axis", "about"}
_GYRO = _CLEAR | _TURNING | _SPEED | _AXIS | {"g", "rs", "imu"}
_STUCK = re.compile(r"(?:(?:w|gyr|gyro|gyroscope|omega|ω|rotationrate|angularvelocity)[_ ]?|g)([xyz])")
_OTHER = {"accuracy", "temperature", "temp", "magnitude", "abs", "absolute", "norm", "acc", "accel", "accelerometer"}
_OTHER |= {"acceleration", "mag", "magnetometer", "magnetic", "index", "frame", "sample", "counter", "seq", "sequence"}
_STUCK_OTHER = re.compile(r"(a|acc|accel|m|mag)[xyz]")
# A hyphen is a sign unless it joins two words or has spaces around it; other signs are not known.
_JOINED = re.compile(r"\w+(?:[\s\-.:/°]+\w+)*:?")
_SIGN = re.compile(r"(?:^|\s)-\w|[_.:/(\[]\s*-\s*\w")
_BARE = re.compile(r"([xyz]|axis[_ ]?[xyz]|[xyz][-_ ]?axis)")


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns are read. positions, factors: of the time and the rates about x, y and z, in this order; what a
    number is multiplied by to be seconds or rad/s. stated: whether the time, and the rates, state their unit.
    count: of all columns. ignored: names of those that are not read. named: whether anything names the columns.
    increasing: columns whose numbers all increase, as times do."""

    positions: tuple[int, int, int, int]
    factors: tuple[float, float, float, float]
    stated: tuple[bool, bool]
    count: int
    ignored: tuple[str, ...] = ()
    named: bool = False
    increasing: tuple[int, ...] = ()


PLAIN = Columns((0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0), (False, False), 4)
"""Without a heading: seconds and rates about x, y and z in rad/s."""


LONGEST = 200  # characters of a column's name


@dataclasses.dataclass(frozen=True)
class _Column:
    """kind: "time", "x", "y", "z", "unknown", or what is not read: "other", "vector" (of three axes).
    factor: of its unit, if it states one. unit: what it states, where that is not known."""

    kind: str
    factor: float | None = None
    unit: str = ""


def understood(names: Sequence[str], where: str) -> Columns:
    """The columns of these names. where: as it stands at the beginning of a sentence, what has the names.

    Raises InputError for names and units that are unknown, are missing, or stand twice.
    """
    columns = [_column(name) for name in names]
    shown = ", ".join(name.strip() or "''" for name in names)[:200]
    lead = f"{where} names the columns {shown}"
    for name, column in zip(names, columns, strict=True):
        if column.kind == "unknown":
            raise errors.InputError(f"{lead}: {name.strip()[:LONGEST]!r} is not known. Expected {EXPECTED}. {HOW}.")
        if column.unit:
            raise errors.InputError(
                f"{lead}: the unit {column.unit!r} of {name.strip()!r} is not known. Expected s, ms, us or ns of a "
                f"time, rad/s or deg/s of a rate. {HOW}."
            )
    positions = [_only(lead, columns, kind) for kind in ("time", "x", "y", "z")]
    found = [columns[position].factor for position in positions]
    rates = found[1:]
    if any(rate is None for rate in rates) and any(rate is not None for rate in rates):
        raise errors.InputError(f"{lead}: some rates state a unit and others do not. {HOW}.")
    bare = [name for name in (names[k] for k in positions[1:]) if _BARE.fullmatch(name.strip("\"' ").lower())]
    vector = next((name.strip() for name, each in zip(names, columns, strict=True) if each.kind == "vector"), None)
    if bare and vector is not None:
        raise errors.InputError(f"{lead}: {bare[0]!r} may be a rate or of the same kind as {vector!r}. {HOW}.")
    time, x, y, z = positions
    factors = tuple(1.0 if factor is None else factor for factor in found)
    ignored = tuple(name.strip() for k, name in enumerate(names) if k not in positions and name.strip() != "-")
    return Columns(
        (time, x, y, z),
        (factors[0], factors[1], factors[2], factors[3]),
        (found[0] is not None, rates[0] is not None),
        len(names),
        ignored,
    )


def looks_like(names: Sequence[str]) -> bool:
    """Whether these words name a time and three rates, known or not: what tells a heading from a remark."""
    kinds = [_column(name).kind for name in names]
    return "time" in kinds and {"x", "y", "z"} <= set(kinds)


def kind(name: str) -> str:
    """What a name is of: "time", "x", "y", "z", or something else."""
    return _column(name).kind


def _only(lead: str, columns: Sequence[_Column], kind: str) -> int:
    """The one column of a kind; of several times, the only one that states its unit."""
    positions = [k for k, column in enumerate(columns) if column.kind == kind]
    if kind == "time" and len(positions) > 1:
        positions = [k for k in positions if columns[k].factor is not None] or positions
    what = "time" if kind == "time" else f"rate about {kind}"
    if not positions:
        raise errors.InputError(f"{lead}: there is no {what}. Expected {EXPECTED}. {HOW}.")
    if len(positions) > 1:
        listed = " and ".join(str(k + 1) for k in positions)
        raise errors.InputError(f"{lead}: columns {listed} are each the {what}. {HOW}; - leaves a column out.")
    return positions[0]


def _column(name: str) -> _Column:
    if len(name) > LONGEST:  # no name of a column; the searches below take time of its square
        return _Column("unknown")
    text = name.strip().strip("\"'").strip().lstrip("#%").strip()
    if text == "-":
        return _Column("other")
    bracketed = re.search(r"[(\[{]([^)\]}]*)[)\]}]", text)
    unit = "".join(bracketed.group(1).lower().split()) if bracketed else None
    if bracketed:
        text = f"{text[: bracketed.start()]} {text[bracketed.end() :]}".strip()
    stuck = _STUCK.fullmatch(text.lower())
    if stuck:
        return _rate(stuck.group(1), unit)
    if _SIGN.search(text) or not _JOINED.fullmatch(text):  # `-x`, `|x|`, `x'`: something else than x
        return _Column("unknown")
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    words = [word for word in re.split(r"[\W_]+", spaced.lower()) if word]
    if not words:
        return _Column("unknown")
    if set(words) & _OTHER or _STUCK_OTHER.fullmatch(words[-1]) or words[0] == "a":
        axis = words[-1] in ("x", "y", "z") or _STUCK_OTHER.fullmatch(words[-1])
        return _Column("vector" if axis else "other")
    units = [word for word in words if word in _SECONDS]
    rest = {word for word in words if word not in _SECONDS}
    if (rest & _TIME and rest <= _TIME | _ABOUT_TIME) or (not rest and units):
        return _time(units, unit)
    return _named_rate(words, unit)


def _named_rate(words: list[str], unit: str | None) -> _Column:
    """`gyro x`, `rotation rate z dps`, `w rs s x`, `x axis`."""
    own = [word for word in words if word in _RATES and word not in _GYRO]
    axes = [word for word in words if word in ("x", "y", "z")]
    rest = set(words) - set(own) - set(axes)
    if "w" in rest and "rs" in rest:  # w_RS_S_x: about the axes of the sensor S, as EuRoC writes it
        rest.discard("s")
    if ("rad" in rest or "deg" in rest) and "s" in rest:  # gyro_x_rad_s
        own.append(f"{'rad' if 'rad' in rest else 'deg'}/s")
        rest -= {"rad", "deg", "s"}
    last = _STUCK.fullmatch(words[-1])
    if last and not axes:
        axes, rest = [last.group(1)], rest - {words[-1]} | {"gyro"}
    stated = {*own, *([unit] if unit is not None else [])}
    clear = bool(stated or rest <= _AXIS or rest & _CLEAR or (rest & _TURNING and rest & _SPEED))
    if len(axes) != 1 or not rest <= _GYRO or not clear:
        return _Column("unknown")
    return _rate(axes[0], stated.pop() if len(stated) == 1 else " and ".join(sorted(stated)) or None)


def _rate(axis: str, unit: str | None) -> _Column:
    if unit is None:
        return _Column(axis)
    return _Column(axis, _RATES[unit]) if unit in _RATES else _Column(axis, unit=unit or "()")


def _time(units: list[str], unit: str | None) -> _Column:
    stated = {_SECONDS[word] for word in units}
    if unit is not None and unit not in _SECONDS:
        return _Column("time", unit=unit or "()")
    stated |= {_SECONDS[unit]} if unit is not None else set()
    if len(stated) > 1:
        return _Column("time", unit=" and ".join([*units, unit or ""]))
    return _Column("time", stated.pop() if stated else None)
