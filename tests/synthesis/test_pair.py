"""One pair in memory is the item of a dataset: every array and column, to the bit."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import clip_files
import kinds
import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.config import photo_pairs as photo_pairs_config
from blursynth.makers import average_frames_request, psfs
from blursynth.storage import reader
from blursynth.synthesis import average_pair, convolve_pair, objects_pair, pair, shake_pair

OF_DATASET = {"valid", "split", "source"}  # columns that say where an item stands in a dataset, not how it was made


def convolved(maker: Any, item: int, photo: Any) -> pair.Pair:
    path = None
    if maker.recipe.trajectories is not None:
        dataset = reader.open(maker.inputs["trajectories"])
        path = psfs.positions(dataset, np.array([item % dataset.items]))[0]
    return convolve_pair.make(photo, maker.recipe, seed=maker.seed, item=item, path_M2=path)


def shaken(maker: Any, item: int, photo: Any) -> pair.Pair:
    beside = maker._read_beside(item // maker.recipe.per_photo)
    return shake_pair.make(photo, maker.recipe, seed=maker.seed, item=item, depth_HW=beside)


def with_objects(maker: Any, item: int, photo: Any) -> pair.Pair:
    outlines = maker._read_beside(item // maker.recipe.per_photo)
    return objects_pair.make(photo, maker.recipe, outlines, seed=maker.seed, item=item)


MAKE: dict[str, Callable[[Any, int, Any], pair.Pair]] = {
    "photos": convolved,
    "photos resized": convolved,
    "photos with paths": convolved,
    "photos with a field": convolved,
    "photos with realism": convolved,
    "scenes": convolved,
    "photos shaken": shaken,
    "photos shaken at depths": shaken,
    "photos with moving objects": with_objects,
}


@pytest.mark.parametrize("kind", MAKE)
def test_a_pair_is_the_item_of_a_dataset(kind: str, tmp_path: pathlib.Path) -> None:
    maker: Any = kinds.make(kind, tmp_path)
    stored = maker.make(range(12))
    for item in (1, 5, 11):
        photo = maker.photos.read(maker.used[item // maker.recipe.per_photo])
        assert_is_item(MAKE[kind](maker, item, photo), stored, item, OF_DATASET)


def test_a_mean_of_frames_is_the_item_of_a_dataset(tmp_path: pathlib.Path) -> None:
    codes = clip_files.moving(5, 60, 80)
    (tmp_path / "clip").mkdir()
    for k, frame in enumerate(codes):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{k}.png")
    asked = {"frames": "5", "size": 48, "per_window": 3, "interpolate": 1, "realism": ["rsblur", "response=off"]}
    maker = average_frames_request.maker([str(tmp_path)], {"seed": 4, **asked})
    stored = maker.make(range(3))
    of_clip = OF_DATASET | {"first_frame", "target_frame", "time_s", "reason"}
    for item in range(3):
        assert_is_item(average_pair.make(list(codes), maker.recipe, seed=4, item=item), stored, item, of_clip)


def assert_is_item(made: pair.Pair, stored: dict[str, Any], item: int, but: set[str]) -> None:
    assert stored["valid"][item] == 1
    for name in stored.keys() - but:
        np.testing.assert_array_equal(np.asarray(made.arrays[name]), stored[name][item], strict=True, err_msg=name)


def test_what_is_not_stored_is_in_the_pair_all_the_same() -> None:
    config = photo_pairs_config.Convolve.model_validate(
        {"size": 16, "psf_size": 9, "store_psf": False, "motion": SHORT}
    )
    assert convolve_pair.make(PHOTO, config).arrays["psf"].shape == (9, 9)


def test_a_photo_that_is_too_small_is_refused() -> None:
    config = photo_pairs_config.Convolve.model_validate({"size": 64, "psf_size": 9, "motion": SHORT})
    with pytest.raises(errors.InputError):
        convolve_pair.make(PHOTO, config)


def test_draws_of_items_are_those_of_each_alone() -> None:
    config = photo_pairs_config.Convolve.model_validate({"size": 16, "psf_size": 9, "motion": SHORT})
    draws = convolve_pair.draw(config, 3, np.array([5, 900, 7]))
    alone = functools.partial(convolve_pair.make, PHOTO, config, seed=3)
    for row, item in enumerate((5, 900, 7)):
        assert np.array_equal(draws.pair(row, PHOTO).blurred, alone(item=item).blurred)


SHORT = {"steps": 50, "length": 5}
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
