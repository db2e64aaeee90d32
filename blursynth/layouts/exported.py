"""What an export has written: the size and SHA-256 of every file, so that "there already" is decided by content.

`digests.csv` beside the pairs has a line for each file, by name. A file is kept where its bytes are those recorded; one
without a record (a killed run, an export of an older version) where they are those that would be written now.
"""

import concurrent.futures
import dataclasses
import hashlib
import logging
import pathlib
import stat
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from blursynth import errors
from blursynth.config import records
from blursynth.media import source_file
from blursynth.stores import s3, store

_log = logging.getLogger(__name__)

MANIFEST = "blursynth.json"
TABLE = "pairs.csv"
DIGESTS = "digests.csv"
_HEADING = "name,bytes,sha256"
_SECONDS = 10.0  # between two writings of the record while an export runs, at least
_PARTS = 2  # folders below an export that can be read by themselves: SPLIT and SPLIT/SEQUENCE
_LISTED = 10  # names that a sentence gives

Digest = tuple[int, str]


class Record:
    """The files of an export at `path`; used by several threads at a time.

    sha256: of the record when the export was completed; one that is another is damaged, and counts for nothing.
    """

    def __init__(self, path: str, sha256: str | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known, now = read(path)
        if sha256 is not None and now != sha256:
            _log.warning("%s/%s is not as it was written; every file is compared with the dataset.", path, DIGESTS)
            self._known = {}
        self._saved = time.monotonic()
        self._pause = _SECONDS
        self.changed: list[str] = []
        """Files that were there, with other bytes than they should have."""

    def sound(self, keys: Iterable[str], workers: int) -> frozenset[str]:
        """Which of these files, which are there, have the bytes recorded; what is recorded of others is forgotten."""
        recorded = [key for key in keys if key in self._known]
        with concurrent.futures.ThreadPoolExecutor(workers) as threads:
            now = threads.map(self._digest, recorded)
            sound = frozenset(key for key, digest in zip(recorded, now, strict=True) if digest == self._known[key])
        self.changed += sorted(set(recorded) - sound)
        self._known = {key: digest for key, digest in self._known.items() if key in sound}
        return sound

    def is_there(self, key: str, data: bytes) -> bool:
        """Whether a file without a record has these bytes already; notes it, where it has others."""
        if self._digest(key) == _of(data):
            return True
        with self._lock:
            if key not in self.changed:
                self.changed.append(key)
        return False

    def add(self, key: str, data: bytes) -> None:
        """Note a file that has these bytes."""
        with self._lock:
            self._known[key] = _of(data)

    @property
    def sha256(self) -> str:
        """Of the record as it is written."""
        return hashlib.sha256(self._content()).hexdigest()

    def save(self, *, now: bool = False) -> None:
        """Write the record, unless that was done a short while ago."""
        if not now and time.monotonic() - self._saved < self._pause:
            return
        began = time.monotonic()
        store.write_bytes(self._path, DIGESTS, self._content())
        self._saved = time.monotonic()
        self._pause = max(_SECONDS, 20 * (self._saved - began))

    def _content(self) -> bytes:
        with self._lock:
            known = sorted(self._known.items())
        lines = [_HEADING, *(f"{key},{size},{digest}" for key, (size, digest) in known)]
        return "".join(f"{line}\n" for line in lines).encode()

    def _digest(self, key: str) -> Digest | None:
        if not s3.is_remote(self._path) and not pathlib.Path(self._path, key).is_file():
            return None  # a pipe would never end
        digest, size = source_file.patiently(lambda: store.digest(self._path, key))
        return None if digest is None else (size, digest.hex())


@dataclasses.dataclass(frozen=True)
class Export:
    """An export that a folder is, or is a part of.

    root: the folder with its `blursynth.json`, whose content is `manifest`. below: the way from there to the folder,
    "" for the whole export, else SPLIT or SPLIT/SEQUENCE.
    """

    root: str
    below: str
    manifest: dict[str, Any]


def find(path: str, listed: Collection[str] = ()) -> Export | None:
    """The export that a folder at a normalised path is, or is a part of; None where it is none of ours.

    listed: names that are known to be in the folder, which must be there for reading too. Raises InputError for a
    `blursynth.json` that is damaged, or whose export is not complete, SourceError where it cannot be read.
    """
    root, below = path, list[str]()
    for _ in range(1 + _PARTS):
        document = _manifest(root, listed if not below else (), is_above=bool(below))
        if document is not None and (not below or below[0] in document["pairs"]):
            if not document["complete"]:
                raise errors.InputError(f"{root} is an export that was not finished; run its command again first.")
            return Export(root, "/".join(below), document)
        if s3.is_remote(root) and root.removeprefix(s3.SCHEME).count("/") == 0:
            return None
        root, name = store.parent(root)
        if not name:
            return None
        below.insert(0, name)
    return None


def _manifest(root: str, listed: Collection[str], *, is_above: bool) -> dict[str, Any] | None:
    try:
        content = _stored(root, MANIFEST, listed)
    except errors.StorageError as error:
        if is_above and error.lasts:  # a prefix above the one that was named, which the user may not read
            return None
        raise errors.SourceError(f"{root}/{MANIFEST} cannot be read at the moment: {error}") from error
    return None if content is None else records.export(content, f"{root}/{MANIFEST}")


def _stored(root: str, name: str, listed: Collection[str] = ()) -> bytes | None:
    """A small file, or None where there is none. What is there, or listed, has to be readable.

    Raises SourceError (in an object store StorageError) where it is not, InputError for a folder of that name.
    """
    if s3.is_remote(root):
        content = store.read_bytes(root, name)
        if content is None and name in listed:
            raise errors.SourceError(f"{root}/{name} is listed, and not there now. Run the same command again.")
        return content
    path = pathlib.Path(root, name)
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if name not in listed:
            return None
    except OSError as error:
        raise source_file.failure(path, error) from error
    else:
        if stat.S_ISDIR(mode):
            raise errors.InputError(f"{path} is a folder; expected the file of an export, or nothing. Rename it.")
    return source_file.read(path)


def unlike(export: Export, counts: Mapping[str, int], digests: Mapping[str, str], split: str = "") -> list[str]:
    """Sentences on how pairs that were found are not those that were exported; none where they are.

    counts: pairs of each split, or, where the export is taken in part, of `export.below`. digests: SHA-256 of the
    files used, by their names below `export.root`; tars as a whole. split: compare the numbers of this one alone.
    Exports of older versions have no record of their files.
    """
    written, sha256 = read(export.root)
    if sha256 != export.manifest.get("digests_sha256", sha256):
        state = "damaged" if sha256 else "lost"
        return [f"{DIGESTS}, the SHA-256 of every file, is {state} (the export's command writes it again)"]
    expected = _pairs(export, written)
    if split and not export.below:
        expected = {split: expected.get(split, 0)}
    lines = [
        f"{part} has {counts.get(part, 0)} pairs that can be used, exported were {count}"
        for part, count in expected.items()
        if counts.get(part, 0) != count
    ]
    changed = sorted(name for name, digest in digests.items() if name in written and written[name][1] != digest)
    if changed:
        lines.append(f"{len(changed)} files are not those that were exported: {_some(changed)}")
    unknown = sorted(digests.keys() - written.keys())
    if unknown and sha256 is not None:
        lines.append(f"{len(unknown)} files are not in {DIGESTS}: {_some(unknown)}")
    return lines


def unlike_table(export: Export) -> list[str]:
    """A sentence where the table of the pairs is not the one that was written."""
    content = _stored(export.root, TABLE)
    recorded = export.manifest.get("table_sha256")
    if recorded is None or (content is not None and hashlib.sha256(content).hexdigest() == recorded):
        return []
    state = "lost" if content is None else "not as it was written"
    return [f"{TABLE}, what each pair is, is {state} (the export's command writes it again)"]


def digest(root: str, name: str) -> str:
    """SHA-256 of a file of an export. Raises SourceError where it cannot be read."""
    if not s3.is_remote(root):
        return source_file.digest(pathlib.Path(root, name))[0]
    try:
        found, _ = store.digest(root, name)
    except errors.StorageError as error:
        raise errors.SourceError(f"{root}/{name} cannot be read at the moment: {error}") from error
    if found is None:
        raise errors.SourceError(f"{root}/{name} is not in the store now. Put it back, and run the same command again.")
    return found.hex()


def _pairs(export: Export, written: Mapping[str, Digest]) -> dict[str, int]:
    """How many pairs were exported: of each split, or of the part that is taken, where that is known."""
    pairs = dict(export.manifest["pairs"])
    if not export.below or export.below in pairs:
        return pairs if not export.below else {export.below: pairs[export.below]}
    files = sum(name.startswith(f"{export.below}/") for name in written)
    return {export.below: files // 2} if written else {}


def _some(names: list[str]) -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _of(data: bytes) -> Digest:
    return len(data), hashlib.sha256(data).hexdigest()


def read(path: str) -> tuple[dict[str, Digest], str | None]:
    """The record at a path, and its SHA-256, None where there is none.

    Lines that are none are passed over, as if their files had no record.
    """
    content = _stored(path, DIGESTS)
    text = (content or b"").decode(errors="replace")
    known = {}
    for line in text.splitlines()[1:]:  # the names are ours: letters, digits, and no comma
        name, _, rest = line.partition(",")
        size, _, digest = rest.partition(",")
        if size.isdecimal() and len(size) < 20:
            known[name] = (int(size), digest)
    return known, None if content is None else hashlib.sha256(content).hexdigest()
