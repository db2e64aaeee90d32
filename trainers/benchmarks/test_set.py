"""What is scored: items in a fixed order, each read when its turn comes."""

import concurrent.futures
import dataclasses
import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import PIL.Image
from numpy import typing as npt

from blursynth import errors
from blursynth.media import listing, photos
from trainers import results

Image = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), RGB, encoded light."""

_log = logging.getLogger(__name__)
_LISTED = 5


@dataclasses.dataclass(frozen=True)
class Item:
    """One blurred image with its ground truths: one, some 199 (Köhler), or none (photos that were blurred for real).

    `group` is what it shares with other items, such as the photo that both were cut from: such items are not
    independent of each other, and intervals respect that.
    """

    name: str
    group: str
    blurred: Callable[[], Image]
    truths: Callable[[], Iterator[Image]]


@dataclasses.dataclass(frozen=True)
class TestSet:
    """The items of a dataset, a benchmark or a folder, and what stands beside their scores.

    `transfer_function` is None where nobody says it. `fingerprint` changes when the set does. `about`: blur and split
    in words. `truth`: whether items have ground truths; `many`: whether several each. `sources`: SHA-256 of the photos
    or clips that items were made from, where that is known.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    name: str
    items: Sequence[Item]
    fingerprint: str
    about: str
    transfer_function: str | None = None
    truth: bool = True
    many: bool = False
    sources: frozenset[str] = frozenset()


def from_files(
    name: str,
    files: Mapping[str, tuple[pathlib.Path, Sequence[pathlib.Path]]],
    about: str,
    *,
    transfer_function: str | None = None,
    groups: Mapping[str, str] | None = None,
    truth: bool = True,
    many: bool = False,
) -> TestSet:
    """A set of photo files: item name -> (blurred file, files of its ground truths), in the order of the names.

    Names and bytes of the files make its fingerprint, so that scores of files that were replaced are not kept, and
    those of files that were copied are.
    """
    items = []
    for item, (blurred, truths) in sorted(files.items()):
        group = groups[item] if groups else item
        items.append(Item(item, group, _reader(blurred), _readers(blurred, truths)))
    named = [(item, path) for item, (blurred, truths) in sorted(files.items()) for path in (blurred, *truths)]
    return TestSet(name, items, fingerprint(named), about, transfer_function, truth, many)


def fingerprint(files: Sequence[tuple[str, pathlib.Path]]) -> str:
    """A digest of the names and bytes of the files of items, in this order."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        digests = threads.map(results.sha256, [path for _, path in files])
        lines = [f"{item} {path.name} {found}\n" for (item, path), found in zip(files, digests, strict=True)]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _reader(path: pathlib.Path) -> Callable[[], Image]:
    return lambda: photos.read(path)


def _readers(blurred: pathlib.Path, truths: Sequence[pathlib.Path]) -> Callable[[], Iterator[Image]]:
    def read() -> Iterator[Image]:
        for path in truths:
            require_same_depth(blurred, path)
            yield photos.read(path)

    return read


def expect(found: int, published: int, what: str, missing: Iterable[str] = ()) -> str:
    """A note for the table and a warning where a benchmark has another number of images than published; else ""."""
    if found == published:
        return ""
    named = list(missing)
    note = f"{found:,} of the {published:,} published {what}" + (f"; missing: {listed(named)}" if named else "")
    _log.warning("There are %s: the scores are not those of the whole benchmark.", note)
    return note


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def photos_in(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Photos of a folder (not below it) by their names without the ending; InputError where two share one."""
    found: dict[str, pathlib.Path] = {}
    if not folder.is_dir():
        raise errors.InputError(f"There is no folder {folder}.")
    listed_ = listing.files(folder, listing.PHOTOS, deep=False)
    for sentence in listing.sentences(listed_.left_out, folder):
        _log.warning("Left out: %s", sentence)
    for path in (folder / name for name in listed_.names):
        other = found.setdefault(path.stem, path)
        if other != path:
            raise errors.InputError(f"{other} and {path} have one name; remove one of them.")
    return found


def require_same_depth(one: pathlib.Path, other: pathlib.Path) -> None:
    """InputError where one photo has 16 bits a value and the other 8: scores would compare unlike roundings."""
    depths = [_bits(path) for path in (one, other)]
    if depths[0] != depths[1]:
        raise errors.InputError(
            f"{one} has {depths[0]} bits a value and {other} {depths[1]}; give both in one depth (8 is scored)."
        )


def _bits(path: pathlib.Path) -> int:
    with path.open("rb") as file:
        head = file.read(25)
    if head.startswith(b"\x89PNG"):
        return 16 if head[24] == 16 else 8
    with PIL.Image.open(path) as image:
        return 16 if image.mode.startswith("I") else 8
