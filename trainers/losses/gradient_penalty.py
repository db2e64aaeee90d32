"""The gradient penalty of Wasserstein critics (WGAN-GP: Gulrajani et al., NeurIPS 2017).

Legend of tensor names: N images, C channels, H rows, W columns.
"""

from collections.abc import Callable
from typing import Literal

import torch

from trainers import distributed

Form = Literal["per-sample", "per-pixel"]
Critic = Callable[[torch.Tensor], torch.Tensor]
"""Images (N, C, H, W) to a score for each patch, (N, 1, h, w)."""


def between(critic: Critic, sharp_NCHW: torch.Tensor, restored_NCHW: torch.Tensor, form: Form) -> torch.Tensor:
    """Compute E[(|gradient of D| - 1)^2] on interpolates of sharp and restored images.

    An interpolate is a * sharp + (1 - a) * restored, with a ~ U(0, 1) from torch's global generator. Several processes
    draw what one would draw. Equation 4 of Kupyn et al. 2018 samples restored images instead; Gulrajani et al., whom
    it cites, interpolate. The critic must score each image independently of the others (no batch norm).

    Parameters
    ----------
    critic
        D, whose parameters the result is differentiable in.
    sharp_NCHW, restored_NCHW
        float (N, C, H, W), in the value range that the critic is trained on.
    form
        "per-sample": one a and one norm for each image, over all its pixels and channels; D is the mean of the patch
        scores, as in the Wasserstein losses. "per-pixel", as in DeblurGAN's public code: one a for the whole batch, D
        is the sum of the patch scores, one norm over the channels of each pixel, then the mean over pixels.

    Returns
    -------
    A scalar from 0.
    """
    like = sharp_NCHW.device, sharp_NCHW.dtype
    draws = (
        distributed.uniforms(len(sharp_NCHW), *like) if form == "per-sample" else distributed.common_uniforms(1, *like)
    )
    alpha_N111 = draws.view(-1, 1, 1, 1)
    return at(critic, torch.lerp(restored_NCHW.detach(), sharp_NCHW, alpha_N111), form)


def at(critic: Critic, images_NCHW: torch.Tensor, form: Form) -> torch.Tensor:
    """Compute the gradient penalty at these images; see `between`."""
    images_NCHW = images_NCHW.detach().requires_grad_(True)
    scores_NCHW = critic(images_NCHW)
    if form == "per-sample":
        scores_NCHW = scores_NCHW.flatten(1).mean(dim=1)
    (gradient_NCHW,) = torch.autograd.grad(scores_NCHW.sum(), images_NCHW, create_graph=True)
    axes = (1, 2, 3) if form == "per-sample" else (1,)
    norm: torch.Tensor = torch.linalg.vector_norm(gradient_NCHW, dim=axes)
    return (norm - 1.0).square().mean()
