"""What a protocol is: everything between a restored image and its scores, under a name and a version.

Legend of tensor names: N images, C channels, H rows, W columns.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy import typing as npt

from blursynth import errors
from trainers.metrics import catalogue

Image = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), RGB, encoded light."""


@dataclasses.dataclass(frozen=True)
class Scored:
    """The scores of one image by metric; `missing` says why a metric has none; `notes` is what alignment found."""

    values: Mapping[str, float]
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, float] = dataclasses.field(default_factory=dict)


Score = Callable[[Image, Iterable[Image], Sequence[str], torch.device], Scored]
"""(restored, ground truths, metric names, device) -> scores. Most protocols take one ground truth."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to score, which changes only together with its version.

    `metrics` are those it was made for, in the order of a table; `truths` whether an item has several ground truths;
    `prepare` what is done to blurred and sharp images before anything else. `about` is one sentence for tables.
    """

    name: str
    version: int
    about: str
    score: Score
    metrics: tuple[str, ...] = ("psnr", "ssim")
    truths: bool = False
    prepare: Callable[[Image], Image] | None = None

    @property
    def label(self) -> str:
        """What stands beside every number: "gopro-rgb v2"."""
        return f"{self.name} v{self.version}"

    def prepared(self, image: Image) -> Image:
        """An image as the protocol wants it before restoring."""
        return image if self.prepare is None else self.prepare(image)


def measure(
    restored_NCHW: torch.Tensor, sharp_NCHW: torch.Tensor, names: Sequence[str], data_range: float = 255.0
) -> Scored:
    """The metrics called `names` of one pair (N = 1), computed in float32 where that is enough."""
    values, missing = {}, {}
    for name in names:
        if name in catalogue.MISSING:
            missing[name] = catalogue.MISSING[name]
            continue
        metric = catalogue.METRICS[name]
        try:
            found = metric.function(restored_NCHW, sharp_NCHW, data_range=data_range, dtype=torch.float32)
        except errors.InputError as error:
            missing[name] = str(error)
        else:
            values[name] = float(found[0])
    return Scored(values, missing)


def tensor(image: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """uint8 (1, 3, H, W) on the device."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].contiguous()


def only(truths: Iterable[Image], restored: Image) -> Image:
    """The one ground truth of an item, of the restored image's size."""
    found = list(truths)
    assert len(found) == 1, f"{len(found)} ground truths"
    require_same_size(restored, found[0])
    return found[0]


def require_same_size(restored: Image, sharp: Image) -> None:
    """InputError where the two differ in size: nothing is cut or scaled in silence."""
    if restored.shape != sharp.shape:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (restored, sharp)]
        raise errors.InputError(
            f"The image to score is {sizes[0]} and the sharp one {sizes[1]}; scores compare images of one size."
        )
