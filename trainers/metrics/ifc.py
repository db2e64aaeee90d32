"""The information fidelity criterion.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import torch

from trainers.metrics import vif, windows

TOLERANCE = 1e-10
"""Added to the variance of the distortion, so that equal images have a finite criterion."""


def ifc(
    restored_NCHW: torch.Tensor,
    sharp_NCHW: torch.Tensor,
    *,
    data_range: float,
    dtype: torch.dtype = torch.float64,  # noqa: ARG001
) -> torch.Tensor:
    """Information fidelity criterion (Sheikh, Bovik and de Veciana 2005, equation 12) of the luma, in bits a pixel.

    Mutual information between the bands of the sharp and the restored image, summed over bands and divided by the
    number of pixels: the bands, blocks and windows of `vif`, with no noise of the eye. That is the authors' own
    program (vectors of 3x3, eight bands), which they say differs from what the paper reports; filters are `vif`'s.

    Takes (N, C, H, W), C = 1 or 3 (RGB), of any dtype, in encoded light, which spans `data_range` (never guessed);
    computes in float64 whatever `dtype` says, because TOLERANCE lies below what float32 rounds. Gives float64 (N,),
    from 0; tens of bits for equal images, where only `TOLERANCE` limits it,
    so that the value of nearly equal images means little. Raises InputError where a side is below 80 pixels.
    """
    windows.require("IFC", sharp_NCHW, vif.SMALLEST)
    height, width = sharp_NCHW.shape[2:]
    fitted = vif.mixtures(restored_NCHW, sharp_NCHW, data_range, torch.float64)
    return torch.stack([each.bits(TOLERANCE) for each in fitted]).sum(dim=0) / (height * width)
