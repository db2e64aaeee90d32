"""The perceptual loss: features of a frozen VGG network (Johnson et al. 2016; Simonyan and Zisserman 2014).

The weights are torchvision's, trained on ImageNet. They are not part of this package: a user fetches the file once.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import pydantic
import torch
from torch import nn
from torch.nn import functional

from blursynth import errors
from blursynth.config import toml
from blursynth.media import source_file
from trainers.networks import weight_files

Network = Literal["vgg16", "vgg19"]
Reduction = Literal["channel-sum", "mean"]

HUB = "torch-hub"
RANDOM = "random"


@dataclasses.dataclass(frozen=True)
class Published:
    """torchvision's file of one network's ImageNet weights; its name carries the start of its SHA-256."""

    file_name: str
    sha256_start: str
    convolutions: tuple[int, ...]
    """How many convolutions stand before each max-pooling."""

    @property
    def address(self) -> str:
        return f"https://download.pytorch.org/models/{self.file_name}"


PUBLISHED: Mapping[Network, Published] = {
    "vgg16": Published("vgg16-397923af.pth", "397923af", (2, 2, 3, 3, 3)),
    "vgg19": Published("vgg19-dcbb9e9d.pth", "dcbb9e9d", (2, 2, 4, 4, 4)),
}

_CHANNELS = (64, 128, 256, 512, 512)
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class Config(toml.Model):
    """The `[method.perceptual]` table: the features in which restored and sharp images are compared.

    The defaults are the text of Kupyn et al. 2018; "release" marks what their public code does.
    """

    network: Network = "vgg19"
    tap: str = "conv3_3"
    after_activation: bool = True
    """After the ReLU (section 3.1), or (release) before it."""
    normalise: bool = True
    """ImageNet mean and deviation, or (release) the network is shown [-1, 1]."""
    reduction: Reduction = "channel-sum"
    """The formula as printed, or (release) the mean over channels too: 256 times less at conv3_3."""
    weights: toml.PathText = HUB
    """"torch-hub" (torchvision's file in torch.hub's cache), a path to such a file, or "random" (for trying out)."""
    sha256: Annotated[str, pydantic.Field(pattern="^[0-9a-fA-F]{8,64}$")] | None = None
    """Start of the file's SHA-256 where it is not torchvision's own."""
    seed: Annotated[int, pydantic.Field(ge=0, lt=2**63)] = 0
    """Draws the "random" weights."""

    @pydantic.model_validator(mode="after")
    def _agree(self) -> "Config":
        if self.tap not in taps(self.network):
            raise ValueError(
                f"tap {self.tap!r} is none of {self.network}'s convolutions: {', '.join(taps(self.network))}"
            )
        return self

    def describe(self) -> str:
        place = "after" if self.after_activation else "before"
        return f"{self.network} {self.tap} {place} the activation, {self.reduction}"


class Features(nn.Module):
    """A VGG network up to one convolution, frozen: images in [-1, 1] -> feature maps.

    `tap` is "convI_J", the J-th convolution before the I-th max-pooling, taken after its ReLU where
    `after_activation` is set. `normalise` first turns [-1, 1] into ImageNet's zero mean and unit deviation, on which
    the network was trained; without it the network sees [-1, 1] as it is.

    Takes float (N, 3, H, W) of encoded light, gives (N, C, h, w), e.g. C = 256, h = H // 4, w = W // 4 at conv3_3.
    Gradients flow to the images, never to the weights.
    """

    mean_C11: torch.Tensor
    deviation_C11: torch.Tensor

    def __init__(self, network: Network, tap: str, *, after_activation: bool, normalise: bool) -> None:
        super().__init__()
        self.normalise = normalise
        self.features = nn.Sequential(*_layers(network, tap, after_activation))
        self.register_buffer("mean_C11", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation_C11", torch.tensor(_DEVIATION).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        if self.normalise:
            images_NCHW = ((images_NCHW + 1.0) * 0.5 - self.mean_C11) / self.deviation_C11
        features_NCHW: torch.Tensor = self.features(images_NCHW)
        return features_NCHW


@dataclasses.dataclass(frozen=True)
class Loaded:
    """Features with their weights, and the weights' name for logs and checkpoints."""

    features: Features
    weights: str


def load(config: Config) -> Loaded:
    """Make the configured features with their weights, on the CPU.

    The file must have torchvision's layout (`features.N.weight`; keys behind the tap are ignored), and its SHA-256 must
    begin with `config.sha256`, by default that of torchvision's file. Random weights do not draw from torch's global
    generator; they respond to edges and colours at best.

    Raises InputError where the file is missing, another one, damaged or of another layout.
    """
    network = config.network
    features = Features(network, config.tap, after_activation=config.after_activation, normalise=config.normalise)
    if config.weights == RANDOM:
        _randomise(features, config.seed)
        return Loaded(features, f"random (seed {config.seed}), not trained")
    path = hub_path(network) if config.weights == HUB else pathlib.Path(config.weights).expanduser()
    digest = _digest(path, network, config.sha256 or PUBLISHED[network].sha256_start)
    _fill(features, weight_files.read(path), path, network)
    return Loaded(features, f"{path.name} (sha256 {digest[:8]})")


