"""Maker of psfs datasets: every path of a trajectories dataset at every exposure."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import options as options_
from blursynth.config import photo_pairs, toml
from blursynth.kernels import psf
from blursynth.production import visibility
from blursynth.storage import growth, provenance, reader, schema
from blursynth.stores import store
from blursynth.synthesis import trajectories as paths

_CENTRED = {
    "centroid": "centroid on pixel size // 2",
    "bounding-box": "start near the middle, by its bounding box",
    "origin": "the point of light at pixel size // 2",
    "given": "the middle pixel of the kernel that was given at pixel size // 2",
}
PATHS_AT_ONCE = 2048  # checked for size; 32 MB of paths


@dataclasses.dataclass(frozen=True)
class PsfMaker:
    """Makes items of `blursynth psfs`: item = path * len(exposures) + exposure."""

    recipe: photo_pairs.Psfs
    seed: int
    trajectories: str
    command: str = ""
    shard_length: int | None = None

    @property
    def schema(self) -> schema.Schema:
        size = self.recipe.size
        arrays = [
            psf_array(size, self.recipe.centring),
            trajectory_column(self.recipe.n),
            exposure_column(min(self.recipe.exposures), max(self.recipe.exposures)),
        ]
        return schema.sized("psfs", self.recipe.n * len(self.recipe.exposures), arrays, self.shard_length)

    def record(self) -> provenance.Record:
        return provenance.Record(
            recipe_toml=toml.to_toml(self.recipe),
            seed=self.seed,
            command=self.command,
            maker="psfs",
            inputs={"trajectories": self.trajectories},
        )

    @property
    def grows(self) -> frozenset[str]:
        """PSFs of more paths can be added, when the trajectories dataset has grown itself."""
        return frozenset({"recipe.n", "recipe.trajectories"})

    def grown_from(self, there: reader.Dataset) -> "PsfMaker":
        """Raises DatasetError where the paths are not those of the dataset that is there, and more."""
        begun = toml.parse(there.attributes["recipe"], photo_pairs.Psfs, "The recorded recipe").trajectories
        now = open_trajectories(self.trajectories)
        if begun not in growth.lengths(now):
            raise errors.DatasetError(
                f"{self.trajectories} holds other paths than those that {there.path} was made from, or has not grown "
                "out of them by --append; so nothing can be added to it."
            )
        return self

    def make(self, items: range) -> dict[str, npt.NDArray[Any]]:
        item = np.arange(items.start, items.stop, dtype=np.int64)
        path, which = np.divmod(item, len(self.recipe.exposures))
        exposure = np.asarray(self.recipe.exposures, np.float32)[which]
        position = positions(open_trajectories(self.trajectories, self.recipe.trajectories), path)
        kernels = psf.rasterise(position, paths.from_start(exposure), self.recipe.size, self.recipe.centring)
        return {"psf": kernels, "trajectory": path, "exposure": exposure}

    def reads(self) -> Iterator[tuple[str, str]]:
        """The trajectories dataset."""
        return visibility.files_of(self.trajectories)

    def peak_bytes(self, items: int) -> int:
        """Paths in float32 beside the kernels, and the kernels again while they are encoded."""
        return items * (2 * self.schema.bytes_per_item + steps(self.trajectories) * 12)

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> list[provenance.Skipped]:  # noqa: ARG002
        return []


def maker(trajectories: str, options: Mapping[str, Any], command: str = "") -> PsfMaker:
    """Check the request against the trajectories dataset; see `photo_pairs.Psfs` for what `options` may hold.

    Raises RecipeError for values out of range, DatasetError where the dataset cannot be used, InputError naming the
    size needed where a kernel would not fit the canvas.
    """
    dataset = open_trajectories(trajectories)
    values = {"size": 64} | options_.values(options, photo_pairs.Psfs)
    request = options_.build(values | {"trajectories": dataset.fingerprint, "n": dataset.items}, photo_pairs.Psfs)
    _check_size(dataset, request)
    at = store.normalise(trajectories)
    return PsfMaker(request, options.get("seed", 0), at, command, options.get("shard_length"))


def _check_size(dataset: reader.Dataset, request: photo_pairs.Psfs) -> None:
    """Refuse a canvas that some kernel would not fit, before anything is made.

    A canvas that holds the longest straight path holds everything; only a smaller one needs a look at every path.
    """
    longest = longest_path(dataset) * max(request.exposures)
    if request.centring == "centroid" and request.size >= psf.size_for(longest):
        return
    needed = request.size
    for start in range(0, dataset.items, PATHS_AT_ONCE):
        position = positions(dataset, np.arange(start, min(start + PATHS_AT_ONCE, dataset.items)))
        for exposure in request.exposures:
            span = paths.from_start(np.full(len(position), exposure, np.float32))
            needed = max(needed, psf.size_needed(position, span, request.size, request.centring))
    if needed > request.size:
        raise errors.InputError(
            f"A canvas of {request.size}x{request.size} px cannot hold every kernel of {dataset.path}: give "
            f"--size {needed}, or shorter --exposures."
        )


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> PsfMaker:
    """The maker of a dataset with this record."""
    request = toml.parse(record.recipe_toml, photo_pairs.Psfs, "The recorded recipe")
    return PsfMaker(request, record.seed, inputs["trajectories"], record.command, shard_length)


def open_trajectories(path: str, fingerprint: str | None = None) -> reader.Dataset:
    """A complete trajectories dataset, or DatasetError; with a fingerprint, one that has it, or had it and grew.

    Raises SourceError where it cannot be read at this moment.
    """
    with errors.of_source(path):
        dataset = reader.open(path)
    if dataset.kind != "trajectories":
        hint = (
            "PSFs of pairs of `shake` need --grid, such as --grid 4x4"
            if "camera_path" in dataset.names
            else "Blur photos with its PSFs by --kernels instead of --trajectories"
            if dataset.kind == "psfs"
            else "Make some with `blursynth trajectories --n 1000`"
        )
        raise errors.DatasetError(f"{path} holds {dataset.kind}, not trajectories. {hint}.")
    if fingerprint is not None and fingerprint not in growth.lengths(dataset):
        raise errors.DatasetError(
            f"{path} holds other trajectories than those that this dataset is made from (fingerprint "
            f"{dataset.fingerprint[:12]} instead of {fingerprint[:12]}); name theirs with --trajectories."
        )
    return dataset


def positions(dataset: reader.Dataset, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Paths of these items in px, float32 (N, M, 2). Raises SourceError as `open_trajectories`."""
    with errors.of_source(dataset.path):
        scale = np.float32(dataset.attributes_of("position")["scale_factor"])
        return dataset.read("position", items).astype(np.float32) * scale


