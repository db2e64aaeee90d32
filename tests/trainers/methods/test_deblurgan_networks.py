"""DeblurGAN's generator: counts by hand, its layer list restated, first weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainers.methods import deblurgan
from trainers.networks import layers


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
    size = layers.size(deblurgan.ResNetGenerator(64, 9, convolutions))
    assert size == layers.Size(convolutions=6 + 9 * convolutions, parameters=parameters)


def restated_generator(network: deblurgan.ResNetGenerator, image: torch.Tensor) -> torch.Tensor:
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
        if layers.size(block).convolutions == 2:
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
    network = deblurgan.ResNetGenerator(8, 3, convolutions, clamp=clamp).double().eval()
    image = torch.rand(2, 3, 20, 28, dtype=torch.float64) * 2 - 1
    restored = network(image)
    assert (restored.abs().amax() > 1) == (not clamp)
    torch.testing.assert_close(restored, restated_generator(network, image), rtol=0, atol=1e-9)


def test_no_correction_where_the_last_layer_is_silent() -> None:
    network = deblurgan.ResNetGenerator(4, 1)
    last = network.tail[0]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    image = torch.rand(1, 3, 16, 12) * 2 - 1
    assert torch.equal(network(image), image)


def test_normalises_by_each_image_alone_in_training_and_at_test_time() -> None:
    torch.manual_seed(0)
    network = deblurgan.ResNetGenerator(4, 2, dropout=0.0).double()
    images = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    together = network.train()(images)
    apart = torch.cat([network.eval()(image[None]) for image in images])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)


def test_dropout_follows_the_first_convolution_of_each_block_only() -> None:
    network = deblurgan.ResNetGenerator(4, 2, convolutions=2, dropout=0.3)
    kinds = [type(layer).__name__ for layer in network.modules() if not list(layer.children())]
    block = ["Conv2d", "GroupNorm", "ReLU", "Dropout", "Conv2d", "GroupNorm"]
    assert kinds.count("Dropout") == 2
    assert kinds[9:21] == block + block
    assert not any(isinstance(m, nn.Dropout) for m in deblurgan.ResNetGenerator(4, 2, dropout=0.0).modules())


def test_initialise_draws_what_it_says() -> None:
    network = deblurgan.ResNetGenerator(16, 2)
    torch.manual_seed(3)
    layers.initialise(network)
    first = [parameter.clone() for parameter in network.parameters()]
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.numel() > 4000:
            assert abs(parameter.detach().std(correction=0).item() - 0.02) < 0.002
            assert abs(parameter.detach().mean().item()) < 0.002
    torch.manual_seed(3)
    layers.initialise(network)
    assert all(torch.equal(a, b) for a, b in zip(first, network.parameters(), strict=True))


def test_he_initialisation_keeps_the_signals_size_without_norms() -> None:
    torch.manual_seed(0)
    network = deblurgan.ResNetGenerator(32, 4, norm="none", dropout=0.0)
    layers.initialise(network, "he")
    x = torch.randn(2, 3, 64, 64)
    for stage in (network.head, network.down, network.blocks, network.up):
        before, x = x.square().mean(), stage(x)
        assert 0.5 < (x.square().mean() / before).sqrt().item() < 2.0
    start = torch.rand(2, 3, 32, 32) * 2 - 1
    change = (network(start) - start).abs().mean()
    assert 0.001 < change.item() < 0.1
