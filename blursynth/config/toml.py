"""Strict TOML recipes: text -> frozen pydantic models, with every error at once under its table path."""

import importlib.resources
import pathlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import pydantic
import tomli_w

from blursynth import errors
from blursynth.media import source_file


class Model(pydantic.BaseModel):
    """Base of every recipe section: frozen, unknown keys are errors, no silent conversion between types."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        """A recorded table of this model as options say it: without what follows from others."""
        return table


class Value(Model):
    """A model that is written as one value: a number or a text instead of a table."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character in it, which no path can have")
    return text


PathText = Annotated[str, pydantic.AfterValidator(_without_nul)]
"""A path as text."""

_MOST_BYTES = 2**22
DEEPEST = 64
"""How many tables a recipe may have within one another."""
_LONG_KEY = re.compile(r"(?:[^.,=\[\]{}\n]{1,200}\.){64}")

AnyModel = TypeVar("AnyModel", bound=Model)
Location = tuple[int | str, ...]


def load(name: str | pathlib.Path, model: type[AnyModel], folder: str) -> AnyModel:
    """Read a recipe from a file, or by name from the recipes that come with the package.

    `folder` is where bare names are looked up first ("training", "synthesis"); "smoke/deblurgan" names one in
    another folder. Raises RecipeError where nothing is found or anything in the recipe is wrong, InputError for
    what is no file, such as a FIFO.
    """
    return build(read(name, folder), model, str(name))


def read(name: str | pathlib.Path, folder: str) -> dict[str, Any]:
    """The tables of the recipe that `name` means; see `load`. Raises SourceError where the file cannot be read."""
    return tables(source_file.read(find(name, folder)), str(name))


def find(name: str | pathlib.Path, folder: str) -> pathlib.Path:
    """The file that `name` means: an existing path, or a shipped recipe with or without its folder and `.toml`."""
    path = pathlib.Path(name)
    if source_file.is_file(path):
        return path
    shipped = shipped_folder()
    stem = str(name).removesuffix(".toml")
    for candidate in (shipped / folder / f"{stem}.toml", shipped / f"{stem}.toml"):
        if source_file.is_file(candidate):
            return candidate
    source_file.require_file(path, "a recipe: a TOML file")
    known = sorted(f"{folder}/{path.stem}" for path in (shipped / folder).glob("*.toml"))
    twins = sorted(path.stem for path in (shipped / "smoke").glob("*.toml"))
    known += [f"smoke/{twin}" for twin in twins if twin.endswith("-data") == (folder == "synthesis")]
    raise errors.RecipeError(
        f"There is no recipe file {name}, and no recipe of that name comes with the package. "
        f"Give a path, or one of: {', '.join(known)}."
    )


def shipped_folder() -> pathlib.Path:
    """Where the package's recipes lie: inside the wheel, or beside the package in a source checkout."""
    package = pathlib.Path(str(importlib.resources.files("blursynth")))
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def parse(
    text: str, model: type[AnyModel], source: str = "recipe", missing: Mapping[str, Any] | None = None
) -> AnyModel:
    """TOML text to a model; RecipeError lists every problem, each with its table path.

    missing: values of keys at the top level that the text may lack.
    """
    return build({**(missing or {}), **tables(text, source)}, model, source)


def tables(content: bytes | str, source: str = "recipe") -> dict[str, Any]:
    """TOML in UTF-8, with or without its mark, to its tables. Raises RecipeError for all else, however deep or long."""
    if len(content) > _MOST_BYTES:
        raise errors.RecipeError(f"{source} has more than {_MOST_BYTES:,} bytes, the most that a recipe may have.")
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        raise errors.RecipeError(
            f"{source} is not UTF-8 text, so it cannot be a TOML recipe ({error.reason})."
        ) from None
    if _LONG_KEY.search(text):  # the standard library takes time that grows with the square of a dotted key
        raise errors.RecipeError(f"{source} has a dotted key of more than {DEEPEST} parts; recipes are not that deep.")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise errors.RecipeError(f"{source} is not valid TOML: {error}.") from None
    except (ValueError, RecursionError) as error:  # whole numbers of thousands of digits; thousands of brackets
        raise errors.RecipeError(f"{source} is not TOML that can be read: {str(error)[:120]}.") from None
    if _is_deep(values):
        raise errors.RecipeError(f"{source} is nested more than {DEEPEST} deep; recipes are not that deep.")
    return values


