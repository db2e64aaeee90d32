"""Maker of psfs datasets from pairs of a moving camera: what points of light across the image became."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import options as options_
from blursynth.config import photo_pairs, toml
from blursynth.makers import psfs
from blursynth.production import visibility
from blursynth.storage import provenance, reader, schema
from blursynth.stores import store
from blursynth.synthesis import rendered_psfs as points_
from blursynth.synthesis import shake


@dataclasses.dataclass(frozen=True)
class CameraPsfMaker:
    """Makes items of `blursynth psfs` of pairs: item = pair * rows * columns + grid point, row by row."""

    recipe: photo_pairs.CameraPsfs
    pairs: str
    command: str = ""
    shard_length: int | None = None

    seed = 0  # nothing is drawn

    @property
    def schema(self) -> schema.Schema:
        points = self.recipe.rows * self.recipe.columns
        arrays = [
            psfs.psf_array(self.recipe.size, "origin"),
            schema.column("pair", "int64", long_name="index among the valid pairs", valid_range=(0, self.recipe.n - 1)),
            schema.column("point_y", "int32", long_name="row of the point of light in the image", units="px"),
            schema.column("point_x", "int32", long_name="column of the point of light in the image", units="px"),
        ]
        return schema.sized("psfs", self.recipe.n * points, arrays, self.shard_length)

    def record(self) -> provenance.Record:
        return provenance.Record(
            recipe_toml=toml.to_toml(self.recipe),
            seed=self.seed,
            command=self.command,
            maker="camera-psfs",
            inputs={"pairs": self.pairs},
        )

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        with errors.of_source(self.pairs):
            return self._made(self._dataset, items)

    def _made(self, dataset: reader.Dataset, items: range) -> dict[str, npt.NDArray[Any]]:
        height, width = dataset.shape_of("sharp")[:2]
        points = shake.grid(height, width, self.recipe.rows, self.recipe.columns)
        pair, point = np.divmod(np.arange(items.start, items.stop, dtype=np.int64), len(points))
        kernels = np.empty((len(pair), self.recipe.size, self.recipe.size), np.float32)
        for one in np.unique(pair):
            rows = pair == one
            kernels[rows] = points_.psfs(dataset, int(one), points[point[rows]], self.recipe.size)
            if (np.abs(kernels[rows].sum(axis=(1, 2)) - 1) > 1e-6).any():
                raise errors.InputError(
                    f"Light of pair {one} of {self.pairs} falls outside of a canvas of {self.recipe.size} px; give a "
                    f"larger --size: {points_.size_for(dataset)} px hold every kernel."
                )
        at_y, at_x = points[point].T.astype(np.int32)
        return {"psf": kernels, "pair": pair, "point_y": at_y, "point_x": at_x}

    def reads(self) -> Iterator[tuple[str, str]]:
        """The dataset of pairs."""
        return visibility.files_of(self.pairs)

    def peak_bytes(self, items: int) -> int:
        """The kernels twice (made, and while encoded), and again in float64 for one pair."""
        return items * 2 * self.schema.bytes_per_item + self.recipe.rows * self.recipe.columns * self.recipe.size**2 * 8

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> list[provenance.Skipped]:  # noqa: ARG002
        return []

    @functools.cached_property
    def _dataset(self) -> reader.Dataset:
        return open_pairs(self.pairs, self.recipe.pairs)


def maker(pairs: str, options: Mapping[str, Any], command: str = "") -> CameraPsfMaker:
    """Check the request against the dataset of pairs; options: grid ("4x4"), and size and shard_length.

    Raises RecipeError for values out of range, DatasetError where the dataset has no camera paths.
    """
    dataset = open_pairs(pairs)
    rows, columns = options_.grid("--grid", options["grid"])
    with errors.of_source(pairs):
        size = options.get("size") or points_.size_for(dataset)
    values = {"pairs": dataset.fingerprint, "n": dataset.items, "rows": rows, "columns": columns, "size": size}
    request = options_.build(values, photo_pairs.CameraPsfs)
    return CameraPsfMaker(request, store.normalise(pairs), command, options.get("shard_length"))


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> CameraPsfMaker:
    """The maker of a dataset with this record."""
    request = toml.parse(record.recipe_toml, photo_pairs.CameraPsfs, "The recorded recipe")
    return CameraPsfMaker(request, inputs["pairs"], record.command, shard_length)


def open_pairs(path: str, fingerprint: str | None = None) -> reader.Dataset:
    """A complete dataset of pairs with camera paths, and with this fingerprint where one is given, or DatasetError.

    Raises SourceError where it cannot be read at this moment.
    """
    with errors.of_source(path):
        dataset = reader.open(path)
    if dataset.kind != "pairs" or "camera_path" not in dataset.names:
        raise errors.DatasetError(
            f"{path} holds {dataset.kind} without camera paths; PSFs are rendered from pairs of `blursynth shake`, or "
            "from trajectories."
        )
    if fingerprint is not None and dataset.fingerprint != fingerprint:
        raise errors.DatasetError(
            f"{path} holds other pairs than those that this dataset is made from (fingerprint "
            f"{dataset.fingerprint[:12]} instead of {fingerprint[:12]}); name theirs with --pairs."
        )
    return dataset
