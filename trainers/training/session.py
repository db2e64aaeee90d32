"""Prepare a recipe for training on a device: open and check its data, make its method."""

import dataclasses

import torch

from trainers import methods, recipe, seeding
from trainers.methods import method
from trainers.training import data, engine, validation


@dataclasses.dataclass(frozen=True)
class Session:
    """What the training loop needs. `held_out` is None without validation, `ema` without an EMA of the weights."""

    recipe: recipe.Recipe
    device: torch.device
    data: data.TrainingData
    held_out: validation.HeldOut | None
    method: method.Method
    ema: engine.EMA | None = None

    @property
    def pairs_per_step(self) -> int:
        """Pairs that one step draws, in all processes together."""
        return self.recipe.data.batch * self.method.batches_per_step

    @property
    def images_per_step(self) -> int:
        """Images seen that one step counts as; see `recipe.Schedule`."""
        return self.recipe.schedule.images_of(self.recipe.data.batch, self.method.batches_per_step)

    @property
    def steps(self) -> int:
        """Steps in the whole run."""
        return steps(self.recipe, self.data.epoch, self.images_per_step)


def steps(config: recipe.Recipe, epoch: int, per_step: int) -> int:
    """Return the steps of `per_step` images in the schedule, rounded up."""
    return -(-config.schedule.images(epoch) // per_step)


def start(config: recipe.Recipe, device: torch.device) -> Session:
    """Open the datasets, then make the method with initial weights from the recipe's seed.

    Raises BlursynthError where a dataset cannot be used, a file that the method needs is missing, or the engine does
    not support the recipe.
    """
    engine.require_shares(config)
    training, held_out = open_data(config)
    trained = make_method(config, device)
    engine.prepare(config.engine, trained, device)
    decay = config.engine.ema_decay
    ema = engine.EMA(trained.networks["generator"], decay) if decay else None
    return Session(config, device, training, held_out, trained, ema)


def make_method(config: recipe.Recipe, device: torch.device) -> method.Method:
    """Make the recipe's method with initial weights from its seed."""
    torch.manual_seed(seeding.seed(config.seed, "initial weights"))
    return methods.find(config.method_name)(config.method, device)


def open_data(config: recipe.Recipe) -> tuple[data.TrainingData, validation.HeldOut | None]:
    """Open the training pairs, and the validation pairs."""
    kind = methods.find(config.method_name)
    training = data.TrainingData(config.data, config.seed, kind.divisor, kind.smallest)
    held_out = validation.held_out(config.validation, training)
    return training, held_out
