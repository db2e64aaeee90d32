"""What layouts share: pairs that were found, what is to be exported, and objects that hold pairs."""

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.media import listing, pair_names
from blursynth.sources import png
from blursynth.storage import provenance

SPLITS = ("train", "val", "test")
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

    elsewhere: folders of images that the layout, or what was asked for, has no use for.
    transfer: how codes relate to light, where names say so. unlike: in sentences, how the names and their number
    differ from what was published under this name. size: (height, width) of all images that were, else None.
    """

    pairs: tuple[Pair, ...]
    left_out: tuple[provenance.Skipped, ...] = ()
    transfer: str | None = None
    unlike: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    elsewhere: tuple[provenance.Skipped, ...] = ()


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


def skipped(left_out: Iterable[listing.LeftOut]) -> list[provenance.Skipped]:
    """As a dataset records what is left out."""
    return [provenance.Skipped(each.name, each.reason) for each in left_out]


def elsewhere(names: Iterable[str], reason: str) -> tuple[provenance.Skipped, ...]:
    """An entry for each folder of images that are of no use; `reason` stands after "has N images that "."""
    counts = collections.Counter(pathlib.PurePosixPath(name).parent.as_posix() for name in names)
    return tuple(provenance.Skipped(folder, f"has {n} images that {reason}") for folder, n in sorted(counts.items()))


def require_marked(root: str, images: Sequence[str], wanted: Wanted) -> None:
    """Raise InputError where no image has a folder that was named on its way, and RecipeError where both are one."""
    if wanted.blurred and wanted.blurred == wanted.sharp:
        raise errors.RecipeError(f"--blurred and --sharp both name {wanted.sharp}; one has to name the other images.")
    for word in (wanted.blurred, wanted.sharp):
        if word and not pair_names.has(images, word):
            folders = sorted({part for name in images for part in pathlib.PurePosixPath(name).parts[:-1]})
            raise errors.InputError(
                f"No image below {root} has a folder {word} on its way to it. Their folders are {some(folders)}."
                if folders
                else f"{root} has no folder with images."
            )


def by_split(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Training pairs first, then those to validate on, then those to test on; else in their order."""
    return tuple(sorted(pairs, key=lambda pair: (*SPLITS, "").index(pair.split)))


def some(names: Sequence[str]) -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
