"""Augment training patches on the device: flips, turns, colour and noise.

What happens to a patch follows from the seed and its position in the stream, whatever the batch size, the number of
processes or the device.

Legend of tensor names: P = 2, blurred and sharp; N images, H rows, W columns, C = 3 channels (R, G, B).
"""

import dataclasses
import itertools
import math

import numpy as np
import torch
from numpy import typing as npt

from blursynth.loading import sampler
from trainers import recipe

LEVELS = 255.0
"""Levels of 8 bits in the unit range of light."""

_DRAWS = 7
_ORDERS = np.array(list(itertools.permutations(range(3))))

# SplitMix64 (see `sampler`), as signed numbers: torch has no unsigned ones of 64 bits that can be multiplied.
_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_MULTIPLIERS = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
_SHIFTS = 30, 27, 31
_BITS = 24
"""Bits of each of the two uniforms that are made of one word: what float32 holds."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """The augmentation of each of N patches.

    `turned` bool (3, N): transpose, then flip vertically, then flip horizontally. `orders` int64 (N, 3): the channel
    that becomes R, G, B. `saturation` float32 (N,), factors. `noise` float32 (N,), standard deviations in [0, 1] of
    encoded values. `keys` int64 (N,): the random keys of the noise.
    """

    turned: torch.Tensor
    orders: torch.Tensor
    saturation: torch.Tensor
    noise: torch.Tensor
    keys: torch.Tensor

    def to(self, device: torch.device) -> "Choices":
        """Copy to a device, without waiting where the tensors are pinned."""
        return Choices(*(tensor.to(device, non_blocking=True) for tensor in self._tensors()))

    def pinned(self) -> "Choices":
        return Choices(*(tensor.pin_memory() for tensor in self._tensors()))

    def of(self, some: slice) -> "Choices":
        """Return those of some patches."""
        return Choices(self.turned[:, some], *(tensor[some] for tensor in self._tensors()[1:]))

    def _tensors(self) -> list[torch.Tensor]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


def choose(section: recipe.Data, seed: int, positions: npt.NDArray[np.int64]) -> Choices:
    """Draw the augmentation of the patches at positions (N,) of the stream, on the host.

    Each flip has probability 1/2, each quarter turn 1/4, each order of the channels 1/6; the saturation's factor is
    U(least, most), the noise's standard deviation |N(0, noise^2)|.
    """
    draws = sampler.uniforms(seed, sampler.Stream.AUGMENTATION, positions, _DRAWS)
    right = (draws[:, 0] < 0.5) & section.flip_horizontal
    down = (draws[:, 1] < 0.5) & section.flip_vertical
    quarters = (draws[:, 2] * 4).astype(np.int64) * section.rotate
    orders = _ORDERS[(draws[:, 3] * len(_ORDERS)).astype(np.int64) * section.permute_channels]
    least, most = section.saturation or (1.0, 1.0)
    normal = np.sqrt(-2 * np.log1p(-draws[:, 5])) * np.cos(2 * np.pi * draws[:, 6])
    return Choices(
        torch.from_numpy(np.stack(_exchange_then_flip(down, right, quarters))),
        torch.from_numpy(orders),
        torch.from_numpy((least + (most - least) * draws[:, 4]).astype(np.float32)),
        torch.from_numpy((np.abs(normal) * section.noise / LEVELS).astype(np.float32)),
        torch.from_numpy(sampler.keys(seed, sampler.Stream.NOISE, positions).view(np.int64)),
    )


def apply(section: recipe.Data, pairs_PNHWC: torch.Tensor, choices: Choices) -> tuple[torch.Tensor, torch.Tensor]:
    """Augment uint8 patches; return blurred and sharp, float32 (N, 3, H, W) in [0, 1].

    The results are channels last, on the device of the arguments. Does not wait for the device.
    """
    if section.flip_horizontal or section.flip_vertical or section.rotate:
        pairs_PNHWC = _turn(pairs_PNHWC, choices.turned, exchange=section.rotate)
    if section.permute_channels:
        pairs_PNHWC = pairs_PNHWC.gather(4, choices.orders[None, :, None, None, :].expand(pairs_PNHWC.shape))
    # The bytes lie channels last already, and a permuted view keeps them so.
    light_PNCHW = pairs_PNHWC.permute(0, 1, 4, 2, 3).float().div_(LEVELS)
    if section.saturation is not None:
        light_PNCHW = saturate(light_PNCHW, choices.saturation[None, :, None, None, None])
    blurred_NCHW, sharp_NCHW = light_PNCHW.unbind()
    if section.noise:
        noise_NHWC = normals(choices.keys, tuple(blurred_NCHW.permute(0, 2, 3, 1).shape[1:]))
        noise_NCHW = (noise_NHWC * choices.noise[:, None, None, None]).permute(0, 3, 1, 2)
        blurred_NCHW = (blurred_NCHW + noise_NCHW).clamp(0.0, 1.0)
    return blurred_NCHW, sharp_NCHW


def saturate(light_NCHW: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply the HSV saturation by factors that broadcast, and clip RGB to [0, 1].

    light_NCHW: encoded values, float (..., 3, H, W) in [0, 1]. With V = max(R, G, B) and S = (V - min) / V, the
    conversion back to RGB is linear in S: every channel c becomes V - (V - c) S' / S. S' = S * factor may exceed 1, and
    only RGB is clipped, as Nah et al. 2017 describe it (section 3.2: "then, value outside [0, 1] is clipped") and both
    their public codes compute it.
    """
    value = light_NCHW.amax(dim=-3, keepdim=True)
    changed_NCHW: torch.Tensor = value - (value - light_NCHW) * factors
    return changed_NCHW.clamp(0.0, 1.0)


