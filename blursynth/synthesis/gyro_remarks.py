"""Remarks (lines behind #) of a gyroscope's recording: those that say how to read its numbers are not passed over.

A remark that states a unit, an order of axes, a scale, an orientation or a sign is refused, unless it states what is
read anyway: seconds, rad/s, and the axes in the order of the columns. Where the heading does not state the units of the
time and the rates, so is one with any word that is not known to be harmless: it may state them in words of its own.
"""

import re

from blursynth import errors
from blursynth.synthesis import gyro_columns, gyro_words

CONVERT = "Numbers that need a scale, a sign or other axes have to be converted first."

_END = r"(?![\w/^²*·])"
_RADIANS = re.compile(
    rf"(?<!\w)rad(?:ian)?s?(?:\s*(?:/|\bper\b)\s*s(?:ec(?:ond)?s?)?|[\s·*.]*s(?:\^?[-\u2212]1|⁻¹)){_END}", re.IGNORECASE
)
_RATE_UNIT = re.compile(
    r"(?<![a-z])(?:[mkcµμu]|milli|centi|micro)?(?:deg|degs|degrees?|dps|rad|rads|radians?|rpm|rps)(?![a-z])"
    r"(?!\s*(?:c|f|celsius|fahrenheit)\b)|°(?!\s*[cf]\b)|(?<![a-z])(?:revolutions?|turns?)\s*(?:/|per|each|an?\b)",
    re.IGNORECASE,
)
_TIME_UNIT = re.compile(
    r"(?<![a-z])(?:ms|msecs?|millis|milli-?seconds?|[µμ]s|usecs?|micros|micro-?seconds?|ns|nsecs?|nanos|nano-?seconds?)"
    r"(?![a-z])|(?:\b(?:in|units?|time\w*|t)\b\W*|[(\[=:,_]\s*|\d\s*)us(?![a-z])",
    re.IGNORECASE,
)
_SCALE = re.compile(
    r"(?<!small[- ])(?<!large[- ])(?<!gr[ae]y[- ])(?<![a-z])[a-z]?(?:scale[sd]?|scaling)(?![a-z])"
    r"|(?<![a-z])(?:gain|factor|sensitivity|multiplier)\W*[\d.]"
    r"|(?<![a-z])(?:lsbs?|adc|multipl(?:y|ied)|divided?)(?![a-z])"
    r"|\braw\s+(?:counts?|units?|values|integers?|readings)\b|\bin\s+counts\b|[\u00d7*]\s*\d|(?<![\w/.])(?!x(?:86|64)\b|x86_)[x/]\d"
    r"|(?:\brad/s|values?|rates?)\s*[x/]\s*\d|(?<!\w)[x\u00d7*]\s+\d*\.\d",
    re.IGNORECASE,
)
_PARTS = re.compile(r"\b(?:in|units?)\b\W*(?:of\s+)?(?:1\s*/\s*)?\d[\d.e+-]*\s*$", re.IGNORECASE)  # in 0.001 (rad/s)
_DIRECTION = r"(?:up|down|left|right|forwards?|backwards?|out|into|north|east|south|west)(?:wards?)?\b"
_ORIENTATION = re.compile(
    r"(?<![a-z])(?:orient(?:ation|ations|ed)|mount(?:ed|ing)|swapped|flipped|inverted|mirrored|negated|reversed"
    r"|negative|left[- ]handed|(?:anti-?|counter-?)?clockwise|upside)(?![a-z])"
    r"|\b(?-i:NED|ENU|FRD|FLU|RDF|RUB)\b|\bsigns?\s+(?:of|is|are|conv\w*)\b"
    rf"|\b(?:right[- ]hand(?:ed)?|left[- ]hand)\s+(?:rule|frame|system|coord\w*|axes)|\b[xyz](?:[- ]?axis)?\W*"
    rf"(?:is|points?|pointing|towards?)?\W*(?:the\s+)?{_DIRECTION}",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"(?:(?<![\w)])[-+\u2212]|\b(?:minus|plus)\s+)(?:\w+[_ ])?[gw]?[xyz]\b", re.IGNORECASE)
_TOGETHER = re.compile(r"[xyz]{2,3}", re.IGNORECASE)  # XYZ, zyx
_OF_AXES = {"roll", "pitch", "yaw"}
# Words that may stand within a list of axes.
_FILLING = {
    "and",
    "then",
    "the",
    "of",
    "rate",
    "rates",
    "about",
    "axis",
    "gyro",
    "angular",
    "velocity",
    "rotation",
    "-",
}
_ORDER = {"first", "second", "third", "last", "column", "columns", "order", "field", "fields", "format"}


def refuse(path: str, remarks: list[str], layout: gyro_columns.Columns) -> None:
    """Raise InputError for the first remark that says something of the numbers which is not what is read."""
    for remark in remarks:
        what = _stated(remark, layout)
        if what is not None:
            raise errors.InputError(
                f"A remark in {path} speaks of {what}, and is not understood: {remark[:120]!r}. {gyro_columns.HOW}, "
                f"which counts before all remarks. {CONVERT}"
            )


def _stated(remark: str, layout: gyro_columns.Columns) -> str | None:
    """What a remark states that is not read so; None for prose, and for what is read so."""
    text = remark.lstrip("#% ")
    has_time_unit, has_rate_unit = layout.stated
    if _SCALE.search(text) or any(map(_PARTS.search, _RADIANS.split(text)[:-1])):
        return "a scale"
    text = _RADIANS.sub(" ", text)
    if not has_rate_unit and _RATE_UNIT.search(text):
        return "a unit of rates"
    if not has_time_unit and _TIME_UNIT.search(text):
        return "a unit of the time"
    if _ORIENTATION.search(text) or _SIGNED.search(text):
        return "an orientation or a sign"
    if not _axes_as_read(text, layout):
        return "an order of axes"
    if all(layout.stated):
        return None
    names = frozenset(word for word in re.findall(r"\w+", text.lower()) if _kinds(word))
    word = gyro_words.unknown(text, names)
    return None if word is None else f"something ({word!r})"


def _axes_as_read(text: str, layout: gyro_columns.Columns) -> bool:
    """Whether a remark names at most one axis, or lists the three in one row as the columns have them."""
    words = [word.strip(".\"'") for word in re.split(r"[\s,;|/()\[\]{}:=]+", text)]
    kinds = [_kinds(word) for word in words if word and word.lower() not in _FILLING]
    places = [k for k, each in enumerate(kinds) if set(each) - {"time"}]
    named = [axis for k in places for axis in kinds[k] if axis != "time"]
    if len(named) < 2:
        return not named or not _ORDER & {word.lower() for word in words}
    first, last = places[0], places[-1]
    listed = [kind for each in kinds[max(first - 1, 0) : last + 2] for kind in each]
    order = [kind for _, kind in sorted(zip(layout.positions, ("time", "x", "y", "z"), strict=True))]
    alone = [kind for kind in order if kind != "time"]
    return named == alone and last - first < len(named) and listed in (order, alone)


def _kinds(word: str) -> list[str]:
    """The axes that a word names, or ["time"]."""
    if _TOGETHER.fullmatch(word) and len(set(word.lower())) == len(word):
        return list(word.lower())
    if word.lower() in _OF_AXES:
        return [word.lower()]
    kind = gyro_columns.kind(word)
    return [kind] if kind in ("time", "x", "y", "z") else []
