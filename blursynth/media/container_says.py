"""What MP4, QuickTime and Matroska files say of their pictures that FFmpeg does not pass on, refused."""

import pathlib
from typing import BinaryIO

from blursynth import errors
from blursynth.media import ebml, mp4_boxes

_ONE = 1 << 16
_GAMMA_22 = 0x23333  # 2.2 in 1 / 65536
_AS_SDR = 2  # Dolby Vision's base layer that is plain BT.709 (ISO BMFF of Dolby Vision, dv_bl_signal_compatibility_id)
_REENCODE = "Re-encode it: ffmpeg -i clip -c:v libx264 -crf 12 plain.mp4."


def require_plain(path: pathlib.Path) -> None:
    """Raise InputError for what the container of a clip asks for and nothing here treats."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            _require_whole_pictures(bool(ebml.crops(file, size)), path)
            if ebml.interlaced(file, size):
                raise errors.InputError(
                    f"{path} says that it is interlaced: each frame holds two times. Deinterlace it first: "
                    "ffmpeg -i clip -vf bwdif out.mp4."
                )
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

    for boxes in mp4_boxes.said(file, size):
        _require_plain_colour(boxes, path)


def _require_plain_colour(boxes: dict[bytes, list[bytes]], path: pathlib.Path) -> None:
    """boxes: those of a sample entry."""
    if any(content[:4] in (b"prof", b"rICC") for content in boxes.get(b"colr", ())):
        raise errors.InputError(
            f"{path} describes its colours by an ICC profile, which is not applied to video; expected numbers of "
            "ITU-T H.273. Convert it first, with a program that applies profiles."
        )
    if any(int.from_bytes(content[:4], "big") != _GAMMA_22 for content in boxes.get(b"gama", ())):
        raise errors.InputError(
            f"{path} states a gamma of its own (the box gama) other than 2.2, which is not applied here. If its "
            "codes follow a usual curve, write it anew without: ffmpeg -i clip -c copy plain.mp4."
        )
    for content in (*boxes.get(b"dvcC", ()), *boxes.get(b"dvvC", ()), *boxes.get(b"dvwC", ())):
        profile = content[2] >> 1 if len(content) > 2 else 0
        compatible = content[4] >> 4 if len(content) > 4 else 0
        if compatible != _AS_SDR:
            raise errors.InputError(
                f"{path} is Dolby Vision (profile {profile}), whose pictures are not those of plain SDR. Convert it to "
                "SDR first, or record without Dolby Vision."
            )


def _require_whole_pictures(cropped: bool, path: pathlib.Path) -> None:
    if cropped:
        raise errors.InputError(
            f"{path} asks for a part of its pictures alone to be shown (a clean aperture or crop). Crop it first: "
            "ffmpeg -i clip -vf crop=WIDTH:HEIGHT:X:Y cropped.mp4."
        )
