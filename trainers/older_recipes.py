"""Recipes that an older version resolved and recorded: what they meant by what they could not say yet.

A recorded recipe names every setting that its version knew. A setting that came later is missing in it, and means what
that version did, which is not always what is the default today.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from blursynth import errors

Tables = dict[str, Any]

NEWER = frozenset(
    {
        "schedule.counts",
        "method.patch_average",
        "method.activation",
        "method.last_kernel",
        "method.tanh",
        "method.slope",
    }
)
"""Settings that recorded recipes may lack, because they came after the first recipes were recorded."""


def complete(values: Tables) -> Tables:
    """The tables of a recorded recipe, with the meaning that settings had before they could be named.

    DeblurGAN with fresh batches for its critic counted all pairs that were drawn, the critic's among them. The light
    model compared patch by patch.
    """
    method = values.get("method")
    if not isinstance(method, Mapping):
        return values
    if method.get("name") == "deblurgan" and _draws_for_its_critic(method):
        return _with(values, "schedule", "counts", "draws")
    if method.get("name") == "light-deblurgan":
        return _with(values, "method", "patch_average", "after")
    return values


def as_meant(values: Tables, resolve: Callable[[Tables], str]) -> Tables:
    """`complete` for tables that are a recorded recipe, and others as they are.

    A recipe is a recorded one where it names every setting but those of `NEWER`, which nobody writes by hand.
    `resolve` gives the whole recipe of some tables as TOML.
    """
    completed = complete(values)
    if completed == values:
        return values
    try:
        everything = tomllib.loads(resolve(completed))
    except errors.RecipeError:
        return values  # whoever reads it for good says what is wrong with it
    missing = set(_keys(everything)) - set(_keys(completed)) - NEWER
    return values if missing else completed


def _draws_for_its_critic(method: Mapping[str, Any]) -> bool:
    critic = method.get("critic")
    fresh = isinstance(critic, Mapping) and critic.get("batches") == "fresh"
    return fresh and method.get("adversarial_weight") != 0


def _with(values: Tables, table: str, key: str, value: Any) -> Tables:
    """The tables with one setting more, unless it is there already."""
    section = values.get(table)
    return values | {table: {key: value} | section} if isinstance(section, dict) else values


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
