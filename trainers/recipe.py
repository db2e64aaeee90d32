"""The training recipe: what is trained, on what, for how long. Flags (device, threads, overwrite) say how.

Every duration in a recipe is counted in images seen: the pairs that the restoring network is updated on, each time they
are drawn. Batches that a critic alone is updated on do not count (but see `schedule.counts`).
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import pydantic

from blursynth import errors, recipe_file
from trainers import methods, older_recipes

FOLDER = "training"
"""Where recipes named without a path are looked up first."""


class TrainingSet(recipe_file.Model):
    """One dataset to train on: a path (relative to the working directory) and its share of the images drawn."""

    path: recipe_file.PathText
    weight: float = pydantic.Field(default=1.0, gt=0, le=1e15)


class Data(recipe_file.Model):
    """Pairs and how they are cut and turned; every choice is drawn anew each time a pair is seen.

    `crop` is the side of a random square in pixels, 0 for whole images. `limit` uses the first so many training
    pairs of each dataset. Only the datasets' split "train" is trained on. `batch` is that of an update, however many
    processes and parts share it.

    `saturation` multiplies the saturation (HSV) of both images by a number drawn evenly from the range. `noise` adds
    Gaussian noise to the blurred image, whose standard deviation is itself drawn from N(0, noise^2), all in levels of
    8 bits. RGB is clipped to the range of light after each of the two; the saturation itself may exceed 1 before.
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
            raise ValueError("names no dataset; give at least one table with a path")
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


class Engine(recipe_file.Model):
    """How the arithmetic is done. Only `clip` and `average` change what is learned; the rest is speed and memory.

    `precision`: "float32"; "tf32", float32 whose products a GPU rounds to 10 bits; "bfloat16", in which restoring
    networks and perceptual features run, while losses, gradients' sums and weights stay in float32, and critics under
    a gradient penalty are as with "tf32". `channels_last`: the layout of images and weights; left out, what the device
    is faster with. `compile`: torch.compile for the same networks. `accumulate`: into how many parts a batch is cut,
    one at a time in memory. `clip`: the largest norm of each optimiser's gradient, 0 for any. `average`: the decay per
    step of a running mean of the restoring network's weights (EMA), 0 for none; what validates and restores is then
    the mean.
    """

    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    channels_last: bool | None = None
    compile: bool = False
    accumulate: int = pydantic.Field(default=1, ge=1)
    clip: float = pydantic.Field(default=0.0, ge=0)
    average: float = pydantic.Field(default=0.0, ge=0, lt=1)


class Guard(recipe_file.Model):
    """When a run has gone wrong and stops by itself; its last checkpoints stay.

    `critic`: a term of a critic or an adversarial term is beyond this (0: never). `drop`: a validation is so many dB
    below the best one (0: never). `constant`: restored images vary so little beside sharp ones (0: never). The last two
    are not looked at before `after` images were seen. A loss or a weight that is no finite number always stops it.
    """

    critic: float = pydantic.Field(default=1e5, ge=0)
    drop: float = pydantic.Field(default=10.0, ge=0)
    constant: float = pydantic.Field(default=0.01, ge=0, lt=1)
    after: int = pydantic.Field(default=1_000, ge=0)


