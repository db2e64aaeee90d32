"""Open readers of clips, shared by the threads that make shards."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from blursynth.sources import clip_files


class Readers:
    """Lends a reader to one thread at a time, if it can one that stands shortly before the frame that is wanted.

    That saves decoding from the last key frame again for every shard. What is read does not depend on it. Travels to
    another process empty.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[str, clip_files.Frames]] = []
        self._most = os.cpu_count() or 1

    def __reduce__(self) -> tuple[Any, ...]:
        return Readers, ()

    @contextlib.contextmanager
    def lent(self, clip: clip_files.Clip, first: int) -> Iterator[clip_files.Frames]:
        """A reader for frames of a clip from number `first`."""
        reader = self._near(clip.name, first) or clip.open()
        try:
            yield reader
        except BaseException:
            reader.close()  # it may stand anywhere
            raise
        with self._lock:
            self._idle.append((clip.name, reader))
            surplus = self._idle.pop(0)[1] if len(self._idle) > self._most else None
        if surplus is not None:
            surplus.close()

    def forget(self, clip: clip_files.Clip) -> None:
        """Close the idle readers of a clip, so that the next one opens its file again."""
        with self._lock:
            closed = [reader for name, reader in self._idle if name == clip.name]
            self._idle = [(name, reader) for name, reader in self._idle if name != clip.name]
        for reader in closed:
            reader.close()

    def _near(self, name: str, first: int) -> clip_files.Frames | None:
        """Take the idle reader that has the least to decode, if any comes from this side of the key frame."""
        with self._lock:
            near = [k for k, (of, reader) in enumerate(self._idle) if of == name and reader.can_go_on_to(first)]
            return self._idle.pop(max(near, key=lambda k: self._idle[k][1].position))[1] if near else None
