"""What Matroska and WebM files say of their pictures, each row of docs/declarations/video.md on a file that has it."""

import pathlib
import struct

import av
import clip_files
import mkv_files
import mp4_files
import numpy as np
import pytest

from blursynth import errors
from blursynth.media import picture, video

COLOUR, PROJECTION, ALPHA, GAMMA, INTERLACED = 0x55B0, 0x7670, 0x53C0, 0x2FB523, 0x9A


@pytest.fixture
def plain(tmp_path: pathlib.Path) -> pathlib.Path:
    whole = clip_files.write(tmp_path / "whole.mp4", clip_files.moving(6), options={"bf": "0", "crf": "12"})
    return mp4_files.remuxed(whole, tmp_path / "a.mkv", {})


def colour(**numbers: int) -> bytes:
    places = {"matrix": 0x55B1, "levels": 0x55B9, "transfer": 0x55BA, "primaries": 0x55BB}
    places |= {"brightest": 0x55BC, "mean": 0x55BD}
    return b"".join(mkv_files.element(places[name], value.to_bytes(2, "big")) for name, value in numbers.items())


def pose(kind: int, *angles: float) -> bytes:
    parts = [mkv_files.element(0x7673 + k, struct.pack(">f", angle)) for k, angle in enumerate(angles)]
    return mkv_files.element(0x7671, bytes([kind])) + b"".join(parts)


def mastered() -> bytes:
    values = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 1000, 0.001)
    inside = b"".join(mkv_files.element(0x55D1 + k, struct.pack(">f", value)) for k, value in enumerate(values))
    return mkv_files.element(0x55D0, inside)


REFUSED = {
    "linear gamma": (GAMMA, struct.pack(">f", 1)),
    "gamma in 8 bytes": (GAMMA, struct.pack(">d", 1.8)),
    "gamma that is none": (GAMMA, b"\1\2\3"),
    "pitch": (PROJECTION, pose(0, 0, 90, 0)),
    "half a turn of pitch": (PROJECTION, pose(0, 180, 180, 0)),
    "yaw": (PROJECTION, pose(0, 45, 0, 0)),
    "any angle": (PROJECTION, pose(0, 0, 0, 45)),
    "matrix": (COLOUR, colour(matrix=99)),
    "transfer": (COLOUR, colour(transfer=99)),
    "primaries": (COLOUR, colour(primaries=99)),
    "levels": (COLOUR, colour(levels=3)),
    "mastering display": (COLOUR, mastered()),
    "brightest pixel": (COLOUR, colour(brightest=1000, mean=400)),
}
TAKEN = {
    "opaque": (ALPHA, b"\0"),
    "alpha without blocks of it, as browsers record": (ALPHA, b"\1"),
    "gamma": (GAMMA, struct.pack(">f", 2.2)),
    "upright": (PROJECTION, pose(0, 0, 0, 0)),
    "mirrored": (PROJECTION, pose(0, 180, 0, 0)),
    "a sphere": (PROJECTION, pose(1, 45, 30, 0)),
    "mastered, and said to be SDR": (COLOUR, mastered() + colour(transfer=1)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nothing_treats_is_refused(plain: pathlib.Path, name: str) -> None:
    assert video.index(plain).frames == 6
    with pytest.raises(errors.InputError):
        video.index(mkv_files.in_video(plain, *REFUSED[name]))


@pytest.mark.parametrize("name", TAKEN)
def test_what_changes_nothing_is_taken(plain: pathlib.Path, name: str) -> None:
    index = video.index(mkv_files.in_video(plain, *TAKEN[name]))
    assert index.frames == 6
    assert index.orientation == picture.Orientation(0, name == "mirrored")


@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("behind", [False, True])
def test_ordered_chapters_are_refused(plain: pathlib.Path, flag: int, behind: bool) -> None:
    def change(parts: mkv_files.Elements) -> None:
        segment = mkv_files.find(parts, mkv_files.SEGMENT)[1]
        times = mkv_files.element(0x91, bytes(4)) + mkv_files.element(0x92, struct.pack(">I", 12_000_000))
        atom = mkv_files.element(0xB6, mkv_files.element(0x73C4, b"\1") + times)
        edition = mkv_files.element(0x45B9, mkv_files.element(0x45DD, bytes([flag])) + atom)
        segment.insert(len(segment) if behind else 0, [mkv_files.CHAPTERS, edition])

    mkv_files.changed(plain, change)
    if flag:
        with pytest.raises(errors.InputError):
            video.index(plain)
    else:
        assert video.index(plain).frames == 6


def test_only_the_track_that_is_taken_counts(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.mkv"
    for track in range(3):
        with av.open(str(path), "w") as out:
            tracks = []
            for width, count in ((128, 3), (64, 9), (32, 9)):
                stream = out.add_stream("mpeg4", rate=240)
                stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
                tracks.append((stream, clip_files.moving(count, 48, width)))
            for stream, frames in tracks:
                for codes in frames:
                    shaped = av.VideoFrame.from_ndarray(np.ascontiguousarray(codes), format="rgb24")
                    out.mux(stream.encode(shaped.reformat(format="yuv420p")))
                out.mux(stream.encode(None))
        mkv_files.in_video(path, INTERLACED, b"\1", track)
        if track == 1:
            with pytest.raises(errors.InputError):
                video.index(path)
        else:
            assert video.index(path).width == 64


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparent_webm_is_refused(tmp_path: pathlib.Path, codec: str) -> None:
    """FFmpeg's own decoders leave the second picture out that holds the transparency."""
    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=240, options={"auto-alt-ref": "0", "deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        for codes in clip_files.moving(3):
            layers = np.dstack([codes, np.full((48, 64), 60, np.uint8)])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(layers, format="rgba").reformat(format="yuva420p")))
        out.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).format.name == "yuv420p"
    with pytest.raises(errors.InputError):
        video.index(path)


@pytest.mark.parametrize(("matrix", "full"), [(1, True), (1, False), (6, True), (None, False)])
def test_vp8_is_as_its_container_says(tmp_path: pathlib.Path, matrix: int | None, full: bool) -> None:
    path = clip_files.write(tmp_path / "a.webm", clip_files.moving(3), codec="libvpx", options={"deadline": "realtime"})
    if matrix is not None:
        mkv_files.in_video(path, COLOUR, colour(matrix=matrix, levels=1 + full))
    coding = video.index(path).coding
    assert coding is not None
    assert (coding.matrix, coding.full_range) == ("bt709" if matrix == 1 else "bt601", full)
