"""Makers of pairs datasets from photos or scenes: what they share, whatever blurs the crops."""

import abc
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from blursynth import errors, recipe_file
from blursynth.kernels import random, response
from blursynth.media import photos
from blursynth.production import maker as makers
from blursynth.production import pairs, realism_options, selection, sight
from blursynth.sources import beside
from blursynth.sources import source as sources_
from blursynth.storage import provenance, reader, schema
from blursynth.synthesis import crop as crops
from blursynth.synthesis import realism, recipe

Arrays = dict[str, npt.NDArray[Any]]
Items = Sequence[int] | npt.NDArray[np.int64]
AnyRecipe = TypeVar("AnyRecipe", bound=recipe.PhotoPairs)


@dataclasses.dataclass(frozen=True)
class PhotoPairsMaker(abc.ABC, Generic[AnyRecipe]):
    """Makes pairs of crops of photos: item = photo * per_photo + repetition.

    photos: where pixels come from. used: positions in photos.sources of the photos that can be used, in the order in
    which items count them. generations: how many of them there were each time that the dataset grew; the last counts
    all. left_out: photos known to be unusable before any is decoded. origin: what `photos` was made from
    (see `stored_photos.parse`). inputs: where other inputs lie, by name.
    """

    recipe: AnyRecipe
    seed: int
    photos: sources_.Sources
    used: tuple[int, ...]
    generations: tuple[int, ...]
    left_out: tuple[sources_.Skipped, ...]
    origin: str
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    command: str = ""
    shard_length: int | None = None

    name: ClassVar[str]
    """Of the maker, in a dataset's record."""
    Recipe: ClassVar[type[Any]]
    """The model of `recipe`."""

    @abc.abstractmethod
    def own_arrays(self) -> tuple[list[schema.ArraySpec], list[schema.ArraySpec]]:
        """Arrays beside the images, and columns beside those of every pair."""

    @abc.abstractmethod
    def prepare(self, item: npt.NDArray[np.int64]) -> Arrays:
        """The values of `own_arrays` for these items; what depends on the crop is left for `blur` to fill in."""

    @abc.abstractmethod
    def light(
        self, made: Arrays, row: int, crop: crops.Crop, table: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """The blurred crop as light, float32 (height, width, 3), for a row of what `prepare` gave.

        table: the linear light of each code of the photo, float32 (256,).
        """

    def blur(self, made: Arrays, row: int, crop: crops.Crop) -> npt.NDArray[np.uint8]:
        """The blurred crop without realism, uint8 (height, width, 3), encoded."""
        transfer = self.recipe.transfer
        return response.encode(self.light(made, row, crop, response.decode_table(transfer)), transfer)

    def unmade(self, made: Arrays, rows: npt.NDArray[np.intp]) -> None:
        """Take back what `prepare` put into rows that could not be made, where it would mislead."""

    @classmethod
    def belonging(cls, request: AnyRecipe, inputs: Mapping[str, str]) -> beside.Beside | None:  # noqa: ARG003
        """What lies beside the photos and belongs to them, where the recipe says that something does."""
        return None

    def corners(
        self,
        uniform: npt.NDArray[np.float64],
        item: npt.NDArray[np.int64],  # noqa: ARG002
        photo: tuple[int, int],
        belonging: Any,  # noqa: ARG002
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Where the crops of these items lie in a photo of (height, width) px: top rows and left columns, (N,) each.

        uniform: draws (N, 2).
        """
        height, width = self.frame
        tops = (uniform[:, 0] * (photo[0] - height + 1)).astype(np.int32)
        return tops, (uniform[:, 1] * (photo[1] - width + 1)).astype(np.int32)

    @functools.cached_property
    def _beside(self) -> beside.Beside | None:
        return self.belonging(self.recipe, {**self.inputs, "photos": self.origin})

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
        arrays, columns = self.own_arrays()
        arrays = [
            *pairs.image_arrays(
                height, width, realism_options.shown_transfer(self.recipe.realism, self.recipe.transfer)
            ),
            *arrays,
            *pairs.columns(len(self.used), "photo"),
            *columns,
            *(realism_options.columns(self.recipe.realism) if self.recipe.realism else []),
        ]
        return schema.sized("pairs", len(self.used) * self.recipe.per_photo, arrays, self.shard_length)

    def record(self) -> provenance.Record:
        return provenance.Record(
            recipe_toml=recipe_file.to_toml(self.recipe),
            seed=self.seed,
            command=self.command,
            sources=tuple(self.photos.sources[k].entry() for k in self.used),
            splits=pairs.SPLITS,
            skipped=tuple(provenance.Skipped(left.name, left.reason) for left in self.left_out),
            maker=self.name,
            extra={"generations": list(self.generations)} if len(self.generations) > 1 else {},
            inputs={"photos": self.origin, **self.inputs},
        )

    @property
    def grows(self) -> frozenset[str]:
        """More photos can be added. Pairs a photo cannot: they would move every later item."""
        return frozenset({"sources_sha256", "extra.generations"})

    def grown_from(self, there: reader.Dataset) -> Self:
        """Photos that are there keep their numbers and splits; those that are new follow, in the folder's order.

        Raises InputError where one that is there is gone or has changed.
        """
        listed = there.sources[: there.attributes["sources"]]
        now = {self.photos.sources[k].name: k for k in self.used}
        found = [self.photos.sources[k].entry() for k in self.used]
        selection.require_unchanged(there.path, listed, found, "Photos")
        used = (*(now.pop(source["name"]) for source in listed), *now.values())
        generations = selection.generations(there, len(listed), len(used))
        return dataclasses.replace(self, used=used, generations=generations)

    def make(self, items: range) -> Arrays:
        item = np.arange(items.start, items.stop, dtype=np.int64)
        source = item // self.recipe.per_photo
        made: Arrays = {
            **pairs.unmade(self.frame, source, np.asarray(self.split, np.uint8)[source]),
            **self.prepare(item),
            **(realism.draw(self.recipe.realism, self.seed, item) if self.recipe.realism else {}),
        }
        for wanted in np.unique(source):
            self._blur_photo(int(wanted), item, np.flatnonzero(source == wanted), made)
        return {array.name: made[array.name] for array in self.schema.arrays}

    def _blur_photo(self, source: int, item: npt.NDArray[np.int64], rows: npt.NDArray[np.intp], made: Arrays) -> None:
        """Fill the rows of one photo's items; a photo whose content cannot be used leaves them invalid."""
        try:
            photo_HWC, belonging = self._read(source), self._read_beside(source)
        except errors.InputError:
            self.unmade(made, rows)
            return  # `skipped` finds the reason again when the dataset is finished
        height, width = self.frame
        uniform = random.uniforms(self.seed, random.Stream.CROP, item[rows], 2)
        tops, lefts = self.corners(uniform, item[rows], (photo_HWC.shape[0], photo_HWC.shape[1]), belonging)
        for row, top, left in zip(rows.tolist(), tops.tolist(), lefts.tolist(), strict=True):
            crop = crops.Crop(photo_HWC, top, left, height, width, belonging)
            made["blurred"][row] = self._exposed(made, row, int(item[row]), crop)
            made["sharp"][row] = self._as_stored(photo_HWC[crop.inside])
        made["crop_y"][rows], made["crop_x"][rows] = tops, lefts
        made["valid"][rows] = 1

    def _exposed(self, made: Arrays, row: int, item: int, crop: crops.Crop) -> npt.NDArray[np.uint8]:
        """The blurred crop as it is stored."""
        if self._camera is None:
            return self.blur(made, row, crop)
        values = realism_options.row(made, self._camera.wanted, row)
        table = realism.decode_table(self.recipe.transfer, values.get("saturation", 0.0))
        return self._camera.blurred(self.light(made, row, crop, table), values, self.seed, item)

    def _as_stored(self, sharp_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return sharp_HWC if self._camera is None else self._camera.sharp(sharp_HWC)

    @functools.cached_property
    def _camera(self) -> realism.Camera | None:
        wanted = self.recipe.realism
        return None if wanted is None else realism.Camera(wanted, self.recipe.transfer)

    def _read(self, source: int) -> npt.NDArray[np.uint8]:
        photo_HWC = self.photos.read(self.used[source])
        if self.recipe.fit == "resize":
            return photos.resize(photo_HWC, *self.frame)
        return photo_HWC

    def _read_beside(self, source: int) -> Any:
        return None if self._beside is None else self._beside.read(self.photos.sources[self.used[source]])

    def reads(self) -> Iterator[tuple[str, str]]:
        """The photos, and whatever else items are made from."""
        root = self.photos.place
        if root is not None:
            yield from ((root, self.photos.sources[k].name) for k in self.used)
        for path in self.inputs.values():
            yield from sight.files_of(path)

    def changed(self, items: Items) -> list[provenance.Skipped]:
        """Photos behind these items that cannot be read, or are other files than when the dataset was begun."""
        found = []
        for source in np.unique(np.asarray(items) // self.recipe.per_photo).tolist():
            photo = self.photos.sources[self.used[source]]
            reason = self.photos.changed(self.used[source])
            if reason is None and self._beside is not None:
                reason = beside.changed(photo, self._beside)
            if reason is not None:
                found.append(provenance.Skipped(photo.name, reason))
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
                yield row, self._as_stored(photo_HWC[top : top + height, left : left + width])

    @property
    def largest_photo(self) -> int:
        """Bytes of the largest photo in 8-bit."""
        return max(self.photos.sources[k].height * self.photos.sources[k].width * 3 for k in self.used)

    @property
    def largest_file(self) -> int:
        """Bytes of the largest photo's file, which is read whole."""
        return max(self.photos.sources[k].bytes for k in self.used)

    @property
    def camera_bytes(self) -> int:
        """What realism takes at most beside the rest, in bytes."""
        return 0 if self.recipe.realism is None else self.frame[0] * self.frame[1] * realism.PEAK_BYTES

    def skipped(self, invalid: Items) -> list[provenance.Skipped]:
        """Why these items could not be made: the photos behind them are read again for the reason."""
        found = []
        for source in sorted({item // self.recipe.per_photo for item in np.asarray(invalid).tolist()}):
            name = self.photos.sources[self.used[source]].name
            try:
                self._read(source)
                self._read_beside(source)
            except errors.InputError as error:
                found.append(provenance.Skipped(name, sources_.reason(error, name)))
            else:
                raise makers.wrongly_left_out(name)
        return found
