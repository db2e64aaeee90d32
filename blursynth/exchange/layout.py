"""What layouts share: pairs that were found, what is to be exported, and objects that hold pairs."""

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.exchange import png
from blursynth.storage import provenance

SPLITS = ("train", "val", "test")
MANIFEST = "blursynth.json"
TABLE = "pairs.csv"
PAIRS_AT_ONCE = 32  # written by one task, where each pair has files of its own
LISTED = 10  # names that a sentence gives

Image = npt.NDArray[np.uint8]  # (y, x, channel) RGB, encoded light


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two image files that belong together, by their names below a root; `TAR/MEMBER` within a tar.

    split: "" where nothing says it. frames: M, how many frames were averaged, where the names say so, else 0.
    """

    blurred: str
    sharp: str
    split: str
    frames: int = 0


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a folder holds: pairs in order, and what was left out.

    transfer: how codes relate to light, where names say so. unlike: in sentences, how the names and their number
    differ from what was published under this name. size: (height, width) of all images that were, else None.
    """

    pairs: tuple[Pair, ...]
    left_out: tuple[provenance.Skipped, ...] = ()
    transfer: str | None = None
    unlike: tuple[str, ...] = ()
    size: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a user says of a folder, where its names do not: which folders (or endings) hold what, and the split."""

    blurred: str | None = None
    sharp: str | None = None
    split: str | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is exported, by position: `number` int64 (pairs,), under which each item was made; `split` (pairs,), one
    of `splits` as an index; `sequence` (pairs,), one of `sequences`; `blurred`, the name for blurred images where the
    layout knows several; `pairs_per_tar`.
    """

    number: npt.NDArray[np.int64]
    split: npt.NDArray[np.integer[Any]]
    splits: tuple[str, ...]
    sequence: npt.NDArray[np.integer[Any]]
    sequences: tuple[str, ...]
    blurred: str
    pairs_per_tar: int

    @functools.cached_property
    def rank(self) -> npt.NDArray[np.int64]:
        """How many pairs of its split come before each."""
        before = np.zeros(len(self.split), np.int64)
        for split in np.unique(self.split):
            rows = np.flatnonzero(self.split == split)
            before[rows] = np.arange(len(rows))
        return before

    def split_of(self, position: int) -> str:
        return self.splits[int(self.split[position])]

    def sequence_of(self, position: int) -> str:
        return self.sequences[int(self.sequence[position])]

    def file_number(self, position: int) -> str:
        """Six digits, or as many as the last needs, so that the order of names is that of items."""
        return str(int(self.number[position])).zfill(max(6, len(str(int(self.number[-1])))))


@dataclasses.dataclass(frozen=True)
class Unit:
    """Pairs that are written together, by position, and the objects that they become."""

    positions: tuple[int, ...]
    keys: tuple[str, ...]

    def lacking(self, present: frozenset[str]) -> list[int]:
        """Which of the pairs, by their place in `positions`, have an object that is not among these keys."""
        objects = len(self.keys) // len(self.positions)
        if objects == 0:  # one for all
            return [] if present.issuperset(self.keys) else list(range(len(self.positions)))
        parts = (self.keys[row * objects : (row + 1) * objects] for row in range(len(self.positions)))
        return [row for row, keys in enumerate(parts) if not present.issuperset(keys)]


@dataclasses.dataclass(frozen=True)
class Sample:
    """One pair in memory, and what is known of it, as JSON."""

    blurred_HWC: Image
    sharp_HWC: Image
    facts: Mapping[str, Any]


Read = Callable[[Sequence[int]], Iterator[Sample]]
"""The pairs at these positions, in their order, a few in memory at a time."""


def units_of_files(plan: Plan, names: Callable[[Plan, int], tuple[str, str]]) -> Iterator[Unit]:
    """Units of a layout where each pair has two files; `names` gives theirs, blurred and sharp."""
    for first in range(0, len(plan.number), PAIRS_AT_ONCE):
        positions = tuple(range(first, min(first + PAIRS_AT_ONCE, len(plan.number))))
        yield Unit(positions, tuple(name for position in positions for name in names(plan, position)))


def files_of(unit: Unit, read: Read, present: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """The files of such a unit that are not present, as PNG."""
    needed = unit.lacking(present)
    for row, sample in zip(needed, read([unit.positions[row] for row in needed]), strict=True):
        both = unit.keys[2 * row : 2 * row + 2]
        for name, pixels_HWC in zip(both, (sample.blurred_HWC, sample.sharp_HWC), strict=True):
            if name not in present:
                yield name, png.encode(pixels_HWC)


def matched(
    blurred: Iterable[str], sharp: Iterable[str], key: Callable[[str], str]
) -> tuple[list[tuple[str, str]], list[provenance.Skipped]]:
    """Names with the same key belong together; in the order of keys. What has no partner, or several, is left out."""
    sides = []
    left_out = []
    for names in (blurred, sharp):
        by_key: dict[str, list[str]] = collections.defaultdict(list)
        for name in names:
            by_key[key(name)].append(name)
        sides.append(by_key)
    for ours, theirs, other in ((sides[0], sides[1], "sharp"), (sides[1], sides[0], "blurred")):
        for each, names_ in ours.items():
            if len(names_) > 1:
                left_out += [provenance.Skipped(name, f"is one of {len(names_)} files of that name") for name in names_]
            elif each not in theirs:
                left_out.append(provenance.Skipped(names_[0], f"has no {other} image of its name"))
            elif len(theirs[each]) > 1:
                left_out.append(provenance.Skipped(names_[0], f"has {len(theirs[each])} {other} images of its name"))
    common = [each for each in sides[0] if len(sides[0][each]) == 1 and len(sides[1].get(each, ())) == 1]
    pairs = [(sides[0][each][0], sides[1][each][0]) for each in sorted(common)]
    return pairs, sorted(left_out, key=lambda left: left.name)


def split_in(parts: Sequence[str]) -> str | None:
    """The first of these folder names that names a split; `validation` and `valid` do as well."""
    known = {split: split for split in SPLITS} | {"validation": "val", "valid": "val", "training": "train"}
    return next((known[part.lower()] for part in parts if part.lower() in known), None)


def split_of(root: str, name: str, asked: str | None) -> str:
    """The split of an image `.../FOLDER/FILE` below a root: the one asked for, or named by a folder above FOLDER, which
    the root may be itself; "" where nothing says it.
    """
    return asked or split_in([*pathlib.PurePosixPath(name).parts[:-2], pathlib.PurePosixPath(root).name]) or ""


def by_split(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Training pairs first, then those to validate on, then those to test on; else in their order."""
    return tuple(sorted(pairs, key=lambda pair: (*SPLITS, "").index(pair.split)))


def beside(name: str) -> str:
    """What images of two folders side by side have in common that belong together: all but the folder and ending."""
    path = pathlib.PurePosixPath(name)
    return (path.parent.parent / path.stem).as_posix()


def some(names: Sequence[str]) -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
