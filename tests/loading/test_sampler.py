"""The order in which items come: a permutation for every key, fair over keys, and the same however it is asked for."""

import collections
import math
import tracemalloc

import hypothesis
import numpy as np
import pytest
import scipy.stats
from hypothesis import strategies as st

from blursynth.loading import sampler

SEEDS = st.integers(0, 2**63 - 1)


def permutation(size: int, seed: int = 0, number: int = 0) -> np.ndarray:
    return sampler.permute(np.arange(size), size, sampler.keys(seed, sampler.Stream.PASS, np.full(size, number)))


def test_words_are_those_of_splitmix64() -> None:
    # The first outputs for the seed 1234567 that implementations of the generator are commonly checked with.
    words = sampler._word(np.array([1234567], np.uint64), np.arange(3, dtype=np.uint64))
    assert words.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def slow_permute(value: int, size: int, key: int) -> int:
    """Swap-or-not as its authors write it, one number and one round at a time, in Python's integers."""

    def word(start: int, index: int) -> int:
        z = (start + 0x9E3779B97F4A7C15 * (index + 1)) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    for step in range(64):
        partner = (word(key, step) % size - value) % size
        if word(word(key, 64 + step), max(value, partner)) >> 63:
            value = partner
    return value


@hypothesis.given(size=st.integers(1, 2**40), key=st.integers(0, 2**64 - 1), data=st.data())
def test_permutation_equals_its_definition(size: int, key: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5))
    keys = np.full(len(values), key, np.uint64)
    found = sampler.permute(np.array(values), size, keys)
    assert found.tolist() == [slow_permute(value, size, key) for value in values]


@hypothesis.given(size=st.integers(1, 3000), seed=SEEDS, number=st.integers(0, 2**40))
def test_every_key_gives_a_bijection(size: int, seed: int, number: int) -> None:
    assert np.array_equal(np.sort(permutation(size, seed, number)), np.arange(size))


@hypothesis.given(size=st.integers(1, 50), seed=SEEDS, numbers=st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_keys_may_be_mixed_in_one_call(size: int, seed: int, numbers: list[int]) -> None:
    values = np.arange(len(numbers)) % size
    mixed = sampler.permute(values, size, sampler.keys(seed, sampler.Stream.PASS, np.array(numbers)))
    single = [permutation(size, seed, number)[value] for value, number in zip(values, numbers, strict=True)]
    assert mixed.tolist() == single


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_of_a_few_items_are_equally_likely(size: int) -> None:
    count = 30_000
    key = np.repeat(sampler.keys(7, sampler.Stream.PASS, np.arange(count)), size)
    orders = sampler.permute(np.tile(np.arange(size), count), size, key).reshape(count, size)
    uses = np.array(list(collections.Counter(map(bytes, orders.astype(np.uint8))).values()))
    assert len(uses) == math.factorial(size)
    assert scipy.stats.chisquare(uses).pvalue > 1e-4


def test_places_neighbours_and_first_items_are_uniform() -> None:
    size, count = 37, 4000
    key = np.repeat(sampler.keys(3, sampler.Stream.PASS, np.arange(count)), size)
    orders = sampler.permute(np.tile(np.arange(size), count), size, key).reshape(count, size)
    places = np.stack([np.bincount(column, minlength=size) for column in orders.T])
    assert scipy.stats.chi2.sf(((places - count / size) ** 2 / (count / size)).sum(), (size - 1) ** 2) > 1e-4
    # The distance from an item to the next one is any but zero.
    steps = np.bincount(((orders[:, 1:] - orders[:, :-1]) % size).ravel(), minlength=size)
    assert steps[0] == 0
    assert scipy.stats.chisquare(steps[1:]).pvalue > 1e-4


def test_a_large_permutation_has_no_trend_and_as_few_fixed_points_as_chance() -> None:
    order = permutation(200_000, 11)
    assert abs(np.corrcoef(np.arange(len(order)), order)[0, 1]) < 5 / math.sqrt(len(order))
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 5 / math.sqrt(len(order))
    assert np.count_nonzero(order == np.arange(len(order))) <= 10  # Poisson of mean 1
    ascents = np.count_nonzero(np.diff(order) > 0)
    assert abs(ascents - len(order) / 2) < 5 * math.sqrt(len(order) / 12)


@hypothesis.given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    start=st.integers(0, 200),
    count=st.integers(1, 100),
    seed=SEEDS,
    data=st.data(),
)
def test_any_part_of_the_order_equals_that_part_of_the_whole(
    sizes: list[int], start: int, count: int, seed: int, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.floats(0.1, 10), min_size=len(sizes), max_size=len(sizes)))
    ranks = data.draw(st.integers(1, 5))
    order = sampler.Order(sizes, weights, seed)
    whole = np.stack(sampler.Order(sizes, weights, seed).at(np.arange(start + count)))
    for rank in range(ranks):
        positions = np.arange(start + rank, start + count, ranks)
        assert np.array_equal(np.stack(order.at(positions)), whole[:, positions])


