"""A recipe brought to life on a device: its data opened and checked, its method made."""

import dataclasses
import hashlib

import torch

from blursynth import errors, recipe_file
from trainers import data, methods, recipe, validation
from trainers.methods import method


@dataclasses.dataclass(frozen=True)
class Session:
    """Everything that the loop joins. `held_out` is None where the recipe turns validation off."""

    recipe: recipe.Recipe
    device: torch.device
    data: data.TrainingData
    held_out: validation.HeldOut | None
    method: method.Method

    @property
    def images_per_step(self) -> int:
        """Pairs that one step of the method takes."""
        return self.recipe.data.batch * self.method.batches_per_step

    @property
    def steps(self) -> int:
        """Steps in the whole run; the last may go beyond the schedule's images, never short of them."""
        return -(-self.recipe.schedule.images(self.data.epoch) // self.images_per_step)


def start(wanted: recipe.Recipe, device: torch.device) -> Session:
    """Open the datasets, then make the method with initial weights that follow from the recipe's seed.

    Raises BlursynthError where a dataset cannot be used or a file that the method needs is missing.
    """
    training, held_out = _open(wanted)
    return Session(wanted, device, training, held_out, make_method(wanted, device))


def make_method(wanted: recipe.Recipe, device: torch.device) -> method.Method:
    """The recipe's method, seeded."""
    torch.manual_seed(seed(wanted.seed, "initial weights"))
    return methods.find(wanted.method_name)(wanted.method, device)


def seed(run_seed: int, purpose: str, number: int = 0) -> int:
    """A seed in [0, 2**63) for torch's generator that depends on all three."""
    digest = hashlib.blake2b(f"{run_seed} {purpose} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def describe(wanted: recipe.Recipe, device: torch.device) -> str:
    """What a run would do, in words; what is missing for it (data, weights) is said and the rest described."""
    lines = [recipe_file.to_toml(wanted), f"Run folder: {wanted.folder}", f"Device: {device}"]
    try:
        trained = make_method(wanted, device)
        lines.append(trained.describe())
        per_step = wanted.data.batch * trained.batches_per_step
        lines.append(f"Images per step: {per_step} ({trained.batches_per_step} batches of {wanted.data.batch})")
    except errors.BlursynthError as error:
        kind = methods.find(wanted.method_name)
        alone = kind(kind.for_restoring(wanted.method), device).describe()
        return "\n".join([*lines, f"Training cannot start here: {error}", "The restoring network by itself:", alone])
    try:
        training, held_out = _open(wanted)
    except errors.BlursynthError as error:
        return "\n".join([*lines, f"The data cannot be used as it is: {error}"])
    run = Session(wanted, device, training, held_out, trained)
    lines += [
        f"Training pairs: {training.epoch}; validation images: {len(held_out) if held_out else 0}",
        f"Steps: {run.steps:,} ({run.steps * per_step:,} images, {run.steps * per_step / training.epoch:.4g} epochs)",
    ]
    return "\n".join(lines)


def _open(wanted: recipe.Recipe) -> tuple[data.TrainingData, validation.HeldOut | None]:
    kind = methods.find(wanted.method_name)
    training = data.TrainingData(wanted.data, wanted.seed, kind.divisor, kind.smallest)
    held_out = validation.held_out(wanted.validation, training)
    return training, held_out
