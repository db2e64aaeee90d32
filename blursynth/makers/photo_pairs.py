"""Share what makers of pairs from photos or scenes have in common, whatever blurs the crops."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import photo_pairs, toml
from blursynth.makers import pairs, realism_request, source_selection
from blursynth.production import maker as makers
from blursynth.production import visibility
from blursynth.sources import cache as caches
from blursynth.sources import sidecars
from blursynth.sources import source as sources_
from blursynth.storage import provenance, reader, schema
from blursynth.synthesis import pair, realism

Arrays = dict[str, npt.NDArray[Any]]
Items = Sequence[int] | npt.NDArray[np.int64]
AnyRecipe = TypeVar("AnyRecipe", bound=photo_pairs.PhotoPairs)
Value = TypeVar("Value")


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
    cache: caches.Cache | None = dataclasses.field(default=None, compare=False, repr=False)
    """Keeps decoded photos, and what belongs to them, from one call of `make_items` to the next."""

    name: ClassVar[str]
    """Of the maker, in a dataset's record."""
    Recipe: ClassVar[type[Any]]
    """The model of `recipe`."""

    @abc.abstractmethod
    def own_arrays(self) -> tuple[list[schema.ArraySpec], list[schema.ArraySpec]]:
        """Arrays beside the images, and columns beside those of every pair."""

    @abc.abstractmethod
    def draw(self, items: npt.NDArray[np.int64]) -> pair.Draws[Any]:
        """Draw what is random about these items: the function `draw` of the kind's module in `synthesis`."""

    @classmethod
    def belonging(cls, request: AnyRecipe, inputs: Mapping[str, str]) -> sidecars.Beside | None:  # noqa: ARG003
        """What lies beside the photos and belongs to them, where the recipe says that something does."""
        return None

    @functools.cached_property
    def _beside(self) -> sidecars.Beside | None:
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
        return tuple(source_selection.split(photos_, self.generations, self.seed, self.recipe.splits))

    @functools.cached_property
    def schema(self) -> schema.Schema:
        height, width = self.frame
        arrays, columns = self.own_arrays()
        arrays = [
            *pairs.image_arrays(
                height, width, realism_request.shown_transfer(self.recipe.realism, self.recipe.transfer)
            ),
            *arrays,
            *pairs.columns(len(self.used), "photo"),
            *columns,
            *(realism_request.columns(self.recipe.realism) if self.recipe.realism else []),
        ]
        return schema.sized("pairs", len(self.used) * self.recipe.per_photo, arrays, self.shard_length)

    def record(self) -> provenance.Record:
        return provenance.Record(
            recipe_toml=toml.to_toml(self.recipe),
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
        source_selection.require_unchanged(there.path, listed, found, "Photos")
        used = (*(now.pop(source["name"]) for source in listed), *now.values())
        generations = source_selection.generations(there, len(listed), len(used))
        return dataclasses.replace(self, used=used, generations=generations)

    def make(self, items: range) -> Arrays:
        return self.make_items(np.arange(items.start, items.stop, dtype=np.int64))

    @property
    def items_per_source(self) -> int:
        """Items made from each photo: item = source * items_per_source + repetition."""
        return self.recipe.per_photo

    def make_items(self, item: npt.NDArray[np.int64]) -> Arrays:
        """Make any items, int64 (N,), in this order: what `make` makes of a range."""
        source = item // self.recipe.per_photo
        draws = self.draw(item)
        split = np.asarray(self.split, np.uint8)[source]
        made = pairs.unmade(self.schema.arrays, len(item), {"source": source, "split": split, **draws.stored})
        for number in np.unique(source).tolist():
            self._make_pairs(number, draws, np.flatnonzero(source == number).tolist(), made)
        return made

    def _make_pairs(self, source: int, draws: pair.Draws[Any], rows: list[int], made: Arrays) -> None:
        """Fill the rows of one photo's items; a photo whose content cannot be used leaves them invalid."""
        try:
            photo_HWC, belonging = self._read(source), self._read_beside(source)
        except errors.InputError:
            return  # `skipped` finds the reason again when the dataset is finished
        for row in rows:
            one = draws.pair(row, photo_HWC, belonging)
            made["blurred"][row], made["sharp"][row] = one.blurred, one.sharp
            made["crop_y"][row], made["crop_x"][row] = one.crop_y, one.crop_x
            for name in one.measured.keys() & made.keys():  # a recipe may leave some of them out
                made[name][row] = one.measured[name]
            made["valid"][row] = 1

    def _read(self, source: int) -> npt.NDArray[np.uint8]:
        index = self.used[source]
        return self._cached("photo", source, lambda: pair.fitted(self.recipe, self.photos.read(index)))

    def _read_beside(self, source: int) -> Any:
        beside, photo = self._beside, self.photos.sources[self.used[source]]
        return None if beside is None else self._cached("beside", source, lambda: beside.read(photo))

    def _cached(self, what: str, source: int, read: Callable[[], Value]) -> Value:
        return read() if self.cache is None else self.cache.get((what, source), read)

    def reads(self) -> Iterator[tuple[str, str]]:
        """The photos, and whatever else items are made from."""
        root = self.photos.place
        if root is not None:
            yield from ((root, self.photos.sources[k].name) for k in self.used)
        for path in self.inputs.values():
            yield from visibility.files_of(path)

    def changed(self, items: Items) -> list[provenance.Skipped]:
        """Photos behind these items that cannot be read, or are other files than when the dataset was begun."""
        found = []
        for source in np.unique(np.asarray(items) // self.recipe.per_photo).tolist():
            photo = self.photos.sources[self.used[source]]
            reason = self.photos.changed(self.used[source])
            if reason is None and self._beside is not None:
                reason = sidecars.changed(photo, self._beside)
            if reason is not None:
                found.append(provenance.Skipped(photo.name, reason))
        return found

    def sharp(
        self, rows: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[Any]]
    ) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """The crop that each row's columns name; every photo is read once."""
        height, width = self.frame
        camera = realism.Camera(self.recipe.realism, self.recipe.transfer)
        for source in np.unique(columns["source"][rows]):
            photo_HWC = self._read(int(source))
            for row in rows[columns["source"][rows] == source].tolist():
                top, left = columns["crop_y"][row], columns["crop_x"][row]
                yield row, camera.sharp(photo_HWC[top : top + height, left : left + width])

    @property
    @abc.abstractmethod
    def margin(self) -> int:
        """Px by which the part of a photo that is blurred is higher and wider than the crop."""

    def peak_bytes(self, items: int) -> int:
        """Count the items twice (made, and while encoded), the largest photo in 8-bit, and a crop with its margin."""
        crop = 27 * (self.frame[0] + self.margin) * (self.frame[1] + self.margin)  # encoded, linear, blurred
        made = 2 * items * self.schema.bytes_per_item
        return made + 2 * self.largest_photo + self.largest_file + crop + self.camera_bytes

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
