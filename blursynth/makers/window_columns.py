"""Columns of averaged frames: which window each pair is of, how things move in it, and why some are left out."""

import enum
from collections.abc import Sequence

from blursynth.config import average_frames
from blursynth.media import decode
from blursynth.sources import clip_files
from blursynth.storage import schema
from blursynth.synthesis import windows


class Reason(enum.IntEnum):
    """Why an item was left out. Numbers are part of the format."""

    NONE = 0
    CUT = 1
    DAMAGED = 2
    CHANGED = 3
    UNEVEN = 4
    STEP = 5
    STILL = 6
    REPEATED = 7


_WORDS = {
    Reason.CUT: "the scene changes within them",
    Reason.DAMAGED: "{lost} of their frames could not be decoded, or are built on such",
    Reason.CHANGED: "{lost} of their frames have another size or format than the clip's first",
    Reason.UNEVEN: "their frames are not evenly spaced in time (dropped frames)",
    Reason.STEP: "something moves further from frame to frame than --max-step",
    Reason.STILL: "less moves than --min-motion",
    Reason.REPEATED: "frames are repeated in them: fewer were recorded in a second than the file holds",
}
OF_LOSS = {decode.Loss.DAMAGED: Reason.DAMAGED, decode.Loss.CHANGED: Reason.CHANGED}


def sentence(reason: Reason, pairs: int, lost: int) -> str:
    """Why so many pairs of a clip were left out, `lost` of whose frames could not be used."""
    return f"{pairs} pair{'' if pairs == 1 else 's'} left out: {_WORDS[reason].format(lost=lost)}"


def columns(recipe: average_frames.AverageFrames, clips: Sequence[clip_files.Clip]) -> list[schema.ArraySpec]:
    """What every pair records beside what all pairs do."""
    counts = [count for clip in clips for count in windows.choices(recipe, clip.stem)]
    last, between = max(clip.frames for clip in clips) - 1, recipe.interpolate
    described: list[tuple[str, str, str, str, tuple[float, float] | None]] = [
        ("frames", "int32", "M: successive frames of the clip that were averaged", "1", (min(counts), max(counts))),
        ("first_frame", "int64", "number of the first of them, from 0", "1", (0, last)),
        ("target_frame", "int64", "number of the sharp frame, from 0", "1", (0, last)),
        ("time_s", "float64", "when the sharp frame is shown, from the clip's first", "s", None),
        ("interpolated", "int32", "frames put into each interval before averaging", "1", (between, between)),
        ("step_px", "float32", "largest displacement between two successive frames of the clip", "px", None),
        ("motion_px", "float32", "sum over the window's intervals of the largest displacement", "px", None),
    ]
    made = [schema.column(name, dtype, text, unit, bounds) for name, dtype, text, unit, bounds in described]
    flags = {
        "long_name": "why the item was left out",
        "units": "1",
        "valid_range": [0, max(Reason)],
        "flag_values": [int(reason) for reason in Reason],
        "flag_meanings": " ".join(reason.name.lower() for reason in Reason),
    }
    return [*made, schema.ArraySpec("reason", "uint8", attributes=flags)]
