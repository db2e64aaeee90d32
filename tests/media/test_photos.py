"""Photos in and out of files."""

import concurrent.futures
import io
import os
import pathlib
import random
import re
import stat
import struct
import warnings
import zlib

import declared_files
import image_files
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from blursynth import errors
from blursynth.media import photos

RNG = numpy.random.default_rng(5)
PICTURE = RNG.integers(0, 256, (19, 33, 3), dtype=numpy.uint8)
BLOCKS = numpy.kron(RNG.integers(0, 256, (2, 3, 3)), numpy.ones((16, 16, 1))).astype(numpy.uint8)
TAKES_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def save(path: pathlib.Path, image: Image.Image, **options: object) -> pathlib.Path:
    image.save(path, **options)
    return path


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()


def written(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path


# What each side of the stored pixels shows: EXIF 2.3, tag 274, (row 0, column 0).
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def stored_as(upright: numpy.ndarray, orientation: int) -> numpy.ndarray:
    """The pixels as a camera held that way stores them, pixel by pixel from EXIF's own definition."""
    height, width, _ = upright.shape
    first_row, first_column = SIDES[orientation]
    swapped = first_row in ("left", "right")
    stored = numpy.empty((width, height, 3) if swapped else upright.shape, numpy.uint8)
    for row, column in numpy.ndindex(stored.shape[:2]):
        place = {}
        for side, distance in ((first_row, row), (first_column, column)):
            axis, far = {"top": (0, 0), "bottom": (0, 1), "left": (1, 0), "right": (1, 1)}[side]
            place[axis] = upright.shape[axis] - 1 - distance if far else distance
        stored[row, column] = upright[place[0], place[1]]
    return stored


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("ending", "options", "tolerance"),
    [
        (".png", {}, 0),
        (".tif", {}, 0),
        (".tiff", {"compression": "tiff_lzw"}, 0),
        (".webp", {"lossless": True}, 0),
        (".jpg", {"quality": 98, "subsampling": 0}, 6),
    ],
)
def test_every_exif_orientation_is_turned_upright(tmp_path, orientation, ending, options, tolerance):
    exif = Image.Exif()
    exif[274] = orientation
    path = save(tmp_path / f"photo{ending}", Image.fromarray(stored_as(BLOCKS, orientation)), exif=exif, **options)
    assert photos.probe(path) == BLOCKS.shape[:2]
    assert numpy.abs(photos.read(path).astype(int) - BLOCKS).max() <= tolerance


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp", ".ppm", ".webp", ".jp2"])
def test_lossless_files_are_read_bit_for_bit(tmp_path, ending):
    options = {"lossless": True} if ending == ".webp" else {}
    pixels = photos.read(save(tmp_path / f"photo{ending}", Image.fromarray(PICTURE), **options))
    assert numpy.array_equal(pixels, PICTURE)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


def test_a_photo_taller_than_one_strip_is_whole(tmp_path):
    tall = RNG.integers(0, 256, (700, 3, 3), dtype=numpy.uint8)
    exif = Image.Exif()
    exif[274] = 8
    path = save(tmp_path / "tall.png", Image.fromarray(stored_as(tall, 8)), exif=exif)
    assert numpy.array_equal(photos.read(path), tall)
    assert numpy.array_equal(photos.read(save(tmp_path / "plain.png", Image.fromarray(tall))), tall)


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = PICTURE[..., 0]
    path = save(tmp_path / "grey.png", Image.fromarray(grey))
    assert numpy.array_equal(photos.read(path), numpy.stack([grey] * 3, axis=-1))


def test_black_and_white_spans_the_range(tmp_path):
    bits = PICTURE[..., 0] > 127
    path = save(tmp_path / "bits.png", Image.fromarray(bits))
    assert numpy.array_equal(photos.read(path)[..., 1], 255 * bits)


@pytest.mark.parametrize("ending", [".png", ".tif", ".pgm"])
def test_16_bit_grey_keeps_the_upper_byte(tmp_path, ending):
    deep = RNG.integers(0, 65536, (9, 12), dtype=numpy.uint16)
    pixels = photos.read(save(tmp_path / f"deep{ending}", Image.fromarray(deep)))
    assert numpy.array_equal(pixels, numpy.stack([deep >> 8] * 3, axis=-1))


