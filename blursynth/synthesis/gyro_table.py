"""The text of a gyroscope's recording -> times in seconds and rates in rad/s, by the columns that its heading names."""

import codecs
import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.synthesis import gyro_columns, gyro_remarks

Floats64 = npt.NDArray[np.float64]

_FORM = "a recording is lines with a time and three rates"
_SEPARATORS = "\t;,"


class _Line(NamedTuple):
    number: int
    cells: list[str]
    text: str


def table(path: str, content: bytes, words: str | None) -> tuple[Floats64, Floats64, gyro_columns.Columns]:
    """Seconds (S,), rates about x, y and z in rad/s (S, 3), and where they stood. words: what the columns are, which
    comes before a heading.

    Raises InputError for what is not understood.
    """
    heading, remarks, lines = _parts(path, _text(path, content), words is not None)
    if words is not None:
        layout = gyro_columns.understood(words.replace(";", ",").split(","), "--gyro-columns")
    elif heading is not None:
        layout = gyro_columns.understood(heading.cells, f"Line {heading.number} of {path}")
    else:
        layout = gyro_columns.PLAIN
    if words is None:
        gyro_remarks.refuse(path, remarks, layout)
    numbers = _numbers(path, lines, layout)
    # Large whole times, nanoseconds since 1970, keep their differences only where they are subtracted as whole numbers.
    times = _times([line.cells[layout.positions[0]] for line in lines], numbers[:, layout.positions[0]])
    seconds = times * layout.factors[0]
    rates = numbers[:, layout.positions[1:]] * np.array(layout.factors[1:])
    _refuse_not_finite(path, lines, np.column_stack([seconds, rates]))
    increasing = [k for k in range(layout.count) if (np.diff(numbers[:, k]) > 0).all()]
    named = heading is not None or words is not None
    return seconds, rates, dataclasses.replace(layout, named=named, increasing=tuple(increasing))


def _text(path: str, content: bytes) -> list[str]:
    """Lines of UTF-8, or of UTF-16 with its mark."""
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise errors.InputError(f"{path} is not a text file in UTF-8 or UTF-16; {_FORM}.") from None
    if "\0" in text:
        raise errors.InputError(f"{path} is not a text file (it holds NUL characters); {_FORM}.")
    return text.splitlines()


def _parts(path: str, lines: list[str], named: bool) -> tuple[_Line | None, list[str], list[_Line]]:
    """The heading, if there is one (perhaps behind #), remarks, and the lines of numbers. named: an option says what
    the columns are, so that it does not matter which line of words is the heading."""
    filled = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    data = [(number, line) for number, line in filled if not line.startswith("#")]
    remarks = [(number, line) for number, line in filled if line.startswith("#")]
    place = next((k for k, (_, line) in enumerate(data) if _is_numbers(line)), len(data))
    if len(data) - place < 2:
        raise errors.InputError(f"{path} holds {len(data) - place} samples of a gyroscope; a path needs at least two.")
    first, sample = data[place]
    separator = next((sign for sign in _SEPARATORS if sign in sample), None)
    headings = [_Line(number, _cells(line, separator), line) for number, line in data[:place]]
    if len(headings) > 1 and not named:
        raise errors.InputError(
            f"{path} has {len(headings)} lines of words before its numbers (lines {headings[0].number} and "
            f"{headings[1].number}); expected one heading. {gyro_columns.HOW}. {gyro_remarks.CONVERT}"
        )
    said = [_Line(number, _cells(line.lstrip("# "), separator), line) for number, line in remarks if number < first]
    said = [each for each in said if gyro_columns.looks_like(each.cells)]
    heading = headings[0] if headings else said[-1] if said else None
    others = [line for number, line in remarks if heading is None or number != heading.number]
    samples = [_Line(number, _cells(line, separator), line) for number, line in data[place:]]
    return heading, others, samples


def _cells(line: str, separator: str | None) -> list[str]:
    """The cells of a line; a unit in brackets belongs to the word before it. A last separator ends the line."""
    if separator is None:
        return line.replace(" (", "(").replace(" [", "[").split()
    cells = line.split(separator)
    if '"' in line or "'" in line:
        cells = [cell.strip().strip("\"'") for cell in cells]
    if not cells[-1].strip() and len(cells) > 1:
        cells.pop()
    # Behind ; and tabs a comma is a decimal one, as apps write it in many languages.
    return cells if separator == "," else [_point(cell) for cell in cells]


def _point(cell: str) -> str:
    return cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell


def _is_numbers(line: str) -> bool:
    """Whether a line begins as a sample does."""
    separator = next((sign for sign in _SEPARATORS if sign in line), None)
    try:
        float(_cells(line, separator)[0])
    except ValueError:
        return False
    return True


def _numbers(path: str, lines: list[_Line], layout: gyro_columns.Columns) -> Floats64:
    wrong = next((line for line in lines if len(line.cells) != layout.count), None)
    if wrong is not None:
        raise errors.InputError(
            f"Line {wrong.number} of {path} has {len(wrong.cells)} columns ({wrong.text[:60]!r}); expected "
            f"{layout.count}, {'as named' if layout != gyro_columns.PLAIN else 'seconds and three rates in rad/s'}. "
            f"{gyro_columns.HOW}."
        )
    numbers = np.full((len(lines), layout.count), np.nan)
    for row, line in enumerate(lines):
        for k in layout.positions:
            try:
                numbers[row, k] = float(line.cells[k])
            except ValueError:
                raise errors.InputError(
                    f"Line {line.number} of {path} is not numbers: {line.cells[k][:60]!r} in column {k + 1}."
                ) from None
    return numbers


def _times(cells: list[str], values: Floats64) -> Floats64:
    """Times relative to the first where they are whole numbers beyond what a float64 holds, else as they are."""
    if not np.isfinite(values).all() or np.abs(values).max() < 2**53:
        return values
    try:
        whole = [int(cell) for cell in cells]
    except ValueError:
        return values
    return np.array([each - whole[0] for each in whole], np.float64)


def _refuse_not_finite(path: str, lines: list[_Line], values: Floats64) -> None:
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if wrong.size:
        line = lines[int(wrong[0])]
        raise errors.InputError(f"Line {line.number} of {path} is {line.text[:60]!r}; expected finite numbers.")
