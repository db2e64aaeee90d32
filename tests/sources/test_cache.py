"""The cache of decoded photos: bounded, shared between threads, and nothing is kept of what failed."""

import concurrent.futures
import dataclasses
import pickle
import threading

import numpy as np
import pytest

from blursynth.sources import cache as caches


def array(size: int) -> np.ndarray:
    return np.zeros(size, np.uint8)


def test_the_values_used_last_are_kept_within_the_limit() -> None:
    cache = caches.Cache(100)
    loads: list[str] = []

    def get(key: str, size: int = 40) -> np.ndarray:
        return cache.get(key, lambda: loads.append(key) or array(size))

    get("a"), get("b"), get("a"), get("c")  # b was used longest ago
    assert cache.bytes == 80
    get("a")
    assert loads == ["a", "b", "c"]
    get("b")
    assert loads == ["a", "b", "c", "b"]
    get("large", 101)  # more than all of the limit: given, not kept
    get("large", 101)
    assert loads[-2:] == ["large", "large"]
    assert cache.bytes <= 100


def test_a_limit_of_zero_keeps_nothing() -> None:
    cache = caches.Cache(0)
    assert [cache.get("a", lambda n=n: array(n)).size for n in (3, 4)] == [3, 4]
    assert cache.bytes == 0


def test_threads_load_a_value_once_and_all_get_it() -> None:
    cache = caches.Cache(10_000)
    loads, gate = [], threading.Barrier(4, timeout=10)

    def load() -> np.ndarray:
        loads.append(1)
        return array(8)

    def get() -> np.ndarray:
        gate.wait()
        return cache.get("photo", load)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        values = [each.result() for each in [threads.submit(get) for _ in range(4)]]
    assert len(loads) == 1
    assert all(value is values[0] for value in values)


def test_what_failed_is_not_kept_and_is_tried_again() -> None:
    cache = caches.Cache(100)

    def fail() -> np.ndarray:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        cache.get("photo", fail)
    assert cache.get("photo", lambda: array(5)).size == 5


def test_sizes_count_arrays_wherever_they_are() -> None:
    @dataclasses.dataclass
    class Outlines:
        masks: list[np.ndarray]
        name: str

    value = {"depth": np.zeros((4, 5), np.float32), "outlines": Outlines([array(7), array(9)], "ab")}
    assert caches.size_of(value) == 80 + 16 + 2


def test_a_pickled_cache_is_empty_with_the_same_limit() -> None:
    cache = caches.Cache(100)
    cache.get("a", lambda: array(50))
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.limit, copy.bytes) == (100, 0)
