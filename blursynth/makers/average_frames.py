"""Maker of pairs datasets from video: windows of successive frames, averaged in linear light."""

import dataclasses
import functools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import average_frames, toml
from blursynth.kernels import frames as kernel
from blursynth.makers import pairs, realism_request, source_selection, window_columns, window_rejection
from blursynth.media import picture
from blursynth.production import maker as makers
from blursynth.sources import clip_files, recordings
from blursynth.sources import readers as readers_
from blursynth.sources import source as sources_
from blursynth.storage import provenance, reader, schema
from blursynth.stores import store
from blursynth.synthesis import average_pair, frames, realism, windows

SHARD_BYTES = 16 * 2**20  # of blurred whole frames: four workers then stay under 1 GB
_LIGHT = 12  # bytes of a pixel in float32 RGB

Arrays = dict[str, npt.NDArray[Any]]
Items = Sequence[int] | npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class AverageFramesMaker:
    """Makes items of `blursynth average-frames`: item = window * pairs of a window + which of them.

    clips: in the order in which items count them. generations: how many of them there were each time that the dataset
    grew; the last counts all. left_out: clips known to be unusable, and losses known, before anything is decoded.
    origin: the paths that the clips were found in. by_recording: whether chapters of one recording share a split, as
    they do since datasets record it.
    """

    recipe: average_frames.AverageFrames
    seed: int
    clips: tuple[clip_files.Clip, ...]
    generations: tuple[int, ...]
    left_out: tuple[sources_.Skipped, ...]
    origin: tuple[str, ...]
    command: str = ""
    shard_length: int | None = None
    readers: readers_.Readers = dataclasses.field(default_factory=readers_.Readers, compare=False)
    by_recording: bool = True
    unusable: window_rejection.LeftOut = dataclasses.field(default_factory=window_rejection.LeftOut, compare=False)

    @functools.cached_property
    def frame(self) -> tuple[int, int]:
        """Height and width of every image in the dataset."""
        size = self.recipe.size
        return (size, size) if size is not None else (self.clips[0].height, self.clips[0].width)

    @functools.cached_property
    def windows(self) -> windows.Windows:
        return windows.plan(self.recipe, self.seed, [(clip.stem, clip.frames) for clip in self.clips])

    @functools.cached_property
    def split(self) -> tuple[int, ...]:
        """One of pairs.SPLITS per clip, as an index: by shares, or by the folder that it lies in."""
        if self.recipe.split_by == "folder":
            return tuple(split_of_folder(clip.name) for clip in self.clips)
        sources = [clip.source for clip in self.clips]
        if self.by_recording:
            sources = recordings.by_recording(sources, self.generations)
        return tuple(source_selection.split(sources, self.generations, self.seed, self.recipe.splits))

    @functools.cached_property
    def tiles(self) -> tuple[tuple[int, int], ...]:
        """With a grid, the rows and columns of crops in each clip; else empty."""
        if self.recipe.crop != "grid":
            return ()
        height, width = self.frame
        return tuple((clip.height // height, clip.width // width) for clip in self.clips)

    @functools.cached_property
    def _begin(self) -> npt.NDArray[np.int64]:
        """The first item of each window, and the number of items: int64 (windows + 1,)."""
        per_clip = [rows * columns for rows, columns in self.tiles] or [self.recipe.per_window] * len(self.clips)
        return np.concatenate([[0], np.cumsum(np.asarray(per_clip, np.int64)[self.windows.clip])])

    @functools.cached_property
    def _light(self) -> frames.Light:
        return frames.Light(self.recipe.transfer, self.recipe.response, self.recipe.rounding)

    @functools.cached_property
    def schema(self) -> schema.Schema:
        height, width = self.frame
        wanted = self.recipe.realism
        arrays = pairs.image_arrays(height, width, realism_request.shown_transfer(wanted, self.recipe.transfer))
        arrays += pairs.columns(len(self.clips), "upright frame")
        arrays += window_columns.columns(self.recipe, self.clips)
        arrays += realism_request.columns(wanted) if wanted else []
        items = int(self._begin[-1])
        usual = schema.shard_length_for(items, tuple(arrays))
        small = max(1, min(usual, SHARD_BYTES // (height * width * 3)))
        return schema.sized("pairs", items, arrays, self.shard_length or small)

    def record(self) -> provenance.Record:
        return provenance.Record(
            recipe_toml=toml.to_toml(self.recipe),
            seed=self.seed,
            command=self.command,
            sources=tuple(clip.record for clip in self.clips),
            splits=pairs.SPLITS,
            skipped=tuple(provenance.Skipped(left.name, left.reason) for left in self.left_out),
            maker="average-frames",
            extra=({"generations": list(self.generations)} if len(self.generations) > 1 else {})
            | ({"by_recording": True} if self.by_recording else {}),
            inputs={"clips": os.pathsep.join(store.normalise(path) for path in self.origin)},
        )

    @property
    def grows(self) -> frozenset[str]:
        """More clips can be added. More pairs of a window cannot: they would move every later item."""
        return frozenset({"sources_sha256", "extra.generations"})

    def grown_from(self, there: reader.Dataset) -> "AverageFramesMaker":
        """Clips that are there keep their numbers, windows and splits; those that are new follow.

        Raises InputError where one that is there is gone or has changed.
        """
        listed = there.sources[: there.attributes["sources"]]
        source_selection.require_unchanged(there.path, listed, [clip.record for clip in self.clips], "Clips")
        now = {clip.name: clip for clip in self.clips}
        clips = (*(now.pop(source["name"]) for source in listed), *now.values())
        generations = source_selection.generations(there, len(listed), len(clips))
        chapters = bool(there.attributes["extra"].get("by_recording"))
        return dataclasses.replace(self, clips=clips, generations=generations, by_recording=chapters)

    def losses(self, names: Collection[str]) -> list[provenance.Skipped]:
        """Return what the clips with these names have lost."""
        return [provenance.Skipped(clip.name, clip.loss) for clip in self.clips if clip.name in names and clip.loss]

    def reads(self) -> Iterator[tuple[str, str]]:
        """Videos, and images of folders of frames."""
        for clip in self.clips:
            yield from ((str(file.parent), file.name) for file in clip.files)

    def changed(self, items: Items) -> list[provenance.Skipped]:
        """Clips behind these items that cannot be read, or are other files than when the dataset was begun."""
        window = np.searchsorted(self._begin, np.asarray(items), side="right") - 1
        involved = [self.clips[source] for source in np.unique(self.windows.clip[window]).tolist()]
        reasons = [(clip.name, clip.changed()) for clip in involved]
        return [provenance.Skipped(name, reason) for name, reason in reasons if reason is not None]

    def sharp(
        self, rows: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[Any]]
    ) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """The crop of the frame that each row's columns name, in the order of frames."""
        height, width = self.frame
        between = self.recipe.interpolate
        for row in rows[np.lexsort((columns["target_frame"][rows], columns["source"][rows]))].tolist():
            clip, number = self.clips[columns["source"][row]], int(columns["target_frame"][row])
            box = int(columns["crop_y"][row]), int(columns["crop_x"][row]), height, width
            with self.readers.lent(clip, number) as frames_:
                found = next(iter(frames_.frames(number, number + 1)))
            if isinstance(found, picture.Picture):
                count = int(columns["frames"][row])
                yield row, self._camera.sharp(frames.sharp(found, self._light, count, clip.orientation, box, between))

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), the largest window decoded and stacked, realism of one pair."""
        largest = max(clip.height * clip.width for clip in self.clips)
        held = largest * int(self.windows.frames.max()) * 6 + (largest * 64 if self.recipe.interpolate else 0)
        camera = 0 if self.recipe.realism is None else self.frame[0] * self.frame[1] * (_LIGHT + realism.PEAK_BYTES)
        return 2 * items * self.schema.bytes_per_item + held + camera

    def make(self, items: range) -> Arrays:
        item = np.arange(items.start, items.stop, dtype=np.int64)
        window = np.searchsorted(self._begin, item, side="right") - 1
        source, first, count = (
            column[window] for column in (self.windows.clip, self.windows.first, self.windows.frames)
        )
        target = first + np.array([self.recipe.target_of(int(each)) for each in count])
        drawn = realism.draw(self.recipe.realism, self.seed, item) if self.recipe.realism else {}
        known: Arrays = {
            "source": source,
            "split": np.asarray(self.split, np.uint8)[source],
            "frames": count.astype(np.int32),
            "first_frame": first,
            "target_frame": target,
            "time_s": np.array([self.clips[s].seconds[t] for s, t in zip(source, target, strict=True)], np.float64),
            "interpolated": np.full(len(item), self.recipe.interpolate, np.int32),
            **drawn,
        }
        made = pairs.unmade(self.schema.arrays, len(item), known)
        for wanted in np.unique(window).tolist():
            rows = np.flatnonzero(window == wanted)
            found, judged = self._judge(wanted, item[rows])
            self.unusable.remember(item[rows], judged)
            for row, verdict in zip(rows.tolist(), judged, strict=True):
                made["reason"][row], made["step_px"][row] = verdict.reason, verdict.step
                made["motion_px"][row] = verdict.motion
                if verdict.box is not None:
                    made["crop_y"][row], made["crop_x"][row] = verdict.box[:2]
                if found is not None and verdict.reason is window_columns.Reason.NONE:
                    out = kernel.Mean(made["blurred"][row], made["sharp"][row])
                    values = realism.of_item(drawn, row)
                    camera = dataclasses.replace(self._camera, values=values, seed=self.seed, item=int(item[row]))
                    average_pair.expose(found, verdict.box, camera, out)
                    made["valid"][row] = 1
        return made

    @property
    def _camera(self) -> realism.Camera:
        return realism.Camera(self.recipe.realism, self.recipe.transfer, self.recipe.response)

    def _judge(
        self, window: int, items: npt.NDArray[np.int64]
    ) -> tuple[frames.Window | None, list[window_rejection.Verdict]]:
        """The decoded window, None where it cannot be used, and what becomes of these of its items."""
        clip = self.clips[int(self.windows.clip[window])]
        first = int(self.windows.first[window])
        span = range(first, first + int(self.windows.frames[window]))
        boxes = self._boxes(window, clip, items)
        return window_rejection.judge(self.recipe, self._light, self.readers, clip, span, boxes)

    def _boxes(self, window: int, clip: clip_files.Clip, items: npt.NDArray[np.int64]) -> list[frames.Box]:
        """Where these items of a window lie in the upright frame."""
        height, width = self.frame
        if self.tiles:
            _, columns = self.tiles[int(self.windows.clip[window])]
            tile = (items - self._begin[window]).tolist()
            return [(k // columns * height, k % columns * width, height, width) for k in tile]
        return average_pair.boxes(self.seed, items, (clip.height, clip.width), (height, width))

    def skipped(self, invalid: Items) -> list[provenance.Skipped]:
        """Why these items were left out: windows that another process made are looked at again."""
        numbers = np.asarray(invalid, np.int64)
        window = np.searchsorted(self._begin, numbers, side="right") - 1
        found = []
        for wanted in np.unique(window).tolist():
            items = numbers[window == wanted]
            judged = self.unusable.known(items) or self._judge(wanted, items)[1]
            name = self.clips[int(self.windows.clip[wanted])].name
            if any(verdict.reason is window_columns.Reason.NONE for verdict in judged):
                raise makers.wrongly_left_out(name)
            found.append((name, judged))
        return window_rejection.reasons(found)


def split_of_folder(name: str) -> int:
    """The split of a clip by the folder named train, val or test that it lies in. Raises InputError without one."""
    for part in name.split("/")[:-1]:
        if part in pairs.SPLITS:
            return pairs.SPLITS.index(part)
    raise errors.InputError(
        f"{name} lies in no folder named {', '.join(pairs.SPLITS)}, so --splits folder does not know its split. Give "
        "the folder above those, or shares such as train=0.9,val=0.1."
    )
