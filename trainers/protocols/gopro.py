"""Protocols that compare an image with one aligned ground truth, pixel by pixel."""

from collections.abc import Iterable, Sequence

import numpy as np
import PIL.Image
import torch

from blursynth import errors
from trainers.metrics import windows
from trainers.protocols import protocol

PLACES_SIDE = 256


def gopro_rgb(
    restored: protocol.Image, truths: Iterable[protocol.Image], names: Sequence[str], device: torch.device
) -> protocol.Scored:
    """Nah et al. 2017: clamped and rounded 8-bit RGB, range 255; each image by itself, the mean over images after.

    PSNR from the mean squared error over R, G and B together; SSIM with an 11x11 Gaussian window (sigma 1.5),
    population covariance, windows inside the image, mean over R, G, B. Further metrics as their functions say.
    """
    sharp = protocol.only(truths, restored)
    return protocol.measure(protocol.tensor(restored, device), protocol.tensor(sharp, device), names)


def gopro_y(
    restored: protocol.Image, truths: Iterable[protocol.Image], names: Sequence[str], device: torch.device
) -> protocol.Scored:
    """The same on luma alone: 0.299 R + 0.587 G + 0.114 B of the 8-bit values, full range (0 to 255), not rounded.

    Papers that take Y of MATLAB's `rgb2ycbcr` score the same luma squeezed into 16 to 235 under a peak of 255: their
    PSNR is 20 log10(255 / 219) = 1.32 dB higher.
    """
    sharp = protocol.only(truths, restored)
    x_NCHW, y_NCHW = (windows.luma(protocol.tensor(image, device).float()) for image in (restored, sharp))
    return protocol.measure(x_NCHW, y_NCHW, names)


def places_synthetic(
    restored: protocol.Image, truths: Iterable[protocol.Image], names: Sequence[str], device: torch.device
) -> protocol.Scored:
    """Ramakrishnan et al. 2017, Table 3: photos of 256x256 that were blurred non-uniformly, scored as `gopro_rgb`.

    Which photos they took, and their blur, were never published. InputError for another size.
    """
    if restored.shape[:2] != (PLACES_SIDE, PLACES_SIDE):
        height, width = restored.shape[:2]
        raise errors.InputError(
            f"places-synthetic scores images of {PLACES_SIDE}x{PLACES_SIDE}, this one is {width}x{height}; make the "
            f"dataset with --size {PLACES_SIDE}, or use gopro-rgb."
        )
    return gopro_rgb(restored, truths, names, device)


def halved(image: protocol.Image) -> protocol.Image:
    """Half the size, with Pillow's bicubic filter on the 8-bit values; a side's odd last pixel is part of the scaling.

    DeblurGAN's public test code scales GOPRO's 1280x720 to 640x360 so, blurred and sharp, before it restores.
    """
    height, width = image.shape[:2]
    size = max(1, width // 2), max(1, height // 2)
    return np.array(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BICUBIC))


PROTOCOLS = (
    protocol.Protocol(
        "gopro-rgb", 2, "8-bit RGB at full size, mean of the images' values (Nah et al. 2017)", gopro_rgb
    ),
    protocol.Protocol("gopro-y", 2, "luma (BT.601, full range, not rounded) at full size", gopro_y),
    protocol.Protocol(
        "deblurgan-half",
        2,
        "blurred and sharp images halved (bicubic) before restoring, then as gopro-rgb; DeblurGAN's published SSIM "
        "agrees with cw-ssim-pyssim",
        gopro_rgb,
        ("psnr", "ssim", "cw-ssim-pyssim"),
        prepare=halved,
    ),
    protocol.Protocol(
        "places-synthetic",
        2,
        "256x256 photos with non-uniform blur, as gopro-rgb (Ramakrishnan et al. 2017, Table 3)",
        places_synthetic,
        ("psnr", "ssim", "ms-ssim", "fsim", "uiqi", "ifc", "vif"),
    ),
)
