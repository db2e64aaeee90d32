"""Windows of stored arrays: what lies in a rectangle of each of many items."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorstore as ts

Integers = npt.NDArray[np.int64]


def begin(
    array: ts.TensorStore, items: Integers, tops: Integers, lefts: Integers, height: int, width: int
) -> ts.Future[Any]:
    """Begin to read windows (N,) of an array (item, y, x, ...); gives a future of (N, height, width, ...).

    Only the inner chunks that the windows touch are read, all of them in parallel by tensorstore's own threads.
    Raises IndexError for a window that leaves its item.
    """
    extents = array.shape[1:3]
    if len(extents) < 2:
        raise IndexError(f"items of shape {array.shape[1:]} have no rows and columns to cut windows from")
    for corner, side, extent in zip((tops, lefts), (height, width), extents, strict=True):
        if side < 1 or np.any(corner < 0) or np.any(corner + side > extent):
            raise IndexError(f"a window of {height}x{width} leaves the items of {extents[0]}x{extents[1]}")
    if not items.size:
        return ts.array(np.empty((0, height, width, *array.shape[3:]), array.dtype.numpy_dtype)).read()
    from_zero = ts.d[:].translate_to[0]
    # One read of many views stacked takes less time than many reads.
    views = [
        array[item, top : top + height, left : left + width][from_zero]
        for item, top, left in zip(items.tolist(), tops.tolist(), lefts.tolist(), strict=True)
    ]
    return ts.stack(views).read()
