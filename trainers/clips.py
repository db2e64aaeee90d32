"""Video through a network, frame by frame: as many frames as came in, at their times, of their size, with their sound.

Results are H.264 in MP4, visually lossless, coded and tagged as BT.709, upright.
"""

import contextlib
import dataclasses
import fractions
import math
import pathlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import av
import av.error
import numpy as np
import torch
from av.video import reformatter
from numpy import typing as npt

from blursynth import errors
from blursynth.media import declarations, decode, demux, stamp, video

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
    """What became of a clip: frames written, frames that could not be decoded, sound tracks that were left out, and
    what is wrong with the file ("" for nothing)."""

    frames: int
    lost: int
    silent: int
    damage: str = ""


def restore(source: pathlib.Path, target: pathlib.Path, network: Restore, done: Callable[[int, int], None]) -> Outcome:
    """Restore a clip into `target`, whole or not at all; `done` is told frames done and frames in all.

    Frames are shown at the times at which the file plays them; a capture rate that it states is copied. InputError
    where the file is no video, has no frame that can be decoded, or declares what is not treated (as for datasets);
    SourceError where it cannot be read at this moment; OSError where the result cannot be written.
    """
    index = video.index(source, capture=False)
    reader = decode.Decoder(index, lambda frame: _rgb(frame, index))
    unfinished = target.with_name(f".{target.stem}.{uuid.uuid4().hex}.partial.mp4")
    try:
        with (
            demux.opened(source, index.stream) as (container, stream),
            _naming(target),
            av.open(str(unfinished), "w", format="mp4", options={"movflags": "use_metadata_tags"}) as out,
        ):
            for key, value in container.metadata.items():
                if declarations.is_capture_rate(key):
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
        unfinished.replace(target)
    finally:
        reader.close()
        unfinished.unlink(missing_ok=True)
    return Outcome(written.frames, index.frames - written.frames + index.missing, silent, index.damage)


@contextlib.contextmanager
def _naming(target: pathlib.Path) -> Iterator[None]:
    """Make the operating system's errors of writing name the result; PyAV's own cannot be given a name."""
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
        """Everything that is heard before a time of the clip."""
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
        blurred = torch.from_numpy(np.ascontiguousarray(upright)).permute(2, 0, 1)[None].float().div_(255)
        restored = network(blurred)[0].mul(255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
        result = av.VideoFrame.from_ndarray(restored.contiguous().numpy(), format="rgb24")
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
    """When each frame is shown, int64 (F,), and the unit: a frame's length where all follow at the rate, whose times
    a file may have rounded to milliseconds; else the file's own."""
    begin = float(index.stamps[0] * index.time_base)
    numbers = np.arange(index.frames)
    if np.all(np.abs(index.seconds * float(rate) - numbers) <= video.EVEN):
        return numbers + round(begin * rate), 1 / rate
    return index.stamps, index.time_base


def _rgb(frame: av.VideoFrame, index: video.Index) -> npt.NDArray[np.uint8]:
    """(H, W, 3) as stored, by the matrix and the range that the file says, or BT.601 where it says none."""
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
