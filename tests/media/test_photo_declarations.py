"""Each row of docs/declarations/photos.md, with a file that has exactly that property."""

import dataclasses
import io
import os
import pathlib
import re
import struct
import zlib
from collections.abc import Callable

import declared_files as files
import image_files
import numpy
import pytest
from declared_files import ALPHA, COLOURS, DEEP, GREY, chunk, cicp, gama, iccp, png, rgb_tiff, saved, shown
from PIL import Image, ImageCms

from blursynth import errors
from blursynth.media import photos

TABLE = pathlib.Path(__file__).parents[2] / "docs" / "declarations" / "photos.md"
ROWS = {
    match[1]: (match[2], match[3])
    for match in re.finditer(r"^\| `([\w.-]+)` \|[^|]*\| (\w+) \| (.*) \|$", TABLE.read_text(), re.MULTILINE)
}
CASES: dict[str, Callable[[], list["Case"]]] = {}
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
UNIT = COLOURS / 255
ROUNDING = 1.0  # 0.5 of ours, and as much in littleCMS's fixed-point curves


@dataclasses.dataclass(frozen=True)
class Case:
    """A file, and what it is read as, (H, W, 3) or (H, W) in 0 to 255; None where it is refused."""

    content: bytes
    expected: object = None
    tolerance: float = ROUNDING


def row(name):
    def keep(function):
        assert name not in CASES
        CASES[name] = function
        return function

    return keep


def test_every_row_has_a_test_and_every_test_a_row():
    assert len(ROWS) > 100
    assert set(ROWS) == set(CASES)
    assert {verdict for verdict, _ in ROWS.values()} == {"honoured", "unchanged", "refused"}


@pytest.mark.parametrize("name", ROWS)
def test_row(name, tmp_path):
    verdict, text = ROWS[name]
    cases = CASES[name]()
    assert cases or name == "special"
    for number, case in enumerate(cases):
        path = tmp_path / f"photo-{number}"
        path.write_bytes(case.content)
        if case.expected is None:
            assert verdict == "refused"
            sentence = re.search(r'"(.+)"', text)[1]
            for use in (photos.probe, photos.read):
                with pytest.raises(errors.InputError, match=re.escape(sentence)) as caught:
                    use(path)
                assert str(path) in str(caught.value)
            continue
        assert verdict != "refused"
        pixels = photos.read(path)
        expected = numpy.asarray(case.expected, float)
        expected = numpy.repeat(expected[:, :, None], 3, axis=2) if expected.ndim == 2 else expected
        assert photos.probe(path) == pixels.shape[:2] == expected.shape[:2]
        assert numpy.abs(pixels - expected).max() <= case.tolerance, number
        if verdict == "unchanged" and case.tolerance == 0:
            assert numpy.array_equal(pixels, expected)


def over_white(colours, alpha):
    share = alpha[..., None] / 255
    return colours * share + 255 * (1 - share)


def refused(*contents):
    return [Case(content) for content in contents]


def same(*contents, pixels=COLOURS):
    return [Case(content, pixels, 0) for content in contents]


# ICC profiles


@row("icc-srgb")
def _():
    profiles = SRGB_PROFILE, files.rgb_profile(files.srgb_tag())
    return same(*(png(COLOURS, iccp(profile)) for profile in profiles)) + same(
        saved(COLOURS, "TIFF", icc_profile=profiles[1]), saved(COLOURS, "WEBP", lossless=True, icc_profile=profiles[1])
    )


@row("icc-linear-named-srgb")
def _():
    profile = files.rgb_profile(files.gamma_tag(1), name="sRGB IEC61966-2.1")
    return [Case(png(COLOURS, iccp(profile)), shown(UNIT, files.power(1)))]


@row("icc-adobe-rgb")
def _():
    profile = files.rgb_profile(files.gamma_tag(563 / 256), files.ADOBE)
    return [Case(png(COLOURS, iccp(profile)), shown(UNIT, files.power(563 / 256), files.ADOBE))]


@row("icc-display-p3")
def _():
    profile = files.rgb_profile(files.srgb_tag(), files.P3)
    return [Case(png(COLOURS, iccp(profile)), shown(UNIT, primaries=files.P3))]


@row("icc-prophoto")
def _():
    profile = files.rgb_profile(files.gamma_tag(1.8), files.PROPHOTO, files.D50)
    return [Case(png(COLOURS, iccp(profile)), shown(UNIT, files.power(1.8), files.PROPHOTO, files.D50))]


@row("icc-table")
def _():
    expected = files.lightness(UNIT[:, :, 0])
    deep = files.lightness((DEEP[:, :, 0] >> 8) / 255)
    return [
        Case(png(COLOURS, iccp(files.table_profile())), expected, 4),  # littleCMS interpolates its own table
        Case(png(DEEP, iccp(files.table_profile())), deep, 4),
    ]


@row("icc-16-bit")
def _():
    linear, slope = files.rgb_profile(files.gamma_tag(1), files.P3), numpy.linspace(0, 1, 256) ** 1.7
    points = files.rgb_profile(files.points_tag(slope))
    return [
        Case(png(DEEP, iccp(linear)), shown(DEEP / 65535, files.power(1), files.P3), 0.6),
        Case(
            png(DEEP, iccp(points)),
            shown(DEEP / 65535, lambda v: numpy.interp(v, numpy.linspace(0, 1, 256), slope)),
            0.6,
        ),
    ]


@row("icc-grey-gamma")
def _():
    cases = []
    for exponent in (1.0, 1.8, 2.2):
        profile = files.grey_profile(files.gamma_tag(exponent))
        cases += [Case(png(GREY, iccp(profile)), 255 * files.encoded((GREY / 255) ** exponent), 0.6)]
    deep = DEEP[:, :, 0]
    profile = files.grey_profile(files.gamma_tag(1))
    return [*cases, Case(png(deep, iccp(profile)), 255 * files.encoded(deep / 65535), 0.6)]


