"""Test sets: a split of a dataset, or a benchmark's folder as published."""

import pathlib

from blursynth import errors
from blursynth.media import source_file
from trainers.test_sets import datasets, folders, items, kohler, published

LAYOUTS = ("auto", *published.WITH_SPLITS, *published.LAYOUTS, "kohler")


def find(
    path: str, *, layout: str = "auto", split: str | None = None, part: str = "", blurred: str = "", sharp: str = ""
) -> items.TestSet:
    """Test set at a path: a dataset's `split` (default: test), or a folder in a benchmark's `layout` and its `part`.

    Folders of pairs have splits too, where folders are named after them, and `blurred` and `sharp` may name their
    folders; see `folders.pairs`.

    InputError or DatasetError in a sentence where it cannot be used.
    """
    folder = pathlib.Path(path)
    is_named = bool(blurred or sharp)
    if is_named and blurred == sharp:
        raise errors.InputError(f"--blurred and --sharp both name {sharp}; one has to name the other images.")
    if part and blurred:
        raise errors.InputError("--part and --blurred both name the blurred images; leave one of them out.")
    if layout == "auto" and ("://" in path or source_file.is_file(folder / "zarr.json")):
        if part:
            raise errors.InputError(f"{path} is a dataset, which has no --part; give --split.")
        if is_named:
            raise errors.InputError(f"{path} is a dataset, whose arrays are named already: no --blurred or --sharp.")
        return datasets.read(path, split or "test")
    if not source_file.is_folder(folder):
        raise errors.InputError(f"There is no dataset or folder {path}.")
    if layout == "auto":
        layout = published.find_layout(folder, folders.Words(blurred, sharp))
    if layout in published.WITH_SPLITS:
        return published.WITH_SPLITS[layout](folder, folders.Words(blurred or part, sharp), split)
    if is_named:
        raise errors.InputError(f"--blurred and --sharp name folders of pairs; {layout} has names of its own.")
    if split not in (None, "test", datasets.ALL):
        raise errors.InputError(f"{path} is a benchmark, all of whose images are scored; it has no --split {split}.")
    return kohler.read(folder, part) if layout == "kohler" else published.LAYOUTS[layout](folder, part)
