"""Discriminators: counts by hand, layer lists restated, receptive fields."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainers.methods import deepdeblur
from trainers.networks import layers, patchgan


def convolution_parameters(inputs: int, outputs: int, kernel: int) -> int:
    """Weights and biases of a convolution, plain or transposed."""
    return inputs * outputs * kernel * kernel + outputs


def test_critic_has_the_counted_parameters_and_layers() -> None:
    by_hand = (
        convolution_parameters(3, 64, 4)
        + convolution_parameters(64, 128, 4)
        + convolution_parameters(128, 256, 4)
        + convolution_parameters(256, 512, 4)
        + convolution_parameters(512, 1, 4)
    )
    assert by_hand == 2_764_737
    assert layers.size(patchgan.PatchGAN()) == layers.Size(5, by_hand)


DISCRIMINATORS = {
    "PatchGAN": (lambda: patchgan.PatchGAN(1, "none"), 70, 8),
    "MarkovianDiscriminator": (
        lambda: patchgan.MarkovianDiscriminator(3, 1, (1, 2, 1, 2, 1, 2, 1, 1, 1, 1), "none"),
        93,
        8,
    ),
    "StridedDiscriminator": (lambda: deepdeblur.StridedDiscriminator(1), 629, 256),
    "StridedDiscriminator with front": (lambda: deepdeblur.StridedDiscriminator(1, front=True), 633, 256),
}
"""How to make each, the side of a score's receptive field that its docstring states, and the px between scores."""


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_a_score_sees_as_far_as_is_stated(name: str) -> None:
    """By the pixels that have a gradient, and by arithmetic over the layers: (kernel - 1) times the strides before."""
    make, side, apart = DISCRIMINATORS[name]
    network = make().double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    image = torch.rand(1, 3, max(64, apart), 2048, dtype=torch.float64, requires_grad=True)
    scores = network(image)
    middle = scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2]
    (gradient,) = torch.autograd.grad(middle, image)
    seen = gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert int(seen[-1] - seen[0]) + 1 == len(seen) == side
    total, strides = 1, 1
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            total += (layer.kernel_size[1] - 1) * strides
            strides *= layer.stride[1]
    assert (total, strides) == (side, apart)


def test_critic_equals_its_layer_list() -> None:
    torch.manual_seed(0)
    for norm_first in (False, True):
        network = patchgan.PatchGAN(4, "instance", norm_first).double()
        weights = list(network.parameters())
        x = torch.rand(2, 3, 33, 40, dtype=torch.float64)
        found = network(x)
        for place, stride in enumerate((2, 2, 2, 1, 1)):
            x = functional.conv2d(x, weights[2 * place], weights[2 * place + 1], stride=stride, padding=2)
            if place in (1, 2, 3) or (place == 0 and norm_first):
                x = functional.instance_norm(x)
            if place < 4:
                x = torch.where(x > 0, x, 0.2 * x)
        torch.testing.assert_close(found, x, rtol=0, atol=1e-9)


def test_a_score_of_the_critic_sees_70_by_70_pixels() -> None:
    torch.manual_seed(0)
    network = patchgan.PatchGAN(2, "none", norm_first=False).double()
    image = torch.rand(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    scores = network(image)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(dim=0) > 0
    assert int(seen.any(dim=0).sum()) == int(seen.any(dim=1).sum()) == 70