def normals(keys_N: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Draw from N(0, 1) for each key, int64 (N,): float32 (N, *shape), by Box and Muller 1958.

    The random words are those of `sampler`: word w of a key gives the draws w and w + half of a patch.
    """
    count = math.prod(shape)
    half = -(-count // 2)
    words = _words(keys_N[:, None], torch.arange(half, device=keys_N.device))
    scale = 2.0**-_BITS
    high = ((words >> (64 - _BITS)) & (2**_BITS - 1)).float() * scale
    low = (words & (2**_BITS - 1)).float() * scale
    radius = (-2.0 * torch.log1p(-high)).sqrt()
    angle = 2.0 * math.pi * low
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return both[:, :count].reshape(len(keys_N), *shape)


def _words(keys: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Compute `sampler`'s words, their 64 bits held in int64."""
    words = keys + _GAMMA * (index + 1)
    for shift, multiplier in zip(_SHIFTS[:2], _MULTIPLIERS, strict=True):
        words = (words ^ _shifted(words, shift)) * multiplier
    return words ^ _shifted(words, _SHIFTS[2])


def _shifted(words: torch.Tensor, shift: int) -> torch.Tensor:
    """Shift right, filling with zeros rather than the sign."""
    shifted: torch.Tensor = (words >> shift) & (2 ** (64 - shift) - 1)
    return shifted


Flags = npt.NDArray[np.bool_]


def _exchange_then_flip(down: Flags, right: Flags, quarters: npt.NDArray[np.int64]) -> tuple[Flags, Flags, Flags]:
    """Write flips followed by quarter turns to the left as one transpose followed by flips."""
    odd = quarters % 2 == 1
    # A flip of rows becomes one of columns behind the exchange. A turn to the left is the exchange, then upside down.
    rows, columns = np.where(odd, right, down), np.where(odd, down, right)
    return odd, rows ^ np.isin(quarters, (1, 2)), columns ^ np.isin(quarters, (2, 3))


def _turn(pairs_PNHWC: torch.Tensor, turned: torch.Tensor, *, exchange: bool) -> torch.Tensor:
    """Select each patch's transpose and flips on the device: selecting on the host would wait for it."""
    odd, down, right = turned[:, None, :, None, None, None].unbind()
    if exchange:
        pairs_PNHWC = torch.where(odd, pairs_PNHWC.transpose(2, 3), pairs_PNHWC)
    pairs_PNHWC = torch.where(down, pairs_PNHWC.flip(2), pairs_PNHWC)
    return torch.where(right, pairs_PNHWC.flip(3), pairs_PNHWC)
