"""Derive the options of a command from the fields of its config models.

A field made by `field` is an option: `--psf-size` on the command line, `psf_size` in Python and in a table of `make`.
A table that is `inline` is given by the options of its own fields. Fields made by `pydantic.Field` are not options:
they follow from other options, or stand in recorded recipes only.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import pydantic

from blursynth import errors
from blursynth.config import ranges, toml

Kind = Literal["flag", "switch", "whole", "number", "choice", "text", "words"]
AnyModel = TypeVar("AnyModel", bound=toml.Model)


@dataclasses.dataclass(frozen=True)
class About:
    """What a field says of its option.

    name: of the option, where it is not the field's. negated: the option is the field's opposite. metavar: the value
    as help names it, usually its unit. default: in words, where it is not the field's. unsaid: values that only follow
    from other options. inline: a table whose own fields are options. words: may repeat, each with a part of a table.
    key: not an option of the command line, but a key that `make` takes.
    """

    name: str = ""
    negated: bool = False
    metavar: str = ""
    default: str = ""
    unsaid: tuple[str, ...] = ()
    inline: bool = False
    words: bool = False
    key: bool = False


_ABOUT = {each.name for each in dataclasses.fields(About)}


@dataclasses.dataclass(frozen=True)
class Option:
    """An option. default: in words, empty for none. limits: of numbers, in words. field: where it is recorded."""

    name: str
    text: str
    kind: Kind
    choices: tuple[str, ...]
    metavar: str
    default: str
    limits: str
    required: bool
    field: str

    @property
    def flag(self) -> str:
        """As on the command line."""
        return f"--{self.name.replace('_', '-')}"


def field(initial: Any, text: str, **more: Any) -> Any:
    """A field that is an option. initial: its default, ... for none. more: what `About` and `pydantic.Field` have."""
    said = {name: more.pop(name) for name in _ABOUT & set(more)}
    extra: Any = {"about": About(**said)}
    return pydantic.Field(initial, description=text, json_schema_extra=extra, **more)


def about(info: pydantic.fields.FieldInfo | None) -> About | None:
    """What a field says of its option; None where it has none."""
    extra = None if info is None else info.json_schema_extra
    return typing.cast(About, extra["about"]) if isinstance(extra, dict) else None


def of(model: type[toml.Model], path: str = "") -> Iterator[Option]:
    """The options of a model, in the order of its fields."""
    for name, info in model.model_fields.items():
        said = about(info)
        if said is None or said.key:
            continue
        if info.description:
            yield _option(f"{path}{name}", info, said)
        if said.inline:
            yield from of(table_of(info), f"{path}{name}.")


def keys(model: type[toml.Model]) -> Iterator[str]:
    """Keys that `make` takes beside the options: tables that are inline, opposites, and fields that are `key`."""
    for name, info in model.model_fields.items():
        said = about(info)
        if said is not None and (said.inline or said.negated or said.key):
            yield name


def table_of(info: pydantic.fields.FieldInfo) -> type[toml.Model]:
    """The model of a field that is a table."""
    model = toml.model_in(info.annotation)
    assert model is not None
    return model


def values(options: Mapping[str, Any], model: type[toml.Model]) -> dict[str, Any]:
    """What options say of the fields of a model: those that have a value, with inline tables put together."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        said = about(info) or About()
        value = options.get(said.name or name)
        if said.inline and (inner := values(options, table_of(info))):
            found[name] = inner
        elif value is not None and not said.inline:
            if isinstance(value, list | tuple) and ranges.Draw in _parts(info.annotation, [])[0]:
                value = ",".join(map(str, value))
            found[name] = not value if said.negated else value
    return found


