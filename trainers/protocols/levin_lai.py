"""The protocol of Levin et al. and Lai et al.: the best of many small shifts.

Legend of tensor names: H rows, W columns of a window.
"""

from collections.abc import Iterable, Sequence

import torch
from torch.nn import functional

from blursynth import errors
from trainers.metrics import windows
from trainers.protocols import protocol

CROP = 15
"""Pixels that are cut from each side of the sharp image."""

REACH = 10
"""Largest shift in pixels, each way."""

PARTS = 4
"""Shifts are multiples of 1 / PARTS of a pixel."""


def align(restored_HW: torch.Tensor, sharp_HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float, float]:
    """The restored image's window that is nearest to the sharp one's, that one, and the shift (down, right) in pixels.

    The sharp image loses `CROP` pixels on each side; the restored one is read at every shift of at most `REACH`
    pixels in steps of 1 / PARTS, bilinearly; the smallest sum of squared differences wins, on ties the smallest shift.
    float64 (H, W). The shift says where in the restored image the sharp one's content is found.
    """
    inner = sharp_HW[CROP:-CROP, CROP:-CROP]
    best: tuple[float, float, torch.Tensor, float, float] | None = None
    for part_down in range(PARTS):
        for part_right in range(PARTS):
            moved = _between(restored_HW, part_down / PARTS, part_right / PARTS)
            errors_HW = _squared_differences(moved, inner)
            smallest = float(errors_HW.min())
            # Rounding must not choose between equals.
            for row, column in (errors_HW <= smallest + 1e-9 * (1 + smallest)).nonzero().tolist():
                down = row - REACH + part_down / PARTS
                right = column - REACH + part_right / PARTS
                if max(abs(down), abs(right)) > REACH:
                    continue
                top, left = row + CROP - REACH, column + CROP - REACH
                window = moved[top : top + inner.shape[0], left : left + inner.shape[1]]
                key = float((window - inner).square().sum()), down**2 + right**2
                if best is None or key < best[:2]:
                    best = (*key, window, down, right)
    assert best is not None
    return best[2], inner, best[3], best[4]


def _between(image_HW: torch.Tensor, down: float, right: float) -> torch.Tensor:
    """The image read at (row + down, column + right), both in [0, 1), bilinearly; the last row and column repeated."""
    padded = functional.pad(image_HW[None, None], (0, 1, 0, 1), mode="replicate")[0, 0]
    rows = (1 - down) * padded[:-1] + down * padded[1:]
    return (1 - right) * rows[:, :-1] + right * rows[:, 1:]


def _squared_differences(moved_HW: torch.Tensor, inner_HW: torch.Tensor) -> torch.Tensor:
    """Sums of squared differences for whole shifts of -REACH .. REACH: (2 REACH + 1, 2 REACH + 1)."""
    margin = CROP - REACH
    reached = moved_HW[margin:-margin, margin:-margin]
    size = tuple(reached.shape)
    spectrum = torch.fft.rfft2(reached) * torch.fft.rfft2(inner_HW, s=size).conj()
    shifts = 2 * REACH + 1
    products = torch.fft.irfft2(spectrum, s=size)[:shifts, :shifts]
    sums = functional.pad(reached.square().cumsum(0).cumsum(1), (1, 0, 1, 0))
    height, width = inner_HW.shape
    powers: torch.Tensor = (
        sums[height : height + shifts, width : width + shifts]
        - sums[:shifts, width : width + shifts]
        - sums[height : height + shifts, :shifts]
        + sums[:shifts, :shifts]
    )
    return powers.sub_(products, alpha=2).add_(inner_HW.square().sum())


def levin_lai_shift(
    restored: protocol.Image, truths: Iterable[protocol.Image], names: Sequence[str], device: torch.device
) -> protocol.Scored:
    """Luma, 15 px cut from each side, the best shift within +-10 px in steps of 0.25 px, then the metrics.

    Luma is 0.299 R + 0.587 G + 0.114 B of the 8-bit values, not rounded, range 255. `notes` has the shift. InputError
    where a side is below 31 pixels.
    """
    sharp = protocol.only(truths, restored)
    if min(sharp.shape[:2]) <= 2 * CROP:
        raise errors.InputError(
            f"levin-lai-shift cuts {CROP} pixels from each side, and the image is only "
            f"{sharp.shape[1]}x{sharp.shape[0]}; use larger images."
        )
    lumas = (windows.luma(protocol.tensor(image, device).double())[0, 0] for image in (restored, sharp))
    window, inner, down, right = align(*lumas)
    scored = protocol.measure(window[None, None], inner[None, None], names)
    return protocol.Scored(scored.values, scored.missing, {"down": down, "right": right})


PROTOCOLS = (
    protocol.Protocol(
        "levin-lai-shift",
        2,
        "luma, 15 px cropped, best shift within +-10 px in 0.25 px steps (Levin et al. 2009, Lai et al. 2016)",
        levin_lai_shift,
    ),
)
