"""JSON that others wrote: one strict reading of it, which ends in a sentence with the file's name or in values."""

import json
import math
import pathlib
from typing import Any

from blursynth import errors

SMALL = 64 * 2**20
"""Bytes of a JSON file that describes something: a sidecar, an index."""


def read(
    path: str | pathlib.Path,
    what: str,
    kind: type[errors.BlursynthError] = errors.InputError,
    *,
    limit: int = SMALL,
    finite: bool = True,
) -> Any:
    """The values of a JSON file; see `parse`. limit: bytes that it may have.

    Raises `kind` for what is not strict JSON, for more than `limit` bytes and for what is no file, and the operating
    system's error (OSError) where it cannot be read.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file():
        raise kind(f"{path} is no file; expected {what}.")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise kind(f"{path} has more than {limit:,} bytes, the most that {what} may have.")
    return parse(content, path, what, kind, finite=finite)


def parse(
    text: bytes | str,
    name: object,
    what: str,
    kind: type[errors.BlursynthError] = errors.InputError,
    *,
    finite: bool = True,
) -> Any:
    """The values of JSON text: UTF-8 (with or without its mark), UTF-16 or UTF-32.

    what: completes "cannot be read as ...". finite: refuse NaN and infinite numbers, which JSON does not have but many
    programs write. A key that stands twice in an object is refused: which of the two is meant is not known.

    Raises `kind`, with the file's `name`, for anything else, however deep or long it is.
    """
    constants = {"parse_constant": _refuse_constant, "parse_float": _finite} if finite else {}
    with errors.boundary(name, what, kind):
        return json.loads(text, object_pairs_hook=_unique, **constants)  # type: ignore[arg-type]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!a} stands twice in one object")
    return values


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:60]} is beyond the numbers of 64 bits")
    return value
