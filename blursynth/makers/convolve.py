"""Maker of pairs datasets from photos or scenes, blurred by one PSF a pair or a field of them, in linear light."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import options as options_
from blursynth.config import photo_pairs as photo_pairs_config
from blursynth.kernels import psf
from blursynth.makers import kernel_files, photo_pairs, photo_pairs_request, psfs, trajectories
from blursynth.storage import growth, provenance, schema
from blursynth.synthesis import convolve_pair, field
from blursynth.synthesis import trajectories as trajectories_

_SMALLEST = 3  # px: a PSF until it is known how large it has to be


@dataclasses.dataclass(frozen=True)
class ConvolveMaker(photo_pairs.PhotoPairsMaker[photo_pairs_config.Convolve]):
    """Makes items of `blursynth convolve`."""

    name: ClassVar[str] = "convolve"
    Recipe: ClassVar[type[Any]] = photo_pairs_config.Convolve

    def own_arrays(self) -> tuple[list[schema.ArraySpec], list[schema.ArraySpec]]:
        wanted = self.recipe
        if wanted.kernels is not None:
            kernels, number = psfs.psf_array(wanted.psf_size, "given"), psfs.kernel_column(wanted.kernels.n)
            return ([kernels] if wanted.store_psf else []), [number]
        columns = [psfs.exposure_column(wanted.exposure.minimum, wanted.exposure.maximum)]
        if wanted.motion is not None:
            columns += trajectories.motion_columns(wanted.motion)
        else:  # paths are taken in turn: no number above the item's own
            columns.append(psfs.trajectory_column(len(self.used) * wanted.per_photo))
        if wanted.field is None:
            kernels = psfs.psf_array(wanted.psf_size)
        else:
            kernels = psfs.psf_field_array(wanted.field.rows, wanted.field.columns, wanted.psf_size)
            columns.append(_variation_column(wanted.field))
        return ([kernels] if wanted.store_psf else []), columns

    def draw(self, items: npt.NDArray[np.int64]) -> convolve_pair.Draws:
        if self.kernels is not None:
            return convolve_pair.draw(self.recipe, self.seed, items, kernels=self.kernels.read)
        paths = None
        if self.recipe.trajectories is not None:
            dataset = psfs.open_trajectories(self.inputs["trajectories"], self.recipe.trajectories)
            path = items % growth.lengths(dataset)[self.recipe.trajectories]  # taken in turn; it may have grown since
            paths = trajectories_.Stored(path, psfs.positions(dataset, path))
        return convolve_pair.draw(self.recipe, self.seed, items, paths)

    @functools.cached_property
    def kernels(self) -> kernel_files.Kernels | None:
        """The user's kernels, where the recipe has some."""
        asked = self.recipe.kernels
        if asked is None:
            return None
        return kernel_files.open_(self.inputs["kernels"], normalise=asked.normalise, digest=asked.sha256)

    @property
    def margin(self) -> int:
        return self.recipe.psf_size

    def peak_bytes(self, items: int) -> int:
        """Count paths, and kernels that are not stored, beside the rest."""
        drawn = self.recipe.motion
        steps = 0 if drawn is None else drawn.steps
        if self.recipe.trajectories is not None:
            steps = psfs.steps(self.inputs["trajectories"])
        points = 1 if self.recipe.field is None else self.recipe.field.rows * self.recipe.field.columns
        unstored = 0 if self.recipe.store_psf else items * points * self.recipe.psf_size**2 * 4
        paths = items * steps * 12 if points == 1 else (items + field.AT_ONCE * points) * steps * 12
        own = 0 if self.kernels is None else sum(kernel.nbytes for kernel in self.kernels.arrays)
        return super().peak_bytes(items) + paths + unstored + own


