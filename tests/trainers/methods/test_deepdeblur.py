import copy
from typing import Any

import pytest
import torch
from skimage import transform
from torch import nn
from torch.nn import functional

from blursynth import errors
from blursynth.config import toml
from trainers import methods
from trainers.methods import deepdeblur, method
from trainers.networks import layers as networks

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"width": 4, "blocks": 1, "discriminator": {"width": 2, "strides": [2, 2, 2]}}


def config(**values: Any) -> deepdeblur.DeepDeblurConfig:
    return toml.build(values, deepdeblur.DeepDeblurConfig)


def small(**values: Any) -> deepdeblur.DeepDeblur:
    torch.manual_seed(0)
    return deepdeblur.DeepDeblur(config(**(SMALL | values)), CPU)


def batch(seed: int = 1, images: int = 2) -> list[method.Batch]:
    blurred, sharp = torch.rand(2, images, 3, 16, 20, generator=torch.Generator().manual_seed(seed))
    return [method.Batch(blurred, sharp)]


def weights(network: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def unchanged(network: nn.Module, before: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True))


# The recipe's table


def test_the_registry_knows_it() -> None:
    assert methods.find("deepdeblur") is deepdeblur.DeepDeblur


def test_the_paper_is_the_default() -> None:
    found = config()
    assert (found.variant, found.scales, found.width, found.blocks) == ("paper", 3, 64, 19)
    assert (found.upconvolution, found.peak) == ("transposed", 1)
    assert (found.learning_rate, found.betas) == (5e-5, (0.9, 0.999))
    assert (found.content, found.content_sum) == ("mse", "half-mean")
    assert (found.adversarial_weight, found.adversarial) == (1e-4, "saturating")
    table = found.discriminator
    assert (table.width, table.strides, table.front) == (32, (2, 2, 4, 4, 4), False)


def test_release_is_what_the_public_code_does() -> None:
    found = config(variant="release")
    assert (found.upconvolution, found.peak, found.learning_rate) == ("shuffle", 255, 1e-4)
    assert (found.content, found.content_sum) == ("l1", "sum")
    assert (found.adversarial_weight, found.adversarial, found.discriminator.front) == (0, "non-saturating", True)


def test_any_value_can_be_given_against_the_variant() -> None:
    found = config(variant="release", content="mse", discriminator={"width": 8}, scales=2)
    assert (found.content, found.content_sum, found.scales) == ("mse", "sum", 2)
    assert (found.discriminator.width, found.discriminator.front) == (8, True)
    assert config(adversarial="non-saturating").content_sum == "half-mean"


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_the_resolved_table_reads_back_as_itself(variant: str) -> None:
    found = config(variant=variant, discriminator={"width": 8})
    text = toml.to_toml(found)
    assert toml.parse(text, deepdeblur.DeepDeblurConfig) == found
    assert {"peak", "content_sum", "upconvolution", "adversarial"} <= {line.split(" =")[0] for line in text.split("\n")}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scales": 4}, "scales: Input should be less than or equal to 3"),
        ({"scales": 0}, "scales: "),
        ({"peak": 0.0}, "peak: Input should be greater than 0"),
        ({"content": "l2"}, "content: Input should be 'mse' or 'l1'"),
        ({"discriminator": {"stride": [2]}}, "discriminator.stride: unknown key; did you mean 'strides'?"),
        ({"discriminator": {"strides": [2]}}, "discriminator.strides: "),
        ({"scale": 3}, "scale: unknown key; did you mean 'scales'?"),
    ],
)
def test_a_table_that_cannot_be_meant_says_why(values: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.RecipeError) as caught:
        config(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "generator", "layers"),
    [
        ({"scales": 1}, 3_903_299, 40),
        ({"scales": 2}, 7_811_398 + 228, 81),
        ({}, 11_719_497 + 2 * 228, 122),
        ({"variant": "release", "scales": 2}, 7_812_310, 81),
        ({"variant": "release"}, 11_721_321, 122),
    ],
)
def test_each_setting_builds_its_networks(values: dict[str, Any], generator: int, layers: int) -> None:
    made = deepdeblur.DeepDeblur(config(**values), CPU)
    assert networks.size(made.networks["generator"]) == networks.Size(layers, generator)
    assert f"generator: {layers} convolutions, {generator:,} parameters" in made.describe()
    if values.get("variant") == "release":
        assert list(made.networks) == list(made.optimisers) == ["generator"]
    else:
        assert networks.size(made.networks["discriminator"]).parameters == 10_699_616


# One step


