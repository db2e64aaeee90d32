import math

import numpy as np
import pytest
import torch

from trainers.losses import adversarial


def scores(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 3, (2, 1, 3, 4)))


def test_wasserstein_terms_equal_their_equations() -> None:
    sharp, restored = scores(0), scores(1)
    per_image = [[float(v.mean()) for v in images] for images in (sharp, restored)]
    expected = sum(per_image[1]) / 2 - sum(per_image[0]) / 2
    assert float(adversarial.wasserstein_critic(sharp, restored)) == pytest.approx(expected, abs=1e-12)
    assert float(adversarial.wasserstein_generator(restored)) == pytest.approx(-sum(per_image[1]) / 2, abs=1e-12)


def test_gan_terms_equal_their_equations() -> None:
    sharp, restored = scores(2), scores(3)

    def probability(score: float) -> float:
        return 1.0 / (1.0 + math.exp(-score))

    real = [-math.log(probability(s)) for s in sharp.flatten().tolist()]
    fake = [-math.log(1.0 - probability(s)) for s in restored.flatten().tolist()]
    fooling = [-math.log(probability(s)) for s in restored.flatten().tolist()]
    expected = sum(real) / len(real) + sum(fake) / len(fake)
    assert float(adversarial.gan_discriminator(sharp, restored)) == pytest.approx(expected, abs=1e-9)
    assert float(adversarial.gan_generator(restored)) == pytest.approx(sum(fooling) / len(fooling), abs=1e-9)
    assert float(adversarial.gan_generator_saturating(restored)) == pytest.approx(-sum(fake) / len(fake), abs=1e-9)


def test_gan_terms_do_not_overflow() -> None:
    sure = torch.full((1, 1, 1, 1), 500.0)
    assert float(adversarial.gan_discriminator(-sure, sure)) == pytest.approx(1000.0)
    assert float(adversarial.gan_generator(-sure)) == pytest.approx(500.0)
    assert float(adversarial.gan_generator_saturating(sure)) == pytest.approx(-500.0)


def test_the_saturating_term_is_flat_where_the_critic_is_sure_and_the_other_steep() -> None:
    slopes = []
    for term in (adversarial.gan_generator_saturating, adversarial.gan_generator):
        scores = torch.full((1, 1, 1, 1), -10.0, requires_grad=True)
        (slope,) = torch.autograd.grad(term(scores), scores)
        slopes.append(float(slope))
    assert -1e-4 < slopes[0] < 0
    assert slopes[1] == pytest.approx(-1, abs=1e-3)