@row("icc-grey-dot-gain")
def _():
    curve = (1 - numpy.linspace(1, 0, 256) ** 0.8) ** 1.2  # ink spreads: a tone looks darker than its dots
    profile = files.grey_profile(files.points_tag(curve))
    return [Case(png(GREY, iccp(profile)), 255 * files.encoded(curve[GREY]), 0.6)]


@row("icc-rgb-on-grey")
def _():
    profile, deep = files.rgb_profile(files.gamma_tag(1.8), files.ADOBE), DEEP[:, :, 0]
    return [
        Case(png(GREY, iccp(profile)), 255 * files.encoded((GREY / 255) ** 1.8)),
        Case(png(deep, iccp(profile)), 255 * files.encoded((deep / 65535) ** 1.8)),
        Case(saved(GREY, "JPEG", quality=100, icc_profile=SRGB_PROFILE), GREY, 1),
    ]


@row("icc-palette")
def _():
    image = Image.fromarray(COLOURS).quantize(16)
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=files.rgb_profile(files.gamma_tag(1)))
    return [Case(file.getvalue(), shown(numpy.asarray(image.convert("RGB")) / 255, files.power(1)))]


@row("icc-alpha")
def _():
    profile = files.rgb_profile(files.gamma_tag(1.8))
    laid = numpy.rint(over_white(COLOURS, ALPHA))
    return [Case(png(numpy.dstack([COLOURS, ALPHA]), iccp(profile)), shown(laid / 255, files.power(1.8)), 3)]


@row("icc-cmyk")
def _():
    inks = numpy.zeros((2, 256, 4), numpy.uint8)
    inks[:, :, 3] = numpy.arange(256)
    content = saved(inks, "TIFF", "CMYK", icc_profile=image_files.cmyk_profile_inverted())
    return [Case(content, files.lightness(inks[:, :, 3] / 255), 3)]


def lab_pixels():
    lab = numpy.zeros((2, 256, 3), numpy.uint8)
    lab[:, :, 0] = numpy.arange(256)
    return lab


def lab_tiff(*tags):
    return rgb_tiff(lab_pixels(), (262, 3, (8,)), *tags)


@row("icc-lab")
def _():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return [Case(lab_tiff((34675, 7, tuple(profile))), files.lightness(lab_pixels()[:, :, 0] / 255), 2)]


@row("icc-other-pixels")
def _():
    grey, inks = files.grey_profile(files.gamma_tag(1)), image_files.cmyk_profile_inverted()
    cmyk = saved(numpy.zeros((4, 4, 4), numpy.uint8), "JPEG", "CMYK", icc_profile=files.rgb_profile(files.srgb_tag()))
    return refused(png(COLOURS, iccp(grey)), png(COLOURS, iccp(inks)), png(GREY, iccp(inks)), cmyk)


@row("icc-damaged")
def _():
    profile = files.rgb_profile(files.gamma_tag(1))
    without_curves = profile.replace(b"rTRC", b"none").replace(b"gTRC", b"none")
    broken = (b"damaged", profile[:200], without_curves, profile.replace(b"acsp", b"abcd"))
    return refused(*(saved(COLOURS, "TIFF", icc_profile=each) for each in broken))


@row("icc-flat")
def _():
    grey = png(GREY, iccp(files.grey_profile(files.gamma_tag(0))))
    tags = [(name, image_files.xyz_tag((0, 0, 0))) for name in files.XYZ]
    tags += [(name, files.gamma_tag(2.2)) for name in (b"rTRC", b"gTRC", b"bTRC")]
    black = image_files.profile(b"mntr", b"RGB ", b"XYZ ", tags)
    return refused(grey, *(png(COLOURS, iccp(each)) for each in (files.rgb_profile(files.gamma_tag(0)), black)))


@row("icc-empty")
def _():
    return refused(png(COLOURS, iccp(b"")))


@row("icc-hdr")
def _():
    profile = files.rgb_profile(files.gamma_tag(1), files.BT2020, extra=[files.cicp_tag(9, 16, 0, 1)])
    return refused(png(COLOURS, iccp(profile)), saved(COLOURS, "JPEG", icc_profile=profile))


# PNG


@row("png-plain")
def _():
    return [*same(png(COLOURS)), Case(png(DEEP), DEEP >> 8, 0), Case(png(GREY), GREY, 0)]


@row("png-srgb")
def _():
    srgb = chunk(b"sRGB", b"\0")
    return same(png(COLOURS, srgb), png(COLOURS, gama(1), files.chrm(files.ADOBE), srgb))


@row("png-srgb-intent")
def _():
    return refused(png(COLOURS, chunk(b"sRGB", b"\x04")), png(COLOURS, chunk(b"sRGB", b"\x09"), gama(1)))


@row("png-gama-srgb")
def _():
    return same(
        *(png(COLOURS, gama(value)) for value in (0.45455, 0.45, 0.4545)),
        png(COLOURS, gama(0.45455), files.chrm(files.SRGB)),
    )


@row("png-gama-linear")
def _():
    return [Case(png(COLOURS, gama(1)), shown(UNIT, files.power(1)))]


@row("png-gama-1.8")
def _():
    return [
        Case(png(COLOURS, gama(value)), shown(UNIT, files.power(1 / value)), 1.1)
        for value in (0.55556, 0.35, 0.51, 1.6)
    ]


@row("png-gama-grey")
def _():
    return [Case(png(GREY, gama(1)), 255 * files.encoded(GREY / 255), 0.6)]


@row("png-gama-16-bit")
def _():
    grey = DEEP[:, :, 0]
    deep_alpha = ALPHA.astype(numpy.uint16) * 257
    laid = grey / 65535 * (deep_alpha / 65535) + 1 - deep_alpha / 65535
    return [
        Case(png(DEEP, gama(1)), shown(DEEP / 65535, files.power(1)), 0.51),
        Case(png(grey, gama(1)), 255 * files.encoded(grey / 65535), 0.51),
        Case(png(numpy.dstack([grey, deep_alpha]), gama(1)), 255 * files.encoded(laid), 0.6),
    ]