def first_terms(made: deepdeblur.DeepDeblur, given: method.Batch) -> dict[str, torch.Tensor]:
    """The first step's terms from the equations. Leaves the networks as they were."""
    chosen = made.config
    generator = copy.deepcopy(made.generator)
    pyramids = []
    for images in (given.blurred_NCHW, given.sharp_NCHW):
        stacked = images.permute(0, 2, 3, 1).double().numpy()
        levels = [list(transform.pyramid_gaussian(image, chosen.scales - 1, channel_axis=2)) for image in stacked]
        together = [torch.stack([torch.from_numpy(level) for level in same]) for same in zip(*levels, strict=True)]
        pyramids.append([chosen.peak * (level.permute(0, 3, 1, 2).float() - 0.5) for level in together])
    restored, sharp = generator(pyramids[0]), pyramids[1]
    terms: dict[str, torch.Tensor] = {}
    if chosen.adversarial_weight > 0:
        discriminator = copy.deepcopy(made.networks["discriminator"])
        optimiser = torch.optim.Adam(discriminator.parameters(), lr=chosen.learning_rate, betas=chosen.betas)
        # Equation 5, negated: -E[log D(S)] - E[log(1 - D(G(B)))].
        right = torch.log(torch.sigmoid(discriminator(sharp[0]))).mean()
        right = right + torch.log(1 - torch.sigmoid(discriminator(restored[0].detach()))).mean()
        terms["discriminator"] = -right
        terms["discriminator"].backward()
        optimiser.step()
        chance = torch.sigmoid(discriminator(restored[0]))
        printed = chosen.adversarial == "saturating"
        score = torch.log(1 - chance).mean() if printed else -torch.log(chance).mean()
        terms["adversarial"] = chosen.adversarial_weight * score
    content = torch.zeros(())
    for level, wanted in zip(restored, sharp, strict=True):
        difference = level - wanted
        content = content + (difference.square().mean() if chosen.content == "mse" else difference.abs().mean())
    terms["content"] = content / (2 * chosen.scales) if chosen.content_sum == "half-mean" else content
    return terms


@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize(
    "values",
    [
        {"adversarial_weight": 0.3, "learning_rate": 1e-2},
        {"variant": "release"},
        {"variant": "release", "adversarial_weight": 0.5, "peak": 2.0, "learning_rate": 1e-2},
    ],
)
def test_the_terms_are_those_of_the_equations(scales: int, values: dict[str, Any]) -> None:
    made = small(scales=scales, **values)
    given = batch()
    expected = first_terms(made, given[0])
    found = made.step(given)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
        assert found[name].shape == ()
        assert not found[name].requires_grad


def test_a_step_is_one_of_adam_down_the_sum_of_the_terms() -> None:
    made = small(adversarial_weight=0.0, learning_rate=1e-3)
    generator = copy.deepcopy(made.generator)
    blurred, sharp = (made.pyramid(images - 0.5) for images in (batch()[0].blurred_NCHW, batch()[0].sharp_NCHW))
    deepdeblur.multiscale_content(generator(blurred), sharp, "mse", "half-mean").backward()
    made.step(batch())
    for parameter, before in zip(made.generator.parameters(), generator.parameters(), strict=True):
        assert before.grad is not None
        # Adam's first step is the rate times the gradient's sign where the gradient is not tiny.
        moved = (parameter - before)[before.grad.abs() > 1e-5]
        signs = before.grad.sign()[before.grad.abs() > 1e-5]
        torch.testing.assert_close(moved, -1e-3 * signs, rtol=0.01, atol=1e-7)


def test_each_network_is_moved_by_its_own_optimiser_alone() -> None:
    for still, moved in (("generator", "discriminator"), ("discriminator", "generator")):
        made = small()
        for group in made.optimisers[still].param_groups:
            group["lr"] = 0.0
        before = {name: weights(network) for name, network in made.networks.items()}
        made.step(batch())
        assert unchanged(made.networks[still], before[still])
        assert not unchanged(made.networks[moved], before[moved])


def test_the_discriminator_keeps_nothing_of_the_generators_update() -> None:
    made, other = small(), small(adversarial_weight=1e6)
    made.step(batch())
    other.step(batch())
    networks_ = (each.networks["discriminator"] for each in (made, other))
    for one, two in zip(*(network.parameters() for network in networks_), strict=True):
        assert one.requires_grad
        assert one.grad is not None
        assert two.grad is not None
        torch.testing.assert_close(one.grad, two.grad)


def test_the_adversarial_term_moves_the_finest_level() -> None:
    def moved(weight: float) -> list[torch.Tensor]:
        made = small(adversarial_weight=weight, content="mse")
        made.step(batch())
        return weights(made.generator.levels[0])

    assert not all(torch.equal(a, b) for a, b in zip(moved(1e-8), moved(1e3), strict=True))