def flat(table: Mapping[str, Any], model: type[toml.Model], where: str) -> dict[str, Any]:
    """A table of `make`, or of a recorded recipe, as options by their names.

    Raises RecipeError for unknown keys of inline tables, and for what is said twice.
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        info = model.model_fields.get(key)
        said = about(info) or About()
        if info is not None and said.inline and isinstance(value, Mapping):
            inner = table_of(info)
            refuse_unknown(f"{where} {key}", value, list(inner.model_fields))
            parts = flat(inner.in_options(value), inner, where)
        elif said.negated and isinstance(value, bool):
            parts = {said.name: not value}
        else:
            parts = {said.name or key: value}
        for name, part in parts.items():
            if name in found:
                raise errors.RecipeError(f"{where} says {name} twice: once by itself and once in a table. Give one.")
            found[name] = part
    return found


def grid(flag: str, said: Any) -> tuple[int, int]:
    """Rows and columns of a grid such as 4x5. Raises RecipeError for all else."""
    rows, _, columns = str(said).partition("x")
    if not (rows.isdecimal() and columns.isdecimal()):
        raise errors.RecipeError(f"{flag} {said} is not understood; give rows and columns such as 4x4.")
    return int(rows), int(columns)


def refuse_unknown(where: str, found: Iterable[str], known: Sequence[str]) -> None:
    """Raise RecipeError for the first key that is not known, with the nearest that is."""
    for name in sorted(set(found) - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}."
        raise errors.RecipeError(f"{where} has no option {name}{hint}")


def build(given: Mapping[str, Any], model: type[AnyModel]) -> AnyModel:
    """Values to a model, as `toml.build`; RecipeError names what is wrong by the option that said it."""
    return toml.validated(given, model, "The command", lambda location: _spelt(location, model))


def check(given: Mapping[str, Any], model: type[toml.Model]) -> None:
    """Raise RecipeError for values that cannot be, whatever the others are; see `build`."""
    toml.check(given, model, "The command", lambda location: _spelt(location, model))


def _spelt(location: toml.Location, model: type[toml.Model]) -> str:
    """--psf-size for psf_size, --anxiety for motion.anxiety, --realism sensor.gain for realism.sensor.gain."""
    current: type[toml.Model] | None = model
    flag, rest, worded = "", [], False
    for part in map(str, location):
        if current is None:  # inside a value
            break
        info = current.model_fields.get(part)
        said = about(info)
        if worded:
            rest.append(part)
        elif said is not None or not flag:
            flag = f"--{((said and said.name) or part).replace('_', '-')}"
            worded = said is not None and not said.inline
        nested = None if info is None else toml.model_in(info.annotation)
        current = None if nested is None or issubclass(nested, toml.Value) else nested
    return " ".join([flag, *([".".join(rest)] if rest else [])])


def _option(path: str, info: pydantic.fields.FieldInfo, said: About) -> Option:
    types_, limits = _parts(info.annotation, list(info.metadata))
    choices = tuple(str(c) for t in types_ if typing.get_origin(t) is Literal for c in typing.get_args(t))
    kind: Kind = "text"
    if said.words:
        kind = "words"
    elif bool in types_:
        kind = "switch" if info.default is True and not said.negated else "flag"
    elif set(types_) == {int}:
        kind = "whole"
    elif set(types_) == {float}:
        kind = "number"
    elif choices and len(types_) == 1:
        kind = "choice"
    draw = ranges.Draw in types_
    default = "" if info.is_required() or info.default is None or kind == "flag" else _shown(info.default)
    name = path.rpartition(".")[2]
    return Option(
        name=said.name or name,
        text=info.description or "",
        kind=kind,
        choices=tuple(choice for choice in choices if choice not in said.unsaid),
        metavar=said.metavar or ("VALUE" if draw else ""),
        default=said.default or (name if kind == "switch" else default),
        limits=_limits(limits) + (", or a range or list of such" if draw else ""),
        required=info.is_required() and not said.default,
        field=path,
    )


def _parts(annotation: Any, metadata: list[Any]) -> tuple[list[Any], list[Any]]:
    """The types of an annotation such as `Annotated[Draw, ...] | None`, without None, and all that bounds them."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        return _parts(inner, [*metadata, *more])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        both = [_parts(each, []) for each in typing.get_args(annotation) if each is not type(None)]
        return [t for found, _ in both for t in found], metadata + [m for _, found in both for m in found]
    return [annotation], [inner for each in metadata for inner in getattr(each, "metadata", None) or [each]]


def _limits(metadata: Sequence[Any]) -> str:
    bounds = {
        name: getattr(each, name) for each in metadata for name in ("ge", "gt", "le", "lt") if hasattr(each, name)
    }
    words = [
        f"{text} {bounds[name]:{',' if isinstance(bounds[name], int) else ',.10g'}}"
        for name, text in (("gt", "above"), ("ge", "from"), ("lt", "below"), ("le", "to"))
        if name in bounds
    ]
    return " ".join(words)


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(map(_shown, default))
    return f"{default:g}" if isinstance(default, float) else str(default)
