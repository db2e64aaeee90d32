"""Photo files with one declaration each, byte for byte where Pillow cannot write them, and what they look like.

The colours are computed here from the formulas of the standards, in float64; nothing of the product is used.
"""

import io
import struct
import zlib

import image_files
import numpy
from PIL import Image

RNG = numpy.random.default_rng(7)
COLOURS = RNG.integers(0, 256, (12, 20, 3), dtype=numpy.uint8)
COLOURS[0, :, :] = numpy.arange(20)[:, None]  # dark greys, where curves are steep
GREY = numpy.tile(numpy.arange(256, dtype=numpy.uint8), (2, 1))
DEEP = RNG.integers(0, 65536, (12, 20, 3), dtype=numpy.uint16)
DEEP[0] = numpy.arange(0, 2000, 100)[:, None]
ALPHA = RNG.integers(0, 256, (12, 20), dtype=numpy.uint8)

SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
XYZ = (b"rXYZ", b"gXYZ", b"bXYZ")
BRADFORD = numpy.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_curve(value):
    return numpy.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def encoded(linear):
    linear = numpy.clip(linear, 0, 1)
    return numpy.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _xyz(x, y):
    return numpy.array([x / y, 1, (1 - x - y) / y])


def _to_xyz(primaries, white):
    columns = numpy.stack([_xyz(*point) for point in primaries], axis=1)
    return columns * numpy.linalg.solve(columns, _xyz(*white))


def adaptation(source, target):
    cones = (BRADFORD @ _xyz(*target)) / (BRADFORD @ _xyz(*source))
    return numpy.linalg.inv(BRADFORD) @ numpy.diag(cones) @ BRADFORD


def shown(values, curve=srgb_curve, primaries=SRGB, white=D65):
    """Values in [0, 1] of this light as sRGB, 0 to 255, not rounded."""
    matrix = numpy.linalg.inv(_to_xyz(SRGB, D65)) @ adaptation(white, D65) @ _to_xyz(primaries, white)
    return 255 * encoded(curve(values) @ matrix.T)


def power(exponent):
    return lambda value: value**exponent


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels, *before: bytes, behind: bytes = b"", first: bytes = b"") -> bytes:
    """A PNG of uint8 or uint16 (H, W) or (H, W, 1 to 4), with chunks before and behind the pixels."""
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(pixels.dtype.newbyteorder(">")).tobytes() for row in pixels)
    body = chunk(b"IDAT", zlib.compress(rows)) + behind + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + first + chunk(b"IHDR", header) + b"".join(before) + body


def gama(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chrm(primaries, white=D65) -> bytes:
    flat = [value for point in (white, *primaries) for value in point]
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in flat)))


def iccp(profile: bytes, name: bytes = b"any") -> bytes:
    return chunk(b"iCCP", name + b"\0\0" + zlib.compress(profile))


def cicp(*numbers: int) -> bytes:
    return chunk(b"cICP", bytes(numbers))


def gamma_tag(exponent: float) -> bytes:
    return b"para" + struct.pack(">4xHxxi", 0, round(exponent * 65536))


