import copy
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from blursynth import errors
from blursynth.config import toml
from trainers import methods
from trainers.losses import adversarial, gradient_penalty, perceptual
from trainers.methods import deblurgan, method
from trainers.networks import layers

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"width": 4, "blocks": 1}
SMALL_CRITIC: dict[str, Any] = {"width": 4, "steps": 2}
CHEAP_FEATURES: dict[str, Any] = {"weights": "random", "tap": "conv1_2"}


def config(**values: Any) -> deblurgan.DeblurGANConfig:
    return toml.build(values, deblurgan.DeblurGANConfig)


def small(critic: dict[str, Any] | None = None, **values: Any) -> deblurgan.DeblurGAN:
    torch.manual_seed(0)
    tables = {"critic": SMALL_CRITIC | (critic or {}), "perceptual": CHEAP_FEATURES}
    return deblurgan.DeblurGAN(config(**(SMALL | tables | values)), CPU)


def batches(count: int, seed: int = 1, images: int = 2) -> list[method.Batch]:
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.rand(count, 2, images, 3, 16, 20, generator=generator)
    return [method.Batch(blurred, sharp) for blurred, sharp in pairs]


def weights(network: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def unchanged(network: nn.Module, before: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True))


# The recipe's table


def test_the_registry_knows_the_method_and_names_the_nearest() -> None:
    assert methods.find("deblurgan") is deblurgan.DeblurGAN
    with pytest.raises(errors.RecipeError, match=r"no training method 'deblurgna'\. Did you mean 'deblurgan'\?"):
        methods.find("deblurgna")
    with pytest.raises(errors.RecipeError, match=r"Known methods: deblurgan"):
        methods.find("xyz")


def test_the_paper_is_the_default() -> None:
    found = config()
    assert (found.variant, found.convolutions, found.clamp, found.test_time_dropout) == ("paper", 2, False, True)
    assert (found.width, found.blocks, found.dropout, found.learning_rate) == (64, 9, 0.5, 1e-4)
    assert (found.content_weight, found.adversarial_weight, found.pixel_weight) == (100, 1, 0)
    critic, features = found.critic, found.perceptual
    assert (critic.loss, critic.steps, critic.batches, critic.penalty) == ("wgan-gp", 5, "fresh", "per-sample")
    assert (critic.penalty_weight, critic.norm_first) == (10, True)
    assert (features.network, features.tap, features.after_activation) == ("vgg19", "conv3_3", True)
    assert (features.normalise, features.reduction) == (True, "channel-sum")


def test_release_is_what_the_public_code_does() -> None:
    found = config(variant="release")
    assert (found.convolutions, found.clamp, found.padding, found.betas) == (1, True, "reflect", (0.5, 0.999))
    critic, features = found.critic, found.perceptual
    assert (critic.loss, critic.steps, critic.batches, critic.penalty) == ("gan", 1, "shared", "per-pixel")
    assert (critic.penalty_weight, critic.norm_first) == (0, False)
    assert (features.after_activation, features.normalise, features.reduction) == (False, False, "mean")


@pytest.mark.parametrize(("variant", "parameters"), [("paper", 11_378_179), ("release", 6_067_459)])
def test_each_variant_builds_its_generator(variant: str, parameters: int) -> None:
    made = deblurgan.DeblurGAN(config(variant=variant, perceptual=CHEAP_FEATURES), CPU)
    assert layers.size(made.generator).parameters == parameters
    assert f"{parameters:,} parameters" in made.describe()


