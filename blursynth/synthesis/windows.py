"""Which frames go into which window: known before anything is decoded."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from blursynth.config import average_frames
from blursynth.kernels import random

_NAMED = re.compile(r"GOPR\d+_(\d\d)_\d\d")
_NUMBERED = re.compile(r"GOPR\d+_(\d+)_\d\d")


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """N windows. clip: int64 (N,), which clip; first: int64 (N,), its first frame's number; frames: int64 (N,), M."""

    clip: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    frames: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.clip)


def named_frames(name: str) -> int | None:
    """M that a name such as GOPR0372_07_00 carries (7): the layout of the GOPRO set."""
    found = _NAMED.search(name)
    count = int(found[1]) if found else 0
    return count if count >= 2 else None


def refusal(recipe: average_frames.AverageFrames, name: str) -> str | None:
    """Why no window can have the M that a name carries, if the recipe takes M from names; else none."""
    found = _NUMBERED.search(name) if recipe.frames_from_name else None
    if found is None:
        return None
    try:
        if len(found[1]) != 2:
            raise ValueError(f"M has two digits in names of the GOPRO set, not {len(found[1])}")
        recipe.require_window(int(found[1]))
    except ValueError as error:
        return f"The name {name} says M = {found[1][:20]}: {error}. Give --frames, which counts instead of names."
    return None


def choices(recipe: average_frames.AverageFrames, name: str) -> tuple[int, ...]:
    """The M that windows of a clip may have."""
    named = named_frames(name) if recipe.frames_from_name else None
    return recipe.frames if named is None else (named,)


def plan(recipe: average_frames.AverageFrames, seed: int, clips: Sequence[tuple[str, int]]) -> Windows:
    """All windows that fit into clips of (name, frames), in order.

    Window n has an M drawn for (seed, n), so that a clip added at the end changes none before it.
    """
    clip: list[npt.NDArray[np.int64]] = []
    first: list[npt.NDArray[np.int64]] = []
    count: list[npt.NDArray[np.int64]] = []
    made = 0
    for number, (name, length) in enumerate(clips):
        possible = choices(recipe, name)
        strides = {frames: recipe.stride_of(frames) for frames in possible}
        most = length // min(strides.values()) + 1
        uniform = random.uniforms(seed, random.Stream.FRAMES, np.arange(made, made + most), 1)[:, 0]
        frames = np.asarray(possible, np.int64)[(uniform * len(possible)).astype(np.int64)]
        steps = np.array([strides[int(each)] for each in possible], np.int64)[
            (uniform * len(possible)).astype(np.int64)
        ]
        starts = np.cumsum(steps) - steps
        fitting = starts + frames <= length
        fits = int(np.argmin(fitting)) if not fitting.all() else most
        clip.append(np.full(fits, number, np.int64))
        first.append(starts[:fits])
        count.append(frames[:fits])
        made += fits
    return Windows(np.concatenate(clip), np.concatenate(first), np.concatenate(count))
