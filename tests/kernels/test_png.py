"""Paeth's filter against a slow one, and against a decoder that is not ours."""

import io
import pathlib
import struct
import zlib
from typing import Any

import cv2
import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image

from blursynth import errors
from blursynth.kernels import png as kernel
from blursynth.media import photos
from blursynth.sources import png

images = hypothesis.extra.numpy.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def slow_paeth(pixels_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """PNG, section 9.4, byte by byte."""
    height, width, channels = pixels_HWC.shape
    filtered = np.zeros((height, width, channels), np.uint8)
    for y, x, c in np.ndindex(height, width, channels):
        left = int(pixels_HWC[y, x - 1, c]) if x else 0
        above = int(pixels_HWC[y - 1, x, c]) if y else 0
        corner = int(pixels_HWC[y - 1, x - 1, c]) if x and y else 0
        p = left + above - corner
        nearest = min(
            (abs(p - left), 0, left), (abs(p - above), 1, above), (abs(p - corner), 2, corner)
        )  # ties: left, above, corner
        filtered[y, x, c] = (int(pixels_HWC[y, x, c]) - nearest[2]) % 256
    return np.concatenate([np.full((height, 1), 4, np.uint8), filtered.reshape(height, -1)], axis=1)


def test_a_value_by_hand() -> None:
    rows = kernel.paeth(np.array([[[10, 0, 255]], [[12, 0, 0]]], np.uint8))
    assert rows.tolist() == [[4, 10, 0, 255], [4, 2, 0, 1]]


@hypothesis.given(images)
def test_it_is_the_slow_one(pixels_HWC: npt.NDArray[np.uint8]) -> None:
    assert np.array_equal(kernel.paeth(pixels_HWC), slow_paeth(pixels_HWC))


@hypothesis.given(images)
def test_a_decoder_gives_the_pixels_back(pixels_HWC: npt.NDArray[np.uint8]) -> None:
    data = png.encode(pixels_HWC)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(image), pixels_HWC)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    assert png.encode(pixels_HWC) == data


def slow_filtered(pixels_HWC: npt.NDArray[np.uint8], kinds: list[int]) -> npt.NDArray[np.uint8]:
    """PNG, table 9.1: each row by its own filter."""
    height, width, channels = pixels_HWC.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    paeth = slow_paeth(pixels_HWC)
    for y, x, c in np.ndindex(height, width, channels):
        a = int(pixels_HWC[y, x - 1, c]) if x else 0
        b = int(pixels_HWC[y - 1, x, c]) if y else 0
        predicted = [0, a, b, (a + b) // 2][kinds[y]] if kinds[y] < 4 else 0
        rows[y, 0] = kinds[y]
        rows[y, 1 + x * channels + c] = (
            paeth[y, 1 + x * channels + c] if kinds[y] == 4 else (int(pixels_HWC[y, x, c]) - predicted) % 256
        )
    return rows


@hypothesis.given(images, st.lists(st.integers(0, 4), min_size=9, max_size=9))
def test_every_filter_is_undone(pixels_HWC: npt.NDArray[np.uint8], kinds: list[int]) -> None:
    filtered = slow_filtered(pixels_HWC, kinds)
    for part in (1, 2, len(filtered)):  # rows at a time
        restored = np.full_like(pixels_HWC, 99)
        for top in range(0, len(filtered), part):
            assert kernel.restore(filtered[top : top + part], restored, top)
        assert np.array_equal(restored, pixels_HWC)


@pytest.mark.parametrize("others", [(), (0,), (15,), (16,), (7, 8, 40), (33, 50)])
def test_many_rows_side_by_side(others: tuple[int, ...]) -> None:
    """More rows than go together, narrower and wider than they are many, with other filters between."""
    for width in (1, 5, 16, 40):
        pixels_HWC = np.random.default_rng(width).integers(0, 256, (51, width, 3), dtype=np.uint8)
        filtered = slow_filtered(pixels_HWC, [y % 4 if y in others else kernel.PAETH for y in range(51)])
        restored = np.full_like(pixels_HWC, 99)
        assert kernel.restore(filtered[:20], restored, 0)
        assert kernel.restore(filtered[20:], restored, 20)
        assert np.array_equal(restored, pixels_HWC)


def test_a_filter_that_there_is_not() -> None:
    assert not kernel.restore(np.full((1, 4), 5, np.uint8), np.empty((1, 1, 3), np.uint8), 0)


def saved(pixels: npt.NDArray[np.uint8], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return exif


NOISE = np.random.default_rng(3).integers(0, 256, (31, 17, 3), dtype=np.uint8)
SMOOTH = np.linspace(0, 255, 40 * 50 * 3).reshape(40, 50, 3).astype(np.uint8)


@pytest.mark.parametrize("pixels", [NOISE, SMOOTH])
@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_files_of_others_are_read(pixels: npt.NDArray[np.uint8], level: int) -> None:
    height, width, _ = pixels.shape
    found = png.decode(saved(pixels, compress_level=level), height, width)
    assert found is not None
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("name", ["NONE", "SUB", "UP", "AVG", "PAETH", "FAST_FILTERS", "ALL_FILTERS"])
def test_files_of_opencv_by_every_filter(name: str) -> None:
    value = getattr(cv2, f"IMWRITE_PNG_{name}" if "FILTERS" in name else f"IMWRITE_PNG_FILTER_{name}", None)
    if value is None:
        pytest.skip("this OpenCV does not choose filters")
    data = cv2.imencode(".png", SMOOTH[..., ::-1], [cv2.IMWRITE_PNG_FILTER, value])[1].tobytes()
    found = png.decode(data, 40, 50)
    assert found is not None
    assert np.array_equal(found, SMOOTH)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        png.SIGNATURE,
        saved(NOISE)[:-5],
        saved(NOISE)[:-20] + b"\0" * 20,
        saved(NOISE).replace(b"IDAT", b"IDAX"),
        saved(NOISE[..., 0]),
        saved(np.dstack([NOISE, NOISE[..., :1]])),
        saved(NOISE, icc_profile=b"profile"),
        saved(NOISE, exif=turned()),
        saved(NOISE[:, :16]),
    ],
)
def test_everything_else_is_left_to_others(data: bytes) -> None:
    assert png.decode(data, 31, 17) is None