def test_any_value_can_be_given_against_the_variant() -> None:
    found = config(
        variant="release", convolutions=2, critic={"loss": "wgan-gp"}, perceptual={"reduction": "channel-sum"}
    )
    assert (found.convolutions, found.clamp) == (2, True)
    critic = found.critic
    assert (critic.loss, critic.steps, critic.batches, critic.penalty) == ("wgan-gp", 5, "shared", "per-pixel")
    assert critic.penalty_weight == 10
    assert (found.perceptual.reduction, found.perceptual.normalise) == ("channel-sum", False)


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_the_resolved_table_reads_back_as_itself(variant: str) -> None:
    found = config(variant=variant, critic={"width": 8})
    text = toml.to_toml(found)
    assert toml.parse(text, deblurgan.DeblurGANConfig) == found
    assert "norm_first" in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"critic": {"penalty_weight": 0}}, 'critic: loss "wgan-gp" needs a penalty_weight above 0'),
        ({"critic": {"loss": "gan", "penalty_weight": 10}}, 'critic: loss "gan" has no gradient penalty'),
        ({"content_weight": 0, "adversarial_weight": 0}, "nothing is left to train on"),
        ({"perceptual": {"tap": "conv9_1"}}, "perceptual: tap 'conv9_1' is none of vgg19's convolutions"),
        ({"variant": "release", "critic": {"lose": "gan"}}, "critic.lose: unknown key; did you mean 'loss'"),
        ({"variant": "released"}, "variant: Input should be 'paper' or 'release'"),
        ({"norm": "none"}, 'norm "none" needs initialisation "he"'),
        ({"dropout": 1.0}, "dropout: Input should be less than 1"),
        ({"critic": 3}, "critic: "),
    ],
)
def test_a_table_that_cannot_be_meant_says_why(values: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.RecipeError) as caught:
        config(**values)
    assert message in str(caught.value)


def test_missing_perceptual_weights_stop_it_with_a_sentence(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(errors.InputError, match=r"vgg19-dcbb9e9d\.pth"):
        deblurgan.DeblurGAN(config(**SMALL), CPU)
    assert "critic" in deblurgan.DeblurGAN(config(**SMALL, content_weight=0), CPU).networks


# One step


def first_terms(made: deblurgan.DeblurGAN, given: list[method.Batch]) -> dict[str, torch.Tensor]:
    """The first step's terms, restated; one critic update, no dropout. Leaves the networks as they were."""
    chosen = made.config
    generator, critic = copy.deepcopy(made.generator), copy.deepcopy(made.networks["critic"])
    features = perceptual.load(chosen.perceptual).features
    optimiser = torch.optim.Adam(critic.parameters(), lr=chosen.learning_rate, betas=chosen.betas)
    restored, sharp = generator(2 * given[0].blurred_NCHW - 1).detach(), 2 * given[0].sharp_NCHW - 1
    if chosen.critic.loss == "gan":
        terms = {"critic": 0.5 * adversarial.gan_discriminator(critic(sharp), critic(restored))}
    else:
        terms = {"critic": critic(restored).mean() - critic(sharp).mean()}
        terms["penalty"] = 10 * gradient_penalty.between(critic, sharp, restored, chosen.critic.penalty)
    sum(terms.values(), torch.zeros(())).backward()
    optimiser.step()
    restored, sharp = generator(2 * given[-1].blurred_NCHW - 1), 2 * given[-1].sharp_NCHW - 1
    distance = perceptual.distance(features(restored), features(sharp), chosen.perceptual.reduction)
    plain = chosen.critic.loss == "gan"
    score = adversarial.gan_generator(critic(restored)) if plain else -critic(restored).mean()
    terms["perceptual"] = chosen.content_weight * distance
    terms["adversarial"] = chosen.adversarial_weight * score
    terms["pixel"] = chosen.pixel_weight * (restored - sharp).abs().mean()
    return terms


@pytest.mark.parametrize(
    ("variant", "critic"),
    [("paper", {"steps": 1}), ("release", {"steps": 1}), ("release", {"loss": "wgan-gp", "steps": 1})],
)
def test_the_terms_are_those_of_the_equations(variant: str, critic: dict[str, Any]) -> None:
    made = small(critic, variant=variant, dropout=0.0, pixel_weight=3.0, adversarial_weight=0.5, learning_rate=1e-2)
    given = batches(made.batches_per_step)
    torch.manual_seed(5)
    expected = first_terms(made, given)
    torch.manual_seed(5)
    found = made.step(given)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_a_step_takes_a_fresh_batch_for_each_update_or_shares_one() -> None:
    assert small({"steps": 5}).batches_per_step == 6
    assert small({"steps": 5, "batches": "shared"}).batches_per_step == 1
    assert small(adversarial_weight=0).batches_per_step == 1
    with pytest.raises(AssertionError, match="1 batches, expected 3"):
        small().step(batches(1))


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, {"perceptual", "adversarial", "critic", "penalty"}),
        ({"pixel_weight": 1}, {"perceptual", "adversarial", "critic", "penalty", "pixel"}),
        ({"adversarial_weight": 0}, {"perceptual"}),
        ({"content_weight": 0, "pixel_weight": 1, "adversarial_weight": 0}, {"pixel"}),
        ({"critic": {"loss": "gan", "width": 4}}, {"perceptual", "adversarial", "critic"}),
    ],
)
def test_terms_of_weight_0_are_left_out(values: dict[str, Any], names: set[str]) -> None:
    made = small(**values)
    terms = made.step(batches(made.batches_per_step))
    assert terms.keys() == names
    for term in terms.values():
        assert term.shape == ()
        assert not term.requires_grad
        assert term.isfinite()


