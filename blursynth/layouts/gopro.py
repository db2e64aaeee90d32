"""The tree of the GOPRO set (Nah et al. 2017): SPLIT/SEQUENCE/{blur, blur_gamma, sharp}/NNNNNN.png.

Images of the same split, sequence and file name belong together. `blur_gamma` was averaged in light (x^2.2, mean,
x^(1/2.2)), `blur` is the plain mean of codes; a score on one says little of the other. Sequences are named
GOPRxxxx_yy_zz, and yy is M, the number of frames averaged.
"""

import pathlib
import re
from collections.abc import Iterator, Sequence

from blursynth import errors
from blursynth.layouts import layout
from blursynth.media import pair_names
from blursynth.sources import image_files

# README of the set: the response that each folder was averaged with.
TRANSFER = {"blur": "linear", "blur_gamma": "gamma2.2"}
SHARP = "sharp"
SIZE = (720, 1280)
# Sequences and pairs of each split (Nah et al. 2017, section 2, and the set itself).
PUBLISHED = {"train": (22, 2103), "test": (11, 1111)}
MATCHING = (
    "SPLIT/SEQUENCE/{folder}/NNNNNN.png is blurred, SPLIT/SEQUENCE/sharp/NNNNNN.png sharp; the same split, sequence "
    "and number belong together. The number is the item's in the dataset."
)
_SEQUENCE = re.compile(r"GOPR\d{4}_(\d{2})_\d{2}")


def blurred_folder(transfer: str, asked: str | None) -> str:
    """What the folder of blurred images is called. Raises RecipeError where the tree has no name for such light."""
    if asked is not None:
        return asked
    names = [name for name, light in TRANSFER.items() if light == transfer]
    if not names:
        raise errors.RecipeError(
            f"The GOPRO tree has a folder for images averaged as codes (blur) and one for gamma 2.2 (blur_gamma), and "
            f"this dataset's transfer function is {transfer}. Say with --blurred-as which of them to use all the same, "
            "or export --to flat."
        )
    return names[0]


def units(plan: layout.Plan) -> Iterator[layout.Unit]:
    return layout.units_of_files(plan, names)


objects = layout.files_of


def names(plan: layout.Plan, position: int) -> tuple[str, str]:
    """The files of a pair, blurred and sharp."""
    folder, file = (
        f"{plan.split_of(position)}/{plan.sequence_of(position)}",
        f"{plan.file_number(position)}.png",
    )
    return f"{folder}/{plan.blurred}/{file}", f"{folder}/{SHARP}/{file}"


def find(found: image_files.Files, wanted: layout.Wanted) -> layout.Listing:
    """Pairs of a tree: of the whole set, one split of it or one sequence; also with the folders of blurred and sharp
    images above those of the sequences (REDS), by names that `wanted` gives.

    Raises InputError where there are none, and RecipeError where both folders of blurred images are there and
    `wanted.blurred` does not say which.
    """
    images = found.images
    folder, sharp = _chosen(found.root, images, wanted), wanted.sharp or SHARP
    listed = pair_names.find(images, folder, sharp)
    pairs = tuple(
        layout.Pair(*both, wanted.split or pair_names.split_of(found.root, both), _frames(found.root, both[1]))
        for both in listed.pairs
    )
    if not pairs:
        raise errors.InputError(
            f"{found.root} has no pair of the GOPRO tree; expected SEQUENCE/{folder}/NNNNNN.png and "
            f"SEQUENCE/{sharp}/NNNNNN.png below it, or {folder}/SEQUENCE/NNNNNN.png and {sharp}/SEQUENCE/NNNNNN.png."
        )
    published = any(pair.frames for pair in pairs)  # by the names of sequences
    unlike = tuple(_unlike(found.root, sharp, pairs)) if published else ()
    return layout.Listing(
        layout.by_split(pairs),
        tuple(layout.skipped(listed.left_out)),
        TRANSFER.get(folder) if any(folder in name.split("/")[:-1] for name in images) else None,
        unlike,
        SIZE if published else None,
        layout.elsewhere(listed.elsewhere, f"are neither in {folder} nor in {sharp}"),
    )


def _chosen(root: str, images: list[str], wanted: layout.Wanted) -> str:
    layout.require_marked(root, images, wanted)
    if wanted.blurred is not None:
        return wanted.blurred
    there = [folder for folder in TRANSFER if any(folder in name.split("/")[:-1] for name in images)]
    if len(there) == 2:
        raise errors.RecipeError(
            f"{root} has both blur (averaged codes) and blur_gamma (averaged light, gamma 2.2), which are not the same "
            "images. Say with --blurred which to import."
        )
    if not there:
        raise errors.InputError(
            f"{root} has no folder blur or blur_gamma with images, so it is no GOPRO tree. Name its folders with "
            "--blurred NAME --sharp NAME; --help lists other layouts."
        )
    return there[0]


def _sequence(root: str, sharp: str, name: str) -> str:
    return pair_names.sequence(name, sharp) or pathlib.PurePosixPath(root).name


def _frames(root: str, name: str) -> int:
    parts = [pathlib.PurePosixPath(root).name, *pathlib.PurePosixPath(name).parts[:-1]]
    return next((int(match[1]) for part in reversed(parts) if (match := _SEQUENCE.fullmatch(part))), 0)


def _unlike(root: str, sharp: str, pairs: Sequence[layout.Pair]) -> Iterator[str]:
    """How the numbers differ from the published ones."""
    for split, (sequences, count) in PUBLISHED.items():
        mine = [pair for pair in pairs if pair.split == split]
        there = len({_sequence(root, sharp, pair.sharp) for pair in mine})
        if (there, len(mine)) != (sequences, count):
            yield f"{split} has {len(mine)} pairs of {there} sequences, published were {count} of {sequences}"
