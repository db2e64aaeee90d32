"""A number, a range or a list in a recipe, and how a value is drawn from it."""

import dataclasses
from typing import TYPE_CHECKING, Any

import pydantic
import pydantic_core

from blursynth.config import toml

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Draw(toml.Value):
    """Where an item's value comes from: `0.5` always, `"0:1"` uniform in [0, 1), `"0.1,0.5,1"` any with equal chance.

    The same text is used in recipes and on the command line.
    """

    choices: tuple[float, ...] = ()
    low: float = 0.0
    high: float = 0.0

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return value
        return _parse(str(value))

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> "Draw":
        if self.low > self.high:
            raise ValueError(f"a range goes from low to high, but {self.low:g} is above {self.high:g}")
        return self

    @pydantic.model_serializer
    def _to_text(self) -> str | float:
        return self.low if not self.choices and self.low == self.high else str(self)

    def __str__(self) -> str:
        if self.choices:
            return ",".join(_short(choice) for choice in self.choices)
        return _short(self.low) if self.low == self.high else f"{_short(self.low)}:{_short(self.high)}"

    @property
    def minimum(self) -> float:
        return min(self.choices) if self.choices else self.low

    @property
    def maximum(self) -> float:
        """The largest value that can come out (for a range, its open upper end)."""
        return max(self.choices) if self.choices else self.high

    def at(self, uniform: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
        """Values for uniform draws in [0, 1), any shape."""
        import numpy as np  # here, so that help is immediate

        if self.choices:
            return np.asarray(self.choices)[(uniform * len(self.choices)).astype(np.intp)]
        return self.low + (self.high - self.low) * uniform


def is_draw(text: str | float) -> bool:
    """Whether a text says a number, a range or a list."""
    try:
        _parse(str(text))
    except ValueError:
        return False
    return True


def text(value: Any) -> Any:
    """A range (LOW, HIGH) or a list [A, B, C] of Python as the text of a recipe; all else as it is."""
    if isinstance(value, tuple) and len(value) == 2:
        return ":".join(map(str, value))
    return ",".join(map(str, value)) if isinstance(value, list) else value


@dataclasses.dataclass(frozen=True)
class within:  # noqa: N801
    """A check for `Annotated[Draw, within(0, 1)]`: every value that can come out lies in [ge, le]."""

    ge: float
    le: float

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> Any:
        return pydantic_core.core_schema.no_info_after_validator_function(self.check, handler(source))

    def check(self, draw: Draw) -> Draw:
        """Raise ValueError where a value can lie beyond."""
        if draw.minimum < self.ge or draw.maximum > self.le:
            raise ValueError(f"values lie between {self.ge:g} and {self.le:g}, but {draw} reaches beyond")
        return draw


def _parse(text: str) -> dict[str, Any]:
    try:
        if ":" in text:
            low, high = (float(part) for part in text.split(":"))
            return {"low": low, "high": high}
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"{text!r} is not a number, a range LOW:HIGH (such as 0:0.1) or a list A,B,C (such as 0.1,0.5,1)"
        ) from None
    return {"choices": tuple(values)} if len(values) > 1 else {"low": values[0], "high": values[0]}


def _short(number: float) -> str:
    """The shortest text that reads back as the same number: 0.1, 2, 1e-05."""
    return repr(number).removesuffix(".0")
