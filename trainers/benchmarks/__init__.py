"""Test sets: a split of a dataset, or a benchmark's folder as published."""

import pathlib

from blursynth import errors
from trainers.benchmarks import datasets, kohler, published, test_set

LAYOUTS = ("auto", *published.LAYOUTS, "kohler")


def find(path: str, *, layout: str = "auto", split: str | None = None, part: str = "") -> test_set.TestSet:
    """Test set at a path: a dataset's `split` (default: test), or a folder in a benchmark's `layout` and its `part`.

    InputError or DatasetError in a sentence where it cannot be used.
    """
    folder = pathlib.Path(path)
    if layout == "auto" and ("://" in path or (folder / "zarr.json").is_file()):
        if part:
            raise errors.InputError(f"{path} is a dataset, which has no --part; give --split.")
        return datasets.read(path, split or "test")
    if not folder.is_dir():
        raise errors.InputError(f"There is no dataset or folder {path}.")
    if split not in (None, "test", datasets.ALL):
        raise errors.InputError(f"{path} is a folder of images, all of which are scored; --split is of datasets only.")
    if layout == "auto":
        layout = published.find_layout(folder)
    return kohler.read(folder, part) if layout == "kohler" else published.LAYOUTS[layout](folder, part)
