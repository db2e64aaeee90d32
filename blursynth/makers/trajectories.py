"""Maker of trajectories datasets: n random paths and what drew them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.config import options as options_
from blursynth.config import photo_pairs, toml
from blursynth.kernels import trajectory
from blursynth.storage import provenance, reader, schema
from blursynth.synthesis import trajectories

PARAMETER_COLUMNS = {
    "anxiety": "p_s: size of the random perturbation",
    "inertia": "I: pull toward the origin",
    "impulse": "p_b: frequency of sudden turns",
    "gaussian": "p_g: share of the Gaussian perturbation",
    "angle": "first direction",
}
_UNITS = {"angle": "rad"}


def motion_columns(request: photo_pairs.Motion) -> list[schema.ArraySpec]:
    """Columns that say how each item's path was drawn; shared by everything that draws paths."""
    draws = {name: getattr(request, name) for name in PARAMETER_COLUMNS if name != "angle"}
    ranges = {name: (draw.minimum, draw.maximum) for name, draw in draws.items()} | {"angle": (0, 2 * np.pi)}
    parameters = [
        schema.column(name, "float32", long_name=text, units=_UNITS.get(name, "1"), valid_range=ranges[name])
        for name, text in PARAMETER_COLUMNS.items()
    ]
    lengths, turns = (request.length.minimum, request.length.maximum), (0, request.steps)
    return [
        *parameters,
        schema.column("length", "float32", long_name="Lmax: arc length of the path", units="px", valid_range=lengths),
        schema.column("impulses", "int32", long_name="sudden turns that fired", units="1", valid_range=turns),
    ]


@dataclasses.dataclass(frozen=True)
class TrajectoryMaker:
    """Makes items of `blursynth trajectories`: a pure function of (recipe, seed, item)."""

    recipe: photo_pairs.Trajectories
    seed: int
    command: str = ""
    shard_length: int | None = None

    @property
    def schema(self) -> schema.Schema:
        position = schema.ArraySpec(
            name="position",
            dtype="int16",
            shape=(self.recipe.motion.steps, 2),
            dimensions=("step", "axis"),
            attributes={
                "units": "px",
                "scale_factor": trajectories.scale_of(self.recipe.motion),
                "long_name": "camera position; axis 0 is x, axis 1 is y",
                "origin": "start of the path",
            },
        )
        return schema.sized(
            "trajectories", self.recipe.n, [position, *motion_columns(self.recipe.motion)], self.shard_length
        )

    def record(self) -> provenance.Record:
        return provenance.Record(
            recipe_toml=toml.to_toml(self.recipe), seed=self.seed, command=self.command, maker="trajectories"
        )

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        motions = trajectories.simulate(
            self.recipe.motion, self.seed, np.arange(items.start, items.stop, dtype=np.int64)
        )
        return {"position": motions.position_NMA, **motions.columns()}

    @property
    def grows(self) -> frozenset[str]:
        """More paths can be added: path i is a function of (recipe, seed, i)."""
        return frozenset({"recipe.n"})

    def grown_from(self, there: reader.Dataset) -> "TrajectoryMaker":  # noqa: ARG002
        return self

    def peak_bytes(self, items: int) -> int:
        """The stored positions, and the same again while they are encoded."""
        return 2 * items * self.schema.bytes_per_item + 2 * items * len(trajectory.PARAMETERS) * 8

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> list[provenance.Skipped]:  # noqa: ARG002
        return []


def maker(options: Mapping[str, Any], command: str = "") -> TrajectoryMaker:
    """Check the request; see `photo_pairs.Trajectories` for what `options` may hold."""
    request = options_.build(options_.values(options, photo_pairs.Trajectories), photo_pairs.Trajectories)
    return TrajectoryMaker(request, options.get("seed", 0), command, options.get("shard_length"))


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> TrajectoryMaker:  # noqa: ARG001
    """The maker of a dataset with this record."""
    request = toml.parse(record.recipe_toml, photo_pairs.Trajectories, "The recorded recipe")
    return TrajectoryMaker(request, record.seed, record.command, shard_length)
