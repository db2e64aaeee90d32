"""Test sets: a split of a dataset, or a benchmark's folder as published."""

import pathlib

from blursynth import errors
from trainers.benchmarks import datasets, kohler, published, test_set

LAYOUTS = ("auto", *published.LAYOUTS, "kohler")


def find(path: str, *, layout: str = "auto", split: str = "test", part: str = "") -> test_set.TestSet:
    """The test set at a path: a dataset's `split`, or a folder in a benchmark's `layout`, of which `part`.

    InputError or DatasetError in a sentence where it cannot be used.
    """
    folder = pathlib.Path(path)
    if layout == "auto" and ("://" in path or (folder / "zarr.json").is_file()):
        return datasets.read(path, split)
    if not folder.is_dir():
        raise errors.InputError(f"There is no dataset or folder {path}.")
    if layout == "auto":
        layout = published.find_layout(folder)
    return kohler.read(folder, part) if layout == "kohler" else published.LAYOUTS[layout](folder, part)
