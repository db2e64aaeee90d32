"""What an export has written: the size and SHA-256 of every file, so that "there already" is decided by content.

`digests.csv` beside the pairs has a line for each file, by name. A file is kept where its bytes are those recorded; one
without a record (a killed run, an export of an older version) where they are those that would be written now.
"""

import concurrent.futures
import hashlib
import pathlib
import threading
import time
from collections.abc import Iterable

from blursynth.storage import place, remote

DIGESTS = "digests.csv"
_HEADING = "name,bytes,sha256"
_SECONDS = 10.0  # between two writings of the record while an export runs, at least

Digest = tuple[int, str]


class Record:
    """The files of an export at `path`; used by several threads at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known, _ = read(path)
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
        place.write_bytes(self._path, DIGESTS, self._content())
        self._saved = time.monotonic()
        self._pause = max(_SECONDS, 20 * (self._saved - began))

    def _content(self) -> bytes:
        with self._lock:
            known = sorted(self._known.items())
        lines = [_HEADING, *(f"{key},{size},{digest}" for key, (size, digest) in known)]
        return "".join(f"{line}\n" for line in lines).encode()

    def _digest(self, key: str) -> Digest | None:
        if not remote.is_remote(self._path) and not pathlib.Path(self._path, key).is_file():
            return None  # a pipe would never end
        digest, size = place.digest(self._path, key)
        return None if digest is None else (size, digest.hex())


def _of(data: bytes) -> Digest:
    return len(data), hashlib.sha256(data).hexdigest()


def read(path: str) -> tuple[dict[str, Digest], str | None]:
    """The record at a path, and its SHA-256, None where there is none.

    Lines that are none are passed over, as if their files had no record.
    """
    content = place.read_bytes(path, DIGESTS)
    text = (content or b"").decode(errors="replace")
    known = {}
    for line in text.splitlines()[1:]:  # the names are ours: letters, digits, and no comma
        name, _, rest = line.partition(",")
        size, _, digest = rest.partition(",")
        if size.isdecimal() and len(size) < 20:
            known[name] = (int(size), digest)
    return known, None if content is None else hashlib.sha256(content).hexdigest()