def test_one_dataset_is_seen_once_an_epoch_in_another_order_each_time() -> None:
    order = sampler.Order([50], [1.0], 0)
    epochs = [order.at(np.arange(50) + epoch * 50)[1] for epoch in range(3)]
    assert all(sorted(rows) == list(range(50)) for rows in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(sampler.Order([50], [1.0], 1).at(np.arange(50))[1], epochs[0])


def test_weights_are_shares_of_every_epoch_and_each_dataset_is_used_evenly() -> None:
    # DeblurGAN's COMB: two synthetic images to one from video, whatever the datasets' sizes.
    order = sampler.Order([30, 60], [2, 1], 5)
    parts, rows, _ = order.at(np.arange(10 * 90))
    for epoch in parts.reshape(10, 90):
        assert collections.Counter(epoch.tolist()) == {0: 60, 1: 30}
    uses = [np.bincount(rows[parts == part], minlength=size) for part, size in enumerate((30, 60))]
    assert set(uses[0]) == {20}
    assert set(uses[1]) == {5}
    # A part is passed over completely before it begins again, and the parts are mixed within an epoch.
    assert sorted(rows[:180][parts[:180] == 1]) == list(range(60))
    changes = np.count_nonzero(np.diff(parts))
    assert abs(changes - 900 * 4 / 9) < 5 * math.sqrt(900 * 4 / 9)


def test_ten_million_items_cost_as_much_as_a_hundred() -> None:
    def most_memory(size: int) -> int:
        order = sampler.Order([size, size], [1, 3], 0)
        tracemalloc.start()
        parts, rows, _ = order.at(np.arange(size, size + 256))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(set(zip(parts.tolist(), rows.tolist(), strict=True))) > 90
        assert rows.max() < size
        return used

    most_memory(100)
    assert most_memory(10_000_000) < 2 * most_memory(100) < 2_000_000


@hypothesis.given(seed=SEEDS, start=st.integers(0, 2**40), count=st.integers(1, 5))
def test_draws_belong_to_seed_stream_position_and_number(seed: int, start: int, count: int) -> None:
    positions = start + np.arange(4)
    draws = sampler.uniforms(seed, sampler.Stream.CROP, positions, count)
    assert draws.shape == (4, count)
    assert np.array_equal(draws[::-1], sampler.uniforms(seed, sampler.Stream.CROP, positions[::-1], count))
    assert np.array_equal(draws[:, :1], sampler.uniforms(seed, sampler.Stream.CROP, positions, 1))
    others = [
        sampler.uniforms((seed + 1) % 2**63, sampler.Stream.CROP, positions, count),
        sampler.uniforms(seed, sampler.Stream.AUGMENTATION, positions, count),
        sampler.uniforms(seed, sampler.Stream.CROP, positions + 4, count),
    ]
    assert len(np.unique([draws, *others])) == 16 * count


def test_draws_are_uniform() -> None:
    draws = sampler.uniforms(5, sampler.Stream.CROP, np.arange(50_000), 2)
    assert draws.min() >= 0
    assert draws.max() < 1
    for column in draws.T:
        assert scipy.stats.kstest(column, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(draws.T)[0, 1]) < 5 / math.sqrt(50_000)


def test_what_a_seed_means_does_not_change() -> None:
    # A run that was begun with an earlier version goes on in the same order.
    parts, rows, _ = sampler.Order([9, 4], [1, 2], 3).at(range(26))
    assert "".join(map(str, parts)) == "10110101011110101101011111"
    assert "".join(map(str, rows)) == "21312303301025040283610122"
