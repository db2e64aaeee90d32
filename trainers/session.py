"""A recipe brought to life on a device: its data opened and checked, its method made."""

import dataclasses
import hashlib

import torch

from trainers import data, engine, methods, recipe, validation
from trainers.methods import method


@dataclasses.dataclass(frozen=True)
class Session:
    """Everything that the loop joins. `held_out` is None where the recipe turns validation off, `average` where it
    keeps no running mean of the weights."""

    recipe: recipe.Recipe
    device: torch.device
    data: data.TrainingData
    held_out: validation.HeldOut | None
    method: method.Method
    average: engine.Average | None = None

    @property
    def pairs_per_step(self) -> int:
        """Pairs that one step of the method draws, in all processes together."""
        return self.recipe.data.batch * self.method.batches_per_step

    @property
    def images_per_step(self) -> int:
        """Images seen that a step counts as; see `recipe.Schedule`."""
        return self.recipe.schedule.images_of(self.recipe.data.batch, self.method.batches_per_step)

    @property
    def steps(self) -> int:
        """Steps in the whole run."""
        return steps(self.recipe, self.data.epoch, self.images_per_step)


def steps(wanted: recipe.Recipe, epoch: int, per_step: int) -> int:
    """Steps of `per_step` images; the last may go beyond the schedule's images, never short of them."""
    return -(-wanted.schedule.images(epoch) // per_step)


def start(wanted: recipe.Recipe, device: torch.device) -> Session:
    """Open the datasets, then make the method with initial weights that follow from the recipe's seed.

    Raises BlursynthError where a dataset cannot be used, a file that the method needs is missing, or the engine cannot
    do what the recipe asks.
    """
    engine.require_shares(wanted)
    training, held_out = open_data(wanted)
    trained = make_method(wanted, device)
    engine.prepare(wanted.engine, trained, device)
    decay = wanted.engine.average
    average = engine.Average(trained.networks["generator"], decay) if decay else None
    return Session(wanted, device, training, held_out, trained, average)


def make_method(wanted: recipe.Recipe, device: torch.device) -> method.Method:
    """The recipe's method, seeded."""
    torch.manual_seed(seed(wanted.seed, "initial weights"))
    return methods.find(wanted.method_name)(wanted.method, device)


def seed(run_seed: int, purpose: str, number: int = 0) -> int:
    """A seed in [0, 2**63) for torch's generator that depends on all three."""
    digest = hashlib.blake2b(f"{run_seed} {purpose} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def open_data(wanted: recipe.Recipe) -> tuple[data.TrainingData, validation.HeldOut | None]:
    """The training pairs, and those held out."""
    kind = methods.find(wanted.method_name)
    training = data.TrainingData(wanted.data, wanted.seed, kind.divisor, kind.smallest)
    held_out = validation.held_out(wanted.validation, training)
    return training, held_out
