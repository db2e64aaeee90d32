"""Maker of pairs datasets from photos or scenes, blurred by one PSF a pair or a field of them, in linear light."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from blursynth import errors, recipe_file
from blursynth.kernels import psf, random
from blursynth.production import photo_options, photo_pairs, psfs, trajectories
from blursynth.storage import growth, provenance, reader, schema
from blursynth.synthesis import crop as crops
from blursynth.synthesis import field, motion, recipe, uniform

Arrays = photo_pairs.Arrays

_SPELT = {"field.rows": "--field", "field.columns": "--field"}
_SMALLEST = 3  # px: a PSF until it is known how large it has to be


@dataclasses.dataclass(frozen=True)
class ConvolveMaker(photo_pairs.PhotoPairsMaker[recipe.Convolve]):
    """Makes items of `blursynth convolve`."""

    name: ClassVar[str] = "convolve"
    Recipe: ClassVar[type[Any]] = recipe.Convolve

    def own_arrays(self) -> tuple[list[schema.ArraySpec], list[schema.ArraySpec]]:
        wanted = self.recipe
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

    def prepare(self, item: npt.NDArray[np.int64]) -> Arrays:
        """PSFs of these items, and the columns that say where each came from."""
        drawn = random.uniforms(self.seed, random.Stream.EXPOSURE, item, 1)[:, 0]
        exposure = self.recipe.exposure.at(drawn).astype(np.float32)
        columns: Arrays = {"exposure": exposure}
        if self.recipe.motion is not None:
            motions = motion.simulate(self.recipe.motion, self.seed, item)
            columns |= trajectories.motion_values(motions)
            position = motions.pixels()
            if self.recipe.field is not None:
                found = field.kernels(self.recipe, self.seed, item, motions, psfs.from_start(exposure))
                return columns | {"variation": found.variation, "psf_field": found.psf_NYXKK}
        else:
            assert self.recipe.trajectories is not None
            dataset = psfs.open_trajectories(self.inputs["trajectories"], self.recipe.trajectories)
            path = item % growth.lengths(dataset)[self.recipe.trajectories]  # taken in turn; it may have grown since
            columns["trajectory"] = path
            position = psfs.positions(dataset, path)
        return columns | {"psf": psf.rasterise(position, psfs.from_start(exposure), self.recipe.psf_size)}

    def blur(self, made: Arrays, row: int, crop: crops.Crop) -> npt.NDArray[np.uint8]:
        if self.recipe.field is not None:
            return super().blur(made, row, crop)
        return uniform.blur(crop, made["psf"][row], self.recipe.transfer)  # in one pass, twice as fast

    def light(
        self, made: Arrays, row: int, crop: crops.Crop, table: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        if self.recipe.field is None:
            return uniform.light(crop, made["psf"][row], table)
        return field.light(crop, made["psf_field"][row], table)

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), their paths and kernels, the largest photo in 8-bit, and light."""
        if self.recipe.motion is not None:
            steps = self.recipe.motion.steps
        else:
            steps = reader.open(self.inputs["trajectories"]).shape_of("position")[0]
        points = 1 if self.recipe.field is None else self.recipe.field.rows * self.recipe.field.columns
        unstored = 0 if self.recipe.store_psf else items * points * self.recipe.psf_size**2 * 4
        paths = items * steps * 12 if points == 1 else (items + field.AT_ONCE * points) * steps * 12
        margin = self.recipe.psf_size
        light = 27 * (self.frame[0] + margin) * (self.frame[1] + margin)  # of a crop and its margin, as codes, blurred
        made = 2 * items * self.schema.bytes_per_item + paths + unstored
        return made + 2 * self.largest_photo + self.largest_file + light + self.camera_bytes


def maker(photos: str, options: Mapping[str, Any], command: str = "") -> ConvolveMaker:
    """Scan the photos and check the request; see `recipe.Convolve` for what `options` may hold.

    Raises RecipeError for values out of range, InputError where no photo can be used, where full frames differ in
    size, and, with options["strict"], at the first photo that cannot be used; DatasetError for the trajectories.
    """
    request = _request(options)
    inputs = {"trajectories": options["trajectories"]} if options.get("trajectories") else {}
    return photo_options.build(ConvolveMaker, photos, request, {**options, "command": command}, inputs)


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> ConvolveMaker:
    """The maker of a dataset with this record."""
    return photo_options.rebuilt(ConvolveMaker, record, shard_length, inputs)


def _request(options: Mapping[str, Any]) -> recipe.Convolve:
    """The resolved recipe: the PSF's size follows from the longest path unless it is given."""
    values = photo_options.common(options) | photo_options.given(options, ("exposure", "psf_size"))
    values["store_psf"] = not options.get("no_psf", False)
    values["field"] = _field(options)
    if options.get("trajectories"):
        drawn = [name for name in recipe.Motion.model_fields if name != "preset"]  # which always has a value
        photo_options.refuse(options, drawn, "about paths that are there already (--trajectories)")
        dataset = psfs.open_trajectories(options["trajectories"])
        values["trajectories"] = dataset.fingerprint
        longest = float(dataset.columns["length"].max())
    else:
        values["motion"] = photo_options.given(options, tuple(recipe.Motion.model_fields))
        longest = None
    asked = recipe_file.from_options({"psf_size": _SMALLEST} | values, recipe.Convolve, _SPELT)
    if longest is None:
        assert asked.motion is not None
        longest = asked.motion.length.maximum
    longest *= asked.exposure.maximum * (1 if asked.field is None else 1 + asked.field.variation.maximum)
    needed = psf.size_for(longest)
    if "psf_size" not in values:
        return recipe_file.from_options(values | {"psf_size": needed}, recipe.Convolve, _SPELT)
    if asked.psf_size < needed:
        raise errors.RecipeError(
            f"A PSF of {asked.psf_size} px cannot hold every path of up to {longest:g} px; that needs {needed} px. "
            "Leave --psf-size out, or draw shorter paths with --length."
        )
    return asked


def _field(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """--field 4x5 and --variation as a table of the recipe."""
    if options.get("field") is None:
        if options.get("variation") is not None:
            raise errors.RecipeError("--variation is of a field of PSFs; give --field too, such as --field 4x4.")
        return None
    rows, _, columns = str(options["field"]).partition("x")
    if not (rows.isdecimal() and columns.isdecimal()):
        raise errors.RecipeError(f"--field {options['field']} is not understood; give rows and columns such as 4x4.")
    return {"rows": int(rows), "columns": int(columns)} | photo_options.given(options, ("variation",))


def _variation_column(request: recipe.Field) -> schema.ArraySpec:
    return schema.column(
        "variation",
        "float32",
        long_name="how far the path of a corner differs from the centre's, in lengths of a path",
        valid_range=(request.variation.minimum, request.variation.maximum),
    )
