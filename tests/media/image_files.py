"""Image files made by hand, where Pillow cannot write them: odd TIFFs, PNG headers, ICC profiles."""

import struct
import zlib

import numpy


def grey_tiff(rows: bytes, width: int, height: int, *, bits: int, white_is_zero: bool = False) -> bytes:
    """A little-endian TIFF of one uncompressed strip."""
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, 0 if white_is_zero else 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(rows)),
    ]
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(rows)) + rows + directory + struct.pack("<I", 0)


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is 8-bit RGB of this size, and ends there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def rgb_profile_with_red_and_blue_swapped() -> bytes:
    """An ICC matrix profile of sRGB's primaries in the wrong order and gamma 2.2."""
    red, green, blue = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    tags = [(b"wtpt", xyz_tag((0.9642, 1.0, 0.8249)))]
    tags += [(name, xyz_tag(colour)) for name, colour in ((b"rXYZ", blue), (b"gXYZ", green), (b"bXYZ", red))]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return profile(b"mntr", b"RGB ", b"XYZ ", tags)


def cmyk_profile_inverted() -> bytes:
    """An ICC table profile in which the lightness is the black channel: no ink is black, full black ink is white."""
    nodes = numpy.zeros((2, 2, 2, 2, 3), numpy.uint8)
    nodes[..., 1:] = 128
    nodes[:, :, :, 1, 0] = 255
    ramp = bytes(range(256))
    identity = struct.pack(">9I", *(65536 if k % 4 == 0 else 0 for k in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + 4 * ramp + nodes.tobytes() + 3 * ramp
    return profile(
        b"prtr", b"CMYK", b"Lab ", [(b"wtpt", xyz_tag((0.9642, 1.0, 0.8249))), (b"A2B0", table), (b"A2B1", table)]
    )


def xyz_tag(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def profile(
    kind: bytes,
    space: bytes,
    connection: bytes,
    tags: list[tuple[bytes, bytes]],
    name: str = "a test's own profile",
) -> bytes:
    text = name.encode() + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    tags = [(b"desc", description), *tags]
    position = 128 + 4 + 12 * len(tags)
    directory, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        padded = data + bytes(-len(data) % 4)
        directory += name + struct.pack(">II", position + len(body), len(data))
        body += padded
    illuminant = struct.pack(">3i", 63190, 65536, 54061)
    header = struct.pack(">I4sI4s4s4s", position + len(body), bytes(4), 0x02100000, kind, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + illuminant
    return header + bytes(128 - len(header)) + directory + body
