"""What MP4, QuickTime and Matroska files say of their pictures that FFmpeg does not pass on, honoured or refused."""

import fractions
import pathlib
import struct
from typing import BinaryIO

import av
import av.container
import av.stream

from blursynth import errors
from blursynth.media import ebml, mp4_tracks

_ONE = 1 << 16
_GAMMA_22 = 0x23333  # 2.2 in 1 / 65536
_AS_SDR = 2  # Dolby Vision's base layer that is plain BT.709 (ISO BMFF of Dolby Vision, dv_bl_signal_compatibility_id)
# Elements of Matroska's Video: bottom, top, left and right of a crop; the rest by their names.
_CROPS, _INTERLACED, _ALPHA, _GAMMA = (0x54AA, 0x54BB, 0x54CC, 0x54DD), 0x9A, 0x53C0, 0x2FB523
_PROJECTION_TYPE, _YAW, _PITCH, _RANGE, _FULL = 0x7671, 0x7673, 0x7674, 0x55B9, 2
# Containers that state when a frame is decoded alone, and codecs whose decoders do not put that right.
_DECODING_TIMES, _REORDERED = ("avi", "asf"), ("h264", "hevc", "vvc")
_PROFILES = (b"prof", b"rICC")
_REENCODE = "Re-encode it: ffmpeg -i clip -c:v libx264 -crf 12 plain.mp4."


def require_plain(container: av.container.InputContainer, stream: av.VideoStream, path: pathlib.Path) -> None:
    """Raise InputError for what the container of a clip asks for of this stream and nothing here treats."""
    _require_times(container, stream, path)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if is_mp4(container):
            track = _track(file, size, stream, path)
            _require_one_part(track, path)
            for entry in track.entries:
                _require_plain_entry(entry, path)
        elif "matroska" in container.format.name:
            for said in _videos(file, size, container, stream, path):
                _require_plain_matroska(said, path)
                if said.number(_ALPHA) and ebml.has_additions(file, size):
                    raise errors.InputError(
                        f"{path} is transparent in places (AlphaMode), and what lies behind is not known. Lay it over "
                        "a background first."
                    )
            if ebml.is_put_together(file, size):
                raise errors.InputError(
                    f"{path} has ordered chapters, which say that it is shown in parts, cut or in another order. Make "
                    "the parts that you want clips of their own, without chapters: ffmpeg -i clip -map_chapters -1 -c "
                    "copy plain.mkv takes all frames as they are stored."
                )


def colour(
    container: av.container.InputContainer, stream: av.VideoStream, path: pathlib.Path
) -> tuple[int, int, int] | None:
    """Numbers of primaries, transfer function and matrix (ITU-T H.273) in an MP4 or QuickTime file's `colr` boxes.

    FFmpeg leaves out those that it does not know. None where there are none. Raises InputError where they differ.
    """
    if not is_mp4(container):
        return None
    with path.open("rb") as file:
        track = _track(file, file.seek(0, 2), stream, path)
    contents = [content for entry in track.entries for content in entry.boxes.get(b"colr", ())]
    contents = [content for content in contents if content[:4] not in _PROFILES]
    if any(content[:4] not in (b"nclx", b"nclc") or len(content) < 10 for content in contents):
        raise errors.InputError(
            f"{path} describes its colours by a colr box of another kind than nclx and nclc, or one that is cut off. "
            f"{_REENCODE}"
        )
    numbers = {struct.unpack(">3H", content[4:10]) for content in contents}
    levels = {content[10:11] for content in contents if content[:4] == b"nclx"}
    if len(numbers) > 1 or len(levels) > 1:
        raise errors.InputError(
            f"{path} has {len(contents)} colr boxes that contradict one another; expected one. {_REENCODE}"
        )
    return next(iter(numbers), None)


def is_mp4(container: av.container.InputContainer) -> bool:
    """Whether FFmpeg reads a file as MP4 or QuickTime, however it begins."""
    return "mov" in container.format.name.split(",")


