"""Which clips are chapters of one recording: cameras divide long ones into files, which show the same scene."""

import dataclasses
import hashlib
import itertools
import pathlib
import re
from collections.abc import Sequence

from blursynth.sources import source

# What is the same in the names of all chapters of a recording. Names that only count on (DJI_0001, C0001, MVI_0001,
# 00001.MTS) are as much those of recordings that have nothing in common, and are left alone.
_CHAPTERS = (
    re.compile(r"(?:G[HXLP]\d\d|GOPR)(?P<recording>\d{4})"),  # GoPro: GX010123, GX020123; GOPR0123, GP010123
    re.compile(r"(?P<recording>DJI_\d{4})_\d{3}"),  # DJI Osmo Action
    re.compile(r"(?:VID|LRV|PRO_VID)_(?P<recording>\d{8}_\d{6})_\d\d_\d{3}"),  # Insta360: lens, then chapter
)


def recording(name: str) -> str:
    """The recording that a clip of this name (relative posix path) is of: alike for all its chapters in a folder."""
    path = pathlib.PurePosixPath(name)
    found = (chapter.fullmatch(path.stem.upper()) for chapter in _CHAPTERS)
    matched = next((match for match in found if match), None)
    return name if matched is None else f"{path.parent}/{matched['recording']}/"


def by_recording(clips: Sequence[source.Source], generations: Sequence[int]) -> list[source.Source]:
    """The clips, those of one recording with one SHA-256, so that `splits.assign` keeps them together.

    generations: how many clips there were each time that the dataset grew: a chapter that comes later follows those
    that are there. A clip that is a recording by itself keeps its own SHA-256.
    """
    of_recording: dict[str, str] = {}
    of_content: dict[str, str] = {}
    for first, stop in itertools.pairwise((0, *generations)):
        members: dict[str, list[str]] = {}
        for clip in clips[first:stop]:
            members.setdefault(recording(clip.name), []).append(clip.sha256)
        for name, contents in members.items():
            known = of_recording.get(name) or next((of_content[each] for each in contents if each in of_content), None)
            of_recording[name] = known or _joined(contents)
            of_content |= dict.fromkeys(contents, of_recording[name])
    return [dataclasses.replace(clip, sha256=of_content[clip.sha256]) for clip in clips]


def _joined(contents: Sequence[str]) -> str:
    apart = sorted(set(contents))
    return apart[0] if len(apart) == 1 else hashlib.sha256(" ".join(apart).encode()).hexdigest()