@row("png-gama-alpha")
def _():
    deep_alpha = (ALPHA.astype(numpy.uint16) * 257)[:, :, None]
    laid = DEEP / 65535 * (deep_alpha / 65535) + 1 - deep_alpha / 65535
    shallow = numpy.rint(over_white(COLOURS, ALPHA)) / 255
    return [
        Case(png(numpy.dstack([COLOURS, ALPHA]), gama(0.7)), shown(shallow, files.power(1 / 0.7)), 3),
        Case(png(numpy.dstack([DEEP, deep_alpha]), gama(1)), shown(laid, files.power(1)), 0.6),
    ]


@row("png-gama-zero")
def _():
    return refused(png(COLOURS, gama(0)), png(COLOURS, gama(40)))


@row("png-chrm")
def _():
    return [
        Case(png(COLOURS, gama(0.45455), files.chrm(files.ADOBE)), shown(UNIT, primaries=files.ADOBE)),
        Case(png(COLOURS, files.chrm(files.P3)), shown(UNIT, primaries=files.P3)),
        Case(
            png(COLOURS, gama(1), files.chrm(files.PROPHOTO, files.D50)),
            shown(UNIT, files.power(1), files.PROPHOTO, files.D50),
        ),
    ]


@row("png-chrm-impossible")
def _():
    line = ((0.1, 0.1), (0.2, 0.2), (0.3, 0.3))
    return refused(png(COLOURS, files.chrm(line)), png(COLOURS, files.chrm(((0.6, 0.0), *files.SRGB[1:]))))


@row("png-iccp")
def _():
    profile = files.rgb_profile(files.gamma_tag(1.8))
    content = png(COLOURS, gama(1), files.chrm(files.ADOBE), chunk(b"sRGB", b"\0"), iccp(profile))
    return [Case(content, shown(UNIT, files.power(1.8)))]


@row("png-iccp-damaged")
def _():
    return refused(png(COLOURS, chunk(b"iCCP", b"name\0\0no zlib stream")))


@row("png-iccp-pq")
def _():
    return refused(png(COLOURS, iccp(SRGB_PROFILE, b"ITUR_2100_PQ_FULL")))


@row("png-cicp-srgb")
def _():
    profile = files.rgb_profile(files.gamma_tag(1))
    return same(png(COLOURS, cicp(1, 13, 0, 1), iccp(profile), gama(1)))


@row("png-cicp-display-p3")
def _():
    return [Case(png(COLOURS, cicp(12, 13, 0, 1)), shown(UNIT, primaries=files.P3))]


@row("png-cicp-linear")
def _():
    return [
        Case(png(COLOURS, cicp(1, 8, 0, 1)), shown(UNIT, files.power(1))),
        Case(png(COLOURS, cicp(1, 4, 0, 1)), shown(UNIT, files.power(2.2))),
        Case(png(COLOURS, cicp(9, 5, 0, 1)), shown(UNIT, files.power(2.8), files.BT2020)),
    ]


@row("png-cicp-bt2020")
def _():
    return [Case(png(COLOURS, cicp(9, 14, 0, 1)), shown(UNIT, primaries=files.BT2020))]


@row("png-cicp-video")
def _():
    return same(*(png(COLOURS, cicp(*numbers, 0, 1), gama(0.51)) for numbers in ((1, 1), (6, 6), (5, 6), (1, 15))))


@row("png-cicp-unspecified")
def _():
    return same(png(COLOURS, cicp(2, 2, 0, 1)))


@row("png-cicp-unspecified-others")
def _():
    linear = shown(UNIT, files.power(1))
    others = [(gama(1),), (iccp(files.rgb_profile(files.gamma_tag(1))),)]
    return [
        *(Case(png(COLOURS, cicp(2, 2, 0, 1), *chunks), linear) for chunks in others),
        Case(png(COLOURS, cicp(2, 2, 0, 1), files.chrm(files.P3)), shown(UNIT, primaries=files.P3)),
        *same(png(COLOURS, gama(1), chunk(b"sRGB", b"\0"), cicp(2, 2, 0, 1))),
    ]


@row("png-cicp-half")
def _():
    alone = [png(COLOURS, cicp(*numbers, 0, 1)) for numbers in ((1, 2), (2, 13))]
    return same(
        *alone, png(COLOURS, cicp(1, 2, 0, 1), chunk(b"sRGB", b"\0")), png(COLOURS, cicp(2, 13, 0, 1), gama(0.45455))
    )


@row("png-cicp-half-primaries")
def _():
    return [Case(png(COLOURS, cicp(12, 2, 0, 1)), shown(UNIT, primaries=files.P3))]


@row("png-cicp-half-others")
def _():
    linear = files.rgb_profile(files.gamma_tag(1))
    return refused(
        *(png(COLOURS, cicp(*numbers, 0, 1), gama(1)) for numbers in ((1, 2), (2, 13), (12, 2), (2, 8))),
        png(COLOURS, cicp(1, 2, 0, 1), iccp(linear)),
        png(COLOURS, cicp(12, 2, 0, 1), chunk(b"sRGB", b"\0")),
        png(COLOURS, cicp(2, 13, 0, 1), files.chrm(files.P3)),
    )


@row("png-cicp-pq")
def _():
    return refused(png(COLOURS, cicp(9, 16, 0, 1)), png(DEEP, cicp(12, 16, 0, 1), iccp(SRGB_PROFILE)))


@row("png-cicp-hlg")
def _():
    return refused(png(COLOURS, cicp(9, 18, 0, 1)))


@row("png-cicp-narrow")
def _():
    return refused(png(COLOURS, cicp(1, 13, 0, 0)))


@row("png-cicp-other")
def _():
    return refused(*(png(COLOURS, cicp(*numbers)) for numbers in ((3, 13, 0, 1), (1, 9, 0, 1), (1, 13, 1, 1))))


