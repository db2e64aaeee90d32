"""Keep decoded photos, and what belongs to them, in bounded memory."""

import collections
import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import numpy as np

Value = TypeVar("Value")

_SMALL = 64
"""Bytes that a number or another small object counts as."""


class Cache:
    """The values used last, as many as fit into a number of bytes; safe to use from several threads.

    Two threads that ask for one value at the same time load it once. Values are shared: do not write into them.

    Parameters
    ----------
    limit
        The most bytes that are kept; 0 keeps nothing. Values that are being loaded or used come on top.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        """Bytes that are kept now."""
        self._kept: collections.OrderedDict[Hashable, tuple[Any, int]] = collections.OrderedDict()
        self._loading: dict[Hashable, concurrent.futures.Future[Any]] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Cache, (self.limit,)

    def get(self, key: Hashable, load: Callable[[], Value]) -> Value:
        """Return the value of a key, loaded if it is not kept. Raises what `load` raises, and keeps nothing then."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                kept: Value = self._kept[key][0]
                return kept
            awaited = self._loading.get(key)
            if awaited is None:
                own = self._loading[key] = concurrent.futures.Future[Any]()
        if awaited is not None:
            value: Value = awaited.result()
            return value
        try:
            value = load()
        except BaseException as error:
            with self._lock:
                del self._loading[key]
            own.set_exception(error)
            raise
        with self._lock:
            del self._loading[key]
            self._keep(key, value)
        own.set_result(value)
        return value

    def _keep(self, key: Hashable, value: Any) -> None:
        size = size_of(value)
        if size > self.limit:
            return
        self._kept[key] = (value, size)
        self.bytes += size
        while self.bytes > self.limit:
            _, (_, removed) = self._kept.popitem(last=False)
            self.bytes -= removed


def size_of(value: Any) -> int:
    """Return the bytes that arrays in a value take: in dataclasses, sequences and mappings too."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, bytes | str):
        return len(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return sum(size_of(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, Mapping):
        return sum(size_of(each) for each in value.values())
    if isinstance(value, list | tuple):
        return sum(size_of(each) for each in value)
    return _SMALL