def srgb_tag() -> bytes:
    return b"para" + struct.pack(
        ">4xHxx5i", 3, *(round(65536 * v) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    )


def points_tag(values) -> bytes:
    points = numpy.rint(numpy.asarray(values) * 65535).astype(">u2")
    return b"curv" + struct.pack(">4xI", len(points)) + points.tobytes()


def rgb_profile(curve: bytes, primaries=SRGB, white=D65, extra=(), name: str = "a test's own profile") -> bytes:
    columns = (adaptation(white, D50) @ _to_xyz(primaries, white)).T
    tags = [(b"wtpt", image_files.xyz_tag((0.9642, 1.0, 0.8249)))]
    tags += [(tag, image_files.xyz_tag(tuple(column))) for tag, column in zip(XYZ, columns, strict=True)]
    tags += [(tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    return image_files.profile(b"mntr", b"RGB ", b"XYZ ", [*tags, *extra], name)


def grey_profile(curve: bytes) -> bytes:
    tags = [(b"wtpt", image_files.xyz_tag((0.9642, 1.0, 0.8249))), (b"kTRC", curve)]
    return image_files.profile(b"mntr", b"GRAY", b"XYZ ", tags)


def table_profile() -> bytes:
    """RGB through a table to L*a*b*: lightness is red, and there is no colour."""
    nodes = numpy.zeros((2, 2, 2, 3), numpy.uint8)
    nodes[..., 1:] = 128
    nodes[1, ..., 0] = 255
    identity = struct.pack(">9I", *(65536 if k % 4 == 0 else 0 for k in range(9)))
    table = (
        b"mft1"
        + bytes(4)
        + bytes([3, 3, 2, 0])
        + identity
        + 3 * bytes(range(256))
        + nodes.tobytes()
        + 3 * bytes(range(256))
    )
    white = (b"wtpt", image_files.xyz_tag((0.9642, 1.0, 0.8249)))
    return image_files.profile(b"mntr", b"RGB ", b"Lab ", [white, (b"A2B0", table), (b"A2B1", table)])


def lightness(values):
    """L* in [0, 1] as grey sRGB, 0 to 255."""
    scaled = (100 * values + 16) / 116
    return 255 * encoded(numpy.where(scaled > 6 / 29, scaled**3, 3 * (6 / 29) ** 2 * (scaled - 4 / 29)))


def cicp_tag(*numbers: int) -> tuple[bytes, bytes]:
    return b"cicp", b"cicp" + bytes(4) + bytes(numbers)


def saved(pixels, file_format: str, mode: str | None = None, **options) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(pixels) if mode is None else Image.fromarray(pixels, mode=mode)).save(file, file_format, **options)
    return file.getvalue()


def exif(tags=(), details=(), interoperability: str | None = None) -> Image.Exif:
    result = Image.Exif()
    result.update(dict(tags))
    ifd = dict(details)
    if interoperability is not None:
        ifd[0xA005] = {1: interoperability}
    if ifd:
        result._ifds[0x8769] = ifd
    return result


def tiff(samples: bytes, width: int, height: int, *tags: tuple[int, int, tuple[int, ...]], big: bool = False) -> bytes:
    """A TIFF of uncompressed strips that lie one after another, with these tags (number, type, values) besides."""
    order = ">" if big else "<"
    formats = {1: "B", 3: "H", 4: "I", 5: "I", 7: "B"}
    entries = {256: (4, (width,)), 257: (4, (height,)), 259: (3, (1,)), 273: (4, (8,)), 278: (4, (height,))}
    entries[279] = (4, (len(samples),))
    entries |= {number: (kind, values) for number, kind, values in tags}
    place = 8 + len(samples) + 2 + 12 * len(entries) + 4
    directory, behind = struct.pack(order + "H", len(entries)), b""
    for number, (kind, values) in sorted(entries.items()):
        content = struct.pack(f"{order}{len(values)}{formats[kind]}", *values)
        count = len(values) // 2 if kind == 5 else len(values)
        if len(content) > 4:
            field, behind = struct.pack(order + "I", place + len(behind)), behind + content + bytes(len(content) % 2)
        else:
            field = content.ljust(4, b"\0")
        directory += struct.pack(order + "HHI", number, kind, count) + field
    head = struct.pack(order + "2sHI", b"MM" if big else b"II", 42, 8 + len(samples))
    return head + samples + directory + bytes(4) + behind


def rgb_tiff(pixels, *tags) -> bytes:
    height, width, channels = pixels.shape
    usual = [(258, 3, (8 * pixels.dtype.itemsize,) * channels), (262, 3, (2,)), (277, 3, (channels,))]
    kept = [entry for entry in usual if entry[0] not in {tag[0] for tag in tags}]
    return tiff(pixels.tobytes(), width, height, *kept, *tags)


def rationals(*values: float) -> tuple[int, ...]:
    return tuple(number for value in values for number in (round(value * 10_000), 10_000))


def bmp(pixels, space: bytes, endpoints=(0,) * 9, gammas=(0,) * 3, profile: bytes = b"", density=(0, 0)) -> bytes:
    """A BMP with a BITMAPV5HEADER. endpoints: XYZ of red, green and blue; the profile lies behind the pixels."""
    height, width, _ = pixels.shape
    rows = b"".join((row[:, ::-1].tobytes() + bytes(-3 * width % 4)) for row in pixels[::-1])
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(rows), *density, 0, 0) + bytes(16)
    header += space + struct.pack("<9I", *(round(value * 2**30) for value in endpoints))
    header += struct.pack("<3I", *(round(value * 65536) for value in gammas))
    header += struct.pack("<4I", 4, 124 + len(rows) if profile else 0, len(profile), 0)
    size = 14 + len(header) + len(rows)
    return struct.pack("<2sIHHI", b"BM", size + len(profile), 0, 0, 14 + len(header)) + header + rows + profile


def with_colour_box(jp2: bytes, content: bytes | None) -> bytes:
    """A JPEG 2000 file with another colour box, or none."""
    at = jp2.index(b"colr") - 4
    size = struct.unpack_from(">I", jp2, at)[0]
    box = b"" if content is None else struct.pack(">I", 8 + len(content)) + b"colr" + content
    header = jp2.index(b"jp2h") - 4
    grown = struct.unpack_from(">I", jp2, header)[0] + len(box) - size
    return jp2[:header] + struct.pack(">I", grown) + jp2[header + 4 : at] + box + jp2[at + size :]