@row("png-cicp-short")
def _():
    return refused(png(COLOURS, cicp(1, 13, 0)))


@row("png-misplaced")
def _():
    return refused(
        png(COLOURS, gama(1), gama(0.45455)), png(COLOURS, behind=gama(1)), png(COLOURS, chunk(b"sRGB", b"\0\0"))
    )


@row("png-critical")
def _():
    return refused(png(COLOURS, chunk(b"ABCD", b"")), png(COLOURS, first=chunk(b"CgBI", bytes(4))))


@row("png-hdr-metadata")
def _():
    return same(png(COLOURS, cicp(1, 13, 0, 1), chunk(b"mDCV", bytes(24)), chunk(b"cLLI", bytes(8))))


@row("png-sbit")
def _():
    return same(png(COLOURS, chunk(b"sBIT", b"\5\6\5")))


@row("png-low-bits")
def _():
    codes = numpy.arange(16, dtype=numpy.uint8)
    header = struct.pack(">IIBBBBB", 16, 1, 4, 0, 0, 0, 0)
    packed = zlib.compress(b"\0" + (codes[0::2] << 4 | codes[1::2]).tobytes())
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )
    return [Case(content, 17 * codes[None], 0)]


@row("png-bkgd")
def _():
    content = png(numpy.dstack([COLOURS, ALPHA]), chunk(b"bKGD", bytes(6)))
    return [Case(content, over_white(COLOURS, ALPHA), 1)]


@row("png-trns-16-bit")
def _():
    deep, grey = DEEP.copy(), DEEP[:, :, 0].copy()
    deep[3, 4] = 700, 40000, 3
    deep[3, 5] = 700, 40000, 4  # the same upper bytes
    grey[3, 4], grey[3, 5] = 700, 701
    colours, values = deep >> 8, grey >> 8
    colours[3, 4], values[grey == 700] = 255, 255
    linear = shown(deep / 65535, files.power(1))
    linear[3, 4] = 255
    key = chunk(b"tRNS", struct.pack(">3H", 700, 40000, 3))
    return [
        Case(png(deep, key), colours, 0),
        Case(png(grey, chunk(b"tRNS", struct.pack(">H", 700))), values, 0),
        Case(png(deep, gama(1), key), linear, 0.51),
    ]


@row("png-phys")
def _():
    assert numpy.array_equal(read(png(COLOURS, chunk(b"pHYs", struct.pack(">IIB", 2835, 2834, 1)))), COLOURS)
    return refused(*(png(COLOURS, chunk(b"pHYs", struct.pack(">IIB", 2, 1, unit))) for unit in (0, 1)))


@row("png-scal")
def _():
    square = (b"\x011\0001", b"\x010.5\x000.5", b"\x01a\0b")
    assert all(numpy.array_equal(read(png(COLOURS, chunk(b"sCAL", each))), COLOURS) for each in square)
    return refused(png(COLOURS, chunk(b"sCAL", b"\x011\x002")))


@row("png-ster")
def _():
    return refused(png(COLOURS, chunk(b"sTER", b"\0")))


def exif_chunk(orientation):
    return chunk(b"eXIf", files.exif({274: orientation}).tobytes().removeprefix(b"Exif\0\0"))


@row("png-exif-behind")
def _():
    return [Case(png(COLOURS, behind=exif_chunk(6)), numpy.rot90(COLOURS, -1), 0)]


@row("png-animation")
def _():
    return [Case(animation("PNG"), COLOURS, 0)]


def read(content):
    return photos.read("photo", content)


def animation(file_format, **options):
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    file = io.BytesIO()
    frames[0].save(file, file_format, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


def test_a_text_is_no_declaration():
    """Pillow puts texts under their own names beside what chunks declare."""
    names = (b"gamma", b"icc_profile", b"dpi", b"srgb", b"chromaticity", b"cicp", b"declared_light", b"unknown")
    texts = [chunk(b"tEXt", name + b"\0" + b"0.1") for name in names]
    assert numpy.array_equal(read(png(COLOURS, *texts)), COLOURS)


# JPEG

SMOOTH = numpy.repeat(numpy.linspace(0, 255, 64).astype(numpy.uint8)[None, :, None], 16, axis=0) * numpy.ones(
    3, numpy.uint8
)
SMOOTH[:, :, 1] //= 2


@row("jpeg-adobe-rgb")
def _():
    return [Case(saved(SMOOTH, "JPEG", quality=100, keep_rgb=True), SMOOTH, 2)]


@row("jpeg-adobe-ycck")
def _():
    inks = numpy.dstack([SMOOTH, numpy.full(SMOOTH.shape[:2], 200, numpy.uint8)])
    content = bytearray(saved(inks, "JPEG", "CMYK", quality=100))
    transform = content.index(b"Adobe") + 11
    content[transform] = 2  # the samples were C, M, Y, K as Adobe stores them, inverted; now they are Y, Cb, Cr, K
    y, cb, cr = (255 - SMOOTH.astype(float)[:, :, k] for k in range(3))
    rgb = (y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128))
    # YCCK's RGB are the inverted inks' complements (libjpeg), and Adobe's inversion is taken back: light left by inks.
    left = numpy.clip(numpy.stack(rgb, axis=2), 0, 255)
    return [Case(bytes(content), (255 - left) * (255 - 200) / 255, 3)]


def test_a_jpeg_whose_data_end_early_is_refused():
    pixels = numpy.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=numpy.uint8)
    contents = [saved(pixels, "JPEG", quality=95, progressive=progressive) for progressive in (False, True)]
    for content in (*contents, contents[0] + bytes(99), contents[0] + contents[1], contents[0][:-2] + b"\0" * 9):
        assert read(content).shape == pixels.shape
    for content in contents:
        with pytest.raises(errors.InputError, match="fewer rows"):
            read(content[: len(content) * 3 // 5] + b"\xff\xd9")


@row("jpeg-cmyk-no-marker")
def _():
    inks = numpy.dstack([SMOOTH, numpy.full(SMOOTH.shape[:2], 200, numpy.uint8)])
    content = saved(inks, "JPEG", "CMYK", quality=100)
    at = content.index(b"Adobe") - 4
    return refused(content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4]) :])


