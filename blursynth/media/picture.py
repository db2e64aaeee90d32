"""One frame of a clip as it was decoded: planes of light and colour difference, or RGB."""

import dataclasses
from typing import Any

import numpy
import numpy.typing

Plane = numpy.typing.NDArray[Any]  # uint8 or uint16


@dataclasses.dataclass(frozen=True)
class Coding:
    """How three planes stand for RGB.

    matrix: bt601, bt709, bt2020 or smpte240m. full_range: whether codes use the whole range or leave foot- and
    headroom (16 to 235 and 240 for 8 bits). bits: of a code, 8 to 16. halved: whether the colour planes have half
    the (height, width), rounded up. centred: whether a halved colour sample lies between its two columns (JPEG)
    rather than on the left one (MPEG); between its two rows it lies always.
    """

    matrix: str
    full_range: bool
    bits: int
    halved: tuple[bool, bool]
    centred: bool = False


@dataclasses.dataclass(frozen=True)
class Picture:
    """A frame as stored, before any rotation.

    planes: with a coding, luma (H, W) and two colour planes, uint8 or uint16; without one, a single uint8 (H, W, 3),
    RGB, encoded light. Views of the decoder's memory: read, never written.
    """

    planes: tuple[Plane, ...]
    coding: Coding | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as stored."""
        height, width = self.planes[0].shape[:2]
        return height, width
