"""Files that are damaged or end early: named or refused, whatever their container."""

import pathlib

import av
import clip_files
import numpy as np
import pytest

from blursynth import errors
from blursynth.media import containers, decode, video

H264 = {"crf": "20", "preset": "veryfast", "g": "12"}
MPEG = {"q:v": "3"}
KINDS = {
    "a.mp4": ("libx264", "yuv420p", H264),
    "fragments.mp4": ("libx264", "yuv420p", H264),
    "a.mkv": ("libx264", "yuv420p", H264),
    "a.webm": ("libvpx-vp9", "yuv420p", {"crf": "20", "deadline": "realtime", "cpu-used": "8"}),
    "a.avi": ("mpeg4", "yuv420p", MPEG),
    "a.flv": ("flv", "yuv420p", MPEG),
    "a.ts": ("libx264", "yuv420p", H264),
    "a.m2ts": ("libx264", "yuv420p", H264),
    "a.mpg": ("mpeg2video", "yuv420p", MPEG),
    "a.wmv": ("wmv2", "yuv420p", MPEG),
    "a.ogv": ("libvpx", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
    "a.h264": ("libx264", "yuv420p", H264),
}
RAW = {"a.ts", "a.m2ts", "a.h264"}  # do not state their length


def made(path: pathlib.Path) -> bytes:
    """A clip of 60 noisy frames in the container of its name."""
    codec, pixels, options = KINDS[path.name]
    codes = clip_files.moving(60, 96, 128).astype(int)
    codes = np.clip(codes + np.random.default_rng(0).integers(-6, 7, codes.shape), 0, 255).astype(np.uint8)
    rate = 25 if path.suffix == ".mpg" else 240
    if path.name != "fragments.mp4":
        return clip_files.write(path, codes, codec=codec, pixels=pixels, options=options, rate=rate).read_bytes()
    whole = clip_files.write(path.with_name("whole.mp4"), codes, codec=codec, options=options)
    moving = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(whole)) as source, av.open(str(path), "w", options=moving) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return path.read_bytes()


def outcome(path: pathlib.Path) -> str:
    """What becomes of a file: refused, damaged (as its container tells), lost (frames of it), or nothing."""
    try:
        index = video.index(path)
    except errors.InputError:
        return "refused"
    if index.damage or index.missing:
        return "damaged"
    frames = decode.Reader(index).frames(0, index.frames)
    return "lost" if any(isinstance(frame, decode.Loss) for frame in frames) else "nothing"


@pytest.mark.parametrize("name", KINDS)
def test_whole_files_are_whole_and_cut_ones_are_not(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    whole = made(path)
    assert containers.flaw(path) is None
    assert outcome(path) == "nothing"
    for share in (0.3, 0.5, 0.77, 0.9):
        length = int(len(whole) * share)
        path.write_bytes(whole[: length - length % 188 - 7 if name in RAW else length])
        assert outcome(path) != "nothing", share
    path.write_bytes(whole[:-1])
    assert name in RAW or outcome(path) != "nothing"


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"a.wmv"}))
def test_a_zeroed_block_is_seen(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    whole = made(path)
    for share in (0.3, 0.5, 0.7):
        begin = int(len(whole) * share)
        path.write_bytes(whole[:begin] + bytes(len(whole) // 15) + whole[begin + len(whole) // 15 :])
        assert outcome(path) != "nothing", share


@pytest.mark.parametrize("name", ["a.mkv", "a.ogv"])
def test_a_flipped_bit_is_seen_where_there_are_checksums(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    whole = made(path)
    for place in np.linspace(0.2, 0.8, 7) * len(whole):
        hurt = bytearray(whole)
        hurt[int(place)] ^= 4
        path.write_bytes(hurt)
        assert outcome(path) != "nothing", place


@pytest.mark.parametrize(
    ("name", "mark"), [("a.mkv", b"\x1f\x43\xb6\x75"), ("a.avi", b"00dc"), ("fragments.mp4", b"moof")]
)
def test_a_flipped_bit_of_a_structure_is_seen(tmp_path: pathlib.Path, name: str, mark: bytes) -> None:
    path = tmp_path / name
    whole = made(path)
    places = [at for at in range(len(whole) // 4, len(whole) - 4) if whole.startswith(mark, at)]
    hurt = bytearray(whole)
    hurt[places[len(places) // 2]] ^= 0x10
    path.write_bytes(hurt)
    assert outcome(path) != "nothing"


def test_packets_that_are_missing_in_a_transport_stream(tmp_path: pathlib.Path) -> None:
    whole = made(tmp_path / "a.ts")
    for count in (1, 5):
        (tmp_path / "a.ts").write_bytes(whole[: 188 * 40] + whole[188 * (40 + count) :])
        assert outcome(tmp_path / "a.ts") == "damaged"


def test_what_cameras_append_is_no_damage(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(made(path) + b"\x00\x00\x00\x00no box, but whatever a camera writes behind its recording")
    assert containers.flaw(path) is None


@pytest.mark.parametrize("name", ["a.ts", "a.m2ts", "a.mpg", "a.h264"])
def test_files_are_checked_alike_in_small_parts(
    tmp_path: pathlib.Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    whole = made(path)
    variants = [whole, whole[: len(whole) // 2 - 3], whole[:5000] + whole[5000 + 188 * 3 :]]
    variants += [whole[:at] + bytes(300) + whole[at + 300 :] for at in (2900, 6000, 9001)]
    found = []
    for at_once in (containers._AT_ONCE, 1000):
        monkeypatch.setattr(containers, "_AT_ONCE", at_once)
        for content in variants:
            path.write_bytes(content)
            found.append(containers.flaw(path) is not None)
    assert found[: len(variants)] == found[len(variants) :]
    assert not found[0]
    assert any(found)