@row("jpeg-profile-in-parts")
def _():
    profile = files.rgb_profile(files.gamma_tag(1), extra=[(b"fill", bytes(70_000))])
    content = saved(COLOURS, "JPEG", icc_profile=profile)
    at = content.index(b"ICC_PROFILE\0\2") - 4
    size = int.from_bytes(content[at + 2 : at + 4])
    return refused(content[:at] + content[at + 2 + size :])


@row("jpeg-density")
def _():
    content = saved(COLOURS, "JPEG", dpi=(300, 150))
    at = content.index(b"JFIF\0") + 7
    return refused(content, content[:at] + b"\0" + struct.pack(">2H", 2, 1) + content[at + 5 :])


def with_xmp(text):
    return saved(SMOOTH, "JPEG", quality=100, subsampling=0, xmp=text.encode())


HDRGM = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/">'
    '<hdrgm:V a="1"%s/></x:xmpmeta>'
)


def jpeg_segment(number, content):
    return b"\xff" + bytes([0xE0 + number]) + struct.pack(">H", len(content) + 2) + content


def with_gain_map(segment):
    """A photo, and a smaller JPEG behind it whose own segment says what it is a map of."""
    gain = saved(SMOOTH[::2, ::2], "JPEG")
    return with_xmp(HDRGM % "") + gain[:2] + segment + gain[2:]


def xmp_segment(text):
    return jpeg_segment(1, b"http://ns.adobe.com/xap/1.0/\0" + text.encode())


def extended(text):
    """The packet in parts of extended XMP, cut within the name."""
    cut = text.index("RenditionIs")
    head = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32
    parts = ((0, text[:cut]), (cut, text[cut:]))
    return b"".join(jpeg_segment(1, head + struct.pack(">2I", len(text), at) + part.encode()) for at, part in parts)


def iso_gain_map(flags, *numbers):
    content = b"urn:iso:std:iso:ts:21496:-1\0" + struct.pack(f">HHB{len(numbers)}I", 0, 0, flags, *numbers)
    return jpeg_segment(2, content + bytes(16))


@row("jpeg-gain-map")
def _():
    said = (' hdrgm:BaseRenditionIsHDR="False"', " hdrgm:BaseRenditionIsHDR = 'false'", "")
    nested = HDRGM.replace("%s/>", "><hdrgm:BaseRenditionIsHDR x='y'> False </hdrgm:BaseRenditionIsHDR></hdrgm:V>")
    iso = (iso_gain_map(0x40, 0, 1, 23, 10), iso_gain_map(0x48, 10, 0, 23), jpeg_segment(2, iso_gain_map(0)[4:36]))
    contents = [with_xmp(HDRGM % each) for each in said] + [with_xmp(nested), with_gain_map(xmp_segment(HDRGM % ""))]
    return [Case(content, SMOOTH, 4) for content in (*contents, *map(with_gain_map, iso))]


@row("jpeg-hdr-base")
def _():
    name = " hdrgm:BaseRenditionIsHDR"
    said = [HDRGM % f"{name}{each}" for each in ('="True"', "='True'", '="true"', '= "1"', ' =\n" True "')]
    said += [HDRGM.replace("%s/>", f"><{name[1:]}{each}</{name[1:]}></hdrgm:V>") for each in (">True", " a='b'> True ")]
    maps_ = [xmp_segment(said[0]), extended(said[0]), iso_gain_map(0x40, 23, 10, 0, 1), iso_gain_map(0x48, 10, 23, 0)]
    others = saved(COLOURS, "WEBP", lossless=True, xmp=said[0].encode("utf-16")), png_text(said[0])
    return refused(*map(with_xmp, said), *map(with_gain_map, [*maps_, iso_gain_map(4, 0, 1, 23, 10)]), *others)


def png_text(packet):
    return png(COLOURS, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet.encode())))


@row("jpeg-mpo")
def _():
    other = Image.fromarray(255 - SMOOTH)
    file = io.BytesIO()
    Image.fromarray(SMOOTH).save(file, "MPO", save_all=True, append_images=[other], quality=100, subsampling=0)
    return [Case(file.getvalue(), SMOOTH, 4)]


# EXIF and XMP

TURNED = {  # orientation: the stored pixels as they are to be seen
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: numpy.rot90(stored, 2),
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: numpy.rot90(stored, -1),
    7: lambda stored: numpy.rot90(stored, 2).swapaxes(0, 1),
    8: lambda stored: numpy.rot90(stored),
}


def webp(exif):
    return saved(COLOURS, "WEBP", lossless=True, exif=exif)


@row("exif-orientation")
def _():
    return [Case(webp(files.exif({274: number})), turn(COLOURS), 0) for number, turn in TURNED.items()]


@row("exif-orientation-other")
def _():
    return same(*(webp(files.exif({274: number})) for number in (0, 9, 65535)))


RDF = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:o="urn:other">'
    '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:t="http://ns.adobe.com/tiff/1.0/"%s>'
    '%s</rdf:Description></rdf:RDF></x:xmpmeta>  <?xpacket end="w"?>'
)


def lossless(packet, **options):
    return saved(
        COLOURS, "WEBP", lossless=True, xmp=packet if isinstance(packet, bytes) else packet.encode(), **options
    )


