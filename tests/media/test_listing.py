"""Which files of a folder are listed, and why others are not."""

import os
import pathlib
import socket

import pytest

from blursynth import errors
from blursynth.media import listing, source_file
from blursynth.sources import clips, photos


def fill(folder: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"content")
    return folder


def test_every_kind_of_entry_is_listed_or_left_out_with_its_reason(tmp_path: pathlib.Path) -> None:
    root = fill(tmp_path / "root", "b/z.PNG", "a.jpg", "clip.MOV", "notes.txt", "no_ending", "c/phone.HEIC", "raw.braw")
    fill(root, ".hidden.png", ".cache/thumb.png", "__MACOSX/x.png", "b/._z.png")
    fill(tmp_path / "elsewhere", "far.png")
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as bound:
        here = pathlib.Path.cwd()
        os.chdir(root)  # the name of a socket is short
        try:
            bound.bind("socket.jpg")
        finally:
            os.chdir(here)
    (root / "null.png").symlink_to("/dev/null")
    (root / "circle.png").symlink_to("circle.png")
    (root / "away.txt").symlink_to(tmp_path / "not mounted")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    (root / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    found = listing.files(root, listing.PHOTOS, listing.VIDEOS)
    assert found.names == ("a.jpg", "b/z.PNG", "clip.MOV", "linked/far.png")
    assert {each.name: each.reason for each in found.left_out} == {
        "c/phone.HEIC": "is a .heic file, which cannot be read; convert it to PNG, TIFF or JPEG",
        "caf\\xe9.png": listing.NOT_TEXT,
        "circle.png": "is a link in a circle",
        "null.png": "is a pipe, a socket or a device",
        "pipe.png": "is a pipe, a socket or a device",
        "raw.braw": "is a .braw file, which cannot be read; convert it to MP4 or Matroska",
        "socket.jpg": "is a pipe, a socket or a device",
    }
    assert found.others == (("", 1), (".txt", 2))


@pytest.mark.parametrize("name", ["away", "2025.07", "a.png", "b/c.MOV", "d.jpg"])
def test_a_link_to_what_is_not_there_is_no_smaller_folder(name: str, tmp_path: pathlib.Path) -> None:
    """It may be a file that is looked for, or a folder of them, on a disk that is not mounted."""
    root = fill(tmp_path / "root", "x.png", "b/y.png")
    (root / name).symlink_to(tmp_path / "not mounted")
    with pytest.raises(errors.SourceError, match=f"{name} is a link to {tmp_path}/not mounted"):
        listing.files(root, listing.PHOTOS, listing.VIDEOS)
    with pytest.raises(errors.SourceError, match=name):
        listing.files(root)
    (tmp_path / "not mounted").mkdir()
    assert listing.files(root, listing.PHOTOS, listing.VIDEOS).names == ("b/y.png", "x.png")


def test_one_folder_alone_and_files_of_any_kind(tmp_path: pathlib.Path) -> None:
    fill(tmp_path, "a.png", "b/c.png", "d.tar", ".e")
    assert listing.files(tmp_path, listing.PHOTOS, deep=False).names == ("a.png",)
    assert listing.files(tmp_path).names == ("a.png", "b/c.png", "d.tar")
    assert [listing.is_hidden(name) for name in (".a/b.png", "a/__MACOSX/b", "__MACOSX2/b", "a/b")] == [1, 1, 0, 0]


def test_a_pipe_that_is_named_is_refused(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for read in (photos.scan, lambda path: clips.scan([path]), source_file.require_file):
        with pytest.raises(errors.InputError, match="is a FIFO"):
            read(tmp_path / "pipe.png")


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_an_empty_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a.png", "away/b.png")
    iterdir = pathlib.Path.iterdir

    def gone(path: pathlib.Path) -> object:
        if path.name == "away":
            raise OSError(116, "Stale file handle", str(path))
        return iterdir(path)

    monkeypatch.setattr(pathlib.Path, "iterdir", gone)
    with pytest.raises(errors.SourceError, match="away"):
        listing.files(tmp_path, listing.PHOTOS)


def test_every_usual_ending_of_photos_and_clips_is_taken_or_left_out(tmp_path: pathlib.Path) -> None:
    taken = (
        ".qt .f4v .3g2 .asf .264 .265 .h265 .mqv .ivf .mjpeg .nut .mxf .y4m .ogv .vob .mp4 .pbm .dib .apng .jpx .jpg"
    )
    listed = ".lrv .360 .r3d .exr .hdr .pfm .tga .psd .dds .pcx .pam .dng .avif"
    fill(tmp_path, *(f"a{ending}" for ending in [*taken.split(), *listed.split()]))
    found = listing.files(tmp_path, listing.PHOTOS, listing.VIDEOS)
    assert not found.others
    assert {each.name for each in found.left_out} == {f"a{ending}" for ending in listed.split()}
    assert not listing.PHOTOS.endings & listing.PHOTOS.unsupported
    assert not listing.VIDEOS.endings & listing.VIDEOS.unsupported
