"""Steerable pyramids, cut out of the Fourier plane, and the Gaussian scale mixture that IFC and VIF fit to their bands.

Legend of tensor names: N images, H rows, W columns of a band; B blocks of 3x3 coefficients, K = 9 coefficients of one.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from torch.nn import functional

_MARGIN = 32
_TINY = 1e-15
BLOCK = 3


def bands(
    images_NHW: torch.Tensor, *, levels: int, orientations: int, chosen: Sequence[int], analytic: bool = False
) -> Iterator[tuple[int, torch.Tensor]]:
    """The oriented bands of each level, finest first, as (level, band): (N, H / 2^level, W / 2^level).

    The pyramid of Simoncelli and Freeman (1995) in its polar-separable form: raised cosines of an octave in radius,
    cos(angle - pi k / K)^(K - 1) in angle for orientation k of K, scaled so that the squares of all filters sum to 1.
    Only the orientations `chosen` are made. `analytic` keeps one half of the frequency plane, doubled, so that bands
    are complex (Portilla and Simoncelli 2000). Borders are mirrored; sides are mirrored up to a multiple of 2^levels.
    """
    height, width = images_NHW.shape[1:]
    multiple = 2**levels
    margin = -(-_MARGIN // multiple) * multiple
    bottom, right = (margin + -side % multiple for side in (height, width))
    assert bottom < height, f"{width}x{height} is too small for {levels} levels"
    assert right < width, f"{width}x{height} is too small for {levels} levels"
    padded = functional.pad(images_NHW, (margin, right, margin, bottom), mode="reflect")
    first_low, masks = _masks(
        *padded.shape[1:], levels, orientations, tuple(chosen), analytic, padded.device, padded.dtype
    )
    spectrum = (torch.fft.fft2(padded) if analytic else torch.fft.rfft2(padded)) * first_low
    for level, (low, filters) in enumerate(masks):
        top, rows, columns = margin >> level, -(-height >> level), -(-width >> level)
        for weights in filters:
            if analytic:
                band = torch.fft.ifft2(spectrum * weights)
            else:
                band = torch.fft.irfft2(spectrum * weights * 1j ** (orientations - 1), s=_size(padded, level))
            yield level, band[:, top : top + rows, top : top + columns]
        if level < levels - 1:
            spectrum = _halved(spectrum * low, analytic)


def _size(images_NHW: torch.Tensor, level: int) -> tuple[int, int]:
    return images_NHW.shape[1] >> level, images_NHW.shape[2] >> level


_Masks: TypeAlias = tuple[torch.Tensor, list[tuple[torch.Tensor, list[torch.Tensor]]]]


@functools.lru_cache(maxsize=2)
def _masks(
    height: int,
    width: int,
    levels: int,
    orientations: int,
    chosen: tuple[int, ...],
    analytic: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> _Masks:
    """The first low-pass, and for each level its low-pass and its oriented filters, over that level's frequencies."""
    scale = math.sqrt(_angular_scale(orientations))
    first, _ = _polar(height, width, analytic)
    found = []
    for level in range(levels):
        radius, angle = _polar(height >> level, width >> level, analytic)
        filters = []
        for orientation in chosen:
            cosine = torch.cos(angle - math.pi * orientation / orientations)
            angular = 2 * cosine.clamp(min=0) ** (orientations - 1) if analytic else cosine ** (orientations - 1)
            filters.append((scale * _high(radius, -1.0) * angular).to(device, dtype))
        found.append((_low(radius, -1.0).to(device, dtype), filters))
    return _low(first, 0.0).to(device, dtype), found


