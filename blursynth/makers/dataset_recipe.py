"""Read recipes of datasets, and write the recipe of a dataset that is there.

    seed = 0                       # of every dataset that has none of its own

    [photos]                       # the dataset photos.zarr
    command = "convolve"
    source = "photos/"             # what the command is given: a folder, scenes:N, clips, or OTHER.zarr of this recipe;
                                   # ["gopro", "GOPRO_Large/"] for import
    size = 256                     # the command's options, by their names with _ for -
    motion.length = "10:60"        # or as they are recorded: `length` is of the table `motion`
    realism = { preset = "rsblur", jpeg = "70:95" }

Values are checked by the models of `config.commands`, as those of the command line are.
"""

import dataclasses
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blursynth import errors
from blursynth.config import commands, options, toml

FOLDER = "synthesis"
"""Where recipes named without a path are looked up first."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One dataset. sources: what the command is given. settings: options by their names. beside: names of all of the
    recipe's datasets."""

    name: str
    command: str
    sources: tuple[str, ...]
    settings: Mapping[str, Any]
    beside: tuple[str, ...]

    def placed(self, folder: str) -> "Entry":
        """With datasets of the same recipe where they go: in this folder."""
        settings = {key: self._place(value, folder) for key, value in self.settings.items()}
        sources = tuple(self._place(source, folder) for source in self.sources)
        return dataclasses.replace(self, sources=sources, settings=settings)

    def out(self, folder: str) -> str:
        """Where the dataset goes."""
        return _inside(folder, f"{self.name}.zarr")

    def _place(self, value: Any, folder: str) -> Any:
        beside = isinstance(value, str) and value.endswith(".zarr") and value.removesuffix(".zarr") in self.beside
        return _inside(folder, value) if beside else value

    def words(self) -> list[str]:
        """Its options as on the command line."""
        known = {option.name: option for option in commands.COMMANDS[self.command].options}
        return [word for key, value in self.settings.items() for word in _words(key, known.get(key), value)]


def load(name: str, sources: Sequence[str] = (), changes: Sequence[str] = (), only: Sequence[str] = ()) -> list[Entry]:
    """The datasets of a recipe, in its order.

    sources: DATASET=PATH. changes: DATASET.OPTION=VALUE, values as in TOML where they are TOML. only: names of those to
    be made. Raises RecipeError for what is wrong with any of them.
    """
    values = toml.read(name, FOLDER)
    if "method" in values:
        raise errors.RecipeError(f"{name} is a recipe for training; give it to `python -m trainers.run`.")
    tables = {key: dict(value) for key, value in values.items() if isinstance(value, dict)}
    options.refuse_unknown(f"{name}:", set(values) - set(tables), ["seed"])
    if not tables:
        raise errors.RecipeError(f"{name} describes no dataset: give a table such as [photos] with a command.")
    for change in sources:
        dataset, value = _change(change, "--source", tables)
        tables[dataset]["source"] = value
    for key, table in tables.items():
        tables[key] = _flat(name, key, table)
    for change in changes:
        place, value = _change(change, "--set", tables, dotted=True)
        dataset, _, option = place.partition(".")
        _set(tables[dataset], dataset, option.split("."), value)
    for wanted in only:
        _known(wanted, "--only", tables)
    seed = values.get("seed", 0)
    made = [_entry(key, {"seed": seed} | table, tables) for key, table in tables.items() if not only or key in only]
    missing = [word for entry in made for word in _missing(entry)]
    if missing:
        raise errors.RecipeError(f"{name} does not say everything that its datasets need. Give {' '.join(missing)}.")
    return made


def commands_of(name: str) -> dict[str, str]:
    """Return the command of each dataset of a recipe; "" where it names none. Raises RecipeError as `load` does."""
    values = toml.read(name, FOLDER)
    if "method" in values:
        raise errors.RecipeError(f"{name} is a recipe for training; give it to `python -m trainers.run`.")
    return {key: str(table.get("command", "")) for key, table in values.items() if isinstance(table, dict)}