def test_one_flipped_bit_is_never_read() -> None:
    whole = saved(NOISE)
    for place in range(0, len(whole), 7):
        flipped = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        assert png.decode(flipped, 31, 17) is None, place


def plain_file(height: int, width: int, packed: bytes) -> bytes:
    """A file that says this size, with these packed rows and right checksums."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png.SIGNATURE + png._chunk(b"IHDR", header) + png._chunk(b"IDAT", packed) + png._chunk(b"IEND", b"")


def test_a_file_that_unpacks_to_more_than_it_says() -> None:
    assert png.decode(plain_file(31, 17, zlib.compress(bytes(10_000_000))), 31, 17) is None


@pytest.mark.parametrize("height", [1, png._ROWS - 1, png._ROWS, png._ROWS + 1, 2 * png._ROWS, 3 * png._ROWS + 2])
def test_rows_are_neither_missing_nor_too_many(height: int) -> None:
    """Around the number of rows that are unpacked at a time; of the packed rows, all, some, one more, a part of one."""
    pixels_HWC = np.random.default_rng(height).integers(0, 256, (height, 7, 3), dtype=np.uint8)
    rows = slow_filtered(pixels_HWC, [y % 5 for y in range(height)]).tobytes()
    found = png.decode(plain_file(height, 7, zlib.compress(rows)), height, 7)
    assert found is not None
    assert np.array_equal(found, pixels_HWC)
    stride = 1 + 3 * 7
    for other in (rows[:-1], rows[:-stride], rows + rows[:stride], rows + b"\0", b""):
        assert png.decode(plain_file(height, 7, zlib.compress(other)), height, 7) is None, len(other) - len(rows)
    whole = zlib.compress(rows)
    for cut in (whole[:-1], whole[: len(whole) // 2], whole[:-4] + b"\0\0\0\0"):
        assert png.decode(plain_file(height, 7, cut), height, 7) is None, len(cut)


def chunk(name: bytes, data: bytes) -> bytes:
    return png._chunk(name, data)


SRGB, LINEAR = chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 100_000))
SQUARE, OBLONG = (chunk(b"pHYs", struct.pack(">IIB", across, 2, 1)) for across in (2, 4))


@pytest.mark.parametrize(
    ("chunks", "plain"),
    [
        (SRGB, True),
        (LINEAR + SRGB, True),
        (SRGB + SQUARE, True),
        (LINEAR, False),
        (SRGB + SRGB, False),
        (chunk(b"cICP", b"\1\15\0\1") + SRGB, False),
    ],
)
def test_light_of_its_own_is_for_the_other_reader(chunks: bytes, plain: bool) -> None:
    height, width, _ = NOISE.shape
    content = png.encode(NOISE)
    found = png.decode(content[:33] + chunks + content[33:], height, width)
    assert (found is not None) == plain
    assert found is None or np.array_equal(found, photos.read("photo", content[:33] + chunks + content[33:]))
    assert png.decode(content[:33] + OBLONG + content[33:], height, width) is None
    assert png.decode(content[:-12] + SRGB + content[-12:], height, width) is None  # behind the pixels


def test_pngs_of_the_test_suite_are_read_as_elsewhere(shared_data: pathlib.Path) -> None:
    read = 0
    for path in [*(shared_data / "bad_images").rglob("*.png"), *(shared_data / "photos" / "kodak").glob("*.png")]:
        try:
            expected = photos.read(path)
        except errors.InputError:
            for height, width in ((32, 32), (512, 768)):
                assert png.decode(path.read_bytes(), height, width) is None, path.name
            continue
        found = png.decode(path.read_bytes(), *expected.shape[:2])
        if found is not None:
            read += 1
            assert np.array_equal(found, expected), path.name
    assert read >= 12


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_image_is_small(value: int) -> None:
    """What run lengths are for: without them each byte costs a bit at least."""
    assert len(png.encode(np.full((256, 256, 3), value, np.uint8))) < 2000
