"""Adversarial terms, the gradient penalty and the content of a pyramid, each a mean over images (also: `perceptual`).

Legend of tensor names: N images, C channels, H rows, W columns; scores_NCHW are a critic's, one for each patch.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch.nn import functional

from trainers import ranks

Penalty = Literal["per-sample", "per-pixel"]
Critic = Callable[[torch.Tensor], torch.Tensor]
Content = Literal["mse", "l1"]
LevelSum = Literal["half-mean", "sum"]


def wasserstein_critic(sharp_scores_NCHW: torch.Tensor, restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """E[D(restored)] - E[D(sharp)], minimised by the critic (Kupyn et al. equation 3, negated).

    D of an image is the mean of its patches' scores. Its negative estimates the Wasserstein distance.
    """
    return restored_scores_NCHW.mean() - sharp_scores_NCHW.mean()


def wasserstein_generator(restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """-E[D(restored)], minimised by the generator (Kupyn et al. equation 6)."""
    return -restored_scores_NCHW.mean()


def gan_critic(sharp_scores_NCHW: torch.Tensor, restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """Half the binary cross-entropy of sharp as 1 and restored as 0, minimised by the critic.

    Equation 2 of Kupyn et al., negated and halved as in the authors' code, each patch judged for itself. Scores are
    taken before the sigmoid, which is joined with the logarithm: the same function without its overflow.
    """
    return 0.5 * (functional.softplus(-sharp_scores_NCHW).mean() + functional.softplus(restored_scores_NCHW).mean())


def gan_generator(restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of restored as 1: the non-saturating form that the authors' code minimises.

    Equation 2 as printed gives log(1 - D), whose slope vanishes while the critic is sure.
    """
    return functional.softplus(-restored_scores_NCHW).mean()


def gan_generator_saturating(restored_scores_NCHW: torch.Tensor) -> torch.Tensor:
    """E[log(1 - D(restored))], minimised by the generator: equation 5 of Nah et al. (2 of Kupyn et al.) as printed.

    Never above 0; nearly flat while the critic is sure. Scores are taken before the sigmoid.
    """
    return -functional.softplus(restored_scores_NCHW).mean()


def relativistic_average(above_scores: torch.Tensor, below_scores: torch.Tensor) -> torch.Tensor:
    """How far the first images are from looking more real than the second ones (Li et al. equations 5 to 7).

    -E[log sigma(C(a) - E[C(b)])] - E[log(1 - sigma(C(b) - E[C(a)]))], C a score before the sigmoid. The critic
    minimises it with sharp images above restored ones (equation 6), the generator with restored ones above sharp ones
    (equation 7 without its content): the same function with its arguments swapped. Each score, whether of an image,
    (N,), or of a patch, (N, 1, h, w), is compared with the mean over all scores of the other kind.
    """
    above = above_scores - ranks.mean_everywhere(below_scores.mean())
    below = below_scores - ranks.mean_everywhere(above_scores.mean())
    return functional.softplus(-above).mean() + functional.softplus(below).mean()


def pyramid_content(
    restored_pyramid: Sequence[torch.Tensor], sharp_pyramid: Sequence[torch.Tensor], kind: Content, over: LevelSum
) -> torch.Tensor:
    """The multi-scale content loss of two pyramids with K levels each, (N, C, H, W).

    "mse" and "half-mean" are equation 4 of Nah et al. 2017: each level's mean squared difference, summed and divided
    by 2K. "l1" and "sum" are DeepDeblur-PyTorch: mean absolute differences, summed over the levels alone, so that the
    same adversarial weight means 2K times less (6 for three levels).
    """
    measure = functional.mse_loss if kind == "mse" else functional.l1_loss
    levels = [measure(restored, sharp) for restored, sharp in zip(restored_pyramid, sharp_pyramid, strict=True)]
    total = torch.stack(levels).sum()
    return total / (2 * len(levels)) if over == "half-mean" else total


def gradient_penalty(
    critic: Critic, sharp_NCHW: torch.Tensor, restored_NCHW: torch.Tensor, form: Penalty
) -> torch.Tensor:
    """E[(|gradient of D| - 1)^2] on interpolates of sharp and restored images, a scalar (Gulrajani et al. 2017).

    An interpolate is a*sharp + (1 - a)*restored, a ~ U(0, 1) from torch's global generator of the images' device
    (`ranks.uniforms`: several processes draw what one would).
    Equation 4 of Kupyn et al. samples restored images instead; Gulrajani et al., whom it cites, interpolate.

    "per-sample": one a and one norm for each image, over all its pixels and channels; D is the mean of the patches'
    scores, the same D as in the Wasserstein terms. "per-pixel" is what the authors' code computes: one a for the
    batch, D the sum of the patches' scores, a norm over the channels of each pixel, and the mean over pixels.
    The critic must treat images independently of each other (no batch norm).
    """
    like = sharp_NCHW.device, sharp_NCHW.dtype
    draws = ranks.uniforms(len(sharp_NCHW), *like) if form == "per-sample" else ranks.common_uniforms(1, *like)
    alpha_N111 = draws.view(-1, 1, 1, 1)
    return penalty_at(critic, torch.lerp(restored_NCHW.detach(), sharp_NCHW, alpha_N111), form)


def penalty_at(critic: Critic, images_NCHW: torch.Tensor, form: Penalty) -> torch.Tensor:
    """The gradient penalty (see `gradient_penalty`) at given images, differentiable in the critic's parameters."""
    images_NCHW = images_NCHW.detach().requires_grad_(True)
    scores_NCHW = critic(images_NCHW)
    if form == "per-sample":
        scores_NCHW = scores_NCHW.flatten(1).mean(dim=1)
    (gradient_NCHW,) = torch.autograd.grad(scores_NCHW.sum(), images_NCHW, create_graph=True)
    over = (1, 2, 3) if form == "per-sample" else (1,)
    norm: torch.Tensor = torch.linalg.vector_norm(gradient_NCHW, dim=over)
    return (norm - 1.0).square().mean()
