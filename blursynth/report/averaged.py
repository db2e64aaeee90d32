"""Pairs that were averaged from frames: how far blurred and sharp differ, and the frames behind a pair."""

import math
import os

import numpy as np

from blursynth import errors
from blursynth.media import decode
from blursynth.report import drawing
from blursynth.sources import clip_files, clips
from blursynth.storage import reader
from blursynth.synthesis import frames

_MOST_SHOWN = 25  # frames of a window in one cell


def is_averaged(dataset: reader.Dataset) -> bool:
    """Whether the pairs come from windows of frames."""
    return "first_frame" in dataset.columns


def difference(blurred_HWC: drawing.Picture, sharp_HWC: drawing.Picture) -> drawing.Picture:
    """Blurred minus sharp, uint8 RGB: grey where equal, four times enlarged."""
    apart = blurred_HWC.astype(np.int16) - sharp_HWC
    return np.asarray((128 + 4 * apart).clip(0, 255), np.uint8)


class Clips:
    """The clips of a dataset, opened where they still are."""

    def __init__(self, dataset: reader.Dataset) -> None:
        self._dataset = dataset
        try:
            self._paths = clips.locate(dataset.attributes["inputs"]["clips"].split(os.pathsep))
        except errors.InputError:
            self._paths = {}
        self._open: dict[str, clip_files.Clip | None] = {}

    def caption(self, item: int) -> str:
        """M, which frames, and how far things move from one to the next."""
        columns = self._dataset.columns
        first, count = int(columns["first_frame"][item]), int(columns["frames"][item])
        return f"M = {count}: frames {first}-{first + count - 1}, {columns['step_px'][item]:.1f} px a step"

    def cell(self, item: int, cell: int) -> drawing.Picture:
        """The frames of an item's window row by row, at most `cell` px wide and high; an empty square where the clip is
        not there any more."""
        columns = self._dataset.columns
        source = self._dataset.sources[int(columns["source"][item])]
        clip = self._clip(str(source["name"]))
        first, count = int(columns["first_frame"][item]), int(columns["frames"][item])
        if clip is None or first + count > clip.frames:
            return np.full((cell, cell, 3), drawing.PAPER, np.uint8)
        shown = np.unique(np.linspace(0, count - 1, min(count, _MOST_SHOWN)).round().astype(int))
        side = math.ceil(math.sqrt(len(shown)))
        light = frames.Light("linear")
        small = []
        opened = clip.open()
        try:
            for k, frame in enumerate(opened.frames(first, first + count)):
                if k in shown and not isinstance(frame, decode.Loss):
                    pair = frames.Window([frame], light, 0, clip.orientation).pair(self._box(item))
                    small.append(drawing.photo(np.ascontiguousarray(pair.sharp), cell // side))
        finally:
            opened.close()
        return _tiled(small, side)

    def _box(self, item: int) -> frames.Box:
        height, width, _ = self._dataset.shape_of("sharp")
        columns = self._dataset.columns
        return int(columns["crop_y"][item]), int(columns["crop_x"][item]), height, width

    def _clip(self, name: str) -> clip_files.Clip | None:
        if name not in self._open:
            try:
                self._open[name] = clip_files.one(name, self._paths[name], hashed=False)
            except (KeyError, errors.InputError, errors.SourceError):
                self._open[name] = None
        return self._open[name]


def _tiled(pictures: list[drawing.Picture], columns: int) -> drawing.Picture:
    """Pictures of one size side by side, row by row."""
    rows = math.ceil(len(pictures) / columns)
    height, width = pictures[0].shape[:2]
    sheet = np.full((rows * height, columns * width, 3), drawing.PAPER, np.uint8)
    for k, picture in enumerate(pictures):
        top, left = k // columns * height, k % columns * width
        sheet[top : top + height, left : left + width] = picture
    return sheet
