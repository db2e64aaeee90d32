"""Realism of pairs: what the option says, and the columns that record what was drawn."""

from collections.abc import Mapping
from typing import Any

from blursynth import errors
from blursynth.config import realism as realism_config
from blursynth.makers import response_file
from blursynth.storage import schema
from blursynth.synthesis import realism


def table(said: Any) -> dict[str, Any]:
    """`--realism rsblur --realism jpeg=70:95` as the table `realism` of a recipe, if there is any.

    said: a table, or words: the preset's name, and NAME=VALUE for single settings, of the sensor as sensor.NAME. `off`
    leaves a step of the preset out. Raises RecipeError for other words, InputError for a response file that cannot be
    used.
    """
    found: dict[str, Any] = {}
    if isinstance(said, Mapping):
        found = dict(said)
        if "preset" in found:
            _preset(found["preset"])
        if isinstance(found.get("response"), str):
            found["response"] = response_file.read(found["response"])
        said = None
    for word in [said] if isinstance(said, str) else said or []:
        name, equals, value = str(word).partition("=")
        if equals and name != "preset":
            _put(found, word, name, value)
        elif "preset" in found:
            raise errors.RecipeError(f"--realism {found['preset']} and --realism {word} are two presets; give one.")
        else:
            found["preset"] = _preset(value if equals else word)
    return {} if found in ({}, {"preset": "none"}) else {"realism": found}


def _preset(word: str) -> str:
    if word not in realism_config.PRESETS:
        raise errors.RecipeError(
            f"--realism {word} is not understood; give a preset ({', '.join(realism_config.PRESETS)}) or NAME=VALUE, "
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


def columns(wanted: realism_config.Realism) -> list[schema.ArraySpec]:
    """Of what is drawn for each pair."""
    return [
        schema.column(name, dtype, long_name=text, units="1")
        for name, (dtype, text) in realism.COLUMNS.items()
        if name in realism.drawn(wanted)
    ]


def shown_transfer(wanted: realism_config.Realism | None, transfer: str) -> str:
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
