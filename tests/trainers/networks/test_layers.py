import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.networks import layers


@given(st.integers(1, 23), st.integers(1, 23))
def test_padding_reflects_like_numpy(height: int, width: int) -> None:
    image = np.random.default_rng(height * 31 + width).random((1, 2, height, width))
    padded = layers.pad_to_multiple(torch.from_numpy(image), divisor=4, smallest=8).numpy()
    rows, columns = (max(-(-length // 4) * 4, 8) for length in (height, width))
    expected = np.pad(image, ((0, 0), (0, 0), (0, rows - height), (0, columns - width)), mode="reflect")
    np.testing.assert_array_equal(padded, expected)
