"""What verify, repair and replay share: where inputs lie now, and how a finding reads."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

INPUTS = ("photos", "clips", "trajectories", "kernels", "pairs", "gyro", "depth", "masks", "images")

Command = TypeVar("Command", bound=Callable[..., Any])


def moved(command: Command) -> Command:
    """An option for each of INPUTS: where it lies now."""
    for name in reversed(INPUTS):
        text = f"Where the input {name!r} is now, if not where it was when the dataset was made."
        command = click.option(f"--{name}", metavar="PATH", help=text)(command)
    return command


def moved_inputs(given: dict[str, Any]) -> dict[str, str]:
    """The inputs that `moved` was given places of."""
    return {name: given[name] for name in INPUTS if given[name] is not None}


def finding(found: Any) -> str:
    """`sharp/c/3/0/0/0 (items 9 to 11) is missing`."""
    where = f"{found.where} ({_items(found.items)})" if found.items else found.where
    return f"{'warning: ' if found.warning else ''}{where} {found.problem}"


def _items(items: Sequence[int]) -> str:
    if len(items) == 1:
        return f"item {items[0]}"
    if items[-1] - items[0] + 1 == len(items):
        return f"items {items[0]} to {items[-1]}"
    return "items " + ", ".join(str(item) for item in items)
