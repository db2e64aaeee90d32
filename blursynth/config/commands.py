"""The commands that make datasets: what each is given, and the models that its options come from."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from blursynth import errors
from blursynth.config import average_frames, import_pairs, objects, options, photo_pairs, shake, toml


class Making(toml.Model):
    """What every command has beside its recipe."""

    seed: int = options.field(0, "Item i is a function of (seed, i).", ge=0, le=2**63 - 1)
    shard_length: int | None = options.field(None, "Items a shard.", ge=1, le=2**24, default="64 to 128 MiB a shard")


class OfPsfs(Making):
    """What `psfs` has beside its recipe."""

    grid: str | None = options.field(
        None, "Of pairs of `shake`: points of light in each image, such as 4x4.", metavar="GYxGX"
    )


class OfFiles(Making):
    """What commands have that read files of others."""

    strict: bool = options.field(False, "Stop at the first file that cannot be used instead of leaving it out.")


class OfObjects(OfFiles):
    """What `objects` has beside its recipe."""

    masks: toml.PathText = options.field(
        ...,
        "COCO instances (polygons, RLE) or panoptic JSON with its folder of PNGs beside it; a folder of such files; "
        "or a folder of YOLO's text files of polygons, one a photo. Names are compared with their folders.",
        metavar="PATH",
    )


class OfClips(OfFiles):
    """What `average-frames` has beside its recipe."""

    gamma: float | None = options.field(
        None, "g: power of the response, 0.2 to 5; 1 averages codes, as the published `blur`."
    )
    allow_fps: bool = options.field(False, "Use clips of fewer than 200 frames per second.")
    allow_damaged: bool = options.field(False, "Use what can be read of files that are damaged or end early.")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command. sources: what it is given, as help names it; `...` where there may be several of the last.

    recipe: the model that a dataset records. beside: options that it does not record. suffix: of the default --out,
    after the source's name. unit: what its items are.
    """

    sources: tuple[str, ...]
    recipe: type[toml.Model]
    beside: type[Making]
    suffix: str
    unit: str = "pairs"

    @property
    def options(self) -> list[options.Option]:
        """All of them, those that have to be given first."""
        every = [*options.of(self.recipe), *options.of(self.beside)]
        return sorted(every, key=lambda option: not option.required)

    @property
    def keys(self) -> list[str]:
        """What a table of `make` may hold."""
        return [*(option.name for option in self.options), *options.keys(self.recipe)]

    def resolved(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Options with the defaults of those that no recipe records. Raises RecipeError for
        values that cannot be, before any source is looked at."""
        own = {name: said[name] for name in self.beside.model_fields if said.get(name) is not None}
        for option in self.options:
            value = said.get(option.name)
            if option.kind in ("flag", "switch") and not isinstance(value, bool | None):
                raise errors.RecipeError(f"{option.name} is {value!r:.80}; expected true or false.")
        plain = {option.name for option in self.options if option.kind in ("whole", "number", "choice")}
        options.check(options.values({name: said.get(name) for name in plain}, self.recipe), self.recipe)
        return {**said, **options.build(own, self.beside).model_dump()}


COMMANDS = {
    "trajectories": Command((), photo_pairs.Trajectories, Making, "trajectories", "paths"),
    "psfs": Command(("DATASET",), photo_pairs.Psfs, OfPsfs, "-psfs", "PSFs"),
    "convolve": Command(("PHOTOS",), photo_pairs.Convolve, OfFiles, "-pairs"),
    "shake": Command(("PHOTOS",), shake.Shake, OfFiles, "-shaken"),
    "objects": Command(("PHOTOS",), objects.Objects, OfObjects, "-objects"),
    "average-frames": Command(("CLIPS...",), average_frames.AverageFrames, OfClips, "-pairs"),
    "import": Command(("LAYOUT", "FOLDER"), import_pairs.Import, OfFiles, "-pairs"),
}
"""The making commands by their names."""
