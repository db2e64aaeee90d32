"""Image files below a folder or prefix, plain or within tars, read by name. Nothing is ever unpacked to a disk."""

import dataclasses
import functools
import hashlib
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

from blursynth import errors
from blursynth.media import listing, photos, source_file, tars
from blursynth.sources import png, source
from blursynth.storage import provenance
from blursynth.stores import s3, store

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
        if not s3.is_remote(self.root):
            if not source_file.is_folder(self.root):
                raise errors.InputError(f"There is no folder {self.root}.")
            return listing.files(pathlib.Path(self.root))
        with errors.of_source(self.root):
            keys = store.names(self.root)
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

    def read(self, name: str) -> bytes:
        """A file's bytes, or those of `TAR/MEMBER`.

        Raises SourceError where they cannot be read, or the tar has no such member; InputError where it is no tar.
        """
        tar, found, member = name.partition(f"{TAR}/")
        if not found:
            return self._bytes(name)
        where = self.tar(tar + TAR).members.get(member)
        if where is None:
            self.forget(tar + TAR)
            raise errors.SourceError(f"{self.root}/{name} is not in its tar now. Put back the tar that was there.")
        return self._bytes(tar + TAR, where.start, where.size)

    def recorded(self, listed: source.Source) -> bytes:
        """A file's bytes as they were recorded. Raises SourceError where they cannot be read, or are others now."""
        try:
            data = self.read(listed.name)
        except errors.InputError as error:  # a tar that was whole when its members were recorded
            raise errors.SourceError(f"{listed.name} cannot be read any more: {error}") from error
        return source_file.recorded(f"{self.root}/{listed.name}", data, listed.sha256, listed.bytes)

    def forget(self, tar: str) -> None:
        """List a tar anew when it is asked for again."""
        with self._lock:
            self._tars.pop(tar, None)

    def _bytes(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Bytes of a file, all or some. Raises SourceError where they cannot be read."""
        path = f"{self.root}/{name}"
        if not s3.is_remote(self.root):
            return source_file.read(path, start, size)
        with errors.of_source(path):
            data = stored_bytes(self.root, name, start, size)
        if data is None:
            raise errors.SourceError(f"{path} is not in the store now. Put it back, and run the same command again.")
        return data if size is None else source_file.whole(path, data, size)

    def tar(self, name: str) -> Contents:
        """What a tar holds. Raises InputError where it is no plain tar, or names could lead out of a folder."""
        with self._lock:
            if name not in self._tars:
                self._tars[name] = self._list(name)
            return self._tars[name]

    def _list(self, name: str) -> Contents:
        path = f"{self.root}/{name}"
        try:
            with errors.of_source(path), store.opened(self.root, name) as file:
                listed = tars.members(file, path)
        except OSError as error:
            raise source_file.failure(path, error) from error
        members: dict[str, tars.Member] = {}
        doubled = set()
        for member in listed:
            _require_within(path, member.name)
            if member.name in members:
                doubled.add(member.name)
            members[member.name] = member
        return Contents(members, frozenset(doubled))


def stored_bytes(root: str, name: str, start: int, size: int | None) -> bytes | None:
    """Bytes of an object in an object store; None where there is none. Every read of a source there goes through here.

    Raises StorageError.
    """
    return store.read_bytes(root, name) if size is None else store.read_range(root, name, start, size)


def _require_within(path: str, name: str) -> None:
    """Refuse what an unpacking program could be led astray with; such a tar was not made for reading pairs."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise errors.InputError(f"{path} has a member {name!r}, which leads out of its folder; it is refused.")


def measure(files: Files, name: str, transfer: str = "srgb") -> source.Source | provenance.Skipped:
    """What a dataset records of an image file; with the reason, where its content cannot be used.

    transfer: how its values relate to light, as said of all files. One that declares light of its own is converted to
    sRGB when it is read, and no other transfer function is true of it. Raises SourceError where it cannot be read.
    """
    if not listing.is_text(name):  # of a tar's member
        return provenance.Skipped(listing.readable(name), listing.NOT_TEXT)
    try:
        data = files.read(name)
        height, width = photos.probe(name, data)
        if transfer not in ("srgb", "unknown") and photos.is_converted(name, data):
            reason = f"declares its own light, which is read as sRGB, against the transfer function {transfer}"
            return provenance.Skipped(name, f"{reason}; remove its profile or gAMA chunk, or give --transfer srgb")
    except errors.InputError as error:
        return provenance.Skipped(name, source.reason(error, name))
    return source.Source(name, hashlib.sha256(data).hexdigest(), height, width, len(data))


def changed(files: Files, recorded: source.Source) -> str | None:
    """Why a file is not what was recorded of it, or cannot be read, as it stands after its name; else None."""
    return source.changed(recorded.name, lambda: files.read(recorded.name), recorded.sha256)


def pixels(files: Files, recorded: source.Source, into: photos.Pixels | None = None) -> photos.Pixels:
    """An image, uint8 (H, W, 3), RGB, encoded light.

    Raises InputError where it cannot be decoded, SourceError where it cannot be read or has changed.
    `into`: a contiguous array of that shape to hold it, whose content is not defined after an error.
    """
    data = files.recorded(recorded)
    plain = png.decode(data, recorded.height, recorded.width, into)
    if plain is not None:
        return plain
    found = source.sized(recorded, photos.read(recorded.name, data))
    if into is None:
        return found
    into[:] = found
    return into
