"""How the golden loss curves are made. Run this file to make `curves.json` anew; `test_every_method` compares with it.

A curve is 20 steps of a small network on fixed pairs, starting from weights that are written down as a formula: it does
not hang on how torch draws initial weights. Dropout is off for the same reason; what a penalty draws comes from torch's
generator, seeded before each step as the loop does. All in float64: a critic's training amplifies rounding, a million
times and more within 20 steps, and float32 would leave nothing to compare from one processor to another.
"""

import json
import math
import pathlib
from typing import Any

import torch

from blursynth.config import toml
from trainers import methods
from trainers.methods import method

FILE = pathlib.Path(__file__).with_name("curves.json")
STEPS = 20

_FEATURES = {"weights": "random", "tap": "conv1_2"}
_DEBLURGAN: dict[str, Any] = {"width": 4, "blocks": 2, "dropout": 0.0, "learning_rate": 1e-3, "perceptual": _FEATURES}
_DEEPDEBLUR: dict[str, Any] = {
    "width": 6,
    "blocks": 2,
    "learning_rate": 1e-3,
    "discriminator": {"width": 2, "strides": [2, 2, 2]},
}
_SMALL: dict[str, Any] = {"dropout": 0.0, "learning_rate": 1e-3, "perceptual": _FEATURES, "discriminator": {"width": 2}}
_DENSE: dict[str, Any] = _SMALL | {"name": "deep-generative-filter", "rate": 2, "blocks": 4}
SETTINGS: dict[str, dict[str, Any]] = {
    "deblurgan paper": _DEBLURGAN | {"name": "deblurgan", "critic": {"width": 4, "steps": 2}},
    "deblurgan release": _DEBLURGAN | {"name": "deblurgan", "variant": "release", "critic": {"width": 4}},
    "deepdeblur paper": _DEEPDEBLUR | {"name": "deepdeblur"},
    "deepdeblur release": _DEEPDEBLUR | {"name": "deepdeblur", "variant": "release", "adversarial_weight": 0.1},
    "deep-generative-filter paper": _DENSE | {"discriminator": {"width": 2, "strides": [1, 2, 1]}},
    "deep-generative-filter residual": _DENSE
    | {"residual": [2, 3], "global_skip": False, "conditional": False}
    | {"discriminator": {"width": 2, "strides": [1, 2, 1, 2, 1]}},
    "light-deblurgan paper": _SMALL | {"name": "light-deblurgan", "width": 4, "blocks": 2, "ratio": 2},
    "pix2pix paper": _SMALL | {"name": "pix2pix", "width": 2, "levels": 3},
    "resgan paper": _SMALL
    | {"name": "resgan", "width": 4, "blocks": 2, "discriminator": {"width": 2, "strides": [1, 2, 1]}},
}
"""A method and variant -> its small `[method]` table."""


def curve(setting: str) -> dict[str, list[float]]:
    """Each term's value at each of the 20 steps."""
    trained = prepared(setting)
    seen: dict[str, list[float]] = {}
    for step in range(STEPS):
        torch.manual_seed(step)
        for name, term in trained.step(_batches(trained.batches_per_step, step)).items():
            seen.setdefault(name, []).append(float(term))
    return seen


def prepared(setting: str) -> method.Method:
    """The method of a setting with its formula's weights."""
    table = SETTINGS[setting]
    kind = methods.find(table["name"])
    trained = kind(toml.build(table, kind.Config), torch.device("cpu"))
    for part in vars(trained).values():
        if isinstance(part, torch.nn.Module):
            part.double()
    for network in trained.networks.values():
        _write_weights(network)
    return trained


def _write_weights(network: torch.nn.Module) -> None:
    """Numbers without visible order in [-1, 1], over the root of the fan-in; no two tensors alike."""
    with torch.no_grad():
        for place, parameter in enumerate(network.parameters(), start=1):
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
            angles = _numbers(parameter.numel()) * 12.9898 + place * 78.233
            numbers = 2 * torch.remainder(torch.sin(angles) * 43758.5453, 1.0) - 1
            parameter.copy_(numbers.view(parameter.shape) / math.sqrt(fan_in))


def _batches(count: int, step: int) -> list[method.Batch]:
    """Waves of another direction for each image, and their mean over a shift: (2, 3, 16, 16)."""
    rows, columns = torch.meshgrid(_numbers(16), _numbers(16), indexing="ij")
    found = []
    for number in range(count):
        images = []
        for shift in (0, 1, 2):
            phases = _numbers(6).view(2, 3, 1, 1) + step + 0.37 * number
            images.append(0.5 + 0.4 * torch.sin(0.9 * rows * torch.cos(phases) + 0.7 * (columns + shift) + phases))
        found.append(method.Batch(torch.stack(images).mean(dim=0), images[1]))
    return found


def _numbers(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.float64)


if __name__ == "__main__":
    torch.set_num_threads(1)
    rounded = {
        setting: {name: [float(f"{value:.9g}") for value in values] for name, values in curve(setting).items()}
        for setting in SETTINGS
    }
    FILE.write_text(json.dumps(rounded, indent=1) + "\n")
