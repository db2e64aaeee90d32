"""From a synthesis recipe to the commands that make its datasets.

    seed = 0                       # of every dataset that has none of its own

    [photos]                       # the dataset photos.zarr
    command = "convolve"
    source = "photos/"             # what the command is given: a folder, scenes:N, clips, or OTHER.zarr of this recipe;
                                   # ["gopro", "GOPRO_Large/"] for import
    size = 256                     # the command's options, by their names with _ for -
    length = "10:60"
    realism = { preset = "rsblur", jpeg = "70:95" }

What holds for an option on the command line holds in a recipe: the same check, the same default, the same error.
"""

import dataclasses
import difflib
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from blursynth import errors, recipe_file
from blursynth.cli import main, options

FOLDER = "synthesis"
"""Where recipes named without a path are looked up first."""
MAKING = ("trajectories", "psfs", "convolve", "shake", "objects", "average-frames", "import")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One dataset. sources: what the command is given. settings: options by their names. beside: names of all of the
    recipe's datasets."""

    name: str
    command: str
    sources: tuple[str, ...]
    settings: Mapping[str, Any]
    beside: tuple[str, ...]


def load(name: str, sources: Sequence[str] = (), changes: Sequence[str] = (), only: Sequence[str] = ()) -> list[Entry]:
    """The datasets of a recipe, in its order. Raises RecipeError for what is wrong with any of them."""
    values = recipe_file.tables(recipe_file.find(name, FOLDER).read_bytes(), name)
    if "method" in values:
        raise errors.RecipeError(f"{name} is a recipe for training; give it to `python -m trainers.run`.")
    tables = {key: dict(value) for key, value in values.items() if isinstance(value, dict)}
    _refuse(name, "", set(values) - set(tables), ("seed",))
    if not tables:
        raise errors.RecipeError(f"{name} describes no dataset: give a table such as [photos] with a command.")
    for change in sources:
        dataset, value = _change(change, "--source", tables)
        tables[dataset]["source"] = value
    for change in changes:
        place, value = _change(change, "--set", tables, dotted=True)
        dataset, _, option = place.partition(".")
        tables[dataset][option] = _value(value)
    for wanted in only:
        _known(wanted, "--only", tables)
    seed = values.get("seed", 0)
    entries = [
        _entry(name, key, {"seed": seed} | table, tables) for key, table in tables.items() if not only or key in only
    ]
    missing = [word for entry in entries for word in _missing(entry)]
    if missing:
        raise errors.RecipeError(f"{name} does not say everything that its datasets need. Give {' '.join(missing)}.")
    return entries


def run(ctx: click.Context, entry: Entry, folder: str, how: Mapping[str, Any], together: options.Together) -> None:
    """Run an entry's command. folder: where the recipe's datasets go. how: options of the work, by their names."""
    command = _command(ctx, entry.command)
    names = {parameter.name: parameter for parameter in command.params}
    words = [_placed(source, entry.beside, folder) for source in entry.sources]
    words += ["--out", _inside(folder, f"{entry.name}.zarr")]
    for key, value in [*entry.settings.items(), *how.items()]:
        words += _words(names[key], _placed(value, entry.beside, folder))
    together.said = ["blursynth", entry.command, *words]
    try:
        inner = command.make_context(entry.command, words, parent=ctx, obj=together)
    except click.UsageError as error:
        raise errors.RecipeError(f"[{entry.name}] cannot be used: {error.format_message()}") from None
    with inner:
        try:
            command.invoke(inner)
        except errors.RecipeError as error:
            raise errors.RecipeError(f"[{entry.name}]: {error}") from None


def check(ctx: click.Context, entry: Entry) -> None:
    """Raise RecipeError where an entry's options are not those of its command."""
    command = _command(ctx, entry.command)
    own = {p.name for p in command.params if isinstance(p, click.Option)} - {"out", *options.WORKING}
    _refuse(f"[{entry.name}]", f"{entry.command} ", set(entry.settings) - own, sorted(str(name) for name in own))