@row("xmp-orientation")
def _():
    turned = numpy.rot90(COLOURS, -1)
    attributes = (' tiff:Orientation="6"', " tiff:Orientation='6'", "\nt:Orientation\n=\n' 6 '")
    elements = ("<tiff:Orientation>6</tiff:Orientation>", "<t:Orientation a='b'> 6\n</t:Orientation>")
    elements += ("<t:Orientation><rdf:Description><rdf:value>6</rdf:value></rdf:Description></t:Orientation>",)
    packets = [RDF % (each, "") for each in attributes] + [RDF % ("", each) for each in elements]
    contents = [lossless(each) for each in (*packets, packets[0].encode("utf-16"), packets[0].encode() + bytes(9))]
    contents += [saved(COLOURS, "TIFF", tiffinfo={700: packets[1].encode()})]
    contents += [png(COLOURS, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packets[2].encode()))]
    contents += [png(COLOURS, behind=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packets[1].encode()))]
    unbound = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    others = " o:Orientation='3' Orientation='3'", "<o:In><rdf:Description tiff:Orientation='3'/></o:In>"
    packets = [RDF % (others[0], ""), RDF % ("", others[1]), RDF % (" t:Orientation='nine'", "")]
    exif = lossless(RDF % (attributes[0], ""), exif=files.exif({274: 3}))
    return (
        [Case(content, turned, 0) for content in contents]
        + same(*map(lossless, packets))
        + [Case(content, numpy.rot90(COLOURS, 2), 0) for content in (lossless(unbound), exif)]
        + [Case(with_xmp(RDF % (attributes[1], "")), numpy.rot90(SMOOTH, -1), 4)]
    )


@row("xmp-damaged")
def _():
    bomb = '<!DOCTYPE x [<!ENTITY a "6"><!ENTITY b "&a;&a;">]><x tiff:Orientation="&b;"/>'
    broken = (
        (RDF % (' tiff:Orientation="6"', ""))[:-60],
        bomb,
        "<x>" * 5000 + "<tiff:Orientation>6",
        '<x a="Orientation',
    )
    assert numpy.array_equal(read(lossless("<x> nothing of which way is up")), COLOURS)
    assert read(lossless(broken[0], exif=files.exif({274: 6}))).shape == (20, 12, 3)
    return refused(*map(lossless, broken), with_xmp(broken[0]))


@row("exif-srgb")
def _():
    return same(webp(files.exif({}, {0xA001: 1, 0xA500: 1.0})))


@row("exif-adobe-rgb")
def _():
    expected = shown(UNIT, files.power(563 / 256), files.ADOBE)
    r03 = files.exif({}, {0xA001: 65535}, "R03")
    end = len(rgb_tiff(COLOURS, (0x8769, 4, (0,))))
    tiff = rgb_tiff(COLOURS, (0x8769, 4, (end,)))
    return [
        Case(webp(r03), expected),
        Case(png(COLOURS, chunk(b"eXIf", r03.tobytes().removeprefix(b"Exif\0\0"))), expected),
        Case(webp(files.exif({}, {0xA001: 2})), expected),
        Case(tiff + struct.pack("<HHHIII", 1, 0xA001, 3, 1, 2, 0), expected),
        Case(
            saved(SMOOTH, "JPEG", quality=100, subsampling=0, exif=r03),
            shown(SMOOTH / 255, files.power(563 / 256), files.ADOBE),
            6,
        ),
    ]


@row("exif-uncalibrated")
def _():
    return same(
        webp(files.exif({}, {0xA001: 65535})),
        webp(files.exif({}, {0xA001: 65535}, "R98")),
        webp(files.exif({}, {0xA001: 0})),
    )


@row("exif-colour-space-other")
def _():
    profile = files.rgb_profile(files.srgb_tag())
    assert numpy.array_equal(
        read(saved(COLOURS, "WEBP", lossless=True, exif=files.exif({}, {0xA001: 0xFFFE}), icc_profile=profile)), COLOURS
    )
    return refused(*(webp(files.exif({}, {0xA001: space})) for space in (0xFFFD, 0xFFFE, 3)))


@row("exif-gamma")
def _():
    return [Case(webp(files.exif({}, {0xA001: 65535, 0xA500: 1.8})), shown(UNIT, files.power(1.8)))]


@row("exif-primaries")
def _():
    tags = {318: files.D65, 319: tuple(value for point in files.P3 for value in point)}
    return [Case(webp(files.exif(tags)), shown(UNIT, primaries=files.P3))]


@row("exif-impossible")
def _():
    return refused(webp(files.exif({319: (0.1, 0.2, 0.3)})), webp(files.exif({}, {0xA500: 0.0})))


@row("exif-coefficients")
def _():
    usual = files.exif({529: (0.299, 0.587, 0.114), 532: (0, 255, 128, 255, 128, 255)})
    assert numpy.array_equal(read(webp(usual)), COLOURS)
    return refused(
        webp(files.exif({529: (0.2126, 0.7152, 0.0722)})), webp(files.exif({532: (16, 235, 128, 240, 128, 240)}))
    )


