"""What may stand at a path, and what the system may say of it."""

import errno
import os
import pathlib
import socket
from collections.abc import Callable

import pytest

from blursynth import errors
from blursynth.config import toml
from blursynth.makers import dataset_recipe, response_file, shake
from blursynth.media import source_file
from blursynth.sources import clip_files, clips, coco, photos, sidecars
from blursynth.stores import store
from blursynth.synthesis import gyroscope

SINGLE_FILES: dict[str, Callable[[pathlib.Path], object]] = {
    "recipe": lambda path: toml.read(path, "synthesis"),
    "make": lambda path: dataset_recipe.load(str(path)),
    "response": response_file.read,
    "gyro": lambda path: gyroscope.read(str(path)),
    "masks": coco.read,
    "any": source_file.require_file,
}
FOLDERS_TOO: dict[str, Callable[[pathlib.Path], object]] = {
    "photos": photos.scan,
    "clips": lambda path: clips.scan([path]),
    "a clip": lambda path: clip_files.one("clip", path),
    "depth": lambda path: shake.requested({"depth": str(path)}, shake.shake_config.Shake),
    "recorded": lambda path: photos.recorded(path, ()),
}
KINDS = {"FIFO": "a FIFO (named pipe)", "socket": "a socket", "device": "a device", "folder": "a folder"}


@pytest.fixture
def what(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], pathlib.Path]:
    """Makes something of each kind. A path relative to the folder: those of sockets are short."""
    monkeypatch.chdir(tmp_path)

    def make(kind: str) -> pathlib.Path:
        path = pathlib.Path(kind)
        if kind == "FIFO":
            os.mkfifo(path)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        elif kind == "device":
            path.symlink_to(os.devnull)
        else:
            path.mkdir()
        return path

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_named_by_its_kind(kind: str, what: Callable[[str], pathlib.Path]) -> None:
    path = what(kind)
    assert source_file.kind(path.stat().st_mode) == KINDS[kind]
    for read in SINGLE_FILES.values():
        with pytest.raises(errors.InputError) as raised:
            read(path)
        assert KINDS[kind] in str(raised.value)
    for name in () if kind == "folder" else ("photos", "clips"):
        with pytest.raises(errors.InputError) as raised:
            FOLDERS_TOO[name](path)
        assert KINDS[kind] in str(raised.value)
    with pytest.raises(errors.SourceError) as in_its_place:
        source_file.read(path)
    assert KINDS[kind] in str(in_its_place.value)
    if kind != "folder":
        with pytest.raises(errors.StorageError) as stored:
            store.require_plain(os.getcwd(), path.name)  # noqa: PTH109
        assert KINDS[kind] in str(stored.value)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_path_of_which_the_system_does_not_say_what_it_is(
    number: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "away"
    path.write_text("content")
    look = pathlib.Path.stat

    def stat(self: pathlib.Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self == path:
            raise OSError(number, os.strerror(number), str(self))
        return look(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(pathlib.Path, "stat", stat)
    for read in [*SINGLE_FILES.values(), *FOLDERS_TOO.values(), source_file.is_folder, source_file.exists]:
        with pytest.raises(errors.SourceError) as raised:
            read(path)
        assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["recipe", "make", "response", "gyro", "masks"])
def test_bytes_that_cannot_be_read(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "away"
    path.write_text("content")

    def raw(*_: object) -> tuple[bytes, int]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(source_file, "raw", raw)
    with pytest.raises(errors.SourceError, match="away"):
        SINGLE_FILES[name](path)


def test_where_there_is_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for nothing in (tmp_path / "none", tmp_path / "file" / "below", "a\0b"):
        assert source_file.status_if_any(nothing) is None
        source_file.require_file(nothing)
    assert [source_file.is_file(tmp_path / "file"), source_file.is_folder(tmp_path / "file")] == [True, False]
    assert [source_file.is_file(tmp_path), source_file.is_folder(tmp_path)] == [False, True]
    assert source_file.names(tmp_path) == ["file", "link"]
    for refused in (source_file.exists, source_file.is_folder, source_file.is_file, source_file.require_file):
        with pytest.raises(errors.SourceError, match="link"):
            refused(tmp_path / "link")
    with pytest.raises(errors.SourceError, match="none"):
        source_file.names(tmp_path / "none")


def test_depth_maps_whose_folder_cannot_be_listed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listdir(path: object) -> list[str]:
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(errors.SourceError, match=tmp_path.name):
        sidecars._listed(tmp_path)
