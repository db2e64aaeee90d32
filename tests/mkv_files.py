"""Elements of Matroska files for tests, taken apart and put together again (RFC 8794)."""

import pathlib
from collections.abc import Callable
from typing import Any

Elements = list[Any]  # of [number, content], where a content is bytes or Elements again
SEGMENT, TRACKS, TRACK, VIDEO, CHAPTERS = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x1043A770
HOLD = (SEGMENT, TRACKS, TRACK, VIDEO)
LEFT_OUT = (0x114D9B74, 0x1C53BB6B, 0xBF, 0xEC)  # what names places (SeekHead, Cues), checksums, nothing


def elements(data: bytes) -> Elements:
    made: Elements = []
    at = 0
    while at < len(data):
        wide = 9 - data[at].bit_length()
        number = int.from_bytes(data[at : at + wide], "big")
        at += wide
        long = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + long], "big") & (1 << 7 * long) - 1
        content = data[at + long : at + long + size]
        at += long + size
        if number not in LEFT_OUT:
            made.append([number, elements(content) if number in HOLD else content])
    return made


def element(number: int, content: bytes) -> bytes:
    return (
        number.to_bytes((number.bit_length() + 7) // 8, "big") + (1 << 56 | len(content)).to_bytes(8, "big") + content
    )


def joined(parts: Elements) -> bytes:
    return b"".join(element(number, joined(inner) if isinstance(inner, list) else inner) for number, inner in parts)


def find(parts: Elements, *numbers: int) -> Any:
    """An element at the end of a path."""
    found = next(each for each in parts if each[0] == numbers[0])
    return find(found[1], *numbers[1:]) if numbers[1:] else found


def changed(path: pathlib.Path, change: Callable[[Elements], Any]) -> pathlib.Path:
    """The file with its elements changed in place."""
    parts = elements(path.read_bytes())
    change(parts)
    path.write_bytes(joined(parts))
    return path


def in_video(path: pathlib.Path, number: int, content: bytes, track: int = 0) -> pathlib.Path:
    """The file with one more element in the Video element of a track."""

    def change(parts: Elements) -> None:
        tracks = [each for each in find(parts, SEGMENT, TRACKS)[1] if each[0] == TRACK]
        video = find(tracks[track][1], VIDEO)
        video[1] = [each for each in video[1] if each[0] != number]
        video[1].append([number, content])

    return changed(path, change)