def test_the_smallest_patch_can_be_trained_on() -> None:
    side = deblurgan.DeblurGAN.smallest
    assert side % deblurgan.DeblurGAN.divisor == 0
    made = small()
    terms = made.step([method.Batch(torch.rand(1, 3, side, side), torch.rand(1, 3, side, side))] * 3)
    assert all(term.isfinite() for term in terms.values())


def test_without_an_adversarial_term_there_is_no_critic() -> None:
    made = small(adversarial_weight=0)
    assert list(made.networks) == list(made.optimisers) == ["generator"]


@pytest.mark.parametrize("shared", [False, True])
def test_each_network_is_moved_by_its_own_optimiser_alone(shared: bool) -> None:
    sharing = {"batches": "shared" if shared else "fresh"}
    for still, moved in (("generator", "critic"), ("critic", "generator")):
        made = small(sharing)
        for group in made.optimisers[still].param_groups:
            group["lr"] = 0.0
        before = {name: weights(network) for name, network in made.networks.items()}
        made.step(batches(made.batches_per_step))
        assert unchanged(made.networks[still], before[still])
        assert not unchanged(made.networks[moved], before[moved])


def test_optimisers_have_the_configured_rate_and_betas() -> None:
    made = small(learning_rate=3e-4, betas=[0.4, 0.99])
    assert made.optimisers.keys() == {"generator", "critic"}
    for optimiser in made.optimisers.values():
        assert isinstance(optimiser, torch.optim.Adam)
        assert [(group["lr"], group["betas"]) for group in optimiser.param_groups] == [(3e-4, (0.4, 0.99))]


def test_a_step_has_dropout_on_whatever_the_mode_it_finds() -> None:
    made = small()
    made.generator.eval()
    made.step(batches(made.batches_per_step))
    assert made.generator.training


def test_the_critic_keeps_nothing_of_the_generators_update() -> None:
    made = small(learning_rate=1e-3)
    made.step(batches(3))
    slopes = [parameter.grad for parameter in made.networks["critic"].parameters()]
    made = small(learning_rate=1e-3, content_weight=0.0, adversarial_weight=1e6)
    made.step(batches(3))
    for slope, parameter in zip(slopes, made.networks["critic"].parameters(), strict=True):
        assert parameter.requires_grad
        assert slope is not None
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, slope)


