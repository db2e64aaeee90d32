"""Complex-wavelet structural similarity: as published, and as one public program computes it.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import math
from collections.abc import Iterator

import torch

from trainers.metrics import steerable_pyramid, windows

LEVELS = 6
ORIENTATIONS = 16
SIDE = 7
SMALLEST = 193

_CONSTANT = 0.01
_WIDTHS = 30


def cw_ssim(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """CW-SSIM (Sampat et al. 2009, equation 6; Wang and Simoncelli 2005) of the luma.

    (2 |sum c_x conj(c_y)| + k) / (sum |c_x|^2 + sum |c_y|^2 + k) in 7x7 windows of complex coefficients, k = 0.01, of
    the coarsest of six levels of a steerable pyramid with sixteen orientations; the mean over windows, weighted with a
    Gaussian whose sigma is a quarter of the band's height, then over orientations. Blind to small shifts by design, and
    to small blur: the waves it looks at are longer than 64 pixels. Levels, weights and pyramid are those of the
    authors' own program, whose values these are (there k is an option).

    Takes (N, C, H, W), C = 1 or 3 (RGB), of any dtype, in encoded light, which spans `data_range` (never guessed);
    computes in `dtype`. Gives float64 (N,), 1 for equal images. Raises InputError where a side is below 193 pixels:
    the band has to hold a window.
    """
    windows.require("CW-SSIM", sharp_NCHW, SMALLEST)
    pair = windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype, span=255.0)
    both = torch.cat([windows.luma(image)[:, 0] for image in pair])
    found = steerable_pyramid.coarsest(both, levels=LEVELS, orientations=ORIENTATIONS)
    x_KNHW, y_KNHW = found.chunk(2, dim=1)
    return torch.stack([_similarity(x, y) for x, y in zip(x_KNHW, y_KNHW, strict=True)]).mean(dim=0)


def _similarity(x_NHW: torch.Tensor, y_NHW: torch.Tensor) -> torch.Tensor:
    ones = [1.0] * SIDE
    product = x_NHW * y_NHW.conj()
    parts = torch.stack([product.real, product.imag, x_NHW.abs().square() + y_NHW.abs().square()], dim=1)
    real, imaginary, powers = windows.means(parts, ones).unbind(1)
    index = (2 * torch.hypot(real, imaginary) + _CONSTANT) / (powers + _CONSTANT)
    weights = [_gaussian(side, x_NHW.shape[1] / 4).to(index) for side in index.shape[1:]]
    return torch.einsum("nhw,h,w->n", index, *weights).double()


def _gaussian(side: int, sigma: float) -> torch.Tensor:
    """Weights that sum to 1, centred between the ends."""
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    weights = torch.exp(-0.5 * (place / sigma).square())
    return weights / weights.sum()


def cw_ssim_pyssim(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """What `pyssim --cw` prints, with which DeblurGAN's published SSIM agrees (its issue 111); not the index above.

    The luma is read as one long row of pixels and convolved with Mexican hats of widths 1 to 30: no complex wavelet,
    no second dimension, and neighbouring pixels of different rows touch. Per pixel, over the widths: (2 sum |a b| + k)
    / (sum a^2 + sum b^2 + k) times (2 |sum a b| + k) / (2 sum |a b| + k), k = 0.01; then the mean. Luma is rounded to
    8 bits, as there.

    Takes (N, C, H, W), C = 1 or 3 (RGB), of any dtype, in encoded light, which spans `data_range` (never guessed);
    computes in `dtype`. Gives float64 (N,), 1 for equal images.
    """
    pair = windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype, span=255.0)
    x, y = (windows.luma(image).flatten(1).round() for image in pair)
    powers, magnitudes, products = (torch.zeros_like(x) for _ in range(3))
    # Room for the longest hat, up to a power of two: Fourier transforms of odd lengths are many times slower.
    size = 1 << (x.shape[1] + 10 * _WIDTHS).bit_length()
    spectra = torch.fft.rfft(x, size), torch.fft.rfft(y, size)
    for width in range(1, _WIDTHS + 1):
        a, b = _hats(spectra, size, x, width)
        powers += a.square() + b.square()
        magnitudes += (a * b).abs()
        products += a * b
    first = (2 * magnitudes + _CONSTANT) / (powers + _CONSTANT)
    second = (2 * products.abs() + _CONSTANT) / (2 * magnitudes + _CONSTANT)
    return (first * second).mean(dim=1).double()


def _hats(
    spectra: tuple[torch.Tensor, torch.Tensor], size: int, signal_NP: torch.Tensor, width: int
) -> Iterator[torch.Tensor]:
    """Each convolved with a Mexican hat over min(10 width, P) pixels, zeros beyond the ends: (N, P), the central part.

    `spectra` are those of the signals, filled up with zeros to `size`.
    """
    length = signal_NP.shape[1]
    points = min(10 * width, length)
    place = torch.arange(points, dtype=torch.float64) - (points - 1) / 2
    scaled = (place / width).square()
    amplitude = 2 / (math.sqrt(3 * width) * math.pi**0.25)
    hat = torch.fft.rfft((amplitude * (1 - scaled) * torch.exp(-scaled / 2)).to(signal_NP), size)
    first = (points - 1) // 2
    return (torch.fft.irfft(spectrum * hat, size)[:, first : first + length] for spectrum in spectra)
