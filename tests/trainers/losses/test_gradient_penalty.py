import math

import numpy as np
import pytest
import torch
from torch import nn

from trainers.losses import gradient_penalty


class Linear(nn.Module):
    """Two patch scores, each a weighted sum of all pixels: the gradient is known."""

    def __init__(self, weights_2CHW: torch.Tensor) -> None:
        super().__init__()
        self.weights_2CHW = nn.Parameter(weights_2CHW)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,pchw->np", images_NCHW, self.weights_2CHW)[:, None, None, :]


def test_penalty_of_a_linear_critic_by_hand() -> None:
    rng = np.random.default_rng(4)
    weights = rng.normal(0, 1, (2, 3, 4, 5))
    critic = Linear(torch.from_numpy(weights))
    images = torch.from_numpy(rng.random((2, 3, 4, 5)))
    per_sample = (math.sqrt(float((weights.mean(axis=0) ** 2).sum())) - 1) ** 2
    per_pixel = ((np.sqrt((weights.sum(axis=0) ** 2).sum(axis=0)) - 1) ** 2).mean()
    assert gradient_penalty.at(critic, images, "per-sample").item() == pytest.approx(per_sample, abs=1e-12)
    assert gradient_penalty.at(critic, images, "per-pixel").item() == pytest.approx(per_pixel, abs=1e-12)


def smooth_critic() -> nn.Sequential:
    """Few, smooth layers, so that finite differences of its gradient are exact to rounding."""
    torch.manual_seed(5)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.GroupNorm(4, 4, affine=False), nn.Tanh(), nn.Conv2d(4, 1, 2)
    )
    return layers.double()


def slow_penalty(critic: nn.Module, images: torch.Tensor, form: gradient_penalty.Form) -> float:
    """The penalty with the images' gradients by central differences, one pixel moved at a time."""
    step = 1e-5
    pixels = images[0].numel()
    moves = step * torch.eye(pixels, dtype=torch.float64).view(pixels, *images.shape[1:])
    norms = []
    for image in images:
        low, high = (critic(image + sign * moves).detach().flatten(1).numpy() for sign in (-1, 1))
        change = (high - low) / (2 * step)
        gradient = (change.mean(axis=1) if form == "per-sample" else change.sum(axis=1)).reshape(image.shape)
        norms.append(np.sqrt((gradient**2).sum(axis=None if form == "per-sample" else 0)))
    return float(((np.array(norms) - 1) ** 2).mean())


@pytest.mark.parametrize("form", ["per-sample", "per-pixel"])
def test_penalty_and_its_gradient_by_finite_differences(form: gradient_penalty.Form) -> None:
    critic = smooth_critic()
    images = torch.from_numpy(np.random.default_rng(6).random((2, 3, 7, 6)))
    penalty = gradient_penalty.at(critic, images, form)
    assert penalty.item() == pytest.approx(slow_penalty(critic, images, form), rel=1e-6)
    penalty.backward()
    for parameter in (critic[0].weight, critic[3].weight):
        assert isinstance(parameter, nn.Parameter)
        assert parameter.grad is not None
        flat, slope = parameter.data.view(-1), parameter.grad.view(-1)
        for place in range(0, flat.numel(), 13):
            found = []
            for move in (-1e-5, 1e-5):
                flat[place] += move
                found.append(gradient_penalty.at(critic, images, form).item())
                flat[place] -= move
            assert slope[place].item() == pytest.approx((found[1] - found[0]) / 2e-5, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("form", "draws"), [("per-sample", 3), ("per-pixel", 1)])
def test_penalty_is_taken_between_sharp_and_restored(form: gradient_penalty.Form, draws: int) -> None:
    seen = []

    def critic(images_NCHW: torch.Tensor) -> torch.Tensor:
        seen.append(images_NCHW.detach().clone())
        return images_NCHW.square().mean(dim=1, keepdim=True)

    sharp, restored = torch.ones(3, 3, 4, 4), torch.zeros(3, 3, 4, 4, requires_grad=True)
    torch.manual_seed(7)
    gradient_penalty.between(critic, sharp, restored, form)
    torch.manual_seed(7)
    alpha = torch.rand(draws, 1, 1, 1).expand(3, 3, 4, 4)
    torch.testing.assert_close(seen[0], alpha)
    assert restored.grad is None