def test_12_bit_grey_is_scaled_by_its_own_range(tmp_path):
    path = written(tmp_path / "deep.tif", image_files.grey_tiff(b"\xff\xf0\x00\x80\x01\x00", 4, 1, bits=12))
    assert photos.read(path)[0, :, 0].tolist() == [0xFF, 0x00, 0x80, 0x10]


@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero_is_inverted(tmp_path, bits):
    values = numpy.array([[0, 1, 200, 255]]) << (bits - 8)
    rows = values.astype("<u2" if bits == 16 else "u1").tobytes()
    path = written(tmp_path / "negative.tif", image_files.grey_tiff(rows, 4, 1, bits=bits, white_is_zero=True))
    assert photos.read(path)[0, :, 2].tolist() == [255, 254, 55, 0]


@pytest.mark.parametrize("dtype", [numpy.float32, numpy.int32])
def test_values_without_a_known_white_are_refused(tmp_path, dtype):
    path = save(tmp_path / "float.tif", Image.fromarray(numpy.ones((4, 4), dtype)))
    for use in (photos.read, photos.probe):
        with pytest.raises(errors.InputError, match="white is not known"):
            use(path)


def test_a_palette_becomes_its_colours(tmp_path):
    image = Image.fromarray(BLOCKS).quantize(6)
    assert numpy.array_equal(photos.read(save(tmp_path / "palette.png", image)), BLOCKS)


def test_transparency_is_laid_over_white(tmp_path):
    alpha = RNG.integers(0, 256, PICTURE.shape[:2], dtype=numpy.uint8)
    alpha[0], alpha[1] = 0, 255
    image = Image.fromarray(numpy.dstack([PICTURE, alpha]))
    pixels = photos.read(save(tmp_path / "alpha.png", image))
    share = alpha[..., None] / 255
    assert numpy.abs(pixels - (PICTURE * share + 255 * (1 - share))).max() <= 1
    assert (pixels[0] == 255).all()
    assert numpy.array_equal(pixels[1], PICTURE[1])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_transparent_colour_is_white(tmp_path, mode):
    black_and_grey = numpy.repeat(numpy.array([[0, 255]], numpy.uint8), 2, axis=0)
    image = Image.fromarray(numpy.stack([black_and_grey] * 3, axis=-1)).convert(mode)
    transparent = (0, 0, 0) if mode == "RGB" else image.getpixel((0, 0))
    path = save(tmp_path / "key.png", image, transparency=transparent)
    assert (photos.read(path) == 255).all()


def test_cmyk_reflects_what_the_inks_leave(tmp_path):
    inks = RNG.integers(0, 256, (8, 8, 4), dtype=numpy.uint8)
    pixels = photos.read(save(tmp_path / "inks.tif", Image.fromarray(inks, mode="CMYK")))
    left = 255 - inks.astype(float)
    assert numpy.abs(pixels - left[..., :3] * left[..., 3:] / 255).max() <= 1


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.fromarray(numpy.full((8, 8, 3), value, numpy.uint8)) for value in (10, 200)]
    for ending in (".gif", ".png", ".webp", ".tif"):
        path = save(tmp_path / f"frames{ending}", frames[0], save_all=True, append_images=frames[1:])
        assert numpy.abs(photos.read(path).astype(int) - 10).max() <= 2


def test_a_profile_of_other_primaries_is_converted_to_srgb(tmp_path):
    profile = image_files.rgb_profile_with_red_and_blue_swapped()
    image = Image.fromarray(numpy.array([[[255, 0, 0], [0, 255, 0], [128, 128, 128]]], numpy.uint8))
    pixels = photos.read(save(tmp_path / "swapped.png", image, icc_profile=profile)).astype(int)
    assert numpy.abs(pixels - [[[0, 0, 255], [0, 255, 0], [128, 128, 128]]]).max() <= 4


def test_the_profile_of_cmyk_is_used(tmp_path):
    inks = numpy.array([[[0, 0, 0, 0], [0, 0, 0, 255]]], numpy.uint8)
    image = Image.fromarray(inks, mode="CMYK")
    profile = image_files.cmyk_profile_inverted()
    pixels = photos.read(save(tmp_path / "inks.tif", image, icc_profile=profile)).astype(int)
    assert numpy.abs(pixels - [[[0, 0, 0], [255, 255, 255]]]).max() <= 3


