"""One clip: a video file, or a folder of numbered frames (the layout of GOPRO_Large_all)."""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import decode, photos, picture, video
from blursynth.sources import source

# Folders of frames carry no times; those that people have are 240 frames per second.
FOLDER_RATE = 240.0

# GOPRO_Large's own names for what was averaged already.
_PUBLISHED = frozenset({"blur", "blur_gamma", "sharp"})


class Frames(Protocol):
    """Reads frames of a clip; not for several threads at once."""

    def frames(self, first: int, stop: int) -> Iterator[picture.Picture | decode.Loss]:
        """Frames first .. stop - 1 as stored, in order, each a Picture or the reason that it is none."""

    @property
    def position(self) -> int:
        """Number of the frame that comes next."""

    def can_go_on_to(self, number: int) -> bool:
        """Whether frame `number` comes without going back, and no key frame lies between here and there."""

    def close(self) -> None:
        """Let go of the file."""


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """One sequence of frames.

    source: what is recorded of it. frames: how many. height, width: upright. turns: quarter turns counter-clockwise
    that make a stored frame upright. seconds: float64 (F,), when each frame is shown. interval: the usual time
    between two, 0 where there is one frame. missing: frames cut off at the end. about: more for the record.
    """

    source: source.Source
    path: pathlib.Path
    frames: int
    turns: int
    seconds: numpy.typing.NDArray[numpy.float64]
    interval: float
    missing: int
    about: dict[str, str | int | float]
    open: Callable[[], Frames]

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def height(self) -> int:
        return self.source.height

    @property
    def width(self) -> int:
        return self.source.width

    @property
    def stem(self) -> str:
        """The name of the file or folder, without what comes before and behind."""
        return pathlib.PurePosixPath(self.name).stem

    @property
    def rate(self) -> float:
        """Frames per second."""
        return 1 / self.interval if self.interval else 0.0

    @property
    def record(self) -> dict[str, Any]:
        """What a dataset lists of it."""
        return dataclasses.asdict(self.source) | self.about

    @property
    def files(self) -> list[pathlib.Path]:
        """What it is read from. Raises InputError or OSError where a folder of frames is not as it was."""
        return _files(self.path) if self.path.is_dir() else [self.path]

    def changed(self) -> str | None:
        """Whether it is gone or another file than `source` says; None if not."""
        if not self.path.exists():
            return f"is gone from {self.path.parent}"
        try:
            digest = _digest(self.files)
        except (errors.InputError, OSError) as error:
            return f"cannot be read any more: {error}"
        return None if digest == self.source.sha256 else "has changed since: its SHA-256 is another"


def one(name: str, path: pathlib.Path, matrix: str = "auto", *, hashed: bool = True) -> Clip:
    """A video file or folder of frames under a name; `hashed` ones can be recorded as a source.

    Raises InputError where it cannot be used.
    """
    if not path.exists():
        raise errors.InputError(f"There is no file or folder {path}.")
    return _folder_clip(name, path, hashed) if path.is_dir() else _video_clip(name, path, matrix, hashed)


def _video_clip(name: str, path: pathlib.Path, matrix: str, hashed: bool) -> Clip:
    index = video.index(path, matrix)
    digest = _digest([path]) if hashed else ""
    coding = index.coding
    about: dict[str, str | int | float] = {"format": index.format, "turns": index.turns}
    if coding is not None:
        about |= {"matrix": coding.matrix, "range": "full" if coding.full_range else "limited", "bits": coding.bits}
    interval = video.interval(index.seconds)
    return Clip(
        source=source.Source(name, digest, index.height, index.width, path.stat().st_size),
        path=path,
        frames=index.frames,
        turns=index.turns,
        seconds=index.seconds,
        interval=interval,
        missing=index.missing,
        about=about | {"frames": index.frames, "rate": round(1 / interval, 4) if interval else 0},
        open=_Opener(index),
    )


@dataclasses.dataclass(frozen=True)
class _Opener:
    index: video.Index

    def __call__(self) -> Frames:
        return decode.Reader(self.index)


def _folder_clip(name: str, folder: pathlib.Path, hashed: bool) -> Clip:
    """Numbered frames without a gap, of one size."""
    if folder.name in _PUBLISHED:
        raise errors.InputError(
            f"{folder} holds images of GOPRO_Large, of which some are averages already. Averaging needs all frames: "
            "give the folder of GOPRO_Large_all, or the video."
        )
    paths = _files(folder)
    sizes = {path: photos.probe(path) for path in paths}
    height, width = sizes[paths[0]]
    for path in paths:
        if sizes[path] != (height, width):
            raise errors.InputError(
                f"{path} is {sizes[path][1]}x{sizes[path][0]} px and the frames before it are {width}x{height}. "
                "Frames of one folder have one size; divide the folder there."
            )
    digest = _digest(paths) if hashed else ""
    seconds = numpy.arange(len(paths)) / FOLDER_RATE
    return Clip(
        source=source.Source(name, digest, height, width, sum(path.stat().st_size for path in paths)),
        path=folder,
        frames=len(paths),
        turns=0,
        seconds=seconds,
        interval=1 / FOLDER_RATE,
        missing=0,
        about={"format": "images", "frames": len(paths)},
        open=_FolderOpener(tuple(paths), (height, width)),
    )


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Frames in the order of the numbers at the end of their names. Raises InputError where one is missing."""
    numbered: dict[int, pathlib.Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in photos.ENDINGS or path.name.startswith("."):
            continue
        ending = re.search(r"(\d+)$", path.stem)
        if ending is None:
            raise errors.InputError(f"{path} has no number at the end of its name, so its place is not known.")
        if int(ending[1]) in numbered:
            raise errors.InputError(f"{path} and {numbered[int(ending[1])].name} have the same number.")
        numbered[int(ending[1])] = path
    first, last = min(numbered), max(numbered)
    if len(numbered) != last - first + 1:
        gap = next(number for number in range(first, last) if number not in numbered)
        raise errors.InputError(
            f"{folder} has {len(numbered)} frames with numbers from {first} to {last}, and number {gap} is not there. "
            "Motion would jump at the gap: add the missing frames, or divide the folder there."
        )
    return [numbered[number] for number in range(first, last + 1)]


def _digest(paths: Sequence[pathlib.Path]) -> str:
    """SHA-256 of a file, or of the digests of several."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(each.digest() for each in digests)).hexdigest()


@dataclasses.dataclass(frozen=True)
class _FolderOpener:
    paths: tuple[pathlib.Path, ...]
    size: tuple[int, int]

    def __call__(self) -> Frames:
        return _FolderFrames(self.paths, self.size)


class _FolderFrames:
    """Frames of a folder; each is a file of its own."""

    def __init__(self, paths: tuple[pathlib.Path, ...], size: tuple[int, int]) -> None:
        self._paths = paths
        self._size = size

    def frames(self, first: int, stop: int) -> Iterator[picture.Picture | decode.Loss]:
        for path in self._paths[first:stop]:
            try:
                pixels = photos.read(path)
            except (errors.InputError, OSError):
                yield decode.Loss.DAMAGED
                continue
            yield picture.Picture((pixels,), None) if pixels.shape[:2] == self._size else decode.Loss.CHANGED

    position = 0

    def can_go_on_to(self, number: int) -> bool:  # noqa: ARG002
        return True

    def close(self) -> None:
        pass
