"""Two folders of equal names: SPLIT/input/NNNNNN.png is blurred, SPLIT/target/NNNNNN.png sharp.

MPRNet and Restormer sort each folder and take the i-th of both, NAFNet (BasicSR) goes by the name; equal names satisfy
all. Other names of the two folders, and other places of them on the way to the images, are known for reading.
"""

import pathlib
from collections.abc import Iterator

from blursynth import errors
from blursynth.layouts import layout
from blursynth.media import pair_names
from blursynth.sources import image_files

INPUT, TARGET = pair_names.INPUT, pair_names.TARGET
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


def find(found: image_files.Files, wanted: layout.Wanted) -> layout.Listing:
    """Pairs by two words on the way to the images, or in their folders' names; see `media.pair_names`.

    Raises InputError where there are none, RecipeError where several pairs of words could be meant.
    """
    images = found.images
    blurred, sharp = _chosen(found.root, images, wanted)
    listed = pair_names.find(images, blurred, sharp)
    pairs = [
        layout.Pair(left, right, wanted.split or pair_names.split_of(found.root, (left, right)))
        for left, right in listed.pairs
    ]
    if not pairs:
        first = listed.left_out[0]
        raise errors.InputError(
            f"{found.root} has images in {blurred}/ and in {sharp}/, and no two of them belong together; the first, "
            f"{first.name}, {first.reason}."
        )
    transfer = TRANSFER.get(pathlib.PurePosixPath(blurred).name.lower())
    left_out = tuple(layout.skipped(listed.left_out))
    elsewhere = layout.elsewhere(listed.elsewhere, f"are neither in {blurred} nor in {sharp}")
    return layout.Listing(layout.by_split(pairs), left_out, transfer, elsewhere=elsewhere)


def _chosen(root: str, images: list[str], wanted: layout.Wanted) -> tuple[str, str]:
    layout.require_marked(root, images, wanted)
    there = pair_names.choices(images, wanted.blurred, wanted.sharp)
    if len(there) == 1:
        return there[0]
    known = ", ".join(f"{left}/ and {right}/" for left, right in there or pair_names.KNOWN)
    what = "several pairs of folders" if there else "no two folders of images that are known as blurred and sharp"
    raise errors.RecipeError(
        f"{root} has {what} ({known}); name them with --blurred NAME --sharp NAME, and give "
        "--transfer and --split where names do not say them."
    )
