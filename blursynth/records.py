"""Records of ours that are read back: strict JSON, then a model, so that what a damaged file says is never used."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from blursynth import errors, recipe_file

AnyModel = TypeVar("AnyModel", bound=recipe_file.Model)

_SHOWN = 5  # problems that a message lists


def parse(
    content: bytes | str, name: object, kind: type[errors.BlursynthError] = errors.InputError, *, finite: bool = True
) -> Any:
    """JSON text in UTF-8 to a value.

    Raises `kind`, naming the file `name`, for anything else, for a key that stands twice in one object, and, where
    `finite`, for numbers that are not finite (NaN, Infinity, 1e400).
    """
    with errors.boundary(name, "a JSON document", kind):
        text = content if isinstance(content, str) else content.decode()
        if not finite:
            return json.loads(text, object_pairs_hook=_once)
        return json.loads(text, object_pairs_hook=_once, parse_float=_finite, parse_constant=_refuse)


def check(
    values: Any, model: type[AnyModel], name: object, kind: type[errors.BlursynthError] = errors.InputError
) -> AnyModel:
    """Values as `parse` gives them to a model; `kind`, naming the file, lists what is wrong by its key path."""
    with errors.boundary(name, "a record of this program", kind):
        try:
            return recipe_file.build(values, model, str(name))
        except errors.RecipeError as error:
            lines = str(error).splitlines()
            more = [f"  and {len(lines) - 1 - _SHOWN} more"] if len(lines) > 1 + _SHOWN else []
            advice = "The file is damaged or was edited; restore it, or make it again."
            raise kind("\n".join([*lines[: 1 + _SHOWN], *more, advice])) from None


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)[:80]!r} stands twice")
    return values


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:80]} is beyond the range of numbers")
    return number


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")