def test_a_step_follows_from_the_global_generator() -> None:
    def trained(seed: int) -> list[torch.Tensor]:
        made = small()
        torch.manual_seed(seed)
        made.step(batches(3))
        return weights(made.generator)

    first, again, other = trained(3), trained(3), trained(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_states_carried_over_go_on_to_the_bit(variant: str) -> None:
    def step(made: deblurgan.DeblurGAN, number: int) -> None:
        torch.manual_seed(100 + number)
        made.step(batches(made.batches_per_step, seed=number))

    whole = small(variant=variant)
    for number in range(4):
        step(whole, number)
        if number == 1:
            states = copy.deepcopy(
                {
                    name: part.state_dict()
                    for group in (whole.networks, whole.optimisers)
                    for name, part in group.items()
                }
                | {f"{name} network": network.state_dict() for name, network in whole.networks.items()}
            )
    torch.manual_seed(77)
    resumed = deblurgan.DeblurGAN(whole.config, CPU)
    for name, network in resumed.networks.items():
        network.load_state_dict(states[f"{name} network"])
    for name, optimiser in resumed.optimisers.items():
        optimiser.load_state_dict(states[name])
    for number in (2, 3):
        step(resumed, number)
    for name, network in whole.networks.items():
        assert unchanged(resumed.networks[name], weights(network))


def test_training_on_one_pair_brings_the_content_down() -> None:
    made = small(adversarial_weight=0, pixel_weight=1, dropout=0.0, learning_rate=3e-3, width=8)
    given = batches(1, images=1)
    first = made.step(given)
    for _ in range(60):
        last = made.step(given)
    assert last["perceptual"] < 0.7 * first["perceptual"]
    assert last["pixel"] < 0.9 * first["pixel"]


# Restoring


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (7, 9), (8, 8), (17, 30)])
def test_any_size_is_restored_to_itself(size: tuple[int, int]) -> None:
    made = small()
    restored = made.restore(torch.rand(2, 3, *size))
    assert restored.shape == (2, 3, *size)
    assert restored.dtype == torch.float32
    assert not restored.requires_grad
    assert restored.isfinite().all()
    assert restored.min() >= 0
    assert restored.max() <= 1


def with_last_layer(made: deblurgan.DeblurGAN, change: Callable[[torch.Tensor], object]) -> deblurgan.DeblurGAN:
    """The method with its last convolution's bias set by `change` and no weights: a constant correction."""
    last = made.generator.tail[0]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.zeros_(last.weight)
    change(last.bias.data)
    return made


def test_a_silent_network_gives_the_image_back() -> None:
    made = with_last_layer(small(), lambda bias: bias.zero_())
    image = torch.rand(1, 3, 13, 22)
    torch.testing.assert_close(made.restore(image), image, rtol=0, atol=1e-6)


def test_what_is_restored_is_clamped() -> None:
    made = with_last_layer(small(), lambda bias: bias.fill_(3.0))
    image = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(made.restore(image), (image + 0.5 * torch.tanh(torch.tensor(3.0))).clamp(max=1))


def test_dropout_at_test_time_is_on_in_the_paper_and_off_by_option() -> None:
    image = torch.rand(1, 3, 16, 16)
    on, off = small(), small(test_time_dropout=False)
    assert not torch.equal(on.restore(image), on.restore(image))
    torch.manual_seed(2)
    first = on.restore(image)
    torch.manual_seed(2)
    assert torch.equal(on.restore(image), first)
    assert torch.equal(off.restore(image), off.restore(image))


@pytest.mark.parametrize("training", [True, False])
def test_restoring_leaves_modes_and_weights_as_they_were(training: bool) -> None:
    made = small()
    made.generator.train(training)
    before = weights(made.generator)
    made.restore(torch.rand(1, 3, 8, 8))
    assert made.generator.training == training
    assert made.generator.blocks.training == training
    assert unchanged(made.generator, before)


def test_images_of_a_batch_are_restored_as_they_would_be_alone() -> None:
    made = small(test_time_dropout=False)
    images = torch.rand(3, 3, 12, 10)
    alone = torch.cat([made.restore(image[None]) for image in images])
    torch.testing.assert_close(made.restore(images), alone, rtol=0, atol=1e-5)


# What it says of itself


def test_it_says_which_perceptual_weights_it_has() -> None:
    made = small()
    assert made.provenance == {"variant": "paper", "perceptual weights": "random (seed 0), not trained"}
    said = made.describe()
    assert "100 x perceptual: vgg19 conv1_2 after the activation, channel-sum, weights random (seed 0)" in said
    assert "wgan-gp, 10 x per-sample penalty, 2 critic updates on fresh batches" in said
    bare = small(adversarial_weight=0, content_weight=0, pixel_weight=2)
    assert bare.provenance == {"variant": "paper"}
    assert "critic" not in bare.describe()
    assert "2 x pixel" in bare.describe()
