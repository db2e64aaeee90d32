"""What is scored: items in a fixed order, each read when its turn comes."""

import concurrent.futures
import dataclasses
import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy import typing as npt

from blursynth import errors
from blursynth.media import listing, photos, source_file

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


@dataclasses.dataclass(frozen=True)
class File:
    """A file with the SHA-256 and the size in bytes that the fingerprint of its test set was made of."""

    path: pathlib.Path
    sha256: str
    size: int

    def read(self) -> bytes:
        """These very bytes; SourceError where the file cannot be read after some attempts, or has others now."""
        return source_file.patiently(
            lambda: source_file.recorded(self.path, source_file.read(self.path), self.sha256, self.size)
        )


def from_files(
    name: str,
    files: Mapping[str, tuple[pathlib.Path, Sequence[pathlib.Path]]],
    about: str,
    *,
    transfer_function: str | None = None,
    groups: Mapping[str, str] | None = None,
    truth: bool = True,
    require: Callable[[Collection[File]], None] | None = None,
) -> TestSet:
    """A set of photo files: item name -> (blurred file, files of its ground truths), in the order of the names.

    Names and bytes of the files make its fingerprint, so that scores of files that were replaced are not kept, and
    those of files that were copied are. `require` is called with the files, and raises where they are not as expected.
    """
    known = measured([path for blurred, truths in files.values() for path in (blurred, *truths)])
    if require is not None:
        require(known.values())
    items, named = [], []
    for item, (blurred, truths) in sorted(files.items()):
        group = groups[item] if groups else item
        of_item = [known[path] for path in (blurred, *truths)]
        items.append(Item(item, group, reader(of_item[0]), _readers(of_item[0], of_item[1:])))
        named += [(item, file) for file in of_item]
    return TestSet(name, items, fingerprint(named), about, transfer_function, truth)


def measured(paths: Iterable[pathlib.Path]) -> dict[pathlib.Path, File]:
    """Files by their paths, hashed in threads. Raises SourceError where one cannot be read."""
    distinct = list(dict.fromkeys(paths))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        digests = threads.map(source_file.digest, distinct)
        return {path: File(path, *digest) for path, digest in zip(distinct, digests, strict=True)}


def fingerprint(files: Sequence[tuple[str, File]]) -> str:
    """A digest of the names and bytes of the files of items, in this order."""
    lines = [f"{item} {file.path.name} {file.sha256}\n" for item, file in files]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def reader(file: File) -> Callable[[], Image]:
    """What reads a photo when it is called."""
    return lambda: photos.read(file.path, file.read())


def _readers(blurred: File, truths: Sequence[File]) -> Callable[[], Iterator[Image]]:
    def read() -> Iterator[Image]:
        for file in truths:
            data = file.read()
            require_same_depth((blurred.path, blurred.read()), (file.path, data))
            yield photos.read(file.path, data)

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
    if not source_file.is_folder(folder):
        raise errors.InputError(f"There is no folder {folder}.")
    listed_ = listing.files(folder, listing.PHOTOS, deep=False)
    for sentence in listing.sentences(listed_.left_out, folder):
        _log.warning("Left out: %s", sentence)
    for path in (folder / name for name in listed_.names):
        other = found.setdefault(path.stem, path)
        if other != path:
            raise errors.InputError(f"{other} and {path} have one name; remove one of them.")
    return found


def require_same_depth(one: tuple[pathlib.Path, bytes], other: tuple[pathlib.Path, bytes]) -> None:
    """InputError where one photo has 16 bits a value and the other 8: scores would compare unlike roundings.

    Each is given as its path and its bytes.
    """
    depths = [_bits(*photo) for photo in (one, other)]
    if depths[0] != depths[1]:
        raise errors.InputError(
            f"{one[0]} has {depths[0]} bits a value and {other[0]} {depths[1]}; give both in one depth (8 is scored)."
        )


def _bits(path: pathlib.Path, data: bytes) -> int:
    if data.startswith(b"\x89PNG"):
        return 16 if data[24:25] == b"\x10" else 8
    with photos.opened(path, data) as image:
        return 16 if image.mode.startswith("I") else 8
