"""Maker of pairs datasets from pairs that somebody else made: published sets and other tools' folders."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import import_pairs, toml
from blursynth.kernels import random
from blursynth.makers import pairs, source_selection
from blursynth.production import maker as makers
from blursynth.sources import image_files
from blursynth.sources import source as sources_
from blursynth.storage import provenance, reader, schema
from blursynth.synthesis import crop as crops

Arrays = dict[str, npt.NDArray[Any]]
Items = Sequence[int] | npt.NDArray[np.int64]

SHARD_BYTES = 16 * 2**20  # of blurred whole frames: four workers then stay under 1 GB


@dataclasses.dataclass(frozen=True)
class ImportedPair:
    """A pair's images, as positions in the maker's sources; its split as an index; M, or 0."""

    blurred: int
    sharp: int
    split: int
    frames: int


@dataclasses.dataclass(frozen=True)
class ImportMaker:
    """Makes items of `blursynth import`: item = pair * per_pair + which of its crops.

    sources: every image file once; pairs name them by position. left_out: files that are no part of a pair, or cannot
    be used. origin: where the files were found.
    """

    recipe: import_pairs.Import
    seed: int
    files: image_files.Files
    sources: tuple[sources_.Source, ...]
    pairs: tuple[ImportedPair, ...]
    left_out: tuple[provenance.Skipped, ...]
    command: str = ""
    shard_length: int | None = None

    @functools.cached_property
    def frame(self) -> tuple[int, int]:
        """Height and width of every image in the dataset."""
        if self.recipe.size is not None:
            return self.recipe.size, self.recipe.size
        first = self.sources[self.pairs[0].sharp]
        return first.height, first.width

    @functools.cached_property
    def schema(self) -> schema.Schema:
        height, width = self.frame
        last = len(self.sources) - 1
        arrays = pairs.image_arrays(height, width, self.recipe.transfer)
        arrays += pairs.columns(len(self.sources), "image")
        arrays += [
            schema.column(
                "blurred_source",
                "int64",
                long_name="the blurred image, as an index into the sources of `source`",
                valid_range=(0, last),
            ),
            schema.column("frames", "int32", long_name="frames that were averaged (M); 0: not known"),
        ]
        items = len(self.pairs) * self.recipe.per_pair
        usual = schema.shard_length_for(items, tuple(arrays))
        small = max(1, min(usual, SHARD_BYTES // (height * width * 3)))
        return schema.sized("pairs", items, arrays, self.shard_length or small)

    def record(self) -> provenance.Record:
        """Beside what is recorded of each source, a blurred one names its sharp one, its split and M: the pair."""
        entries = [dataclasses.asdict(source) for source in self.sources]
        for pair in self.pairs:
            entries[pair.blurred] |= {"sharp": pair.sharp, "split": pairs.SPLITS[pair.split], "frames": pair.frames}
        return provenance.Record(
            recipe_toml=toml.to_toml(self.recipe),
            seed=self.seed,
            command=self.command,
            sources=tuple(entries),
            splits=pairs.SPLITS,
            skipped=self.left_out,
            maker="import",
            inputs={"images": self.files.root},
        )

    @property
    def grows(self) -> frozenset[str]:
        """More pairs can be added. Crops of a pair cannot: they would move every later item."""
        return frozenset({"sources_sha256"})

    def grown_from(self, there: reader.Dataset) -> "ImportMaker":
        """Pairs that are there keep their numbers; those that are new follow, in this maker's order.

        Raises InputError where a file that is there is gone, has changed, or belongs to another pair now.
        """
        listed = there.sources[: there.attributes["sources"]]
        source_selection.require_unchanged(
            there.path, listed, [dataclasses.asdict(source) for source in self.sources], "Images"
        )
        names = dict.fromkeys([entry["name"] for entry in listed] + [source.name for source in self.sources])
        number = {name: k for k, name in enumerate(names)}
        moved = [number[source.name] for source in self.sources]
        renumbered = (
            dataclasses.replace(pair, blurred=moved[pair.blurred], sharp=moved[pair.sharp]) for pair in self.pairs
        )
        grown = dataclasses.replace(
            self,
            sources=tuple(sorted(self.sources, key=lambda source: number[source.name])),
            pairs=tuple(sorted(renumbered, key=lambda pair: pair.blurred)),
        )
        if list(grown.record().sources[: len(listed)]) != listed:
            raise errors.InputError(
                f"Images that {there.path} was made from belong together otherwise now, or to another split. Nothing "
                "can be added until they are as they were."
            )
        return grown

    def make(self, items: range) -> Arrays:
        item = np.arange(items.start, items.stop, dtype=np.int64)
        which = item // self.recipe.per_pair
        mine = [self.pairs[k] for k in which.tolist()]
        source = np.array([pair.sharp for pair in mine], np.int64)
        known: Arrays = {
            "source": source,
            "split": np.array([pair.split for pair in mine], np.uint8),
            "blurred_source": np.array([pair.blurred for pair in mine], np.int64),
            "frames": np.array([pair.frames for pair in mine], np.int32),
        }
        made = pairs.unmade(self.schema.arrays, len(item), known)
        for wanted in np.unique(which).tolist():
            self._cut(self.pairs[wanted], item, np.flatnonzero(which == wanted), made)
        return made

    def _cut(self, pair: ImportedPair, item: npt.NDArray[np.int64], rows: npt.NDArray[np.intp], made: Arrays) -> None:
        """Fill the rows of one pair's items; images whose content cannot be used leave them black and invalid."""
        height, width = self.frame
        whole = self.recipe.size is None  # then the images are decoded where they stay
        images = {}
        try:
            for name, source in (("blurred", pair.blurred), ("sharp", pair.sharp)):
                into = made[name][rows[0]] if whole else None
                images[name] = image_files.pixels(self.files, self.sources[source], into)
        except errors.InputError:  # `skipped` finds the reason again when the dataset is finished
            made["blurred"][rows] = made["sharp"][rows] = 0
            return
        made["valid"][rows] = 1
        if whole:
            return
        draws = random.uniforms(self.seed, random.Stream.CROP, item[rows], 2)
        for row, uniform in zip(rows.tolist(), draws, strict=True):
            top, left = crops.corner(uniform, images["sharp"].shape[:2], (height, width))
            for name, pixels_HWC in images.items():
                made[name][row] = pixels_HWC[top : top + height, left : left + width]
            made["crop_y"][row], made["crop_x"][row] = top, left

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), and a pair's files, read and decoded."""
        largest = max(source.height * source.width for source in self.sources)
        return 2 * items * self.schema.bytes_per_item + largest * 16

    def _sources_of(self, items: Items) -> list[int]:
        involved = [self.pairs[k] for k in np.unique(np.asarray(items) // self.recipe.per_pair).tolist()]
        return list(dict.fromkeys(k for pair in involved for k in (pair.blurred, pair.sharp)))

    def reads(self) -> Iterator[tuple[str, str]]:
        """The images, or the tars that they are in."""
        for source in self.sources:
            tar, found, _ = source.name.partition(f"{image_files.TAR}/")
            yield self.files.root, tar + image_files.TAR if found else source.name

    def changed(self, items: Items) -> list[provenance.Skipped]:
        """Images behind these items that cannot be read, or are other files than when the dataset was begun."""
        found = [
            (self.sources[k].name, image_files.changed(self.files, self.sources[k])) for k in self._sources_of(items)
        ]
        return [provenance.Skipped(name, reason) for name, reason in found if reason is not None]

    def sharp(
        self, rows: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[Any]]
    ) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """The crop that each row's columns name; every image is read once."""
        height, width = self.frame
        for source in np.unique(columns["source"][rows]).tolist():
            pixels_HWC = image_files.pixels(self.files, self.sources[source])
            for row in rows[columns["source"][rows] == source].tolist():
                top, left = columns["crop_y"][row], columns["crop_x"][row]
                yield row, pixels_HWC[top : top + height, left : left + width]

    def skipped(self, invalid: Items) -> list[provenance.Skipped]:
        """Why these items could not be made: the images behind them are read again for the reason."""
        found = []
        for k in self._sources_of(invalid):
            name = self.sources[k].name
            try:
                image_files.pixels(self.files, self.sources[k])
            except errors.InputError as error:
                found.append(provenance.Skipped(name, sources_.reason(error, name)))
        if not found:
            raise makers.wrongly_left_out(self.sources[self._sources_of(invalid)[0]].name)
        return found
