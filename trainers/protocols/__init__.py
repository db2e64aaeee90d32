"""The registry of protocols: a name -> the pinned way to score that it stands for."""

from collections.abc import Mapping
from types import MappingProxyType

from blursynth import errors
from trainers.protocols import gopro, kohler, levin_lai, protocol, realblur

MODULES = gopro, kohler, realblur, levin_lai
PROTOCOLS: Mapping[str, protocol.Protocol] = MappingProxyType(
    {each.name: each for module in MODULES for each in module.PROTOCOLS}
)


def find(name: str) -> protocol.Protocol:
    """The protocol called `name`; InputError naming the nearest known one."""
    if name not in PROTOCOLS:
        close = errors.closest(name, PROTOCOLS)
        hint = f"Did you mean {close!r}?" if close else f"Known protocols: {', '.join(PROTOCOLS)}."
        raise errors.InputError(f"There is no protocol {name!r}. {hint}")
    return PROTOCOLS[name]
