import math

import numpy as np
import pytest
import torch
from torch import nn

from trainers import losses


def scores(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 3, (2, 1, 3, 4)))


def test_wasserstein_terms_equal_their_equations() -> None:
    sharp, restored = scores(0), scores(1)
    per_image = [[float(v.mean()) for v in images] for images in (sharp, restored)]
    expected = sum(per_image[1]) / 2 - sum(per_image[0]) / 2
    assert float(losses.wasserstein_critic(sharp, restored)) == pytest.approx(expected, abs=1e-12)
    assert float(losses.wasserstein_generator(restored)) == pytest.approx(-sum(per_image[1]) / 2, abs=1e-12)


def test_gan_terms_equal_their_equations() -> None:
    sharp, restored = scores(2), scores(3)

    def probability(score: float) -> float:
        return 1.0 / (1.0 + math.exp(-score))

    real = [-math.log(probability(s)) for s in sharp.flatten().tolist()]
    fake = [-math.log(1.0 - probability(s)) for s in restored.flatten().tolist()]
    fooling = [-math.log(probability(s)) for s in restored.flatten().tolist()]
    expected = 0.5 * (sum(real) / len(real) + sum(fake) / len(fake))
    assert float(losses.gan_critic(sharp, restored)) == pytest.approx(expected, abs=1e-9)
    assert float(losses.gan_generator(restored)) == pytest.approx(sum(fooling) / len(fooling), abs=1e-9)
    assert float(losses.gan_generator_saturating(restored)) == pytest.approx(-sum(fake) / len(fake), abs=1e-9)


def test_gan_terms_do_not_overflow() -> None:
    sure = torch.full((1, 1, 1, 1), 500.0)
    assert float(losses.gan_critic(-sure, sure)) == pytest.approx(500.0)
    assert float(losses.gan_generator(-sure)) == pytest.approx(500.0)
    assert float(losses.gan_generator_saturating(sure)) == pytest.approx(-500.0)


def test_the_saturating_term_is_flat_where_the_critic_is_sure_and_the_other_steep() -> None:
    slopes = []
    for term in (losses.gan_generator_saturating, losses.gan_generator):
        scores = torch.full((1, 1, 1, 1), -10.0, requires_grad=True)
        (slope,) = torch.autograd.grad(term(scores), scores)
        slopes.append(float(slope))
    assert -1e-4 < slopes[0] < 0
    assert slopes[1] == pytest.approx(-1, abs=1e-3)


def test_content_of_a_pyramid_equals_its_equation() -> None:
    rng = np.random.default_rng(8)
    shapes = [(2, 3, 8, 12), (2, 3, 4, 6), (2, 3, 2, 3)]
    restored, sharp = ([rng.random(shape) for shape in shapes] for _ in range(2))
    squared, absolute = 0.0, 0.0
    for level, wanted in zip(restored, sharp, strict=True):
        images, *one = level.shape
        for number in range(images):
            difference = level[number] - wanted[number]
            squared += float((difference**2).sum()) / math.prod(one) / images
            absolute += float(np.abs(difference).sum()) / math.prod(one) / images
    pyramids = [[torch.from_numpy(level) for level in pyramid] for pyramid in (restored, sharp)]
    assert losses.pyramid_content(*pyramids, "mse", "half-mean").item() == pytest.approx(squared / 6, abs=1e-12)
    assert losses.pyramid_content(*pyramids, "l1", "sum").item() == pytest.approx(absolute, abs=1e-12)
    with pytest.raises(ValueError, match="shorter"):
        losses.pyramid_content(pyramids[0], pyramids[1][:2], "mse", "sum")


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
    assert losses.penalty_at(critic, images, "per-sample").item() == pytest.approx(per_sample, abs=1e-12)
    assert losses.penalty_at(critic, images, "per-pixel").item() == pytest.approx(per_pixel, abs=1e-12)


def smooth_critic() -> nn.Sequential:
    """Few, smooth layers, so that finite differences of its gradient are exact to rounding."""
    torch.manual_seed(5)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.GroupNorm(4, 4, affine=False), nn.Tanh(), nn.Conv2d(4, 1, 2)
    )
    return layers.double()


def slow_penalty(critic: nn.Module, images: torch.Tensor, form: losses.Penalty) -> float:
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
def test_penalty_and_its_gradient_by_finite_differences(form: losses.Penalty) -> None:
    critic = smooth_critic()
    images = torch.from_numpy(np.random.default_rng(6).random((2, 3, 7, 6)))
    penalty = losses.penalty_at(critic, images, form)
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
                found.append(losses.penalty_at(critic, images, form).item())
                flat[place] -= move
            assert slope[place].item() == pytest.approx((found[1] - found[0]) / 2e-5, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("form", "draws"), [("per-sample", 3), ("per-pixel", 1)])
def test_penalty_is_taken_between_sharp_and_restored(form: losses.Penalty, draws: int) -> None:
    seen = []

    def critic(images_NCHW: torch.Tensor) -> torch.Tensor:
        seen.append(images_NCHW.detach().clone())
        return images_NCHW.square().mean(dim=1, keepdim=True)

    sharp, restored = torch.ones(3, 3, 4, 4), torch.zeros(3, 3, 4, 4, requires_grad=True)
    torch.manual_seed(7)
    losses.gradient_penalty(critic, sharp, restored, form)
    torch.manual_seed(7)
    alpha = torch.rand(draws, 1, 1, 1).expand(3, 3, 4, 4)
    torch.testing.assert_close(seen[0], alpha)
    assert restored.grad is None
