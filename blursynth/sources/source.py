"""What every collection of sources is: named, hashed, measured photos in a fixed order."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import listing, source_file


@dataclasses.dataclass(frozen=True)
class Source:
    """One sharp photo or scene: what a dataset records of it, and what planning needs to know before it is decoded."""

    name: str
    """Relative posix path, or `scene-000012`; unique in its collection."""
    sha256: str
    """Hex digest of the file's bytes, or of the text that generates a scene."""
    height: int
    """Pixels, upright."""
    width: int
    bytes: int
    """Size of the file; 0 for a scene, which has none."""
    beside: str | None = None
    """SHA-256 of what lies beside it and belongs to it: its depth map, the outlines of its objects."""

    def entry(self) -> dict[str, Any]:
        """As a dataset lists it."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


Skipped = listing.LeftOut
"""A file that looks like a photo and cannot be used: `name` and `reason`."""


class Sources(Protocol):
    """A collection that can be pickled and read from any thread or process."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """In a fixed order; the position in it is the source's number."""

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What was left out when the collection was made, by name."""

    @property
    def place(self) -> str | None:
        """The folder or prefix in which the sources lie under their names; None where they are no files."""

    def changed(self, index: int) -> str | None:
        """Why source number `index` is no longer what `sources` says of it, as it stands after its name; else None."""

    def read(self, index: int) -> numpy.typing.NDArray[numpy.uint8]:
        """Source number `index`: uint8 (height, width, 3), RGB, encoded light.

        Raises InputError where its content cannot be used, SourceError where it cannot be read or has changed.
        """


def sized(expected: Source, pixels: numpy.typing.NDArray[numpy.uint8]) -> numpy.typing.NDArray[numpy.uint8]:
    """The pixels of a source; raises InputError where they are not as many as when it was listed."""
    height, width, _ = pixels.shape
    if (height, width) != (expected.height, expected.width):
        raise errors.InputError(
            f"{expected.name} is {width}x{height} px as this version reads it, and {expected.width}x{expected.height} "
            "px are recorded of the same bytes. Install the versions that the dataset was made with."
        )
    return pixels


def changed(name: str, read: Callable[[], bytes], sha256: str | None) -> str | None:
    """Why a file is not what was recorded of it, or cannot be read now, as it stands after its name; None if it is."""
    try:
        source_file.recorded(name, read(), sha256)
    except (errors.SourceError, errors.InputError) as error:
        return reason(error, name).partition(". ")[0]  # what to do about it is for whoever asked
    return None


def reason(error: Exception, name: str) -> str:
    """Why a source is left out, as it stands after its name: without the path, which the dataset records anyway."""
    text = str(error).rstrip(".")
    _, found, rest = text.partition(f"{name} ")
    return rest if found else text
