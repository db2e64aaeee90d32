"""Maker of pairs datasets from video: windows of successive frames, averaged in linear light."""

import collections
import dataclasses
import enum
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import recipe_file
from blursynth.kernels import random
from blursynth.media import decode, picture, video
from blursynth.production import pairs
from blursynth.sources import clips as clips_
from blursynth.sources import readers as readers_
from blursynth.sources import source as sources_
from blursynth.storage import provenance, schema
from blursynth.synthesis import flow, frames, frames_recipe, windows

SHARD_BYTES = 16 * 2**20  # of blurred whole frames: four workers then stay under 1 GB

Arrays = dict[str, npt.NDArray[Any]]


class Reason(enum.IntEnum):
    """Why an item was left out. Numbers are part of the format."""

    NONE = 0
    CUT = 1
    DAMAGED = 2
    CHANGED = 3
    UNEVEN = 4
    STEP = 5
    STILL = 6


WORDS = {
    Reason.NONE: "could not be made when the dataset was, but can be now",
    Reason.CUT: "the scene changes within them",
    Reason.DAMAGED: "{lost} of their frames could not be decoded, or are built on such",
    Reason.CHANGED: "{lost} of their frames have another size or format than the clip's first",
    Reason.UNEVEN: "their frames are not evenly spaced in time (dropped frames)",
    Reason.STEP: "something moves further from frame to frame than --max-step",
    Reason.STILL: "less moves than --min-motion",
}
_OF_LOSS = {decode.Loss.DAMAGED: Reason.DAMAGED, decode.Loss.CHANGED: Reason.CHANGED}


@dataclasses.dataclass(frozen=True)
class _Verdict:
    """What is known of an item once its window is decoded."""

    reason: Reason
    step: float = 0.0
    motion: float = 0.0
    box: frames.Box | None = None
    lost: int = 0


