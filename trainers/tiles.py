"""Restoring an image in tiles, for a bounded amount of memory, as if it had been restored at once.

Three things make the two agree. Tiles overlap, so that a pixel sees around it what it would have seen; across a seam
one tile fades into the next. They begin at multiples of what the network halves, so that its grids fall on each other.
And layers that look at the whole image (instance norms, and the pools of an attention) get the whole image's
statistics: these are gathered layer by layer, every layer in a pass of its own over all tiles that ends there, because
it depends on the layers before. L such layers at equal distances so cost L / 2 times the work again, and no memory.

Legend of tensor names: N = 1 image, C channels, H rows, W columns.
"""

import contextlib
import dataclasses
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _python_dispatch

from trainers import networks
from trainers.methods import method

OVERLAP = 96
"""Pixels that a tile has beyond its own part, on each side. DeblurGAN and Deep Generative Filter see less far, the
light model and DeepDeblur farther, but what lies there counts for less than 1e-5 of the range (measured, untrained)."""
FADE = 16
"""Pixels on either side of a seam over which two tiles are mixed."""
SMALLEST = 64
"""The least side of a tile's own part."""

Progress = Callable[[int, int], None]
"""Called with the number of tiles done, and of all in sight, over all passes."""


@dataclasses.dataclass(frozen=True)
class Span:
    """Along one side of the image, in pixels: a tile is [begin, end), its own part [first, last).

    Over `fade` pixels on either side of where two own parts meet, the two tiles are mixed.
    """

    begin: int
    first: int
    last: int
    end: int
    fade: int


@dataclasses.dataclass(frozen=True)
class Tile:
    """Where a tile lies, and the image's height and width."""

    rows: Span
    columns: Span
    height: int
    width: int


