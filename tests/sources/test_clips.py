"""Which files and folders are clips, and what is wrong with those that are not."""

import os
import pathlib
import pickle

import clip_files
import numpy as np
import pytest
from PIL import Image

from blursynth import errors
from blursynth.media import decode, picture
from blursynth.sources import clip_files as sources_clip_files
from blursynth.sources import clips, readers


def frame_folder(folder: pathlib.Path, count: int = 5, first: int = 7) -> pathlib.Path:
    folder.mkdir(parents=True)
    for k, frame in enumerate(clip_files.moving(count)):
        Image.fromarray(frame).save(folder / f"{first + k:06d}.png")
    return folder


def test_folders_of_clips_in_order(tmp_path: pathlib.Path) -> None:
    frame_folder(tmp_path / "train" / "GOPR1_07_00")
    frame_folder(tmp_path / "test" / "GOPR2_11_00", 3)
    clip_files.write(
        tmp_path / "more" / "b.mp4" if (tmp_path / "more").mkdir() is None else tmp_path, clip_files.moving(4)
    )
    (tmp_path / "notes.txt").write_text("no clip")
    (tmp_path / "broken.mov").write_bytes(b"x" * 500)
    found = clips.scan([tmp_path])
    assert [clip.name for clip in found.clips] == ["more/b.mp4", "test/GOPR2_11_00", "train/GOPR1_07_00"]
    assert [clip.frames for clip in found.clips] == [4, 3, 5]
    assert [left.name for left in found.skipped] == ["broken.mov"]
    assert len({clip.source.sha256 for clip in found.clips}) == 3
    again = clips.scan([tmp_path / "more", tmp_path / "test"])
    assert [clip.name for clip in again.clips] == ["more/b.mp4", "test/GOPR2_11_00"]
    assert clips.scan([tmp_path / "more" / "b.mp4"]).clips[0].name == "b.mp4"
    assert clips.scan([tmp_path / "test" / "GOPR2_11_00"]).clips[0].name == "GOPR2_11_00"


def test_frames_of_a_folder(tmp_path: pathlib.Path) -> None:
    folder = frame_folder(tmp_path / "a")
    (folder / "000009.png").write_bytes((folder / "000009.png").read_bytes()[:900])
    clip = clips.scan([folder]).clips[0]
    assert (clip.height, clip.width, clip.frames, clip.rate) == (48, 64, 5, 240)
    made = clip_files.moving(5)
    read = list(pickle.loads(pickle.dumps(clip)).open().frames(1, 4))
    assert read[1] is decode.Loss.DAMAGED
    for frame, expected in ((read[0], made[1]), (read[2], made[3])):
        assert isinstance(frame, picture.Picture)
        assert np.array_equal(frame.planes[0], expected)


def test_a_frame_that_is_gone_or_changed_is_no_damaged_one(tmp_path: pathlib.Path) -> None:
    folder = frame_folder(tmp_path / "a")
    scanned = clips.scan([folder])
    listed = [clip.record for clip in scanned.clips]
    (clip,), path = scanned.clips, folder / "000009.png"
    data = path.read_bytes()
    for change in (path.unlink, lambda: path.write_bytes(data[:-1]), lambda: path.write_bytes(b"x" + data[1:])):
        change()
        (known,) = clips.recorded([folder], listed, sources_clip_files.DECLARED) if path.exists() else (clip,)
        for each in (clip, known):
            with pytest.raises(errors.SourceError, match=str(folder)):
                list(each.open().frames(0, 5))
        assert clip.changed() is not None
        path.write_bytes(data)
    (known,) = clips.recorded([folder], listed, sources_clip_files.DECLARED)
    for each in (clip, known):
        assert all(isinstance(frame, picture.Picture) for frame in each.open().frames(0, 5))
        assert each.changed() is None


def test_folders_that_cannot_be_used(tmp_path: pathlib.Path) -> None:
    gap = frame_folder(tmp_path / "gap")
    (gap / "000009.png").unlink()
    mixed = frame_folder(tmp_path / "mixed")
    Image.new("RGB", (30, 20)).save(mixed / "000010.png")
    unnumbered = frame_folder(tmp_path / "unnumbered")
    Image.new("RGB", (64, 48)).save(unnumbered / "cover.png")
    twice = frame_folder(tmp_path / "twice")
    Image.new("RGB", (64, 48)).save(twice / "x7.png")
    published = frame_folder(tmp_path / "GOPR1_07_00" / "blur_gamma")
    dangling = frame_folder(tmp_path / "dangling")
    (dangling / "000009.png").unlink()
    (dangling / "000009.png").symlink_to("nowhere.png")
    (tmp_path / "empty").mkdir()
    for path, words in (
        (gap, "number 9 is not there"),
        (mixed, r"000010.png is 30x20 px and the frames before it are 64x48"),
        (unnumbered, "cover.png has no number"),
        (twice, "the same number"),
        (published, "GOPRO_Large_all"),
        (tmp_path / "empty", "no video file and no folder of frames"),
        (tmp_path / "nowhere", "There is no file or folder"),
    ):
        with pytest.raises(errors.InputError, match=words):
            clips.scan([path])
    with pytest.raises(errors.SourceError, match=r"000009\.png is a link"):
        clips.scan([dangling])


def test_readers_are_lent_where_they_stand(tmp_path: pathlib.Path) -> None:
    options = {"crf": "30", "preset": "veryfast", "g": "20", "sc_threshold": "0"}
    clip = clips.scan([clip_files.write(tmp_path / "a.mp4", clip_files.moving(60), options=options)]).clips[0]
    pool = readers.Readers()
    with pool.lent(clip, 0) as first, pool.lent(clip, 30) as second:
        assert first is not second
        list(first.frames(0, 5))
        list(second.frames(30, 40))
    for number, expected in ((12, first), (40, second), (5, None)):
        with pool.lent(clip, number) as reader:
            assert expected is None or reader is expected
            list(reader.frames(number, number + 1))
    assert pickle.loads(pickle.dumps(pool))._idle == []


def test_what_is_neither_a_video_nor_a_frame_is_listed(tmp_path: pathlib.Path) -> None:
    folder = frame_folder(tmp_path / "clips" / "a")
    clip_files.write(folder / "inside.mp4", clip_files.moving(3))
    frame_folder(folder / "below", 2)
    clip_files.write(tmp_path / "clips" / "b.mp4", clip_files.moving(3))
    (tmp_path / "clips" / "c.braw").write_bytes(b"x")
    os.mkfifo(tmp_path / "clips" / "d.mov")
    (tmp_path / "clips" / "loop").symlink_to(tmp_path / "clips")
    found = clips.scan([tmp_path / "clips"])
    assert [clip.name for clip in found.clips] == ["a", "b.mp4"]
    assert [left.name for left in found.skipped] == [
        "c.braw",
        "d.mov",
        "a/below/000007.png",
        "a/below/000008.png",
        "a/inside.mp4",
    ]
    os.mkfifo(folder / "000012.png")
    assert "a/000012.png is a pipe" in str(clips.scan([tmp_path / "clips"]).skipped)
    with pytest.raises(errors.InputError, match=r"000012\.png is a pipe"):
        clips.scan([folder])
