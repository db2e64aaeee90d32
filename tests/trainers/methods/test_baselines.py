"""pix2pix's U-Net and ResGAN, which Ramakrishnan et al. train beside their own network."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from blursynth import errors
from blursynth.config import toml
from trainers import methods
from trainers.methods import method, pix2pix, resgan
from trainers.networks import layers

CPU = torch.device("cpu")


def build(name: str, **values: Any) -> Any:
    kind = methods.find(name)
    tables = {"perceptual": {"weights": "random", "tap": "conv1_2"}, "discriminator": {"width": 4}}
    torch.manual_seed(0)
    return kind(toml.build({"name": name, "width": 4, **tables, **values}, kind.Config), CPU)


def convolution_parameters(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel * kernel + outputs


def test_the_u_net_has_the_counted_parameters() -> None:
    down = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    up = [(512, 512), (1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 3)]
    by_hand = sum(convolution_parameters(a, b, 4) for a, b in [*itertools.pairwise(down), *up])
    assert by_hand == 54_409_603
    assert layers.size(pix2pix.UNetGenerator()) == layers.Size(16, by_hand)


def test_the_residual_network_has_the_counted_parameters() -> None:
    block = 2 * convolution_parameters(64, 64, 3) + 1
    ends = convolution_parameters(3, 64, 9) + 1 + convolution_parameters(64, 3, 9)
    by_hand = ends + 15 * block + convolution_parameters(64, 64, 3)
    assert by_hand == 1_175_955
    assert layers.size(resgan.FlatResNet()) == layers.Size(33, by_hand)


def normalised(x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    return centred / torch.sqrt(centred.square().mean(dim=(2, 3), keepdim=True) + 1e-5)


def test_the_u_net_equals_its_layer_list() -> None:
    torch.manual_seed(0)
    network = pix2pix.UNetGenerator(4, 3).double().eval()
    parameters = iter(list(network.parameters()))

    def down(x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, next(parameters), next(parameters), stride=2, padding=1)

    def up(x: torch.Tensor) -> torch.Tensor:
        return functional.conv_transpose2d(torch.relu(x), next(parameters), next(parameters), stride=2, padding=1)

    def leaky(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    image = torch.rand(2, 3, 16, 24, dtype=torch.float64) * 2 - 1
    first = down(image)
    second = normalised(down(leaky(first)))
    third = down(leaky(second))
    x = normalised(up(third))
    x = normalised(up(torch.cat([x, second], dim=1)))
    expected = torch.tanh(up(torch.cat([x, first], dim=1)))
    torch.testing.assert_close(network(image), expected, rtol=0, atol=1e-12)


def test_the_u_nets_dropout_is_on_the_first_three_ways_up() -> None:
    network = pix2pix.UNetGenerator(2, 6)
    places = [place for place, layer in enumerate(network.up) if any(isinstance(m, nn.Dropout) for m in layer)]
    assert places == [0, 1, 2]


def test_the_residual_network_equals_its_layer_list() -> None:
    torch.manual_seed(0)
    network = resgan.FlatResNet(4, 2).double().eval()
    parameters = iter(list(network.parameters()))

    def convolve(x: torch.Tensor, padding: int) -> torch.Tensor:
        return functional.conv2d(x, next(parameters), next(parameters), padding=padding)

    def rectified(x: torch.Tensor) -> torch.Tensor:
        slope = next(parameters)
        return torch.where(x > 0, x, slope * x)

    image = torch.rand(2, 3, 12, 14, dtype=torch.float64) * 2 - 1
    head = x = rectified(convolve(image, 4))
    for _ in range(2):
        y = rectified(normalised(convolve(x, 1)))
        x = x + normalised(convolve(y, 1))
    x = head + normalised(convolve(x, 1))
    torch.testing.assert_close(network(image), torch.tanh(convolve(x, 4)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("pix2pix", {"pixel", "adversarial", "discriminator"}),
        ("resgan", {"pixel", "perceptual", "adversarial", "discriminator"}),
    ],
)
def test_a_step_trains_both_networks(name: str, terms: set[str]) -> None:
    trained = build(name, **({"levels": 3} if name == "pix2pix" else {"blocks": 1}))
    before = {key: [p.detach().clone() for p in net.parameters()] for key, net in trained.networks.items()}
    generator = torch.Generator().manual_seed(1)
    found = trained.step([method.Batch(*torch.rand(2, 2, 3, 24, 32, generator=generator))])
    assert set(found) == terms
    for key, network in trained.networks.items():
        assert any(not torch.equal(a, b) for a, b in zip(before[key], network.parameters(), strict=True)), key
    for word in ("generator", "discriminator", "variant paper"):
        assert word in trained.describe()


@pytest.mark.parametrize(("name", "share"), [("pix2pix", 0.5), ("resgan", 1.0)])
def test_pix2pix_alone_halves_the_discriminators_objective(name: str, share: float) -> None:
    trained = build(name, dropout=0.0, **({"levels": 3} if name == "pix2pix" else {"blocks": 1}))
    blurred, sharp = torch.rand(2, 1, 3, 24, 32) * 2 - 1
    with torch.no_grad():
        restored = trained.generator(blurred)
        seen = [torch.cat([blurred, image], dim=1) if name == "pix2pix" else image for image in (sharp, restored)]
        real, fake = (torch.sigmoid(trained.networks["discriminator"](image)) for image in seen)
    expected = -share * (torch.log(real).mean() + torch.log(1 - fake).mean())
    found = trained.step([method.Batch(blurred / 2 + 0.5, sharp / 2 + 0.5)])
    torch.testing.assert_close(found["discriminator"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["pix2pix", "resgan"])
@pytest.mark.parametrize("size", [(1, 1), (9, 30)])
def test_restores_any_size(name: str, size: tuple[int, int]) -> None:
    trained = build(name, **({"levels": 3} if name == "pix2pix" else {"blocks": 1}))
    restored = trained.restore(torch.rand(2, 3, *size))
    assert restored.shape == (2, 3, *size)
    assert 0 <= float(restored.min()) <= float(restored.max()) <= 1


def test_patches_that_the_u_net_cannot_halve_are_refused() -> None:
    trained = build("pix2pix", levels=4)
    with pytest.raises(errors.InputError, match=r"multiples of 16, found 24x16"):
        trained.step([method.Batch(*torch.rand(2, 1, 3, 16, 24))])


def test_patches_too_small_for_the_discriminator_are_refused() -> None:
    trained = build("resgan", blocks=1)
    with pytest.raises(errors.InputError, match=r"discriminator needs patches of 17 pixels or more .* found 24x16"):
        trained.step([method.Batch(*torch.rand(2, 1, 3, 16, 24))])
    trained.step([method.Batch(*torch.rand(2, 1, 3, 17, 24))])


def test_the_defaults_are_those_of_the_papers() -> None:
    unet = toml.build({}, pix2pix.Pix2PixConfig)
    assert (unet.levels, unet.pixel_weight, unet.content_weight, unet.conditional) == (8, 100, 0, True)
    assert (unet.learning_rate, unet.betas, unet.dropout, unet.test_time_dropout) == (2e-4, (0.5, 0.999), 0.5, True)
    flat = toml.build({}, resgan.ResGANConfig)
    assert (flat.blocks, flat.content_weight, flat.adversarial_weight, flat.conditional) == (15, 0.006, 1e-3, False)
    assert (flat.perceptual.network, flat.perceptual.tap, flat.learning_rate) == ("vgg19", "conv5_4", 1e-4)
