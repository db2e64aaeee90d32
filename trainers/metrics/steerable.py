"""Complex steerable pyramids, cut out of the Fourier plane.

Legend of tensor names: N images, H rows, W columns of a band.
"""

import functools
import math
from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch.nn import functional

_MARGIN = 32


def bands(images_NHW: torch.Tensor, *, levels: int, orientations: int) -> Iterator[torch.Tensor]:
    """The oriented bands of each level, finest first: complex (N, H / 2^level, W / 2^level).

    The pyramid of Simoncelli and Freeman (1995) in its polar-separable form: raised cosines of an octave in radius,
    cos(angle - pi k / K)^(K - 1) in angle for orientation k of K, scaled so that the squares of all filters sum to 1;
    of which one half of the frequency plane is kept and doubled (Portilla and Simoncelli 2000). Borders are mirrored;
    sides are mirrored up to a multiple of 2^levels.
    """
    height, width = images_NHW.shape[1:]
    multiple = 2**levels
    margin = -(-_MARGIN // multiple) * multiple
    bottom, right = (margin + -side % multiple for side in (height, width))
    assert bottom < height, f"{width}x{height} is too small for {levels} levels"
    assert right < width, f"{width}x{height} is too small for {levels} levels"
    padded = functional.pad(images_NHW, (margin, right, margin, bottom), mode="reflect")
    first_low, masks = _masks(*padded.shape[1:], levels, orientations, padded.device, padded.dtype)
    spectrum = torch.fft.fft2(padded) * first_low
    for level, (low, filters) in enumerate(masks):
        top, rows, columns = margin >> level, -(-height >> level), -(-width >> level)
        for weights in filters:
            yield torch.fft.ifft2(spectrum * weights)[:, top : top + rows, top : top + columns]
        if level < levels - 1:
            spectrum = _halved(spectrum * low)


_Masks: TypeAlias = tuple[torch.Tensor, list[tuple[torch.Tensor, list[torch.Tensor]]]]


@functools.lru_cache(maxsize=2)
def _masks(height: int, width: int, levels: int, orientations: int, device: torch.device, dtype: torch.dtype) -> _Masks:
    """The first low-pass, and for each level its low-pass and its oriented filters, over that level's frequencies."""
    scale = math.sqrt(_angular_scale(orientations))
    first, _ = _polar(height, width)
    found = []
    for level in range(levels):
        radius, angle = _polar(height >> level, width >> level)
        filters = []
        for orientation in range(orientations):
            cosine = torch.cos(angle - math.pi * orientation / orientations)
            angular = 2 * cosine.clamp(min=0) ** (orientations - 1)
            filters.append((scale * _high(radius, -1.0) * angular).to(device, dtype))
        found.append((_low(radius, -1.0).to(device, dtype), filters))
    return _low(first, 0.0).to(device, dtype), found


def _polar(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """log2 of the radius in units of pi radians a pixel, and the angle, of every frequency: (H, W)."""
    rows = torch.fft.fftfreq(height, 0.5, dtype=torch.float64).view(-1, 1)
    columns = torch.fft.fftfreq(width, 0.5, dtype=torch.float64).view(1, -1)
    return torch.log2(torch.hypot(rows, columns).clamp(min=1e-9)), torch.atan2(-rows, columns)


def _low(radius: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Raised cosine in log2 of the radius: 1 an octave below the cutoff, 0 from it on."""
    return torch.cos(math.pi / 2 * (radius - cutoff + 1).clamp(0, 1))


def _high(radius: torch.Tensor, cutoff: float) -> torch.Tensor:
    """What `_low` leaves: their squares sum to 1."""
    return torch.sin(math.pi / 2 * (radius - cutoff + 1).clamp(0, 1))


def _angular_scale(orientations: int) -> float:
    """1 / sum over k of cos(angle - pi k / K)^(2 K - 2), which does not depend on the angle."""
    steps = [math.pi * k / orientations for k in range(orientations)]
    return 1 / sum(math.cos(step) ** (2 * orientations - 2) for step in steps)


def _halved(spectrum: torch.Tensor) -> torch.Tensor:
    """The spectrum of every second pixel, of an image with nothing above a quarter of the sampling frequency."""
    height, width = spectrum.shape[1:]
    rows = torch.cat([spectrum[:, : height // 4], spectrum[:, -(height // 4) :]], dim=1)
    return torch.cat([rows[:, :, : width // 4], rows[:, :, -(width // 4) :]], dim=2) / 4
