"""Patches turned and recoloured on the device, against the obvious way on the host, one patch at a time."""

import colorsys
import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import skimage.color
import torch

from blursynth.loading import sampler
from trainers import recipe
from trainers.training import augmentation

ALL = {"flip_horizontal": True, "flip_vertical": True, "rotate": True, "permute_channels": True}
SEED = 9


def section(**changes: Any) -> recipe.Data:
    return recipe.Data(**{"train": (recipe.TrainingSet(path="pairs.zarr"),), "crop": 8, **changes})


def made(asked: recipe.Data, pairs: torch.Tensor, positions: np.ndarray[Any, Any]) -> torch.Tensor:
    """Blurred and sharp as float32 (P, N, H, W, C)."""
    light = augmentation.apply(asked, pairs, augmentation.choose(asked, SEED, positions))
    return torch.stack([images.permute(0, 2, 3, 1) for images in light])


def marked(count: int) -> torch.Tensor:
    """Patches in which every value is there once: (2, count, 8, 8, 3)."""
    return torch.arange(8 * 8 * 3, dtype=torch.uint8).reshape(8, 8, 3).expand(2, count, -1, -1, -1)


def turned(patch: np.ndarray[Any, Any], draws: np.ndarray[Any, Any], asked: recipe.Data) -> np.ndarray[Any, Any]:
    """One patch, one thing after another."""
    if asked.flip_horizontal and draws[0] < 0.5:
        patch = patch[:, ::-1]
    if asked.flip_vertical and draws[1] < 0.5:
        patch = patch[::-1]
    if asked.rotate:
        patch = np.rot90(patch, int(draws[2] * 4))
    if asked.permute_channels:
        patch = patch[:, :, list(itertools.permutations(range(3)))[int(draws[3] * 6)]]
    return patch


@pytest.mark.parametrize("on", [names for count in range(5) for names in itertools.combinations(ALL, count)])
def test_turns_are_those_of_one_patch_after_another(on: tuple[str, ...]) -> None:
    asked = section(**dict.fromkeys(on, True))
    positions = np.arange(100, 200)
    pairs = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 100, 8, 8, 3), np.uint8))
    found = made(asked, pairs, positions).mul(255).round().numpy()
    draws = sampler.uniforms(SEED, sampler.Stream.AUGMENTATION, positions, 4)
    for image, place in itertools.product(range(2), range(100)):
        assert np.array_equal(found[image, place], turned(pairs[image, place].numpy(), draws[place], asked))


