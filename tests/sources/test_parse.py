"""What a command line may name as its sources."""

import numpy
import pytest

from blursynth import errors, sources
from blursynth.media import photos as media
from blursynth.sources import photos, scenes


def test_scenes_by_number():
    assert sources.parse("scenes:200", seed=4, size=96) == scenes.Scenes(200, 96, 4)


def test_a_folder_and_a_photo(tmp_path):
    media.write_png(tmp_path / "photo.png", numpy.zeros((4, 4, 3), numpy.uint8))
    folder = sources.parse(tmp_path)
    assert isinstance(folder, photos.PhotoFolder)
    assert folder == sources.parse(str(tmp_path / "photo.png"))


@pytest.mark.parametrize("text", ["scenes:x", "scenes:", "scenes:-3", "scenes:0", "scenes:1.5", "scenes:99999999999"])
def test_scenes_without_a_number_are_refused(text):
    with pytest.raises(errors.InputError, match="expected"):
        sources.parse(text)


def test_scenes_too_small_to_show_anything_are_refused():
    with pytest.raises(errors.InputError, match="at least 32"):
        sources.parse("scenes:1", size=8)


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(errors.InputError, match="no file or folder"):
        sources.parse(tmp_path / "absent")
