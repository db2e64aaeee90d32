"""A small method with everything that makes resuming hard, and small datasets of pairs."""

import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from blursynth.config import toml
from blursynth.storage import provenance, schema, writer
from trainers import methods
from trainers.methods import method


class TwoNetworks(method.Method):
    """A generator with dropout and running statistics, and a critic; an Adam each, two fresh batches a step."""

    class Config(toml.Model):
        name: str = "fake"
        variant: str = "paper"
        rate: float = 1e-2
        test_time_dropout: bool = True
        needs_file: bool = False
        """Only training fails with it, as where perceptual weights are missing."""

    divisor: ClassVar[int] = 2
    on_step: ClassVar[Callable[[int], None] | None] = None
    """Called with the number of steps this instance has made, before each."""
    poison: ClassVar[int | None] = None
    """The step whose loss is not a number."""

    @classmethod
    def for_restoring(cls, config: Any) -> Any:
        return config.model_copy(update={"needs_file": False})

    @classmethod
    def for_measuring(cls, config: Any) -> Any:
        return cls.for_restoring(config)

    def __init__(self, config: Any, device: torch.device) -> None:
        if config.needs_file:
            raise toml.errors.InputError("The weights for training are missing.")
        self.config = config
        layers = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Dropout(0.5)]
        generator = torch.nn.Sequential(*layers, torch.nn.Conv2d(4, 3, 3, padding=1))
        critic = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3, padding=1))
        self.networks = {"generator": generator.to(device), "critic": critic.to(device)}
        self.optimisers = {
            "generator": torch.optim.Adam(generator.parameters(), config.rate),
            "critic": torch.optim.Adam(critic.parameters(), config.rate / 2),
        }
        self.batches_per_step = 2
        self.provenance = {"weights": "none"}
        self.steps = 0

    def step(self, batches: Sequence[method.Batch]) -> dict[str, torch.Tensor]:
        assert len(batches) == 2
        if type(self).on_step is not None:
            type(self).on_step(self.steps)
        self.steps += 1
        generator, critic = self.networks["generator"], self.networks["critic"]
        with torch.no_grad():
            fake = generator(batches[0].blurred_NCHW)
        score = (critic(fake) - critic(batches[0].sharp_NCHW)).mean() + critic(fake).square().mean()
        content = (generator(batches[1].blurred_NCHW) + batches[1].blurred_NCHW - batches[1].sharp_NCHW).square().mean()
        if self.steps == type(self).poison:
            content = content * float("nan")
        for name, loss in (("critic", score), ("generator", content)):
            self.optimisers[name].zero_grad()
            loss.backward()
            self.optimisers[name].step()
        return {"content": content.detach(), "critic": score.detach()}

    def restore(self, blurred_NCHW: torch.Tensor) -> torch.Tensor:
        generator = self.networks["generator"]
        generator.eval()
        generator[3].train(self.config.test_time_dropout)
        with torch.no_grad():
            restored = (generator(blurred_NCHW) + blurred_NCHW).clamp(0, 1)
        generator.train()
        return restored

    def describe(self) -> str:
        return f"TwoNetworks, rate {self.config.rate}"


@pytest.fixture
def fake_method(monkeypatch: pytest.MonkeyPatch) -> type[TwoNetworks]:
    """`method.name = "fake"` in a recipe means TwoNetworks."""
    find = methods.find
    monkeypatch.setattr(methods, "find", lambda name: TwoNetworks if name == "fake" else find(name))
    for hook in ("on_step", "poison"):
        monkeypatch.setattr(TwoNetworks, hook, None)
    return TwoNetworks


@pytest.fixture(scope="session")
def make_pairs() -> Callable[..., pathlib.Path]:
    """A function that writes a finished dataset of pairs; item i's first pixel of `sharp` is its number."""
    return write_pairs


def write_pairs(
    path: pathlib.Path,
    items: int = 24,
    size: tuple[int, int] = (16, 16),
    seed: int = 0,
    transfer: str = "gamma2.2",
    first_source: int = 0,
    kind: str = "pairs",
    complete: bool = True,
) -> pathlib.Path:
    """One source an item; items 0 to 2 modulo 4 are "train", the first half of the others "val", the rest "test"."""
    shape, dimensions = (*size, 3), ("y", "x", "channel")
    light = {"transfer_function": transfer}
    images = [schema.ArraySpec(name, "uint8", shape, dimensions, attributes=light) for name in ("blurred", "sharp")]
    columns = [
        schema.ArraySpec(name, dtype) for name, dtype in (("valid", "uint8"), ("split", "uint8"), ("source", "int32"))
    ]
    layout = schema.Schema(kind, items, 8, (*images, *columns))
    sources = tuple(
        {"name": f"photo-{number}", "sha256": f"{number:064}", "height": 1, "width": 1, "bytes": 1}
        for number in range(first_source, first_source + items)
    )
    record = provenance.Record("", seed, "blursynth convolve", sources=sources, splits=("train", "val", "test"))
    everything = _content(items, size, seed)
    writer.create(str(path), layout, record)
    for shard in range(layout.shards):
        some = layout.items_of(shard)
        writer.write_shard(
            str(path), layout, shard, {name: values[some.start : some.stop] for name, values in everything.items()}
        )
    if complete:
        writer.finalise(str(path), layout, [], 0)
    return path


def _content(items: int, size: tuple[int, int], seed: int) -> dict[str, np.ndarray[Any, Any]]:
    coarse = np.random.default_rng(seed).integers(0, 256, (items, -(-size[0] // 4), -(-size[1] // 4), 3))
    sharp = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)[:, : size[0], : size[1]]
    sharp[:, 0, 0] = np.arange(items)[:, None]
    blurred = np.mean([np.roll(sharp, shift, axis=2) for shift in range(-2, 3)], axis=0).round()
    numbers = np.arange(items)
    split = np.where(numbers % 4 < 3, 0, np.where(numbers < items // 2, 1, 2))
    return {
        "blurred": blurred.astype(np.uint8),
        "sharp": sharp.astype(np.uint8),
        "valid": np.ones(items, np.uint8),
        "split": split.astype(np.uint8),
        "source": numbers.astype(np.int32),
    }


@pytest.fixture
def recipe_text() -> Callable[..., str]:
    """A function that gives a recipe of the fake method as TOML."""
    return write_recipe


def write_recipe(data: pathlib.Path, folder: pathlib.Path, images: int = 48) -> str:
    """18 training pairs an epoch, 4 images a step."""
    return f"""
name = "test"
seed = 3
[data]
train = [{{path = "{data}"}}]
batch = 2
crop = 8
flip_horizontal = true
[method]
name = "fake"
[schedule]
counts = "draws"
clock = "images"
constant = {images / 2}
decay = {images / 2}
[validation]
every = 20
images = 2
[output]
folder = "{folder}"
log_every = 12
checkpoint_every = 16
sheet = 2
"""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors here are tiny: more threads only wait for one another, most of all beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
