"""Test sets: a split of a dataset, or a benchmark's folder as published."""

import pathlib

from blursynth import errors
from trainers.benchmarks import datasets, kohler, published, test_set

LAYOUTS = ("auto", *published.WITH_SPLITS, *published.LAYOUTS, "kohler")


def find(path: str, *, layout: str = "auto", split: str | None = None, part: str = "") -> test_set.TestSet:
    """Test set at a path: a dataset's `split` (default: test), or a folder in a benchmark's `layout` and its `part`.

    Folders of pairs have splits too, where folders are named after them; see `folders.pairs`.

    InputError or DatasetError in a sentence where it cannot be used.
    """
    folder = pathlib.Path(path)
    if layout == "auto" and ("://" in path or (folder / "zarr.json").is_file()):
        if part:
            raise errors.InputError(f"{path} is a dataset, which has no --part; give --split.")
        return datasets.read(path, split or "test")
    if not folder.is_dir():
        raise errors.InputError(f"There is no dataset or folder {path}.")
    if layout == "auto":
        layout = published.find_layout(folder)
    if layout in published.WITH_SPLITS:
        return published.WITH_SPLITS[layout](folder, part, split)
    if split not in (None, "test", datasets.ALL):
        raise errors.InputError(f"{path} is a benchmark, all of whose images are scored; it has no --split {split}.")
    return kohler.read(folder, part) if layout == "kohler" else published.LAYOUTS[layout](folder, part)
