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
        if not equals:
            if "preset" in table:
                raise errors.RecipeError(f"--realism {table['preset']} and --realism {word} are two presets; give one.")
            table["preset"] = word
        elif name == "response":
            table[name] = response_file.read(value)
        else:
            place, _, inner = name.partition(".")
            target = table.setdefault(place, {}) if inner else table
            if not isinstance(target, dict):
                raise errors.RecipeError(f"--realism {place}={target} and --realism {word} contradict each other.")
            target[inner or place] = _value(value)
    return {} if table == {"preset": "none"} else {"realism": table}


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


def _value(text: str) -> Any:
    """A number, false for `off`, or the text, which a range or list of numbers is."""
    try:
        return float(text)
    except ValueError:
        return False if text == "off" else text
