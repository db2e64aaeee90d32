"""Video files opened, and their packets, through PyAV; faults of the moment apart from what a file contains."""

import contextlib
import errno
import pathlib
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import av
import av.container
import av.stream

from blursynth import errors
from blursynth.media import containers, source_file, stamp

# What FFmpeg plays as well: letters on a terminal, a lone picture (besides its *_pipe formats), lists of other files.
_PICTURE, _LIST = "a single picture", "a list of other files"
_NOT_CLIPS = {"tty": "text", "image2": _PICTURE, "hls": _LIST, "concat": _LIST, "dash": _LIST, "sdp": _LIST}
_NOT_MAIN = (
    av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails | av.stream.Disposition.still_image
)
# FFmpeg's readers give numbers of the operating system for damaged files as well. A file on a disk never says "try
# again"; of others, such as EIO, either may be meant; and some are always the system's.
_OF_FFMPEG = frozenset({errno.EAGAIN})
_OF_THE_SYSTEM = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE}
    | {errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET}
    | {errno.ECONNABORTED, errno.ECONNREFUSED, errno.EINTR}
)
_SIGNATURE = 8  # bytes of a PNG before its chunks

if TYPE_CHECKING:
    Packet: TypeAlias = av.Packet[av.VideoStream]
else:
    Packet = av.Packet


class StoppedError(errors.SourceError):
    """Reading packets ended with EIO or the like: the disk's fault, or that of a damaged file."""


@contextlib.contextmanager
def opened(
    path: pathlib.Path, number: int | None = None
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The file and its main picture stream, set to decode on one thread: the caller owns the parallelism.

    number: of the stream, where it is known; else that with the most frames, and of those the largest, and the first.
    Raises InputError for what is no video, SourceError where the operating system does not let it be read.
    """
    container = _open(path)
    with container:
        if container.format.name in _NOT_CLIPS or container.format.name.endswith("_pipe"):
            raise errors.InputError(
                f"{path} is {_NOT_CLIPS.get(container.format.name, _PICTURE)}, not a video. Give a video file, "
                "or a folder of numbered frames."
            )
        known = [each for each in container.streams.video if each.codec_context is not None]
        streams = [each for each in known if not each.disposition & _NOT_MAIN]
        if number is not None:
            streams = [each for each in streams if each.index == number]
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise errors.InputError(
                f"{path} has no video stream (it holds {kinds}); expected a clip with pictures that can be decoded."
            )
        counts = {streams[0].index: 0} if len(streams) == 1 else _counts(path, streams)
        stream = max(streams, key=lambda each: (counts[each.index], _area(each), -each.index))
        if b"iCCP" in (stream.codec_context.extradata or b""):  # see `_without_profile`
            raise errors.InputError(
                f"{path} is an animated PNG with an ICC profile, which is not applied to video. Convert it first, with "
                "a program that applies profiles."
            )
        stream.codec_context.thread_count = 1
        yield container, stream


def _open(path: pathlib.Path) -> av.container.InputContainer:
    try:
        # Not by its bare name, which could be read as that of a protocol, and with titles in whatever encoding.
        return av.open(f"file:{path}", metadata_errors="replace")
    except IsADirectoryError:
        raise errors.InputError(f"{path} is a folder, not a video.") from None
    except OSError as error:
        if not _is_damage(path, error.errno):
            raise source_file.failure(path, error) from error
        raise errors.InputError(f"{path} is damaged or ends early. Copy it again.") from error
    except Exception as error:  # FFmpeg and PyAV raise nearly anything
        raise errors.InputError(
            f"{path} is not a video that can be read, or its index at the end was cut off ({_words(error)}). "
            "Copy it again from the camera, or repair it first."
        ) from error


@stamp.faults_named
def _is_damage(path: pathlib.Path, number: int | None) -> bool:
    """Whether what FFmpeg gives an operating system's number is damage of a file that the system reads to its end."""
    if number in _OF_THE_SYSTEM:
        return False
    # The system says EIO, too, and whatever else may come is taken as its word where nothing shows damage.
    return stamp.is_readable(path) and (number in _OF_FFMPEG or containers.flaw(path) is not None)


def _counts(path: pathlib.Path, streams: list[av.VideoStream]) -> dict[int, int]:
    """Frames of each of several streams: as listed, or counted."""
    counts = {each.index: int(each.frames) for each in streams}
    if all(counts.values()):
        return counts
    counts = dict.fromkeys(counts, 0)
    with _open(path) as container, contextlib.suppress(errors.InputError):
        for packet in whole(container, *(container.streams[number] for number in counts)):
            counts[packet.stream_index] += 1
    return counts


def whole(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[Packet]:
    """All packets that hold something, in the order of decoding.

    Raises SourceError where the operating system fails, and InputError where the file breaks off.
    """
    demuxed: Iterator[Any] = container.demux(*streams)
    while True:
        try:
            packet = next(demuxed)
        except StopIteration:
            return
        except OSError as error:
            if error.errno in _OF_FFMPEG:
                raise errors.InputError(f"reading it ends with an error ({_words(error)})") from error
            fault = source_file.failure(pathlib.Path(container.name.removeprefix("file:")), error)
            raise (fault if error.errno in _OF_THE_SYSTEM else StoppedError(str(fault))) from error
        except Exception as error:
            raise errors.InputError(f"reading it ends with an error ({_words(error)})") from error
        if packet.size:
            yield packet


def decoded(codec: av.VideoCodecContext, packet: Packet | None) -> list[av.VideoFrame]:
    """What the decoder gives for a packet, hidden or not: nothing for a damaged one. None empties the decoder.

    A frame's `opaque` is the ICC profile in its PNG.
    """
    if packet is not None and packet.is_discard:  # the decoder would keep its frames
        packet = _like(packet, bytes(packet))
    profile = b""
    if packet is not None and codec.name in ("png", "apng"):
        packet, profile = _without_profile(packet)
    try:
        frames = codec.decode(packet)
    except Exception:  # of damaged packets nearly anything is raised
        return []
    for frame in frames:
        frame.opaque = profile
    return frames


def _without_profile(packet: Packet) -> tuple[Packet, bytes]:
    """A packet of PNG without its iCCP chunk, and the profile in that.

    PyAV frees the name that FFmpeg's decoder puts beside the profile a second time, which ends the process.
    """
    data = bytes(packet)
    at, profile, kept = _SIGNATURE, b"", [data[:_SIGNATURE]]
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"iCCP":
            with contextlib.suppress(zlib.error):
                profile = zlib.decompress(data[at + 8 : end - 4].partition(b"\0")[2][1:])
            profile = profile or b"damaged"
        else:
            kept.append(data[at:end])
        at = end
    return (_like(packet, b"".join([*kept, data[at:]])), profile) if profile else (packet, b"")


def _like(packet: Packet, data: bytes) -> Packet:
    """A packet of other data, not hidden."""
    plain: Any = av.Packet(data)
    plain.pts, plain.dts, plain.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
    plain.time_base = packet.time_base
    for beside in packet.iter_sidedata():
        plain.set_sidedata(beside)
    made: Packet = plain
    return made


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _area(stream: av.VideoStream) -> int:
    return int(stream.codec_context.width) * int(stream.codec_context.height)
