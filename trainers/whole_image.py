"""Layers that look at the whole image, instance norms and the pools of an attention, given its statistics from outside.

Legend of tensor names: N = 1 image, C channels, H rows, W columns.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from trainers import networks

Cut = Callable[[torch.Tensor], torch.Tensor]


class EnoughError(Exception):
    """A pass has what it came for."""


def layers(network: nn.Module) -> list[nn.Module]:
    """Those of a network."""
    return [layer for layer in network.modules() if isinstance(layer, nn.GroupNorm | networks.GlobalPools)]


class Statistics:
    """While entered, the given layers take their statistics from here: those of the whole image, gathered in passes.

    `own` cuts a layer's features to what counts of them. A layer whose statistics are not known yet adds that, and ends
    the pass by an EnoughError; where the whole image is given `at_once`, it goes on, and a second image has the
    statistics of the first.
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
        """What was gathered in this pass is known from now on; False where nothing was left to gather."""
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
            raise EnoughError
        self.settle()

    def _apply(self, layer: nn.Module, features_NCHW: torch.Tensor) -> Any:
        if layer not in self._known:
            self._gather(layer, features_NCHW)
        found = self._known[layer]
        mean, maximum = (each.to(features_NCHW) for each in (found.mean, found.maximum))
        if isinstance(layer, networks.GlobalPools):
            return mean, maximum
        assert isinstance(layer, nn.GroupNorm)
        assert layer.num_groups == layer.num_channels
        assert not layer.affine
        scale = torch.rsqrt(found.squares / found.count + layer.eps).to(features_NCHW)
        return (features_NCHW - mean) * scale


class Gathered:
    """Mean, summed squared distance from it and maximum of each channel, (1, C, 1, 1), in float64; parts are joined.

    Chan, Golub and LeVeque 1983: nothing is subtracted that is nearly equal.
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
