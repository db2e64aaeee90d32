"""The protocol of RealBlur (Rim et al. 2020): a homography found by ECC, then masked scores.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy import typing as npt

from blursynth.media import opencv
from trainers.metrics import psnr_ssim
from trainers.protocols import protocol

ITERATIONS = 100
_GAUSSIAN = 5  # side of the filter that ECC smooths with

Float = npt.NDArray[np.float32]


def align(restored: Float, sharp: Float) -> tuple[Float, npt.NDArray[np.bool_], bool]:
    """The restored image on the sharp one's grid, where it has content, and whether a homography was found.

    float32 (H, W, 3), encoded light in [0, 1]. The restored image is first scaled by sum(x z) / sum(z^2). The
    homography that maximises the enhanced correlation coefficient of the grey images (Evangelidis and Psarakis 2008;
    at most 100 iterations, 5x5 smoothing) warps it with bicubic interpolation. Where the iteration fails, the
    identity is kept.
    """
    cv2 = opencv.load("The protocol realblur-ecc needs it")
    power = float(np.square(restored, dtype=np.float64).sum())
    scale = float((sharp.astype(np.float64) * restored).sum()) / power if power else 1.0
    scaled = (restored * scale).astype(np.float32)
    greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (sharp, scaled)]
    size = sharp.shape[1], sharp.shape[0]
    matrix = np.eye(3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, 0)
    try:
        reached, matrix = cv2.findTransformECC(*greys, matrix, cv2.MOTION_HOMOGRAPHY, criteria, None, _GAUSSIAN)
        # Images without texture come back as "converged", with a coefficient that is no number.
        found = math.isfinite(reached) and bool(np.isfinite(matrix).all())
    except cv2.error:
        found = False
    if not found:
        matrix = np.eye(3, dtype=np.float32)
    warped = cv2.warpPerspective(
        scaled, matrix, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
    )
    ones = np.ones(sharp.shape[:2], np.float32)
    inside = cv2.warpPerspective(ones, matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return warped, inside > 0, found


def realblur_ecc(
    restored: protocol.Image, truths: Iterable[protocol.Image], names: Sequence[str], device: torch.device
) -> protocol.Scored:
    """PSNR from the squared error inside the mask; SSIM the mean of its map inside the mask, over R, G, B.

    Both images are zeroed outside. Other metrics than these two are not part of the protocol: their cells stay empty.
    `notes` has the masked share and whether ECC converged.
    """
    sharp = protocol.only(truths, restored)
    target = sharp.astype(np.float32) / np.float32(255)
    warped, inside, found = align(restored.astype(np.float32) / np.float32(255), target)
    mask = torch.from_numpy(inside).to(device)
    x_NCHW, y_NCHW = (
        (torch.from_numpy(image).to(device).double().permute(2, 0, 1) * mask)[None] for image in (warped, target)
    )
    counted = int(mask.sum()) * 3
    error = float((x_NCHW - y_NCHW).square().sum()) / counted if counted else math.nan
    own = {"psnr": 10 * math.log10(1 / error) if error else math.inf}
    missing = {name: "realblur-ecc defines PSNR and SSIM alone." for name in names if name not in ("psnr", "ssim")}
    if min(sharp.shape[:2]) >= psnr_ssim.SIDE:
        luminance, structure = psnr_ssim.similarity(x_NCHW, y_NCHW)
        border = psnr_ssim.SIDE // 2
        inner = mask[border:-border, border:-border]
        own["ssim"] = float((luminance * structure * inner).sum() / (inner.sum() * 3))
    values = {name: own[name] for name in names if name in own}
    return protocol.Scored(values, missing, {"inside": float(inside.mean()), "converged": float(found)})


PROTOCOLS = (
    protocol.Protocol(
        "realblur-ecc",
        1,
        "aligned by an ECC homography, scored inside its mask (Rim et al. 2020); also called Köhler's, which it is not",
        realblur_ecc,
    ),
)
