"""DeepDeblur's networks and content loss: counts by hand, hand-made tensors, slow references."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from trainers.methods import deepdeblur
from trainers.networks import layers as networks


def parameters_of(inputs: int, outputs: int, kernel: int, bias: bool = True) -> int:
    """Of a convolution, plain or transposed."""
    return inputs * outputs * kernel * kernel + (outputs if bias else 0)


# Counts


@pytest.mark.parametrize(
    ("scales", "bare", "shuffled"),
    [(1, 3_903_299, 3_903_299), (2, 7_811_398, 7_812_310), (3, 11_719_497, 11_721_321)],
)
def test_generator_has_the_counted_parameters_and_layers(scales: int, bare: int, shuffled: int) -> None:
    body = 19 * 2 * parameters_of(64, 64, 5)
    coarsest = parameters_of(3, 64, 5) + body + parameters_of(64, 3, 5)
    finer = parameters_of(3 + 3, 64, 5) + body + parameters_of(64, 3, 5)
    assert coarsest + (scales - 1) * finer == bare
    assert bare + (scales - 1) * parameters_of(3, 12, 5) == shuffled
    steps = scales - 1
    found = networks.size(deepdeblur.MultiScaleGenerator(scales, upconvolution="shuffle"))
    assert found == networks.Size(convolutions=40 * scales + steps, parameters=shuffled)
    network = deepdeblur.MultiScaleGenerator(scales)
    assert networks.size(network).parameters == bare + steps * parameters_of(3, 3, 5)
    assert networks.size(network.levels) == networks.Size(convolutions=40 * scales, parameters=bare)


def test_discriminator_has_the_counted_parameters_and_layers() -> None:
    table_1 = [(3, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
    by_hand = sum(parameters_of(inputs, outputs, 5, bias=False) for inputs, outputs in table_1)
    by_hand += parameters_of(512, 512, 4, bias=False) + 512
    assert by_hand == 10_699_616
    network = deepdeblur.StridedDiscriminator()
    assert networks.size(network) == networks.Size(convolutions=9 + 1, parameters=by_hand)
    layers = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    assert [layer.stride[0] for layer in layers] == [2, 1, 2, 1, 4, 1, 4, 1, 4, 1]
    assert [layer.kernel_size[0] for layer in layers] == [5] * 8 + [4, 1]
    front = deepdeblur.StridedDiscriminator(front=True)
    extra = parameters_of(32, 32, 5, bias=False)
    assert networks.size(front) == networks.Size(convolutions=11, parameters=by_hand + extra)


# The generator


def test_a_residual_block_by_hand() -> None:
    block = networks.ResidualBlock(1, 2, "none", "zero", dropout=0.0, kernel=5)
    first, relu, second = block.residual
    assert isinstance(first, nn.Conv2d)
    assert isinstance(relu, nn.ReLU)
    assert isinstance(second, nn.Conv2d)
    for convolution, (weight, bias) in ((first, (2.0, -3.0)), (second, (-5.0, 0.5))):
        nn.init.dirac_(convolution.weight)
        with torch.no_grad():
            convolution.weight.mul_(weight)
            convolution.bias.fill_(bias)  # type: ignore[union-attr]
    x = torch.tensor([-2.0, 1.0, 4.0]).view(1, 1, 1, 3)
    # x + 0.5 - 5 max(0, 2x - 3): below zero afterwards, since nothing follows the sum.
    torch.testing.assert_close(block(x).flatten(), torch.tensor([-1.5, 1.5, -20.5]))


def test_transposed_upconvolution_by_hand() -> None:
    up = deepdeblur._upconvolution("transposed")
    assert isinstance(up, nn.ConvTranspose2d)
    assert up.bias is not None
    nn.init.zeros_(up.bias)
    weights = torch.arange(25.0).view(5, 5)
    with torch.no_grad():
        up.weight.copy_(torch.eye(3)[:, :, None, None] * weights)
    point = torch.zeros(1, 3, 3, 4)
    point[0, 1, 1, 2] = 2.0
    spread = up(point)
    assert spread.shape == (1, 3, 6, 8)
    expected = torch.zeros(1, 3, 6, 8)
    # A point becomes twice the kernel around its place, twice as far from the corner; what leaves the image is cut.
    expected[0, 1, 0:5, 2:7] = 2.0 * weights
    torch.testing.assert_close(spread, expected)


def test_shuffled_upconvolution_by_hand() -> None:
    up = deepdeblur._upconvolution("shuffle")
    assert isinstance(up, nn.Sequential)
    convolution = up[0]
    assert isinstance(convolution, nn.Conv2d)
    nn.init.zeros_(convolution.weight)
    with torch.no_grad():
        convolution.bias.copy_(torch.arange(12.0))  # type: ignore[union-attr]
    # Four channels of the convolution after one another are the 2x2 pixels of one channel, row by row.
    pixels = torch.arange(12.0).view(3, 2, 2).repeat(1, 2, 3)[None]
    torch.testing.assert_close(up(torch.rand(1, 3, 2, 3)), pixels)


def restated(network: deepdeblur.MultiScaleGenerator, pyramid: list[torch.Tensor]) -> list[torch.Tensor]:
    """The layer list written out with functions; weights in the order of the layers."""
    restored: list[torch.Tensor] = []
    for scale in reversed(range(len(pyramid))):
        weights = iter(list(network.levels[scale].parameters()))

        def convolve(x: torch.Tensor, left: Iterator[torch.Tensor] = weights) -> torch.Tensor:
            return functional.conv2d(functional.pad(x, (2, 2, 2, 2)), next(left), next(left))

        x = pyramid[scale]
        if restored:
            up = list(network.up[scale].parameters())
            if up[0].shape[0] == 12:
                coarser = functional.conv2d(restored[0], *up, padding=2)
                parts = coarser.unflatten(1, (3, 2, 2))
                coarser = parts.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
            else:
                coarser = functional.conv_transpose2d(restored[0], *up, stride=2, padding=2, output_padding=1)
            x = torch.cat([x, coarser], dim=1)
        x = convolve(x)
        for _ in range(len(network.levels[scale]) - 2):
            x = x + convolve(torch.relu(convolve(x)))
        restored.insert(0, convolve(x))
        assert next(weights, None) is None
    return restored


@pytest.mark.parametrize("kind", ["transposed", "shuffle"])
@pytest.mark.parametrize("scales", [1, 2, 3])
def test_generator_equals_its_layer_list(scales: int, kind: deepdeblur.Upconvolution) -> None:
    torch.manual_seed(scales)
    network = deepdeblur.MultiScaleGenerator(scales, width=6, blocks=2, upconvolution=kind).double()
    pyramid = [torch.rand(2, 3, 16 // 2**n, 24 // 2**n, dtype=torch.float64) - 0.5 for n in range(scales)]
    found, expected = network(pyramid), restated(network, pyramid)
    assert [level.shape for level in found] == [level.shape for level in pyramid]
    for level, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(level, wanted, rtol=0, atol=1e-12)


def test_the_finest_level_hears_of_the_coarsest_and_not_the_other_way() -> None:
    torch.manual_seed(0)
    network = deepdeblur.MultiScaleGenerator(3, width=4, blocks=1)
    pyramid = [torch.rand(1, 3, 16 // 2**n, 16 // 2**n, requires_grad=True) for n in range(3)]
    restored = network(pyramid)
    restored[0].sum().backward()
    assert all(level.grad is not None and bool(level.grad.any()) for level in pyramid)
    for level in pyramid:
        level.grad = None
    network(pyramid)[2].sum().backward()
    assert [level.grad is not None for level in pyramid] == [False, False, True]


# The discriminator


@pytest.mark.parametrize("front", [False, True])
def test_discriminator_equals_its_layer_list(front: bool) -> None:
    torch.manual_seed(0)
    network = deepdeblur.StridedDiscriminator(2, front=front).double()
    weights = list(network.parameters())
    x = torch.rand(2, 3, 256, 256, dtype=torch.float64) - 0.5
    found = network(x)
    strides = [*([1] if front else []), 2, 1, 2, 1, 4, 1, 4, 1]
    for weight, stride in zip(weights, strides, strict=False):
        x = functional.conv2d(functional.pad(x, (2, 2, 2, 2)), weight, stride=stride)
        x = torch.where(x > 0, x, 0.2 * x)
    x = functional.conv2d(x, weights[-2], stride=4)
    assert x.shape[2:] == (1, 1)
    x = torch.where(x > 0, x, 0.2 * x).flatten(1) @ weights[-1].flatten()
    torch.testing.assert_close(found.flatten(), x, rtol=0, atol=1e-12)
    assert found.shape == (2, 1, 1, 1)


def test_discriminator_scores_each_patch_of_a_larger_image() -> None:
    network = deepdeblur.StridedDiscriminator(1)
    assert network(torch.rand(1, 3, 512, 256)).shape == (1, 1, 2, 1)


@pytest.mark.parametrize("strides", [(2, 2, 4, 4, 4), (2, 2, 2), (3, 2)])
def test_the_smallest_patch_is_the_smallest(strides: tuple[int, ...]) -> None:
    network = deepdeblur.StridedDiscriminator(1, strides)
    side = network.smallest
    assert network(torch.rand(1, 3, side, side)).shape[2:] == (1, 1)
    with pytest.raises(RuntimeError, match="Kernel size"):
        network(torch.rand(1, 3, side - 1, side))


# The content loss


def test_content_of_a_pyramid_equals_its_equation() -> None:
    rng = np.random.default_rng(8)
    shapes = [(2, 3, 8, 12), (2, 3, 4, 6), (2, 3, 2, 3)]
    restored, sharp = ([rng.random(shape) for shape in shapes] for _ in range(2))
    squared, absolute = 0.0, 0.0
    for level, target in zip(restored, sharp, strict=True):
        images, *one = level.shape
        for number in range(images):
            difference = level[number] - target[number]
            squared += float((difference**2).sum()) / math.prod(one) / images
            absolute += float(np.abs(difference).sum()) / math.prod(one) / images
    pyramids = [[torch.from_numpy(level) for level in pyramid] for pyramid in (restored, sharp)]
    assert deepdeblur.multiscale_content(*pyramids, "mse", "half-mean").item() == pytest.approx(squared / 6, abs=1e-12)
    assert deepdeblur.multiscale_content(*pyramids, "l1", "sum").item() == pytest.approx(absolute, abs=1e-12)
    with pytest.raises(ValueError, match="shorter"):
        deepdeblur.multiscale_content(pyramids[0], pyramids[1][:2], "mse", "sum")
