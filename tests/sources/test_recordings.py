"""Which clips are chapters of one recording, and that these share a split."""

import pytest

from blursynth.sources import recordings, source


@pytest.mark.parametrize(
    ("names", "together"),
    [
        (("GX010123.MP4", "GX020123.MP4", "gx110123.mp4"), True),
        (("a/GH010007.MP4", "a/GH020007.MP4"), True),
        (("a/GH010007.MP4", "b/GH020007.MP4"), False),  # other folders hold other cards
        (("GOPR0123.MP4", "GP010123.MP4", "GP020123.MP4"), True),
        (("GX010123.MP4", "GX010124.MP4"), False),
        (("DJI_0012_001.MP4", "DJI_0012_002.MP4"), True),
        (("DJI_0001.MP4", "DJI_0002.MP4"), False),
        (
            ("VID_20200101_101500_00_001.insv", "VID_20200101_101500_10_001.insv", "VID_20200101_101500_00_002.insv"),
            True,
        ),
        (("VID_20200101_101500_00_001.insv", "VID_20200101_101900_00_002.insv"), False),
        (("GOPR0372_07_00", "GOPR0372_07_01"), False),  # sequences of the GOPRO set have their published splits
        (("C0001.MP4", "C0002.MP4"), False),
        (("00000.MTS", "00001.MTS"), False),
    ],
)
def test_chapters(names: tuple[str, ...], together: bool) -> None:
    found = {recordings.recording(name) for name in names}
    assert len(found) == (1 if together else len(names))


def clip(name: str, content: str) -> source.Source:
    return source.Source(name, content, 10, 10, 1)


def test_contents_are_joined_whatever_their_order_and_later_chapters_follow() -> None:
    first, second, alone = clip("GX010001.MP4", "a"), clip("GX020001.MP4", "b"), clip("x.mp4", "c")
    joined = recordings.by_recording([first, second, alone], [3])
    assert joined[0].sha256 == joined[1].sha256 not in "abc"
    assert joined[2] == alone
    assert recordings.by_recording([second, alone, first], [3])[0].sha256 == joined[0].sha256
    third = clip("GX030001.MP4", "d")
    assert recordings.by_recording([first, second, alone, third], [3, 4])[3].sha256 == joined[0].sha256
    copied = clip("copy.mp4", "a")
    assert recordings.by_recording([first, second, alone, copied], [3, 4])[3].sha256 == joined[0].sha256
