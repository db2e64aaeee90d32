"""One clip: a video file, or a folder of numbered frames (the layout of GOPRO_Large_all)."""

import dataclasses
import functools
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import decode, photos, picture, stamp, video
from blursynth.sources import source

# Folders of frames carry no times; those that people have are 240 frames per second.
FOLDER_RATE = 240.0
ASSUMED = "assumed"

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

    source: what is recorded of it. frames: how many. height, width: upright. orientation: what makes a stored frame
    upright. seconds: float64 (F,), when each frame was recorded. interval: the usual time between two, 0 where there is
    one frame. missing: frames cut off at the end. damage: what else is wrong with the file, "" for nothing. files,
    stamps: a video, or one file for each frame. about: more for the record.
    """

    source: source.Source
    path: pathlib.Path
    frames: int
    orientation: picture.Orientation
    seconds: numpy.typing.NDArray[numpy.float64]
    interval: float
    missing: int
    about: dict[str, str | int | float]
    open: Callable[[], Frames]
    damage: str = ""
    files: tuple[pathlib.Path, ...] = ()
    stamps: tuple[stamp.Stamp, ...] = ()

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
    def loss(self) -> str:
        """What is damaged or missing of its file; "" for nothing."""
        cut = f"its last {self.missing} of {self.frames + self.missing} frames are cut off" if self.missing else ""
        return "; ".join(part for part in (cut, self.damage) if part)

    def require_as_recorded(self, span: range, *, read: bool = False) -> None:
        """Raise SourceError where the files of these frames are not those that were recorded, or cannot be read.

        By their sizes and times of change; by the bytes of all where those differ or with `read`, if their digest was
        recorded: a copy elsewhere may have other times.
        """
        several = len(self.files) > 1
        of = slice(span.start, span.stop) if several else slice(None)
        if tuple(stamp.of(path) for path in self.files[of]) == self.stamps[of] and not (read and self.source.sha256):
            return
        if not self.source.sha256:
            raise stamp.changed(self.path)
        try:
            digest = _digest_of_state(self.files, tuple(stamp.of(path) for path in self.files))
        except OSError as error:
            raise stamp.fault(self.path, error) from error
        if digest != self.source.sha256:
            raise stamp.changed(self.path)

    def changed(self) -> str | None:
        """Whether it is gone or another file than `source` says; None if not."""
        if not self.path.exists():
            return f"is gone from {self.path.parent}"
        try:
            digest = _digest(_files(self.path) if self.path.is_dir() else [self.path])
        except (errors.InputError, OSError) as error:
            return f"cannot be read any more: {error}"
        return None if digest == self.source.sha256 else "has changed since: its SHA-256 is another"


@dataclasses.dataclass(frozen=True)
class Rules:
    """How clips are read where that is not left to what they say of themselves.

    matrix, primaries: see `media.video.index`. fps: frames per second of the recording.
    """

    matrix: str = "auto"
    primaries: str = "auto"
    fps: float | None = None


DECLARED = Rules()


def one(name: str, path: pathlib.Path, rules: Rules = DECLARED, *, hashed: bool = True) -> Clip:
    """A video file or folder of frames under a name; `hashed` ones can be recorded as a source.

    Raises InputError where it cannot be used, SourceError where it cannot be read at this moment.
    """
    if not path.exists():
        raise errors.InputError(f"There is no file or folder {path}.")
    return _folder_clip(name, path, rules, hashed) if path.is_dir() else _video_clip(name, path, rules, hashed)


def _video_clip(name: str, path: pathlib.Path, rules: Rules, hashed: bool) -> Clip:
    index = video.index(path, rules.matrix, primaries=rules.primaries, fps=rules.fps)
    if index.aspect != 1:
        raise errors.InputError(
            f"{path} has pixels of {index.aspect.numerator}:{index.aspect.denominator}, and those of a dataset are "
            "square. Convert it first: ffmpeg -i clip -vf scale=iw*sar:ih,setsar=1 square.mp4."
        )
    digest = _digest([path]) if hashed else ""
    if stamp.of(path) != index.stamp:
        raise stamp.changed(path)
    coding = index.coding
    about: dict[str, str | int | float] = {"format": index.format, "turns": index.orientation.turns}
    if index.orientation.mirrored:
        about["mirrored"] = 1
    if coding is not None:
        about |= {"matrix": coding.matrix, "range": "full" if coding.full_range else "limited", "bits": coding.bits}
    about |= index.noted
    if index.capture is not None:
        about["rate_from"] = index.capture[1]
    interval = video.interval(index.seconds)
    return Clip(
        source=source.Source(name, digest, index.height, index.width, index.stamp.size),
        path=path,
        frames=index.frames,
        orientation=index.orientation,
        seconds=index.seconds,
        interval=interval,
        missing=index.missing,
        about=about | {"frames": index.frames, "rate": round(1 / interval, 4) if interval else 0},
        open=_Opener(index),
        damage=index.damage,
        files=(path,),
        stamps=(index.stamp,),
    )


@dataclasses.dataclass(frozen=True)
class _Opener:
    index: video.Index

    def __call__(self) -> Frames:
        return decode.Reader(self.index)


def _folder_clip(name: str, folder: pathlib.Path, rules: Rules, hashed: bool) -> Clip:
    """Numbered frames without a gap, of one size."""
    if folder.name in _PUBLISHED:
        raise errors.InputError(
            f"{folder} holds images of GOPRO_Large, of which some are averages already. Averaging needs all frames: "
            "give the folder of GOPRO_Large_all, or the video."
        )
    paths = _files(folder)
    stamps = tuple(stamp.of(path) for path in paths)
    sizes = {path: photos.probe(path) for path in paths}
    height, width = sizes[paths[0]]
    for path in paths:
        if sizes[path] != (height, width):
            raise errors.InputError(
                f"{path} is {sizes[path][1]}x{sizes[path][0]} px and the frames before it are {width}x{height}. "
                "Frames of one folder have one size; divide the folder there."
            )
    digest = _digest(paths) if hashed else ""
    rate = rules.fps or FOLDER_RATE
    return Clip(
        source=source.Source(name, digest, height, width, sum(each.size for each in stamps)),
        path=folder,
        frames=len(paths),
        orientation=picture.UPRIGHT,
        seconds=numpy.arange(len(paths)) / rate,
        interval=1 / rate,
        missing=0,
        about={
            "format": "images",
            "frames": len(paths),
            "rate": round(rate, 4),
            "rate_from": "--fps" if rules.fps else ASSUMED,
        },
        open=_FolderOpener(tuple(paths), (height, width), stamps),
        files=tuple(paths),
        stamps=stamps,
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
    if not numbered:
        raise errors.InputError(f"{folder} has no frames in it any more.")
    first, last = min(numbered), max(numbered)
    if len(numbered) != last - first + 1:
        gap = next(number for number in range(first, last) if number not in numbered)
        raise errors.InputError(
            f"{folder} has {len(numbered)} frames with numbers from {first} to {last}, and number {gap} is not there. "
            "Motion would jump at the gap: add the missing frames, or divide the folder there."
        )
    return [numbered[number] for number in range(first, last + 1)]


@functools.lru_cache(maxsize=64)
def _digest_of_state(paths: tuple[pathlib.Path, ...], state: tuple[stamp.Stamp, ...]) -> str:  # noqa: ARG001
    """SHA-256 of files as they stand; they are read once for each state."""
    return _digest(paths)


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
    stamps: tuple[stamp.Stamp, ...]

    def __call__(self) -> Frames:
        return _FolderFrames(self.paths, self.size, self.stamps)


class _FolderFrames:
    """Frames of a folder; each is a file of its own."""

    def __init__(self, paths: tuple[pathlib.Path, ...], size: tuple[int, int], stamps: tuple[stamp.Stamp, ...]) -> None:
        self._paths = paths
        self._size = size
        self._stamps = stamps

    def frames(self, first: int, stop: int) -> Iterator[picture.Picture | decode.Loss]:
        for path, recorded in zip(self._paths[first:stop], self._stamps[first:stop], strict=True):
            try:
                data = path.read_bytes()
            except OSError as error:
                raise stamp.fault(path, error) from error
            if len(data) != recorded.size:
                raise stamp.changed(path)
            try:
                pixels = photos.read(path, data)
            except errors.InputError:
                yield decode.Loss.DAMAGED
                continue
            yield picture.Picture((pixels,), None) if pixels.shape[:2] == self._size else decode.Loss.CHANGED

    position = 0

    def can_go_on_to(self, number: int) -> bool:  # noqa: ARG002
        return True

    def close(self) -> None:
        pass