def spans(length: int, side: int, overlap: int, step: int) -> list[Span]:
    """Cut a length into tiles of at most `side` pixels (overlaps included), beginning at multiples of `step`.

    Own parts follow one another without a gap and are as equal as `step` allows. A length of at most `side` is one.
    """
    if length <= side:
        return [Span(0, 0, length, length, 0)]
    overlap = -(-overlap // step) * step
    own = max(side - 2 * overlap, SMALLEST) // step * step
    count = math.ceil(length / own)
    own = math.ceil(length / count / step) * step
    fade = min(FADE, overlap)
    return [
        Span(max(first - overlap, 0), first, min(first + own, length), min(first + own + overlap, length), fade)
        for first in range(0, length, own)
    ]


@torch.no_grad()
def restore(
    trained: method.Method,
    blurred_NCHW: torch.Tensor,
    side: int,
    device: torch.device,
    *,
    overlap: int = OVERLAP,
    progress: Progress | None = None,
) -> torch.Tensor:
    """What `trained.restore` gives, from tiles of at most `side` pixels: float32 (1, 3, H, W) in [0, 1], on the host.

    blurred_NCHW: float32 (1, 3, H, W) in [0, 1], encoded light, anywhere; only tiles go to the device. A side of 0
    restores it at once. Where dropout stays on, it falls otherwise than without tiles.
    """
    height, width = blurred_NCHW.shape[2:]
    if side == 0 or max(height, width) <= side:
        return trained.restore(blurred_NCHW.to(device)).cpu()
    step = max(type(trained).divisor, 1)
    tiles = [
        Tile(rows, columns, height, width)
        for rows in spans(height, side, overlap, step)
        for columns in spans(width, side, overlap, step)
    ]
    layers = _looking_at_everything(trained.networks["generator"])
    total, done = len(tiles) * (len(layers) + 1), 0
    seed = torch.initial_seed()
    with _Statistics(layers) as statistics:
        while True:
            restored_NCHW = torch.zeros(blurred_NCHW.shape)
            for number, tile in enumerate(tiles):
                torch.manual_seed((seed + number) % 2**63)  # a tile's dropout is the same in every pass
                statistics.tile = tile
                given_NCHW = blurred_NCHW[..., tile.rows.begin : tile.rows.end, tile.columns.begin : tile.columns.end]
                with contextlib.suppress(_EnoughError):
                    _lay(restored_NCHW, tile, trained.restore(given_NCHW.to(device)).cpu())
                done += 1
                if progress is not None:
                    progress(done, total)
            if not statistics.settle():
                return restored_NCHW.clamp_(0.0, 1.0)


def side_for(memory: int, bytes_per_pixel: float, height: int, width: int) -> int:
    """The side of tiles that fit in so many bytes; 0 where the whole image does."""
    if bytes_per_pixel * height * width <= memory:
        return 0
    return max(int(math.sqrt(memory / bytes_per_pixel)) // 32 * 32, SMALLEST)


def bytes_per_pixel(trained: method.Method, device: torch.device) -> float:
    """What restoring needs for each pixel at its peak: tensors alive at once, measured on two small images.

    Without what a convolution needs for itself, which differs between devices; a quarter is added for it.
    """
    peaks = []
    for side in (64, 128):
        alive = _Alive()
        with torch.random.fork_rng(), alive:
            trained.restore(torch.rand(1, 3, side, side, device=device))
        peaks.append(alive.peak)
    return 1.25 * float(peaks[1] - peaks[0]) / (128**2 - 64**2)


def _lay(restored_NCHW: torch.Tensor, tile: Tile, found_NCHW: torch.Tensor) -> None:
    """Add a tile with its weights."""
    rows, columns = tile.rows, tile.columns
    weights_HW = torch.outer(_weights(rows, tile.height), _weights(columns, tile.width))
    restored_NCHW[..., rows.begin : rows.end, columns.begin : columns.end] += found_NCHW * weights_HW


def _weights(span: Span, length: int) -> torch.Tensor:
    """1 in a tile's own part, 0 far from it, half a wave of a cosine between; those of all tiles sum to 1."""
    place = torch.arange(span.begin, span.end, dtype=torch.float32) + 0.5
    weights = torch.ones(span.end - span.begin)
    if span.first > 0:
        weights *= 0.5 + 0.5 * torch.sin(((place - span.first) / span.fade).clamp(-1, 1) * (math.pi / 2))
    if span.last < length:
        weights *= 0.5 - 0.5 * torch.sin(((place - span.last) / span.fade).clamp(-1, 1) * (math.pi / 2))
    return weights


class _EnoughError(Exception):
    """A pass has what it came for."""


def _looking_at_everything(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.GroupNorm | networks.GlobalPools)]


class _Statistics:
    """While entered, the given layers take their statistics from here: those of the whole image, gathered in passes.

    A layer whose statistics are not known yet adds the part of it that is the tile's own, and ends the pass.
    """

    tile: Tile

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self._known: dict[nn.Module, _Gathered] = {}
        self._gathering: tuple[nn.Module, _Gathered] | None = None

    def __enter__(self) -> "_Statistics":
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

    def _apply(self, layer: nn.Module, features_NCHW: torch.Tensor) -> Any:
        if layer not in self._known:
            if self._gathering is None:
                self._gathering = layer, _Gathered()
            assert self._gathering[0] is layer, "layers come in the same order in every tile"
            self._gathering[1].add(self._own(features_NCHW))
            raise _EnoughError
        found = self._known[layer]
        mean, maximum = (each.to(features_NCHW) for each in (found.mean, found.maximum))
        if isinstance(layer, networks.GlobalPools):
            return mean, maximum
        assert isinstance(layer, nn.GroupNorm)
        assert layer.num_groups == layer.num_channels
        assert not layer.affine
        scale = torch.rsqrt(found.squares / found.count + layer.eps).to(features_NCHW)
        return (features_NCHW - mean) * scale

    def _own(self, features_NCHW: torch.Tensor) -> torch.Tensor:
        """The tile's own part of a layer's features, which may be smaller than the tile by a whole factor."""
        slices = []
        for span, length, found in (
            (self.tile.rows, self.tile.height, features_NCHW.shape[2]),
            (self.tile.columns, self.tile.width, features_NCHW.shape[3]),
        ):
            # At the image's end a tile may have been continued to a whole multiple, as the whole image would have been.
            factor = round((span.end - span.begin) / found)
            stop = found if span.last == length else (span.last - span.begin) // factor
            slices.append(slice((span.first - span.begin) // factor, stop))
        return features_NCHW[:, :, slices[0], slices[1]]


class _Gathered:
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


class _Alive(_python_dispatch.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors made while it is entered that are alive at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._users: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            place, size = storage.data_ptr(), storage.nbytes()
            if self._users.setdefault(place, 0) == 0:
                self.now += size
                self.peak = max(self.peak, self.now)
            self._users[place] += 1
            weakref.finalize(tensor, self._leave, place, size)
        return result

    def _leave(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if self._users[place] == 0:
            self.now -= size


def _tensors(result: Any) -> Iterator[torch.Tensor]:
    for each in result if isinstance(result, tuple | list) else [result]:
        if isinstance(each, torch.Tensor):
            yield each
