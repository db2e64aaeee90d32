"""Restore an image in tiles, within bounded memory, as if it had been restored at once.

Three things make the two agree. Tiles overlap by the network's receptive field, and fade into each other across a seam.
They begin at multiples of the network's downsampling factor, so that its grids coincide. Layers that look at the whole
image get the whole image's statistics (`global_statistics`), which are gathered layer by layer: each layer needs a pass
over all tiles that ends at it. L such layers at equal distances cost L / 2 times the work, and no memory.

Legend of tensor names: N = 1 image, C channels, H rows, W columns.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable

import torch

from trainers import device_memory
from trainers.inference import global_statistics
from trainers.methods import method

FADE = 16
"""Pixels on either side of a seam over which two tiles are mixed."""
SMALLEST = 64
"""The least side of a tile's own part."""
COUNTS = 2e-5
"""What changes a restored pixel by no more than this, of the range, need not be seen by its tile."""
_RADII = 128, 256, 512
"""How far is looked for what counts, in pixels."""

Progress = Callable[[int, int], None]
"""Called with the number of tiles done, and of all in sight, over all passes."""


@dataclasses.dataclass(frozen=True)
class Span:
    """A tile along one side of the image, in pixels: [begin, end), with its own part [first, last).

    Two tiles are mixed over `fade` pixels on either side of the seam between their own parts.
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
    """Compute `trained.restore` from tiles of at most `side` pixels: float32 (1, 3, H, W), on the host.

    Parameters
    ----------
    blurred_NCHW
        float32 (1, 3, H, W) in [0, 1], encoded values, on any device; only tiles are copied to `device`.
    side
        Of tiles in pixels; 0 restores the whole image at once.
    overlap
        Pixels that a tile has beyond its own part, on each side (see `receptive_field`).

    With dropout on, the result differs from that of the whole image by other draws.
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
    layers = global_statistics.layers(trained.networks["generator"])
    total, done = len(tiles) * (len(layers) + 1), 0
    seed = torch.initial_seed()
    with global_statistics.Statistics(layers, lambda features_NCHW: _own_part(tile, features_NCHW)) as statistics:
        while True:
            restored_NCHW = torch.zeros(blurred_NCHW.shape)
            for number, tile in enumerate(tiles):
                torch.manual_seed((seed + number) % 2**63)  # a tile's dropout is the same in every pass
                tile_NCHW = blurred_NCHW[..., tile.rows.begin : tile.rows.end, tile.columns.begin : tile.columns.end]
                with contextlib.suppress(global_statistics.GatheredError):
                    _lay(restored_NCHW, tile, trained.restore(tile_NCHW.to(device)).cpu())
                done += 1
                if progress is not None:
                    progress(done, total)
            if not statistics.settle():
                return restored_NCHW.clamp_(0.0, 1.0)


@torch.no_grad()
def receptive_field(trained: method.Method, device: torch.device) -> int:
    """Measure the receptive field's radius in pixels: how far away the image changes a restored pixel.

    Measured with the trained weights, on noise of which one half is then inverted: trained networks of equal layers
    differ, and most of the theoretical receptive field of a deep one has no effect. 512 at most.
    """
    layers = global_statistics.layers(trained.networks["generator"])
    radius = 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for limit in _RADII:
            coarse = torch.rand(1, 3, _RADII[0] // 4, limit // 2, generator=torch.Generator().manual_seed(0))
            first_NCHW = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)
            second_NCHW = torch.cat([first_NCHW[..., :limit], 1 - first_NCHW[..., limit:]], dim=3)
            pair = []
            with global_statistics.Statistics(layers, lambda features_NCHW: features_NCHW, at_once=True):
                for image_NCHW in (first_NCHW, second_NCHW):
                    torch.manual_seed(0)  # the same dropout in both
                    pair.append(trained.restore(image_NCHW.to(device)))
            changed = (pair[0] - pair[1]).abs().amax(dim=(0, 1, 2))[:limit].flip(0) > COUNTS
            radius = 1 + int(changed.nonzero().max()) if changed.any() else 0
            if radius < 0.8 * limit:
                break
    return radius


def side_for(memory: int, bytes_per_pixel: float, height: int, width: int) -> int:
    """Return the side of tiles that fit in so many bytes, 0 where the whole image does."""
    if bytes_per_pixel * height * width <= memory:
        return 0
    return max(int(math.sqrt(memory / bytes_per_pixel)) // 32 * 32, SMALLEST)


def bytes_per_pixel(trained: method.Method, device: torch.device) -> float:
    """Measure the bytes that restoring needs for each pixel, from the peaks of two small images.

    A convolution's own workspace, which differs between devices, is not counted; a quarter is added for it.
    """
    peaks = []
    for side in (64, 128):
        alive = device_memory.AllocationCount()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), alive:
            trained.restore(torch.rand(1, 3, side, side, device=device))
        peaks.append(alive.peak)
    return 1.25 * float(peaks[1] - peaks[0]) / (128**2 - 64**2)


def _lay(restored_NCHW: torch.Tensor, tile: Tile, tile_NCHW: torch.Tensor) -> None:
    """Add a tile with its weights."""
    rows, columns = tile.rows, tile.columns
    weights_HW = torch.outer(_weights(rows, tile.height), _weights(columns, tile.width))
    restored_NCHW[..., rows.begin : rows.end, columns.begin : columns.end] += tile_NCHW * weights_HW


def _weights(span: Span, length: int) -> torch.Tensor:
    """Weights along one side: 1 in the own part, half a cosine wave at seams; those of all tiles sum to 1."""
    place = torch.arange(span.begin, span.end, dtype=torch.float32) + 0.5
    weights = torch.ones(span.end - span.begin)
    if span.first > 0:
        weights *= 0.5 + 0.5 * torch.sin(((place - span.first) / span.fade).clamp(-1, 1) * (math.pi / 2))
    if span.last < length:
        weights *= 0.5 - 0.5 * torch.sin(((place - span.last) / span.fade).clamp(-1, 1) * (math.pi / 2))
    return weights


def _own_part(tile: Tile, features_NCHW: torch.Tensor) -> torch.Tensor:
    """Crop a layer's features, smaller than the tile by a whole factor, to the tile's own part."""
    slices = []
    for span, length, size in (
        (tile.rows, tile.height, features_NCHW.shape[2]),
        (tile.columns, tile.width, features_NCHW.shape[3]),
    ):
        # At the image's end a tile may have been continued to a whole multiple, as the whole image would have been.
        factor = round((span.end - span.begin) / size)
        stop = size if span.last == length else (span.last - span.begin) // factor
        slices.append(slice((span.first - span.begin) // factor, stop))
    return features_NCHW[:, :, slices[0], slices[1]]
