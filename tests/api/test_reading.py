"""Datasets are indexed like sequences."""

import pathlib
from typing import Any

import kinds
import numpy as np
import pytest

import blursynth as bs
from blursynth import errors


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Pairs of which some were left out."""
    path = kinds.keep("photos", kinds.shared_folder(tmp_path_factory)).path
    data = bs.open(path)
    assert len(data) < data.attributes["items"]
    return data


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return list(first) == list(second) and all(np.array_equal(first[name], second[name]) for name in first)


def test_an_item_is_all_of_its_arrays_and_columns(data: Any) -> None:
    item = data[5]
    assert list(item) == data.attributes["arrays"]
    for name in data.names:
        np.testing.assert_array_equal(item[name], data.read(name, [5])[0])
    for name, values in data.columns.items():
        assert item[name] == values[5]
    assert same(data[-1], data[len(data) - 1])
    assert same(data[np.int64(5)], item)


def test_several_items_have_an_axis_of_their_own(data: Any) -> None:
    some = data[[7, -1, 7]]
    assert some["sharp"].shape == (3, 24, 24, 3)
    assert same({name: values[1] for name, values in some.items()}, data[-1])
    assert same(data[2:9:3], data[np.array([2, 5, 8])])
    assert same(data[-3:], data[[-3, -2, -1]])
    mask = np.arange(len(data)) % 2 == 1
    assert same(data[mask], data[1::2])
    assert data[[]]["sharp"].shape == (0, 24, 24, 3)
    assert data[5:5]["crop_y"].shape == (0,)


@pytest.mark.parametrize("index", [10**6, -(10**6), [0, 10**6], 1.0, "train", [0.5], True, [[1]], [True, False], None])
def test_other_indices_are_refused(data: Any, index: Any) -> None:
    with pytest.raises(IndexError):
        data[index]
    with pytest.raises(IndexError):
        data[len(data)]


def test_a_split_is_read_as_the_dataset_is(data: Any) -> None:
    train = data.split("train")
    assert 0 < len(train) < len(data)
    assert len(train) + len(data.split("val")) + len(data.split("test")) == len(data)
    items = list(train)
    assert len(items) == len(train)
    for item, number in zip(items, data.in_split("train"), strict=True):
        assert item["split"] == 0
        assert same(item, data[number])
    assert same(train[-2:], data[train.items[-2:]])
    with pytest.raises(IndexError):
        train[len(train)]
    with pytest.raises(errors.DatasetError):
        data.split("training")


def test_paths_have_no_splits(tmp_path: pathlib.Path) -> None:
    data = bs.open(kinds.paths(tmp_path))
    assert data[3]["position"].shape == (200, 2)
    with pytest.raises(errors.DatasetError):
        data.split("train")
