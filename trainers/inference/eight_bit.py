"""Convert images of 8 bits a channel to a network's tensors, and restored tensors back.

Legend of tensor names: N = 1 image, C = 3 channels (R, G, B), H rows, W columns.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy import typing as npt

Image = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), RGB, encoded values."""


def restore(network: Callable[[torch.Tensor], torch.Tensor], blurred: Image, device: torch.device) -> Image:
    """Restore an image with a network that takes and gives float32 (1, 3, H, W) in [0, 1]."""
    return to_image(network(to_tensor(blurred, device)))


def to_tensor(image: Image, device: torch.device) -> torch.Tensor:
    """Convert to float32 (1, 3, H, W) in [0, 1] on the device, contiguous."""
    return (
        torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].contiguous().float().div_(255)
    )


def to_image(restored_NCHW: torch.Tensor) -> Image:
    """Clamp float (1, 3, H, W), nominally in [0, 1], and round it to 8 bits."""
    rounded = restored_NCHW[0].mul(255).round().clamp(0, 255).to(torch.uint8)
    image: Image = rounded.permute(1, 2, 0).contiguous().cpu().numpy()
    return image
