"""Splits."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blursynth import errors
from blursynth.config import photo_pairs
from blursynth.sources import source, splits

THREE = {"train": 0.8, "val": 0.1, "test": 0.1}


def some(contents: list[int]) -> list[source.Source]:
    digests = [hashlib.sha256(str(content).encode()).hexdigest() for content in contents]
    return [source.Source(f"{place}.png", digest, 8, 8, 100) for place, digest in enumerate(digests)]


CONTENTS = st.lists(st.integers(0, 30), max_size=60)
SHARES = st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any).map(lambda x: [k / sum(x) for k in x])


@given(contents=CONTENTS, seed=st.integers(0, 2**63 - 1))
def test_copies_of_a_photo_share_a_split(contents, seed):
    split = splits.assign(some(contents), seed, THREE)
    assert split.shape == (len(contents),)
    for content in set(contents):
        assert len({int(k) for k, other in zip(split, contents, strict=True) if other == content}) == 1


@given(contents=CONTENTS, seed=st.integers(0, 2**63 - 1), data=st.data())
def test_neither_order_nor_names_matter(contents, seed, data):
    order = data.draw(st.permutations(range(len(contents))))
    split = splits.assign(some(contents), seed, THREE)
    shuffled = splits.assign(some([contents[k] for k in order]), seed, THREE)
    assert shuffled.tolist() == [split[k] for k in order]


@given(total=st.integers(0, 500), shares=SHARES)
def test_counts_add_up_and_follow_the_shares(total, shares):
    counts = splits.counts(total, shares)
    wanted = sum(share > 0 for share in shares)
    assert sum(counts) == total
    assert all(number == 0 for number, share in zip(counts, shares, strict=True) if share == 0)
    if total >= wanted:
        assert all(number >= 1 for number, share in zip(counts, shares, strict=True) if share > 0)
    if all(total * share >= 1 for share in shares if share > 0):
        assert all(abs(number - total * share) < 1 for number, share in zip(counts, shares, strict=True))


def test_counts_by_hand():
    assert splits.counts(10, [0.8, 0.1, 0.1]) == [8, 1, 1]
    assert splits.counts(3, [0.8, 0.1, 0.1]) == [1, 1, 1]
    assert splits.counts(7, [0.5, 0.5]) == [4, 3]
    assert splits.counts(1, [0.5, 0.5]) == [1, 0]
    assert splits.counts(0, [1.0]) == [0]


def test_the_seed_decides():
    sources = some(list(range(40)))
    first = splits.assign(sources, 1, THREE)
    assert first.tolist() == splits.assign(sources, 1, THREE).tolist()
    assert first.tolist() != splits.assign(sources, 2, THREE).tolist()
    assert sorted(first.tolist()) == [0] * 32 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("fractions", [{"train": 0.9}, {"train": 1.5, "val": -0.5}, {}, {"train": float("nan")}])
def test_fractions_that_do_not_sum_to_one_are_refused(fractions):
    with pytest.raises(errors.RecipeError, match="sum to 1"):
        splits.assign(some([1, 2]), 0, fractions)


def test_shares_that_are_not_understood() -> None:
    assert photo_pairs.shares("train=0.8, test=0.2") == {"train": 0.8, "val": 0.0, "test": 0.2}
    for text in ("train", "train=", "train=a", "train=0.5,train=0.5", ""):
        with pytest.raises(errors.RecipeError, match="--splits"):
            photo_pairs.shares(text)
