"""JSON that is read back is strict, and what is wrong with it is a BlursynthError with the file's name."""

import pydantic
import pytest

from blursynth import errors
from blursynth.config import records, toml


class Point(toml.Model):
    x: int
    y: float = pydantic.Field(ge=0)


BROKEN = {
    "not JSON": b"{",
    "empty": b"",
    "not UTF-8": b'{"a": "\xff"}',
    "a key twice": b'{"a": 1, "b": {"c": 1, "c": 2}}',
    "NaN": b'{"a": NaN}',
    "infinite": b'[{"a": -Infinity}]',
    "beyond float64": b'{"a": 1e400}',
    "very deep": b"[" * 100_000,
    "very deep and closed": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "many digits": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("kind", [errors.InputError, errors.DatasetError])
def test_what_is_no_json(content: bytes, kind: type[errors.BlursynthError]) -> None:
    with pytest.raises(kind, match="some/file"):
        records.parse(content, "some/file", kind)


def test_numbers_that_are_not_finite_where_they_are_allowed() -> None:
    assert records.parse(b'{"a": Infinity, "b": 2}', "f", finite=False) == {"a": float("inf"), "b": 2}
    with pytest.raises(errors.InputError, match="some/file"):
        records.parse(b'{"a": Infinity, "a": 2}', "some/file", finite=False)


@pytest.mark.parametrize(
    "values",
    [
        None, [], 3, {}, {"x": 1}, {"x": "1", "y": 0.5}, {"x": 1.0, "y": 0.5}, {"x": True, "y": 0.5},
        {"x": 1, "y": -1.0}, {"x": 1, "y": float("nan")}, {"x": 1, "y": 0.5, "z": 1},
        {f"k{number}": 1 for number in range(1000)},
    ],
)  # fmt: skip
def test_what_a_model_refuses(values: object) -> None:
    with pytest.raises(errors.InputError, match="some/file") as raised:
        records.check(values, Point, "some/file")
    assert len(str(raised.value)) < 2000


def test_what_a_model_takes() -> None:
    assert records.check({"x": 1, "y": 2}, Point, "f") == Point(x=1, y=2.0)
