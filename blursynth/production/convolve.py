"""Maker of pairs datasets from photos or scenes: one PSF a pair, blurred in linear light."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors, recipe_file, sources
from blursynth.kernels import psf, random
from blursynth.media import photos
from blursynth.production import pairs, psfs, trajectories
from blursynth.sources import source as sources_
from blursynth.sources import splits
from blursynth.storage import provenance, schema
from blursynth.synthesis import motion, recipe, shake

Arrays = dict[str, npt.NDArray[Any]]
Items = Sequence[int] | npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class ConvolveMaker:
    """Makes items of `blursynth convolve`: item = photo * per_photo + repetition.

    photos: where pixels come from. used: positions in photos.sources of the photos that can be used. split: one of
    pairs.SPLITS per used photo, as an index. left_out: photos known to be unusable before any is decoded.
    """

    recipe: recipe.Convolve
    seed: int
    photos: sources_.Sources
    used: tuple[int, ...]
    split: tuple[int, ...]
    left_out: tuple[sources_.Skipped, ...]
    trajectories: str | None = None
    command: str = ""
    shard_length: int | None = None

    @functools.cached_property
    def frame(self) -> tuple[int, int]:
        """Height and width of every image in the dataset."""
        size = self.recipe.size
        if size is not None:
            return size, size
        first = self.photos.sources[self.used[0]]
        return first.height, first.width

    @functools.cached_property
    def schema(self) -> schema.Schema:
        height, width = self.frame
        arrays = pairs.image_arrays(height, width, self.recipe.transfer)
        if self.recipe.store_psf:
            arrays.append(psfs.psf_array(self.recipe.psf_size))
        arrays += [
            schema.column("valid", "uint8", long_name="1 where the item could be made", units="1"),
            schema.column("split", "uint8", long_name="index into the dataset's splits", units="1"),
            schema.column("source", "int64", long_name="index into this array's sources", units="1"),
            schema.column("crop_y", "int32", long_name="top row of the crop in the photo", units="px"),
            schema.column("crop_x", "int32", long_name="left column of the crop in the photo", units="px"),
            psfs.exposure_column(),
        ]
        if self.trajectories is None:
            arrays += trajectories.motion_columns()
        else:
            arrays.append(schema.column("trajectory", "int64", long_name="item of the trajectories dataset", units="1"))
        return schema.sized("pairs", len(self.used) * self.recipe.per_photo, arrays, self.shard_length)

    def record(self) -> provenance.Record:
        extra = {"photos": str(self.photos)}
        if self.trajectories is not None:
            extra["trajectories"] = self.trajectories
        return provenance.Record(
            recipe_toml=recipe_file.to_toml(self.recipe),
            seed=self.seed,
            command=self.command,
            sources=tuple(dataclasses.asdict(self.photos.sources[k]) for k in self.used),
            splits=pairs.SPLITS,
            skipped=tuple(provenance.Skipped(left.name, left.reason) for left in self.left_out),
            extra=extra,
        )

    def make(self, items: range) -> Arrays:
        item = np.arange(items.start, items.stop, dtype=np.int64)
        columns, kernels_NKK = self._kernels(item)
        source = item // self.recipe.per_photo
        height, width = self.frame
        made: Arrays = {
            "blurred": np.zeros((len(item), height, width, 3), np.uint8),
            "sharp": np.zeros((len(item), height, width, 3), np.uint8),
            "valid": np.zeros(len(item), np.uint8),
            "split": np.asarray(self.split, np.uint8)[source],
            "source": source,
            "crop_y": np.zeros(len(item), np.int32),
            "crop_x": np.zeros(len(item), np.int32),
            **columns,
        }
        if self.recipe.store_psf:
            made["psf"] = kernels_NKK
        for wanted in np.unique(source):
            self._blur_photo(int(wanted), item, np.flatnonzero(source == wanted), kernels_NKK, made)
        return made

    def _kernels(self, item: npt.NDArray[np.int64]) -> tuple[Arrays, npt.NDArray[np.float32]]:
        """PSFs of these items, and the columns that say where each came from."""
        uniform = random.uniforms(self.seed, random.Stream.EXPOSURE, item, 1)[:, 0]
        exposure = self.recipe.exposure.at(uniform).astype(np.float32)
        columns: Arrays = {"exposure": exposure}
        if self.recipe.motion is not None:
            motions = motion.simulate(self.recipe.motion, self.seed, item)
            columns |= trajectories.motion_values(motions)
            position = motions.pixels()
        else:
            assert self.trajectories is not None
            dataset = psfs.open_trajectories(self.trajectories)
            columns["trajectory"] = item % dataset.items
            position = psfs.positions(dataset, item % dataset.items)
        return columns, psf.rasterise(position, psfs.from_start(exposure), self.recipe.psf_size)

    def _blur_photo(
        self,
        source: int,
        item: npt.NDArray[np.int64],
        rows: npt.NDArray[np.intp],
        kernels_NKK: npt.NDArray[np.float32],
        made: Arrays,
    ) -> None:
        """Fill the rows of one photo's items; a photo that turns out unreadable leaves them invalid."""
        try:
            photo_HWC = self._read(source)
        except (errors.InputError, OSError):
            return  # `skipped` finds the reason again when the dataset is finished
        height, width = self.frame
        uniform = random.uniforms(self.seed, random.Stream.CROP, item[rows], 2)
        tops = (uniform[:, 0] * (photo_HWC.shape[0] - height + 1)).astype(np.int32)
        lefts = (uniform[:, 1] * (photo_HWC.shape[1] - width + 1)).astype(np.int32)
        for row, top, left in zip(rows, tops, lefts, strict=True):
            pair = shake.blur(photo_HWC, kernels_NKK[row], self.recipe.transfer, int(top), int(left), height, width)
            made["blurred"][row] = pair.blurred_HWC
            made["sharp"][row] = pair.sharp_HWC
        made["crop_y"][rows], made["crop_x"][rows] = tops, lefts
        made["valid"][rows] = 1

    def _read(self, source: int) -> npt.NDArray[np.uint8]:
        photo_HWC = self.photos.read(self.used[source])
        if self.recipe.fit == "resize":
            return photos.resize(photo_HWC, *self.frame)
        return photo_HWC

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), their paths, and the largest photo in 8-bit."""
        steps = self.recipe.motion.steps if self.recipe.motion is not None else 2000
        largest = max(self.photos.sources[k].height * self.photos.sources[k].width * 3 for k in self.used)
        return 2 * items * self.schema.bytes_per_item + items * steps * 12 + 2 * largest

    def skipped(self, invalid: Items) -> list[provenance.Skipped]:
        """Why these items could not be made: the photos behind them are read again for the reason."""
        found = []
        for source in sorted({item // self.recipe.per_photo for item in np.asarray(invalid).tolist()}):
            name = self.photos.sources[self.used[source]].name
            try:
                self._read(source)
            except (errors.InputError, OSError) as error:
                found.append(provenance.Skipped(name, sources_.reason(error, name)))
            else:
                found.append(provenance.Skipped(name, "could not be read when the dataset was made, but can be now"))
        return found


def maker(photos: str, options: Mapping[str, Any], command: str = "") -> ConvolveMaker:
    """Scan the photos and check the request; see `recipe.Convolve` for what `options` may hold.

    Raises RecipeError for values out of range, InputError where no photo can be used, where full frames differ in
    size, and, with options["strict"], at the first photo that cannot be used; DatasetError for the trajectories.
    """
    found = sources.parse(photos, seed=options["seed"], workers=options.get("workers"))
    request = _request(options)
    used, left_out = _usable(found, request, strict=bool(options.get("strict")))
    shares = dict(zip(pairs.SPLITS, (request.splits.train, request.splits.val, request.splits.test), strict=True))
    split = splits.assign([found.sources[k] for k in used], options["seed"], shares)
    return ConvolveMaker(
        recipe=request,
        seed=options["seed"],
        photos=found,
        used=tuple(used),
        split=tuple(int(k) for k in split),
        left_out=tuple(left_out),
        trajectories=options.get("trajectories"),
        command=command,
        shard_length=options.get("shard_length"),
    )


def _request(options: Mapping[str, Any]) -> recipe.Convolve:
    """The resolved recipe: the PSF's size follows from the longest path unless it is given."""
    values = _given(options, ("size", "fit", "per_photo", "transfer", "exposure", "psf_size"))
    values["store_psf"] = not options.get("no_psf", False)
    values["splits"] = pairs.parse_splits(options.get("splits", "train=0.9,val=0.1"))
    if options.get("trajectories"):
        dataset = psfs.open_trajectories(options["trajectories"])
        values["trajectories"] = dataset.fingerprint
        longest = float(dataset.columns["length"].max())
    else:
        values["motion"] = _given(options, tuple(recipe.Motion.model_fields))
        motion_recipe = recipe_file.build(values["motion"], recipe.Motion, "The command")
        longest = motion_recipe.length.maximum
    exposure = recipe_file.build({"draw": values.get("exposure", 1)}, _Exposure, "The command").draw.maximum
    needed = psf.size_for(longest * exposure)
    values.setdefault("psf_size", needed)
    request = recipe_file.build(values, recipe.Convolve, "The command")
    if request.psf_size < needed:
        raise errors.RecipeError(
            f"A PSF of {request.psf_size} px cannot hold every path of up to {longest * exposure:g} px; that needs "
            f"{needed} px. Leave --psf-size out, or draw shorter paths with --length."
        )
    return request


def _given(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) is not None}


class _Exposure(recipe_file.Model):
    draw: recipe.Exposure


def _usable(
    found: sources_.Sources, request: recipe.Convolve, strict: bool
) -> tuple[list[int], list[sources_.Skipped]]:
    """Positions of the photos that are large enough, and those left out with the reason."""
    left_out = list(found.skipped)
    used = []
    for position, source in enumerate(found.sources):
        if request.fit == "crop" and request.size is not None and min(source.height, source.width) < request.size:
            size = request.size
            reason = f"{source.width}x{source.height} px is smaller than the crop of {size}x{size}"
            left_out.append(sources_.Skipped(source.name, reason))
        else:
            used.append(position)
    if strict and left_out:
        raise errors.InputError(f"{left_out[0].name}: {left_out[0].reason}. Without --strict it is left out.")
    if not used:
        shown = "; ".join(f"{left.name}: {left.reason}" for left in left_out[:5])
        raise errors.InputError(f"None of the {len(left_out)} photos in {found} can be used ({shown}).")
    if request.size is None:
        pairs.check_one_size("photos", [found.sources[k] for k in used])
    return used, left_out
