"""The registry of protocols: a name -> the pinned way to score that it stands for."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from blursynth import errors
from trainers.protocols import ecc, kohler, plain, protocol, shifted

PROTOCOLS: Mapping[str, protocol.Protocol] = MappingProxyType(
    {each.name: each for module in (plain, kohler, ecc, shifted) for each in module.PROTOCOLS}
)


def find(name: str) -> protocol.Protocol:
    """The protocol called `name`; InputError naming the nearest known one."""
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(name, PROTOCOLS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known protocols: {', '.join(PROTOCOLS)}."
        raise errors.InputError(f"There is no protocol {name!r}. {hint}")
    return PROTOCOLS[name]