def maker(photos: str, options: Mapping[str, Any], command: str = "") -> ConvolveMaker:
    """Scan the photos and check the request; see `config.photo_pairs` for what `options` may hold.

    Raises RecipeError for values out of range, InputError where no photo can be used, where full frames differ in
    size, and, with options["strict"], at the first photo that cannot be used; DatasetError for the trajectories.
    """
    config = request(options)
    inputs = {name: options[name] for name in ("trajectories", "kernels") if options.get(name)}
    return photo_pairs_request.build(ConvolveMaker, photos, config, {**options, "command": command}, inputs)


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> ConvolveMaker:
    """The maker of a dataset with this record."""
    return photo_pairs_request.rebuilt(ConvolveMaker, record, shard_length, inputs)


def request(options: Mapping[str, Any]) -> photo_pairs_config.Convolve:
    """The resolved recipe: the PSF's size follows from the longest path unless it is given."""
    values = photo_pairs_request.values(options, photo_pairs_config.Convolve)
    values["field"] = _field(options)
    values.setdefault("motion", {})
    if options.get("kernels"):
        return _with_kernels(options, values)
    photo_pairs_request.refuse(options, ["normalise"], "without kernels of your own (--kernels FILE)")
    longest = None
    if options.get("trajectories"):
        drawn = [name for name in photo_pairs_config.Motion.model_fields if name != "preset"]
        photo_pairs_request.refuse(options, drawn, "about paths that are there already (--trajectories)")
        dataset = psfs.open_trajectories(options["trajectories"])
        values |= {"trajectories": dataset.fingerprint, "motion": None}
        longest = psfs.longest_path(dataset)
    asked = options_.build({"psf_size": _SMALLEST} | values, photo_pairs_config.Convolve)
    if longest is None:
        assert asked.motion is not None
        longest = asked.motion.length.maximum
    longest *= asked.exposure.maximum * (1 if asked.field is None else 1 + asked.field.variation.maximum)
    needed = psf.size_for(longest)
    if "psf_size" not in values:
        return options_.build(values | {"psf_size": needed}, photo_pairs_config.Convolve)
    if asked.psf_size < needed:
        raise errors.RecipeError(
            f"A PSF of {asked.psf_size} px cannot hold every path of up to {longest:g} px; that needs {needed} px. "
            "Leave --psf-size out, or draw shorter paths with --length."
        )
    return asked


def _with_kernels(options: Mapping[str, Any], values: Mapping[str, Any]) -> photo_pairs_config.Convolve:
    """The resolved recipe of pairs that are blurred by the user's kernels."""
    drawn = ["trajectories", "field", "variation", "exposure", *photo_pairs_config.Motion.model_fields]
    photo_pairs_request.refuse(options, drawn, "about kernels that are there already (--kernels)")
    found = kernel_files.open_(options["kernels"], normalise=bool(options.get("normalise")))
    own = {**values["kernels"], "sha256": found.digest, "n": found.count}
    asked = {"psf_size": found.side, **values, "kernels": own, "motion": None}
    config = options_.build(asked, photo_pairs_config.Convolve)
    if config.psf_size < found.side:
        raise errors.RecipeError(
            f"A PSF of {config.psf_size} px cannot hold every kernel of {options['kernels']}; that needs {found.side} "
            "px. Leave --psf-size out, or crop the kernels."
        )
    return config


def _field(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """--field 4x5 and --variation as a table of the recipe."""
    variation = {} if options.get("variation") is None else {"variation": options["variation"]}
    if options.get("field") is None:
        if variation:
            raise errors.RecipeError("--variation is of a field of PSFs; give --field too, such as --field 4x4.")
        return None
    rows, columns = options_.grid("--field", options["field"])
    return {"rows": rows, "columns": columns} | variation


def _variation_column(request: photo_pairs_config.Field) -> schema.ArraySpec:
    return schema.column(
        "variation",
        "float32",
        long_name="how far the path of a corner differs from the centre's, in lengths of a path",
        valid_range=(request.variation.minimum, request.variation.maximum),
    )
