"""Restoring an image in tiles, for a bounded amount of memory, as if it had been restored at once.

Three things make the two agree. Tiles overlap, so that a pixel sees around it all that would have counted for it;
across a seam one tile fades into the next. They begin at multiples of what the network halves, so that its grids fall
on each other. And layers that look at the whole image (`whole_image`) get the whole image's statistics: these are
gathered layer by layer, every layer in a pass of its own over all tiles that ends there, because it depends on the
layers before. L such layers at equal distances so cost L / 2 times the work again, and no memory.

Legend of tensor names: N = 1 image, C channels, H rows, W columns.
"""

import contextlib
import dataclasses
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils import _python_dispatch

from trainers import whole_image
from trainers.methods import method

FADE = 16
"""Pixels on either side of a seam over which two tiles are mixed."""
SMALLEST = 64
"""The least side of a tile's own part."""
COUNTS = 2e-5
"""What changes a restored pixel by no more than this, of the range, need not be seen by its tile."""
_REACHES = 128, 256, 512
"""How far is looked for what counts, in pixels."""

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
    overlap: int,
    *,
    progress: Progress | None = None,
) -> torch.Tensor:
    """What `trained.restore` gives, from tiles of at most `side` pixels: float32 (1, 3, H, W) in [0, 1], on the host.

    blurred_NCHW: float32 (1, 3, H, W) in [0, 1], encoded light, anywhere; only tiles go to the device. A side of 0
    restores it at once. overlap: pixels that a tile has beyond its own part, on each side (see `reach`). Where dropout
    stays on, it falls otherwise than without tiles.
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
    layers = whole_image.layers(trained.networks["generator"])
    total, done = len(tiles) * (len(layers) + 1), 0
    seed = torch.initial_seed()
    with whole_image.Statistics(layers, lambda features_NCHW: _own_part(tile, features_NCHW)) as statistics:
        while True:
            restored_NCHW = torch.zeros(blurred_NCHW.shape)
            for number, tile in enumerate(tiles):
                torch.manual_seed((seed + number) % 2**63)  # a tile's dropout is the same in every pass
                given_NCHW = blurred_NCHW[..., tile.rows.begin : tile.rows.end, tile.columns.begin : tile.columns.end]
                with contextlib.suppress(whole_image.EnoughError):
                    _lay(restored_NCHW, tile, trained.restore(given_NCHW.to(device)).cpu())
                done += 1
                if progress is not None:
                    progress(done, total)
            if not statistics.settle():
                return restored_NCHW.clamp_(0.0, 1.0)


@torch.no_grad()
def reach(trained: method.Method, device: torch.device) -> int:
    """From how far what an image shows still counts (more than COUNTS) for a restored pixel, in pixels.

    Measured with the weights that are there, on noise whose one half is then turned into its negative: trained networks
    of equal layers differ in it, and most of what a deep one could see never counts. 512 at most.
    """
    layers = whole_image.layers(trained.networks["generator"])
    found = 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for limit in _REACHES:
            coarse = torch.rand(1, 3, _REACHES[0] // 4, limit // 2, generator=torch.Generator().manual_seed(0))
            first_NCHW = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)
            second_NCHW = torch.cat([first_NCHW[..., :limit], 1 - first_NCHW[..., limit:]], dim=3)
            pair = []
            with whole_image.Statistics(layers, lambda features_NCHW: features_NCHW, at_once=True):
                for image_NCHW in (first_NCHW, second_NCHW):
                    torch.manual_seed(0)  # the same dropout in both
                    pair.append(trained.restore(image_NCHW.to(device)))
            changed = (pair[0] - pair[1]).abs().amax(dim=(0, 1, 2))[:limit].flip(0) > COUNTS
            found = 1 + int(changed.nonzero().max()) if changed.any() else 0
            if found < 0.8 * limit:
                break
    return found


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
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), alive:
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


def _own_part(tile: Tile, features_NCHW: torch.Tensor) -> torch.Tensor:
    """The tile's own part of a layer's features, which may be smaller than the tile by a whole factor."""
    slices = []
    for span, length, found in (
        (tile.rows, tile.height, features_NCHW.shape[2]),
        (tile.columns, tile.width, features_NCHW.shape[3]),
    ):
        # At the image's end a tile may have been continued to a whole multiple, as the whole image would have been.
        factor = round((span.end - span.begin) / found)
        stop = found if span.last == length else (span.last - span.begin) // factor
        slices.append(slice((span.first - span.begin) // factor, stop))
    return features_NCHW[:, :, slices[0], slices[1]]


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
