"""Write the reference of options: `python -m blursynth.config.reference > docs/reference/options.md`."""

import sys
from collections.abc import Iterable, Iterator

from blursynth.config import commands, options, realism, toml

_HEAD = """# Options of the commands that make datasets

Written by `python -m blursynth.config.reference > docs/reference/options.md`; a test holds it up to date.

`--psf-size 31` on the command line is `psf_size = 31` in a recipe of `blursynth make` and `"psf_size": 31` in Python.
A range is `LOW:HIGH`, of which each item draws a number; a list `A,B,C` gives each value with equal chance. Where
*recorded as* has another name than the option, a recipe may say either: `length = 60` or `motion.length = 60`.
How the work is done (`--workers`, `--memory`, `--scheduler`, `--append`, `--overwrite`, ...) is no part of a recipe;
see `blursynth convolve --help`."""
_COLUMNS = ("Option", "Value", "Default", "Recorded as", "What it says")


def page() -> str:
    """The reference in Markdown."""
    parts = [_HEAD]
    for name, command in commands.COMMANDS.items():
        parts.append(f"## blursynth {' '.join([name, *command.sources])}")
        own = [option for option in command.options if option.name not in commands.Making.model_fields]
        parts.append(_table(own, command.recipe))
        keys = [*_keys(command.recipe)]
        parts += ["Keys of a recipe without an option:", "\n".join(keys)] if keys else []
    parts += ["## Every command", _table(options.of(commands.Making))]
    parts += ["## Steps of --realism", "As `--realism NAME=VALUE`, or in the table `realism` of a recipe."]
    steps = _table([*options.of(realism.Realism), *options.of(realism.Sensor, "sensor.")])
    parts.append(steps.replace("| `--", "| `"))
    return "\n\n".join(parts) + "\n"


def _table(rows: Iterable[options.Option], recipe: type[toml.Model] | None = None) -> str:
    lines = [_COLUMNS, ("---",) * len(_COLUMNS)]
    for row in rows:
        recorded = row.field if recipe is not None and row.field.partition(".")[0] in recipe.model_fields else ""
        name = row.field if row.field.startswith("sensor.") else row.flag
        value = " or ".join(f"`{choice}`" for choice in row.choices) or _value(row)
        default = "required" if row.required else row.default
        lines.append((f"`{name}`", value, default, f"`{recorded}`" if recorded else "", row.text))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _value(row: options.Option) -> str:
    kind = {"flag": "", "switch": "", "whole": "whole number", "number": "number"}.get(row.kind, "")
    return ", ".join(part for part in (f"`{row.metavar}`" if row.metavar else kind, row.limits.strip(", ")) if part)


def _keys(model: type[toml.Model], path: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        said = options.about(info)
        if said is not None and said.key:
            yield f"- `{path}{name}`: {info.description}"
        elif said is not None and said.inline:
            yield from _keys(options.table_of(info), f"{path}{name}.")


if __name__ == "__main__":
    sys.stdout.write(page())
