"""The feature similarity index.

Legend of tensor names: N images, C channels, H rows, W columns; S scales.
"""

import functools
import math

import torch
from torch.nn import functional

from trainers.metrics import windows

SCALES = 4
ORIENTATIONS = 4
SHORTEST = 6.0
"""Wavelength of the finest scale in pixels; each further scale doubles it."""

T1, T2 = 0.85, 160.0
SMALLEST = 16

_BANDWIDTH = 0.55  # sigma of the log-Gabor over its centre frequency
_ANGULAR = 1.2  # orientations' distance over the sigma of their Gaussians
_NOISE_SIGMAS = 2.0
_NOISE_SHARE = 1.7  # the published program's correction of the noise estimate, which sums over scales
_TINY = 1e-4


def fsim(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Feature similarity (Zhang et al. 2011, equation 9) of the luma: phase congruency and gradients.

    Similarities of phase congruency (T1 = 0.85) and of gradient magnitude (Scharr, T2 = 160 for a span of 255),
    multiplied, and meaned with the larger of the two congruencies as weight. Images are first reduced to about 256
    pixels on the shorter side. How they are reduced, and what lies beyond their borders (black, for gradients too), is
    as in the authors' own program (`FeatureSIM`), whose values these are.

    Takes (N, C, H, W), C = 1 or 3 (RGB), of any dtype, in encoded light, which spans `data_range` (never guessed);
    computes in `dtype`. Gives float64 (N,), 1 for equal images. Raises InputError where a side is below 16 pixels.
    """
    windows.require("FSIM", sharp_NCHW, SMALLEST)
    pair = windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype, span=255.0)
    factor = max(1, math.floor(min(sharp_NCHW.shape[2:]) / 256 + 0.5))
    both_NHW = _reduced(torch.cat([windows.luma(image)[:, 0] for image in pair]), factor)
    congruency_x, congruency_y = phase_congruency(both_NHW).chunk(2)
    gradient_x, gradient_y = _gradient(both_NHW).chunk(2)
    similarity = _similarity(congruency_x, congruency_y, T1) * _similarity(gradient_x, gradient_y, T2)
    weight = torch.maximum(congruency_x, congruency_y)
    total = weight.flatten(1).sum(dim=1).double()
    found = (similarity * weight).flatten(1).sum(dim=1).double() / total.clamp(min=1e-12)
    # Without any feature there is nothing to weigh with.
    return torch.where(total > 0, found, similarity.flatten(1).mean(dim=1).double())


def _reduced(images_NHW: torch.Tensor, factor: int) -> torch.Tensor:
    """Every `factor`-th pixel, from the first on, of images smoothed by a square of that side, black beyond them."""
    before = (factor - 1) // 2
    after = [-(side + before) % factor for side in images_NHW.shape[1:]]
    padded = functional.pad(images_NHW, (before, after[1], before, after[0]))
    sides = [-(-side // factor) for side in images_NHW.shape[1:]]
    return functional.avg_pool2d(padded[:, None], factor)[:, 0, : sides[0], : sides[1]]


def phase_congruency(images_NHW: torch.Tensor) -> torch.Tensor:
    """Phase congruency (Kovesi 1999, in the form of Zhang et al., equation 3) in [0, 1]: (N, H, W).

    Energy of four log-Gabor scales in four orientations, less what noise alone would give (from the median power of
    the finest scale, taken for Rayleigh), over the sum of their amplitudes.
    """
    filters = _filters(*images_NHW.shape[1:], images_NHW.device, images_NHW.dtype)
    share = _noise_share(*images_NHW.shape[1:])
    spectrum = torch.fft.fft2(images_NHW)
    energy = torch.zeros_like(images_NHW)
    amplitudes = torch.zeros_like(images_NHW)
    for filters_SHW, noise in zip(filters, share, strict=True):
        responses = torch.fft.ifft2(spectrum[:, None] * filters_SHW)
        even, odd = responses.real, responses.imag
        amplitude = responses.abs()
        mean_even, mean_odd = even.sum(dim=1, keepdim=True), odd.sum(dim=1, keepdim=True)
        length = torch.hypot(mean_even, mean_odd) + _TINY
        mean_even, mean_odd = mean_even / length, mean_odd / length
        along = even * mean_even + odd * mean_odd
        across = (even * mean_odd - odd * mean_even).abs()
        found = (along - across).sum(dim=1)
        # The median of a Rayleigh distribution is what it takes to know all of it.
        threshold_N = noise * amplitude[:, 0].flatten(1).median(dim=1).values
        energy += (found - threshold_N[:, None, None]).clamp(min=0)
        amplitudes += amplitude.sum(dim=1)
    return energy / (amplitudes + _TINY)


@functools.lru_cache(maxsize=4)
def _noise_share(height: int, width: int) -> tuple[float, ...]:
    """For each orientation: the energy that noise alone stays below (mean and two sigmas of a Rayleigh distribution),
    for a median amplitude of 1 at the finest scale.
    """
    found = []
    for filters_SHW in _filters(height, width, torch.device("cpu"), torch.float64):
        power = 1 / math.log(2) / float(filters_SHW[0].square().sum())
        # Noise energy of the sum over scales, from the overlap of the real parts of the filters (Parseval).
        mirrored = torch.flip(filters_SHW, (1, 2)).roll((1, 1), (1, 2))
        tau = math.sqrt(power * float((filters_SHW + mirrored).sum(dim=0).div(2).square().sum()))
        mean, sigma = tau * math.sqrt(math.pi / 2), tau * math.sqrt(2 - math.pi / 2)
        found.append((mean + _NOISE_SIGMAS * sigma) / _NOISE_SHARE)
    return tuple(found)


@functools.lru_cache(maxsize=4)
def _filters(height: int, width: int, device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Log-Gabor filters in FFT order, (S, H, W) for each orientation."""
    rows, columns = _frequencies(height).view(-1, 1), _frequencies(width).view(1, -1)
    radius, angle = torch.hypot(rows, columns), torch.atan2(-rows, columns)
    low = 1 / (1 + (radius / 0.45) ** 30)
    radius[0, 0] = 1.0
    radial = []
    for scale in range(SCALES):
        ratio = radius * SHORTEST * 2**scale
        each = torch.exp(-torch.log(ratio).square() / (2 * math.log(_BANDWIDTH) ** 2)) * low
        each[0, 0] = 0.0
        radial.append(each)
    sigma = math.pi / ORIENTATIONS / _ANGULAR
    filters = []
    for orientation in range(ORIENTATIONS):
        turned = angle - math.pi * orientation / ORIENTATIONS
        distance = torch.atan2(turned.sin(), turned.cos()).abs()
        spread = torch.exp(-distance.square() / (2 * sigma**2))
        filters.append((torch.stack(radial) * spread).to(device, dtype))
    return tuple(filters)


def _frequencies(side: int) -> torch.Tensor:
    """Cycles a pixel in FFT order; for odd sides the program divides by one pixel less, and so do we."""
    cycles: torch.Tensor = torch.fft.fftfreq(side, 1 / side, dtype=torch.float64) / (side - side % 2)
    return cycles


def _gradient(images_NHW: torch.Tensor) -> torch.Tensor:
    """Magnitude of Scharr's 3x3 gradient, black beyond the borders: (N, H, W)."""
    padded = functional.pad(images_NHW, (1, 1, 1, 1))
    rows = (3 * (padded[:, :-2] + padded[:, 2:]) + 10 * padded[:, 1:-1]) / 16
    columns = (3 * (padded[:, :, :-2] + padded[:, :, 2:]) + 10 * padded[:, :, 1:-1]) / 16
    return torch.hypot(rows[:, :, 2:] - rows[:, :, :-2], columns[:, 2:] - columns[:, :-2])


def _similarity(x: torch.Tensor, y: torch.Tensor, constant: float) -> torch.Tensor:
    return (2 * x * y + constant) / (x.square() + y.square() + constant)
