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
class Orientation:
    """How a stored picture becomes upright: mirrored left to right first, then turned.

    turns: quarter turns counter-clockwise, 0 to 3. The eight orientations are all that keep pixels on their grid.
    """

    turns: int = 0
    mirrored: bool = False

    @property
    def transposed(self) -> bool:
        """Whether height and width are exchanged."""
        return self.turns % 2 == 1

    def upright(self, stored: numpy.typing.NDArray[Any]) -> numpy.typing.NDArray[Any]:
        """A view of a stored picture, (H, W, ...), as it is to be seen."""
        return numpy.rot90(stored[:, ::-1] if self.mirrored else stored, self.turns)

    def stored_box(self, box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Where a box (top, left, height, width) of the upright picture lies in the stored one of (height, width)."""
        top, left, tall, wide = box
        height, width = size
        if self.turns == 1:
            top, left, tall, wide = left, width - top - tall, wide, tall
        elif self.turns == 2:
            top, left = height - top - tall, width - left - wide
        elif self.turns == 3:
            top, left, tall, wide = height - left - wide, top, wide, tall
        return (top, width - left - wide, tall, wide) if self.mirrored else (top, left, tall, wide)


UPRIGHT = Orientation()


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
