"""What MP4, QuickTime and Matroska files say of their pictures that FFmpeg does not pass on, refused."""

import pathlib
from typing import BinaryIO

from blursynth import errors
from blursynth.media import ebml, mp4_boxes

_ONE = 1 << 16
_REENCODE = "Re-encode it: ffmpeg -i clip -c:v libx264 -crf 12 plain.mp4."


def require_plain(path: pathlib.Path, codec: str) -> None:
    """Raise InputError for what the container of a clip asks for and nothing here treats.

    codec: FFmpeg's name of what the pictures are coded with.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            _require_whole_pictures(bool(ebml.crops(file, size)), path)
        elif head[4:8] in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip", b"pnot", b"uuid"):
            _require_plain_mp4(file, size, path)


def _require_plain_mp4(file: BinaryIO, size: int, path: pathlib.Path) -> None:
    _require_whole_pictures(any(crop[:2] != crop[2:] for crop in mp4_boxes.crops(file, size)), path)
    for edits in mp4_boxes.edits(file, size):
        if len(edits) > 1:
            raise errors.InputError(
                f"{path} has an edit list of {len(edits)} parts, whose frames FFmpeg gives in another order than it "
                f"shows them; expected one part. {_REENCODE}"
            )
        if any(rate != _ONE for _, rate in edits):
            raise errors.InputError(
                f"{path} has an edit list that asks for another speed than that of its recording (media rate "
                f"{edits[0][1] / _ONE:g}); expected 1. {_REENCODE}"
            )


def _require_whole_pictures(cropped: bool, path: pathlib.Path) -> None:
    if cropped:
        raise errors.InputError(
            f"{path} asks for a part of its pictures alone to be shown (a clean aperture or crop). Crop it first: "
            "ffmpeg -i clip -vf crop=WIDTH:HEIGHT:X:Y cropped.mp4."
        )