def test_patches_too_small_for_the_discriminator_are_one_sentence() -> None:
    made = small(discriminator={"width": 1})
    with pytest.raises(errors.InputError, match=r"patches of 193 pixels or more on each side, found 20x16.*data\.crop"):
        made.step(batch())


def test_optimisers_have_the_configured_rate_and_betas() -> None:
    made = small(learning_rate=3e-4, betas=[0.4, 0.99])
    assert made.optimisers.keys() == {"generator", "discriminator"}
    for optimiser in made.optimisers.values():
        assert isinstance(optimiser, torch.optim.Adam)
        assert [(group["lr"], group["betas"]) for group in optimiser.param_groups] == [(3e-4, (0.4, 0.99))]


@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize("variant", ["paper", "release"])
def test_training_on_one_pair_brings_the_content_down(variant: str, scales: int) -> None:
    made = small(variant=variant, scales=scales, learning_rate=3e-3, width=8)
    given = batch(images=1)
    first = made.step(given)
    for _ in range(60):
        last = made.step(given)
    assert last["content"] < 0.7 * first["content"]


# Restoring


@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (7, 9), (8, 8), (17, 30)])
def test_any_size_is_restored_to_itself(size: tuple[int, int], scales: int) -> None:
    made = small(scales=scales)
    restored = made.restore(torch.rand(2, 3, *size))
    assert restored.shape == (2, 3, *size)
    assert restored.dtype == torch.float32
    assert not restored.requires_grad
    assert restored.isfinite().all()
    assert restored.min() >= 0
    assert restored.max() <= 1


@pytest.mark.parametrize(("scales", "step"), [(1, 1), (2, 2), (3, 4)])
def test_only_what_is_halved_must_be_even(scales: int, step: int) -> None:
    made = small(scales=scales)
    assert made.sides_are_multiples_of() == step
    shapes = []
    made.generator.register_forward_pre_hook(lambda _, given: shapes.append(given[0][0].shape[2:]))
    made.restore(torch.rand(1, 3, 9 * step, 7 * step))
    assert shapes == [(9 * step, 7 * step)]


def identity(made: deepdeblur.DeepDeblur, gain: float) -> deepdeblur.DeepDeblur:
    """The method with weights by hand: the finest level gives its blurred image times `gain`."""
    finest = made.generator.levels[0]
    assert isinstance(finest, nn.Sequential)
    for parameter in finest.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        for channel in range(3):
            finest[0].weight[channel, channel, 2, 2] = 1.0  # type: ignore[index]
            finest[-1].weight[channel, channel, 2, 2] = gain  # type: ignore[index]
    return made


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_images_go_through_whole_in_the_range_of_the_variant(variant: str) -> None:
    image = torch.rand(1, 3, 13, 22)
    same = identity(small(variant=variant), 1.0)
    torch.testing.assert_close(same.restore(image), image, rtol=0, atol=1e-6)
    more = identity(small(variant=variant), 3.0)
    torch.testing.assert_close(more.restore(image), (0.5 + 3 * (image - 0.5)).clamp(0, 1), rtol=0, atol=1e-6)


def test_what_is_outside_is_continued_by_reflection() -> None:
    made = small(scales=3)
    image = torch.rand(1, 3, 14, 15)
    whole = functional.pad(image, (0, 1, 0, 2), mode="reflect")
    torch.testing.assert_close(made.restore(image), made.restore(whole)[:, :, :14, :15], rtol=0, atol=1e-6)


def test_restoring_needs_no_discriminator_and_changes_nothing() -> None:
    made = small()
    alone = deepdeblur.DeepDeblur(deepdeblur.DeepDeblur.for_restoring(made.config), CPU)
    assert list(alone.networks) == ["generator"]
    alone.generator.load_state_dict(made.generator.state_dict())
    before = weights(made.generator)
    image = torch.rand(2, 3, 9, 12)
    assert torch.equal(alone.restore(image), made.restore(image))
    assert unchanged(made.generator, before)
    assert made.generator.training
    apart = torch.cat([made.restore(one[None]) for one in image])
    torch.testing.assert_close(made.restore(image), apart, rtol=0, atol=1e-6)


# What it says of itself


def test_it_says_what_it_is() -> None:
    said = small(scales=2).describe()
    assert "DeepDeblur (Nah et al. 2017), variant paper, K = 2" in said
    assert "upconvolutions among them: 1 (transposed)" in said
    assert "content: mse in [-0.5, 0.5] summed over the scales, divided by 4" in said
    assert "0.0001 x adversarial: saturating, on the finest scale" in said
    release = small(variant="release")
    assert "content: l1 in [-127.5, 127.5] summed over the scales" in release.describe()
    assert "adversarial" not in release.describe()
    assert release.provenance == {"variant": "release"}