def shown_times(
    container: av.container.InputContainer, stream: av.VideoStream, path: pathlib.Path
) -> tuple[fractions.Fraction, fractions.Fraction | None] | None:
    """From and up to when, in s, an edit list shows the frames of a file in fragments; FFmpeg does not apply it there.

    The times are those that FFmpeg gives, from which it takes what comes before the edit. None where all frames are
    shown, or where FFmpeg says itself which are; no end where it is that of the frames.
    """
    if not is_mp4(container):
        return None
    with path.open("rb") as file:
        track = _track(file, file.seek(0, 2), stream, path)
    if not track.fragmented or not any(track.edits):
        return None
    empty, edit = track.edits[0][:-1], track.edits[0][-1]
    if len(empty) > 1:
        raise errors.InputError(
            f"{path} is a fragmented file with an edit list of {len(empty) + 1} parts; expected one part, which one "
            f"empty part may delay. {_REENCODE}"
        )
    delay = sum((each.duration for each in empty), fractions.Fraction(0))
    return delay, delay + edit.duration if edit.duration else None


def _track(file: BinaryIO, size: int, stream: av.VideoStream, path: pathlib.Path) -> mp4_tracks.Track:
    try:
        return mp4_tracks.track(file, size, stream.id)
    except mp4_tracks.UnreadableError as error:
        raise errors.InputError(
            f"What {path} says of its pictures cannot be read: {error}. Copy it again, or write it anew: "
            "ffmpeg -i clip -c copy plain.mp4."
        ) from error


def _require_one_part(track: mp4_tracks.Track, path: pathlib.Path) -> None:
    """Of an edit list: all but leading empty parts, which only delay the track."""
    if len(track.edits) > 1:
        raise errors.InputError(
            f"{path} has {len(track.edits)} edit lists for one track, of which readers follow different ones; expected "
            f"one. {_REENCODE}"
        )
    parts = track.edits[0] if track.edits else []
    first = next((k for k, part in enumerate(parts) if part.begin != mp4_tracks.NOTHING), len(parts))
    left = parts[first:]
    if parts and not left:
        raise errors.InputError(f"{path} has an edit list that shows no frame. {_REENCODE}")
    if len(left) > 1:
        raise errors.InputError(
            f"{path} has an edit list of {len(left)} parts, whose frames FFmpeg gives in another order than it "
            f"shows them; expected one part, which an empty one may delay. {_REENCODE}"
        )
    if any(part.begin < 0 for part in left):
        raise errors.InputError(
            f"{path} has an edit list that begins at {left[0].begin}, before its media; expected 0 or "
            f"later. {_REENCODE}"
        )
    if any(part.rate != _ONE for part in left):
        raise errors.InputError(
            f"{path} has an edit list that asks for another speed than that of its recording (media rate "
            f"{left[0].rate / _ONE:g}); expected 1. {_REENCODE}"
        )


def _require_plain_entry(entry: mp4_tracks.Entry, path: pathlib.Path) -> None:
    _require_whole_pictures(any(_is_cropped(entry, content) for content in entry.boxes.get(b"clap", ())), path)
    if any(content[:4] in _PROFILES for content in entry.boxes.get(b"colr", ())):
        raise errors.InputError(
            f"{path} describes its colours by an ICC profile, which is not applied to video; expected numbers of "
            "ITU-T H.273. Convert it first, with a program that applies profiles."
        )
    if any(int.from_bytes(content[:4], "big") != _GAMMA_22 for content in entry.boxes.get(b"gama", ())):
        raise errors.InputError(
            f"{path} states a gamma of its own (the box gama) other than 2.2, which is not applied here. If its "
            "codes follow a usual curve, write it anew without: ffmpeg -i clip -c copy plain.mp4."
        )
    for name in (b"dvcC", b"dvvC", b"dvwC"):
        for content in entry.boxes.get(name, ()):
            profile = content[2] >> 1 if len(content) > 2 else 0
            compatible = content[4] >> 4 if len(content) > 4 else 0
            if compatible != _AS_SDR:
                raise errors.InputError(
                    f"{path} is Dolby Vision (profile {profile}), whose pictures are not those of plain SDR. Convert "
                    "it to SDR first, or record without Dolby Vision."
                )


