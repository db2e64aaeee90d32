"""Notice when training has diverged, and stop the run with a sentence that says how."""

import math
import pathlib
from collections.abc import Mapping

import torch

from blursynth import errors
from trainers import recipe
from trainers.checkpoints import checkpoint
from trainers.methods import method

ADVERSARIAL = ("adversarial", "critic", "discriminator", "penalty")
"""Terms of a critic, or that a critic gives. Healthy ones stay small: scores differ less than images."""

_LOOKED_AT = 4
"""Images that are restored to see whether they are constant."""


class TrainingDivergedError(errors.BlursynthError):
    """Training has diverged and would not recover."""


class Checks:
    """The checks of a recipe's `[divergence]` table; each raises TrainingDivergedError."""

    def __init__(self, section: recipe.Divergence, folder: pathlib.Path) -> None:
        self._section = section
        self._folder = folder

    def losses(self, losses: Mapping[str, float]) -> None:
        """Check that every loss is finite, and that no adversarial loss exceeds `critic`."""
        for name, value in losses.items():
            if not math.isfinite(value):
                raise self._diverged(f'the loss "{name}" became {value}')
            if name in ADVERSARIAL and 0 < self._section.critic < abs(value):
                raise self._diverged(
                    f'the critic ran away: the loss "{name}" is {value:.3g}, beyond divergence.critic = '
                    f"{self._section.critic:g}"
                )

    def weights(self, networks: Mapping[str, torch.nn.Module]) -> None:
        """Check that every weight is finite."""
        for name, network in networks.items():
            if not all(bool(torch.isfinite(weights).all()) for weights in network.parameters()):
                raise self._diverged(f"a weight of the {name} is not a finite number")

    def images(self, trained: method.Method, batch: method.Batch, losses: Mapping[str, float], seen: int) -> None:
        """Check that the images restored from a training batch are not constant.

        seen: images seen so far; before `after` nothing is checked.
        """
        if not self._section.constant or seen < self._section.after:
            return
        sharp_NCHW = batch.sharp_NCHW[:_LOOKED_AT]
        restored_NCHW = trained.restore(batch.blurred_NCHW[:_LOOKED_AT])
        restored_deviation, sharp_deviation = (
            float(images.std(dim=(2, 3)).mean()) for images in (restored_NCHW, sharp_NCHW)
        )
        if restored_deviation < self._section.constant * sharp_deviation:
            terms = ", ".join(f'"{name}" {value:.3g}' for name, value in losses.items())
            raise self._diverged(
                f"restored images are constant (standard deviation {restored_deviation:.2g}, of sharp ones "
                f"{sharp_deviation:.2g}; losses: {terms})"
            )

    def score(self, psnr: float, best: float | None, seen: int) -> None:
        """Check that a validation's PSNR is not far below the best one."""
        if best is None or not self._section.drop or seen < self._section.after or psnr >= best - self._section.drop:
            return
        raise self._diverged(
            f"validation fell to {psnr:.2f} dB from {best:.2f} dB, more than divergence.drop = "
            f"{self._section.drop:g} dB"
        )

    def _diverged(self, what: str) -> TrainingDivergedError:
        kept = []
        for name, words in ((checkpoint.LAST, "The last good checkpoint"), (checkpoint.BEST, "the best")):
            path = self._folder / name
            if path.is_file():
                kept.append(f"{words}, {path}, is at {checkpoint.about(path).images_seen:,} images")
        where = f". {'; '.join(kept)}." if kept else ", before the first checkpoint."
        return TrainingDivergedError(
            f"Training diverged: {what}{where} Try a lower learning rate or engine.grad_clip_norm, in another --out."
        )
