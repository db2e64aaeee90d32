"""Strict recipes: every problem at once, with its table path, and the nearest known key."""

import pathlib

import pydantic
import pytest

from blursynth import errors
from blursynth.config import toml


class Inner(toml.Model):
    rate: float = pydantic.Field(1.0, gt=0)
    names: tuple[str, ...] = ()


class Outer(toml.Model):
    count: int
    inner: Inner = Inner()
    more: tuple[Inner, ...] = ()
    maybe: Inner | None = None


def test_round_trip() -> None:
    model = Outer(count=3, inner=Inner(rate=0.1, names=("a", "b")), more=(Inner(), Inner(rate=2.0)))
    assert toml.parse(toml.to_toml(model), Outer) == model


def test_all_problems_are_reported_at_once_with_their_paths() -> None:
    text = 'conut = 1\n[inner]\nrate = -1.0\nnmaes = ["x"]\n[[more]]\nrat = 1.0\n[maybe]\nrate = "fast"\n'
    with pytest.raises(errors.RecipeError) as caught:
        toml.parse(text, Outer, source="r.toml")
    message = str(caught.value)
    assert message.startswith("r.toml cannot be used:")
    assert "count: missing" in message
    assert "conut: unknown key; did you mean 'count'?" in message
    assert "inner.rate: Input should be greater than 0 (found -1.0)" in message
    assert "inner.nmaes: unknown key; did you mean 'names'?" in message
    assert "more.0.rat: unknown key; did you mean 'rate'?" in message
    assert "maybe.rate: Input should be a valid number" in message


def test_a_key_like_no_other_lists_the_known_ones() -> None:
    with pytest.raises(errors.RecipeError, match="unknown key; known keys here: count, inner, maybe, more"):
        toml.build({"count": 1, "zzz": 2}, Outer)


def test_not_toml_not_text_not_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.RecipeError, match="not valid TOML"):
        toml.parse("a = = 1", Outer)
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe9\xff'")
    with pytest.raises(errors.RecipeError, match="not UTF-8"):
        toml.load(tmp_path / "latin.toml", Outer, "training")
    with pytest.raises(errors.RecipeError, match=r"no recipe file nothing.toml.*Give a path, or one of:"):
        toml.load("nothing.toml", Outer, "training")
    with pytest.raises(errors.RecipeError) as refused:
        toml.find("nothing", "synthesis")
    assert "synthesis/lai" in str(refused.value)
    assert "smoke/lai-data" in str(refused.value)
    assert "deepdeblur" not in str(refused.value)


def test_no_silent_conversion() -> None:
    with pytest.raises(errors.RecipeError, match="count: Input should be a valid integer"):
        toml.build({"count": 1.5}, Outer)
    with pytest.raises(errors.RecipeError, match="count: Input should be a valid integer"):
        toml.build({"count": "3"}, Outer)
    with pytest.raises(errors.RecipeError, match=r"inner\.rate: Input should be a finite number"):
        toml.parse("count = 1\ninner.rate = inf", Outer)


LONG = {
    "brackets": "a=" + "[" * 100_000,
    "tables": "a=" + "{b=" * 50_000,
    "whole number": "a=" + "9" * 5000,
    "dotted key": ".".join(["a"] * 100_000) + "=1",
    "dotted table": "[" + ".".join(["a"] * 50_000) + "]",
    "depth": "a=" + "[" * 100 + "]" * 100,
    "size": "# " + "x" * 5_000_000,
    "NUL": "a=\0",
    "twice": "a=1\na=2",
}


@pytest.mark.parametrize("what", LONG)
def test_toml_that_no_parser_can_hold_is_a_sentence(what: str) -> None:
    with pytest.raises(errors.RecipeError, match="name"):
        toml.tables(LONG[what], "name")


def test_encodings_of_toml() -> None:
    assert toml.tables("\ufeffa = 1".encode()) == {"a": 1}
    for content in ("a = 1".encode("utf-16"), b'a = "\xe9"'):
        with pytest.raises(errors.RecipeError, match="name"):
            toml.tables(content, "name")
    assert toml.tables("a = [" + ", ".join(["0.5"] * 768) + "]") == {"a": [0.5] * 768}
