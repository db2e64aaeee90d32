import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from trainers import multiscale, networks


def convolution_parameters(inputs: int, outputs: int, kernel: int) -> int:
    """Weights and biases of a convolution, plain or transposed."""
    return inputs * outputs * kernel * kernel + outputs


@pytest.mark.parametrize(("convolutions", "parameters"), [(1, 6_067_459), (2, 11_378_179)])
def test_generator_has_the_counted_parameters_and_layers(convolutions: int, parameters: int) -> None:
    by_hand = (
        convolution_parameters(3, 64, 7)
        + convolution_parameters(64, 128, 3)
        + convolution_parameters(128, 256, 3)
        + 9 * convolutions * convolution_parameters(256, 256, 3)
        + convolution_parameters(256, 128, 3)
        + convolution_parameters(128, 64, 3)
        + convolution_parameters(64, 3, 7)
    )
    assert by_hand == parameters
    size = networks.size(networks.ResNetGenerator(64, 9, convolutions))
    assert size == networks.Size(convolutions=6 + 9 * convolutions, parameters=parameters)


def test_critic_has_the_counted_parameters_and_layers() -> None:
    by_hand = (
        convolution_parameters(3, 64, 4)
        + convolution_parameters(64, 128, 4)
        + convolution_parameters(128, 256, 4)
        + convolution_parameters(256, 512, 4)
        + convolution_parameters(512, 1, 4)
    )
    assert by_hand == 2_764_737
    assert networks.size(networks.PatchCritic()) == networks.Size(5, by_hand)


DISCRIMINATORS = {
    "PatchCritic": (lambda: networks.PatchCritic(1, "none"), 70, 8),
    "MarkovianDiscriminator": (
        lambda: networks.MarkovianDiscriminator(3, 1, (1, 2, 1, 2, 1, 2, 1, 1, 1, 1), "none"),
        93,
        8,
    ),
    "StridedDiscriminator": (lambda: multiscale.StridedDiscriminator(1), 629, 256),
    "StridedDiscriminator with front": (lambda: multiscale.StridedDiscriminator(1, front=True), 633, 256),
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


def restated_generator(network: networks.ResNetGenerator, image: torch.Tensor) -> torch.Tensor:
    """The layer list of the public code, written out with functions; weights in the order of the layers."""
    parameters = iter(list(network.parameters()))

    def convolve(x: torch.Tensor, reflect: int, **options: int) -> torch.Tensor:
        if reflect:
            x = functional.pad(x, (reflect,) * 4, mode="reflect")
        return functional.conv2d(x, next(parameters), next(parameters), **options)

    def transposed(x: torch.Tensor) -> torch.Tensor:
        weights, bias = next(parameters), next(parameters)
        return functional.conv_transpose2d(x, weights, bias, stride=2, padding=1, output_padding=1)

    def normalise(x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        return centred / torch.sqrt(centred.square().mean(dim=(2, 3), keepdim=True) + 1e-5)

    x = torch.relu(normalise(convolve(image, 3)))
    x = torch.relu(normalise(convolve(x, 0, stride=2, padding=1)))
    x = torch.relu(normalise(convolve(x, 0, stride=2, padding=1)))
    for block in network.blocks:
        y = torch.relu(normalise(convolve(x, 1)))
        if networks.size(block).convolutions == 2:
            y = normalise(convolve(y, 1))
        x = x + y
    x = torch.relu(normalise(transposed(x)))
    x = torch.relu(normalise(transposed(x)))
    x = image + torch.tanh(convolve(x, 3))
    assert next(parameters, None) is None
    return x.clamp(-1, 1) if network.clamp else x


@pytest.mark.parametrize(("convolutions", "clamp"), [(1, True), (2, False)])
def test_generator_equals_its_layer_list(convolutions: int, clamp: bool) -> None:
    torch.manual_seed(0)
    network = networks.ResNetGenerator(8, 3, convolutions, clamp=clamp).double().eval()
    image = torch.rand(2, 3, 20, 28, dtype=torch.float64) * 2 - 1
    restored = network(image)
    assert (restored.abs().amax() > 1) == (not clamp)
    torch.testing.assert_close(restored, restated_generator(network, image), rtol=0, atol=1e-9)


def test_critic_equals_its_layer_list() -> None:
    torch.manual_seed(0)
    for norm_first in (False, True):
        network = networks.PatchCritic(4, "instance", norm_first).double()
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
    network = networks.PatchCritic(2, "none", norm_first=False).double()
    image = torch.rand(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    scores = network(image)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(dim=0) > 0
    assert int(seen.any(dim=0).sum()) == int(seen.any(dim=1).sum()) == 70


def test_no_correction_where_the_last_layer_is_silent() -> None:
    network = networks.ResNetGenerator(4, 1)
    last = network.tail[0]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    image = torch.rand(1, 3, 16, 12) * 2 - 1
    assert torch.equal(network(image), image)


def test_normalises_by_each_image_alone_in_training_and_at_test_time() -> None:
    torch.manual_seed(0)
    network = networks.ResNetGenerator(4, 2, dropout=0.0).double()
    images = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    together = network.train()(images)
    apart = torch.cat([network.eval()(image[None]) for image in images])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)


def test_dropout_follows_the_first_convolution_of_each_block_only() -> None:
    network = networks.ResNetGenerator(4, 2, convolutions=2, dropout=0.3)
    kinds = [type(layer).__name__ for layer in network.modules() if not list(layer.children())]
    block = ["Conv2d", "GroupNorm", "ReLU", "Dropout", "Conv2d", "GroupNorm"]
    assert kinds.count("Dropout") == 2
    assert kinds[9:21] == block + block
    assert not any(isinstance(m, nn.Dropout) for m in networks.ResNetGenerator(4, 2, dropout=0.0).modules())


def test_initialise_draws_what_it_says() -> None:
    network = networks.ResNetGenerator(16, 2)
    torch.manual_seed(3)
    networks.initialise(network)
    first = [parameter.clone() for parameter in network.parameters()]
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.numel() > 4000:
            assert abs(parameter.detach().std(correction=0).item() - 0.02) < 0.002
            assert abs(parameter.detach().mean().item()) < 0.002
    torch.manual_seed(3)
    networks.initialise(network)
    assert all(torch.equal(a, b) for a, b in zip(first, network.parameters(), strict=True))


def test_he_initialisation_keeps_the_signals_size_without_norms() -> None:
    torch.manual_seed(0)
    network = networks.ResNetGenerator(32, 4, norm="none", dropout=0.0)
    networks.initialise(network, "he")
    x = torch.randn(2, 3, 64, 64)
    for stage in (network.head, network.down, network.blocks, network.up):
        before, x = x.square().mean(), stage(x)
        assert 0.5 < (x.square().mean() / before).sqrt().item() < 2.0
    start = torch.rand(2, 3, 32, 32) * 2 - 1
    change = (network(start) - start).abs().mean()
    assert 0.001 < change.item() < 0.1


@given(st.integers(1, 23), st.integers(1, 23))
def test_padding_reflects_like_numpy(height: int, width: int) -> None:
    image = np.random.default_rng(height * 31 + width).random((1, 2, height, width))
    padded = networks.pad_to_multiple(torch.from_numpy(image), divisor=4, smallest=8).numpy()
    rows, columns = (max(-(-length // 4) * 4, 8) for length in (height, width))
    expected = np.pad(image, ((0, 0), (0, 0), (0, rows - height), (0, columns - width)), mode="reflect")
    np.testing.assert_array_equal(padded, expected)