def _is_cropped(entry: mp4_tracks.Entry, content: bytes) -> bool:
    """Whether a clean aperture (`clap`; 12.1.4) is not that of the whole picture. Apertures are rounded."""
    numbers = [int.from_bytes(content[at : at + 4], "big", signed=True) for at in range(0, 32, 4)]
    width, across, height, down, right, of_right, below, of_below = numbers
    if not (across and down) or len(content) < 32:
        return True
    whole = (round(width / across), round(height / down)) == entry.size
    return not whole or any(a and (not b or abs(a / b) >= 1) for a, b in ((right, of_right), (below, of_below)))


def _require_times(container: av.container.InputContainer, stream: av.VideoStream, path: pathlib.Path) -> None:
    codec = stream.codec_context
    if container.format.name in _DECODING_TIMES and codec.name in _REORDERED and codec.has_b_frames:
        raise errors.InputError(
            f"{path} holds {codec.name} with frames that are stored in another order than they are shown in, and "
            f"{container.format.name} has no times for that, so which frame is which is not known. {_REENCODE}"
        )


def _videos(
    file: BinaryIO, size: int, container: av.container.InputContainer, stream: av.VideoStream, path: pathlib.Path
) -> list[ebml.Video]:
    """What a Matroska file says of a stream; of all its pictures where it is not clear which track that is."""
    try:
        said = ebml.videos(file, size)
    except ebml.BrokenError as error:
        raise errors.InputError(f"The tracks of {path} cannot be read: {error}. Copy it again.") from error
    pictures = av.stream.Disposition.attached_pic
    streams = [each.index for each in container.streams.video if not each.disposition & pictures]
    return [said[streams.index(stream.index)]] if len(said) == len(streams) else said


def _require_plain_matroska(said: ebml.Video, path: pathlib.Path) -> None:
    _require_whole_pictures(any(said.number(side) for side in _CROPS), path)
    if said.number(_INTERLACED) == 1:
        raise errors.InputError(
            f"{path} says that it is interlaced: each frame holds two times. Deinterlace it first: "
            "ffmpeg -i clip -vf bwdif out.mp4."
        )
    gamma = said.real(_GAMMA)
    if gamma is not None and not abs(gamma - 2.2) < 0.001:
        raise errors.InputError(
            f"{path} states a gamma of its own (GammaValue {gamma:g}) other than 2.2, which is not applied here. If "
            "its codes follow a usual curve, write it anew: ffmpeg -i clip -c copy plain.mp4."
        )
    yaw, pitch = (said.real(angle) or 0.0 for angle in (_YAW, _PITCH))
    if said.number(_PROJECTION_TYPE) == 0 and (pitch != 0 or yaw not in (0, 180, -180)):
        raise errors.InputError(
            f"{path} asks to be shown turned in space (yaw {yaw:g}, pitch {pitch:g} degrees), which is more than turns "
            "by 90 degrees and reflections. Write it anew without: ffmpeg -i clip -c copy plain.mp4."
        )
    if said.number(_RANGE) > _FULL:
        raise errors.InputError(
            f"{path} has the range {said.number(_RANGE)} (Matroska's Colour), which is not known here; expected 1 "
            "(limited) or 2 (full). Convert it first."
        )


def _require_whole_pictures(cropped: bool, path: pathlib.Path) -> None:
    if cropped:
        raise errors.InputError(
            f"{path} asks for a part of its pictures alone to be shown (a clean aperture or crop). Crop it first: "
            "ffmpeg -i clip -vf crop=WIDTH:HEIGHT:X:Y cropped.mp4."
        )
