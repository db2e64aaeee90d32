"""Two folders of equal names: SPLIT/input/NNNNNN.png is blurred, SPLIT/target/NNNNNN.png sharp.

MPRNet and Restormer sort each folder and take the i-th of both, NAFNet (BasicSR) goes by the name; equal names satisfy
all. Other names of the two folders that are in use are known for reading.
"""

import collections
import pathlib
from collections.abc import Iterator

from blursynth import errors
from blursynth.exchange import files, layout

INPUT, TARGET = "input", "target"
# Names of the two folders: MPRNet; crops of MPRNet and Restormer; crops of NAFNet; lists of BasicSR; and plain ones.
KNOWN = (
    (INPUT, TARGET),
    ("input_crops", "target_crops"),
    ("blur_crops", "sharp_crops"),
    ("blur_gamma", "sharp"),
    ("blur", "sharp"),
    ("blurred", "sharp"),
    ("blurry", "sharp"),
    ("lq", "gt"),
)
TRANSFER = {"blur_gamma": "gamma2.2"}
MATCHING = (
    "SPLIT/input/NNNNNN.png is blurred, SPLIT/target/NNNNNN.png sharp; equal names belong together, and so do equal "
    "places in the sorted folders. The number is the item's in the dataset."
)


def units(plan: layout.Plan) -> Iterator[layout.Unit]:
    return layout.units_of_files(plan, names)


objects = layout.files_of


def names(plan: layout.Plan, position: int) -> tuple[str, str]:
    """The files of a pair, blurred and sharp."""
    split, file = plan.split_of(position), f"{plan.file_number(position)}.png"
    return f"{split}/{INPUT}/{file}", f"{split}/{TARGET}/{file}"


def find(found: files.Files, wanted: layout.Wanted) -> layout.Listing:
    """Pairs of two folders, at the root or once below each split's folder.

    Raises InputError where there are none, RecipeError where several pairs of folders could be meant.
    """
    by_folder: dict[str, list[str]] = collections.defaultdict(list)
    for name in found.images:
        by_folder[pathlib.PurePosixPath(name).parent.name].append(name)
    blurred, sharp = _chosen(found.root, set(by_folder), wanted)
    matched, left_out = layout.matched(by_folder[blurred], by_folder[sharp], layout.beside)
    pairs = [layout.Pair(left, right, layout.split_of(found.root, right, wanted.split)) for left, right in matched]
    if not pairs:
        raise errors.InputError(
            f"{found.root} has no image in {blurred}/ with one of the same name in {sharp}/ beside it."
        )
    return layout.Listing(layout.by_split(pairs), tuple(left_out), TRANSFER.get(blurred))


def _chosen(root: str, folders: set[str], wanted: layout.Wanted) -> tuple[str, str]:
    if wanted.blurred and wanted.sharp:
        missing = [name for name in (wanted.blurred, wanted.sharp) if name not in folders]
        if missing:
            raise errors.InputError(f"{root} has no folder {' and no folder '.join(missing)} with images.")
        return wanted.blurred, wanted.sharp
    there = [
        (left, right)
        for left, right in KNOWN
        if left in folders and right in folders and wanted.blurred in (None, left) and wanted.sharp in (None, right)
    ]
    if len(there) == 1:
        return there[0]
    known = ", ".join(f"{left}/ and {right}/" for left, right in there or KNOWN)
    what = "several pairs of folders" if there else "no two folders of images that are known as blurred and sharp"
    raise errors.RecipeError(
        f"{root} has {what} ({known}); name them with --blurred NAME --sharp NAME, and give "
        "--transfer and --split where names do not say them."
    )
