"""Image files below a folder or prefix, plain or within tars, read by name. Nothing is ever unpacked to a disk."""

import dataclasses
import functools
import hashlib
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

from blursynth import errors
from blursynth.exchange import png
from blursynth.media import listing, photos, tars
from blursynth.sources import source
from blursynth.storage import place, provenance, remote

TAR = ".tar"


@dataclasses.dataclass(frozen=True)
class Contents:
    """A tar's members by name, and names that occur more than once."""

    members: Mapping[str, tars.Member]
    doubled: frozenset[str]


class Files:
    """Files below a root. Tars are listed when first asked for; travels to another process without its lists."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._tars: dict[str, Contents] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Files, (self.root,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Files) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    @functools.cached_property
    def _listing(self) -> listing.Listing:
        if not remote.is_remote(self.root):
            if not pathlib.Path(self.root).is_dir():
                raise errors.InputError(f"There is no folder {self.root}.")
            return listing.files(pathlib.Path(self.root))
        keys = place.names(self.root)
        if keys is None:
            raise errors.InputError(f"There is no folder {self.root}.")
        return listing.Listing(tuple(sorted(key for key in keys if not listing.is_hidden(key))))

    @property
    def names(self) -> tuple[str, ...]:
        """All files, sorted, but hidden ones; see `media.listing`. Raises InputError where there is no folder."""
        return self._listing.names

    @property
    def images(self) -> list[str]:
        """Files that look like images, by their endings."""
        return [name for name in self.names if listing.ending(name) in photos.ENDINGS]

    @property
    def left_out(self) -> list[provenance.Skipped]:
        """Images that cannot be read, by their endings, and what is neither a file nor a folder, with the reasons."""
        unsupported = (listing.unsupported(name, listing.PHOTOS) for name in self.names)
        left_out = [*self._listing.left_out, *(each for each in unsupported if each is not None)]
        return [provenance.Skipped(each.name, each.reason) for each in left_out]

    def text(self, name: str) -> bytes | None:
        """A small file, or None where there is none."""
        return place.read_bytes(self.root, name)

    def read(self, name: str) -> bytes:
        """A file's bytes, or those of `TAR/MEMBER`. Raises InputError where it is gone."""
        tar, found, member = name.partition(f"{TAR}/")
        if not found:
            data = place.read_bytes(self.root, name)
        else:
            where = self.tar(tar + TAR).members.get(member)
            data = None if where is None else place.read_range(self.root, tar + TAR, where.start, where.size)
        if data is None:
            raise errors.InputError(f"{self.root}/{name} is gone.")
        return data

    def tar(self, name: str) -> Contents:
        """What a tar holds. Raises InputError where it is no plain tar, or names could lead out of a folder."""
        with self._lock:
            if name not in self._tars:
                self._tars[name] = self._list(name)
            return self._tars[name]

    def _list(self, name: str) -> Contents:
        path = f"{self.root}/{name}"
        with place.opened(self.root, name) as file:
            try:
                listed = tars.members(file, path)
            except OSError as error:
                raise errors.SourceError(f"{path} cannot be read: {errors.sentence(error)}") from error
        members: dict[str, tars.Member] = {}
        doubled = set()
        for member in listed:
            _require_within(path, member.name)
            if member.name in members:
                doubled.add(member.name)
            members[member.name] = member
        return Contents(members, frozenset(doubled))


def _require_within(path: str, name: str) -> None:
    """Refuse what an unpacking program could be led astray with; such a tar was not made for reading pairs."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise errors.InputError(f"{path} has a member {name!r}, which leads out of its folder; it is refused.")


def measure(files: Files, name: str) -> source.Source | provenance.Skipped:
    """What a dataset records of an image file; with the reason, where it cannot be used."""
    if not listing.is_text(name):  # of a tar's member
        return provenance.Skipped(listing.readable(name), listing.NOT_TEXT)
    try:
        data = files.read(name)
        height, width = photos.probe(name, data)
    except errors.InputError as error:
        return provenance.Skipped(name, source.reason(error, name))
    except errors.StorageError as error:
        if remote.is_remote(files.root) or not error.lasts:
            raise
        return provenance.Skipped(name, source.reason(error, name))  # one file that may not be read
    return source.Source(name, hashlib.sha256(data).hexdigest(), height, width, len(data))


def changed(files: Files, recorded: source.Source) -> str | None:
    """Why a file is no longer what was recorded of it, as it stands after its name; else None."""
    try:
        data = files.read(recorded.name)
    except errors.InputError:
        return f"is gone from {files.root}"
    except errors.DatasetError as error:
        return f"cannot be read any more: {error}"
    return None if hashlib.sha256(data).hexdigest() == recorded.sha256 else "has changed since: its SHA-256 is another"


def pixels(files: Files, recorded: source.Source, into: photos.Pixels | None = None) -> photos.Pixels:
    """An image, uint8 (H, W, 3), RGB, encoded light. Raises InputError where it cannot be read or has another size.

    `into`: a contiguous array of that shape to hold it, whose content is not defined after an error.
    """
    data = files.read(recorded.name)
    plain = png.decode(data, recorded.height, recorded.width, into)
    if plain is not None:
        return plain
    found = photos.read(recorded.name, data)
    height, width, _ = found.shape
    if (height, width) != (recorded.height, recorded.width):
        raise errors.InputError(
            f"{recorded.name} is {width}x{height} pixels now and was {recorded.width}x{recorded.height} when it was "
            "listed; leave the files unchanged while a dataset is made."
        )
    if into is None:
        return found
    into[:] = found
    return into