def loss(
    features: Features, restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, reduction: Reduction
) -> torch.Tensor:
    """Compute the `distance` of the features of restored and sharp images, (N, 3, H, W) in [-1, 1]."""
    with torch.no_grad():
        sharp_features_NCHW = features(sharp_NCHW)
    return distance(features(restored_NCHW), sharp_features_NCHW, reduction)


def distance(restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, reduction: Reduction) -> torch.Tensor:
    """Compute the squared distance of two feature maps (Kupyn et al. 2018, section 3.1), a scalar.

    "channel-sum" is the formula as printed: summed over channels, divided by W*H, then the mean over images. "mean" is
    what the authors' code computes: divided by the number of channels as well (256 at conv3_3), so that the same weight
    means 256 times less.
    """
    squared_mean = functional.mse_loss(restored_NCHW, sharp_NCHW)
    return squared_mean * restored_NCHW.shape[1] if reduction == "channel-sum" else squared_mean


def hub_path(network: Network) -> pathlib.Path:
    """Return where torch.hub keeps torchvision's weights of `network`, whether the file exists or not."""
    return pathlib.Path(torch.hub.get_dir()) / "checkpoints" / PUBLISHED[network].file_name


def taps(network: Network) -> tuple[str, ...]:
    """List every tap of a network, "conv1_1" and so on, in the order of its layers."""
    counts = PUBLISHED[network].convolutions
    return tuple(f"conv{block + 1}_{place + 1}" for block, count in enumerate(counts) for place in range(count))


def _layers(network: Network, tap: str, after_activation: bool) -> Iterator[nn.Module]:
    """Yield the layers up to the tap, numbered as torchvision numbers them (pooling and ReLU count)."""
    assert tap in taps(network), f"{network} has no {tap}"
    channels = 3
    for block, count in enumerate(PUBLISHED[network].convolutions):
        for place in range(count):
            # Not initialised: drawing weights that are replaced would move torch's global generator.
            yield nn.utils.skip_init(nn.Conv2d, channels, _CHANNELS[block], 3, padding=1)  # type: ignore[no-untyped-call]
            channels = _CHANNELS[block]
            at_tap = tap == f"conv{block + 1}_{place + 1}"
            if not at_tap or after_activation:
                yield nn.ReLU(inplace=False)
            if at_tap:
                return
        yield nn.MaxPool2d(2)


def _randomise(features: Features, seed: int) -> None:
    """Draw He et al. 2015's N(0, 2 / fan-in), which keeps the features' size; biases 0."""
    generator = torch.Generator().manual_seed(seed)
    for layer in features.features:
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            fan_in = layer.in_channels * math.prod(layer.kernel_size)
            layer.weight.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator)
            layer.bias.zero_()


def _digest(path: pathlib.Path, network: Network, expected: str) -> str:
    """Compute the file's SHA-256; InputError where it is missing or another, SourceError where it cannot be read."""
    published = PUBLISHED[network]
    source_file.require_file(path, f"a file of weights ({network})")
    if not source_file.exists(path):
        raise errors.InputError(
            f"The perceptual loss needs {network}'s ImageNet weights, and there is no file {path}. Fetch "
            f"{published.file_name} from {published.address} and put it at {hub_path(network)}, or name its path "
            f'as method.perceptual.weights in the recipe; "{RANDOM}" there runs without it, for trying things out.'
        )
    digest, _ = source_file.digest(path)
    if not digest.startswith(expected.lower()):
        raise errors.InputError(
            f"{path} is not the expected weights file: its SHA-256 begins with {digest[:8]}, expected {expected[:8]}. "
            f"Fetch {published.file_name} again from {published.address} (a download may have broken off), or set "
            f"perceptual.sha256 to {digest[:8]} if these weights are meant."
        )
    return digest


def _fill(features: Features, state: Mapping[str, torch.Tensor], path: pathlib.Path, network: Network) -> None:
    """Copy the weights up to the tap from a state dict; InputError names the first that does not fit."""
    for name, parameter in features.named_parameters():
        tensor = state.get(name)
        if not isinstance(tensor, torch.Tensor) or tensor.shape != parameter.shape:
            what = f"a {name} of shape {tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else f"no {name}"
            raise errors.InputError(
                f"{path} has {what}, expected shape {tuple(parameter.shape)}: "
                f"it does not hold torchvision's {network}; set perceptual.network or choose another file."
            )
        parameter.copy_(weight_files.weight(path, name, tensor))
