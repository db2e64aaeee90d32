"""Numbers, ranges and lists in recipes."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from blursynth import errors
from blursynth.config import ranges, toml

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


class Holder(toml.Model):
    value: ranges.Draw


def parsed(value: object) -> ranges.Draw:
    return toml.build({"value": value}, Holder).value


def test_a_number_is_always_itself() -> None:
    assert (parsed(0.5).at(np.array([0.0, 0.7])) == 0.5).all()
    assert parsed("3") == parsed(3) == parsed(3.0)


def test_a_range_is_uniform_from_low_to_high() -> None:
    assert np.allclose(parsed("2:4").at(np.array([0.0, 0.5, 0.75])), [2.0, 3.0, 3.5])
    assert (parsed("2:4").minimum, parsed("2:4").maximum) == (2.0, 4.0)


def test_a_list_gives_each_value_with_equal_chance() -> None:
    uniform = (np.arange(600) + 0.5) / 600
    values, counts = np.unique(parsed("0.1,0.5,1").at(uniform), return_counts=True)
    assert values.tolist() == [0.1, 0.5, 1.0]
    assert counts.tolist() == [200, 200, 200]


@hypothesis.given(st.one_of(NUMBERS, st.lists(NUMBERS, min_size=2, max_size=5), st.tuples(NUMBERS, NUMBERS)))
def test_text_reads_back_as_the_same_draw(value: object) -> None:
    if isinstance(value, tuple):
        value = f"{min(value)!r}:{max(value)!r}"
    elif isinstance(value, list):
        value = ",".join(map(repr, value))
    holder = Holder(value=value)  # type: ignore[arg-type]
    assert toml.parse(toml.to_toml(holder), Holder) == holder


@pytest.mark.parametrize("text", ["", "a", "1:", "1:2:3", "1,,2", True, [1, 2], None, "nan", "1:inf"])
def test_what_is_not_understood_is_an_error(text: object) -> None:
    with pytest.raises(errors.RecipeError):
        parsed(text)


def test_a_range_that_runs_backwards_is_an_error() -> None:
    with pytest.raises(errors.RecipeError, match="4 is above 2"):
        parsed("4:2")
