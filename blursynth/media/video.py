"""Video files through PyAV: what a clip holds, found without decoding more than its first frame."""

import contextlib
import dataclasses
import fractions
import pathlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import av
import av.container
import av.error
import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import picture

# What is averaged from its planes as they are. Everything else FFmpeg converts first, to RGB or to full-size planes.
_PLANAR = re.compile(r"yuvj?(?P<layout>420|422|444)p(?P<bits>10|12|14|16)?(le)?$")
_HALVED = {"420": (True, True), "422": (False, True), "444": (False, False)}

# FFmpeg's (and ITU-T H.273's) numbers.
_MATRIX = {0: "", 1: "bt709", 2: "", 4: "bt601", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
_FULL_RANGE = 2
# What FFmpeg plays as well: letters on a terminal, and a lone picture (besides its *_pipe formats).
_PICTURE = "a single picture"
_NOT_CLIPS = {"tty": "text", "image2": _PICTURE}

# Untagged files come from FFmpeg and OpenCV, which code with BT.601 at any size; cameras tag theirs.
_UNTAGGED = "bt601"
MATRICES = ("bt601", "bt709", "bt2020", "smpte240m")

if TYPE_CHECKING:
    Packet: TypeAlias = av.Packet[av.VideoStream]
else:
    Packet = av.Packet

EVEN = 0.35  # how far an interval may be off the usual one, as a share of it


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """What a clip holds. Frames are numbered from 0 in the order in which they are shown.

    height, width: pixels, upright. turns: quarter turns counter-clockwise that make a stored frame upright.
    format: FFmpeg's name of the stored format. coding: what planes stand for; None for RGB. stamps: int64 (F,) times
    of presentation in units of time_base, ascending. order: int64 (F,), each frame's place in the order of decoding.
    keys: int64, numbers of the frames that decoding can begin at, the first of them 0. missing: frames that the file's
    own index lists and that are cut off. timed: whether frames are found by their times; where times are missing
    or repeated, frames are counted from the start of the file.
    """

    path: pathlib.Path
    height: int
    width: int
    turns: int
    format: str
    coding: picture.Coding | None
    stamps: numpy.typing.NDArray[numpy.int64]
    order: numpy.typing.NDArray[numpy.int64]
    keys: numpy.typing.NDArray[numpy.int64]
    time_base: fractions.Fraction
    missing: int
    timed: bool

    @property
    def frames(self) -> int:
        return len(self.stamps)

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width before rotation."""
        return (self.width, self.height) if self.turns % 2 else (self.height, self.width)

    @property
    def seconds(self) -> numpy.typing.NDArray[numpy.float64]:
        """When each frame is shown, counted from the first, float64 (F,)."""
        seconds: numpy.typing.NDArray[numpy.float64] = (self.stamps - self.stamps[0]) * float(self.time_base)
        return seconds


def index(path: str | pathlib.Path, matrix: str = "auto") -> Index:
    """Index a clip. `matrix`, one of MATRICES, overrides what the file says of its colour matrix; "auto" does not.

    Reads the whole file once and decodes its first frame. Raises InputError where it is not a video, has no picture
    that can be decoded, or is coded in a way whose light is not known (HDR, exotic matrices).
    """
    path = pathlib.Path(path)
    with opened(path) as (container, stream):
        first = _first_frame(container, stream, path)
        coding = _coding(first, stream.codec_context.name, matrix, path)
        listed = stream.frames if "mov" in container.format.name else 0  # elsewhere it is a header's claim, often wrong
        time_base = stream.time_base or fractions.Fraction(1, 1000)
        rate = float(stream.guessed_rate or 25)
    with opened(path) as (container, stream):  # anew, because not every file can be rewound
        every = [(packet.pts, packet.is_keyframe, packet.is_discard) for packet in whole(container, stream)]
    packets = [(time, key) for time, key, hidden in every if not hidden]
    turns = round((first.rotation or 0) / 90) % 4
    size = (first.width, first.height) if turns % 2 else (first.height, first.width)
    times = [time for time, _ in packets]
    timed = None not in times and len(set(times)) == len(times)
    if not timed:
        packets = [(round(k / rate / float(time_base)), k == 0) for k in range(len(packets))]
    stamps = numpy.array([time for time, _ in packets], numpy.int64)
    order = numpy.argsort(stamps)
    keys = numpy.flatnonzero(numpy.array([key for _, key in packets])[order])
    keys = numpy.union1d([0], keys).astype(numpy.int64)
    return Index(
        path=path,
        height=size[0],
        width=size[1],
        turns=turns,
        format=first.format.name,
        coding=coding,
        stamps=stamps[order],
        order=order,
        keys=keys,
        time_base=time_base,
        missing=max(0, listed - len(every)),
        timed=timed,
    )


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The file and its main picture stream, set to decode on one thread: the caller owns the parallelism."""
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise errors.InputError(f"{path} cannot be read: {error.strerror}.") from None
        raise errors.InputError(
            f"{path} is not a video that can be read, or its index at the end was cut off ({error.strerror}). "
            "Copy it again from the camera, or repair it first."
        ) from None
    with container:
        if container.format.name in _NOT_CLIPS or container.format.name.endswith("_pipe"):
            raise errors.InputError(
                f"{path} is {_NOT_CLIPS.get(container.format.name, _PICTURE)}, not a video. Give a video file, "
                "or a folder of numbered frames."
            )
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        stream = max(streams, key=_area, default=None)
        if stream is None:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise errors.InputError(f"{path} has no video stream (it holds {kinds}); expected a clip with pictures.")
        stream.codec_context.thread_count = 1
        yield container, stream


def pictures(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[Packet]:
    """The packets of frames that are shown, in the order of decoding; an edit list can hide some."""
    return (packet for packet in whole(container, stream) if not packet.is_discard)


def whole(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[Packet]:
    """All packets that hold something; a file that breaks off ends there."""
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed)
        except (StopIteration, av.error.FFmpegError):
            return
        if packet.size:
            yield packet


def planar(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame in a format whose planes we average, or in rgb24."""
    if _PLANAR.match(frame.format.name) or frame.format.name == "rgb24":
        return frame
    if frame.format.is_rgb or "pal" in frame.format.name:
        return frame.reformat(format="rgb24")
    levels = frame.color_range
    return frame.reformat(format="yuv444p", src_color_range=levels, dst_color_range=levels)


def is_even(seconds: numpy.typing.NDArray[numpy.float64], interval: float) -> bool:
    """Whether frames follow one another at the usual interval: no frame was dropped between them."""
    return bool(numpy.all(numpy.abs(numpy.diff(seconds) - interval) <= EVEN * interval))


def interval(seconds: numpy.typing.NDArray[numpy.float64]) -> float:
    """The usual time from a frame to the next: the mean of those near the median, which coarse time stamps need."""
    if len(seconds) < 2:
        return 0.0
    steps = numpy.diff(seconds)
    middle = float(numpy.median(steps))
    near = steps[numpy.abs(steps - middle) <= EVEN * middle]
    return float(near.mean()) if near.size else middle


def _area(stream: av.VideoStream) -> int:
    return int(stream.codec_context.width) * int(stream.codec_context.height)


def _first_frame(container: av.container.InputContainer, stream: av.VideoStream, path: pathlib.Path) -> av.VideoFrame:
    """The first frame that can be decoded."""
    for packet in _then_none(whole(container, stream)):
        try:
            for frame in stream.codec_context.decode(packet):
                return frame
        except av.error.FFmpegError:
            continue
    raise errors.InputError(
        f"{path} has a video stream ({stream.codec_context.name}), but no frame of it can be decoded; the file is "
        "damaged, or empty."
    )


def _then_none(packets: Iterator[Packet]) -> Iterator[Packet | None]:
    yield from packets
    yield None  # makes the decoder give what it still holds


def _coding(frame: av.VideoFrame, codec: str, matrix: str, path: pathlib.Path) -> picture.Coding | None:
    """What the planes of `planar(frame)` stand for."""
    if frame.color_trc in _HIGH_DYNAMIC_RANGE:
        raise errors.InputError(
            f"{path} is HDR video ({_HIGH_DYNAMIC_RANGE[frame.color_trc]}), whose codes do not follow any response "
            "curve offered here. Convert it to SDR first, or record without HDR."
        )
    if frame.format.is_rgb or "pal" in frame.format.name:
        return None
    if frame.colorspace not in _MATRIX and matrix == "auto":
        raise errors.InputError(
            f"{path} says that its colour matrix is number {frame.colorspace} of ITU-T H.273, which is not known here. "
            f"Give --matrix ({', '.join(MATRICES)}) if you know better, or convert it first."
        )
    tagged = _MATRIX.get(frame.colorspace, "") if matrix == "auto" else matrix
    stored = _PLANAR.match(frame.format.name)
    return picture.Coding(
        matrix=tagged or _UNTAGGED,
        full_range=frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj"),
        bits=int(stored["bits"] or 8) if stored else 8,
        halved=_HALVED[stored["layout"]] if stored else (False, False),
        centred=codec == "mjpeg",
    )