def test_a_linear_profile_with_srgb_in_its_name(shared_data):
    """A photo as GIMP and Krita write it; littleCMS is asked without our flags."""
    path = shared_data / "cases" / "05-linear-srgb-profile" / "photos" / "linear.png"
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        expected = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    pixels = photos.read(path)
    assert numpy.abs(pixels.astype(int) - numpy.asarray(expected)).max() <= 1
    assert round(pixels.mean(), 1) == 125.6


def test_a_profile_of_srgb_leaves_every_bit(tmp_path):
    path = save(tmp_path / "photo.png", Image.fromarray(PICTURE), icc_profile=TAKES_SRGB)
    assert numpy.array_equal(photos.read(path), PICTURE)


@pytest.mark.parametrize("use", [photos.read, photos.probe])
@pytest.mark.parametrize(
    "profile", [b"damaged", image_files.cmyk_profile_inverted()], ids=["damaged", "another kind of pixel"]
)
def test_a_profile_that_cannot_be_used_is_not_ignored(tmp_path, use, profile):
    path = save(tmp_path / "photo.png", Image.fromarray(PICTURE), icc_profile=profile)
    with pytest.raises(errors.InputError, match="ICC profile"):
        use(path)


def test_a_profile_works_behind_grey_16_bit_and_alpha(tmp_path):
    """Grey pixels in an RGB profile have equal values; on RGB with alpha it is used after the alpha is gone."""
    profile = image_files.rgb_profile_with_red_and_blue_swapped()
    deep = RNG.integers(0, 65536, (9, 12), dtype=numpy.uint16)
    path = save(tmp_path / "deep.png", Image.fromarray(deep), icc_profile=profile)
    linear = (deep[..., None] / 65535) ** 2.2
    encoded_light = numpy.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert numpy.abs(photos.read(path) - 255 * encoded_light).max() <= 1
    clear_and_red = numpy.array([[[9, 9, 9, 0], [255, 0, 0, 255]]], numpy.uint8)
    pixels = photos.read(save(tmp_path / "alpha.png", Image.fromarray(clear_and_red), icc_profile=profile)).astype(int)
    assert numpy.abs(pixels - [[[255, 255, 255], [0, 0, 255]]]).max() <= 4


