"""Clips to average: video files, and folders of frames (the layout of GOPRO_Large_all), in a fixed order."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import decode, photos, picture, video
from blursynth.sources import source

# File name endings (lower case) that a folder is searched for; a file named by itself may have any.
ENDINGS = frozenset(
    {".3gp", ".avi", ".flv", ".h264", ".hevc", ".insv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ts", ".webm", ".wmv"}
)

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


@dataclasses.dataclass(frozen=True)
class Clips:
    """Clips sorted by name, and what looks like one and cannot be used."""

    clips: tuple[Clip, ...]
    skipped: tuple[source.Skipped, ...]


def scan(
    paths: Sequence[str | pathlib.Path], *, matrix: str = "auto", hashed: bool = True, workers: int | None = None
) -> Clips:
    """Find, index and hash the clips that `paths` name: video files, folders of frames, folders of either.

    matrix: see `media.video.index`. hashed: see `one`. Raises InputError where a path does not exist,
    where the only clip cannot be used, or where nothing can be.
    """
    found: dict[str, pathlib.Path] = {}
    for path in map(pathlib.Path, paths):
        if not path.exists():
            raise errors.InputError(f"There is no file or folder {path}.")
        several = len(paths) > 1 and path.is_dir()
        for clip in sorted(_walk(path)) if path.is_dir() else [path]:
            inside = clip.relative_to(path).as_posix() if clip != path else path.resolve().name
            name = f"{path.resolve().name}/{inside}" if several and clip != path else inside
            found[name if name not in found else clip.as_posix()] = clip
    if not found:
        raise errors.InputError(
            f"{', '.join(map(str, paths))} has no video file and no folder of frames; expected videos "
            f"({' '.join(sorted(ENDINGS))}) or folders of numbered images such as 000001.png."
        )
    names = sorted(found)
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as threads:
        measured = list(threads.map(lambda name: _clip_or_skip(name, found[name], matrix, hashed), names))
    usable = tuple(each for each in measured if isinstance(each, Clip))
    skipped = tuple(each for each in measured if isinstance(each, source.Skipped))
    if not usable:
        shown = "\n".join(each.reason for each in skipped[:5])
        raise errors.InputError(shown if len(skipped) == 1 else f"None of {len(skipped)} clips can be used:\n{shown}")
    return Clips(usable, skipped)


def one(name: str, path: pathlib.Path, matrix: str = "auto", *, hashed: bool = True) -> Clip:
    """A video file or folder of frames under a name; `hashed` ones can be recorded as a source.

    Raises InputError where it cannot be used.
    """
    if not path.exists():
        raise errors.InputError(f"There is no file or folder {path}.")
    return _folder_clip(name, path, hashed) if path.is_dir() else _video_clip(name, path, matrix, hashed)


def _walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Video files and folders of frames in a folder and everything below it."""
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    if any(entry.suffix.lower() in photos.ENDINGS and entry.is_file() for entry in entries):
        yield folder
        return
    for entry in entries:
        if entry.is_dir() and entry.name != "__MACOSX":
            yield from _walk(entry)
        elif entry.suffix.lower() in ENDINGS and entry.is_file():
            yield entry


def _clip_or_skip(name: str, path: pathlib.Path, matrix: str, hashed: bool) -> Clip | source.Skipped:
    try:
        return one(name, path, matrix, hashed=hashed)
    except errors.InputError as error:
        return source.Skipped(name, str(error))


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
    """Frames in the order of the numbers at the end of their names, without a gap and of one size."""
    if folder.name in _PUBLISHED:
        raise errors.InputError(
            f"{folder} holds images of GOPRO_Large, of which some are averages already. Averaging needs all frames: "
            "give the folder of GOPRO_Large_all, or the video."
        )
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
    paths = [numbered[number] for number in range(first, last + 1)]
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
        about={"format": "images", "frames": len(paths), "first_number": first},
        open=_FolderOpener(tuple(paths), (height, width)),
    )


def _digest(paths: Sequence[pathlib.Path]) -> str:
    """SHA-256 of a file, or of the digests of several."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256"))
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(each.digest() for each in digests))
    ).hexdigest()


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
