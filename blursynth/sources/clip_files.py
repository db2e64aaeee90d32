"""One clip: a video file, or a folder of numbered frames (the layout of GOPRO_Large_all)."""

import dataclasses
import functools
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import decode, listing, photos, picture, source_file, stamp, video
from blursynth.sources import source

# Folders of frames carry no times; those that people have are 240 frames per second.
FOLDER_RATE = 240.0
ASSUMED = "assumed"
_HEADER = 2**16  # bytes at the beginning of a picture in which its size usually stands

# GOPRO_Large's own names for what was averaged already.
_PUBLISHED = frozenset({"blur", "blur_gamma", "sharp"})


class Frames(Protocol):
    """Reads frames of a clip; not for several threads at once."""

    def frames(self, first: int, stop: int) -> Iterator[picture.Picture | decode.Loss]:
        """Frames first .. stop - 1 as stored, in order, each a Picture or the reason that it is none.

        Raises SourceError where they cannot be read, or are not as recorded.
        """

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
    one frame. missing: frames cut off at the end. damage: what else is wrong with the file, "" for nothing. state: of a
    video's file as it was indexed, None for a folder. about: more for the record.
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
    state: stamp.Stamp | None = None

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
        """What it is read from. Raises InputError or SourceError where a folder of frames is not as it was."""
        return _files(self.path) if self.state is None else [self.path]

    @property
    def loss(self) -> str:
        """What is damaged or missing of its file; "" for nothing."""
        cut = f"its last {self.missing} of {self.frames + self.missing} frames are cut off" if self.missing else ""
        return "; ".join(part for part in (cut, self.damage) if part)

    def require_as_recorded(self, *, read: bool = False) -> None:
        """Raise SourceError where a video is not the file that was recorded, or cannot be read.

        By its size and time of change; by its bytes where those differ or with `read`, if their digest was recorded: a
        copy elsewhere may have another time. Frames of a folder are compared when they are read.
        """
        if self.state is None:
            return
        now = stamp.of(self.path)
        if now == self.state and not (read and self.source.sha256):
            return
        if not self.source.sha256 or _digest_of_state(self.path, now) != self.source.sha256:
            raise stamp.changed(self.path)

    def changed(self) -> str | None:
        """Why it cannot be read, or is another file than `source` says; None where it is the same."""
        try:
            is_file = source_file.is_file(self.path)
            digest = source_file.digest(self.path)[0] if is_file else _combined(map(_Frame.of, _files(self.path)))
        except (errors.InputError, errors.SourceError) as error:
            return source.reason(error, self.name)
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
    if not source_file.exists(path):
        raise errors.InputError(f"There is no file or folder {path}.")
    return (
        _folder_clip(name, path, rules, hashed)
        if source_file.is_folder(path)
        else _video_clip(name, path, rules, hashed)
    )


def _video_clip(name: str, path: pathlib.Path, rules: Rules, hashed: bool) -> Clip:
    index = video.index(path, rules.matrix, primaries=rules.primaries, fps=rules.fps)
    if index.aspect != 1:
        raise errors.InputError(
            f"{path} has pixels of {index.aspect.numerator}:{index.aspect.denominator}, and those of a dataset are "
            "square. Convert it first: ffmpeg -i clip -vf scale=iw*sar:ih,setsar=1 square.mp4."
        )
    digest = source_file.digest(path)[0] if hashed else ""
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
        state=index.stamp,
    )


@dataclasses.dataclass(frozen=True)
class _Opener:
    index: video.Index

    def __call__(self) -> Frames:
        return decode.Reader(self.index)


def _folder_clip(name: str, folder: pathlib.Path, rules: Rules, hashed: bool) -> Clip:
    """Numbered frames without a gap, of one size; their bytes are recorded, to be compared when they are decoded."""
    if folder.name in _PUBLISHED:
        raise errors.InputError(
            f"{folder} holds images of GOPRO_Large, of which some are averages already. Averaging needs all frames: "
            "give the folder of GOPRO_Large_all, or the video."
        )
    paths = _files(folder)
    frames, extent = [], None
    for path in paths:
        frame, size = _Frame.probed(path) if hashed else _Frame.glanced(path)
        frames.append(frame)
        extent = extent or size
        if size != extent:
            raise errors.InputError(
                f"{path} is {size[1]}x{size[0]} px and the frames before it are {extent[1]}x{extent[0]}. "
                "Frames of one folder have one size; divide the folder there."
            )
    assert extent is not None, folder
    digest = _combined(frames) if hashed else ""
    rate = rules.fps or FOLDER_RATE
    return Clip(
        source=source.Source(name, digest, *extent, sum(frame.size for frame in frames)),
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
        open=_FolderOpener(tuple(frames), extent),
    )


def absolute(clip: Clip) -> Clip:
    """The clip with absolute paths: a worker elsewhere may have another current folder. Its record is the same."""
    opener = clip.open
    if isinstance(opener, _FolderOpener):
        frames = tuple(dataclasses.replace(frame, path=frame.path.absolute()) for frame in opener.frames)
        opener = dataclasses.replace(opener, frames=frames)
    elif isinstance(opener, _Opener):
        opener = _Opener(dataclasses.replace(opener.index, path=opener.index.path.absolute()))
    return dataclasses.replace(clip, path=clip.path.absolute(), open=opener)


