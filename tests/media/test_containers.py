"""Files that are damaged or end early: named or refused, whatever their container."""

import errno
import pathlib
import struct
from collections.abc import Iterator

import av
import clip_files
import numpy as np
import pytest

from blursynth import errors
from blursynth.makers import average_frames_request
from blursynth.media import containers, decode, program_stream, video

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
    "a.mxf": ("mpeg2video", "yuv420p", MPEG),
    "a.ivf": ("libvpx", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
    "b.ivf": ("libvpx-vp9", "yuv420p", {"crf": "20", "deadline": "realtime", "cpu-used": "8"}),
    "a.y4m": ("wrapped_avframe", "yuv420p", {}),
    "a.mjpeg": ("mjpeg", "yuvj420p", MPEG),
    "a.mov": ("mpeg4", "yuv420p", MPEG),
    "a.3gp": ("mpeg4", "yuv420p", MPEG),
    "a.vob": ("mpeg2video", "yuv420p", MPEG),
    "a.ogv": ("libvpx", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
    "a.h264": ("libx264", "yuv420p", H264),
    "a.hevc": ("libx265", "yuv420p", {"preset": "veryfast", "x265-params": "log-level=none"}),
}
UNCHECKED = {
    "a.nut": ("mpeg4", "yuv420p", MPEG),
    "a.rm": ("rv20", "yuv420p", MPEG),
    "a.swf": ("flv", "yuv420p", MPEG),
    "a.m2v": ("mpeg2video", "yuv420p", MPEG),
}
RAW = {"a.ts", "a.m2ts", "a.h264"}  # do not state their length


def made(path: pathlib.Path) -> bytes:
    """A clip of 60 noisy frames in the container of its name."""
    codec, pixels, options = (KINDS | UNCHECKED)[path.name]
    codes = clip_files.moving(60, 96, 128).astype(int)
    codes = np.clip(codes + np.random.default_rng(0).integers(-6, 7, codes.shape), 0, 255).astype(np.uint8)
    rate = 25 if path.suffix in (".mpg", ".mxf", ".vob", ".rm", ".m2v") else 240
    if path.name != "fragments.mp4":
        clip_files.write(path, codes, codec=codec, pixels=pixels, options=options, rate=rate)
        if path.suffix in (".mpg", ".vob"):
            path.write_bytes(path.read_bytes() + b"\0\0\1\xb9")  # which FFmpeg's muxer leaves out
        return path.read_bytes()
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


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"a.hevc"}))
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


