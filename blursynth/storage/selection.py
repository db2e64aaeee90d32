"""Index what holds items: one item, a slice, numbers or a mask; and some of its items as if they were all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, SupportsIndex, TypeAlias, overload

import numpy as np
import numpy.typing as npt

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Several: TypeAlias = slice | Sequence[int] | npt.NDArray[Any]


class Readable(Protocol):
    """A dataset."""

    path: str

    @overload
    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: Several) -> Arrays: ...


def at(
    index: SupportsIndex | Several, length: int, read: Callable[[npt.NDArray[np.int64]], Arrays]
) -> Mapping[str, Any]:
    """Read one item, without its leading axis, or several.

    Negative numbers count from the end. Raises IndexError for what is outside, or is no index.
    """
    if isinstance(index, slice):
        return read(np.arange(*index.indices(length), dtype=np.int64))
    if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray | bool):
        return {name: values[0] for name, values in read(_within(np.array([index.__index__()]), length)).items()}
    return read(_within(np.asarray(index), length))


def _within(numbers: npt.NDArray[Any], length: int) -> npt.NDArray[np.int64]:
    if numbers.dtype == bool and numbers.shape == (length,):
        return np.flatnonzero(numbers).astype(np.int64)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise IndexError(
            f"an index of the shape {numbers.shape} and the type {numbers.dtype}; expected whole numbers in one "
            f"dimension, or a mask of {length} items"
        )
    wrong = numbers[(numbers < -length) | (numbers >= length)]
    if wrong.size:
        raise IndexError(f"there is no item {wrong[0]}: there are {length}")
    whole = numbers.astype(np.int64)
    return np.where(whole < 0, whole + length, whole)


class Selection:
    """Some items of a dataset, such as a split: `len()`, indexing and iteration, as of the dataset.

    Parameters
    ----------
    dataset
        Where they are.
    items : int64 (N,)
        Their numbers in the dataset.
    """

    def __init__(self, dataset: Readable, items: npt.NDArray[np.int64]) -> None:
        self.dataset = dataset
        self.items = items

    def __repr__(self) -> str:
        return f"<{len(self)} items of {self.dataset.path}>"

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: Several) -> Arrays: ...
    def __getitem__(self, index: Any) -> Any:
        """Read items by their numbers within the selection; see `Dataset`. Raises IndexError."""
        return at(index, len(self), lambda chosen: self.dataset[self.items[chosen]])
