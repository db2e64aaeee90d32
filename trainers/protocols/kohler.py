"""The protocol of the benchmark of Köhler et al. 2012: the best of some 199 ground truths, after scale and shift.

Legend of tensor names: C channels, H rows, W columns.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import torch

from blursynth import errors
from trainers.metrics import ms_ssim, windows
from trainers.protocols import protocol

_BEST = ("ms-ssim", "ifc", "vif")
"""Metrics beside PSNR that the benchmark has, each the best over all ground truths by itself."""


@dataclasses.dataclass(frozen=True)
class Aligned:
    """A restored image brought onto a ground truth: lumas (H, W), 0 to 255, zero where the shift left nothing."""

    restored_HW: torch.Tensor
    sharp_HW: torch.Tensor
    scale: float
    down: int
    right: int

    @property
    def psnr(self) -> float:
        """Peak 255 over the mean squared error of the whole frame; the zeroed border counts as error-free."""
        error = (self.restored_HW - self.sharp_HW).square().mean().item()
        return 10 * math.log10(255**2 / error) if error else math.inf

    @property
    def pair(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Restored and sharp, (1, 1, H, W)."""
        return self.restored_HW[None, None], self.sharp_HW[None, None]


def align(restored_CHW: torch.Tensor, sharp_CHW: torch.Tensor) -> Aligned:
    """As the benchmark's own program does, float64 (3, H, W), 0 to 255.

    First one global intensity scale, sum(x z) / sum(z^2) over all pixels and channels (x sharp, z restored, not yet
    shifted). Then the whole-pixel shift with the largest circular cross-correlation of the channel means. What the
    shift leaves empty becomes 0 in the restored image, and is masked to 0 in the sharp one.
    """
    power = restored_CHW.square().sum()
    scale = float((sharp_CHW * restored_CHW).sum() / power) if power > 0 else 1.0
    scaled = restored_CHW * scale
    spectra = [torch.fft.rfft2(image.mean(dim=0)) for image in (sharp_CHW, scaled)]
    height, width = sharp_CHW.shape[1:]
    correlation = torch.fft.irfft2(spectra[0] * spectra[1].conj(), s=(height, width))
    row, column = divmod(int(correlation.argmax()), width)
    down = row - height if row > height // 2 else row
    right = column - width if column > width // 2 else column
    shifted = torch.zeros_like(scaled)
    masked = torch.zeros_like(sharp_CHW)
    here = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    there = slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0))
    shifted[:, *here] = scaled[:, *there]
    masked[:, *here] = sharp_CHW[:, *here]
    restored_HW, sharp_HW = (windows.luma(image[None])[0, 0] for image in (shifted, masked))
    return Aligned(restored_HW, sharp_HW, scale, down, right)


def kohler_2012(
    restored: protocol.Image, truths: Iterable[protocol.Image], names: Sequence[str], device: torch.device
) -> protocol.Scored:
    """The benchmark's evaluation: each metric that it has, on luma, the best over the ground truths.

    These are PSNR, MS-SSIM (Nah et al.'s "MSSIM", as the benchmark's program computes it: see
    `ms_ssim.separate_means`), IFC and VIF, the last two at the price of as many evaluations as there are ground truths.
    Luma is 0.299 R + 0.587 G + 0.114 B, peak 255. Other metrics, which the benchmark does not have, are those of the
    ground truth with the best PSNR. `notes` has that frame's number (from 0), shift (px, down and right) and scale.
    Plain PSNR of the same images is several dB lower.
    """
    restored_CHW = protocol.tensor(restored, device)[0].double()
    own = [name for name in names if name in _BEST]
    best: Aligned | None = None
    best_frame = -1
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    for frame, truth in enumerate(truths):
        protocol.require_same_size(restored, truth)
        found = align(restored_CHW, protocol.tensor(truth, device)[0].double())
        scored = _scored(found, [name for name in own if name not in missing])
        missing |= scored.missing
        values |= {name: max(value, values.get(name, -math.inf)) for name, value in scored.values.items()}
        if best is None or found.psnr > best.psnr:
            best, best_frame = found, frame
    if best is None:
        raise errors.InputError("There is no ground truth for this image; kohler-2012 needs some 199 of them.")
    others = protocol.measure(*best.pair, [name for name in names if name not in own and name != "psnr"])
    values |= {"psnr": best.psnr, **others.values}
    notes = {"frame": best_frame, "down": best.down, "right": best.right, "scale": best.scale}
    return protocol.Scored(
        {name: values[name] for name in names if name in values}, missing | dict(others.missing), notes
    )


def _scored(found: Aligned, names: Sequence[str]) -> protocol.Scored:
    """The benchmark's metrics, but for PSNR, of an aligned pair."""
    values, missing = {}, {}
    if "ms-ssim" in names:
        try:
            values["ms-ssim"] = float(ms_ssim.separate_means(*found.pair, data_range=255, dtype=torch.float32)[0])
        except errors.InputError as error:
            missing["ms-ssim"] = str(error)
    others = protocol.measure(*found.pair, [name for name in names if name != "ms-ssim"])
    return protocol.Scored(values | dict(others.values), missing | dict(others.missing))


PROTOCOLS = (
    protocol.Protocol(
        "kohler-2012",
        3,
        "best of all ground truths after one intensity scale and a whole-pixel shift; luma, zeroed border counted, "
        "MS-SSIM with a 9/7 wavelet low-pass and separate means (the benchmark's own evaluation)",
        kohler_2012,
        ("psnr", "ms-ssim"),
        truths=True,
    ),
)
