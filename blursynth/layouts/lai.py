"""The synthetic sets of Lai et al. 2016: 25 sharp images of five kinds, blurred by four kernels or four camera paths.

KIND_NN.png is sharp, KIND_NN_kernel_KK.png blurred uniformly, KIND_NN_gyro_GG.png blurred by a turning camera; 100 of
each. Their public code adds codes up as if they were light, so the transfer function is linear. Images have several
sizes.
"""

import collections
import re
from collections.abc import Iterator, Mapping, Sequence

from blursynth import errors
from blursynth.layouts import layout
from blursynth.sources import image_files
from blursynth.storage import provenance

KINDS = ("manmade", "natural", "people", "saturated", "text")
# Numbers of the kernels and camera paths (lists of the public code).
BLURS = {"kernel": ("01", "02", "03", "04"), "gyro": ("07", "16", "23", "24")}
TRANSFER = "linear"
_NAME = re.compile(rf"((?:{'|'.join(KINDS)})_0[1-5])(?:_(kernel|gyro)_(\d\d))?\.\w+")


def find(found: image_files.Files, wanted: layout.Wanted) -> layout.Listing:
    """The pairs, wherever below the root their files lie; `wanted.blurred` kernel or gyro takes one set alone.

    Raises InputError where there are none.
    """
    sharp: dict[str, list[str]] = collections.defaultdict(list)
    blurred: dict[tuple[str, str, str], list[str]] = collections.defaultdict(list)
    for name in found.images:
        match = _NAME.fullmatch(name.rpartition("/")[2])
        if match and match[2] is None:
            sharp[match[1]].append(name)
        elif match and wanted.blurred in (None, match[2]):
            blurred[match[2], match[1], match[3]].append(name)
    pairs, left_out = [], []
    for (_, image, _), names in sorted(blurred.items()):
        truths = sharp.get(image, [])
        if len(names) == len(truths) == 1:
            pairs.append(layout.Pair(names[0], truths[0], wanted.split or "test"))
        else:
            reason = f"is one of {len(names)} files of that name" if len(names) > 1 else _unpaired(image, truths)
            left_out += [provenance.Skipped(name, reason) for name in names]
    if not pairs:
        raise errors.InputError(
            f"{found.root} has no pair of this set; expected manmade_01.png with manmade_01_kernel_01.png or "
            "manmade_01_gyro_07.png, ... below it."
        )
    others = [name for name in found.images if not _NAME.fullmatch(name.rpartition("/")[2])]
    return layout.Listing(
        tuple(pairs),
        tuple(left_out),
        TRANSFER,
        tuple(_unlike(sharp, blurred)),
        elsewhere=layout.elsewhere(others, "have no name of this set"),
    )


def _unpaired(image: str, truths: Sequence[str]) -> str:
    return f"has {len(truths)} sharp images {image}" if truths else f"has no sharp image {image}"


def _unlike(sharp: Mapping[str, object], blurred: Mapping[tuple[str, str, str], object]) -> Iterator[str]:
    images = [f"{kind}_{number:02d}" for kind in KINDS for number in range(1, 6)]
    missing = [image for image in images if image not in sharp]
    if missing:
        yield "missing are the sharp images " + layout.some(missing)
    for blur in sorted({blur for blur, _, _ in blurred}):
        expected = {(image, number) for image in images for number in BLURS[blur]}
        there = {(image, number) for kind, image, number in blurred if kind == blur}
        for which, pairs in (("missing are", expected - there), ("not of the set are", there - expected)):
            if pairs:
                yield f"{which} " + layout.some([f"{image}_{blur}_{number}" for image, number in sorted(pairs)])
