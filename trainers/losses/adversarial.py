"""Adversarial losses of a discriminator, or Wasserstein critic, and of the generator it is trained against.

Scores are the discriminator's outputs before a sigmoid, one for each patch: float (N, 1, h, w). Every loss is a scalar,
the mean over all scores, and is minimised.
"""

import torch
from torch.nn import functional

from trainers import distributed


def wasserstein_critic(sharp_scores_NCHW: torch.Tensor, restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """Compute E[D(restored)] - E[D(sharp)], the critic's loss (Kupyn et al. 2018, equation 3, negated).

    Its negative estimates the Wasserstein distance.
    """
    return restored_scores_NCHW.mean() - sharp_scores_NCHW.mean()


def wasserstein_generator(restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """Compute -E[D(restored)], the generator's loss (Kupyn et al. 2018, equation 6)."""
    return -restored_scores_NCHW.mean()


def gan_discriminator(sharp_scores_NCHW: torch.Tensor, restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """Compute -E[log D(sharp)] - E[log(1 - D(restored))], the discriminator's cross-entropy.

    Equation 2 of Kupyn et al. 2018 and 5 of Nah et al. 2017, negated. The sigmoid is merged with the logarithm, so that
    neither overflows. Some papers minimise half of it.
    """
    return functional.softplus(-sharp_scores_NCHW).mean() + functional.softplus(restored_scores_NCHW).mean()


def gan_generator(restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """Compute -E[log D(restored)], the generator's non-saturating loss.

    The public codes minimise this; equation 2 of Kupyn et al. 2018 as printed is `gan_generator_saturating`.
    """
    return functional.softplus(-restored_scores_NCHW).mean()


def gan_generator_saturating(restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """Compute E[log(1 - D(restored))], the generator's loss as printed (Nah et al. 2017, equation 5).

    Never above 0, and nearly flat while the discriminator recognises restored images reliably.
    """
    return -functional.softplus(restored_scores_NCHW).mean()


def relativistic_average(first_scores: torch.Tensor, second_scores: torch.Tensor) -> torch.Tensor:
    """Compute the relativistic average loss that makes the first images look more real than the second.

    -E[log sigma(C(a) - E[C(b)])] - E[log(1 - sigma(C(b) - E[C(a)]))] (Li et al., equations 5 to 7). The discriminator
    minimises it with sharp images first (equation 6), the generator with restored images first (equation 7 without its
    content loss).

    Parameters
    ----------
    first_scores, second_scores
        float, one score for each image, (N,), or for each patch, (N, 1, h, w). Each is compared with the mean over all
        scores of the other kind, in all processes.
    """
    first = first_scores - distributed.mean_everywhere(second_scores.mean())
    second = second_scores - distributed.mean_everywhere(first_scores.mean())
    return functional.softplus(-first).mean() + functional.softplus(second).mean()