def damaged(whole: bytes, step: int) -> Iterator[tuple[str, bytes]]:
    """Copies that are cut, end in zeros, or have a hole of zeros. step: lengths are cut to no multiple of it."""
    for share in (0.3, 0.5, 0.6, 0.77, 0.9):
        at = int(len(whole) * share)
        at -= at % step - 7 if step > 1 else 0
        yield f"cut at {share}", whole[:at]
        yield f"zeros from {share}", whole[:at] + bytes(len(whole) - at)
        for length in (300, len(whole) // 15):
            yield f"hole of {length} at {share}", whole[:at] + bytes(length) + whole[at + length :]


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"a.h264", "a.hevc"}))
def test_no_frame_is_lost_in_silence(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    whole = made(path)
    for what, content in damaged(whole, 188 if name in RAW else 1):
        path.write_bytes(content)
        assert outcome(path) != "nothing" or video.index(path).frames == 60, what


@pytest.mark.parametrize("name", ["a.h264", "a.hevc"])
def test_holes_of_raw_streams_are_seen(tmp_path: pathlib.Path, name: str) -> None:
    """That they end early cannot always be seen: they do not say how long they are."""
    path = tmp_path / name
    whole = made(path)
    assert containers.flaw(path) is None
    for what, content in damaged(whole, 1):
        path.write_bytes(content)
        assert "cut" in what or outcome(path) != "nothing", what


@pytest.mark.parametrize("name", UNCHECKED)
def test_what_cannot_be_checked_is_said(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    whole = made(path)
    assert containers.flaw(path) == containers.UNKNOWN
    for content in (whole, whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert outcome(path) != "nothing"


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


Y4M = ["", "420jpeg", "420mpeg2", "420paldv", "422", "444", "411", "mono", "444alpha", "420p10", "422p12", "444p16"]
Y4M += ["mono10", "mono16", "420p9"]


@pytest.mark.parametrize("colours", Y4M)
def test_y4m_of_every_colour_space(tmp_path: pathlib.Path, colours: str) -> None:
    """Frames have the length that FFmpeg's reader gives them, at an odd size."""
    path = tmp_path / "a.y4m"
    header = f"YUV4MPEG2 W37 H19 F240:1 Ip A1:1 {f'C{colours}' if colours else ''} XYSCSS=X\n".encode()
    path.write_bytes(header + b"FRAME\n" + bytes(37 * 19 * 8))
    with av.open(str(path)) as container:
        frame = b"FRAME\n" + bytes(next(container.demux(video=0)).size)
    path.write_bytes(header + 3 * frame)
    assert containers.flaw(path) is None
    path.write_bytes(header + 3 * frame[:-1])
    assert containers.flaw(path) is not None


def test_a_damaged_transport_stream_does_not_stop_a_folder(tmp_path: pathlib.Path) -> None:
    """FFmpeg gives EAGAIN, an error of the operating system, for zeros at the end."""
    whole = made(tmp_path / "a.ts")
    (tmp_path / "b.ts").write_bytes(whole[: len(whole) // 2] + bytes(300_000))
    with pytest.raises(BlockingIOError), av.open(str(tmp_path / "b.ts")) as container:
        list(container.demux(video=0))
    made_of = average_frames_request.maker([str(tmp_path)], {"seed": 0, "frames": 5, "motion": False})
    assert [clip.name for clip in made_of.clips] == ["a.ts"]
    allowed = average_frames_request.maker(
        [str(tmp_path)], {"seed": 0, "frames": 5, "motion": False, "allow_damaged": True}
    )
    assert [clip.name for clip in allowed.clips] == ["a.ts", "b.ts"]
    assert allowed.make(range(2))["valid"].all()


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EAGAIN, errors.InputError), (errno.EIO, errors.SourceError)], ids=["EAGAIN", "EIO"]
)
def test_errors_while_a_whole_file_is_opened(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(number, "")

    made(tmp_path / "a.ts")
    monkeypatch.setattr(av, "open", failing)
    with pytest.raises(kind):
        video.index(tmp_path / "a.ts")


def test_packets_that_are_missing_or_doubled_in_wmv(tmp_path: pathlib.Path) -> None:
    """The counts put right, so that only the parts of frames in the packets tell."""
    path = tmp_path / "a.wmv"
    whole = made(path)
    data = whole.index(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c"))
    size, count = struct.unpack("<Q", whole[data + 16 : data + 24])[0], whole[data + 40]
    length = (size - 50) // count
    packets = [whole[data + 50 + k * length : data + 50 + (k + 1) * length] for k in range(count)]
    assert count > 2
    for kept in (packets[:1] + packets[2:], packets[:2] + packets[1:], packets[:-1], packets[::-1]):
        head = whole[: data + 16] + struct.pack("<Q", 50 + length * len(kept)) + whole[data + 24 : data + 40]
        path.write_bytes(head + struct.pack("<Q", len(kept)) + whole[data + 48 : data + 50] + b"".join(kept))
        with path.open("r+b") as file:  # the size of the whole file, in its properties
            file.seek(whole.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 40)
            file.write(struct.pack("<Q", path.stat().st_size))
        assert containers.flaw(path) is not None, len(kept)


@pytest.mark.parametrize("name", ["a.mpg", "a.vob"])
def test_holes_in_pictures_of_program_streams(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    whole = made(path)
    packets = [at for at in range(len(whole)) if whole.startswith(b"\0\0\1\xe0", at)]
    for at in packets[len(packets) // 4 :: 3]:
        for value in (b"\0", b"\xff"):
            for begin, length in ((at + 60, 300), (at + 700, 131), (at + 40, len(whole) - at - 44)):
                path.write_bytes(whole[:begin] + value * length + whole[begin + length :])
                assert containers.flaw(path) not in (None, program_stream.NOT_ENDED), (value, begin)
    packs = [at for at in range(1, len(whole)) if whole.startswith(b"\0\0\1\xba", at)]
    for at in packs[1::5]:
        path.write_bytes(whole[:at])
        assert containers.flaw(path) == program_stream.NOT_ENDED
        for zeros, flawed in ((20, False), (64, False), (65, True), (2048, True)):
            path.write_bytes(whole[:at] + bytes(zeros) + whole[at:])
            assert (containers.flaw(path) is not None) == flawed, zeros
            path.write_bytes(whole + bytes(zeros))
            assert (containers.flaw(path) is not None) == flawed, zeros


@pytest.mark.parametrize("streams", [1, 2])
def test_stuffing_of_program_streams_is_no_hole(tmp_path: pathlib.Path, streams: int) -> None:
    """Zeros before a start code fill coded pictures up, whether they end with a packet or not."""

    def packet(stream: int, data: bytes) -> bytes:
        return b"\0\0\1" + bytes([0xE0 + stream]) + struct.pack(">H", 3 + len(data)) + b"\x80\0\0" + data

    def flaw(*parts: bytes) -> str | None:
        (tmp_path / "a.mpg").write_bytes(
            pack + b"".join(packet(k, data) for data in parts for k in range(streams)) + b"\0\0\1\xb9"
        )
        return containers.flaw(tmp_path / "a.mpg")

    pack = b"\0\0\1\xba\x44" + bytes(8) + b"\xf8"
    begin, next_one = b"\0\0\1\xb3" + b"codes" * 9, b"\0\0\1\0" + b"codes" * 9
    assert flaw(begin + bytes(200) + next_one) is None
    assert flaw(begin + bytes(200), next_one) is None
    assert flaw(begin + bytes(200), bytes(150) + next_one) is None
    for holed in ([begin + bytes(200) + b"codes"], [begin + bytes(200), b"codes"], [begin, next_one + bytes(99)]):
        assert flaw(*holed) is not None
    assert flaw(begin + b"\xff" * 64) is not None
    assert flaw(b"\0\0\1\x09" + b"\xff" * 64) is None  # filler data of H.264


def test_flash_files_that_end_early_between_tags(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.flv"
    whole = made(path)
    at, tags = 13, []
    while at < len(whole):
        tags.append(at)
        at += 15 + int.from_bytes(whole[at + 1 : at + 4], "big")
    size, length = (whole.index(name + b"\0") + len(name) + 1 for name in (b"filesize", b"duration"))
    unknown = whole[:size] + bytes(8) + whole[size + 8 :]
    path.write_bytes(unknown)
    assert containers.flaw(path) is None
    for end in (tags[len(tags) // 2], tags[-2]):
        path.write_bytes(unknown[:end])
        assert containers.flaw(path) is not None
    path.write_bytes(unknown[:length] + bytes(8) + unknown[length + 8 :])
    assert containers.flaw(path) is not None


def test_flash_files_in_another_order_than_shown_are_whole(tmp_path: pathlib.Path) -> None:
    path = clip_files.write(tmp_path / "a.flv", clip_files.moving(24), options={"bf": "3", "b-adapt": "0"})
    whole = path.read_bytes()
    size = whole.index(b"filesize\0") + 9
    path.write_bytes(whole[:size] + bytes(8) + whole[size + 8 :])
    assert containers.flaw(path) is None


def test_chunks_that_are_missing_from_avi_without_an_index(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.avi"
    whole = made(path)
    movie, index = whole.index(b"movi"), whole.index(b"idx1")
    at, chunks = movie + 4, []
    while at < index:
        length = 8 + int.from_bytes(whole[at + 4 : at + 8], "little")
        chunks.append(whole[at : at + length + length % 2])
        at += len(chunks[-1])
    for left_out in (None, 10, len(chunks) - 1):
        kept = b"".join(chunk for k, chunk in enumerate(chunks) if k != left_out)
        head = whole[: movie - 4] + struct.pack("<I", 4 + len(kept)) + b"movi" + kept
        path.write_bytes(head[:4] + struct.pack("<I", len(head) - 8) + head[8:])
        assert (containers.flaw(path) is None) == (left_out is None)


@pytest.mark.parametrize("name", ["a.avi", "a.wmv"])
@pytest.mark.parametrize("between", [0, 1, 3])
def test_times_of_decoding_are_no_times_of_showing(tmp_path: pathlib.Path, name: str, between: int) -> None:
    options = {"bf": str(between), "b-adapt": "0", "g": "12"}
    path = clip_files.write(tmp_path / name, clip_files.moving(24), options=options)
    if between:
        with pytest.raises(errors.InputError):
            video.index(path)
    else:
        assert outcome(path) == "nothing"


@pytest.mark.parametrize("hole", [2, 4, 40, 700])
def test_holes_between_pictures_of_mjpeg(tmp_path: pathlib.Path, hole: int) -> None:
    """Two pictures would become one."""
    path = tmp_path / "a.mjpeg"
    whole = made(path)
    at = whole.index(b"\xff\xd9\xff\xd8", len(whole) // 2)
    for content in (whole[:at] + bytes(hole) + whole[at + hole :], whole[:at] + whole[at + min(hole, 40) :]):
        path.write_bytes(content)
        assert containers.flaw(path) is not None