@dataclasses.dataclass(frozen=True)
class AverageFramesMaker:
    """Makes items of `blursynth average-frames`: item = window * pairs of a window + which of them.

    windows: see `synthesis.windows.plan`. split: one of pairs.SPLITS per clip, as an index. left_out: clips known to be
    unusable, and losses known, before anything is decoded.
    """

    recipe: frames_recipe.AverageFrames
    seed: int
    clips: tuple[clips_.Clip, ...]
    windows: windows.Windows
    split: tuple[int, ...]
    left_out: tuple[sources_.Skipped, ...]
    command: str = ""
    shard_length: int | None = None
    readers: readers_.Readers = dataclasses.field(default_factory=readers_.Readers, compare=False)

    @functools.cached_property
    def frame(self) -> tuple[int, int]:
        """Height and width of every image in the dataset."""
        size = self.recipe.size
        return (size, size) if size is not None else (self.clips[0].height, self.clips[0].width)

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
        columns = [
            ("valid", "uint8", "1 where the item could be made", "1"),
            ("split", "uint8", "index into the dataset's splits", "1"),
            ("source", "int64", "index into this array's sources", "1"),
            ("crop_y", "int32", "top row of the crop in the upright frame", "px"),
            ("crop_x", "int32", "left column of the crop in the upright frame", "px"),
            ("frames", "int32", "M: successive frames of the clip that were averaged", "1"),
            ("first_frame", "int64", "number of the first of them, from 0", "1"),
            ("target_frame", "int64", "number of the sharp frame, from 0", "1"),
            ("time_s", "float64", "when the sharp frame is shown, from the clip's first", "s"),
            ("interpolated", "int32", "frames put into each interval before averaging", "1"),
            ("step_px", "float32", "largest displacement between two successive frames of the clip", "px"),
            ("motion_px", "float32", "sum over the window's intervals of the largest displacement", "px"),
        ]
        arrays = pairs.image_arrays(height, width, self.recipe.transfer)
        arrays += [schema.column(name, dtype, long_name=text, units=unit) for name, dtype, text, unit in columns]
        arrays.append(
            schema.ArraySpec(
                "reason",
                "uint8",
                attributes={
                    "long_name": "why the item was left out",
                    "units": "1",
                    "flag_values": [int(reason) for reason in Reason],
                    "flag_meanings": " ".join(reason.name.lower() for reason in Reason),
                },
            )
        )
        items = int(self._begin[-1])
        usual = schema.shard_length_for(items, tuple(arrays))
        small = max(1, min(usual, SHARD_BYTES // (height * width * 3)))
        return schema.sized("pairs", items, arrays, self.shard_length or small)

    def record(self) -> provenance.Record:
        return provenance.Record(
            recipe_toml=recipe_file.to_toml(self.recipe),
            seed=self.seed,
            command=self.command,
            sources=tuple(dataclasses.asdict(clip.source) | clip.about for clip in self.clips),
            splits=pairs.SPLITS,
            skipped=tuple(provenance.Skipped(left.name, left.reason) for left in self.left_out),
            extra={"clips": {clip.name: str(clip.path) for clip in self.clips}},
        )

    def peak_bytes(self, items: int) -> int:
        """The items twice (made, and while encoded), and the largest window decoded and stacked."""
        largest = max(clip.height * clip.width for clip in self.clips)
        held = largest * int(self.windows.frames.max()) * 6 + (largest * 64 if self.recipe.interpolate else 0)
        return 2 * items * self.schema.bytes_per_item + held

    def make(self, items: range) -> Arrays:
        item = np.arange(items.start, items.stop, dtype=np.int64)
        window = np.searchsorted(self._begin, item, side="right") - 1
        source, first, count = (
            column[window] for column in (self.windows.clip, self.windows.first, self.windows.frames)
        )
        target = first + np.array([self.recipe.target_of(int(each)) for each in count])
        height, width = self.frame
        made: Arrays = {
            "blurred": np.zeros((len(item), height, width, 3), np.uint8),
            "sharp": np.zeros((len(item), height, width, 3), np.uint8),
            "valid": np.zeros(len(item), np.uint8),
            "split": np.asarray(self.split, np.uint8)[source],
            "source": source,
            "crop_y": np.zeros(len(item), np.int32),
            "crop_x": np.zeros(len(item), np.int32),
            "frames": count.astype(np.int32),
            "first_frame": first,
            "target_frame": target,
            "time_s": np.array([self.clips[s].seconds[t] for s, t in zip(source, target, strict=True)], np.float64),
            "interpolated": np.full(len(item), self.recipe.interpolate, np.int32),
            "step_px": np.zeros(len(item), np.float32),
            "motion_px": np.zeros(len(item), np.float32),
            "reason": np.zeros(len(item), np.uint8),
        }
        for wanted in np.unique(window):
            rows = np.flatnonzero(window == wanted)
            found, verdicts = self._judge(int(wanted), item[rows])
            for row, verdict in zip(rows, verdicts, strict=True):
                made["reason"][row], made["step_px"][row], made["motion_px"][row] = (
                    verdict.reason,
                    verdict.step,
                    verdict.motion,
                )
                if verdict.box is not None:
                    made["crop_y"][row], made["crop_x"][row] = verdict.box[:2]
                if found is not None and verdict.reason is Reason.NONE:
                    pair = found.pair(verdict.box)
                    made["blurred"][row], made["sharp"][row] = pair.blurred, pair.sharp
                    made["valid"][row] = 1
        return made

    def _judge(self, window: int, items: npt.NDArray[np.int64]) -> tuple[frames.Window | None, list[_Verdict]]:
        """The decoded window, None where it cannot be used, and what becomes of these of its items."""
        clip = self.clips[int(self.windows.clip[window])]
        first, count = int(self.windows.first[window]), int(self.windows.frames[window])
        if not video.is_even(clip.seconds[first : first + count], clip.interval):
            return None, [_Verdict(Reason.UNEVEN)] * len(items)
        pictures: list[picture.Picture] = []
        lost: list[decode.Loss] = []
        with self.readers.lent(clip, first) as reader:
            for each in reader.frames(first, first + count):
                if isinstance(each, decode.Loss):
                    lost.append(each)
                else:
                    pictures.append(each)
        if lost:
            return None, [_Verdict(_OF_LOSS[lost[0]], lost=len(lost))] * len(items)
        found = frames.Window(pictures, self._light, self.recipe.target_of(count), clip.turns, self.recipe.interpolate)
        if flow.has_cut(pictures, self.recipe.motion):
            return found, [_Verdict(Reason.CUT)] * len(items)
        steps = flow.measure(pictures) if self.recipe.motion else None
        boxes = self._boxes(window, clip, items)
        return found, [self._verdict(found, steps, box) for box in boxes]

    def _verdict(self, window: frames.Window, steps: flow.Steps | None, box: frames.Box) -> _Verdict:
        if steps is None:
            return _Verdict(Reason.NONE, math.nan, math.nan, box)
        largest = steps.largest(*window.stored_box(box))
        step, motion = float(largest.max()), float(largest.sum())
        limit, least = self.recipe.max_step, self.recipe.min_motion
        reason = Reason.NONE
        if limit is not None and step / (self.recipe.interpolate + 1) > limit:
            reason = Reason.STEP
        elif least is not None and motion < least:
            reason = Reason.STILL
        return _Verdict(reason, step, motion, box)

    def _boxes(self, window: int, clip: clips_.Clip, items: npt.NDArray[np.int64]) -> list[frames.Box]:
        """Where these items of a window lie in the upright frame."""
        height, width = self.frame
        if self.tiles:
            _, columns = self.tiles[int(self.windows.clip[window])]
            tile = (items - self._begin[window]).tolist()
            return [(k // columns * height, k % columns * width, height, width) for k in tile]
        uniform = random.uniforms(self.seed, random.Stream.CROP, items, 2)
        tops = (uniform[:, 0] * (clip.height - height + 1)).astype(int).tolist()
        lefts = (uniform[:, 1] * (clip.width - width + 1)).astype(int).tolist()
        return [(top, left, height, width) for top, left in zip(tops, lefts, strict=True)]

    def skipped(self, invalid: Sequence[int] | npt.NDArray[np.int64]) -> list[provenance.Skipped]:
        """Why these items were left out: their windows are looked at again."""
        numbers = np.asarray(invalid, np.int64)
        window = np.searchsorted(self._begin, numbers, side="right") - 1
        counts: dict[str, collections.Counter[Reason]] = collections.defaultdict(collections.Counter)
        lost: collections.Counter[str] = collections.Counter()
        for wanted in np.unique(window):
            _, verdicts = self._judge(int(wanted), numbers[window == wanted])
            name = self.clips[int(self.windows.clip[wanted])].name
            counts[name].update(verdict.reason for verdict in verdicts)
            lost[name] += verdicts[0].lost
        return [
            provenance.Skipped(name, f"{_pairs(found)} left out: {WORDS[reason].format(lost=lost[name])}")
            for name, reasons in counts.items()
            for reason, found in sorted(reasons.items())
        ]


def _pairs(count: int) -> str:
    return f"{count} pair{'' if count == 1 else 's'}"
