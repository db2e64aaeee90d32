"""A part of a photo, with the photo around it: blur needs what lies beside the part."""

import dataclasses
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)


@dataclasses.dataclass(frozen=True, eq=False)
class Crop:
    """photo_HWC: uint8, encoded; nothing changes it. top, left: the crop's upper left corner, and height, width: px.

    belonging: what else is known of the photo, at its size: its depths, the outlines of its objects.
    """

    photo_HWC: npt.NDArray[np.uint8]
    top: int
    left: int
    height: int
    width: int
    belonging: Any = None

    @property
    def photo_size(self) -> tuple[int, int]:
        """Height and width of the photo, px."""
        return self.photo_HWC.shape[0], self.photo_HWC.shape[1]

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns of the photo that are in the crop."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def window(self, margin: int) -> npt.NDArray[np.uint8]:
        """The crop and `margin` px around it, uint8 (height + 2 margin, width + 2 margin, 3), encoded; see `around`."""
        return self.around(self.photo_HWC, margin)

    def padded(self, margin: int, edge: int) -> npt.NDArray[np.uint8]:
        """As `window`, but beyond its edges the photo is repeated for `edge` px, and is 0 from there on."""
        rows, *down = _within(self.top - margin, self.top + self.height + margin, self.photo_HWC.shape[0])
        columns, *across = _within(self.left - margin, self.left + self.width + margin, self.photo_HWC.shape[1])
        near = [[min(count, edge) for count in missing] for missing in (down, across)]
        far = [[max(count - edge, 0) for count in missing] for missing in (down, across)]
        repeated = np.pad(self.photo_HWC[rows, columns], (*near, (0, 0)), mode="edge")
        return np.pad(repeated, (*far, (0, 0)))

    def around(self, values: npt.NDArray[Number], margin: int) -> npt.NDArray[Number]:
        """What an array of the photo's size, (H, W, ...), has in the crop and `margin` px around it, of the same type.

        The array's own values where it has them, reflected beyond its edge. The edge itself is not repeated
        (d c b | a b c d).
        """
        rows, above, below = _within(self.top - margin, self.top + self.height + margin, values.shape[0])
        columns, before, after = _within(self.left - margin, self.left + self.width + margin, values.shape[1])
        found = values[rows, columns]
        if above or below or before or after:
            # What is cut is longer than what is missing, or the whole photo: its reflection is the photo's.
            missing = ((above, below), (before, after), *[(0, 0)] * (values.ndim - 2))
            return np.pad(found, missing, mode="reflect")
        return np.ascontiguousarray(found)


def corner(
    uniform_2: npt.NDArray[np.float64], photo_size: tuple[int, int], crop_size: tuple[int, int]
) -> tuple[int, int]:
    """Return the first row and column of a crop that lies anywhere in a photo, with equal probability.

    uniform_2: draws in [0, 1) for row and column. Sizes are (height, width) in px.
    """
    top, left = (int(uniform_2[axis] * (photo_size[axis] - crop_size[axis] + 1)) for axis in (0, 1))
    return top, left


def _within(start: int, stop: int, size: int) -> tuple[slice, int, int]:
    """The part of [start, stop) that lies in [0, size), and how much is missing before and after it."""
    return slice(max(start, 0), min(stop, size)), max(-start, 0), max(stop - size, 0)