def longest_path(dataset: reader.Dataset) -> float:
    """Length of the longest path in px. Raises SourceError as `open_trajectories`."""
    with errors.of_source(dataset.path):
        return float(dataset.columns["length"].max())


def steps(path: str) -> int:
    """Points of each path of a trajectories dataset. Raises SourceError as `open_trajectories`."""
    dataset = open_trajectories(path)
    with errors.of_source(path):
        return dataset.shape_of("position")[0]


def psf_array(size: int, centring: str = "centroid") -> schema.ArraySpec:
    """The `psf` array of psfs and pairs datasets."""
    centre = _CENTRED[centring]
    return schema.ArraySpec(
        name="psf",
        dtype="float32",
        shape=(size, size),
        dimensions=("ky", "kx"),
        attributes={"units": "1", "long_name": f"point spread function; sums to 1, {centre}", "centring": centring},
    )


def psf_field_array(rows: int, columns: int, size: int) -> schema.ArraySpec:
    """The `psf_field` array of pairs blurred by a field of PSFs."""
    return schema.ArraySpec(
        name="psf_field",
        dtype="float32",
        shape=(rows, columns, size, size),
        dimensions=("gy", "gx", "ky", "kx"),
        attributes={
            "units": "1",
            "long_name": "point spread functions on a grid from edge to edge of the image; each sums to 1, centroid on "
            "pixel size // 2; between them they are interpolated",
            "centring": "centroid",
        },
    )


def exposure_column(least: float, greatest: float) -> schema.ArraySpec:
    text = "fraction of the path that is integrated"
    return schema.column("exposure", "float32", long_name=text, valid_range=(least, greatest))


def trajectory_column(paths: int) -> schema.ArraySpec:
    text = "item of the trajectories dataset"
    return schema.column("trajectory", "int64", long_name=text, valid_range=(0, paths - 1))


def kernel_column(kernels: int) -> schema.ArraySpec:
    text = "number of the kernel in the file or dataset, from 0"
    return schema.column("kernel", "int64", long_name=text, valid_range=(0, kernels - 1))
