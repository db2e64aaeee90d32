"""The benchmark of Köhler et al. 2012 as published: 4 photos x 12 camera paths, some 199 ground truths each.

`BlurryImages/BlurryI_K.png` (or beside the truths); ground truths either as `GroundTruthI_K.mat`, one array of
(H, W, 3, frames) a file, or as photos `GroundTruthI_K_N.png`, anywhere below the folder.
"""

import io
import pathlib
import re
from collections.abc import Callable, Iterator

import numpy as np
import scipy.io

from blursynth import errors
from blursynth.media import listing
from trainers.test_sets import items as test_set

IMAGES, PATHS = 4, 12
FRAMES = range(198, 201)
"""Ground truths of an item as published."""

CHOSEN = {"1_3": frozenset(range(1, 199)) - {30}}
"""Frames, counted from 1, that the benchmark's own program compares an item with, where it does not take all of them:
of item 1_3, frame 30 is left out, and so is whatever follows the 198th."""

_KIND = listing.Kind(frozenset({".png", ".mat"}), frozenset(), "")
_BLURRED = re.compile(r"Blurry(\d+_\d+)\.png", re.IGNORECASE)
_TRUTH = re.compile(r"GroundTruth(\d+_\d+)(?:_(\d+))?\.(mat|png)", re.IGNORECASE)


def read(folder: pathlib.Path, part: str) -> test_set.TestSet:  # noqa: ARG001
    """The benchmark in a folder; InputError names what is missing, a warning tells of other counts than published."""
    blurred: dict[str, pathlib.Path] = {}
    truths: dict[str, dict[int, pathlib.Path]] = {}
    for path in (folder / name for name in listing.files(folder, _KIND).names):
        if found := _BLURRED.fullmatch(path.name):
            other = blurred.setdefault(found[1], path)
        elif found := _TRUTH.fullmatch(path.name):
            other = truths.setdefault(found[1], {}).setdefault(int(found[2] or 0), path)
        else:
            continue
        if other != path:
            raise errors.InputError(f"{other} and {path} are both {path.stem}; remove one of them.")
    if not blurred:
        raise errors.InputError(f"{folder} has no images of Köhler's benchmark in it (BlurryImages/Blurry1_1.png ...).")
    without = [f"GroundTruth{name}" for name in sorted(blurred) if name not in truths]
    if without:
        raise errors.InputError(f"{folder} lacks ground truths: {test_set.listed(without)}.")
    wanted = [f"{image}_{path}" for image in range(1, IMAGES + 1) for path in range(1, PATHS + 1)]
    missing = [f"Blurry{name}" for name in wanted if name not in blurred]
    note = test_set.expect(len(blurred), len(wanted), "blurred images of Köhler et al.", missing)
    known = test_set.measured([*blurred.values(), *(path for frames in truths.values() for path in frames.values())])
    named: list[tuple[str, test_set.File]] = []
    items = []
    for name, path in sorted(blurred.items(), key=lambda entry: [int(part) for part in entry[0].split("_")]):
        files = [known[path], *(known[truths[name][number]] for number in sorted(truths[name]))]
        if len(files) > 2 and any(file.path.suffix.lower() == ".mat" for file in files):
            raise errors.InputError(
                f"{folder} has GroundTruth{name} both as .mat and as photos; remove one of the two."
            )
        named += [(name, file) for file in files]
        items.append(test_set.Item(name, name.split("_")[0], test_set.reader(files[0]), _frames(name, files[1:])))
    about = "Köhler et al." + (f" ({note})" if note else "")
    return test_set.TestSet(str(folder), items, test_set.fingerprint(named), about, many=True)


def _frames(name: str, files: list[test_set.File]) -> Callable[[], Iterator[test_set.Image]]:
    """Ground truths in their order, one in memory at a time where they are photos."""

    def frames() -> Iterator[test_set.Image]:
        count = 0
        for number, frame in enumerate(_all_frames(files), 1):
            count = number
            if name not in CHOSEN or number in CHOSEN[name]:
                yield frame
        if count not in FRAMES:
            published = f"{FRAMES.start} to {FRAMES.stop - 1} published"
            test_set.expect(count, FRAMES.stop - 1, f"ground truths of item {name} ({published})")

    return frames


def _all_frames(files: list[test_set.File]) -> Iterator[test_set.Image]:
    for file in files:
        if file.path.suffix.lower() == ".mat":
            yield from _of_matlab(file)
        else:
            yield test_set.reader(file)()


def _of_matlab(file: test_set.File) -> Iterator[test_set.Image]:
    path, data = file.path, io.BytesIO(file.read())
    with errors.boundary(path, "a MATLAB file"):
        content = scipy.io.loadmat(data)
    stacks = [value for value in content.values() if isinstance(value, np.ndarray) and value.ndim == 4]
    if len(stacks) != 1 or stacks[0].shape[2] != 3 or stacks[0].dtype != np.uint8:
        raise errors.InputError(f"{path} was expected to hold one array of 8-bit frames, (H, W, 3, frames).")
    for frame in range(stacks[0].shape[3]):
        yield np.ascontiguousarray(stacks[0][..., frame])