def _flat(recipe: str, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset's table with all options by their names, beside `command` and `source`."""
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise errors.RecipeError(f"{recipe}: [{name}] is no name of a dataset; give letters, digits, _, - and dots.")
    command = table.get("command")
    if not isinstance(command, str) or command not in commands.COMMANDS:
        known = ", ".join(commands.COMMANDS)
        raise errors.RecipeError(f"{recipe}: [{name}] has the command {command!r:.80}; expected one of {known}.")
    if _has_nul(table):
        raise errors.RecipeError(f"{recipe}: [{name}] has a NUL character in a text, which no path or option can have.")
    model = commands.COMMANDS[command].recipe
    return {"command": command} | options.flat(table, model, f"[{name}]: {command}")


def _entry(name: str, table: dict[str, Any], tables: Mapping[str, Any]) -> Entry:
    command, given = table.pop("command"), table.pop("source", [])
    sources = [given] if isinstance(given, str) else given
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise errors.RecipeError(f"[{name}] has the source {given!r:.60}; expected a text, or a list of texts.")
    expected = commands.COMMANDS[command].sources
    several = any("..." in each for each in expected)
    if sources and len(sources) != len(expected) and not several:
        what = " and ".join(expected) or "no source; leave it out"
        raise errors.RecipeError(f"[{name}] has {len(sources)} sources; {command} takes {what}.")
    options.refuse_unknown(f"[{name}]: {command}", table, commands.COMMANDS[command].keys)
    return Entry(name, command, tuple(sources), table, tuple(tables))


def _missing(entry: Entry) -> list[str]:
    """What has to be given on the command line, as it is given there."""
    known = commands.COMMANDS[entry.command]
    lacking = [f"--source {entry.name}=PATH"] if not entry.sources and known.sources else []
    needed = [option.name for option in known.options if option.required and option.name not in entry.settings]
    return lacking + [f"--set {entry.name}.{name}=VALUE" for name in needed]


def _set(table: dict[str, Any], dataset: str, keys: list[str], text: str) -> None:
    """Change one value; keys: the option's name, or a path of tables."""
    if keys == ["source"]:
        table["source"] = text
        return
    known = commands.COMMANDS[table["command"]]
    where = f"--set {dataset}.{'.'.join(keys)}: {table['command']}"
    options.refuse_unknown(where, [keys[0]], known.keys)
    kinds = {option.name: option.kind for option in known.options}
    value: Any = _value(text, kinds.get(keys[-1], ""))
    for key in reversed(keys[1:]):
        value = {key: value}
    changed = options.flat({keys[0]: value}, known.recipe, where)
    for name, part in changed.items():
        before = table.get(name)
        if isinstance(before, list | str) and isinstance(part, dict):
            raise errors.RecipeError(f"{where} is {before!r:.80} in the recipe, and no table; set all of {name}.")
        table[name] = _merged(before, part) if isinstance(before, dict) and isinstance(part, dict) else part


def _merged(before: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    both = {key for key in change if isinstance(before.get(key), dict) and isinstance(change[key], dict)}
    return {**before, **change, **{key: _merged(before[key], change[key]) for key in both}}


def _value(text: str, kind: str) -> Any:
    """TOML where the text is TOML, else the text; so are numbers of options that are texts."""
    try:
        value = tomllib.loads(f"value = {text}")["value"] if "\n" not in text and len(text) < 10_000 else text
    except (ValueError, RecursionError):
        return text
    wordy = kind in ("text", "choice", "words") and not isinstance(value, str | list | dict | bool)
    return value if isinstance(value, bool | int | float | str | list | dict) and not wordy else text


def _has_nul(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(_has_nul(each) for each in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and "\0" in value


def _words(key: str, option: options.Option | None, value: Any) -> list[str]:
    """An option and its value as on the command line."""
    flag = f"--{key.replace('_', '-')}" if option is None else option.flag
    if option is not None and option.kind in ("flag", "switch") and isinstance(value, bool):
        return [flag] if value else [f"--no-{flag.removeprefix('--')}"] if option.kind == "switch" else []
    if option is not None and option.kind == "words":
        each = list(_settings(value)) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return [word for one in each for word in (flag, str(one))]
    if isinstance(value, dict):
        value = list(_settings(value))
    return [flag, ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)]


def _settings(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """A table as words: the preset's name, and NAME=VALUE."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")
        elif key == "preset":
            yield str(value)
        elif key == "off" and isinstance(value, list):
            yield from (f"{step}=off" for step in value)
        else:
            yield f"{prefix}{key}={'off' if value is False else value}"


def _inside(folder: str, name: str) -> str:
    """A dataset in a folder, or in a place of an object store."""
    return f"{folder.rstrip('/')}/{name}" if "://" in folder else str(pathlib.Path(folder) / name)


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