def _entry(recipe: str, name: str, table: dict[str, Any], tables: Mapping[str, Any]) -> Entry:
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise errors.RecipeError(f"{recipe}: [{name}] is no name of a dataset; give letters, digits, _, - and dots.")
    command = table.pop("command", None)
    if command not in MAKING:
        raise errors.RecipeError(
            f"{recipe}: [{name}] has the command {command!r}; expected one of {', '.join(MAKING)}."
        )
    given = table.pop("source", [])
    sources = [given] if isinstance(given, str) else given
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise errors.RecipeError(
            f"{recipe}: [{name}] has the source {given!r:.60}; expected a text, or a list of texts."
        )
    if command == "trajectories" and sources:
        raise errors.RecipeError(f"{recipe}: [{name}] makes trajectories, which have no source; leave it out.")
    if _has_nul([sources, table]):
        raise errors.RecipeError(f"{recipe}: [{name}] has a NUL character in a text, which no path or option can have.")
    entry = Entry(name, command, tuple(sources), table, tuple(tables))
    check(click.Context(main.blursynth), entry)
    return entry


def _has_nul(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(_has_nul(each) for each in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and "\0" in value


def _missing(entry: Entry) -> list[str]:
    """What has to be given on the command line, as it is given there."""
    lacking = [f"--source {entry.name}=PATH"] if not entry.sources and entry.command != "trajectories" else []
    options_ = [p for p in _command(click.Context(main.blursynth), entry.command).params if isinstance(p, click.Option)]
    needed = [option.name for option in options_ if option.required and option.name not in entry.settings]
    return lacking + [f"--set {entry.name}.{name}=VALUE" for name in needed]


def _command(ctx: click.Context, name: str) -> click.Command:
    found = main.blursynth.get_command(ctx, name)
    assert found is not None
    return found


def _words(parameter: click.Parameter, value: Any) -> list[str]:
    """An option and its value as on the command line."""
    assert isinstance(parameter, click.Option)
    flag = parameter.opts[0]
    if parameter.is_flag:
        if not isinstance(value, bool):
            raise errors.RecipeError(f"{parameter.name} is {value!r}; expected true or false.")
        return [flag] if value else list(parameter.secondary_opts[:1])
    if parameter.multiple:
        each = list(_flat(value)) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return [word for one in each for word in (flag, str(one))]
    return [flag, ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """A table as words: the preset's name, and NAME=VALUE."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif key == "preset":
            yield str(value)
        else:
            yield f"{prefix}{key}={'off' if value is False else value}"


def _inside(folder: str, name: str) -> str:
    """A dataset in a folder, or in a place of an object store."""
    return f"{folder.rstrip('/')}/{name}" if "://" in folder else str(pathlib.Path(folder) / name)


def _placed(value: Any, names: Sequence[str], folder: str) -> Any:
    """A path, which may be a dataset of the same recipe."""
    inside = isinstance(value, str) and value.endswith(".zarr") and value.removesuffix(".zarr") in names
    return _inside(folder, value) if inside else value


def _change(text: str, option: str, tables: Mapping[str, Any], dotted: bool = False) -> tuple[str, str]:
    """DATASET=VALUE or DATASET.OPTION=VALUE."""
    place, equals, value = text.partition("=")
    dataset, dot, inner = place.partition(".")
    if not equals or dotted != bool(dot and inner):
        form = "DATASET.OPTION=VALUE" if dotted else "DATASET=PATH"
        raise errors.RecipeError(f"{option} {text} is not understood; give {form}.")
    _known(dataset, option, tables)
    return place, value


def _known(dataset: str, option: str, tables: Mapping[str, Any]) -> None:
    if dataset not in tables:
        raise errors.RecipeError(
            f"{option} names the dataset {dataset!r}, which the recipe does not have; it has {', '.join(tables)}."
        )


def _value(text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)


def _refuse(where: str, what: str, unknown: set[str], known: Sequence[str]) -> None:
    for name in sorted(unknown - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}."
        raise errors.RecipeError(f"{where}: {what}has no option {name}{hint}")