def build(values: Mapping[str, Any], model: type[AnyModel], source: str = "recipe") -> AnyModel:
    """A mapping to a model; RecipeError lists every problem, each with its table path."""
    return validated(values, model, source, lambda location: ".".join(map(str, location)) or "(top level)")


def _is_deep(values: Any) -> bool:
    level = [values]
    for _ in range(DEEPEST):
        inner = [list(each.values()) if isinstance(each, dict) else each for each in level]
        level = [each for several in inner for each in several if isinstance(each, dict | list)]
    return bool(level)


_LONGEST = 80  # characters of a wrong value that are shown


def validated(
    values: Mapping[str, Any], model: type[AnyModel], source: str, name: Callable[[Location], str]
) -> AnyModel:
    """As `build`; name: how a location is named."""
    try:
        return model.model_validate(_frozen(values), strict=True)
    except pydantic.ValidationError as error:
        raise _refusal(error.errors(include_url=False), model, source, name) from None


def check(values: Mapping[str, Any], model: type[Model], source: str, name: Callable[[Location], str]) -> None:
    """Raise RecipeError where some of a model's values cannot be, whatever the others are."""
    try:
        model.model_validate(_frozen(values), strict=True)
    except pydantic.ValidationError as error:
        found = [each for each in error.errors(include_url=False) if each["loc"] and each["type"] != "missing"]
        if found:
            raise _refusal(found, model, source, name) from None


def _refusal(
    found: Sequence[Any], model: type[Model], source: str, name: Callable[[Location], str]
) -> errors.RecipeError:
    problems = "\n".join(f"  {line}" for line in dict.fromkeys(_problems(found, model, name)))
    return errors.RecipeError(f"{source} cannot be used:\n{problems}")


def differences(before: str, after: str) -> list[str]:
    """List "key: before -> after" for every value in which two TOML texts differ, by dotted keys."""
    old, new = (dict(_flat_values(tables(text, "a recorded recipe"))) for text in (before, after))
    return [f"{key}: {old.get(key)!r} -> {new.get(key)!r}" for key in old | new if old.get(key) != new.get(key)]


def _flat_values(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat_values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def to_toml(model: Model) -> str:
    """The resolved recipe as TOML text; `parse` gives the same model back. None is left out."""
    return tomli_w.dumps(model.model_dump(mode="json", exclude_none=True))


def _frozen(value: Any) -> Any:
    """TOML's arrays as tuples, which is what strict models hold."""
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list) else value


def _problems(found: Sequence[Any], model: type[Model], name: Callable[[Location], str]) -> Iterator[str]:
    for problem in found:
        where = name(problem["loc"])
        where += ": " if where else ""
        if problem["type"] == "extra_forbidden":
            yield f"{where}unknown key{_nearest(problem['loc'], model)}"
        elif problem["type"] == "missing":
            yield f"{where}missing; a value is required"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            # A check of a whole table speaks for itself; its content would bury the sentence.
            value = "" if isinstance(problem["input"], Mapping) else f" (found {_shown(problem['input'])})"
            yield f"{where}{message}{value}"


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # hexadecimal whole numbers may have more digits than Python writes in decimal
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _nearest(location: Location, model: type[Model]) -> str:
    """`; did you mean 'batch'?` for a key close to a known one, else the known ones."""
    known = _fields_at(location[:-1], model)
    close = errors.closest(str(location[-1]), known)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f"; known keys here: {', '.join(sorted(known))}" if known else ""


def _fields_at(location: Location, model: type[Model]) -> list[str]:
    """Field names of the (possibly nested) model at a table path; empty where the path leaves tables."""
    current: type[Model] = model
    for part in location:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        nested = model_in(field.annotation) if field is not None else None
        if nested is None or issubclass(nested, Value):
            return []
        current = nested
    return list(current.model_fields)


def model_in(annotation: Any) -> type[Model] | None:
    """The first model in an annotation such as `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = model_in(part)
        if found is not None:
            return found
    return None
