"""Image files below a folder or prefix, plain or within tars, read by name. Nothing is ever unpacked to a disk."""

import dataclasses
import functools
import hashlib
import pathlib
import tarfile
import threading
from collections.abc import Mapping
from typing import Any

from blursynth import errors
from blursynth.exchange import png
from blursynth.media import photos
from blursynth.sources import source
from blursynth.storage import place, provenance, remote

TAR = ".tar"


@dataclasses.dataclass(frozen=True)
class Member:
    """Where a member of a tar lies in it: bytes."""

    start: int
    size: int


@dataclasses.dataclass(frozen=True)
class Contents:
    """A tar's members by name, and names that occur more than once."""

    members: Mapping[str, Member]
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
    def names(self) -> tuple[str, ...]:
        """All files, sorted, but hidden ones and those in hidden folders. Raises InputError where there is nothing."""
        found = place.names(self.root)
        if found is None:
            raise errors.InputError(f"There is no folder {self.root}.")
        kept = (name for name in found if not any(part.startswith((".", "__MACOSX")) for part in name.split("/")))
        return tuple(sorted(kept))

    @property
    def images(self) -> list[str]:
        """Files that look like images, by their endings."""
        return [name for name in self.names if pathlib.PurePosixPath(name).suffix.lower() in photos.ENDINGS]

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
        members: dict[str, Member] = {}
        doubled = set()
        try:
            with place.opened(self.root, name) as file, tarfile.open(fileobj=file, mode="r:") as tar:
                for entry in tar:
                    _require_plain(path, entry)
                    if not entry.isfile():
                        continue
                    if entry.name in members:
                        doubled.add(entry.name)
                    members[entry.name] = Member(entry.offset_data, entry.size)
        except tarfile.TarError as error:
            raise errors.InputError(
                f"{path} is damaged, cut short or compressed: it cannot be read as a plain tar ({error})."
            ) from None
        return Contents(members, frozenset(doubled))


def _require_plain(path: str, entry: tarfile.TarInfo) -> None:
    """Refuse what an unpacking program could be led astray with; such a tar was not made for reading pairs."""
    parts = entry.name.replace("\\", "/").split("/")
    if entry.name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in entry.name:
        raise errors.InputError(f"{path} has a member {entry.name!r}, which leads out of its folder; it is refused.")
    if not (entry.isfile() or entry.isdir()):
        raise errors.InputError(f"{path} has a member {entry.name!r} that is a link or a device; it is refused.")


def measure(files: Files, name: str, transfer: str = "srgb") -> source.Source | provenance.Skipped:
    """What a dataset records of an image file; with the reason, where it cannot be used.

    transfer: how its values relate to light, as said of all files. One that declares light of its own is converted to
    sRGB when it is read, and no other transfer function is true of it.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        readable = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        return provenance.Skipped(readable, "its name is not valid UTF-8; rename it")
    try:
        data = files.read(name)
        height, width = photos.probe(name, data)
        if transfer not in ("srgb", "unknown") and photos.is_converted(name, data):
            reason = f"declares its own light, which is read as sRGB, against the transfer function {transfer}"
            return provenance.Skipped(name, f"{reason}; remove its profile or gAMA chunk, or give --transfer srgb")
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
