"""Restore video frame by frame: the same frames, times, size and sound tracks.

Results are H.264 in MP4, visually lossless, coded and tagged as BT.709, upright.
"""

import contextlib
import dataclasses
import fractions
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import av
import av.error
import numpy as np
import torch
from av.video import reformatter
from numpy import typing as npt

from blursynth import errors
from blursynth.media import atomic_file, camera_says, decode, demux, stamp, video
from trainers.inference import eight_bit

Restore = Callable[[torch.Tensor], torch.Tensor]
"""float32 (1, 3, H, W) in [0, 1] to the same."""

EXACTLY = (
    reformatter.Interpolation.BICUBIC
    | reformatter.Interpolation.ACCURATE_RND
    | reformatter.Interpolation.FULL_CHR_H_INT
)
"""How colours are converted: FFmpeg's shortcut for halved colour planes darkens by more than one code."""

_CODEC = "libx264"
_QUALITY = "14"  # x264's constant rate factor: below 18 nobody sees a difference
_BT709 = 1  # number of ITU-T H.273, for primaries, transfer and matrix alike
_LIMITED_RANGE = 1
_SOUND_IN_MP4 = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
_MATRICES = {
    "bt601": reformatter.Colorspace.ITU601,
    "bt709": reformatter.Colorspace.ITU709,
    "bt2020": reformatter.Colorspace.BT2020,
    "smpte240m": reformatter.Colorspace.SMPTE240M,
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a clip: frames written, frames that could not be decoded, sound tracks left out.

    `damage` says what is wrong with the file, "" for nothing.
    """

    frames: int
    lost: int
    silent: int
    damage: str = ""


def restore(source: pathlib.Path, target: pathlib.Path, network: Restore, done: Callable[[int, int], None]) -> Outcome:
    """Restore a clip into `target`, whole or not at all; `done` is called with frames done and frames in all.

    Frames keep their times; a capture rate that the file states is copied.

    Raises
    ------
    InputError
        The file is no video, has no frame that can be decoded, or declares what is not supported (as for datasets).
    SourceError
        It cannot be read at this moment.
    OSError
        The result cannot be written.
    """
    index = video.index(source, capture=False)
    reader = decode.Decoder(index, lambda frame: _rgb(frame, index))
    with contextlib.closing(reader), atomic_file.unfinished(target, ".mp4") as unfinished:
        with (
            demux.opened(source, index.stream) as (container, stream),
            _naming(target),
            av.open(str(unfinished), "w", format="mp4", options={"movflags": "use_metadata_tags"}) as out,
        ):
            for key, value in container.metadata.items():
                if camera_says.is_capture_rate(key):
                    out.metadata[key] = value
            written = _Writer(out, stream, index)
            sounds = [each for each in container.streams.audio if each.codec_context.name in _SOUND_IN_MP4]
            silent = len(container.streams.audio) - len(sounds)
            sound = _Sound(out, sounds, demux.whole(container, *sounds) if sounds else iter(()))
            for number, stored_HWC in enumerate(reader.frames(0, index.frames)):
                sound.until(float(index.stamps[number] * index.time_base))
                if not isinstance(stored_HWC, decode.Loss):
                    written.add(number, stored_HWC, network)
                    done(written.frames, index.frames)
            sound.until(math.inf)
            written.end()
        if written.frames == 0:
            raise errors.InputError(f"{source} has no frame that can be decoded; the file is damaged, or empty.")
        if stamp.of(source) != index.stamp:
            raise stamp.changed(source)
    return Outcome(written.frames, index.frames - written.frames + index.missing, silent, index.damage)


@contextlib.contextmanager
def _naming(target: pathlib.Path) -> Iterator[None]:
    """Name the result in the operating system's errors of writing, which PyAV's own do not."""
    try:
        yield
    except av.error.FFmpegError as error:
        if not isinstance(error, OSError):
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


class _Sound:
    """Copies sound tracks as they are."""

    def __init__(self, out: Any, tracks: Sequence[Any], packets: Iterator[Any]) -> None:
        self._out = out
        self._copies = {each.index: out.add_stream_from_template(each) for each in tracks}
        self._packets = packets
        self._next = self._following()

    def until(self, seconds: float) -> None:
        """Copy everything that is heard before a time of the clip."""
        while self._next is not None and float(self._next.dts * self._next.time_base) <= seconds:
            self._next.stream = self._copies[self._next.stream.index]
            self._out.mux(self._next)
            self._next = self._following()

    def _following(self) -> Any:
        try:
            return next((packet for packet in self._packets if packet.dts is not None), None)
        except errors.InputError:  # the pictures' index has it as damage
            return None


class _Writer:
    """Encodes restored frames with the times of those they come from."""

    def __init__(self, out: Any, stream: Any, index: video.Index) -> None:
        self._out = out
        self._index = index
        rate = _rate(stream, index)
        self._ticks, time_base = _ticks(index, rate)
        self._stream = out.add_stream(_CODEC, rate=rate, options={"crf": _QUALITY})
        self._stream.width, self._stream.height = index.width, index.height
        # Halved colour needs even sides.
        even = index.width % 2 == index.height % 2 == 0
        self._stream.pix_fmt = "yuv420p" if even else "yuv444p"
        self._stream.time_base = self._stream.codec_context.time_base = time_base
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        self._stream.sample_aspect_ratio = context.sample_aspect_ratio = index.aspect
        self.frames = 0

    def add(self, number: int, stored_HWC: npt.NDArray[np.uint8], network: Restore) -> None:
        upright = self._index.orientation.upright(stored_HWC)
        restored = eight_bit.restore(network, upright, torch.device("cpu"))
        result = av.VideoFrame.from_ndarray(restored, format="rgb24")
        coded = result.reformat(
            format=self._stream.pix_fmt,
            dst_colorspace=reformatter.Colorspace.ITU709,
            dst_color_range=reformatter.ColorRange.MPEG,
        )
        coded.pts = int(self._ticks[number])
        coded.time_base = self._stream.codec_context.time_base
        self._out.mux(self._stream.encode(coded))
        self.frames += 1

    def end(self) -> None:
        self._out.mux(self._stream.encode(None))


def _ticks(index: video.Index, rate: fractions.Fraction) -> tuple[npt.NDArray[np.int64], fractions.Fraction]:
    """Return when each frame is shown, int64 (F,), and the unit.

    The unit is a frame's length where all frames follow at the rate, whose times a file may have rounded to
    milliseconds; else the file's own.
    """
    begin = float(index.stamps[0] * index.time_base)
    numbers = np.arange(index.frames)
    if np.all(np.abs(index.seconds * float(rate) - numbers) <= video.EVEN):
        return numbers + round(begin * rate), 1 / rate
    return index.stamps, index.time_base


def _rgb(frame: av.VideoFrame, index: video.Index) -> npt.NDArray[np.uint8]:
    """Convert to (H, W, 3) as stored, by the file's matrix and range, or BT.601 where it states none."""
    coding = index.coding
    if coding is None:
        exact = frame.reformat(format="rgb24", interpolation=EXACTLY)
    else:
        exact = frame.reformat(
            format="rgb24",
            src_colorspace=_MATRICES[coding.matrix],
            src_color_range=reformatter.ColorRange.JPEG if coding.full_range else reformatter.ColorRange.MPEG,
            interpolation=EXACTLY,
        )
    return exact.to_ndarray().astype(np.uint8, copy=False)


def _rate(stream: Any, index: video.Index) -> fractions.Fraction:
    rate = stream.average_rate or stream.guessed_rate
    return fractions.Fraction(rate) if rate else fractions.Fraction(1 / max(video.interval(index.seconds), 1e-3))
