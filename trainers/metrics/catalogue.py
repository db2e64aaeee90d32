"""Every metric by the name that tables and options use, and those that cannot be computed, with the reason."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import torch

from trainers.metrics import cw_ssim, fsim, ifc, ms_ssim, psnr_ssim, uiqi, vif, vif_pixel


class Function(Protocol):
    """A metric of N images of the restored and the sharp: float64 (N,), on their device.

    `dtype` is what to compute in; metrics that float32 does not carry take float64 whatever it says.
    """

    def __call__(
        self, restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, *, data_range: float, dtype: torch.dtype = ...
    ) -> torch.Tensor: ...


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric: its heading in a table, its function, the places after the point, and what it looks at.

    All of them are better when larger.
    """

    title: str
    function: Function
    places: int
    light: str


_CHANNELS = "each of R, G, B, then the mean"

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "psnr": Metric("PSNR (dB)", psnr_ssim.psnr, 2, "all values of R, G, B together"),
        "ssim": Metric("SSIM", psnr_ssim.ssim, 4, _CHANNELS),
        "ms-ssim": Metric("MS-SSIM", ms_ssim.ms_ssim, 4, _CHANNELS),
        "fsim": Metric("FSIM", fsim.fsim, 4, "luma"),
        "uiqi": Metric("UIQI", uiqi.uiqi, 4, _CHANNELS),
        "ifc": Metric("IFC (bit/px)", ifc.ifc, 4, "luma"),
        "vif": Metric("VIF", vif.vif, 4, "luma"),
        "vifp": Metric("VIFp", vif_pixel.vif_pixel, 4, _CHANNELS),
        "cw-ssim": Metric("CW-SSIM", cw_ssim.cw_ssim, 6, "luma"),
        "cw-ssim-pyssim": Metric("CW-SSIM (pyssim)", cw_ssim.cw_ssim_pyssim, 4, "luma"),
    }
)

MISSING: Mapping[str, str] = MappingProxyType(
    {
        "norm-nr": "The no-reference measure of Liu et al. 2013 is an unbounded sum of eight features; the table "
        "has it scaled to values below 1, in a way that the paper does not state, so its cells stay empty."
    }
)
"""Metrics of the papers' tables that are not computed, and why."""
