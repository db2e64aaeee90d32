"""Counter-based draws: known answers, the laws of splitting, and their distributions."""

import hypothesis
import numpy as np
import pytest
import reference
import scipy.stats
from hypothesis import strategies

from blursynth.kernels import jit, portable_math, random

# Random123's kat_vectors for philox4x32 with ten rounds: counter, key, result.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

seeds = strategies.integers(0, 2**63 - 1)
items = strategies.integers(0, 2**63 - 1)


@jit.kernel
def _philox(words, result):
    for row in range(len(words)):
        w = words[row]
        result[row, 0], result[row, 1], result[row, 2], result[row, 3] = random.philox_inline(
            w[0], w[1], w[2], w[3], w[4], w[5]
        )


@jit.kernel
def _elementary(positive, turns, logarithm, cosine, sine):
    for i in range(turns.size):
        logarithm[i] = portable_math.log(positive[i])
        cosine[i], sine[i] = portable_math.cos_sin_turns(turns[i])


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, answer):
    words = [np.uint64(word) for word in (*counter, *key)]
    assert tuple(int(word) for word in random.philox(*words)) == answer
    assert reference.philox(counter, key) == answer


def test_compiled_philox_equals_integers():
    words = (random.uniforms(9, random.Stream.SCENE, np.arange(50), 6) * 2**32).astype(np.uint64)
    result = np.empty((50, 4), np.uint64)
    _philox(words, result)
    expected = [reference.philox(tuple(row[:4]), tuple(row[4:])) for row in words.tolist()]
    assert result.tolist() == [list(row) for row in expected]


@hypothesis.given(seed=seeds, item=items, stream=strategies.sampled_from(random.Stream))
def test_uniforms_are_the_words_of_philox(seed, item, stream):
    blocks = [
        reference.philox((block, int(stream), item % 2**32, item >> 32), (seed % 2**32, seed >> 32)) for block in (0, 1)
    ]
    expected = [((words[i] << 32 | words[i + 1]) >> 11) / 2**53 for words in blocks for i in (0, 2)]
    assert random.uniforms(seed, stream, [item], 4).tolist() == [expected]


@hypothesis.given(seed=seeds, numbers=strategies.lists(items, max_size=8), count=strategies.integers(0, 7))
def test_uniforms_do_not_depend_on_company(seed, numbers, count):
    together = random.uniforms(seed, random.Stream.CROP, np.array(numbers, np.int64), count)
    assert together.shape == (len(numbers), count)
    for row, number in zip(together, numbers, strict=True):
        alone = random.uniforms(seed, random.Stream.CROP, [number], count + 3)
        np.testing.assert_array_equal(row, alone[0, :count])


def test_uniforms_are_uniform_and_streams_independent():
    a = random.uniforms(11, random.Stream.CROP, np.arange(20_000), 3)
    b = random.uniforms(11, random.Stream.EXPOSURE, np.arange(20_000), 3)
    c = random.uniforms(12, random.Stream.CROP, np.arange(20_000), 3)
    for draws in (a, b, c):
        assert draws.min() >= 0
        assert draws.max() < 1
        assert scipy.stats.kstest(draws.ravel(), "uniform").pvalue > 0.001
    table = np.corrcoef(np.concatenate([a, b, c], axis=1).T)
    assert np.abs(table - np.eye(9)).max() < 5 / np.sqrt(20_000)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seed_out_of_range(seed):
    with pytest.raises(AssertionError):
        random.uniforms(seed, random.Stream.CROP, [0], 1)


def elementary_functions(positive, turns):
    logarithm, cosine, sine = np.empty_like(turns), np.empty_like(turns), np.empty_like(turns)
    _elementary(positive, turns, logarithm, cosine, sine)
    return logarithm, cosine, sine


def test_elementary_functions():
    u = random.uniforms(3, random.Stream.SCENE, np.arange(100), 30).ravel()
    # Everything a 31-bit draw can give, dense at both ends.
    values = np.concatenate([u, u * 2.0**-20, 1 - u * 2.0**-12, [2.0**-32, 1.0, 0.5, 0.25, 0.125]]).astype(np.float32)
    logarithm, cosine, sine = elementary_functions(values, values)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(logarithm, np.log(exact), rtol=2e-7, atol=0)
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi * exact), rtol=0, atol=2e-7)
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * exact), rtol=0, atol=2e-7)


def test_elementary_hand_values():
    turns = np.array([0.25, 0.5, 0.75, 1.0, -0.25, -3.5, 0.125], np.float32)
    powers = np.array([1.0, 2.0, 4.0, 0.5, 8.0, 0.25, 1024.0], np.float32)
    logarithm, cosine, sine = elementary_functions(powers, turns)
    np.testing.assert_allclose(logarithm, np.log(2) * np.array([0, 1, 2, -1, 3, -2, 10]), rtol=1e-7)
    assert cosine[:6].tolist() == [0, -1, 0, 1, 0, -1]
    assert sine[:6].tolist() == [1, 0, -1, 0, -1, 0]
    np.testing.assert_allclose([cosine[6], sine[6]], np.sqrt(0.5), atol=1e-7)
