"""The coarsest bands of a complex steerable pyramid, cut out of the Fourier plane.

Legend of tensor names: N images, H rows, W columns of an image or a band.
"""

import functools
import math

import torch


def coarsest(images_NHW: torch.Tensor, *, levels: int, orientations: int) -> torch.Tensor:
    """The oriented bands of the last level: complex (orientations, N, H / 2^(levels - 1), W / 2^(levels - 1)).

    The pyramid of Simoncelli and Freeman (1995) in its polar-separable form: raised cosines of an octave in radius,
    cos(angle - pi k / K)^(K - 1) in angle for orientation k of K, scaled so that the squares of all filters sum to 1;
    of which one half of the frequency plane is kept and doubled (Portilla and Simoncelli 2000). Sides halve rounding
    up, borders wrap around, and what is left out of the Fourier plane is not made up for in the scale, so that
    coefficients grow by 4 with each level: all as in matlabPyrTools.
    """
    spectrum = torch.fft.fft2(images_NHW)
    lows, filters = _masks(*images_NHW.shape[1:], levels, orientations, images_NHW.device, images_NHW.dtype)
    for level, low in enumerate(lows):
        spectrum = (_halved(spectrum) if level else spectrum) * low
    return torch.stack([torch.fft.ifft2(spectrum * each) for each in filters])


@functools.lru_cache(maxsize=2)
def _masks(
    height: int, width: int, levels: int, orientations: int, device: torch.device, dtype: torch.dtype
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The low-pass of each level, over its frequencies, and the oriented filters of the last."""
    lows = []
    for level in range(levels):
        radius, angle = _polar((height, width), level)
        lows.append(torch.cos(math.pi / 2 * (radius + 1 + level).clamp(0, 1)).to(device, dtype))
    high = torch.sin(math.pi / 2 * (radius + 1 + levels).clamp(0, 1)) * math.sqrt(_angular_scale(orientations))
    turned = [torch.cos(angle - math.pi * each / orientations) for each in range(orientations)]
    filters = [2 * high * cosine.clamp(min=0) ** (orientations - 1) for cosine in turned]
    return lows, [each.to(device, dtype) for each in filters]


def _polar(sides: tuple[int, int], level: int) -> tuple[torch.Tensor, torch.Tensor]:
    """log2 of the radius in units of pi radians a pixel of the image, and the angle, of a level's frequencies."""
    rows, columns = (
        torch.fft.fftfreq(-(-side >> level), 1 / -(-side >> level), dtype=torch.float64) / (side / 2) for side in sides
    )
    rows, columns = rows.view(-1, 1), columns.view(1, -1)
    return torch.log2(torch.hypot(rows, columns).clamp(min=1e-9)), torch.atan2(rows, columns)


def _angular_scale(orientations: int) -> float:
    """1 / sum over k of cos(angle - pi k / K)^(2 K - 2), which does not depend on the angle."""
    steps = [math.pi * k / orientations for k in range(orientations)]
    return 1 / sum(math.cos(step) ** (2 * orientations - 2) for step in steps)


def _halved(spectrum: torch.Tensor) -> torch.Tensor:
    """The lower half of the frequencies along each side, in the order of a Fourier transform."""
    height, width = (-(-side // 2) for side in spectrum.shape[1:])
    rows = torch.cat([spectrum[:, : height - height // 2], spectrum[:, -(height // 2) :]], dim=1)
    return torch.cat([rows[:, :, : width - width // 2], rows[:, :, -(width // 2) :]], dim=2)
