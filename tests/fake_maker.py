"""A small maker for the tests of storage and production: every value is a function of (seed, item)."""

import dataclasses
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.storage import provenance, reader
from blursynth.storage import schema as schemas

ARRAYS = (
    schemas.ArraySpec(
        "picture", "uint8", (5, 4, 3), ("y", "x", "channel"), attributes={"transfer_function": "gamma2.2"}
    ),
    schemas.ArraySpec("frame", "int16", (6, 7), ("row", "column"), chunk=(4, 4), compression="lz4"),
    schemas.ArraySpec("valid", "bool"),
    schemas.ArraySpec("source", "int32"),
    schemas.ArraySpec("weight", "float64", attributes={"units": "1"}),
)
SOURCES = ({"name": "a.png", "sha256": "00"}, {"name": "b.png", "sha256": "01"})


@dataclasses.dataclass(frozen=True)
class Fake:
    """Item i is black where i % 4 == 0, left out where `broken` divides i, and made after `pause` seconds."""

    items: int = 20
    shard_length: int = 3
    seed: int = 0
    level: int = 1
    broken: int = 0
    pause: float = 0.0

    @property
    def schema(self) -> schemas.Schema:
        return schemas.Schema("fake", self.items, self.shard_length, ARRAYS)

    def record(self) -> provenance.Record:
        recipe = f"[motion]\nlevel = {self.level}\n"
        return provenance.Record(
            recipe, self.seed, "blursynth fake", sources=SOURCES, splits=("train", "test"), maker="fake"
        )

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        time.sleep(self.pause)
        return {name: np.stack([self.item(i)[name] for i in items]) for name in self.schema.names}

    def item(self, item: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, self.level, item))
        black = 0 if item % 4 == 0 else 1
        return {
            "picture": rng.integers(0, 256, (5, 4, 3), np.uint8) * np.uint8(black),
            "frame": rng.integers(-300, 300, (6, 7), np.int16) * np.int16(black),
            "valid": np.bool_(not self.is_broken(item)),
            "source": np.int32(item % 2),
            "weight": np.float64(rng.random()),
        }

    def is_broken(self, item: int) -> bool:
        return self.broken > 0 and item % self.broken == 0

    def peak_bytes(self, items: int) -> int:
        return 2 * items * self.schema.bytes_per_item

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> list[provenance.Skipped]:
        return [provenance.Skipped(SOURCES[item % 2]["name"], "is truncated") for item in invalid]


@dataclasses.dataclass(frozen=True)
class Growing(Fake):
    """A fake that can be made longer: `items` alone may differ."""

    @property
    def grows(self) -> frozenset[str]:
        return frozenset()

    def grown_from(self, there: reader.Dataset) -> "Growing":  # noqa: ARG002
        return self


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> Fake:  # noqa: ARG001
    """The maker of a dataset of 20 items with this record, for `production.registry`."""
    return Fake(shard_length=shard_length, seed=record.seed, level=int(record.recipe_toml.split()[-1]))


def assert_holds(dataset: reader.Dataset, maker: Fake) -> None:
    """Every value of the dataset is the one that the maker defines for its item."""
    items = [item for item in range(maker.items) if not maker.is_broken(item)]
    assert dataset.items == len(items)
    read = {name: dataset.read(name, range(len(items))) for name in dataset.names} | dict(dataset.columns)
    assert sorted(read) == sorted(maker.schema.names)
    for position, item in enumerate(items):
        for name, value in maker.item(item).items():
            np.testing.assert_array_equal(read[name][position], value, strict=True)


def script(maker: Fake, out: pathlib.Path, *, workers: int = 2, before: str = "") -> list[str]:
    """A command that makes the dataset in a process of its own; it prints `ready` when it begins."""
    text = (
        f"import sys; sys.path[:0] = {[str(pathlib.Path(__file__).parent), *sys.path]!r}\n"
        f"from blursynth.production import run; from fake_maker import Fake\n{before}\nprint('ready', flush=True)\n"
        f"run.produce({maker!r}, {str(out)!r}, workers={workers})"
    )
    return [sys.executable, "-c", text]
