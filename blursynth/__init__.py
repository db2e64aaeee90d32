"""Faithful synthetic motion-blur datasets at any size.

What `__all__` lists is public and stays as it is between versions, unless the changelog says otherwise: functions on
arrays, datasets that are read, shuffled batches and streams. Names are resolved on first use, so that importing costs
nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blursynth.api.arrays import average as average
    from blursynth.api.arrays import blur as blur
    from blursynth.api.arrays import blur_field as blur_field
    from blursynth.api.arrays import camera as camera
    from blursynth.api.arrays import shake as shake
    from blursynth.api.motion import psfs as psfs
    from blursynth.api.motion import trajectories as trajectories
    from blursynth.api.streams import stream as stream
    from blursynth.loading.patches import Batches as Batches
    from blursynth.loading.patches import Part as Part
    from blursynth.loading.patches import Patches as Patches
    from blursynth.loading.stream import Stream as Stream
    from blursynth.storage.reader import Dataset as Dataset
    from blursynth.storage.reader import open as open  # noqa: A004

__version__ = "0.1.0"

_PUBLIC = {
    "trajectories": "blursynth.api.motion",
    "psfs": "blursynth.api.motion",
    "blur": "blursynth.api.arrays",
    "blur_field": "blursynth.api.arrays",
    "shake": "blursynth.api.arrays",
    "average": "blursynth.api.arrays",
    "camera": "blursynth.api.arrays",
    "open": "blursynth.storage.reader",
    "Dataset": "blursynth.storage.reader",
    "Part": "blursynth.loading.patches",
    "Patches": "blursynth.loading.patches",
    "Batches": "blursynth.loading.patches",
    "Stream": "blursynth.loading.stream",
    "stream": "blursynth.api.streams",
}


__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*_PUBLIC, "__version__"]
