"""What a photo's file holds comes through."""

import pathlib
import struct
import zlib
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from blursynth.media import photos
from trainers.inference import photo_files


def deep(shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)


def stored(path: pathlib.Path) -> tuple[str, np.ndarray[Any, Any]]:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    return frame.format.name, frame.to_ndarray()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_come_through_unchanged(channels: int, tmp_path: pathlib.Path) -> None:
    samples = deep((13, 17, channels))
    (tmp_path / "a.png").write_bytes(photo_files._deep_png(samples))
    picture = photo_files.read(tmp_path / "a.png")
    assert picture.grey == (channels == 1)
    expected = samples[:, :, :3].astype(np.float64) / 65535
    found = picture.blurred_NCHW[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=0, atol=1e-7)
    photo_files.write(tmp_path / "b.png", picture.blurred_NCHW, picture, 16)
    name, result = stored(tmp_path / "b.png")
    assert name == {1: "gray16be", 3: "rgb48be", 4: "rgba64be"}[channels]
    assert np.array_equal(result.reshape(samples.shape), samples)
    photo_files.write(tmp_path / "c.png", picture.blurred_NCHW, picture, 8)
    with Image.open(tmp_path / "c.png") as image:
        assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        assert np.array_equal(np.asarray(image).reshape(samples.shape), (samples / 257).round())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_are_turned_upright(orientation: int, tmp_path: pathlib.Path) -> None:
    samples = deep((12, 20, 3))
    (tmp_path / "a.png").write_bytes(photo_files._deep_png(samples))
    expected = photo_files.read(tmp_path / "a.png").blurred_NCHW
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {
        1: samples,
        2: samples[:, ::-1],
        3: np.rot90(samples, 2),
        4: samples[::-1],
        5: samples.swapaxes(0, 1),
        6: np.rot90(samples),
        7: np.rot90(samples, 2).swapaxes(0, 1),
        8: np.rot90(samples, -1),
    }[orientation]
    content = photo_files._deep_png(turned)
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "b.png").write_bytes(content[:33] + chunk + content[33:])  # behind the header's 8 + 25 bytes
    assert torch.equal(photo_files.read(tmp_path / "b.png").blurred_NCHW, expected)


def test_a_tiled_tiff_has_all_its_bits(shared_data: pathlib.Path) -> None:
    path = shared_data / "bad_images" / "pillow" / "tiff_16bit_RGB.tiff"
    picture = photo_files.read(path)
    codes = picture.blurred_NCHW[0].permute(1, 2, 0).numpy() * 65535
    assert len(np.unique(codes.round())) > 1000
    assert np.abs(np.floor(codes / 256) - photos.read(path)).max() <= 1


@pytest.mark.parametrize(("exponent", "name"), [(1.0, "linear"), (1.8, "other")])
def test_sixteen_bits_of_other_light_become_srgb(exponent: float, name: str, tmp_path: pathlib.Path) -> None:
    """PNG's gAMA, from all 16 bits; and what is written says that it is sRGB."""
    samples = deep((13, 17, 3))
    content = photo_files._deep_png(samples)
    assert content[33 + 4 : 33 + 8] == b"sRGB"
    body = b"gAMA" + struct.pack(">I", round(100_000 / exponent))
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / f"{name}.png").write_bytes(content[:33] + chunk + content[33 + 13 :])
    picture = photo_files.read(tmp_path / f"{name}.png")
    linear = (samples / 65535) ** exponent
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found = picture.blurred_NCHW[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    photo_files.write(tmp_path / "again.png", picture.blurred_NCHW, picture, 8)
    with Image.open(tmp_path / "again.png") as image:
        assert image.info["srgb"] == 0


def test_sixteen_bits_of_grey_with_alpha(tmp_path: pathlib.Path) -> None:
    samples = deep((5, 4, 2))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 4, 5, 16, 4, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks)
    )
    picture = photo_files.read(tmp_path / "a.png")
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, samples[:, :, 1])
    assert np.array_equal((picture.blurred_NCHW[0, 1].numpy() * 65535).round(), samples[:, :, 0])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_kept_and_colours_below_it_are_not_mixed_with_white(mode: str, tmp_path: pathlib.Path) -> None:
    numbers = np.random.default_rng(1)
    rgba = numbers.integers(0, 256, (9, 11, 4), np.uint8)
    if mode != "RGBA":
        rgba[:, :, 1] = rgba[:, :, 2] = rgba[:, :, 0]
    image = Image.fromarray(rgba)
    (image if mode == "RGBA" else image.convert("LA")).save(tmp_path / "a.png")
    picture = photo_files.read(tmp_path / "a.png")
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, rgba[:, :, 3])
    np.testing.assert_allclose(picture.blurred_NCHW[0].permute(1, 2, 0).numpy() * 255, rgba[:, :, :3], atol=1e-4)
    for bits in (8, 16):
        photo_files.write(tmp_path / "b.png", picture.blurred_NCHW, picture, bits)  # type: ignore[arg-type]
        with Image.open(tmp_path / "b.png") as result:
            assert np.array_equal(np.asarray(result.convert("RGBA")), rgba)


def test_a_photo_turned_by_exif_keeps_its_alpha_beside_its_colours(tmp_path: pathlib.Path) -> None:
    rgba = np.random.default_rng(2).integers(0, 256, (6, 10, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgba).save(tmp_path / "a.png", exif=exif)
    picture = photo_files.read(tmp_path / "a.png")
    upright = np.rot90(rgba, -1)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, upright[:, :, 3])
    assert np.array_equal((picture.blurred_NCHW[0, 0] * 255).round().numpy(), upright[:, :, 0])


def test_an_opaque_photo_is_what_photos_read(tmp_path: pathlib.Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (7, 5, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=90)
    picture = photo_files.read(tmp_path / "a.jpg")
    assert picture.alpha is None
    assert not picture.grey
    expected = torch.from_numpy(photos.read(tmp_path / "a.jpg")).permute(2, 0, 1)[None] / 255
    assert torch.equal(picture.blurred_NCHW, expected)


def test_a_grey_result_is_luma(tmp_path: pathlib.Path) -> None:
    restored = torch.rand(1, 3, 4, 6)
    picture = photo_files.Picture(restored, None, grey=True)
    photo_files.write(tmp_path / "a.png", restored, picture, 8)
    luma = 0.299 * restored[0, 0] + 0.587 * restored[0, 1] + 0.114 * restored[0, 2]
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L"
        assert np.abs(np.asarray(image) / 255 - luma.numpy()).max() <= 0.5 / 255 + 1e-6
