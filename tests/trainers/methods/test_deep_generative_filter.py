import copy
import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from blursynth import errors
from blursynth.config import toml
from trainers import methods
from trainers.methods import deep_generative_filter as dgf
from trainers.methods import method
from trainers.networks import layers, patchgan

CPU = torch.device("cpu")
CHEAP_FEATURES: dict[str, Any] = {"weights": "random", "tap": "conv1_2"}
SMALL: dict[str, Any] = {"rate": 4, "blocks": 4, "perceptual": CHEAP_FEATURES, "discriminator": {"width": 4}}
TEN = (1, 2, 1, 3, 1, 4, 1, 3, 1, 2)


def config(**values: Any) -> dgf.DeepGenerativeFilterConfig:
    return toml.build(values, dgf.DeepGenerativeFilterConfig)


def convolution_parameters(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel * kernel + outputs


def by_hand(residual: tuple[int, ...] = (), skip: bool = True) -> int:
    """Section 3.1.1 with a channel-rate of 64, layer by layer."""
    total, channels = convolution_parameters(3, 256, 3), 256
    for number in range(1, 11):
        outputs = channels if number in residual else 64
        total += convolution_parameters(channels, 256, 1) + convolution_parameters(256, outputs, 3)
        channels += 0 if number in residual else 64
    total += convolution_parameters(channels, 256, 1)
    return total + convolution_parameters(512 if skip else 256, 3, 3)


def test_the_generator_has_the_counted_parameters_and_layers() -> None:
    assert by_hand() == 3_121_027
    size = layers.size(dgf.DenseGenerator(64, TEN))
    assert size == layers.Size(convolutions=1 + 2 * 10 + 1 + 1, parameters=3_121_027)
    # A last layer of 1x1 would make it 3,108,739.
    assert by_hand() - convolution_parameters(512, 3, 3) + convolution_parameters(512, 3, 1) == 3_108_739
    assert layers.size(dgf.DenseGenerator(64, TEN, global_skip=False)).parameters == by_hand(skip=False)


@pytest.mark.parametrize("residual", [(1, 2, 3, 8, 9, 10), (4, 5, 6, 7)])
def test_table_1s_networks_have_the_counted_parameters(residual: tuple[int, ...]) -> None:
    assert layers.size(dgf.DenseGenerator(64, TEN, residual=residual)).parameters == by_hand(residual)


def test_the_discriminator_has_ten_convolutions() -> None:
    widths = [6, 64, 64, 128, 128, 256, 256, 512, 512, 512, 1]
    expected = sum(convolution_parameters(a, b, 3) for a, b in itertools.pairwise(widths))
    table = dgf.DiscriminatorConfig()
    network = patchgan.MarkovianDiscriminator(6, table.width, table.strides)
    assert layers.size(network) == layers.Size(10, expected)
    kinds = [type(layer).__name__ for layer in network.layers]
    unit = ["Conv2d", "GroupNorm", "LeakyReLU"]
    assert kinds == ["Conv2d", "LeakyReLU", *(8 * unit), "Conv2d"]


def test_a_score_of_the_discriminator_sees_93_by_93_pixels() -> None:
    torch.manual_seed(0)
    network = patchgan.MarkovianDiscriminator(3, 2, dgf.DiscriminatorConfig().strides, "none").double()
    image = torch.rand(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    scores = network(image)
    assert scores.shape == (1, 1, 20, 20)
    scores[0, 0, 10, 10].backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(dim=0) > 0
    assert int(seen.any(dim=0).sum()) == int(seen.any(dim=1).sum()) == 93


@pytest.mark.parametrize(
    ("blocks", "expected"), [(1, (1,)), (2, (1, 2)), (4, (1, 2, 1, 2)), (7, (1, 2, 1, 3, 1, 2, 1)), (10, TEN)]
)
def test_dilations_rise_to_the_middle_and_fall(blocks: int, expected: tuple[int, ...]) -> None:
    assert dgf.rising_and_falling(blocks) == expected
    assert config(blocks=blocks).dilations == expected


@pytest.mark.parametrize(("dilations", "reach"), [((1,) * 10, 12), (TEN, 21)])
def test_a_pixel_sees_as_far_as_the_dilations_say(dilations: tuple[int, ...], reach: int) -> None:
    """Every 3x3 of dilation d reaches d further: the head's, ten blocks', the last one."""
    assert 1 + sum(dilations) + 1 == reach
    network = dgf.DenseGenerator(2, dilations, norm="none", dropout=0.0).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.01)  # nothing cancels, no activation is at rest
    image = torch.zeros(1, 3, 61, 61, dtype=torch.float64, requires_grad=True)
    network(image)[0, 0, 30, 30].backward()
    assert image.grad is not None
    rows = torch.nonzero(image.grad[0, 0].abs().sum(dim=1))[:, 0]
    columns = torch.nonzero(image.grad[0, 0].abs().sum(dim=0))[:, 0]
    assert (int(rows.min()), int(rows.max())) == (int(columns.min()), int(columns.max())) == (30 - reach, 30 + reach)


def test_block_m_takes_everything_before_it() -> None:
    network = dgf.DenseGenerator(64, TEN)
    taken = [next(m for m in block.modules() if isinstance(m, nn.Conv2d)).in_channels for block in network.blocks]
    assert taken == [256 + 64 * m for m in range(10)]
    mixed = dgf.DenseGenerator(64, TEN, residual=(1, 2, 3, 8, 9, 10))
    taken = [next(m for m in block.modules() if isinstance(m, nn.Conv2d)).in_channels for block in mixed.blocks]
    assert taken == [256, 256, 256, 256, 320, 384, 448, 512, 512, 512]


def restated(network: dgf.DenseGenerator, image: torch.Tensor, dilations: tuple[int, ...]) -> torch.Tensor:
    """Section 3.1.1 written out with functions; weights in the order of the layers."""
    parameters = iter(list(network.parameters()))

    def convolve(x: torch.Tensor, padding: int, dilation: int = 1) -> torch.Tensor:
        return functional.conv2d(x, next(parameters), next(parameters), padding=padding, dilation=dilation)

    def activate(x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        x = centred / torch.sqrt(centred.square().mean(dim=(2, 3), keepdim=True) + 1e-5)
        return torch.where(x > 0, x, 0.2 * x)

    head = field = convolve(image, 1)
    for dilation in dilations:
        field = torch.cat([field, convolve(convolve(activate(field), 0), dilation, dilation)], dim=1)
    tail = convolve(activate(field), 0)
    return torch.tanh(convolve(torch.cat([head, tail], dim=1), 1))


def test_the_last_layer_and_the_slope_are_those_of_the_recipe() -> None:
    def made(**values: Any) -> tuple[nn.Module, list[float]]:
        table = config(rate=2, blocks=2, **values)
        network = dgf.DeepGenerativeFilter.make_generator(table)
        discriminator = dgf.DeepGenerativeFilter.make_discriminator(table)
        return network, [
            m.negative_slope for n in (network, discriminator) for m in n.modules() if isinstance(m, nn.LeakyReLU)
        ]

    network, slopes = made()
    assert [type(layer) for layer in network.last] == [nn.Conv2d, nn.Tanh]
    assert network.last[0].kernel_size == (3, 3)
    assert set(slopes) == {0.2}
    other, slopes = made(last_kernel=1, tanh=False, slope=0.01)
    assert [type(layer) for layer in other.last] == [nn.Conv2d]
    assert other.last[0].kernel_size == (1, 1)
    assert set(slopes) == {0.01}
    assert len(slopes) == 2 + 1 + 9
    assert other(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    sizes = [layers.size(dgf.DenseGenerator(64, TEN, last_kernel=side)).parameters for side in (3, 1)]
    assert sizes == [3_121_027, 3_108_739]


def test_the_generator_equals_its_layer_list() -> None:
    torch.manual_seed(0)
    dilations = (1, 2, 1, 3)
    network = dgf.DenseGenerator(4, dilations).double().eval()
    image = torch.rand(2, 3, 20, 28, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(network(image), restated(network, image, dilations), rtol=0, atol=1e-12)


def test_a_residual_block_adds_and_a_dense_one_appends() -> None:
    torch.manual_seed(0)
    features = torch.rand(1, 8, 6, 6)
    adding = dgf.AddingBlock(8, 16, 8, 1, "instance", 0.0)
    appending = dgf.AppendingBlock(8, 16, 8, 1, "instance", 0.0)
    appending.load_state_dict(adding.state_dict())
    assert torch.equal(adding(features), features + appending(features))
    assert torch.equal(appending(features[:, :3], features[:, 3:]), appending(features))


@pytest.mark.parametrize("residual", [(), (2, 3)])
def test_recomputing_blocks_changes_no_gradient(residual: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    kept = dgf.DenseGenerator(4, (1, 2, 1, 2), residual=residual, dropout=0.5)
    recomputed = copy.deepcopy(kept)
    recomputed.checkpointing = True
    image = torch.rand(2, 3, 16, 16)
    results = []
    for network in (kept, recomputed):
        torch.manual_seed(1)  # dropout falls alike
        restored = network(image)
        restored.square().sum().backward()
        results.append([restored, *(parameter.grad for parameter in network.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_recomputing_blocks_keeps_less() -> None:
    def kept_bytes(checkpointing: bool) -> int:
        network = dgf.DenseGenerator(8, TEN, dropout=0.0, checkpointing=checkpointing)
        found: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            network(torch.rand(1, 3, 32, 32))
        return sum(found.values())

    assert kept_bytes(True) < 0.25 * kept_bytes(False)


# The recipe's table


def test_the_paper_is_the_default() -> None:
    found = config()
    assert (found.rate, found.blocks, found.dilations, found.residual) == (64, 10, TEN, ())
    assert (found.pixel_weight, found.content_weight, found.adversarial_weight) == (170, 145, 1)
    assert (found.learning_rate, found.betas, found.dropout, found.test_time_dropout) == (
        2e-4,
        (0.9, 0.999),
        0.5,
        False,
    )
    assert (found.conditional, found.global_skip) == (True, True)
    features = found.perceptual
    assert (features.network, features.tap, features.after_activation) == ("vgg16", "conv3_3", True)
    assert config(perceptual={"weights": "random"}).perceptual.network == "vgg16"


def test_the_resolved_table_reads_back_as_itself() -> None:
    found = config(blocks=3, residual=[2], discriminator={"width": 8})
    assert toml.parse(toml.to_toml(found), dgf.DeepGenerativeFilterConfig) == found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dilations": [1, 2]}, "dilations has 2 numbers, expected one for each of 10 blocks"),
        ({"residual": [11]}, "residual names block 11, but there are 10"),
        ({"residual": [0]}, "greater than or equal to 1"),
        ({"pixel_weight": 0, "content_weight": 0, "adversarial_weight": 0}, "nothing is left to train on"),
        ({"discriminator": {"strides": [3, 1]}}, "discriminator.strides"),
        ({"variant": "release"}, "variant: Input should be 'paper'"),
    ],
)
def test_a_table_that_cannot_be_meant_says_why(values: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.RecipeError) as caught:
        config(**values)
    assert message in str(caught.value)


# Training


def small(**values: Any) -> dgf.DeepGenerativeFilter:
    torch.manual_seed(0)
    return dgf.DeepGenerativeFilter(config(**(SMALL | values)), CPU)


def batch(seed: int = 1, size: tuple[int, int] = (16, 20)) -> method.Batch:
    generator = torch.Generator().manual_seed(seed)
    return method.Batch(*torch.rand(2, 2, 3, *size, generator=generator))


@pytest.mark.parametrize(
    ("values", "terms"),
    [
        ({"content_weight": 0.0, "adversarial_weight": 0.0}, {"pixel"}),
        ({"adversarial_weight": 0.0}, {"pixel", "perceptual"}),
        ({"conditional": False}, {"pixel", "perceptual", "adversarial", "discriminator"}),
        ({}, {"pixel", "perceptual", "adversarial", "discriminator"}),
    ],
)
def test_terms_are_those_that_the_ablations_name(values: dict[str, Any], terms: set[str]) -> None:
    trained = small(**values)
    before = [parameter.detach().clone() for parameter in trained.generator.parameters()]
    found = trained.step([batch()])
    assert set(found) == terms
    assert any(not torch.equal(a, b) for a, b in zip(before, trained.generator.parameters(), strict=True))
    assert set(trained.networks) == ({"generator", "discriminator"} if "adversarial" in terms else {"generator"})
    assert all(parameter.requires_grad for network in trained.networks.values() for parameter in network.parameters())


def test_a_step_minimises_equation_4() -> None:
    trained = small(dropout=0.0)
    pair = batch()
    reference = copy.deepcopy(trained)
    found = trained.step([pair])
    blurred, sharp = pair.blurred_NCHW * 2 - 1, pair.sharp_NCHW * 2 - 1
    with torch.no_grad():
        restored = reference.generator(blurred)
        scores = [
            reference.networks["discriminator"](torch.cat([blurred, image], dim=1)) for image in (sharp, restored)
        ]
        probabilities = [torch.sigmoid(score.double()) for score in scores]
        assert float(found["discriminator"]) == pytest.approx(
            float(-probabilities[0].log().mean() - (1 - probabilities[1]).log().mean()), rel=1e-5
        )
        assert float(found["pixel"]) == pytest.approx(170 * float((restored - sharp).abs().mean()), rel=1e-5)
        features = [reference.features(image) for image in (restored, sharp)]
        height, width = features[0].shape[2:]
        squared = (features[0] - features[1]).square().sum(dim=(1, 2, 3)) / (height * width)
        assert float(found["perceptual"]) == pytest.approx(145 * float(squared.mean()), rel=1e-5)
        scores = trained.networks["discriminator"](torch.cat([blurred, restored], dim=1))
        assert float(found["adversarial"]) == pytest.approx(float(-torch.sigmoid(scores).log().mean()), rel=1e-5)


def test_a_conditional_discriminator_sees_the_blurred_image() -> None:
    pair = batch()
    other = method.Batch(pair.blurred_NCHW.roll(3, dims=3), pair.sharp_NCHW)

    def scores(trained: dgf.DeepGenerativeFilter, given: method.Batch) -> torch.Tensor:
        return trained._scores(given.blurred_NCHW, given.sharp_NCHW)

    assert not torch.equal(scores(small(), pair), scores(small(), other))
    alone = small(conditional=False)
    assert torch.equal(scores(alone, pair), scores(alone, other))


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (13, 22)])
def test_restores_any_size_and_leaves_the_mode_alone(size: tuple[int, int]) -> None:
    trained = small()
    trained.generator.train()
    blurred = torch.rand(2, 3, *size)
    restored = trained.restore(blurred)
    assert restored.shape == blurred.shape
    assert restored.dtype == torch.float32
    assert 0 <= float(restored.min()) <= float(restored.max()) <= 1
    assert trained.generator.training
    assert torch.equal(restored, trained.restore(blurred))  # no dropout at test time
    assert not torch.equal(small(test_time_dropout=True).restore(blurred), restored)


def test_restoring_needs_no_perceptual_weights() -> None:
    kind = methods.find("deep-generative-filter")
    table = config(**{**SMALL, "perceptual": {"weights": "/nowhere.pth"}})
    with pytest.raises(errors.InputError, match="vgg16"):
        kind(table, CPU)
    assert set(kind(kind.for_restoring(table), CPU).networks) == {"generator"}