class Schedule(recipe_file.Model):
    """The learning rate as a factor on every optimiser's own rate.

    Full for `flat`, then linear to zero over `linear`; at each of `drops` it is multiplied by `drop_factor`. All in
    units of `clock`: "images" seen, or "epochs", as many images as the training sets hold. `counts` says which images
    are seen, here and in every other duration: those of the restoring network's "updates", or all "draws", the batches
    of a critic among them, which this package counted until it had this setting.
    """

    counts: Literal["updates", "draws"] = "updates"
    clock: str = pydantic.Field(default="epochs", pattern="^(epochs|images)$")
    flat: float = pydantic.Field(ge=0, le=1e15)
    linear: float = pydantic.Field(default=0.0, ge=0, le=1e15)
    drops: tuple[float, ...] = ()
    drop_factor: float = pydantic.Field(default=0.1, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _some_length(self) -> Self:
        length = self.flat + self.linear
        if length == 0:
            raise ValueError("flat and linear are both 0, so nothing would be trained; give one of them a length")
        if any(not 0 < drop < length for drop in self.drops):
            raise ValueError(f"drops must lie between 0 and the whole length of {length:g} {self.clock}")
        return self

    def images(self, epoch: int) -> int:
        """The whole length in images seen, where an epoch has `epoch` images."""
        return max(1, round((self.flat + self.linear) * self._unit(epoch)))

    def images_of(self, batch: int, batches: int) -> int:
        """Images that are counted for a step that draws so many batches."""
        return batch * batches if self.counts == "draws" else batch

    def factor(self, seen: int, epoch: int) -> float:
        """The factor in (0, 1] for the step that starts when `seen` images have been seen."""
        now = seen / self._unit(epoch)
        factor = self.drop_factor ** sum(now >= drop for drop in self.drops)
        if now > self.flat:
            factor *= max(0.0, 1 - (now - self.flat) / self.linear)
        return factor

    def _unit(self, epoch: int) -> int:
        return epoch if self.clock == "epochs" else 1


class Validation(recipe_file.Model):
    """PSNR and SSIM on whole held-out images: `images` of them, spread evenly over the split, every so many seen.

    Without a `path` the training sets' own split is used. `images` = 0 turns validation off. `averaged` scores the
    running mean of the weights, where the engine keeps one; restoring does what validation did.
    """

    path: recipe_file.PathText | None = None
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


class Output(recipe_file.Model):
    """The run folder and how often things are written to it, in images seen.

    `folder` is runs/NAME where it is left out. `checkpoint_every` replaces the last checkpoint; `keep_every` also
    keeps one under its own name (0: none). `sheet` is the number of images on a sample sheet, one per validation.
    """

    folder: recipe_file.PathText | None = None
    log_every: int = pydantic.Field(default=100, ge=1)
    checkpoint_every: int = pydantic.Field(default=10_000, ge=1)
    keep_every: int = pydantic.Field(default=0, ge=0)
    sheet: int = pydantic.Field(default=4, ge=0)


class Recipe(recipe_file.Model):
    """A whole training recipe. `method` is the section of the method it names: its Config, and `name`."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = pydantic.Field(default=0, ge=0, lt=2**63)
    data: Data
    method: recipe_file.Model
    schedule: Schedule
    engine: Engine = Engine()
    guard: Guard = Guard()
    validation: Validation = Validation()
    output: Output = Output()

    @pydantic.model_validator(mode="after")
    def _equal_parts(self) -> Self:
        if self.data.batch % self.engine.accumulate:
            raise ValueError(
                f"engine.accumulate = {self.engine.accumulate} does not cut data.batch = {self.data.batch} into equal "
                "parts; give a batch that is a multiple of it"
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


class _Named(recipe_file.Model):
    """What a recipe's `[method]` section has before the method's own settings."""

    name: str


def load(
    name: str | pathlib.Path, changes: Sequence[str] = (), data: Sequence[str] = (), out: str | None = None
) -> Recipe:
    """A recipe by path or by shipped name, with `--set` changes ("key.path=value"), `--data` and `--out` applied.

    Raises RecipeError with every problem, each under its table path.
    """
    content = recipe_file.find(name, FOLDER).read_bytes()
    values = older_recipes.as_meant(
        recipe_file.tables(content, str(name)), lambda tables: recipe_file.to_toml(_build(tables, str(name)))
    )
    if data:
        values.setdefault("data", {})["train"] = [{"path": path} for path in data]
    if out:
        values.setdefault("output", {})["folder"] = out
    for change in changes:
        _apply(values, change)
    return _build(values, str(name))


def parse(text: str, source: str = "recipe") -> Recipe:
    """TOML text to a recipe; RecipeError with every problem."""
    return _build(recipe_file.tables(text, source), source)


def recorded(text: str, source: str) -> Recipe:
    """As `parse`, for a recipe that this version or an older one resolved and recorded."""
    return _build(older_recipes.complete(recipe_file.tables(text, source)), source)


def trained(text: str, method: str, variant: str, file: pathlib.Path) -> Recipe:
    """The recipe in a checkpoint; InputError where it is not of the method and variant that the checkpoint names."""
    with errors.boundary(file, "a checkpoint"):
        found = recorded(text, source=f"the recipe in {file}")
    there = (found.method_name, found.method.model_dump().get("variant", variant))
    if (method, variant) != there:
        raise errors.InputError(
            f"{file} is damaged: it says that it is of {method[:80]!r}, variant {variant[:80]!r}, and its recipe is of "
            f"{there[0]!r}, variant {there[1]!r}. Take another checkpoint."
        )
    return found


def differences(old: Recipe, new: Recipe, *, moved: bool = False) -> list[str]:
    """Lines "key: old -> new" for every setting that differs; where the run folder lies is not a setting.

    `moved`: nor is it where datasets lie, whose fingerprints are their identity.
    """
    before, after = (dict(_flat(_settings(recipe, moved=moved))) for recipe in (old, new))
    keys = [key for key in before | after if key != "output.folder" and before.get(key) != after.get(key)]
    return [f"{key}: {before.get(key)!r} -> {after.get(key)!r}" for key in keys]


def _settings(recipe: Recipe, *, moved: bool) -> dict[str, Any]:
    values = recipe.model_dump(mode="json")
    if moved:
        for each in (*values["data"]["train"], values["validation"]):
            each["path"] = None if each["path"] is None else "as its fingerprint says"
    return values


def _build(values: Mapping[str, Any], source: str) -> Recipe:
    """The method named in the values decides which settings `[method]` may have."""
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
    return recipe_file.build(values, model, source)


def _apply(values: dict[str, Any], change: str) -> None:
    """One "key.path=value" into the tables; a value that is not TOML is taken as text."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise errors.RecipeError(f"--set {change} is not of the form key.path=value, for example data.batch=2.")
    if key.count(".") >= recipe_file.DEEPEST:
        raise errors.RecipeError(
            f"--set {key[:80]}... has more than {recipe_file.DEEPEST} parts; recipes are not that deep."
        )
    try:
        value = recipe_file.tables(f"value = {text}", f"--set {key}")["value"]
    except errors.RecipeError:
        value = text.strip()
    *tables, last = key.strip().split(".")
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
