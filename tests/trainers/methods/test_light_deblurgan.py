from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from blursynth import errors
from blursynth.config import toml
from trainers.losses import adversarial
from trainers.methods import deblurgan, method
from trainers.methods import light_deblurgan as light
from trainers.networks import layers

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {
    "width": 4,
    "blocks": 2,
    "ratio": 2,
    "perceptual": {"weights": "random", "tap": "conv1_2"},
    "discriminator": {"width": 4},
}


def config(**values: Any) -> light.LightDeblurGANConfig:
    return toml.build(values, light.LightDeblurGANConfig)


def convolution_parameters(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel * kernel + outputs


@pytest.mark.parametrize(
    ("counted", "ratio", "parameters", "mebibytes"),
    [
        ("before", 16, 2_614_501, 9.97),
        ("before", 4, 2_835_685, 10.82),
        ("after", 16, 3_783_349, 14.43),
        ("after", 4, 4_004_533, 15.28),
    ],
)
def test_the_generator_has_the_counted_parameters(counted: Any, ratio: int, parameters: int, mebibytes: float) -> None:
    first, second = (128, 64) if counted == "before" else (512, 256)
    separable = 256 * (3 * 3 + 1) + convolution_parameters(256, 256, 1)
    attention = 2 * 256 * (256 // ratio) + 2 * 7 * 7
    by_hand = (
        convolution_parameters(3, 64, 7)
        + convolution_parameters(64, 128, 3)
        + convolution_parameters(128, 256, 3)
        + 9 * (attention + 3 * separable)
        + convolution_parameters(256, first, 3)
        + convolution_parameters(first // 4, second, 3)
        + convolution_parameters(second // 4, 3, 7)
    )
    assert by_hand == parameters
    assert layers.size(light.LightGenerator(ratio=ratio, counted=counted)).parameters == parameters
    assert round(4 * parameters / 2**20, 2) == mebibytes


def test_it_is_under_half_of_deblurgan_as_released() -> None:
    released = layers.size(deblurgan.ResNetGenerator(convolutions=1)).parameters
    assert layers.size(light.LightGenerator()).parameters < released / 2


def test_the_discriminator_is_section_2_5() -> None:
    made = light.LightDeblurGAN.make_discriminator(config())
    kinds = [type(layer).__name__ for layer in made.layers]
    middle = ["Conv2d", "GroupNorm", "LeakyReLU"]
    assert kinds == ["Conv2d", "LeakyReLU", *(3 * middle), "Conv2d"]
    assert all(layer.kernel_size == (4, 4) for layer in made.layers if isinstance(layer, nn.Conv2d))


def test_channel_attention_equals_its_definition() -> None:
    torch.manual_seed(0)
    attention = light.ChannelAttention(6, 2).double()
    features = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    inner, outer = (parameter.detach().numpy()[:, :, 0, 0] for parameter in attention.parameters())
    for image, found in zip(features.numpy(), attention(features).detach().numpy(), strict=True):
        total = np.zeros(6)
        for pooled in (image.mean(axis=(1, 2)), image.max(axis=(1, 2))):
            hidden = inner @ pooled
            total += outer @ np.where(hidden > 0, hidden, 0.2 * hidden)
        np.testing.assert_allclose(found[:, 0, 0], 1 / (1 + np.exp(-total)), rtol=0, atol=1e-12)
    assert attention(features).shape == (2, 6, 1, 1)


def test_spatial_attention_equals_its_definition() -> None:
    torch.manual_seed(0)
    attention = light.SpatialAttention().double()
    features = torch.randn(1, 3, 9, 8, dtype=torch.float64)
    image, kernel = features[0].numpy(), attention.convolution.weight.detach().numpy()[0]
    pooled = np.stack([image.max(axis=0), image.mean(axis=0)])
    padded = np.pad(pooled, ((0, 0), (3, 3), (3, 3)))
    expected = np.empty((9, 8))
    for y in range(9):
        for x in range(8):
            expected[y, x] = 1 / (1 + np.exp(-(padded[:, y : y + 7, x : x + 7] * kernel).sum()))
    np.testing.assert_allclose(attention(features)[0, 0].detach().numpy(), expected, rtol=0, atol=1e-12)


def test_a_block_attends_and_adds() -> None:
    torch.manual_seed(0)
    block = light.AttendedBlock(8, 2, 0.5).double().eval()
    x = torch.randn(2, 8, 6, 7, dtype=torch.float64)
    y = block.channel_attention(x) * x
    y = block.spatial_attention(y) * y
    parameters = iter(list(block.convolutions.parameters()))
    for place in range(3):
        y = functional.conv2d(y, next(parameters), next(parameters), padding=1, groups=8)
        y = functional.conv2d(y, next(parameters), next(parameters))
        if place < 2:
            y = torch.where(y > 0, y, 0.2 * y)
    torch.testing.assert_close(block(x), x + y, rtol=0, atol=1e-12)
    kinds = [type(layer).__name__ for layer in block.convolutions]
    unit = ["Conv2d", "Conv2d", "LeakyReLU"]
    assert kinds == [*unit, *unit, "Dropout", "Conv2d", "Conv2d"]


def test_pixel_shuffle_lays_four_channels_out_as_two_by_two_pixels() -> None:
    up = light._up(4, 8, 0.2)
    features = torch.arange(8 * 2 * 3, dtype=torch.float32).view(1, 8, 2, 3)
    shuffled = up[1](features)
    assert shuffled.shape == (1, 2, 4, 6)
    for channel in range(8):
        group, place = divmod(channel, 4)
        row, column = divmod(place, 2)
        assert torch.equal(shuffled[0, group, row::2, column::2], features[0, channel])


def test_no_correction_where_the_last_layer_is_silent() -> None:
    network = light.LightGenerator(4, 1, 2)
    last = network.tail[0]
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    image = torch.rand(1, 3, 16, 12) * 2 - 1
    assert torch.equal(network(image), image)


def test_it_begins_close_to_the_identity_and_alive() -> None:
    torch.manual_seed(0)
    network = light.LightDeblurGAN.make_generator(config(width=32, blocks=3)).eval()
    start = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        change = (network(start) - start).abs().mean()
    assert 0.001 < float(change) < 0.1


# Equations 5 to 7


def sigmoid(value: float) -> float:
    return 1 / (1 + np.exp(-value))


def test_the_relativistic_average_equals_its_equations() -> None:
    numbers = np.random.default_rng(0)
    real, fake = numbers.normal(0, 3, (2, 3, 1, 4, 5))
    mean_real, mean_fake = real.mean(), fake.mean()
    of_critic = np.mean([-np.log(sigmoid(s - mean_fake)) for s in real.flat]) + np.mean(
        [-np.log(1 - sigmoid(s - mean_real)) for s in fake.flat]
    )
    of_generator = np.mean([-np.log(1 - sigmoid(s - mean_fake)) for s in real.flat]) + np.mean(
        [-np.log(sigmoid(s - mean_real)) for s in fake.flat]
    )
    sharp, restored = torch.from_numpy(real), torch.from_numpy(fake)
    assert float(adversarial.relativistic_average(sharp, restored)) == pytest.approx(of_critic, abs=1e-12)
    assert float(adversarial.relativistic_average(restored, sharp)) == pytest.approx(of_generator, abs=1e-12)


def test_the_relativistic_average_is_symmetric_under_swapping_kinds_and_labels() -> None:
    """Real and fake exchanged, and every score turned round, is the same loss; equal kinds give 2 log 2."""
    numbers = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 2, 1, 3, 3, generator=numbers, dtype=torch.float64)
    torch.testing.assert_close(
        adversarial.relativistic_average(real, fake), adversarial.relativistic_average(-fake, -real)
    )
    shifted = adversarial.relativistic_average(real + 5, fake + 5)
    torch.testing.assert_close(shifted, adversarial.relativistic_average(real, fake))
    flat = torch.full((1, 1, 2, 2), 3.0)
    assert float(adversarial.relativistic_average(flat, flat)) == pytest.approx(2 * np.log(2))


def test_the_relativistic_average_does_not_overflow() -> None:
    sure = torch.full((1, 1, 1, 1), 500.0)
    assert float(adversarial.relativistic_average(-sure, sure)) == pytest.approx(2000.0)


def equations(real: np.ndarray[Any, Any], fake: np.ndarray[Any, Any], order: str) -> tuple[float, float]:
    """What the critic and the generator minimise (equations 6 and 7) for patch scores (N, 1, h, w), one at a time."""
    if order == "before":
        of_real, of_fake = [image.mean() for image in real], [image.mean() for image in fake]
    else:
        of_real, of_fake = list(real.flat), list(fake.flat)
    mean_real, mean_fake = sum(of_real) / len(of_real), sum(of_fake) / len(of_fake)
    real_of_fake = [sigmoid(score - mean_fake) for score in of_real]
    fake_of_real = [sigmoid(score - mean_real) for score in of_fake]
    critic = np.mean([-np.log(p) for p in real_of_fake]) + np.mean([-np.log(1 - p) for p in fake_of_real])
    generator = np.mean([-np.log(1 - p) for p in real_of_fake]) + np.mean([-np.log(p) for p in fake_of_real])
    return float(critic), float(generator)


def test_patches_are_averaged_before_images_are_compared_or_after() -> None:
    """Of random scores of one image; averaged first, the two losses are 2 softplus of the difference of the means."""
    real, fake = np.random.default_rng(0).normal(0, 1.5, (2, 1, 1, 6, 6))
    found = {}
    for order in ("before", "after"):
        trained = light.LightDeblurGAN(config(**SMALL, patch_average=order), CPU)
        scores = (trained._averaged(torch.from_numpy(each)) for each in (real, fake))
        found[order] = float(adversarial.relativistic_average(*scores))
        assert found[order] == pytest.approx(equations(real, fake, order)[0], abs=1e-12)
        assert ("patch by patch" in trained.describe()) == (order == "after")
    assert found["before"] == pytest.approx(2 * np.log1p(np.exp(fake.mean() - real.mean())), abs=1e-12)
    assert abs(found["before"] - found["after"]) > 0.3


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_step_minimises_equations_6_and_7(order: str, images: int) -> None:
    torch.manual_seed(0)
    trained = light.LightDeblurGAN(config(**SMALL, dropout=0.0, patch_average=order), CPU)
    generator = torch.Generator().manual_seed(1)
    pair = method.Batch(*torch.rand(2, images, 3, 16, 20, generator=generator))
    sharp = pair.sharp_NCHW * 2 - 1
    with torch.no_grad():
        restored = trained.generator(pair.blurred_NCHW * 2 - 1)
        before = trained.networks["discriminator"](sharp), trained.networks["discriminator"](restored)
    found = trained.step([pair])
    assert set(found) == {"perceptual", "adversarial", "discriminator"}
    expected = equations(*(scores.double().numpy() for scores in before), order)
    assert float(found["discriminator"]) == pytest.approx(expected[0], rel=1e-5)
    with torch.no_grad():
        after = [trained.networks["discriminator"](images).double().numpy() for images in (sharp, restored)]
    assert float(found["adversarial"]) == pytest.approx(equations(*after, order)[1], rel=1e-5)


# The recipe's table, restoring


def test_the_paper_is_the_default() -> None:
    found = config()
    assert (found.width, found.blocks, found.ratio, found.counted, found.dropout) == (64, 9, 4, "before", 0.5)
    assert (found.content_weight, found.pixel_weight, found.adversarial_weight) == (100, 0, 1)
    assert (found.learning_rate, found.betas, found.test_time_dropout) == (1e-4, (0.5, 0.999), False)
    assert not found.conditional
    assert (found.patch_average, found.slope) == ("before", 0.2)
    assert (found.perceptual.after_activation, found.perceptual.normalise) == (True, True)
    assert (found.perceptual.network, found.perceptual.tap) == ("vgg19", "conv3_3")
    assert toml.parse(toml.to_toml(found), light.LightDeblurGANConfig) == found


@pytest.mark.parametrize("values", [{"counted": "between"}, {"ratio": 0}, {"variant": "release"}])
def test_a_table_that_cannot_be_meant_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(errors.RecipeError, match=next(iter(values))):
        config(**values)


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (13, 22)])
def test_restores_any_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    trained = light.LightDeblurGAN(config(**SMALL), CPU)
    restored = trained.restore(torch.rand(2, 3, *size))
    assert restored.shape == (2, 3, *size)
    assert 0 <= float(restored.min()) <= float(restored.max()) <= 1
