"""From clips and options to the maker of averaged frames: what can be used, what is left out, and why."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blursynth import errors
from blursynth.config import average_frames as average_frames_config
from blursynth.config import options as options_
from blursynth.config import toml
from blursynth.makers import average_frames, pairs, photo_pairs_request, response_file
from blursynth.media import video
from blursynth.sources import clip_files, clips, source
from blursynth.storage import provenance
from blursynth.stores import s3, store
from blursynth.synthesis import flow, windows

SLOWEST = 200.0  # frames per second below which successive frames show as copies
SHOWN = 5


def maker(paths: Sequence[str], options: Mapping[str, Any], command: str = "") -> average_frames.AverageFramesMaker:
    """Scan clips and check the request; see `config.average_frames` for what `options` may hold.

    Beside it: seed, workers, shard_length; gamma (1, 2.2 or another power) or response (a file) instead of transfer;
    allow_fps, allow_damaged, strict. Raises RecipeError for values out of range, InputError where no clip can be used,
    where whole frames differ in size, and, with options["strict"], at the first clip that cannot be used; SourceError
    where a clip cannot be read at this moment; MissingPackageError where motion is to be measured and OpenCV cannot be
    loaded.
    """
    recipe = request(options)
    for path in paths:
        store.normalise(path)
        if s3.is_remote(path):
            raise errors.InputError(f"{path} is in an object store; videos and their frames are read from a disk.")
    if recipe.motion or recipe.interpolate:
        flow.load_opencv()
    found = clips.scan(paths, rules=recipe_rules(recipe), workers=options.get("workers"))
    allowed = _Allowed(bool(options.get("allow_fps")), bool(options.get("allow_damaged")))
    used, left_out = _usable(found, recipe, allowed, bool(options.get("strict")))
    if recipe.split_by == "folder":
        for clip in used:
            average_frames.split_of_folder(clip.name)
    if recipe.size is None:
        pairs.check_one_size("clips", used)
    return average_frames.AverageFramesMaker(
        recipe=recipe,
        seed=options["seed"],
        clips=tuple(map(clip_files.absolute, used)),
        generations=(len(used),),
        left_out=tuple(left_out),
        origin=tuple(map(str, paths)),
        command=command,
        shard_length=options.get("shard_length"),
    )


def recipe_rules(recipe: average_frames_config.AverageFrames) -> clip_files.Rules:
    """How clips are read for a recipe."""
    return clip_files.Rules(recipe.matrix, recipe.primaries, recipe.fps)


def remark(maker: average_frames.AverageFramesMaker) -> str:
    """A sentence where clips are folders of frames, whose rate nothing states; else nothing."""
    assumed = sum(clip.about.get("rate_from") == clip_files.ASSUMED for clip in maker.clips)
    folders = f"{assumed} folders" if assumed > 1 else "A folder"
    return f"{folders} of frames: 240 frames per second are assumed; --fps RATE says otherwise." if assumed else ""


@dataclasses.dataclass(frozen=True)
class _Allowed:
    """What a user knows of: clips below SLOWEST, and files that are damaged or end early."""

    fps: bool
    damaged: bool


def request(options: Mapping[str, Any]) -> average_frames_config.AverageFrames:
    """The resolved recipe."""
    by_folder = options.get("splits") == "folder"
    said = {**options, "splits": None} if by_folder else options
    values = photo_pairs_request.values(said, average_frames_config.AverageFrames)
    values |= {"split_by": "folder"} if by_folder else {}
    given = [name for name in ("gamma", "transfer", "response") if options.get(name) not in (None, "table")]
    if len(given) > 1:
        shown = " and ".join(f"--{name}" for name in given)
        raise errors.RecipeError(f"{shown} both say how codes relate to light; give one.")
    if options.get("crop") == "grid" and options.get("per_window") is not None:
        raise errors.RecipeError("--per-window is of random crops, and --crop grid takes all that fit; leave it out.")
    if options.get("gamma") is not None:
        values |= _gamma(float(options["gamma"]))
    if isinstance(options.get("response"), str):
        values["response"] = response_file.read(options["response"])
    if options.get("response") is not None:
        values["transfer"] = "table"
    return options_.build(values, average_frames_config.AverageFrames)


def _gamma(power: float) -> dict[str, Any]:
    """g^-1(x) = x^power: the two powers that have a name, or a table."""
    if not 0.2 <= power <= 5:
        raise errors.RecipeError(f"--gamma {power:g} is no display's or camera's power; expected 0.2 to 5 (1: none).")
    named = {1.0: "linear", 2.2: "gamma2.2"}.get(power)
    if named is not None:
        return {"transfer": named}
    return {"transfer": "table", "response": ((np.arange(256) / 255) ** power).tolist()}


def _usable(
    found: clips.Clips, recipe: average_frames_config.AverageFrames, allowed: _Allowed, strict: bool
) -> tuple[list[clip_files.Clip], list[source.Skipped]]:
    """Clips that can be used, and what is left out with the reason."""
    left_out, used = list(found.skipped), []
    for clip in found.clips:
        reason = _unusable(clip, recipe, allowed)
        if reason is None:
            used.append(clip)
        else:
            left_out.append(source.Skipped(clip.name, reason))
    if not used and len(left_out) == 1:
        raise errors.InputError(clips.named(left_out[0]))
    if strict and left_out:
        raise errors.InputError(f"{clips.named(left_out[0])} Without --strict the clip is left out.")
    if not used:
        shown = "\n".join(f"  {left.name}: {left.reason}" for left in left_out[:SHOWN])
        raise errors.InputError(f"None of the {len(left_out)} clips can be used:\n{shown}")
    return used, left_out + [source.Skipped(clip.name, clip.loss) for clip in used if clip.loss]


def _unusable(clip: clip_files.Clip, recipe: average_frames_config.AverageFrames, allowed: _Allowed) -> str | None:
    """Why a clip cannot be used, if so."""
    named = windows.refusal(recipe, clip.stem)
    if named is not None:
        return named
    if clip.loss and not allowed.damaged:
        return (
            f"{clip.name} is not known to be whole: {clip.loss}. Copy it again, or give --allow-damaged to take what "
            "can be read of it."
        )
    least = min(windows.choices(recipe, clip.stem))
    size = recipe.size
    if clip.frames < least:
        return f"{clip.name} has {clip.frames} frames, fewer than the {least} that one average takes."
    if size is not None and min(clip.height, clip.width) < size:
        return f"{clip.name} is {clip.width}x{clip.height} px, smaller than the crop of {size}x{size}."
    if round(clip.rate, 1) < SLOWEST and not allowed.fps:
        return (
            f"{clip.name} has {clip.rate:.4g} frames per second, and averaging needs {SLOWEST:g} or more: what moves "
            "several pixels from frame to frame would show as a row of copies instead of blur. Give --fps RATE if it "
            "was recorded faster than it plays, --allow-fps if you mean it, and --interpolate K to fill the gaps."
        )
    even = np.abs(np.diff(clip.seconds) - clip.interval) <= video.EVEN * clip.interval
    if even.size and even.mean() < 0.5:
        return (
            f"{clip.name} has a variable frame rate: fewer than half of its frames follow one another at the usual "
            f"{clip.interval * 1000:.3g} ms. Averages would not be of equal parts of time; record at a constant rate."
        )
    return None


def from_record(
    record: provenance.Record, shard_length: int, inputs: Mapping[str, str]
) -> average_frames.AverageFramesMaker:
    """The maker of a dataset with this record, whose list of sources is taken as it stands, if there is one.

    Raises InputError where there are no clips at inputs["clips"] any more.
    """
    recipe = toml.parse(record.recipe_toml, average_frames_config.AverageFrames, "The recorded recipe")
    paths = inputs["clips"].split(os.pathsep)
    if record.sources:
        used = clips.recorded(paths, record.sources, recipe_rules(recipe))
    else:  # its list is lost: the clips that are there now may be the same
        found = clips.scan(paths, rules=recipe_rules(recipe))
        used, _ = _usable(found, recipe, _Allowed(fps=True, damaged=True), strict=False)
    return average_frames.AverageFramesMaker(
        recipe=recipe,
        seed=record.seed,
        clips=tuple(used),
        generations=tuple(record.extra.get("generations", (len(used),))),
        left_out=tuple(source.Skipped(left.name, left.reason) for left in record.skipped),
        origin=tuple(paths),
        command=record.command,
        shard_length=shard_length,
        by_recording=bool(record.extra.get("by_recording")),
    )