def as_recorded(clip: Clip, described: source.Source, about: dict[str, str | int | float]) -> Clip:
    """The clip as a dataset lists it; frames of a folder are compared with the record when they are first read."""
    opener = clip.open
    if isinstance(opener, _FolderOpener):
        opener = dataclasses.replace(opener, recorded=described.sha256)
    return dataclasses.replace(clip, source=described, about=about, open=opener)


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Frames in the order of the numbers at the end of their names.

    Raises InputError where one is missing, SourceError where the folder cannot be listed.
    """
    numbered: dict[int, pathlib.Path] = {}
    found = listing.files(folder, listing.PHOTOS, deep=False)
    for left in found.left_out:
        if listing.ending(left.name) in photos.ENDINGS:
            raise errors.InputError(f"{folder}/{left.name} {left.reason}, so a frame is missing.")
    for path in (folder / name for name in found.names):
        ending = re.search(r"(\d+)$", path.stem)
        if ending is None:
            raise errors.InputError(f"{path} has no number at the end of its name, so its place is not known.")
        if int(ending[1]) in numbered:
            raise errors.InputError(f"{path} and {numbered[int(ending[1])].name} have the same number.")
        numbered[int(ending[1])] = path
    if not numbered:
        raise errors.InputError(f"{folder} has no numbered frames.")
    first, last = min(numbered), max(numbered)
    if len(numbered) != last - first + 1:
        gap = next(number for number in range(first, last) if number not in numbered)
        raise errors.InputError(
            f"{folder} has {len(numbered)} frames with numbers from {first} to {last}, and number {gap} is not there. "
            "Motion would jump at the gap: add the missing frames, or divide the folder there."
        )
    return [numbered[number] for number in range(first, last + 1)]


@functools.lru_cache(maxsize=64)
def _digest_of_state(path: pathlib.Path, state: stamp.Stamp) -> str:  # noqa: ARG001
    """SHA-256 of a file as it stands; it is read once for each state."""
    return source_file.digest(path)[0]


@dataclasses.dataclass(frozen=True)
class _Frame:
    """A file that is one frame, with its size in bytes and its SHA-256, if that is known."""

    path: pathlib.Path
    size: int
    sha256: bytes | None

    @classmethod
    def of(cls, path: pathlib.Path, data: bytes | None = None) -> "_Frame":
        """As it is now, `data` being its bytes if they have been read. Raises SourceError where it cannot be read."""
        data = source_file.read(path) if data is None else data
        return cls(path, len(data), hashlib.sha256(data).digest())

    @classmethod
    def probed(cls, path: pathlib.Path) -> tuple["_Frame", tuple[int, int]]:
        """With its height and width in px. Raises InputError where it is no picture, SourceError as `of`."""
        data = source_file.read(path)
        return cls.of(path, data), photos.probe(path, data)

    @classmethod
    def glanced(cls, path: pathlib.Path) -> tuple["_Frame", tuple[int, int]]:
        """As `probed`, without its SHA-256: from the file's beginning, where that is enough."""
        size = source_file.status(path).st_size
        try:
            extent = photos.probe(path, source_file.read(path, 0, min(size, _HEADER)))
        except errors.InputError:
            extent = photos.probe(path)
        return cls(path, size, None), extent

    def read(self) -> bytes:
        """Its bytes. Raises SourceError where they cannot be read, or are not those that are known."""
        data = source_file.read(self.path)
        return data if self.sha256 is None else source_file.recorded(self.path, data, self.sha256.hex(), self.size)


def _combined(frames: Iterable[_Frame]) -> str:
    """SHA-256 of the only frame, or of the digests of several."""
    digests = [frame.sha256 or b"" for frame in frames]
    return digests[0].hex() if len(digests) == 1 else hashlib.sha256(b"".join(digests)).hexdigest()


@dataclasses.dataclass(frozen=True)
class _FolderOpener:
    """`recorded`: the clip's SHA-256 in a dataset's record, where the frames' own are not known."""

    frames: tuple[_Frame, ...]
    size: tuple[int, int]
    recorded: str | None = None

    def __call__(self) -> Frames:
        frames = self.frames if self.recorded is None else _as_recorded(self.frames, self.recorded)
        return _FolderFrames(frames, self.size)


@functools.lru_cache(maxsize=64)
def _as_recorded(frames: tuple[_Frame, ...], recorded: str) -> tuple[_Frame, ...]:
    """The frames with their SHA-256. Raises SourceError where they are not those that were recorded together."""
    now = tuple(_Frame.of(frame.path) for frame in frames)
    if _combined(now) != recorded:
        raise errors.SourceError(
            f"The frames in {frames[0].path.parent} have changed since they were recorded: their SHA-256 is another. "
            "Put them back as they were."
        )
    return now


class _FolderFrames:
    """Frames of a folder; each is a file of its own."""

    def __init__(self, frames: tuple[_Frame, ...], size: tuple[int, int]) -> None:
        self._frames = frames
        self._size = size

    def frames(self, first: int, stop: int) -> Iterator[picture.Picture | decode.Loss]:
        for frame in self._frames[first:stop]:
            data = frame.read()
            try:
                pixels = photos.read(frame.path, data)
            except errors.InputError:
                yield decode.Loss.DAMAGED
                continue
            yield picture.Picture((pixels,), None) if pixels.shape[:2] == self._size else decode.Loss.CHANGED

    position = 0

    def can_go_on_to(self, number: int) -> bool:  # noqa: ARG002
        return True

    def close(self) -> None:
        pass
