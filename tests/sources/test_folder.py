"""Photo folders."""

import hashlib
import os
import pathlib
import pickle
import shutil

import numpy
import pytest

from blursynth import errors
from blursynth.media import photos as media
from blursynth.sources import photos, source

RNG = numpy.random.default_rng(7)


def photo(path: pathlib.Path, height: int = 6, width: int = 9) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    media.write_png(path, RNG.integers(0, 256, (height, width, 3), dtype=numpy.uint8))
    return path


def names(folder: photos.PhotoFolder) -> list[str]:
    return [each.name for each in folder.sources]


def test_a_folder_is_searched_to_the_bottom_in_order_of_names(tmp_path):
    for name in ("b.png", "a/z.png", "a/deep/er/x.PNG", "Z.png", "a.png"):
        photo(tmp_path / name)
    folder = photos.scan(tmp_path)
    assert names(folder) == ["Z.png", "a.png", "a/deep/er/x.PNG", "a/z.png", "b.png"]
    assert folder.skipped == ()


def test_a_source_says_what_its_file_is(tmp_path):
    path = photo(tmp_path / "sub" / "one.png", height=5, width=8)
    (only,) = photos.scan(tmp_path).sources
    content = path.read_bytes()
    assert only == source.Source("sub/one.png", hashlib.sha256(content).hexdigest(), 5, 8, len(content))


def test_read_gives_the_photo(tmp_path):
    for name in ("one.png", "two.png"):
        photo(tmp_path / name)
    folder = pickle.loads(pickle.dumps(photos.scan(tmp_path)))
    assert numpy.array_equal(folder.read(1), media.read(tmp_path / "two.png"))


def test_a_photo_that_changed_or_went_is_no_damaged_one(tmp_path):
    path = photo(tmp_path / "one.png", height=6, width=9)
    folder, data = photos.scan(tmp_path), path.read_bytes()
    for change in (lambda: photo(path, height=4), lambda: path.write_bytes(data[:-1]), path.unlink):
        change()
        with pytest.raises(errors.SourceError, match=str(path)):
            folder.read(0)
        assert folder.changed(0) is not None
    path.write_bytes(data)
    assert folder.changed(0) is None
    assert folder.read(0).shape == (6, 9, 3)


def test_a_file_too_large_to_be_a_photo_is_left_out_unread(tmp_path):
    photo(tmp_path / "one.png")
    with (tmp_path / "disk.png").open("wb") as file:
        file.truncate(2**33)
    assert [each.name for each in photos.scan(tmp_path).skipped] == ["disk.png"]


def test_hidden_and_foreign_files_are_passed_over(tmp_path):
    photo(tmp_path / "photo.png")
    for name in (".hidden.png", ".cache/thumb.png", "__MACOSX/photo.png", "sub/._photo.png"):
        photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a photo")
    (tmp_path / "no_ending").write_text("nor this")
    folder = photos.scan(tmp_path)
    assert names(folder) == ["photo.png"]
    assert folder.skipped == ()


def test_links_are_followed_and_loops_end(tmp_path):
    photo(tmp_path / "root" / "photo.png")
    photo(tmp_path / "elsewhere" / "far.png")
    (tmp_path / "root" / "again").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "elsewhere").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "linked.png").symlink_to(tmp_path / "elsewhere" / "far.png")
    (tmp_path / "root" / "self.png").symlink_to("self.png")
    folder = photos.scan(tmp_path / "root")
    assert names(folder) == ["elsewhere/far.png", "linked.png", "photo.png"]
    assert [each.name for each in folder.skipped] == ["self.png"]
    (tmp_path / "root" / "dangling.png").symlink_to("nowhere.png")
    with pytest.raises(errors.SourceError, match=r"dangling\.png"):
        photos.scan(tmp_path / "root")


def test_pipes_are_passed_over(tmp_path):
    photo(tmp_path / "photo.png")
    os.mkfifo(tmp_path / "pipe.png")
    folder = photos.scan(tmp_path)
    assert names(folder) == ["photo.png"]
    assert folder.skipped == (source.Skipped("pipe.png", "is a pipe, a socket or a device"),)


def test_what_looks_like_a_photo_and_is_none_is_listed_with_its_reason(tmp_path):
    photo(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    (tmp_path / "phone.HEIC").write_bytes(b"something")
    folder = photos.scan(tmp_path)
    assert names(folder) == ["good.png"]
    reasons = {each.name: each.reason for each in folder.skipped}
    assert sorted(reasons) == ["bad.jpg", "phone.HEIC"]
    assert reasons["bad.jpg"].startswith("is not a photo")
    assert "convert it" in reasons["phone.HEIC"]
    assert not any(str(tmp_path) in reason for reason in reasons.values())


def test_a_name_that_is_no_text_is_skipped(tmp_path):
    photo(tmp_path / "good.png")
    try:
        shutil.copy(tmp_path / "good.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this file system keeps names that are not UTF-8 out by itself")
    folder = photos.scan(tmp_path)
    assert [each.name for each in folder.skipped] == ["caf\\xe9.png"]


def test_the_number_of_threads_changes_nothing(tmp_path):
    for number in range(12):
        photo(tmp_path / f"{number}.png", height=number + 1)
    assert photos.scan(tmp_path, workers=1) == photos.scan(tmp_path, workers=5)


def test_one_photo_is_a_collection_of_one(tmp_path):
    path = photo(tmp_path / "photo.png")
    folder = photos.scan(str(path))
    assert names(folder) == ["photo.png"]
    assert numpy.array_equal(folder.read(0), media.read(path))


def test_nothing_to_use_is_an_error_that_names_the_endings(tmp_path):
    with pytest.raises(errors.InputError, match="There is no file or folder"):
        photos.scan(tmp_path / "absent")
    with pytest.raises(errors.InputError, match=r"has no photo, .*\.jpeg .*\.png"):
        photos.scan(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(errors.InputError, match=r"1 were left out, the first bad\.png \(is not a photo.*\.tif"):
        photos.scan(tmp_path)
    with pytest.raises(errors.InputError, match="is not a photo"):
        photos.scan(tmp_path / "bad.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_forbidden_folder_or_file_is_an_error(tmp_path):
    photo(tmp_path / "photo.png")
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(errors.SourceError, match="closed"):
        photos.scan(tmp_path)
    (tmp_path / "closed").rmdir()
    photo(tmp_path / "mine.png").chmod(0)
    with pytest.raises(errors.SourceError, match=r"mine\.png"):
        photos.scan(tmp_path)


def test_real_folders(shared_data):
    folder = photos.scan(shared_data / "photos" / "kodak")
    assert names(folder) == [f"{number:02}.png" for number in range(1, 13)]
    assert {tuple(sorted((each.height, each.width))) for each in folder.sources} == {(512, 768)}
    bad = photos.scan(shared_data / "bad_images")
    assert len(bad.sources) + len(bad.skipped) == 35
    assert "pillow/libtiff_segfault.tif" in [each.name for each in bad.skipped]
