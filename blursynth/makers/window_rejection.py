"""What becomes of the items of a window of video: it is decoded, and looked at for damage, cuts and motion."""

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from blursynth.config import average_frames
from blursynth.makers import window_columns
from blursynth.media import decode, picture, video
from blursynth.sources import clip_files, readers
from blursynth.storage import provenance
from blursynth.synthesis import flow, frames


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is known of an item once its window is decoded.

    reason: why it is left out, if so. step, motion: px, see `window_columns`. box: where it lies in the upright frame.
    lost: how many frames of its window could not be used.
    """

    reason: window_columns.Reason
    step: float = 0.0
    motion: float = 0.0
    box: frames.Box | None = None
    lost: int = 0


class LeftOut:
    """Items that this process found unusable, so that it does not have to look at them again to say why."""

    def __init__(self) -> None:
        self._of: dict[int, Verdict] = {}

    def remember(self, items: npt.NDArray[np.int64], verdicts: Sequence[Verdict]) -> None:
        self._of |= {k: verdict for k, verdict in zip(items.tolist(), verdicts, strict=True) if verdict.reason}

    def known(self, items: npt.NDArray[np.int64]) -> list[Verdict] | None:
        """What became of these items, None where that of one of them is not known."""
        found = [self._of[k] for k in items.tolist() if k in self._of]
        return found if len(found) == len(items) else None


def judge(
    recipe: average_frames.AverageFrames,
    light: frames.Light,
    lender: readers.Readers,
    clip: clip_files.Clip,
    span: range,
    boxes: Sequence[frames.Box],
) -> tuple[frames.Window | None, list[Verdict]]:
    """The decoded window of these frames of a clip, None where it cannot be used, and what becomes of each box."""
    if not video.is_even(clip.seconds[span.start : span.stop], clip.interval):
        return None, [Verdict(window_columns.Reason.UNEVEN)] * len(boxes)
    pictures, shrunk, lost = _decoded(recipe, lender, clip, span)
    if lost:
        # A fault of the disk or the network looks like damage: only the recorded bytes, read again, can be damaged.
        clip.require_as_recorded(read=True)
        lender.forget(clip)
        pictures, shrunk, lost = _decoded(recipe, lender, clip, span)
    clip.require_as_recorded()
    if lost:
        return None, [Verdict(window_columns.OF_LOSS[lost[0]], lost=len(lost))] * len(boxes)
    found = frames.Window(pictures, light, recipe.target_of(len(span)), clip.orientation, recipe.interpolate)
    if flow.has_cut(shrunk):
        return found, [Verdict(window_columns.Reason.CUT)] * len(boxes)
    if _repeats(recipe, lender, clip, span, shrunk):
        return found, [Verdict(window_columns.Reason.REPEATED)] * len(boxes)
    steps = flow.measure(shrunk) if recipe.motion else None
    return found, [_verdict(recipe, found, steps, box) for box in boxes]


def _decoded(
    recipe: average_frames.AverageFrames, lender: readers.Readers, clip: clip_files.Clip, span: range
) -> tuple[list[picture.Picture], flow.Shrunk, list[decode.Loss]]:
    """Frames of a clip, shrunk as well; and why others of them cannot be used."""
    pictures: list[picture.Picture] = []
    lost: list[decode.Loss] = []

    def whole(reader: clip_files.Frames) -> Iterator[picture.Picture]:
        for each in reader.frames(span.start, span.stop):
            if isinstance(each, decode.Loss):
                lost.append(each)
            else:
                pictures.append(each)
                yield each

    with lender.lent(clip, span.start) as reader:
        return pictures, flow.shrink(whole(reader), opencv=recipe.motion), lost


def _repeats(
    recipe: average_frames.AverageFrames, lender: readers.Readers, clip: clip_files.Clip, span: range, own: flow.Shrunk
) -> bool:
    """Whether a frame is repeated in a window. Frames around it are decoded only where it may be."""
    if not flow.may_repeat(own):
        return False

    def pictures(around: range) -> list[flow.Grey | None]:
        if not around:
            return []
        with lender.lent(clip, around.start) as reader:
            return [
                flow.shrink([each], opencv=recipe.motion).greys[0] if isinstance(each, picture.Picture) else None
                for each in reader.frames(around.start, around.stop)
            ]

    first = max(0, min(span.start - flow.AROUND // 2, clip.frames - len(span) - flow.AROUND))
    last = min(clip.frames, first + len(span) + flow.AROUND)
    behind = list(itertools.takewhile(_is_there, pictures(range(span.stop, last))))
    before = pictures(range(first, span.start))
    before = list(itertools.takewhile(_is_there, before[::-1]))[::-1]
    every = [grey for grey in (*before, *own.greys, *behind) if grey is not None]
    whole = dataclasses.replace(own, greys=tuple(every))
    return flow.repeats(whole, len(before), len(before) + len(own.greys))


def _is_there(grey: flow.Grey | None) -> bool:
    """Whether a frame could be decoded: beyond one that could not, nothing follows on a window."""
    return grey is not None


def _verdict(
    recipe: average_frames.AverageFrames, window: frames.Window, steps: flow.Steps | None, box: frames.Box
) -> Verdict:
    """That of a whole window's box, by its motion."""
    if steps is None:
        return Verdict(window_columns.Reason.NONE, math.nan, math.nan, box)
    largest = steps.largest(*window.stored_box(box))
    step, motion = float(largest.max()), float(largest.sum())
    reason = window_columns.Reason.NONE
    if recipe.max_step is not None and step / (recipe.interpolate + 1) > recipe.max_step:
        reason = window_columns.Reason.STEP
    elif recipe.min_motion is not None and motion < recipe.min_motion:
        reason = window_columns.Reason.STILL
    return Verdict(reason, step, motion, box)


def reasons(windows: Iterable[tuple[str, Sequence[Verdict]]]) -> list[provenance.Skipped]:
    """A sentence for each reason for which items of a clip were left out.

    windows: for each window with such items, its clip's name and what became of them.
    """
    counts: dict[str, collections.Counter[window_columns.Reason]] = collections.defaultdict(collections.Counter)
    lost: collections.Counter[str] = collections.Counter()
    for name, verdicts in windows:
        counts[name].update(verdict.reason for verdict in verdicts)
        lost[name] += verdicts[0].lost
    return [
        provenance.Skipped(name, window_columns.sentence(reason, found, lost[name]))
        for name, by_reason in counts.items()
        for reason, found in sorted(by_reason.items())
    ]
