"""What a video file declares of its pixels and its times, honoured or refused; docs/declarations/video.md lists it.

What the stream says (a decoded frame carries it) counts before what the container says. Numbers are those of ITU-T
H.273.
"""

import dataclasses
import fractions
import pathlib
import re
import struct
from collections.abc import Iterable
from typing import Any

import av
import numpy
from av.sidedata import sidedata

from blursynth import errors
from blursynth.media import icc, picture

MATRICES = ("bt601", "bt709", "bt2020", "smpte240m")

# What is averaged from its planes as they are. Everything else FFmpeg converts first, to RGB or to full-size planes.
PLANAR = re.compile(r"yuvj?(?P<layout>420|422|444)p(?P<bits>10|12|14|16)?(le)?$")
_HALVED = {"420": (True, True), "422": (False, True), "444": (False, False)}

_MATRIX = {1: "bt709", 2: "", 4: "bt601", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
# Untagged files come from FFmpeg and OpenCV, which code with BT.601 at any size; cameras tag theirs.
_UNTAGGED = "bt601"
_UNSPECIFIED = 2
_LIMITED, _FULL = 1, 2
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
# Curves of displays or cameras that the offered responses stand for, as files have them: 0 and 3 are reserved.
_TRANSFERS = {
    0: "", 1: "", 2: "", 3: "", 4: "gamma22", 5: "gamma28", 6: "", 7: "smpte240m", 11: "xvycc", 12: "bt1361",
    13: "srgb", 14: "", 15: "",
}  # fmt: skip
_OTHER_TRANSFERS = {8: "linear", 9: "log 100:1", 10: "log 316:1", 17: "SMPTE ST 428-1"}
# Primaries so near to those of sRGB that FFmpeg, players and we take them as equal.
_PRIMARIES = frozenset({0, 1, 2, 3, 5, 6, 7})
_WIDE = {4: "BT.470 M", 8: "film", 9: "BT.2020", 10: "CIE XYZ", 11: "DCI-P3", 12: "Display P3", 22: "EBU 3213"}
# Decoders that report limited range where the stream says nothing of colour.
_SILENT = frozenset({"hevc", "vvc"})
# Decoders that report BT.601 (and VP8's limited range, too), of which no stream speaks.
_BT601_ALWAYS = frozenset({"mjpeg", "vp8"})
_CENTRED = frozenset({"mjpeg", "mpeg1video"})  # chroma between two columns, by the formats' own rules

_ONE = 1 << 16
_NO_CURVE = (0, _UNSPECIFIED, 3)
_MASTERING = (sidedata.Type.MASTERING_DISPLAY_METADATA, sidedata.Type.CONTENT_LIGHT_LEVEL)


@dataclasses.dataclass(frozen=True)
class Tags:
    """What each frame says of itself, which may not change within a clip.

    profile: an ICC profile. readable: False where it carries data of a kind that PyAV does not know, so that none are
    read.
    """

    matrix: int
    full_range: int
    transfer: int
    primaries: int
    interlaced: bool
    orientation: bytes
    profile: bytes = b""
    readable: bool = True


def tags(frame: av.VideoFrame) -> Tags:
    """Those of a frame that `demux.decoded` gave."""
    beside = _beside(frame)
    known = dict(beside or ())
    opaque: Any = frame.opaque
    return Tags(
        int(frame.colorspace),
        int(frame.color_range),
        int(frame.color_trc),
        int(frame.color_primaries),
        bool(frame.interlaced_frame),
        _matrices(beside or []),
        known.get(sidedata.Type.ICC_PROFILE) or bytes(opaque or b""),
        beside is not None,
    )


def _beside(frame: av.VideoFrame) -> list[tuple[sidedata.Type, bytes]] | None:
    """What a frame carries beside its pixels; None where that cannot be read."""
    try:
        every: Iterable[Any] = frame.side_data
        return [(each.type, bytes(each)) for each in every]
    except ValueError:  # a kind that PyAV has no name for
        return None


def of_container(context: av.VideoCodecContext) -> Tags:
    """What the container says, asked before anything is decoded."""
    interlaced = int(context.field_order) > 1
    matrix, levels = int(context.colorspace), int(context.color_range)
    return Tags(matrix, levels, int(context.color_trc), int(context.color_primaries), interlaced, b"")


def _matrices(beside: list[tuple[sidedata.Type, bytes]]) -> bytes:
    """Display matrices that differ in more than where on a canvas a picture is placed, one after the other."""
    every = (struct.unpack("=9i", matrix[:36]) for kind, matrix in beside if kind == sidedata.Type.DISPLAYMATRIX)
    return b"".join(dict.fromkeys(struct.pack("=9i", *matrix[:6], 0, 0, matrix[8]) for matrix in every))


def orientation(matrices: bytes, path: pathlib.Path) -> picture.Orientation:
    """The orientation that display matrices ask for: nine int32, row by row, as MP4's `tkhd` has them.

    (x, y) of the stored picture is shown at (a x + c y, b x + d y). Where it is shown within a larger canvas does not
    matter. Raises InputError for anything but the eight orientations: other angles, scales, perspective; and for a
    stream and a container that ask for different ones.
    """
    every = {_orientation(matrices[at : at + 36], path) for at in range(0, len(matrices), 36)}
    if len(every) > 1:
        raise errors.InputError(
            f"{path} asks for two orientations, one in its stream and another in its container; expected one. Apply "
            "the right one first: ffmpeg -noautorotate -i clip -vf transpose=1 -c:v libx264 -crf 12 upright.mp4."
        )
    return next(iter(every), picture.UPRIGHT)


def _orientation(matrix: bytes, path: pathlib.Path) -> picture.Orientation:
    a, b, u, c, d, v, _, _, w = struct.unpack("=9i", matrix)
    sides = (a, b, c, d)
    straight = b == c == 0 and abs(a) == abs(d) == _ONE
    transposed = a == d == 0 and abs(b) == abs(c) == _ONE
    if not (straight or transposed) or u or v or w != 1 << 30:
        shown = ", ".join(f"{side / _ONE:.4g}" for side in sides)
        raise errors.InputError(
            f"{path} asks to be shown by the matrix ({shown}), which is more than turns by 90 degrees and reflections. "
            "Apply it first: ffmpeg -i clip -c:v libx264 -crf 12 upright.mp4."
        )
    if straight:  # upside down is a half turn, and a reflection where the columns are not reversed
        return picture.Orientation(2 if d < 0 else 0, (a < 0) != (d < 0))
    return picture.Orientation(1 if c > 0 else 3, (b > 0) == (c > 0))


@dataclasses.dataclass(frozen=True)
class Colour:
    """coding: what planes stand for, None for RGB. noted: what a dataset records beside it."""

    coding: picture.Coding | None
    noted: dict[str, str]


def colour(
    frame: av.VideoFrame, container: Tags, codec: str, matrix: str, primaries: str, path: pathlib.Path
) -> Colour:
    """What a frame's values stand for: its own tags, else the container's.

    matrix: one of MATRICES overrides both. primaries: "auto" refuses those that are not sRGB's, "keep" takes values as
    they are. Raises InputError for HDR by either, for curves and primaries that no option here stands for, and for
    matrices that are not known.
    """
    own = tags(frame)
    _require_known_curve(own, container, path)
    named = own.primaries if own.primaries in _WIDE or own.primaries in (1, 5, 6, 7) else container.primaries
    if named not in _PRIMARIES and primaries != "keep":
        raise errors.InputError(
            f"{path} has the primaries {_WIDE.get(named, f'number {named} of ITU-T H.273')}, and images are taken as "
            "sRGB (BT.709). Convert it first, or give --primaries keep to take its values as they are."
        )
    transfer = own.transfer if own.transfer not in _NO_CURVE else container.transfer
    noted = {"transfer": _TRANSFERS[transfer]} if _TRANSFERS[transfer] else {}
    noted |= {"primaries": _WIDE[named]} if named in _WIDE else {}
    if frame.format.is_rgb or "pal" in frame.format.name:
        return Colour(None, noted)
    says = own.matrix != _UNSPECIFIED and codec not in _BT601_ALWAYS
    said = own.matrix if says else container.matrix  # 0, RGB, cannot be of such planes
    if said not in _MATRIX and matrix == "auto":
        raise errors.InputError(
            f"{path} says that its colour matrix is number {said} of ITU-T H.273, which is not known here. "
            f"Give --matrix ({', '.join(MATRICES)}) if you know better, or convert it first."
        )
    tagged = _MATRIX.get(said, "") if matrix == "auto" else matrix
    silent = codec in _SILENT and own.matrix == own.transfer == own.primaries == _UNSPECIFIED
    silent = silent or (codec == "vp8" and container.full_range != 0)
    told = container.full_range if own.full_range == 0 or silent else own.full_range
    stored = PLANAR.match(frame.format.name)
    coding = picture.Coding(
        matrix=tagged or _UNTAGGED,
        full_range=told == _FULL or frame.format.name.startswith("yuvj"),
        bits=int(stored["bits"] or 8) if stored else 8,
        halved=_HALVED[stored["layout"]] if stored else (False, False),
        centred=codec in _CENTRED,
    )
    return Colour(coding, noted)


def _require_known_curve(own: Tags, container: Tags, path: pathlib.Path) -> None:
    for transfer in (own.transfer, container.transfer):
        if transfer in _HIGH_DYNAMIC_RANGE:
            raise errors.InputError(
                f"{path} is HDR video ({_HIGH_DYNAMIC_RANGE[transfer]}), whose codes do not follow any response "
                "curve offered here. Convert it to SDR first, or record without HDR."
            )
    for transfer in (own.transfer, container.transfer):
        if transfer not in _TRANSFERS:
            name = _OTHER_TRANSFERS.get(transfer, f"number {transfer} of ITU-T H.273")
            raise errors.InputError(
                f"{path} has the transfer function {name}, which none of the response curves offered here is. Convert "
                "it to BT.709 first: ffmpeg -i clip -vf zscale=transfer=bt709 converted.mp4."
            )


def require_plain(frame: av.VideoFrame, said: Tags, path: pathlib.Path) -> None:
    """Raise InputError for interlaced, stereoscopic, transparent and cropped pictures, which nothing here treats."""
    if frame.interlaced_frame or said.interlaced:
        raise errors.InputError(
            f"{path} is interlaced: each frame holds two times. Deinterlace it first: ffmpeg -i clip -vf bwdif out.mp4."
        )
    own = tags(frame)
    if not own.readable:
        raise errors.InputError(
            f"{path} has pictures with EXIF or other data that PyAV does not pass on, so how they are to be turned and "
            "what their colours are is not known. Re-encode it: ffmpeg -i clip -c:v libx264 -crf 12 plain.mp4."
        )
    beside = dict(_beside(frame) or ())
    unsaid = own.transfer in _NO_CURVE and said.transfer in _NO_CURVE
    if unsaid and not beside.keys().isdisjoint(_MASTERING):
        raise errors.InputError(
            f"{path} is described as mastered for an HDR display and names no transfer function, so its codes follow "
            "an unknown curve. Convert it to SDR first, or name its curve if it is SDR: ffmpeg -i clip -c:v libx264 "
            "-color_trc bt709 plain.mp4."
        )
    pixels = "L" if frame.format.name.startswith("gray") else "RGB"
    if own.profile and icc.converter(own.profile, pixels, path) is not None:
        raise errors.InputError(
            f"{path} describes its colours by an ICC profile in its pictures, which is not sRGB and not applied to "
            "video. Convert it first, with a program that applies profiles."
        )
    stereo = beside.get(sidedata.Type.STEREO3D, b"")
    if stereo and struct.unpack("=i", stereo[:4])[0] != 0:
        raise errors.InputError(f"{path} is stereoscopic: each frame holds two views. Keep one of them, and give that.")
    if not opaque(frame):
        raise errors.InputError(
            f"{path} is transparent in places, and what lies behind is not known. Lay it over a background first."
        )


def opaque(frame: av.VideoFrame) -> bool:
    """Whether no pixel of a frame is transparent."""
    if not frame.format.name.startswith(("yuva", "gbrap", "ya", "pal8", "rgba", "bgra", "argb", "abgr")):
        return True
    alpha = frame.reformat(format="rgba").to_ndarray()[..., 3]
    return bool(numpy.all(alpha == 255))


def square(context: av.VideoCodecContext, stream: av.VideoStream) -> fractions.Fraction:
    """Width of a pixel by its height; within a hundredth of 1 it is 1, which rounded sizes of display ask for."""
    aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
    if not aspect or abs(float(aspect) - 1) < 0.01:
        return fractions.Fraction(1)
    return fractions.Fraction(aspect)
