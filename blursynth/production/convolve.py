"""Maker of pairs datasets from photos or scenes: one PSF a pair, blurred in linear light."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors, recipe_file, sources
from blursynth.kernels import psf, random
from blursynth.media import photos
from blursynth.production import pairs, psfs, selection, trajectories
from blursynth.sources import scenes
from blursynth.sources import source as sources_
from blursynth.storage import growth, place, provenance, reader, schema
from blursynth.synthesis import motion, recipe, shake

Arrays = dict[str, npt.NDArray[Any]]
Items = Sequence[int] | npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class ConvolveMaker:
    """Makes items of `blursynth convolve`: item = photo * per_photo + repetition.

    photos: where pixels come from. used: positions in photos.sources of the photos that can be used, in the order in
    which items count them. generations: how many of them there were each time that the dataset grew; the last counts
    all. left_out: photos known to be unusable before any is decoded. origin: what `sources.parse` made `photos` from.
    """

    recipe: recipe.Convolve
    seed: int
    photos: sources_.Sources
    used: tuple[int, ...]
    generations: tuple[int, ...]
    left_out: tuple[sources_.Skipped, ...]
    origin: str
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
    def split(self) -> tuple[int, ...]:
        """One of SPLITS per used photo, as an index."""
        photos_ = [self.photos.sources[k] for k in self.used]
        return tuple(selection.split(photos_, self.generations, self.seed, self.recipe.splits))

    @functools.cached_property
    def schema(self) -> schema.Schema:
        height, width = self.frame
        items = len(self.used) * self.recipe.per_photo
        arrays = pairs.image_arrays(height, width, self.recipe.transfer)
        if self.recipe.store_psf:
            arrays.append(psfs.psf_array(self.recipe.psf_size))
        arrays += [
            *pairs.columns(len(self.used), "photo"),
            psfs.exposure_column(self.recipe.exposure.minimum, self.recipe.exposure.maximum),
        ]
        if self.recipe.motion is not None:
            arrays += trajectories.motion_columns(self.recipe.motion)
        else:
            arrays.append(psfs.trajectory_column(items))  # paths are taken in turn: no number above the item's own
        return schema.sized("pairs", items, arrays, self.shard_length)

    def record(self) -> provenance.Record:
        inputs = {"photos": self.origin}
        if self.trajectories is not None:
            inputs["trajectories"] = self.trajectories
        return provenance.Record(
            recipe_toml=recipe_file.to_toml(self.recipe),
            seed=self.seed,
            command=self.command,
            sources=tuple(dataclasses.asdict(self.photos.sources[k]) for k in self.used),
            splits=pairs.SPLITS,
            skipped=tuple(provenance.Skipped(left.name, left.reason) for left in self.left_out),
            maker="convolve",
            extra={"generations": list(self.generations)} if len(self.generations) > 1 else {},
            inputs=inputs,
        )

    @property
    def grows(self) -> frozenset[str]:
        """More photos can be added. Pairs a photo cannot: they would move every later item."""
        return frozenset({"sources_sha256", "extra.generations"})

    def grown_from(self, there: reader.Dataset) -> "ConvolveMaker":
        """Photos that are there keep their numbers and splits; those that are new follow, in the folder's order.

        Raises InputError where one that is there is gone or has changed.
        """
        listed = there.sources[: there.attributes["sources"]]
        now = {self.photos.sources[k].name: k for k in self.used}
        found = [dataclasses.asdict(self.photos.sources[k]) for k in self.used]
        selection.require_unchanged(there.path, listed, found, "Photos")
        used = (*(now.pop(source["name"]) for source in listed), *now.values())
        generations = selection.generations(there, len(listed), len(used))
        return dataclasses.replace(self, used=used, generations=generations)

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
            assert self.recipe.trajectories is not None
            dataset = psfs.open_trajectories(self.trajectories, self.recipe.trajectories)
            path = item % growth.lengths(dataset)[self.recipe.trajectories]  # taken in turn; it may have grown since
            columns["trajectory"] = path
            position = psfs.positions(dataset, path)
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

    def changed(self, items: Items) -> list[provenance.Skipped]:
        """Photos behind these items that are gone or are other files than when the dataset was begun."""
        found = []
        for source in np.unique(np.asarray(items) // self.recipe.per_photo).tolist():
            reason = self.photos.changed(self.used[source])
            if reason is not None:
                found.append(provenance.Skipped(self.photos.sources[self.used[source]].name, reason))
        return found

    def sharp(
        self, rows: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[Any]]
    ) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """The crop that each row's columns name; every photo is read once."""
        height, width = self.frame
        for source in np.unique(columns["source"][rows]):
            photo_HWC = self._read(int(source))
            for row in rows[columns["source"][rows] == source].tolist():
                top, left = columns["crop_y"][row], columns["crop_x"][row]
                yield row, photo_HWC[top : top + height, left : left + width]

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), their paths, and the largest photo in 8-bit."""
        if self.recipe.motion is not None:
            steps = self.recipe.motion.steps
        else:
            assert self.trajectories is not None
            steps = reader.open(self.trajectories).shape_of("position")[0]
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
    used, left_out = selection.usable(found, request, strict=bool(options.get("strict")))
    trajectories = options.get("trajectories")
    return ConvolveMaker(
        recipe=request,
        seed=options["seed"],
        photos=found,
        used=tuple(used),
        generations=(len(used),),
        left_out=tuple(left_out),
        origin=str(photos) if isinstance(found, scenes.Scenes) else place.normalise(photos),
        trajectories=place.normalise(trajectories) if trajectories else None,
        command=command,
        shard_length=options.get("shard_length"),
    )


def from_record(record: provenance.Record, shard_length: int, inputs: Mapping[str, str]) -> ConvolveMaker:
    """The maker of a dataset with this record, whose list of sources is taken as it stands, if there is one.

    Raises InputError where there are no photos at inputs["photos"] any more.
    """
    request = recipe_file.parse(record.recipe_toml, recipe.Convolve, "The recorded recipe")
    if record.sources:
        listed = [sources_.Source(**source) for source in record.sources]
        found = sources.recorded(inputs["photos"], listed, seed=record.seed)
        used = list(range(len(found.sources)))
    else:  # its list is lost: the photos that are there now may be the same
        found = sources.parse(inputs["photos"], seed=record.seed)
        used, _ = selection.usable(found, request, strict=False)
    return ConvolveMaker(
        recipe=request,
        seed=record.seed,
        photos=found,
        used=tuple(used),
        generations=tuple(record.extra.get("generations", (len(used),))),
        left_out=tuple(sources_.Skipped(left.name, left.reason) for left in record.skipped),
        origin=inputs["photos"],
        trajectories=inputs.get("trajectories"),
        command=record.command,
        shard_length=shard_length,
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
