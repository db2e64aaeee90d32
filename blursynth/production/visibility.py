"""Whether a worker of a cluster sees what a run reads and writes: asked of each before it gets any work."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from blursynth import errors
from blursynth.production import maker as makers
from blursynth.storage import lock, writer
from blursynth.storage import schema as schemas
from blursynth.stores import s3, store

MOST = 64  # files that a worker is asked for, whatever the number of sources
_PART = 64 * 2**10  # bytes at the beginning and at the end of a file that are compared
_LISTED = 2  # reasons that are given


@dataclasses.dataclass(frozen=True)
class Glimpse:
    """One file as the command sees it. `digest`: SHA-256 of its size, its beginning and its end."""

    root: str
    name: str
    digest: str

    def problem(self) -> str | None:
        """Why this process does not see the same file; None where it does."""
        try:
            found = _digest(self.root, self.name)
        except (errors.BlursynthError, OSError) as error:
            return f"{self.root}/{self.name} cannot be read ({error})"
        if found is None:
            return f"{self.root}/{self.name} is not there"
        return None if found == self.digest else f"{self.root}/{self.name} holds other bytes"


@dataclasses.dataclass(frozen=True)
class Sight:
    """What a worker has to see. Small, however many sources there are: it is sent to every worker.

    path: the dataset in the making. identity: see `provenance.identity`. token: of its lock, which another folder of
    the same name on the worker's own disk has not. files: some of the sources.
    """

    path: str
    identity: str
    token: str
    files: tuple[Glimpse, ...]

    def problem(self) -> str | None:
        """What this process does not see or cannot write, as it stands after "there"; None where all is well."""
        problems = [problem for problem in (self._output(), *(file.problem() for file in self.files)) if problem]
        more = f", and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        return ", ".join(problems[:_LISTED]) + more if problems else None

    def _output(self) -> str | None:
        try:
            if lock.token(self.path) != self.token:
                return f"{self.path} is not the folder that this run writes into, but lies on another file system"
            writer.require_in_the_making(self.path, self.identity)
            store.probe(self.path, schemas.DIGEST)
        except (errors.BlursynthError, OSError) as error:
            return f"{self.path} cannot be written ({error})"
        return None


def of(maker: makers.Maker, path: str, identity: str, token: str) -> Sight:
    """What the workers have to see that make shards of this dataset, as this process sees it now."""
    listed = maker.reads() if isinstance(maker, makers.Reading) else ()
    return Sight(path, identity, token, tuple(_glimpses(some(listed))))


def files_of(path: str) -> Iterator[tuple[str, str]]:
    """What `makers.Reading.reads` gives of an input: a dataset, a file with the folder of its name, or a folder."""
    if s3.is_remote(path) or pathlib.Path(path, schemas.GROUP).is_file():
        yield path, schemas.GROUP
        return
    file = pathlib.Path(path)
    if file.is_file():
        yield str(file.parent), file.name
    for folder in (path, str(file.with_suffix(""))) if file.suffix else (path,):  # panoptic masks lie beside their JSON
        for name in sorted(store.names(folder) or ()):
            yield folder, name


def some(files: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """At most MOST of these (folder or prefix, name in it), always the same: of all folders and evenly spread."""
    by_root: dict[str, dict[str, None]] = {}
    for root, name in files:
        by_root.setdefault(root, {})[name] = None
    roots = _spread(list(by_root), MOST)
    each = MOST // max(1, len(roots))
    chosen = []
    for root in roots:
        names = list(by_root[root])
        first_of = {name.rpartition("/")[0]: name for name in reversed(names)}
        picked = dict.fromkeys([*_spread(names, -(-each // 2)), *_spread(list(first_of.values()), each // 2)])
        chosen += [(root, name) for name in picked]
    return chosen


def _spread(values: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[k * (len(values) - 1) // max(1, most - 1)] for k in range(most)]


def _glimpses(files: Iterable[tuple[str, str]]) -> Iterator[Glimpse]:
    """Of the files that can be read here; of one that cannot, its item speaks when it is made."""
    for root, name in files:
        try:
            digest = _digest(root, name)
        except (errors.BlursynthError, OSError):
            continue
        if digest is not None:
            yield Glimpse(root, name, digest)


def _digest(root: str, name: str) -> str | None:
    """See `Glimpse`; None where there is no file. An object in a store has its beginning compared alone."""
    if s3.is_remote(root):
        try:
            content = store.read_range(root, name, 0, _PART)
        except errors.StorageError:  # it is shorter than that
            content = store.read_bytes(root, name)
        return None if content is None else hashlib.sha256(content).hexdigest()
    path = pathlib.Path(root, name)
    if not path.exists():
        return None
    with store.opened(root, name) as file:
        size = path.stat().st_size
        begin = file.read(_PART)
        file.seek(max(len(begin), size - _PART))
        return hashlib.sha256(b"%d\n" % size + begin + file.read(_PART)).hexdigest()