def interlaced(pixels):
    """A PNG in the seven passes of Adam7, which Pillow cannot write."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for left, top, across, down in passes:
        part = pixels[top::down, left::across]
        rows += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return PNG[:8] + b"".join(declared_files.chunk(*each) for each in chunks)


@pytest.mark.parametrize("kind", ["plain", "interlaced", "deep", "palette"])
def test_a_png_with_fewer_rows_than_it_says_is_refused(tmp_path, kind):
    """Its data end in the proper way, and all checksums are right."""
    content = {
        "plain": encoded(Image.fromarray(PICTURE), "PNG"),
        "interlaced": interlaced(PICTURE),
        "deep": encoded(Image.fromarray(PICTURE[..., 0].astype(numpy.uint16) * 257), "PNG"),
        "palette": encoded(Image.fromarray(BLOCKS).quantize(6), "PNG"),
    }[kind]
    photos.read(written(tmp_path / "whole.png", content))
    for more in (1, 2, 40):
        height = int.from_bytes(content[20:24]) + more
        header = content[16:20] + height.to_bytes(4) + content[24:29]
        taller = content[:8] + declared_files.chunk(b"IHDR", header) + content[33:]
        with pytest.raises(errors.InputError, match="damaged"):
            photos.read(written(tmp_path / "taller.png", taller))


def test_a_tiff_with_fewer_strips_than_it_says_is_refused(tmp_path):
    tags = [(258, 3, (8,) * 3), (262, 3, (2,)), (277, 3, (3,)), (278, 4, (19,))]
    for height in (19, 20):
        path = written(tmp_path / "strips.tif", declared_files.tiff(PICTURE.tobytes(), 33, height, *tags))
        if height == 19:
            assert numpy.array_equal(photos.read(path), PICTURE)
            continue
        with pytest.raises(errors.InputError, match="fewer rows"):
            photos.read(path)


def test_what_is_black_is_whole(tmp_path):
    black = numpy.zeros((19, 33, 3), numpy.uint8)
    for content in (encoded(Image.fromarray(black), "PNG"), interlaced(black), interlaced(black[:1, :1])):
        assert not photos.read(written(tmp_path / "black.png", content)).any()


@pytest.mark.parametrize("use", [photos.read, photos.probe])
def test_a_pipe_or_a_device_is_refused_and_never_waited_for(tmp_path, use):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", pathlib.Path("/dev/zero")):
        with pytest.raises(errors.SourceError, match="not a file"):
            use(path)


@pytest.mark.parametrize("use", [photos.read, photos.probe])
def test_what_is_no_photo_is_refused_in_a_sentence(tmp_path, use):
    with pytest.raises(errors.SourceError, match="No such file"):
        use(tmp_path / "absent.png")
    with pytest.raises(errors.SourceError, match="is a folder"):
        use(tmp_path)
    with pytest.raises(errors.InputError, match="not a photo of a known format"):
        use(written(tmp_path / "text.png", b"a letter to a friend"))
    with pytest.raises(errors.InputError, match="not a photo of a known format"):
        use(written(tmp_path / "empty.jpg", b""))
    with pytest.raises(errors.InputError, match="not a photo of a known format"):
        use(written(tmp_path / "thin.png", image_files.png_header(0, 7)))
    with pytest.raises(errors.InputError, match="more than 178,956,970 pixels"):
        use(written(tmp_path / "bomb.png", image_files.png_header(60_000, 60_000)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_refused(tmp_path):
    path = save(tmp_path / "mine.png", Image.fromarray(PICTURE))
    path.chmod(0)
    with pytest.raises(errors.SourceError, match="Permission denied"):
        photos.read(path)


def test_a_hundred_megapixels_are_no_bomb(tmp_path):
    """Pillow warns from 89 million pixels on, and warnings are errors in these tests."""
    assert photos.probe(written(tmp_path / "large.png", image_files.png_header(10_000, 10_000))) == (10_000, 10_000)


def test_settings_of_the_process_are_left_alone(tmp_path):
    path = save(tmp_path / "photo.png", Image.fromarray(PICTURE))
    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: photos.read(path), range(64)))
    assert all(numpy.array_equal(pixels, PICTURE) for pixels in results)
    assert warnings.filters == filters
    assert limit == Image.MAX_IMAGE_PIXELS
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", UserWarning, stacklevel=1)


PNG = encoded(Image.fromarray(PICTURE), "PNG", icc_profile=TAKES_SRGB)
FILES = {
    "PNG": PNG,
    "JPEG": encoded(Image.fromarray(PICTURE), "JPEG"),
    "progressive": encoded(Image.fromarray(PICTURE), "JPEG", progressive=True),
    "CMYK": encoded(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"),
    "TIFF": encoded(Image.fromarray(PICTURE), "TIFF"),
    "GIF": encoded(Image.fromarray(PICTURE), "GIF"),
    "WEBP": encoded(Image.fromarray(PICTURE), "WEBP"),
    "BMP": encoded(Image.fromarray(PICTURE), "BMP"),
    "PPM": encoded(Image.fromarray(PICTURE), "PPM"),
}


@given(length=st.integers(0, len(PNG) - 13))
def test_a_png_cut_before_its_end_chunk_is_refused(tmp_path_factory, length):
    path = written(tmp_path_factory.getbasetemp() / "cut.png", PNG[:length])
    with pytest.raises(errors.InputError):
        photos.read(path)


@given(bit=st.integers(0, 8 * len(PNG) - 1))
def test_one_flipped_bit_never_gives_other_pixels(tmp_path_factory, bit):
    damaged = bytearray(PNG)
    damaged[bit // 8] ^= 1 << bit % 8
    path = written(tmp_path_factory.getbasetemp() / "flipped.png", bytes(damaged))
    try:
        pixels = photos.read(path)
    except errors.InputError:
        return
    assert numpy.array_equal(pixels, PICTURE)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(tmp_path, name, share):
    content = FILES[name]
    with pytest.raises(errors.InputError, match=re.escape(str(tmp_path))):
        photos.read(written(tmp_path / "photo", content[: int(share * len(content))]))


@settings(max_examples=300)
@given(name=st.sampled_from(sorted(FILES)), seed=st.integers(0, 2**32))
def test_damage_ends_in_pixels_or_a_sentence(tmp_path_factory, name, seed):
    draw = random.Random(seed)
    content = bytearray(FILES[name])
    for _ in range(draw.choice([1, 2, 6])):
        at = draw.randrange(min(len(content), draw.choice([30, 300, 10**6])))
        content[at : at + draw.randrange(5)] = draw.randbytes(draw.randrange(5))
    path = written(tmp_path_factory.getbasetemp() / "damaged", bytes(content))
    try:
        pixels = photos.read(path)
    except errors.InputError:
        with pytest.raises(errors.InputError, match=re.escape(str(path))):
            photos.read(path)
    else:
        assert pixels.shape == (*photos.probe(path), 3)
        assert pixels.dtype == numpy.uint8


def test_write_png_round_trip_and_mode(tmp_path):
    path = tmp_path / "out.png"
    photos.write_png(path, PICTURE)
    assert numpy.array_equal(photos.read(path), PICTURE)
    photos.write_png(path, PICTURE[::-1, ::2, 0])
    assert numpy.array_equal(photos.read(path)[..., 0], PICTURE[::-1, ::2, 0])
    assert [each.name for each in tmp_path.iterdir()] == ["out.png"]
    (tmp_path / "other").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    photos.write_png(path, PICTURE)

    def full_disk(_image, file, **_options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        photos.write_png(path, PICTURE[::-1])
    assert numpy.array_equal(photos.read(path), PICTURE)
    assert [each.name for each in tmp_path.iterdir()] == ["out.png"]


READABLE = {  # name: (height, width)
    "exif_orientation/Landscape_1.jpg": (1200, 1800),
    "exif_orientation/Landscape_6.jpg": (1200, 1800),
    "exif_orientation/Portrait_8.jpg": (1800, 1200),
    "pillow/16_bit_noise.tif": (32, 32),
    "pillow/1_trns.png": (64, 64),
    "pillow/hopper.webp": (128, 128),
    "pillow/hopper_gray.jpg": (128, 128),
    "pillow/hopper_orientation_6.jpg": (128, 128),
    "pillow/invalid-exif.jpg": (200, 200),
    "pillow/p_16.png": (128, 128),
    "pillow/pil_sample_cmyk.jpg": (100, 100),
    "pillow/tiff_16bit_RGB.tiff": (40, 100),
    "pillow/transparent.png": (150, 200),
    "pngsuite/basn0g16.png": (32, 32),
    "pngsuite/basn3p08.png": (32, 32),
    "pngsuite/basn6a16.png": (32, 32),
}


def test_real_bad_files_are_read_or_refused(shared_data):
    folder = shared_data / "bad_images"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*") if path.name != "LICENSE")
    assert set(READABLE) <= set(names)
    for name in names:
        if name in READABLE:
            assert photos.probe(folder / name) == READABLE[name]
            assert photos.read(folder / name).shape == (*READABLE[name], 3)
        else:
            with pytest.raises(errors.InputError, match=re.escape(name)):
                photos.read(folder / name)


def test_real_photos_look_right(shared_data):
    folder = shared_data / "bad_images"

    def small(name):
        return numpy.asarray(Image.fromarray(photos.read(folder / name)).resize((24, 16), Image.Resampling.BOX), float)

    # The same photo stored upright and on its side, but for the digit written on it.
    turned = numpy.abs(small("exif_orientation/Landscape_1.jpg") - small("exif_orientation/Landscape_6.jpg"))
    assert turned.mean() < 2
    # A portrait before a blue sky, from three files.
    assert numpy.abs(small("pillow/hopper.webp") - small("pillow/hopper_orientation_6.jpg")).mean() < 4
    # The word RED, in red on black ink.
    red, green, blue = photos.read(folder / "pillow/pil_sample_cmyk.jpg")[30:70].reshape(-1, 3).astype(int).T
    lit = red > 128
    assert 0.1 < lit.mean() < 0.5
    assert green[lit].mean() < 40
    assert blue[lit].mean() < 40
