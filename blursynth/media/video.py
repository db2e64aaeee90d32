"""Video files through PyAV: what a clip holds, found without decoding more than its first frame."""

import contextlib
import dataclasses
import fractions
import functools
import pathlib
from typing import TypeAlias

import av
import av.container
import av.stream
import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import camera_says, container_says, containers, declarations, demux, picture, stamp

MATRICES = declarations.MATRICES

Stamps: TypeAlias = numpy.typing.NDArray[numpy.int64]

EVEN = 0.35  # how far an interval may be off the usual one, as a share of it
_NEAR = 0.05  # a capture rate this near to the file's own is the same rate, whose times are then the better ones


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """What a clip holds. Frames are numbered from 0 in the order in which they are shown.

    height, width: pixels, upright. orientation: what makes a stored frame upright. format: FFmpeg's name of the stored
    format. coding: what planes stand for; None for RGB. tags: what each frame says of itself. noted: declarations to be
    recorded. decoded: int64 (D,) times of presentation in units of time_base, ascending, of all frames, those that an
    edit list hides included. order: int64 (D,), each one's place in the order of decoding. keys: int64, numbers among
    them that decoding can begin at, the first of them 0. shown: int64 (F,), which of them are shown. missing: frames
    that the file's own index lists and that are cut off. damage: what else is wrong with the file, "" for nothing.
    timed: whether frames are found by their times; where times are missing or repeated, frames are counted from the
    start of the file. capture: frames per second of the recording and who says so, where that is not the file's own
    rate. aspect: width of a pixel by its height. stream: number of the picture stream. stamp: of the file.
    """

    path: pathlib.Path
    height: int
    width: int
    orientation: picture.Orientation
    format: str
    coding: picture.Coding | None
    tags: declarations.Tags
    noted: dict[str, str]
    decoded: Stamps
    order: Stamps
    keys: Stamps
    shown: Stamps
    time_base: fractions.Fraction
    missing: int
    damage: str
    timed: bool
    capture: tuple[float, str] | None
    aspect: fractions.Fraction
    stream: int
    stamp: stamp.Stamp

    @property
    def frames(self) -> int:
        return len(self.shown)

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width before they are made upright."""
        return (self.width, self.height) if self.orientation.transposed else (self.height, self.width)

    @functools.cached_property
    def stamps(self) -> Stamps:
        """When each frame is shown, as the file says it, in units of time_base, int64 (F,)."""
        return self.decoded[self.shown]

    @functools.cached_property
    def seconds(self) -> numpy.typing.NDArray[numpy.float64]:
        """When each frame was recorded, counted from the first, float64 (F,)."""
        seconds: numpy.typing.NDArray[numpy.float64] = (self.stamps - self.stamps[0]) * float(self.time_base)
        usual = interval(seconds)
        if self.capture is None or not usual:
            return seconds
        counted, numbers = seconds / usual, numpy.arange(self.frames)
        even = bool(numpy.all(numpy.abs(counted - numbers) <= EVEN))  # else a file may round times to milliseconds
        return (numbers if even else counted) / self.capture[0]


def index(
    path: str | pathlib.Path,
    matrix: str = "auto",
    *,
    primaries: str = "auto",
    fps: float | None = None,
    capture: bool = True,
) -> Index:
    """Index a clip. `matrix`, one of MATRICES, overrides what the file says of its colour matrix; "auto" does not.

    primaries: see `declarations.colour`. fps: overrides the rate that the file says. capture: whether times are those
    of the recording (`camera_says.capture_rate`) rather than those at which the file is played.

    Reads the whole file twice and decodes its first frame; a file that is in order in no more than two attempts is.
    Raises InputError where it is not a video, has no picture that can be decoded, or declares what is not treated here
    (docs/declarations/video.md); SourceError where it cannot be read at this moment, or changes meanwhile.
    """
    path = pathlib.Path(path)
    before = stamp.of(path)
    found = None
    for attempt in range(2):  # what is wrong once may be the disk's fault, and not the file's
        try:
            with errors.boundary(path, "video"):
                found = _index(path, before, matrix, primaries, fps, capture)
        except errors.InputError:
            if attempt:
                _require_same(path, before)
                raise
            continue
        except errors.SourceError as error:
            # FFmpeg says EIO of some damaged files, too, which the operating system reads to their end.
            if attempt and isinstance(error, demux.StoppedError) and stamp.is_readable(path):
                raise errors.InputError(f"{path} cannot be read to its end: it is damaged. Copy it again.") from None
            if attempt:
                raise
            continue
        if not (found.damage or found.missing):
            break
    assert found is not None
    _require_same(path, before)
    return found


def _require_same(path: pathlib.Path, before: stamp.Stamp) -> None:
    if stamp.of(path) != before:
        raise stamp.changed(path)


@stamp.faults_named
def _index(
    path: pathlib.Path, before: stamp.Stamp, matrix: str, primaries: str, fps: float | None, capture: bool
) -> Index:
    with demux.opened(path) as (container, stream):
        said = declarations.of_container(stream.codec_context)
        numbers = container_says.colour(container, stream, path)
        if numbers is not None:
            said = dataclasses.replace(said, primaries=numbers[0], transfer=numbers[1], matrix=numbers[2])
        camera = camera_says.statements(container, stream, path)
        rate = camera_says.capture_rate(camera, path) if capture and fps is None else None
        first = _first_frame(container, stream, path)
        declarations.require_plain(first, said, path)
        container_says.require_plain(container, stream, path)
        camera_says.require_plain(camera, primaries, path)
        colour = declarations.colour(first, said, stream.codec_context.name, matrix, primaries, path)
        tags = declarations.tags(first)
        orientation = declarations.orientation(tags.orientation, path)
        listed = stream.frames if "mov" in container.format.name else 0  # elsewhere it is a header's claim, often wrong
        time_base = stream.time_base or fractions.Fraction(1, 1000)
        guessed = float(stream.guessed_rate or 25)
        aspect = declarations.square(stream.codec_context, stream)
        number = stream.index
        shown_times = container_says.shown_times(container, stream, path)
    every, damage = _packets(path, number)
    times = [time for time, _, _ in every]
    timed = None not in times and len(set(times)) == len(times)
    if not timed:
        # Packets are in the order of decoding, frames in that of showing.
        if shown_times is not None or any(hidden for _, _, hidden in every):
            raise errors.InputError(
                f"{path} has an edit list that hides frames, and frames without times of their own, so which are "
                "hidden is not known. Re-encode it: ffmpeg -i clip -c:v libx264 -crf 12 plain.mp4."
            )
        times = [round(k / guessed / float(time_base)) for k in range(len(every))]
        every = [(time, k == 0, hidden) for k, (time, (_, _, hidden)) in enumerate(zip(times, every, strict=True))]
    stamps = numpy.array(times, numpy.int64)
    order = numpy.argsort(stamps)
    keys = numpy.flatnonzero(numpy.array([key for _, key, _ in every], bool)[order])
    hidden = numpy.array([hidden for _, _, hidden in every], bool)
    if shown_times is not None:
        hidden |= _before(stamps, time_base, shown_times, path)
    shown = numpy.flatnonzero(~hidden[order])
    if not shown.size:
        raise errors.InputError(f"{path} has no frame that is shown: its edit list hides all of them.")
    size = (first.width, first.height) if orientation.transposed else (first.height, first.width)
    found = Index(
        path=path,
        height=size[0],
        width=size[1],
        orientation=orientation,
        format=first.format.name,
        coding=colour.coding,
        tags=tags,
        noted=colour.noted,
        decoded=stamps[order],
        order=order,
        keys=numpy.union1d([0], keys).astype(numpy.int64),
        shown=shown,
        time_base=time_base,
        missing=max(0, listed - len(every)),
        damage=damage,
        timed=timed,
        capture=None,
        aspect=1 / aspect if orientation.transposed else aspect,
        stream=number,
        stamp=before,
    )
    if fps is not None:
        return dataclasses.replace(found, capture=(fps, "--fps"))
    usual = interval(found.seconds)
    if rate is None or not usual or abs(rate[0] * usual - 1) <= _NEAR:
        return found
    return dataclasses.replace(found, capture=rate)


def _before(
    stamps: Stamps,
    time_base: fractions.Fraction,
    shown_times: tuple[fractions.Fraction, fractions.Fraction | None],
    path: pathlib.Path,
) -> numpy.typing.NDArray[numpy.bool_]:
    """Which times lie before those that are shown. Raises InputError where others lie behind them."""
    begin, end = shown_times
    last = int(stamps.max(initial=0)) * time_base
    step = interval(numpy.sort(stamps).astype(numpy.float64) * numpy.float64(time_base))
    if end is not None and last > end - fractions.Fraction(step) / 2:
        raise errors.InputError(
            f"{path} is a fragmented file with an edit list that ends at {float(end):.3f} s, and it has frames up to "
            f"{float(last):.3f} s; expected one that shows all to the end. Re-encode it: ffmpeg -i clip -c:v libx264 "
            "-crf 12 plain.mp4."
        )
    before: numpy.typing.NDArray[numpy.bool_] = stamps < round(begin / time_base)
    return before


def _packets(path: pathlib.Path, number: int) -> tuple[list[tuple[int | None, bool, bool]], str]:
    """Of all packets, as decoded, time, whether a key and whether hidden; and what is wrong with the file."""
    every: list[tuple[int | None, bool, bool]] = []
    damaged, reason = 0, ""
    with demux.opened(path, number) as (container, stream):  # anew, because not every file can be rewound
        try:
            for packet in demux.whole(container, stream):
                every.append((packet.pts, packet.is_keyframe, packet.is_discard))
                damaged += packet.is_corrupt
        except errors.InputError as error:
            reason = str(error)
    flaw = containers.flaw(path)
    return every, flaw or reason or (f"{damaged} of its packets are marked as damaged" if damaged else "")


def planar(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame in a format whose planes we average, or in rgb24."""
    if declarations.PLANAR.match(frame.format.name) or frame.format.name == "rgb24":
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


def _first_frame(container: av.container.InputContainer, stream: av.VideoStream, path: pathlib.Path) -> av.VideoFrame:
    """The first frame that can be decoded."""
    with contextlib.suppress(errors.InputError):
        for packet in demux.whole(container, stream):
            for frame in demux.decoded(stream.codec_context, packet):
                return frame
    for frame in demux.decoded(stream.codec_context, None):
        return frame
    raise errors.InputError(
        f"{path} has a video stream ({stream.codec_context.name}), but no frame of it can be decoded; the file is "
        "damaged, or empty."
    )
