"""Realism of pairs: what the option says, and the columns that record what was drawn."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from blursynth import errors
from blursynth.production import response_file
from blursynth.storage import schema
from blursynth.synthesis import realism, realism_recipe


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """`--realism rsblur --realism jpeg=70:95` as the table `realism` of a recipe, if there is any.

    options["realism"]: a table, or words: the preset's name, and NAME=VALUE for single settings, of the sensor as
    sensor.NAME. `off` leaves a step of the preset out. Raises RecipeError for other words, InputError for a response
    file that cannot be used.
    """
    asked = options.get("realism")
    if not asked:
        return {}
    if isinstance(asked, Mapping):
        return {"realism": dict(asked)}
    words = [asked] if isinstance(asked, str) else list(asked)
    table: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name != "preset":
            _put(table, word, name, value)
        elif "preset" in table:
            raise errors.RecipeError(f"--realism {table['preset']} and --realism {word} are two presets; give one.")
        else:
            table["preset"] = _preset(value if equals else word)
    return {} if table == {"preset": "none"} else {"realism": table}


def _preset(word: str) -> str:
    if word not in realism_recipe.PRESETS:
        raise errors.RecipeError(
            f"--realism {word} is not understood; give a preset ({', '.join(realism_recipe.PRESETS)}) or NAME=VALUE, "
            "such as jpeg=70:95."
        )
    return word


def _put(table: dict[str, Any], word: str, name: str, value: str) -> None:
    """One setting into the table of a recipe."""
    place, _, inner = name.partition(".")
    if inner and value == "off":
        raise errors.RecipeError(
            f"--realism {word} is not understood: only whole steps can be off, as {place}=off. Give {name} a number."
        )
    target = table.setdefault(place, {}) if inner else table
    if not isinstance(target, dict):
        raise errors.RecipeError(f"--realism {place}=off and --realism {word} contradict each other.")
    if (inner or place) in target:
        raise errors.RecipeError(f"--realism {word} is the second setting of {name}; give one.")
    if name == "sensor.matrix":
        target[inner] = _numbers(word, value)
    elif name == "response" and value != "off":
        target[name] = response_file.read(value)
    else:
        target[inner or place] = _value(value)


def columns(wanted: realism_recipe.Realism) -> list[schema.ArraySpec]:
    """Of what is drawn for each pair."""
    return [
        schema.column(name, dtype, long_name=text, units="1")
        for name, (dtype, text) in realism.COLUMNS.items()
        if name in realism.drawn(wanted)
    ]


def row(values: Mapping[str, Any], wanted: realism_recipe.Realism, k: int) -> dict[str, float]:
    """What was drawn for one item, from columns that may hold more."""
    return {name: float(np.asarray(values[name])[k]) for name in realism.drawn(wanted)}


def shown_transfer(wanted: realism_recipe.Realism | None, transfer: str) -> str:
    """What relates the stored codes to light."""
    return "table" if wanted is not None and wanted.response is not None else transfer


def _numbers(word: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise errors.RecipeError(f"--realism {word} is not understood; give nine numbers A,B,C,...") from None


def _value(text: str) -> Any:
    """A number, false for `off`, or the text, which a range or list of numbers is."""
    try:
        return float(text)
    except ValueError:
        return False if text == "off" else text
