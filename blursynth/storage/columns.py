"""The columns of an open dataset."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

Column = npt.NDArray[Any]


class Columns(Mapping[str, Column]):
    """Columns by name, each read once when first asked for: a large dataset has many that nobody asks for."""

    def __init__(self, names: Sequence[str], read: Callable[[str], Column]) -> None:
        self._reader = read
        self._read: dict[str, Column | None] = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Column:
        values = self._read[name]
        if values is None:
            values = self._read[name] = self._reader(name)
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)
