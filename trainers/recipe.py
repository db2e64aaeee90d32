"""The training recipe: what is trained, on what, for how long. Flags (device, threads, overwrite) say how.

Every duration in a recipe is counted in images seen: the pairs that the restoring network is updated on, each time they
are drawn. A critic's own batches do not count (but see `schedule.counts`).
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import pydantic

from blursynth import errors
from blursynth.config import toml
from trainers import methods
from trainers.methods import older_recipes

FOLDER = "training"
"""Where recipes named without a path are looked up first."""


class TrainingSet(toml.Model):
    """Pairs to train on, and their share of the images drawn: a stored dataset (`path`) or a stream (`stream`).

    Paths are relative to the working directory. `stream` is a recipe of `blursynth make`, a file or the name of one
    that comes with the package; `dataset` is its table, where it has several that can be streamed; `source` is the
    folder of photos, or scenes:N, where the recipe names none; `seed` replaces the recipe's. An epoch draws `repeat`
    pairs of each photo in the split "train", other ones in every epoch. `cache` is the memory for decoded photos, such
    as "2GB" (a quarter of what is free), `threads` how many make pairs (one for each CPU); both are only how the pairs
    are made.
    """

    path: toml.PathText | None = None
    stream: toml.PathText | None = None
    dataset: str | None = None
    source: toml.PathText | None = None
    seed: int | None = pydantic.Field(default=None, ge=0, lt=2**63)
    repeat: int = pydantic.Field(default=1, ge=1, le=2**20)
    cache: str | None = None
    threads: int | None = pydantic.Field(default=None, ge=1, le=4096)
    weight: float = pydantic.Field(default=1.0, gt=0, le=1e15)

    @pydantic.model_validator(mode="after")
    def _stored_or_streamed(self) -> Self:
        if (self.path is None) == (self.stream is None):
            raise ValueError("names a path, of a stored dataset, or a stream, of a recipe; give one of the two")
        of_streams = {"dataset", "source", "seed", "repeat", "cache", "threads"} & self.model_fields_set
        given = sorted(name for name in of_streams if getattr(self, name) != type(self).model_fields[name].default)
        if self.path is not None and given:
            raise ValueError(f"{given[0]} is of a stream, and this is a stored dataset; leave it out")
        return self


class Data(toml.Model):
    """The training pairs and their augmentation, which is drawn anew each time a pair is seen.

    `crop` is the side of a random square in pixels, 0 for whole images. `limit` uses the first so many training pairs
    of each dataset. Only the split "train" is trained on. `batch` is the batch of one update, over all processes and
    accumulation steps.

    `saturation` multiplies the saturation (HSV) of both images by a factor drawn uniformly from the range. `noise` adds
    Gaussian noise to the blurred image, whose standard deviation is itself drawn from N(0, noise^2), in 8-bit levels.
    RGB is clipped to [0, 1] after each of the two; the saturation itself may exceed 1 before.
    """

    train: tuple[TrainingSet, ...]
    batch: int = pydantic.Field(default=1, ge=1, le=2**20)
    crop: int = pydantic.Field(default=256, ge=0)
    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotate: bool = False
    permute_channels: bool = False
    saturation: tuple[float, float] | None = None
    noise: float = pydantic.Field(default=0.0, ge=0)
    limit: int | None = pydantic.Field(default=None, ge=1)

    @pydantic.field_validator("train")
    @classmethod
    def _something_to_train_on(cls, train: tuple[TrainingSet, ...]) -> tuple[TrainingSet, ...]:
        if not train:
            raise ValueError("names no dataset; give at least one table with a path or a stream")
        return train

    @pydantic.field_validator("saturation")
    @classmethod
    def _a_range(cls, saturation: tuple[float, float] | None) -> tuple[float, float] | None:
        if saturation is not None and not 0 <= saturation[0] <= saturation[1]:
            raise ValueError("is a range [least, most] of factors from 0, such as [0.5, 1.5]")
        return saturation

    @pydantic.model_validator(mode="after")
    def _square_to_turn(self) -> Self:
        if self.rotate and not self.crop:
            raise ValueError("rotate turns patches by 90 degrees and needs a square crop; give crop a side in pixels")
        return self


class Engine(toml.Model):
    """How the arithmetic is done. Only `grad_clip_norm` and `ema_decay` change what is learned.

    `precision`: "float32"; "tf32", float32 whose products a GPU rounds to 10 bits; "bfloat16", in which restoring
    networks and perceptual features run, while losses, gradients' sums and weights stay in float32, and critics under
    a gradient penalty are as with "tf32". `channels_last`: the layout of images and weights; left out, what the device
    is faster with. `compile`: torch.compile for the same networks. `accumulation_steps`: into how many equal parts a
    batch is split, with one at a time in memory. `grad_clip_norm`: the largest norm of each optimiser's gradient, 0 for
    no limit. `ema_decay`: the decay per step of an exponential moving average (EMA) of the restoring network's weights,
    0 for none; validation and restoring then use the EMA.
    """

    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    channels_last: bool | None = None
    compile: bool = False
    accumulation_steps: int = pydantic.Field(default=1, ge=1)
    grad_clip_norm: float = pydantic.Field(default=0.0, ge=0)
    ema_decay: float = pydantic.Field(default=0.0, ge=0, lt=1)


class Divergence(toml.Model):
    """When training has diverged and the run stops by itself; its last checkpoints stay.

    `critic`: a loss of a critic or discriminator, or an adversarial loss, exceeds this (0: never). `drop`: a validation
    is this many dB below the best one (0: never). `constant`: restored images have less than this fraction of the sharp
    images' standard deviation (0: never). The last two are checked once `after` images were seen. A loss or a weight
    that is not finite always stops the run.
    """

    critic: float = pydantic.Field(default=1e5, ge=0)
    drop: float = pydantic.Field(default=10.0, ge=0)
    constant: float = pydantic.Field(default=0.01, ge=0, lt=1)
    after: int = pydantic.Field(default=1_000, ge=0)


class Schedule(toml.Model):
    """The learning rate as a factor on every optimiser's own rate.

    1 for `constant`, then falling linearly to 0 over `decay`; at each of `milestones` it is multiplied by
    `milestone_factor`. All in units of `clock`: "images" seen, or "epochs", as many images as the training sets hold.
    `counts` says which images are seen, here and in every other duration: those of the restoring network's "updates",
    or all "draws", including a critic's own batches, which versions before this setting counted.
    """

    counts: Literal["updates", "draws"] = "updates"
    clock: str = pydantic.Field(default="epochs", pattern="^(epochs|images)$")
    constant: float = pydantic.Field(ge=0, le=1e15)
    decay: float = pydantic.Field(default=0.0, ge=0, le=1e15)
    milestones: tuple[float, ...] = ()
    milestone_factor: float = pydantic.Field(default=0.1, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _some_length(self) -> Self:
        length = self.constant + self.decay
        if length == 0:
            raise ValueError("constant and decay are both 0, so nothing would be trained; give one of them a length")
        if any(not 0 < milestone < length for milestone in self.milestones):
            raise ValueError(f"milestones must lie between 0 and the whole length of {length:g} {self.clock}")
        return self

    def images(self, epoch: int) -> int:
        """Return the schedule's length in images seen, where an epoch has `epoch` images."""
        return max(1, round((self.constant + self.decay) * self._unit(epoch)))

    def images_of(self, batch: int, batches: int) -> int:
        """Return how many images a step counts that draws so many batches."""
        return batch * batches if self.counts == "draws" else batch

    def factor(self, seen: int, epoch: int) -> float:
        """Return the factor in (0, 1] of the step that begins when `seen` images have been seen."""
        now = seen / self._unit(epoch)
        factor = self.milestone_factor ** sum(now >= milestone for milestone in self.milestones)
        if now > self.constant:
            factor *= max(0.0, 1 - (now - self.constant) / self.decay)
        return factor

    def _unit(self, epoch: int) -> int:
        return epoch if self.clock == "epochs" else 1