def test_every_turn_and_every_order_of_channels_comes_up() -> None:
    blurred, sharp = made(section(**ALL), marked(600), np.arange(600)).mul(255).round().numpy().astype(int)
    assert np.array_equal(blurred, sharp)
    down_and_right = {
        (int(patch[1, 0].min() - patch[0, 0].min()) // 3, int(patch[0, 1].min() - patch[0, 0].min()) // 3)
        for patch in blurred
    }
    assert down_and_right == {(a, b) for a, b in itertools.product((-8, -1, 1, 8), repeat=2) if abs(a) != abs(b)}
    assert len({tuple(np.argsort(patch[0, 0])) for patch in blurred}) == 6


def test_a_patch_is_the_same_in_any_batch() -> None:
    asked = section(**ALL, saturation=(0.5, 1.5), noise=2.0)
    whole = made(asked, marked(40), np.arange(40))
    assert torch.equal(made(asked, marked(7), np.arange(13, 20)), whole[:, 13:20])
    choices = augmentation.choose(asked, SEED, np.arange(40))
    some = augmentation.apply(asked, marked(40)[:, 5:9], choices.of(slice(5, 9)))
    assert torch.equal(torch.stack(some).permute(0, 1, 3, 4, 2), whole[:, 5:9])


def test_saturation_is_that_of_hsv_without_a_limit_before_rgb_is_clipped() -> None:
    """One pixel at a time by colorsys, all at once by scikit-image, with which DeepDeblur-PyTorch computes it."""
    pixels = np.random.default_rng(1).random((200, 3))
    pixels[:4] = [[0.3, 0.3, 0.3], [0, 0, 0], [1, 1, 1], [0, 1, 0.5]]
    factors = np.linspace(0, 2, 200)
    light = torch.from_numpy(pixels).view(200, 3, 1, 1)
    found = augmentation.saturate(light, torch.from_numpy(factors).view(-1, 1, 1, 1)).view(200, 3).numpy()
    for pixel, factor, result in zip(pixels, factors, found, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected = np.clip(colorsys.hsv_to_rgb(hue, saturation * factor, value), 0, 1)
        assert result == pytest.approx(expected, abs=1e-12)
    hsv = skimage.color.rgb2hsv(pixels[None])
    hsv[..., 1] *= factors
    assert np.allclose(found, skimage.color.hsv2rgb(hsv)[0].clip(0, 1), atol=1e-12)


def test_strong_colours_go_on_when_their_saturation_passes_1() -> None:
    """By hand: S = 0.9 * 1.5 = 1.35, so red stays 1, green is 1 - 1.35 = -0.35, clipped to 0, and blue, which S alone
    would leave at 0.444, falls to 1 - 0.5 * 1.5 = 0.25."""
    light = torch.tensor([1.0, 0.1, 0.5]).view(1, 3, 1, 1)
    found = augmentation.saturate(light, torch.tensor(1.5).view(1, 1, 1, 1))
    assert torch.allclose(found.view(3), torch.tensor([1.0, 0.0, 0.25]), atol=1e-6)


def test_saturation_takes_both_images_by_one_factor_from_its_range() -> None:
    asked = section(saturation=(0.5, 1.5))
    factors = augmentation.choose(asked, SEED, np.arange(2_000)).saturation.numpy()
    assert scipy.stats.kstest(factors, "uniform", (0.5, 1.0)).pvalue > 1e-3
    pairs = torch.full((2, 50, 8, 8, 3), 100, dtype=torch.uint8)
    pairs[..., 1] = 120
    blurred, sharp = made(asked, pairs, np.arange(50))
    assert torch.equal(blurred, sharp)
    # Between the channels lay 20 levels, and now that times the factor.
    between = (blurred[..., 1] - blurred[..., 0])[:, 0, 0].mul(255)
    assert torch.allclose(between, torch.from_numpy(20 * factors[:50]), atol=1e-3)


def test_noise_is_gaussian_with_a_deviation_of_its_own_on_the_blurred_image_alone() -> None:
    asked = section(noise=2.0)
    positions = np.arange(3_000)
    sigmas = augmentation.choose(asked, SEED, positions).noise.numpy() * 255
    assert scipy.stats.kstest(sigmas, "halfnorm", (0, 2.0)).pvalue > 1e-3
    grey = torch.full((2, 20, 64, 64, 3), 128, dtype=torch.uint8)
    blurred, sharp = made(asked, grey, positions[:20])
    assert torch.equal(sharp, grey[1] / 255)
    noise = (blurred - sharp).numpy() * 255
    for patch, sigma in zip(noise, sigmas[:20], strict=True):
        assert patch.std() == pytest.approx(sigma, rel=0.03)
        assert scipy.stats.kstest(patch.ravel() / sigma, "norm").pvalue > 1e-4


def test_noise_is_clipped_to_the_range_of_light() -> None:
    pairs = torch.tensor([0, 255], dtype=torch.uint8).repeat(96).reshape(8, 8, 3).expand(2, 30, -1, -1, -1)
    blurred, _ = made(section(noise=50.0), pairs, np.arange(30))
    assert blurred.min() == 0
    assert blurred.max() == 1


def test_normals_are_box_and_mullers_of_the_samplers_words() -> None:
    positions = np.array([0, 5, 2**40])
    keys = torch.from_numpy(sampler.keys(SEED, sampler.Stream.NOISE, positions).view(np.int64))
    found = augmentation.normals(keys, (3, 3)).numpy().reshape(3, 9)
    for row, position in zip(found, positions, strict=True):
        (uniforms,) = sampler.uniforms(SEED, sampler.Stream.NOISE, [position], 5)
        # A uniform of the sampler is the upper 53 bits of a word; the lower 24 need the word itself.
        key = sampler.keys(SEED, sampler.Stream.NOISE, np.array([position]))
        words = [int(word) for word in sampler._word(key, np.arange(5, dtype=np.uint64))]
        assert [word >> 11 for word in words] == [int(each * 2**53) for each in uniforms]
        for number, word in enumerate(words):
            radius = math.sqrt(-2 * math.log(1 - (word >> 40) / 2**24))
            angle = 2 * math.pi * (word & (2**24 - 1)) / 2**24
            assert row[number] == pytest.approx(radius * math.cos(angle), abs=2e-5)
            if number + 5 < 9:
                assert row[number + 5] == pytest.approx(radius * math.sin(angle), abs=2e-5)
