"""A split of a dataset of pairs as a test set."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy import typing as npt

from blursynth import errors
from blursynth.media import source_file
from blursynth.storage import reader
from trainers.test_sets import items as test_set

ALL = "all"
"""Instead of a split's name: every pair."""


def read(path: str, split: str) -> test_set.TestSet:
    """The pairs of a split of a dataset; InputError where there are none."""
    dataset = reader.open(path)
    if not {"blurred", "sharp"} <= set(dataset.names):
        raise errors.DatasetError(f"{path} holds {dataset.kind}, not pairs; scores need blurred and sharp images.")
    numbers = np.arange(len(dataset)) if split == ALL else dataset.in_split(split)
    if not len(numbers):
        there = [each for each in dataset.splits if len(dataset.in_split(each))]
        known = ", ".join(repr(each) for each in (*there, ALL))
        raise errors.DatasetError(f'There are no pairs in the split "{split}" of {path}; give --split one of {known}.')
    sources = dataset.sources
    names = [sources[number]["name"] for number in dataset.columns["source"]] if sources else [""] * len(dataset)
    items = [
        test_set.Item(
            f"{number:08d}", names[number], _image(dataset, "blurred", int(number)), _sharp(dataset, int(number))
        )
        for number in numbers
    ]
    return test_set.TestSet(
        str(path),
        items,
        f"{dataset.fingerprint} {split}",
        f"split {split}, made by: {dataset.attributes['command']}",
        dataset.transfer_function,
        sources=_digests(dataset, numbers),
    )


def trained_sources(paths: Sequence[str], fingerprint: str) -> frozenset[str] | None:
    """SHA-256 of what the split "train" of a dataset is made from, which lies at one of these; None if at none."""
    for path in paths:
        try:
            dataset = reader.open(path)
        except (errors.BlursynthError, OSError):
            continue
        if dataset.fingerprint == fingerprint:
            return dataset.source_digests("train")
    return None


def _digests(dataset: reader.Dataset, items: npt.NDArray[np.int64]) -> frozenset[str]:
    sources = dataset.sources
    used = np.unique(dataset.columns["source"][items]) if sources else ()
    return frozenset(sources[number]["sha256"] for number in used)


def _image(dataset: reader.Dataset, name: str, number: int) -> Callable[[], test_set.Image]:
    def read() -> test_set.Image:
        image: test_set.Image = source_file.patiently(lambda: dataset.read(name, [number]))[0]
        return image

    return read


def _sharp(dataset: reader.Dataset, number: int) -> Callable[[], Iterator[test_set.Image]]:
    image = _image(dataset, "sharp", number)
    return lambda: iter([image()])
