"""Records of ours that are read back: strict JSON, then a model, so that what a damaged file says is never used."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

import pydantic

from blursynth import errors
from blursynth.config import toml

AnyModel = TypeVar("AnyModel", bound=toml.Model)

_SHOWN = 5  # problems that a message lists


class Export(toml.Model):
    """What is used of `blursynth.json`, which `blursynth export` writes beside the pairs; other keys pass."""

    model_config = pydantic.ConfigDict(extra="allow")

    written_by: Annotated[str, pydantic.Field(pattern="^blursynth ")]
    layout: str
    complete: bool
    transfer_function: str
    height: int
    width: int
    pairs: Mapping[str, int]
    dataset: Mapping[str, Any]
    digests_sha256: str | None = None


_KEYS_OF_OURS = len(Export.model_fields) // 2


def export(content: bytes | str, name: object) -> dict[str, Any] | None:
    """The record of an export out of a `blursynth.json`; None where the document is another program's.

    A document is ours if it says that we wrote it, or has half of the keys of ours. Raises InputError, naming the file
    `name`, where it is no JSON (nobody can say whose it is then), or is ours and damaged.
    """
    try:
        document = parse(content, name)
    except errors.InputError as error:
        raise errors.InputError(
            f"{name} is damaged: it is not a JSON document. Export the dataset again to another folder; or remove the "
            "file, and the folder is another program's."
        ) from error
    if not isinstance(document, dict):
        return None
    says_so = str(document.get("written_by", "")).startswith("blursynth ")
    if not says_so and len(document.keys() & Export.model_fields.keys()) < _KEYS_OF_OURS:
        return None
    check(document, Export, name)
    return document


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
            return toml.build(values, model, str(name))
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
