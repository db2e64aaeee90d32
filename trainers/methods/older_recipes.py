"""Read recipes that an older version recorded or wrote: older names, and the meaning of missing settings.

A recorded recipe names every setting that its version had. A setting that came later is missing in it, and means what
that version did, which is not always today's default.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from blursynth import errors

Tables = dict[str, Any]

RENAMED: Mapping[str, str] = {
    "engine.accumulate": "engine.accumulation_steps",
    "engine.average": "engine.ema_decay",
    "engine.clip": "engine.grad_clip_norm",
    "guard": "divergence",
    "schedule.drop_factor": "schedule.milestone_factor",
    "schedule.drops": "schedule.milestones",
    "schedule.flat": "schedule.constant",
    "schedule.linear": "schedule.decay",
}
"""Settings and tables by their older names, which are still read, and their names now."""

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


def renamed(values: Mapping[str, Any], source: str) -> Tables:
    """Give settings with older names their names now; RecipeError where a recipe has both."""
    tables = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for old, new in RENAMED.items():
        parent, _, old_key = old.rpartition(".")
        section = tables.get(parent) if parent else tables
        if not isinstance(section, dict) or old_key not in section:
            continue
        new_key = new.rpartition(".")[2]
        if new_key in section:
            raise errors.RecipeError(f"{source}: {old} is the older name of {new}, which is given too; remove {old}.")
        section[new_key] = section.pop(old_key)
    return tables


def current_name(key: str) -> str:
    """Return the name that a setting has now."""
    old = next((old for old in RENAMED if key == old or key.startswith(f"{old}.")), None)
    return key if old is None else RENAMED[old] + key.removeprefix(old)


def complete(values: Tables) -> Tables:
    """Add to a recorded recipe the settings that its version did not have, with the meaning of then.

    DeblurGAN with fresh batches for its critic counted all pairs drawn, including the critic's. The light model
    compared patch by patch.
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
    """Apply `complete` to tables that are a recorded recipe; return others unchanged.

    A recorded recipe names every setting but those of `NEWER`, which no recipe written by hand does. `resolve` returns
    the whole recipe of some tables as TOML.
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
    """Add one setting to the tables, unless it is there already."""
    section = values.get(table)
    return values | {table: {key: value} | section} if isinstance(section, dict) else values


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