def _polar(height: int, width: int, analytic: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """log2 of the radius in units of pi radians a pixel, and the angle, of every frequency: (H, W or W // 2 + 1)."""
    rows = torch.fft.fftfreq(height, 0.5, dtype=torch.float64).view(-1, 1)
    frequencies = torch.fft.fftfreq if analytic else torch.fft.rfftfreq
    columns = frequencies(width, 0.5, dtype=torch.float64).view(1, -1)
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


def _halved(spectrum: torch.Tensor, analytic: bool) -> torch.Tensor:
    """The spectrum of every second pixel, of an image with nothing above a quarter of the sampling frequency."""
    height, width = spectrum.shape[1:]
    rows = torch.cat([spectrum[:, : height // 4], spectrum[:, -(height // 4) :]], dim=1)
    if not analytic:
        return rows[:, :, : (width - 1) // 2 + 1] / 4
    return torch.cat([rows[:, :, : width // 4], rows[:, :, -(width // 4) :]], dim=2) / 4


@dataclasses.dataclass(frozen=True)
class Mixture:
    """A band as a Gaussian scale mixture seen through a distortion channel y = g x + v, on blocks of 3x3 coefficients.

    `strength` (N, B): the block's multiplier s^2 of the reference; `eigenvalues` (N, K) of the covariance that all
    blocks share; `gain` (N, B) and `rest` (N, B): g and var(v), estimated in a window around the block. float64.
    """

    strength: torch.Tensor
    eigenvalues: torch.Tensor
    gain: torch.Tensor
    rest: torch.Tensor

    def bits(self, noise: float) -> torch.Tensor:
        """Information in bits that the distorted band has of the reference, summed: float64 (N,).

        Sheikh and Bovik 2006, equation 13; with `noise` = 0 Sheikh, Bovik and de Veciana 2005, equation 12.
        """
        quality = self.gain.square() * self.strength / (self.rest + noise)
        return _summed(quality, self.eigenvalues)

    def whole(self, noise: float) -> torch.Tensor:
        """The same for the undistorted band (equation 10): float64 (N,)."""
        return _summed(self.strength / noise, self.eigenvalues)


def _summed(quality_NB: torch.Tensor, eigenvalues_NK: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(len(quality_NB), dtype=torch.float64, device=quality_NB.device)
    for column in range(eigenvalues_NK.shape[1]):
        total += torch.log1p(quality_NB * eigenvalues_NK[:, column, None]).sum(dim=1, dtype=torch.float64)
    return total / math.log(2)


def mixture(sharp_NHW: torch.Tensor, restored_NHW: torch.Tensor, side: int) -> Mixture:
    """Fit the mixture to a band; the channel's window has `side` coefficients a side, centred on each block.

    Blocks whose window would leave the band are left out.
    """
    height, width = (size - size % BLOCK for size in sharp_NHW.shape[1:])
    x, y = sharp_NHW[:, :height, :width], restored_NHW[:, :height, :width]
    skipped = -(-(side // 2) // BLOCK)
    strength, eigenvalues = _reference(x)
    inner = slice(skipped, -skipped)
    gain, rest = _distortion(x, y, side, skipped)
    return Mixture(strength[:, inner, inner].flatten(1), eigenvalues, gain.flatten(1), rest.flatten(1))


def _reference(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The multiplier of each block, (N, rows, columns), and the eigenvalues (N, K) of the blocks' covariance."""
    images, height, width = x.shape
    inner = height - BLOCK + 1, width - BLOCK + 1
    shifted = [
        x[:, row : row + inner[0], column : column + inner[1]].flatten(1)
        for row in range(BLOCK)
        for column in range(BLOCK)
    ]
    stack_NKP = torch.stack(shifted, dim=1)
    stack_NKP -= stack_NKP.mean(dim=2, keepdim=True)
    covariance_NKK = (stack_NKP @ stack_NKP.transpose(1, 2) / stack_NKP.shape[2]).double()
    eigenvalues, vectors = torch.linalg.eigh(covariance_NKK)
    usable = eigenvalues.clamp(min=0)
    # A flat band has no directions: it then says nothing, instead of dividing by nothing.
    inverse = torch.where(usable > usable[:, -1:] * 1e-12 + _TINY, 1 / usable.clamp(min=_TINY), 0.0)
    blocks = x.view(images, height // BLOCK, BLOCK, width // BLOCK, BLOCK).permute(0, 2, 4, 1, 3)
    blocks = blocks.reshape(images, BLOCK**2, -1)
    whitened = vectors.transpose(1, 2).to(x.dtype) @ blocks
    strength = (whitened.square() * inverse[:, :, None].to(x.dtype)).sum(dim=1) / BLOCK**2
    return strength.view(images, height // BLOCK, width // BLOCK), usable


def _distortion(x: torch.Tensor, y: torch.Tensor, side: int, skipped: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and the variance of the rest in the window around each inner block, by least squares."""
    start = skipped * BLOCK + BLOCK // 2 - side // 2

    def mean(image: torch.Tensor) -> torch.Tensor:
        rows, columns = (size // BLOCK - 2 * skipped for size in image.shape[1:])
        # Rows first, then columns: the sums over whole windows would cost several times more.
        pooled = functional.avg_pool2d(image[:, None, start:, start:], (side, 1), (BLOCK, 1))[:, :, :rows]
        return functional.avg_pool2d(pooled, (1, side), (1, BLOCK))[:, 0, :, :columns]

    mean_x, mean_y = mean(x), mean(y)
    variance_x = (mean(x.square()) - mean_x.square()).clamp(min=0)
    variance_y = (mean(y.square()) - mean_y.square()).clamp(min=0)
    covariance = mean(x * y) - mean_x * mean_y
    gain = covariance / (variance_x + _TINY)
    rest = variance_y - gain * covariance
    flat_x, flat_y = variance_x < _TINY, variance_y < _TINY
    none = flat_x | flat_y | (gain < 0)
    rest = torch.where(flat_y, 0.0, torch.where(none, variance_y, rest)).clamp(min=_TINY)
    return torch.where(none, 0.0, gain), rest
