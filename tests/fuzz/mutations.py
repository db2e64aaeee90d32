"""Mutations of files: the same bytes for the same (seed, k), on any machine.

`mutate` works on bytes; `mutate_text` also knows numbers, and `mutate_tree` what JSON and TOML are parsed into.
"""

import copy
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Random = np.random.Generator

INTERESTING = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORDS = (
    b"null", b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"1e400", b"-1e400", b"1e-400", b"-0", b"true", b"''",
    b'""', b"{}", b"[]", b"9" * 5000, b"0x" + b"f" * 4000, b"1" + b"0" * 15, b"1" + b"0" * 30, b"-1", b"0.5", b"\xff",
)  # fmt: skip
LEAVES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3.5, 10**8, 10**15, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "x",
    "9" * 5000, "../../x", "\0", "\udce9", [], {}, [[]], [None], {"a": None}, [0] * 100,
)  # fmt: skip


def random_for(seed: int, k: int) -> Random:
    """The stream of mutation number k."""
    return np.random.default_rng([seed, k])


def mutate(content: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """One to four changes of bytes; `others`: files that parts may come from."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 5))):
        kinds: list[Callable[[bytearray, Random], bytearray]] = [*_ONE_PLACE, *_BLOCKS]
        which = int(random.integers(len(kinds) + bool(others)))
        changed = kinds[which](changed, random) if which < len(kinds) else _splice(changed, random, others)
    return bytes(changed)


def mutate_text(content: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """A number or a line changed, very deep brackets, or bytes as `mutate` does."""
    which = int(random.integers(5))
    if which == 0:
        numbers = list(_NUMBER.finditer(content))
        if numbers:
            found = numbers[int(random.integers(len(numbers)))]
            return content[: found.start()] + _word(random) + content[found.end() :]
    if which == 1:
        lines = content.split(b"\n")
        place, other = (int(random.integers(len(lines))) for _ in "12")
        lines[place : place + int(random.integers(2))] = [lines[other]]
        return b"\n".join(lines)
    if which == 2:
        place = int(random.integers(len(content) + 1))
        return content[:place] + _word(random) + content[place:]
    if which == 3 and not random.integers(4):
        place = int(random.integers(len(content) + 1))
        opening = (b"[", b'{"a":', b"(")[int(random.integers(3))]
        return content[:place] + opening * int(random.choice([3, 500, 100_000])) + content[place:]
    return mutate(content, random, others)


def mutate_tree(tree: Any, random: Random) -> Any:
    """A copy of parsed JSON or TOML with one or two keys removed, renamed, doubled, or values of another kind."""
    tree = copy.deepcopy(tree)
    for _ in range(int(random.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            return tree
        holder, key = places[int(random.integers(len(places)))]
        which = int(random.integers(6))
        if which == 0:
            del holder[key]
        elif which == 1 and isinstance(holder, dict):
            holder[f"{key}2"] = holder.pop(key)
        elif which == 2 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif which == 3:
            other, its = places[int(random.integers(len(places)))]
            holder[key] = copy.deepcopy(other[its]) if its in other or isinstance(other, list) else None
        elif which == 4 and type(holder[key]) in (int, float):
            holder[key] = int(random.choice([-1, 0, 1, 2, 1000])) * holder[key] + int(random.integers(-2, 3))
        else:
            holder[key] = copy.deepcopy(LEAVES[int(random.integers(len(LEAVES)))])
    return tree


def mutate_json(content: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """A JSON text changed as a tree, with a doubled key or a deep value, or as text."""
    which = int(random.integers(8))
    if which < 5:
        tree = mutate_tree(json.loads(content), random)
        return json.dumps(tree, indent=int(random.integers(3))).encode("utf-8", "surrogatepass")
    if which == 5:
        keys = list(re.finditer(rb'"[^"]*": ', content))
        if keys:
            key = keys[int(random.integers(len(keys)))]
            return content[: key.start()] + key.group() + _word(random) + b", " + content[key.start() :]
    return mutate_text(content, random, others)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        each = waiting.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        found += [(each, key) for key in keys]
        waiting += [each[key] for key in keys]
    return found


def _word(random: Random) -> bytes:
    return _WORDS[int(random.integers(len(_WORDS)))]


def _at(changed: bytearray, random: Random) -> int:
    """More often near the start, where headers are."""
    end = len(changed) if random.integers(2) else min(len(changed), 64)
    return int(random.integers(end + 1)) if end else 0


def _flip_bit(changed: bytearray, random: Random) -> bytearray:
    at = _at(changed, random)
    if at < len(changed):
        changed[at] ^= 1 << int(random.integers(8))
    return changed


def _set_byte(changed: bytearray, random: Random) -> bytearray:
    at = _at(changed, random)
    if at < len(changed):
        changed[at] = int(random.integers(256))
    return changed


def _set_number(changed: bytearray, random: Random) -> bytearray:
    size = int(random.choice([1, 2, 4, 8]))
    number = INTERESTING[int(random.integers(len(INTERESTING)))] % 2 ** (8 * size)
    at = _at(changed, random)
    changed[at : at + size] = number.to_bytes(size, "little" if random.integers(2) else "big")
    return changed


def _block(changed: bytearray, random: Random) -> tuple[int, int]:
    start = _at(changed, random)
    return start, min(len(changed), start + int(random.choice([1, 2, 4, 8, 16, 64, 512])))


def _zero(changed: bytearray, random: Random) -> bytearray:
    start, stop = _block(changed, random)
    changed[start:stop] = bytes(stop - start)
    return changed


def _delete(changed: bytearray, random: Random) -> bytearray:
    start, stop = _block(changed, random)
    del changed[start:stop]
    return changed


def _double(changed: bytearray, random: Random) -> bytearray:
    start, stop = _block(changed, random)
    changed[stop:stop] = changed[start:stop]
    return changed


def _insert(changed: bytearray, random: Random) -> bytearray:
    start, stop = _block(changed, random)
    changed[start:start] = random.bytes(max(1, stop - start))
    return changed


def _truncate(changed: bytearray, random: Random) -> bytearray:
    return changed[: int(random.integers(len(changed) + 1))]


def _splice(changed: bytearray, random: Random, others: Sequence[bytes]) -> bytearray:
    other = others[int(random.integers(len(others)))]
    here, there = (int(random.integers(len(part) + 1)) for part in (changed, other))
    return changed[:here] + bytearray(other[there:])


_ONE_PLACE = (_flip_bit, _flip_bit, _set_byte, _set_number, _set_number)
_BLOCKS = (_zero, _delete, _double, _insert, _truncate)
