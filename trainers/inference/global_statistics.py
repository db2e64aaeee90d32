"""Give layers that look at the whole image (instance norms, attention pools) its statistics from outside.

Legend of tensor names: N = 1 image, C channels, H rows, W columns.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from trainers.networks import layers as networks

Cut = Callable[[torch.Tensor], torch.Tensor]


class GatheredError(Exception):
    """Ends a pass once its layer's statistics are gathered."""


def layers(network: nn.Module) -> list[nn.Module]:
    """Return a network's layers that look at the whole image."""
    return [layer for layer in network.modules() if isinstance(layer, nn.GroupNorm | networks.GlobalPools)]


class Statistics:
    """Replaces the layers' own statistics by those of the whole image while entered, gathered in passes.

    `own` crops a layer's features to the part that counts. A layer whose statistics are not known yet adds that part,
    and ends the pass by a GatheredError; with `at_once`, where the whole image is given, the pass goes on, and a second
    image gets the statistics of the first.
    """

    def __init__(self, layers: Sequence[nn.Module], own: Cut, *, at_once: bool = False) -> None:
        self._layers = layers
        self._own = own
        self._at_once = at_once
        self._known: dict[nn.Module, Gathered] = {}
        self._gathering: tuple[nn.Module, Gathered] | None = None

    def __enter__(self) -> "Statistics":
        for layer in self._layers:
            # An attribute of the instance hides the class's method, until it is deleted.
            setattr(layer, "forward", lambda features_NCHW, layer=layer: self._apply(layer, features_NCHW))  # noqa: B010
        return self

    def __exit__(self, *exception: object) -> None:
        for layer in self._layers:
            delattr(layer, "forward")

    def settle(self) -> bool:
        """Keep what this pass gathered; return False where nothing was left to gather."""
        if self._gathering is None:
            return False
        layer, gathered = self._gathering
        self._known[layer] = gathered
        self._gathering = None
        return True

    def _gather(self, layer: nn.Module, features_NCHW: torch.Tensor) -> None:
        if self._gathering is None:
            self._gathering = layer, Gathered()
        assert self._gathering[0] is layer, "layers come in the same order in every tile"
        self._gathering[1].add(self._own(features_NCHW))
        if not self._at_once:
            raise GatheredError
        self.settle()

    def _apply(self, layer: nn.Module, features_NCHW: torch.Tensor) -> Any:
        if layer not in self._known:
            self._gather(layer, features_NCHW)
        statistics = self._known[layer]
        mean, maximum = (each.to(features_NCHW) for each in (statistics.mean, statistics.maximum))
        if isinstance(layer, networks.GlobalPools):
            return mean, maximum
        assert isinstance(layer, nn.GroupNorm)
        assert layer.num_groups == layer.num_channels
        assert not layer.affine
        scale = torch.rsqrt(statistics.squares / statistics.count + layer.eps).to(features_NCHW)
        return (features_NCHW - mean) * scale


class Gathered:
    """Mean, summed squared deviations and maximum of each channel, (1, C, 1, 1), float64, joined from parts.

    Chan, Golub and LeVeque 1983: no difference of nearly equal numbers.
    """

    count = 0
    mean: torch.Tensor
    squares: torch.Tensor
    maximum: torch.Tensor

    def add(self, part_NCHW: torch.Tensor) -> None:
        variance, mean = (
            each.double().cpu() for each in torch.var_mean(part_NCHW.float(), dim=(2, 3), correction=0, keepdim=True)
        )
        maximum = part_NCHW.amax(dim=(2, 3), keepdim=True).double().cpu()
        count = part_NCHW.shape[2] * part_NCHW.shape[3]
        if self.count == 0:
            self.count, self.mean, self.squares, self.maximum = count, mean, variance * count, maximum
            return
        together = self.count + count
        apart = mean - self.mean
        self.squares = self.squares + variance * count + apart.square() * (self.count * count / together)
        self.mean = self.mean + apart * (count / together)
        self.maximum = torch.maximum(self.maximum, maximum)
        self.count = together
