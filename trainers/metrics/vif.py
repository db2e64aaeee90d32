"""Visual information fidelity, in the wavelet domain as published.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

from collections.abc import Iterator

import torch

from trainers.metrics import gaussian_scale_mixture, windows

NOISE = 0.4
"""Variance of the eye's noise in every band, for images that span 255."""

SMALLEST = 80

_LEAST = 1e-5
"""Variance in the direction in which a band varies least, for a span of 255, that float32 still tells from rounding."""


def vif(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Visual information fidelity (Sheikh and Bovik 2006, equation 16) of the luma.

    Information that the restored image has of the sharp one, over what the sharp one has of itself, both seen through
    the eye's noise of variance 0.4: vectors of 3x3 coefficients of the horizontal and vertical bands of a steerable
    pyramid with four levels and six orientations. The distortion channel is estimated in windows of 17, 9, 5 and 3
    coefficients a side, from the finest level to the coarsest; blocks whose window leaves the band are left out. Bands,
    windows and blocks are those of the authors' own program (`vifvec`), whose values these are. Implementations with
    another pyramid, such as one cut out of the Fourier plane, give other values (0.43 where this gives 0.50).

    Takes (N, C, H, W), C = 1 or 3 (RGB), of any dtype, in encoded light, which spans `data_range` (never guessed);
    computes in `dtype`, and in float64 on a GPU and where the sharp image is so smooth or regular that float32 would
    not do. Gives float64 (N,): 0 for nothing kept, 1 for equal images, above 1 where contrast was raised. Raises
    InputError where a side is below 80 pixels.
    """
    windows.require("VIF", sharp_NCHW, SMALLEST)
    kept = torch.zeros(len(sharp_NCHW), dtype=torch.float64, device=sharp_NCHW.device)
    whole = torch.zeros_like(kept)
    if sharp_NCHW.is_cuda:
        # Unless the whole program forbids it, convolutions of float32 keep 10 bits there (TF32).
        dtype = torch.float64
    every = list(mixtures(restored_NCHW, sharp_NCHW, data_range, dtype))
    if any(fitted.eigenvalues.min() < _LEAST for fitted in every):
        every = list(mixtures(restored_NCHW, sharp_NCHW, data_range, torch.float64))
    for fitted in every:
        kept += fitted.bits(NOISE)
        whole += fitted.whole(NOISE)
    # A flat image has no information to lose.
    return torch.where(whole > 0, kept / whole.clamp(min=1e-12), 1.0)


def mixtures(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, data_range: float, dtype: torch.dtype
) -> Iterator[gaussian_scale_mixture.Mixture]:
    """The eight bands that VIF and IFC look at, each as a Gaussian scale mixture, for luma that spans 255."""
    pair = windows.pair(restored_NCHW, sharp_NCHW, data_range, dtype, span=255.0)
    y_NHW, x_NHW = (windows.luma(image)[:, 0] for image in pair)
    both = torch.cat([x_NHW, y_NHW])
    for level, band in gaussian_scale_mixture.bands(both):
        sharp, restored = band.chunk(2)
        yield gaussian_scale_mixture.fit(sharp, restored, 2 ** (gaussian_scale_mixture.LEVELS - level) + 1)
