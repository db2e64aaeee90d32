"""Maker of pairs datasets from pairs that somebody else made: published sets and other tools' folders."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic

from blursynth import errors, recipe_file
from blursynth.exchange import files
from blursynth.kernels import random
from blursynth.production import maker as makers
from blursynth.production import pairs, selection
from blursynth.sources import source as sources_
from blursynth.storage import provenance, reader, schema

Arrays = dict[str, npt.NDArray[Any]]
Items = Sequence[int] | npt.NDArray[np.int64]

SHARD_BYTES = 16 * 2**20  # of blurred whole frames: four workers then stay under 1 GB


class Import(recipe_file.Model):
    """`blursynth import`: pairs as they are.

    layout: whose. transfer: how codes relate to light. response: the light of each 8-bit code (256, or 3 x 256 by
    channel) for transfer "table", which exports of ours alone can say. blurred, sharp: names of folders (or fields of
    tars), where the layout knows several. split: of all pairs, where names do not say. size: side of square crops in
    px; none: whole images. per_pair: random crops of each. partial: take a set that is not as it was published.
    """

    layout: Literal["gopro", "flat", "webdataset", "kohler", "lai"]
    transfer: Literal["gamma2.2", "srgb", "linear", "table", "unknown"]
    response: tuple[float, ...] | None = None
    blurred: str | None = None
    sharp: str | None = None
    split: Literal["train", "val", "test"] | None = None
    size: int | None = pydantic.Field(None, ge=8, le=16384)
    per_pair: int = pydantic.Field(1, ge=1, le=1_000_000)
    partial: bool = False

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "Import":
        if (self.response is not None) != (self.transfer == "table"):
            raise ValueError('transfer = "table" and a response table go together')
        if self.per_pair > 1 and self.size is None:
            raise ValueError("several crops of a pair need a size")
        return self


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

    recipe: Import
    seed: int
    files: files.Files
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
            recipe_toml=recipe_file.to_toml(self.recipe),
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
        selection.require_unchanged(
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
        made: Arrays = {
            **pairs.unmade(self.frame, source, np.array([pair.split for pair in mine], np.uint8)),
            "blurred_source": np.array([pair.blurred for pair in mine], np.int64),
            "frames": np.array([pair.frames for pair in mine], np.int32),
        }
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
                images[name] = files.pixels(self.files, self.sources[source], into)
        except errors.InputError:  # `skipped` finds the reason again when the dataset is finished
            made["blurred"][rows] = made["sharp"][rows] = 0
            return
        made["valid"][rows] = 1
        if whole:
            return
        uniform = random.uniforms(self.seed, random.Stream.CROP, item[rows], 2)
        tops = (uniform[:, 0] * (images["sharp"].shape[0] - height + 1)).astype(np.int32)
        lefts = (uniform[:, 1] * (images["sharp"].shape[1] - width + 1)).astype(np.int32)
        for row, top, left in zip(rows.tolist(), tops.tolist(), lefts.tolist(), strict=True):
            for name, pixels_HWC in images.items():
                made[name][row] = pixels_HWC[top : top + height, left : left + width]
        made["crop_y"][rows], made["crop_x"][rows] = tops, lefts

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
            tar, found, _ = source.name.partition(f"{files.TAR}/")
            yield self.files.root, tar + files.TAR if found else source.name

    def changed(self, items: Items) -> list[provenance.Skipped]:
        """Images behind these items that cannot be read, or are other files than when the dataset was begun."""
        found = [(self.sources[k].name, files.changed(self.files, self.sources[k])) for k in self._sources_of(items)]
        return [provenance.Skipped(name, reason) for name, reason in found if reason is not None]

    def sharp(
        self, rows: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[Any]]
    ) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """The crop that each row's columns name; every image is read once."""
        height, width = self.frame
        for source in np.unique(columns["source"][rows]).tolist():
            pixels_HWC = files.pixels(self.files, self.sources[source])
            for row in rows[columns["source"][rows] == source].tolist():
                top, left = columns["crop_y"][row], columns["crop_x"][row]
                yield row, pixels_HWC[top : top + height, left : left + width]

    def skipped(self, invalid: Items) -> list[provenance.Skipped]:
        """Why these items could not be made: the images behind them are read again for the reason."""
        found = []
        for k in self._sources_of(invalid):
            name = self.sources[k].name
            try:
                files.pixels(self.files, self.sources[k])
            except errors.InputError as error:
                found.append(provenance.Skipped(name, sources_.reason(error, name)))
        if not found:
            raise makers.wrongly_left_out(self.sources[self._sources_of(invalid)[0]].name)
        return found
