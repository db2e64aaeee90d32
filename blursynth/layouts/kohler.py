"""The benchmark of Köhler et al. 2012: four images, each played back along twelve recorded camera paths.

BlurryI_J.png is the exposure along path J, GroundTruthI_J_K.png the K-th of about 199 positions on it. Imported is the
middle position as the sharp image; the benchmark's own score compares with all of them, which a pair does not hold.
"""

import collections
import re
from collections.abc import Iterator, Mapping

from blursynth import errors
from blursynth.layouts import layout
from blursynth.sources import image_files
from blursynth.storage import provenance

SIZE = (800, 800)
IMAGES, PATHS = 4, 12
POSITIONS = (197, 200)  # fewest and most of an item
_BLURRY = re.compile(r"Blurry(\d+)_(\d+)\.\w+")
_TRUTH = re.compile(r"GroundTruth(\d+)_(\d+)_(\d+)\.\w+")

Item = tuple[int, int]


def find(found: image_files.Files, wanted: layout.Wanted) -> layout.Listing:
    """The pairs, wherever below the root their files lie. Raises InputError where there are none."""
    blurred: dict[Item, list[str]] = collections.defaultdict(list)
    truth: dict[Item, dict[int, str]] = collections.defaultdict(dict)
    unnamed: list[str] = []
    for name in found.images:
        file = name.rpartition("/")[2]
        if match := _BLURRY.fullmatch(file):
            blurred[int(match[1]), int(match[2])].append(name)
        elif match := _TRUTH.fullmatch(file):
            truth[int(match[1]), int(match[2])][int(match[3])] = name
        else:
            unnamed.append(name)
    pairs, left_out = [], []
    for item, names in sorted(blurred.items()):
        if len(names) > 1:
            left_out += [provenance.Skipped(name, f"is one of {len(names)} files of that name") for name in names]
        elif item not in truth:
            left_out.append(provenance.Skipped(names[0], "has no ground truth (GroundTruthI_J_K.png)"))
        else:
            numbers = sorted(truth[item])
            pairs.append(layout.Pair(names[0], truth[item][numbers[(len(numbers) - 1) // 2]], wanted.split or "test"))
    if not pairs:
        raise errors.InputError(
            f"{found.root} has no pair of this benchmark; expected Blurry1_1.png, GroundTruth1_1_1.png, ... below it."
        )
    others = layout.elsewhere(unnamed, "have no name of this benchmark")
    return layout.Listing(tuple(pairs), tuple(left_out), None, tuple(_unlike(blurred, truth)), SIZE, others)


def _unlike(blurred: Mapping[Item, list[str]], truth: Mapping[Item, dict[int, str]]) -> Iterator[str]:
    expected = {(image, path) for image in range(1, IMAGES + 1) for path in range(1, PATHS + 1)}
    missing = sorted(expected - blurred.keys())
    if missing:
        yield "missing are " + layout.some([f"Blurry{image}_{path}" for image, path in missing])
    more = sorted(blurred.keys() - expected)
    if more:
        yield "not of the benchmark are " + layout.some([f"Blurry{image}_{path}" for image, path in more])
    for (image, path), numbers in sorted(truth.items()):
        if not POSITIONS[0] <= len(numbers) <= POSITIONS[1]:
            yield (
                f"GroundTruth{image}_{path} has {len(numbers)} positions, published were {POSITIONS[0]} to "
                f"{POSITIONS[1]}"
            )
