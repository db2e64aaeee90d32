"""Clips to average: found in files and folders, in a fixed order, or as a dataset lists them."""

import concurrent.futures
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from blursynth import errors
from blursynth.media import listing, photos, picture, source_file
from blursynth.sources import clip_files, source


@dataclasses.dataclass(frozen=True)
class Clips:
    """Clips sorted by name, and what looks like one and cannot be used."""

    clips: tuple[clip_files.Clip, ...]
    skipped: tuple[source.Skipped, ...]


def scan(
    paths: Sequence[str | pathlib.Path],
    *,
    rules: clip_files.Rules = clip_files.DECLARED,
    hashed: bool = True,
    workers: int | None = None,
) -> Clips:
    """Find, index and hash the clips that `paths` name: video files, folders of frames, folders of either.

    hashed: see `clip_files.one`. Raises InputError where a path does not exist, where the only clip cannot be used, or
    where nothing can be; SourceError where a clip cannot be read at this moment.
    """
    found, left_out = _located(paths)
    names = sorted(found)
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as threads:
        measured = list(threads.map(lambda name: _clip_or_skip(name, found[name], rules, hashed), names))
    usable = tuple(each for each in measured if isinstance(each, clip_files.Clip))
    skipped = (*left_out, *(each for each in measured if isinstance(each, source.Skipped)))
    if not usable:
        shown = "\n".join(map(named, skipped[:5]))
        raise errors.InputError(shown if len(skipped) == 1 else f"None of {len(skipped)} clips can be used:\n{shown}")
    return Clips(usable, skipped)


def locate(paths: Sequence[str | pathlib.Path]) -> dict[str, pathlib.Path]:
    """Names of the clips in `paths`, and where they are; none is opened. Raises InputError where there is none."""
    return _located(paths)[0]


def _located(paths: Sequence[str | pathlib.Path]) -> tuple[dict[str, pathlib.Path], list[source.Skipped]]:
    """As `locate`, and what is left out."""
    found: dict[str, pathlib.Path] = {}
    left_out: list[source.Skipped] = []
    for path in map(pathlib.Path, paths):
        if not source_file.exists(path):
            raise errors.InputError(f"There is no file or folder {path}.")
        is_folder = source_file.is_folder(path)
        if not is_folder:
            source_file.require_file(path, "a video file, or a folder of videos or frames")
        several = len(paths) > 1 and is_folder
        inside_folder, others = _inside(path) if is_folder else ([path], [])
        left_out += others
        for clip in inside_folder:
            inside = clip.relative_to(path).as_posix() if clip != path else path.resolve().name
            name = f"{path.resolve().name}/{inside}" if several and clip != path else inside
            found[name if name not in found else clip.as_posix()] = clip
    if not found:
        raise errors.InputError(
            f"{', '.join(map(str, paths))} has no video file and no folder of frames; expected videos "
            f"({' '.join(sorted(listing.VIDEOS.endings))}) or folders of numbered images such as 000001.png."
        )
    return found, left_out


def recorded(
    paths: Sequence[str | pathlib.Path], listed: Sequence[Mapping[str, Any]], rules: clip_files.Rules
) -> list[clip_files.Clip]:
    """The clips that a dataset lists as its sources, looked for in `paths`, in that order and as it describes them.

    One that is gone, or has another number of frames or size now, can be planned with but not read.
    """
    found = locate(paths)
    return [_recorded(found.get(str(entry["name"])), entry, rules) for entry in listed]


def _recorded(path: pathlib.Path | None, listed: Mapping[str, Any], rules: clip_files.Rules) -> clip_files.Clip:
    fields = {field.name for field in dataclasses.fields(source.Source)}
    described = source.Source(**{key: value for key, value in listed.items() if key in fields})
    about = {key: value for key, value in listed.items() if key not in fields}
    frames = int(listed["frames"])
    try:
        if path is None:
            raise errors.InputError(f"{described.name} is gone.")
        clip = clip_files.one(described.name, path, rules, hashed=False)
        if (clip.frames, clip.height, clip.width) != (frames, described.height, described.width):
            raise errors.InputError(f"{path} is another clip than the dataset was made from.")
    except (errors.InputError, errors.SourceError) as error:
        seconds = numpy.zeros(frames)
        lost = pathlib.Path(path or described.name)
        return clip_files.Clip(
            described, lost, frames, picture.UPRIGHT, seconds, 0.0, 0, about, _Unreadable(str(error))
        )
    return clip_files.as_recorded(clip, described, about)


def named(left: source.Skipped) -> str:
    """A reason with the clip's name, which stands in most already."""
    return left.reason if left.name in left.reason else f"{left.name} {left.reason}"


@dataclasses.dataclass(frozen=True)
class _Unreadable:
    reason: str

    def __call__(self) -> clip_files.Frames:
        raise errors.SourceError(self.reason)


def _inside(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[source.Skipped]]:
    """Video files and folders of frames in a folder and everything below it, and what is left out.

    A folder that holds an image is a folder of frames; what else lies in it, or below it, is no clip.
    """
    found = listing.files(folder, listing.PHOTOS, listing.VIDEOS)
    names = [pathlib.PurePosixPath(name) for name in found.names]
    with_images = {name.parent for name in names if name.suffix.lower() in photos.ENDINGS}
    frames = {name for name in with_images if not with_images.intersection(name.parents)}
    videos = []
    left_out = [source.Skipped(each.name, f"{each.reason}.") for each in found.left_out]
    for name in names:
        within = frames.intersection(name.parents)
        if not within:
            videos.append(name)
        elif name.parent not in frames or name.suffix.lower() not in photos.ENDINGS:
            reason = f"{name} lies in the folder of frames {within.pop()} and is none."
            left_out.append(source.Skipped(str(name), reason))
    return sorted(folder / name for name in (*frames, *videos)), left_out


def _clip_or_skip(
    name: str, path: pathlib.Path, rules: clip_files.Rules, hashed: bool
) -> clip_files.Clip | source.Skipped:
    try:
        return clip_files.one(name, path, rules, hashed=hashed)
    except errors.InputError as error:
        return source.Skipped(name, str(error))
