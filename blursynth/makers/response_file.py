"""Measured camera responses in text files."""

import pathlib
import re

import numpy as np

from blursynth import errors
from blursynth.media import source_file

_CHANNELS = {"r": 0, "red": 0, "g": 1, "green": 1, "b": 2, "blue": 2}
_LIGHT = ("light", "intensity", "irradiance", "exposure", "linear", "value", "response")
_MOST_BYTES = 2**20
_FORM = "a response table has 256 rows, one for each 8-bit code, of one number or three (red, green, blue)"


def read(path: str | pathlib.Path) -> list[float]:
    """The measured light of each 8-bit code from a text file: 256 rows of one number, or of three (red, green, blue).

    Numbers are separated by commas, semicolons or spaces. A heading may name the three channels, in its order. Other
    lines that begin with # are passed over. Light has an unit of its own, but no logarithm: it is not negative.

    Gives 256 numbers, or 3 x 256, one channel after the other. Raises InputError for anything else, SourceError where
    the file cannot be read.
    """
    source_file.require_file(path, "a text file")
    content = source_file.read(path)
    if len(content) > _MOST_BYTES:
        raise errors.InputError(f"{path} has more than {_MOST_BYTES:,} bytes; {_FORM}.")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise errors.InputError(f"{path} is not a text file in UTF-8; {_FORM}.") from None
    order, rows = _rows(path, lines)
    if len(rows) != 256 or {len(row) for row in rows} not in ({1}, {3}):
        listed = " or ".join(map(str, sorted({len(row) for row in rows})[:4]))
        raise errors.InputError(f"{path} has {len(rows)} rows of {listed or 'no'} numbers; {_FORM}.")
    if order is not None and len(order) != len(rows[0]):
        raise errors.InputError(f"{path} names {len(order)} columns, and its rows have {len(rows[0])}; {_FORM}.")
    table = np.array(rows)
    if not np.isfinite(table).all() or (table < 0).any():
        raise errors.InputError(
            f"{path} has light that is negative or not finite. Its logarithm, as some calibrations give it, is not "
            "read: give the light itself."
        )
    if not (np.diff(table, axis=0) > 0).all():
        raise errors.InputError(f"{path} does not grow from each code to the next; a response table has to.")
    columns = table if order is None else table[:, np.argsort(order)]
    return [float(value) for value in columns.T.reshape(-1)]


def _rows(path: str | pathlib.Path, lines: list[str]) -> tuple[list[int] | None, list[list[float]]]:
    """Which channel each column is, where a heading says it, and the numbers."""
    order: list[int] | None = None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        remark = line.strip().startswith("#")
        text = line.strip().lstrip("#") if remark else line.partition("#")[0]
        words = [word for word in re.split(r"[,;\s]+", text.replace('"', "").lower()) if word]
        channels = [_CHANNELS[word] for word in words if word in _CHANNELS]
        if words and not rows and order is None and len(channels) == len(words) == len(set(channels)):
            order = channels
        elif not words or remark or (not rows and len(words) == 1 and words[0] in _LIGHT):
            continue
        else:
            try:
                rows.append([float(word) for word in words])
            except ValueError:
                raise errors.InputError(
                    f"Line {number} of {path} is {line.strip()[:60]!a}, which is not numbers; {_FORM}."
                ) from None
    return order, rows
