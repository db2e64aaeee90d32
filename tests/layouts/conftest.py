"""Datasets to export."""

import kinds
import numpy as np
import pytest

from blursynth.makers import convolve
from blursynth.production import run
from blursynth.storage import reader


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> reader.Dataset:
    """Forty pairs of 24x24 of seven photos and one that cannot be read, in all three splits; six splits each."""
    folder = tmp_path_factory.mktemp("pairs")
    asked = kinds.PAIRS | {"per_photo": 6, "splits": "train=0.5,val=0.25,test=0.25"}
    run.produce(convolve.maker(str(kinds.photos(folder / "photos")), asked), folder / "pairs.zarr")
    dataset = reader.open(folder / "pairs.zarr")
    assert dataset.items == 42
    assert dataset.attributes["items"] == 48
    assert set(np.unique(dataset.columns["split"])) == {0, 1, 2}
    return dataset
