"""Faults of the moment while clips are read: never data, and never a reason for a window to be left out."""

import errno
import os
import pathlib
from collections.abc import Callable
from typing import Any

import av
import clip_files
import numpy as np
import pytest

from blursynth import errors
from blursynth.makers import average_frames_request, window_columns
from blursynth.media import demux

NUMBERS = [errno.ENOENT, errno.EIO, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT]
OPTIONS = {"seed": 0, "frames": 5, "motion": False}


class Failing:
    """A function that raises an error of the operating system the first `times` times that it is called."""

    def __init__(self, plain: Callable[..., Any], number: int, times: float, after: int = 0) -> None:
        self._plain, self._number, self._times, self._after = plain, number, times, after

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self._after -= 1
        if self._after < 0 and self._times > 0:
            self._times -= 1
            raise OSError(self._number, os.strerror(self._number))
        return self._plain(*arguments, **named)


def same(made: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(np.array_equal(values, expected[name], values.dtype.kind == "f") for name, values in made.items())


@pytest.fixture
def clip(tmp_path: pathlib.Path) -> pathlib.Path:
    options = {"crf": "20", "preset": "veryfast", "g": "10"}
    return clip_files.write(tmp_path / "a.mkv", clip_files.moving(40), options=options)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("what", ["open", "whole"])
def test_a_clip_that_cannot_be_read_while_a_shard_is_made(
    clip: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    expected = average_frames_request.maker([str(clip)], OPTIONS).make(range(8))
    for times in (1, np.inf):
        maker = average_frames_request.maker([str(clip)], OPTIONS)
        if what == "open":
            monkeypatch.setattr(av, "open", Failing(av.open, number, times))
        else:
            monkeypatch.setattr(demux, "_open", _opener(number, times))
        with pytest.raises(errors.SourceError):
            maker.make(range(8))
        if times == 1:
            assert same(maker.make(range(8)), expected)
        monkeypatch.undo()


def _opener(number: int, times: float) -> Callable[[pathlib.Path], Any]:
    """Opens files that fail in the middle of being read, `times` times."""
    left = [times]
    whole = demux._open

    class Container:
        def __init__(self, path: pathlib.Path) -> None:
            self._inside = whole(path)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inside, name)

        def __enter__(self) -> "Container":
            return self

        def __exit__(self, *_: object) -> None:
            self._inside.close()

        def demux(self, *streams: Any) -> Any:
            for count, packet in enumerate(self._inside.demux(*streams)):
                if count == 7 and left[0] > 0:
                    left[0] -= 1
                    raise OSError(number, os.strerror(number))
                yield packet

    return Container  # type: ignore[return-value]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_scan_that_fails_for_good_stops_and_once_goes_on(
    clip: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(av, "open", Failing(av.open, number, np.inf))
    with pytest.raises(errors.BlursynthError) as caught:
        average_frames_request.maker([str(clip.parent)], OPTIONS)
    assert isinstance(caught.value, errors.SourceError)
    monkeypatch.undo()
    monkeypatch.setattr(av, "open", Failing(av.open, number, 1))
    assert len(average_frames_request.maker([str(clip.parent)], OPTIONS).clips) == 1


def test_a_short_read_is_no_damage(clip: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file seems to end early once; what is recorded is what it holds."""
    expected = average_frames_request.maker([str(clip)], OPTIONS).make(range(8))
    maker = average_frames_request.maker([str(clip)], OPTIONS)
    left = [1]
    plain = demux.whole

    def short(*streams: Any) -> Any:
        for count, packet in enumerate(plain(*streams)):
            if count == 12 and left[0]:
                left[0] = 0
                return
            yield packet

    monkeypatch.setattr(demux, "whole", short)
    made = maker.make(range(8))
    assert not left[0]
    assert same(made, expected)


def test_a_clip_that_is_changed_cut_or_gone(clip: pathlib.Path) -> None:
    data = clip.read_bytes()
    about = clip.stat()
    for content in (data[:-100], data[:2000] + bytes(500) + data[2500:], data[:2000], None):
        maker = average_frames_request.maker([str(clip)], OPTIONS)
        clip.unlink() if content is None else clip.write_bytes(content)
        with pytest.raises(errors.SourceError):
            maker.make(range(8))
        clip.write_bytes(data)
        os.utime(clip, ns=(about.st_atime_ns, about.st_mtime_ns))
        assert maker.make(range(8))["valid"].all()
    maker = average_frames_request.maker([str(clip)], OPTIONS)
    os.utime(clip, ns=(0, 0))  # a copy with another time, of the same bytes
    assert maker.make(range(8))["valid"].all()


def test_a_clip_that_changes_within_a_shard(clip: pathlib.Path) -> None:
    maker = average_frames_request.maker([str(clip)], OPTIONS)
    assert maker.make(range(2))["valid"].all()
    other = clip.with_name("b.mkv")
    other.write_bytes(clip.read_bytes()[:-1])
    other.replace(clip)  # the reader that is open goes on with the old one
    with pytest.raises(errors.SourceError):
        maker.make(range(2, 4))


def test_damage_is_still_damage(clip: pathlib.Path) -> None:
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    hurt = packets[13]
    assert hurt.pos is not None
    data[hurt.pos + 12 : hurt.pos + hurt.size - 4] = bytes(hurt.size - 16)
    clip.write_bytes(data)
    maker = average_frames_request.maker([str(clip)], OPTIONS | {"allow_damaged": True})
    reasons = maker.make(range(8))["reason"].tolist()
    assert window_columns.Reason.DAMAGED in reasons
    assert reasons[0] == window_columns.Reason.NONE
