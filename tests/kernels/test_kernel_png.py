"""Paeth's filter against a slow one, and against a decoder that is not ours."""

import io

import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from blursynth.exchange import png
from blursynth.kernels import png as kernel

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


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_image_is_small(value: int) -> None:
    """What run lengths are for: without them each byte costs a bit at least."""
    assert len(png.encode(np.full((256, 256, 3), value, np.uint8))) < 2000
