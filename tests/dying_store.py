"""The end of the process at a chosen object that it would store."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from blursynth.storage import writer
from blursynth.stores import store


class Killed(BaseException):
    """Stands for the end of the process."""


@contextlib.contextmanager
def dies_after(objects: int) -> Iterator[None]:
    """Raise Killed instead of storing one more object than that; those of the lock come and go."""
    left = objects

    def count() -> None:
        nonlocal left
        if not left:
            raise Killed
        left -= 1

    class Store:
        """A place, all of whose writes count."""

        real = staticmethod(store.store)

        def __init__(self, path: str) -> None:
            self.store = self.real(path)

        def write(self, key: str, *arguments: Any, **options: Any) -> Any:
            if not key.endswith(".lock"):
                count()
            return self.store.write(key, *arguments, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.store, name)

    begin = writer._begin

    def counted_begin(*arguments: Any) -> Any:
        count()
        return begin(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "store", Store)
        patch.setattr(writer, "_begin", counted_begin)
        yield