class Validation(toml.Model):
    """PSNR and SSIM of whole held-out images: `images` of them, spread evenly over the split, every `every` seen.

    Without a `path` the training sets' own split is used. `images` = 0 turns validation off. `averaged` scores the EMA
    of the weights, where the engine keeps one; restoring uses what validation used.
    """

    path: toml.PathText | None = None
    split: str = "val"
    every: int = pydantic.Field(default=10_000, ge=1)
    images: int = pydantic.Field(default=16, ge=0)
    averaged: bool = True

    @pydantic.field_validator("split")
    @classmethod
    def _held_out(cls, split: str) -> str:
        if split in ("train", "test"):
            raise ValueError('validation never uses the splits "train" and "test"; name another, usually "val"')
        return split


class Output(toml.Model):
    """The run folder and how often it is written to, in images seen.

    `folder` is runs/NAME by default. `checkpoint_every` replaces the last checkpoint; `keep_every` also keeps one under
    its own name (0: none). `sheet` is the number of images on each validation's sample sheet.
    """

    folder: toml.PathText | None = None
    log_every: int = pydantic.Field(default=100, ge=1)
    checkpoint_every: int = pydantic.Field(default=10_000, ge=1)
    keep_every: int = pydantic.Field(default=0, ge=0)
    sheet: int = pydantic.Field(default=4, ge=0)