@row("exif-damaged")
def _():
    return same(saved(COLOURS, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\xff\xff\xff\xff"))


# TIFF


@row("tiff-orientation")
def _():
    return [Case(rgb_tiff(COLOURS, (274, 3, (number,))), turn(COLOURS), 0) for number, turn in TURNED.items()]


@row("tiff-white-is-zero")
def _():
    deep = DEEP[:, :, 0]
    return [
        Case(image_files.grey_tiff(GREY.tobytes(), 256, 2, bits=8, white_is_zero=True), 255 - GREY, 0),
        Case(image_files.grey_tiff(deep.tobytes(), 20, 12, bits=16, white_is_zero=True), (65535 - deep) >> 8, 0),
    ]


@row("tiff-transfer-function")
def _():
    tables = [numpy.linspace(0, 1, 256) ** exponent for exponent in (1.0, 1.5, 2.0)]
    values = [tuple(numpy.rint(table * 65535).astype(int).tolist()) for table in tables]

    def apart(unit):
        codes = numpy.rint(unit * 255).astype(int)
        return numpy.stack([tables[k][codes[:, :, k]] for k in range(3)], axis=2)

    return [
        Case(rgb_tiff(COLOURS, (301, 3, values[0])), shown(UNIT, files.power(1))),
        Case(rgb_tiff(COLOURS, (301, 3, values[0] + values[1] + values[2])), shown(UNIT, apart)),
    ]


@row("tiff-primaries")
def _():
    flat = files.rationals(*(value for point in files.P3 for value in point))
    content = rgb_tiff(COLOURS, (318, 5, files.rationals(*files.D65)), (319, 5, flat))
    return [Case(content, shown(UNIT, primaries=files.P3))]


@row("tiff-profile-16-bit")
def _():
    profile = (34675, 7, tuple(files.rgb_profile(files.gamma_tag(1))))
    height, width, _ = DEEP.shape
    usual = [(258, 3, (16,) * 3), (262, 3, (2,)), (277, 3, (3,)), profile]
    expected = shown(DEEP / 65535, files.power(1))
    return [
        Case(rgb_tiff(DEEP, profile), expected, 0.6),
        Case(files.tiff(DEEP.astype(">u2").tobytes(), width, height, *usual, big=True), expected, 0.6),
        Case(files.tiff(zlib.compress(DEEP.tobytes()), width, height, *usual, (259, 3, (8,))), expected, 0.6),
    ]


@row("tiff-premultiplied")
def _():
    opaque = numpy.maximum(ALPHA, 100)
    stored = numpy.rint(COLOURS * (opaque[:, :, None] / 255)).astype(numpy.uint8)
    content = rgb_tiff(numpy.dstack([stored, opaque]), (338, 3, (1,)))
    return [Case(content, over_white(COLOURS, opaque), 2)]


@row("tiff-extra")
def _():
    return [Case(rgb_tiff(numpy.dstack([COLOURS, ALPHA]), (338, 3, (0,))), COLOURS, 0)]


def planar_tiff(pixels, photometric, *tags, big=False, compress=bytes):
    """Each channel in a strip of its own."""
    height, width, channels = pixels.shape
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    planes = [compress(stored[:, :, k].tobytes()) for k in range(channels)]
    offsets = tuple(8 + sum(map(len, planes[:k])) for k in range(channels))
    usual = [(258, 3, (8 * pixels.itemsize,) * channels), (262, 3, (photometric,)), (277, 3, (channels,))]
    usual += [(284, 3, (2,)), (273, 4, offsets), (279, 4, tuple(map(len, planes)))]
    return files.tiff(b"".join(planes), width, height, *usual, *tags, big=big)


@row("tiff-planar")
def _():
    inks = numpy.dstack([COLOURS, ALPHA])
    flat = rgb_tiff(inks, (262, 3, (5,)))
    with Image.open(io.BytesIO(flat)) as image:
        cyan, magenta, yellow, black = (255.0 - numpy.asarray(band) for band in image.split())
    return [
        *same(planar_tiff(COLOURS, 2), planar_tiff(COLOURS, 2, (259, 3, (8,)), compress=zlib.compress)),
        Case(planar_tiff(inks, 5), numpy.dstack([each * black / 255 for each in (cyan, magenta, yellow)]), 1),
    ]


@row("tiff-planar-other")
def _():
    deep_alpha = numpy.dstack([DEEP, DEEP[:, :, :1]])
    lab = lab_pixels()
    return refused(
        *(planar_tiff(DEEP, 2, big=big) for big in (False, True)),
        planar_tiff(DEEP, 2, (259, 3, (8,)), compress=zlib.compress),
        planar_tiff(deep_alpha, 2, (338, 3, (2,))),
        planar_tiff(deep_alpha, 5),
        planar_tiff(COLOURS, 2, (266, 3, (2,))),
        planar_tiff(GREY[:, :, None], 0),
        planar_tiff(DEEP[:, :, :1], 1),
        planar_tiff(lab, 8),
        planar_tiff(lab, 8, (259, 3, (8,)), compress=zlib.compress),
    )


@row("tiff-fill-order")
def _():
    turned = numpy.packbits(numpy.unpackbits(GREY, bitorder="little"), bitorder="big").reshape(GREY.shape)
    tags = [(258, 3, (8,)), (262, 3, (1,)), (277, 3, (1,)), (266, 3, (2,))]
    return [Case(files.tiff(turned.tobytes(), 256, 2, *tags), GREY, 0)]


@row("tiff-lab")
def _():
    return [Case(lab_tiff(), files.lightness(lab_pixels()[:, :, 0] / 255), 2)]


@row("tiff-lab-white")
def _():
    return refused(lab_tiff((318, 5, files.rationals(*files.D65))))


@row("tiff-float")
def _():
    return refused(saved(numpy.ones((4, 4), numpy.float32), "TIFF"), saved(numpy.ones((4, 4), numpy.int32), "TIFF"))


@row("tiff-signed")
def _():
    tags = [(258, 3, (8,)), (262, 3, (1,)), (277, 3, (1,)), (339, 3, (2,))]
    return refused(files.tiff(GREY.tobytes(), 256, 2, *tags))


@row("tiff-ink-set")
def _():
    inks = numpy.zeros((4, 4, 4), numpy.uint8)
    return refused(rgb_tiff(inks, (262, 3, (5,)), (332, 3, (2,))))


@row("tiff-no-photometric")
def _():
    return refused(files.tiff(GREY.tobytes(), 256, 2, (258, 3, (8,)), (277, 3, (1,))))


@row("tiff-preview")
def _():
    return refused(rgb_tiff(COLOURS, (254, 4, (1,))), rgb_tiff(COLOURS, (254, 4, (4,))))


@row("tiff-transfer-range")
def _():
    assert numpy.array_equal(read(rgb_tiff(COLOURS, (342, 3, (0, 255) * 3))), COLOURS)
    return refused(rgb_tiff(COLOURS, (342, 3, (16, 235) * 3)))


@row("tiff-dng")
def _():
    return refused(rgb_tiff(COLOURS, (50706, 1, (1, 4, 0, 0))))


@row("tiff-palette-8-bit")
def _():
    numbers = COLOURS[:, :, :1]
    tags = [(258, 3, (8,)), (262, 3, (3,)), (277, 3, (1,))]
    good = files.tiff(numbers.tobytes(), 20, 12, *tags, (320, 3, tuple(257 * k for k in range(256)) * 3))
    assert numpy.array_equal(read(good), numpy.repeat(numbers, 3, axis=2))
    return refused(files.tiff(numbers.tobytes(), 20, 12, *tags, (320, 3, tuple(range(256)) * 3)))


@row("tiff-pages")
def _():
    return same(animation("TIFF"))


@row("tiff-resolution")
def _():
    return refused(rgb_tiff(COLOURS, (282, 5, files.rationals(204)), (283, 5, files.rationals(98)), (296, 3, (2,))))


# WebP, GIF, BMP, JPEG 2000, PPM


@row("webp-profile")
def _():
    profile = files.rgb_profile(files.gamma_tag(1))
    return [Case(saved(COLOURS, "WEBP", lossless=True, icc_profile=profile), shown(UNIT, files.power(1)))]


@row("webp-alpha")
def _():
    content = saved(numpy.dstack([COLOURS, ALPHA]), "WEBP", lossless=True, exact=True)
    return [Case(content, over_white(COLOURS, ALPHA), 1)]


@row("webp-animation")
def _():
    return same(animation("WEBP", lossless=True))


def gif(extension=b"", aspect=0):
    content = saved(GREY, "GIF")
    table = 13 + 3 * 2 ** ((content[10] & 7) + 1)
    return content[:12] + bytes([aspect]) + content[13:table] + extension + content[table:]


@row("gif-profile")
def _():
    profile = files.rgb_profile(files.gamma_tag(1))
    blocks = b"".join(bytes([len(part)]) + part for part in (profile[k : k + 255] for k in range(0, len(profile), 255)))
    return [Case(gif(b"\x21\xff\x0bICCRGBG1012" + blocks + b"\0"), 255 * files.encoded(GREY / 255))]


@row("gif-aspect")
def _():
    assert numpy.array_equal(read(gif(aspect=49))[:, :, 0], GREY)
    return refused(gif(aspect=113))


@row("gif-transparency")
def _():
    expected = GREY.copy()
    expected[GREY == 7] = 255
    return [Case(saved(GREY, "GIF", transparency=7), expected, 0)]


@row("bmp-srgb")
def _():
    return same(*(files.bmp(COLOURS, space) for space in (b"BGRs", b" niW", bytes(4))))


@row("bmp-calibrated")
def _():
    columns = files._to_xyz(files.P3, files.D65).T / 2
    gammas = (1.8, 2.0, 2.4)

    def curve(unit):
        return unit ** numpy.array(gammas)

    return [Case(files.bmp(COLOURS, bytes(4), columns.ravel(), gammas), shown(UNIT, curve, files.P3), 1.1)]


@row("bmp-calibrated-impossible")
def _():
    columns = files._to_xyz(files.P3, files.D65).T / 2
    return refused(files.bmp(COLOURS, bytes(4), columns.ravel()), files.bmp(COLOURS, bytes(4), gammas=(2.2,) * 3))


@row("bmp-embedded")
def _():
    profile = files.rgb_profile(files.gamma_tag(1))
    return [Case(files.bmp(COLOURS, b"DEBM", profile=profile), shown(UNIT, files.power(1)))]


@row("bmp-linked")
def _():
    return refused(files.bmp(COLOURS, b"KNIL", profile=b"C:\\profile.icm\0"))


@row("bmp-density")
def _():
    return refused(files.bmp(COLOURS, b"BGRs", density=(2835, 5670)))


RAMPS = numpy.random.default_rng(4).integers(60, 200, (4, 5, 3), dtype=numpy.uint8)
JP2 = saved(COLOURS, "JPEG2000", irreversible=False)


@row("jp2-srgb")
def _():
    return same(JP2)


@row("jp2-profile")
def _():
    profile = files.rgb_profile(files.gamma_tag(1))
    return [Case(files.with_colour_box(JP2, bytes([2, 0, 0]) + profile), shown(UNIT, files.power(1)))]


@row("jp2-other")
def _():
    boxes = (bytes([1, 0, 0]) + struct.pack(">I", 21), bytes([4, 0, 0]) + bytes(20), None)
    return refused(*(files.with_colour_box(JP2, box) for box in boxes))


@row("jp2-bare")
def _():
    return same(saved(COLOURS, "JPEG2000", irreversible=False, no_jp2=True))


@row("jp2-sycc")
def _():
    smooth = numpy.repeat(numpy.repeat(RAMPS, 4, axis=0), 4, axis=1)
    content = saved(smooth, "JPEG2000", irreversible=False, mct=0)
    y, cb, cr = (smooth[:, :, k].astype(float) for k in range(3))
    rgb = (y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128))
    box = bytes([1, 0, 0]) + struct.pack(">I", 18)
    return [Case(files.with_colour_box(content, box), numpy.clip(numpy.stack(rgb, axis=2), 0, 255), 1)]


@row("ppm-maxval")
def _():
    values = numpy.minimum(COLOURS, 100)
    deep = numpy.minimum(DEEP[:, :, 0], 1000)
    return [
        Case(b"P6 20 12 100\n" + values.tobytes(), values / 100 * 255, 0.6),
        Case(b"P5 20 12 1000\n" + deep.astype(">u2").tobytes(), deep / 1000 * 255, 1),
    ]


# Not read


@row("avif")
def _():
    return refused(saved(COLOURS, "AVIF"))


@row("special")
def _():
    return []


def test_special_files_are_refused(tmp_path):
    """The row `special`, whose files have no content to write."""
    os.mkfifo(tmp_path / "pipe.jpg")
    for use in (photos.read, photos.probe, photos.read_apart, photos.read_deep):
        with pytest.raises(errors.SourceError, match="not a file"):
            use(tmp_path / "pipe.jpg")
