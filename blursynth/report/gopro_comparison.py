"""A sequence averaged again as a published one, and how far the two are apart."""

import itertools
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import average_frames
from blursynth.media import decode, listing, photos
from blursynth.sources import clip_files, clips
from blursynth.synthesis import frames, windows

# The published folders, and the response that each was averaged with (README of the GOPRO set).
FOLDERS = {"blur_gamma": "gamma2.2", "blur": "linear"}
_EDGES = (0, 1, 2, 3, 5, 9, 17, 256)  # of |difference|, in grey levels


def compare(paths: Sequence[str], published: str, recipe: average_frames.AverageFrames) -> Iterator[str]:
    """Lines of a table: for each pair of each published folder, the shares of values by absolute difference.

    The one sequence in `paths` is cut into windows that do not overlap; the i-th is held against the i-th image of the
    published folder, by order and not by number. The published set was made from the videos, so bit equality is not
    to be expected of a video coded again. Raises InputError where there is not one sequence, no published folder, no
    window of the M that a name says, or a published image of another size.
    """
    found = clips.scan(paths, rules=clip_files.Rules(recipe.matrix, recipe.primaries, recipe.fps), hashed=False).clips
    if len(found) != 1:
        raise errors.InputError(f"{len(found)} sequences were given; a report compares one with a published folder.")
    clip = found[0]
    if clip.loss:
        raise errors.InputError(f"{clip.name} is not known to be whole: {clip.loss}. Copy it again.")
    folders = [name for name in FOLDERS if (pathlib.Path(published) / name).is_dir()]
    if not folders:
        raise errors.InputError(
            f"{published} has neither a folder {' nor '.join(FOLDERS)}; expected a sequence of GOPRO_Large, such as "
            "GOPRO_Large/train/GOPR0372_07_00."
        )
    count, origin = _frames(clip, pathlib.Path(published).resolve().name, recipe)
    if clip.frames < count:
        raise errors.InputError(f"{clip.name} has {clip.frames} frames, fewer than M = {count} ({origin}).")
    plan = recipe.model_copy(update={"frames": (count,), "frames_from_name": False})
    cut = windows.plan(plan, 0, [(clip.stem, clip.frames)])
    yield f"{clip.name} against {published}: M = {count}, {len(cut)} windows (M: {origin})"
    for folder in folders:
        yield from _folder(clip, cut, pathlib.Path(published) / folder, FOLDERS[folder], plan)


def _frames(clip: clip_files.Clip, name: str, recipe: average_frames.AverageFrames) -> tuple[int, str]:
    """M and where it is from: the published folder's name, then the clip's, then the recipe. InputError where a name
    says an M that cannot be."""
    if recipe.frames_from_name:
        for words, each in (("the published folder's name", name), ("the clip's name", clip.stem)):
            reason = windows.refusal(recipe, each)
            if reason is not None:
                raise errors.InputError(reason)
            count = windows.named_frames(each)
            if count is not None:
                return count, words
    return recipe.frames[0], "--frames"


def _folder(
    clip: clip_files.Clip,
    cut: windows.Windows,
    folder: pathlib.Path,
    transfer: str,
    recipe: average_frames.AverageFrames,
) -> Iterator[str]:
    images = [folder / name for name in listing.files(folder, listing.PHOTOS, deep=False).names]
    yield f"{folder.name} ({transfer}): {len(images)} published images; share of values by difference in grey levels"
    ranges = [f"{low}" if low + 1 == high else f"{low}-{high - 1}" for low, high in itertools.pairwise(_EDGES)]
    yield f"  {'image':<16}{'frames':>12}" + "".join(f"{each:>9}" for each in ranges) + f"{'mean':>9}"
    light = frames.Light(transfer, rounding=recipe.rounding)
    total = np.zeros(len(_EDGES) - 1, np.int64)
    reader = clip.open()
    for path, first, count in zip(images, cut.first.tolist(), cut.frames.tolist(), strict=False):
        pictures = list(reader.frames(first, first + count))
        usable = [frame for frame in pictures if not isinstance(frame, decode.Loss)]
        span = f"{first}-{first + count - 1}"
        if len(usable) < count:
            yield f"  {path.name:<16}{span:>12} {count - len(usable)} of its frames could not be decoded"
            continue
        ours = frames.Window(usable, light, recipe.target_of(count), clip.orientation).pair().blurred
        apart = _apart(ours, path)
        numbers = np.histogram(np.abs(apart), _EDGES)[0]
        total += numbers
        yield f"  {path.name:<16}{span:>12}{_shares(numbers)}{apart.mean():>+9.3f}"
    reader.close()
    if total.sum():
        yield f"  {'all':<28}{_shares(total)}"
    if len(images) != len(cut):
        yield f"  {len(images)} images and {len(cut)} windows: the rest has no counterpart"


def _apart(ours: npt.NDArray[np.uint8], path: pathlib.Path) -> npt.NDArray[np.int16]:
    """Ours minus the published image, int16 (H, W, 3)."""
    published = photos.read(path)
    if published.shape != ours.shape:
        raise errors.InputError(
            f"{path} is {published.shape[1]}x{published.shape[0]} px and the sequence {ours.shape[1]}x{ours.shape[0]}; "
            "give the sequence that it was made from."
        )
    return ours.astype(np.int16) - published


def _shares(numbers: npt.NDArray[np.int64]) -> str:
    return "".join(f"{share:>9.3%}" for share in numbers / numbers.sum())
