"""Scores of a method on held-out pairs, while it trains."""

import dataclasses
import logging
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from blursynth import errors
from blursynth.loading import patches
from trainers import metrics, protocols, recipe
from trainers.inference import eight_bit
from trainers.methods import method
from trainers.training import data

_log = logging.getLogger(__name__)

PROTOCOL = protocols.find("gopro-rgb").label
"""Per image on clamped and rounded 8-bit values, then the mean over images: PSNR in dB, SSIM over RGB."""


class HeldOut:
    """The validation pairs of a recipe: whole images, the same ones every time."""

    def __init__(self, section: recipe.Validation, training: data.TrainingData) -> None:
        used = [part.dataset for part in training.parts]
        datasets: list[patches.Readable] = (
            [data.open_pairs(section.path)] if section.path else list(dict.fromkeys(used))
        )
        pairs = [(dataset, int(item)) for dataset in datasets for item in dataset.fixed_items(section.split)]
        if not pairs:
            paths = ", ".join(dataset.path for dataset in datasets)
            raise errors.DatasetError(
                f'There are no pairs in the split "{section.split}" of {paths} to validate on. Make a dataset that has '
                "that split, give validation.path another dataset, or turn validation off: --set validation.images=0."
            )
        _refuse_shared_sources(used, datasets, section)
        data.warn_of_other_light([*used, *datasets])
        chosen = np.linspace(0, len(pairs) - 1, min(section.images, len(pairs))).round().astype(int)
        self._pairs = [pairs[index] for index in chosen]
        self.fingerprints: list[str] = [dataset.fingerprint for dataset in datasets]
        """Of the datasets that the pairs are of: what they are, wherever they lie."""

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[tuple[eight_bit.Image, eight_bit.Image]]:
        """Blurred and sharp."""
        for dataset, item in self._pairs:
            height, width = dataset.shape_of("sharp")[:2]
            pair = dataset.begin_crops(data.IMAGES, np.array([item]), 0, 0, height, width)()
            yield pair["blurred"][0], pair["sharp"][0]


def held_out(section: recipe.Validation, training: data.TrainingData) -> HeldOut | None:
    """The validation pairs; None where the recipe turns validation off, or there is only one photo or clip to train on.

    Then nothing can be held out that training does not see, which a warning says.
    """
    if not section.images:
        return None
    datasets = list(dict.fromkeys(part.dataset for part in training.parts))
    if not section.path and all(_lone(dataset) for dataset in datasets):
        paths = ", ".join(dataset.path for dataset in datasets)
        _log.warning(
            "%s: all pairs come from one photo or clip and are trained on, so that none is held out and nothing is "
            "validated. Give validation.path a dataset from another, or make pairs from several.",
            paths,
        )
        return None
    return HeldOut(section, training)


def _lone(dataset: patches.Readable) -> bool:
    return len(frozenset().union(*map(dataset.source_digests, dataset.splits))) == 1


@dataclasses.dataclass(frozen=True)
class Scores:
    """Means over the validation images, under PROTOCOL; of the restored images and of the blurred ones given."""

    images_scored: int
    psnr: float
    ssim: float
    blurred_psnr: float
    blurred_ssim: float

    def __str__(self) -> str:
        return (
            f"{PROTOCOL}, {self.images_scored} images: restored {self.psnr:.2f} dB, SSIM {self.ssim:.4f}; "
            f"blurred {self.blurred_psnr:.2f} dB, SSIM {self.blurred_ssim:.4f}"
        )


@dataclasses.dataclass(frozen=True)
class Row:
    """One validation image: what was given, what came out, what was wanted; PSNR of the first two in dB."""

    blurred: eight_bit.Image
    restored: eight_bit.Image
    sharp: eight_bit.Image
    blurred_psnr: float
    restored_psnr: float


def evaluate(trained: method.Method, held_out: HeldOut, device: torch.device) -> tuple[Scores, list[Row]]:
    """Scores, and the images behind them."""
    triples = [(blurred, eight_bit.restore(trained.restore, blurred, device), sharp) for blurred, sharp in held_out]
    of_restored = torch.stack([_score(result, sharp, device) for _, result, sharp in triples])
    of_blurred = torch.stack([_score(blurred, sharp, device) for blurred, _, sharp in triples])
    rows = [
        Row(*triple, float(before[0]), float(after[0]))
        for triple, before, after in zip(triples, of_blurred, of_restored, strict=True)
    ]
    return Scores(len(rows), *of_restored.mean(dim=0).tolist(), *of_blurred.mean(dim=0).tolist()), rows


def _score(image: eight_bit.Image, sharp: eight_bit.Image, device: torch.device) -> torch.Tensor:
    """PSNR and SSIM of one image: float64 (2,).

    An image that is exact counts as if one of its values were off by one: infinity (of a flat crop, say) would decide
    the mean and hide every other image.
    """
    pair = _tensor(image, device), _tensor(sharp, device)
    highest = 10 * math.log10(255**2 * sharp.size)
    psnr = metrics.psnr(*pair, data_range=255).clamp(max=highest)
    return torch.cat([psnr, metrics.ssim(*pair, data_range=255)])


def _tensor(image: eight_bit.Image, device: torch.device) -> torch.Tensor:
    """uint8 (1, 3, H, W) on the device."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None]


def _refuse_shared_sources(
    training: Sequence[patches.Readable], held_out: Sequence[patches.Readable], section: recipe.Validation
) -> None:
    """Validation never sees a training source, also where the two come from different datasets."""
    trained = frozenset().union(*(dataset.source_digests("train") for dataset in training))
    for dataset in held_out:
        shared = trained & dataset.source_digests(section.split)
        if not shared:
            continue
        where = f'the split "{section.split}" of {dataset.path}'
        if section.path:
            advice = "; leave validation.path out to use the training set's own split, or take other photos"
        else:
            advice = ", as pairs of another training set; give validation.path other photos, or train on one of them"
        raise errors.DatasetError(f"{len(shared)} of the source photos in {where} are trained on as well{advice}.")
