"""Which task a worker does next: one that follows its last.

What follows in a dataset often follows in its source, a video above all, and is cheaper to go on with than to find.
"""

import collections
import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

Task = TypeVar("Task")


class Lanes(Generic[Task]):
    """Tasks in parts that follow one another, one for each of `workers` threads.

    A thread whose part is done goes on with the second half of the longest that is left. Every task is taken once.
    """

    def __init__(self, tasks: Sequence[Task], workers: int) -> None:
        self._lock = threading.Lock()
        bounds = [len(tasks) * k // workers for k in range(workers + 1)]
        self._parts = [collections.deque(tasks[bounds[k] : bounds[k + 1]]) for k in range(workers)]
        self._of: dict[int, int] = {}

    def take(self) -> Task:
        """The next task of this thread; there has to be one left."""
        with self._lock:
            own = self._of.setdefault(threading.get_ident(), len(self._of) % len(self._parts))
            if not self._parts[own]:
                longest = max(self._parts, key=len)
                half = [longest.pop() for _ in range(-(-len(longest) // 2))]
                self._parts[own].extend(reversed(half))
            return self._parts[own].popleft()


def spread(tasks: Sequence[Task], workers: int) -> list[Task]:
    """The tasks in the order in which `workers`, each on a part of its own, would begin them at the same pace."""
    length = -(-len(tasks) // workers)
    return [task for k in range(length) for task in tasks[k::length]]