class Recipe(toml.Model):
    """A training recipe. `method` is the Config of the method that its `name` selects."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = pydantic.Field(default=0, ge=0, lt=2**63)
    data: Data
    method: toml.Model
    schedule: Schedule
    engine: Engine = Engine()
    divergence: Divergence = Divergence()
    validation: Validation = Validation()
    output: Output = Output()

    @pydantic.model_validator(mode="after")
    def _equal_parts(self) -> Self:
        if self.data.batch % self.engine.accumulation_steps:
            raise ValueError(
                f"engine.accumulation_steps = {self.engine.accumulation_steps} does not divide data.batch = "
                f"{self.data.batch}; give a batch that is a multiple of it"
            )
        return self

    @property
    def method_name(self) -> str:
        """The registry name of the method."""
        return str(self.method.model_dump()["name"])

    @property
    def folder(self) -> pathlib.Path:
        """The run folder."""
        return pathlib.Path(self.output.folder or f"runs/{self.name}")


class _Named(toml.Model):
    """What a recipe's `[method]` table has besides the method's own settings."""

    name: str


def load(
    name: str | pathlib.Path,
    changes: Sequence[str] = (),
    data: Sequence[str] = (),
    out: str | None = None,
    streams: Sequence[Mapping[str, str]] = (),
) -> Recipe:
    """Load a recipe by path or shipped name, and apply `--set` ("key.path=value"), `--data`, `--stream` and `--out`.

    streams: tables of training sets, as a recipe has them. Raises RecipeError with every problem, each under its table
    path.
    """
    tables = older_recipes.renamed(toml.read(name, FOLDER), str(name))
    values = older_recipes.as_meant(tables, lambda completed: toml.to_toml(_build(completed, str(name))))
    if data or streams:
        values.setdefault("data", {})["train"] = [*({"path": path} for path in data), *map(dict, streams)]
    if out:
        values.setdefault("output", {})["folder"] = out
    for change in changes:
        _apply(values, change)
    return _build(values, str(name))


def parse(text: str, source: str = "recipe") -> Recipe:
    """Parse TOML text as a recipe; RecipeError with every problem."""
    return _build(toml.tables(text, source), source)


def recorded(text: str, source: str) -> Recipe:
    """Parse a recipe that this version or an older one resolved and recorded."""
    return _build(older_recipes.complete(toml.tables(text, source)), source)


def trained(text: str, method: str, variant: str, file: pathlib.Path) -> Recipe:
    """Parse the recipe in a checkpoint; InputError where it is not of the checkpoint's method and variant."""
    with errors.boundary(file, "a checkpoint"):
        recipe = recorded(text, source=f"the recipe in {file}")
    recorded_as = (recipe.method_name, recipe.method.model_dump().get("variant", variant))
    if (method, variant) != recorded_as:
        raise errors.InputError(
            f"{file} is damaged: it says that it is of {method[:80]!r}, variant {variant[:80]!r}, and its recipe is of "
            f"{recorded_as[0]!r}, variant {recorded_as[1]!r}. Take another checkpoint."
        )
    return recipe


def differences(old: Recipe, new: Recipe, *, moved: bool = False) -> list[str]:
    """List "key: old -> new" for every setting that differs, the run folder apart.

    moved: nor is it a difference where datasets lie, which their fingerprints identify.
    """
    before, after = (dict(_flat(_settings(recipe, moved=moved))) for recipe in (old, new))
    keys = [key for key in before | after if key != "output.folder" and before.get(key) != after.get(key)]
    return [f"{key}: {before.get(key)!r} -> {after.get(key)!r}" for key in keys]


def _settings(recipe: Recipe, *, moved: bool) -> dict[str, Any]:
    values = recipe.model_dump(mode="json")
    if moved:
        for each in (*values["data"]["train"], values["validation"]):
            for name in {"path", "stream", "source"} & set(each):
                each[name] = None if each[name] is None else "as its fingerprint says"
        for each in values["data"]["train"]:
            del each["cache"], each["threads"]
    return values


def _build(values: Mapping[str, Any], source: str) -> Recipe:
    """Build the recipe; its method decides which settings `[method]` may have."""
    values = older_recipes.renamed(values, source)
    section = values.get("method")
    if not isinstance(section, Mapping) or not isinstance(section.get("name"), str):
        raise errors.RecipeError(
            f'{source} does not say what to train: give [method] a name, such as "deblurgan". (Recipes of datasets are '
            "for `blursynth make`.)"
        )
    config = methods.find(section["name"]).Config
    # A method's settings and its name in one section, so that one pass finds every wrong key of the whole recipe.
    section_model = pydantic.create_model("Method", __base__=(config, _Named))
    model = pydantic.create_model("Recipe", __base__=Recipe, method=(section_model, ...))
    return toml.build(values, model, source)


def _apply(values: dict[str, Any], change: str) -> None:
    """Apply one "key.path=value" to the tables; a value that is not TOML is text."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise errors.RecipeError(f"--set {change} is not of the form key.path=value, for example data.batch=2.")
    if key.count(".") >= toml.DEEPEST:
        raise errors.RecipeError(f"--set {key[:80]}... has more than {toml.DEEPEST} parts; recipes are not that deep.")
    try:
        value = toml.tables(f"value = {text}", f"--set {key}")["value"]
    except errors.RecipeError:
        value = text.strip()
    *tables, last = older_recipes.current_name(key.strip()).split(".")
    for part in tables:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise errors.RecipeError(f"--set {change}: {part} is not a table of the recipe.")
    values[last] = value


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows
