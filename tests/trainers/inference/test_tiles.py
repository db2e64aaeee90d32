"""An image restored in tiles is the image restored at once."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from blursynth import errors
from blursynth.config import toml
from trainers import device_memory, methods
from trainers.inference import global_statistics, tiles
from trainers.inference import restorer as restoring
from trainers.methods import method
from trainers.networks import layers

CPU = torch.device("cpu")
SMALL: dict[str, dict[str, Any]] = {
    "deblurgan": {"width": 4, "blocks": 4, "test_time_dropout": False},
    "deep-generative-filter": {"rate": 2},
    "light-deblurgan": {"width": 4, "blocks": 9},
    "deepdeblur": {"width": 4},
    "resgan": {"width": 4, "blocks": 4},
    "pix2pix": {"width": 2},
}


def made(name: str, **values: Any) -> method.Method:
    kind = methods.find(name)
    torch.manual_seed(0)
    return kind(kind.for_restoring(toml.build({"name": name, **SMALL[name], **values}, kind.Config)), CPU)


def texture(height: int, width: int) -> torch.Tensor:
    """Brighter to one side, so that tiles differ in their statistics."""
    numbers = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, height // 4 + 2, width // 4 + 2, generator=numbers)
    image = functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return (0.6 * image + 0.4 * torch.linspace(0, 1, width)).clamp(0, 1)


def test_every_method_is_tried_here() -> None:
    assert set(SMALL) == set(methods.CLASSES)


@pytest.mark.parametrize("name", [name for name in SMALL if methods.find(name).tileable])
def test_tiles_agree_with_the_whole(name: str) -> None:
    trained = made(name)
    seen: list[tuple[int, int]] = []
    overlap = tiles.receptive_field(trained, CPU) + tiles.FADE
    side = 2 * overlap + 80
    image = texture(side + 27, side + 99)  # two rows of three, multiples of nothing
    whole = trained.restore(image)
    tiled = tiles.restore(trained, image, side, CPU, overlap, progress=lambda done, total: seen.append((done, total)))
    assert float(whole.std()) > 0.005
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)
    assert seen[-1][0] == seen[-1][1] == len(seen)


def strengthened(name: str, factor: float, **values: Any) -> method.Method:
    """With larger corrections in its residual blocks, as training may leave them."""
    trained = made(name, **values)
    for block in trained.networks["generator"].modules():
        if isinstance(block, layers.Residual):
            block.last.weight.data.mul_(factor)
    return trained


def test_tiles_overlap_as_far_as_the_weights_make_the_network_see() -> None:
    image = texture(96, 640)
    reaches = []
    for factor in (1.0, 2.5):
        trained = strengthened("deepdeblur", factor, blocks=12)
        reaches.append(tiles.receptive_field(trained, CPU))
        overlap = reaches[-1] + tiles.FADE
        tiled = tiles.restore(trained, image, 2 * overlap + 80, CPU, overlap)
        torch.testing.assert_close(tiled, trained.restore(image), rtol=0, atol=1e-4)
    assert reaches[1] > 1.5 * reaches[0]


def test_a_reach_is_that_of_the_layers() -> None:
    """Deep Generative Filter's 43 pixels cannot be passed; one convolution of 5x5 sees two."""
    assert 8 <= tiles.receptive_field(strengthened("deep-generative-filter", 1.0), CPU) <= 43
    shallow: Any = made("deepdeblur", scales=1, blocks=0)
    with torch.no_grad():
        for layer in shallow.generator.levels[0]:
            layer.weight.fill_(0.01)
    assert tiles.receptive_field(shallow, CPU) == 4  # two of them


def test_reach_leaves_the_generator_and_dropout_as_they_were() -> None:
    trained = made("deblurgan", test_time_dropout=True)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert tiles.receptive_field(trained, CPU) > 0
    assert torch.equal(torch.rand(3), expected)
    assert all("forward" not in vars(layer) for layer in trained.networks["generator"].modules())


def test_tiles_too_small_for_what_the_network_sees_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    trained = strengthened("deepdeblur", 2.0)
    restorer = restoring.Restorer(trained, CPU, restoring.Limits(side=96))
    for _ in range(2):
        restorer(texture(64, 150))
    (record,) = caplog.records
    assert "Tiles of 96 pixels overlap by 16, but this network sees as far as" in record.message
    caplog.clear()
    restoring.Restorer(trained, CPU, restoring.Limits(side=160))(texture(64, 150))  # one tile
    assert not caplog.records


def test_without_the_statistics_of_the_whole_they_would_not() -> None:
    trained = made("deblurgan")
    image = texture(301, 374)
    apart = trained.restore(image[..., :272])
    assert float((apart - trained.restore(image)[..., :272]).abs().max()) > 0.05


def test_dropout_that_stays_on_keeps_its_strength_in_tiles() -> None:
    trained = made("deblurgan", test_time_dropout=True)
    image = texture(200, 310)
    torch.manual_seed(3)
    first = tiles.restore(trained, image, 260, CPU, 96)
    torch.manual_seed(3)
    assert torch.equal(first, tiles.restore(trained, image, 260, CPU, 96))
    whole = trained.restore(image)
    assert 0.5 < float((first - whole).std() / (trained.restore(image) - whole).std()) < 2


def test_layers_are_as_before_afterwards() -> None:
    trained = made("light-deblurgan")
    image = texture(64, 64)
    before = trained.restore(image)
    tiles.restore(trained, texture(220, 220), 200, CPU, 64)
    assert torch.equal(trained.restore(image), before)
    assert all("forward" not in vars(layer) for layer in trained.networks["generator"].modules())


@given(st.integers(1, 4000), st.integers(64, 900), st.sampled_from([1, 4, 8]))
def test_own_parts_tile_the_length_and_begin_on_the_grid(length: int, side: int, step: int) -> None:
    found = tiles.spans(length, side, 32, step)
    assert found[0].first == 0
    assert found[-1].last == length
    assert all(left.last == right.first for left, right in itertools.pairwise(found))
    for span in found:
        assert 0 <= span.begin <= span.first < span.last <= span.end <= length
        assert span.begin % step == span.first % step == 0
        assert span.end - span.begin <= max(side, tiles.SMALLEST + 2 * 32 + 2 * step)


@given(st.integers(65, 1000), st.integers(64, 400))
def test_weights_of_all_tiles_sum_to_one(length: int, side: int) -> None:
    total = torch.zeros(length)
    for span in tiles.spans(length, side, 32, 4):
        weights = tiles._weights(span, length)
        assert float(weights.min()) >= 0
        total[span.begin : span.end] += weights
    torch.testing.assert_close(total, torch.ones(length), rtol=0, atol=1e-6)


def test_gathered_statistics_are_those_of_the_whole() -> None:
    numbers = torch.randn(1, 5, 40, 30, generator=torch.Generator().manual_seed(0)) * 3 + 100
    gathered = global_statistics.Gathered()
    for part in numbers.split((7, 20, 13), dim=2):
        gathered.add(part)
    exact = numbers.double()
    torch.testing.assert_close(gathered.mean, exact.mean(dim=(2, 3), keepdim=True), rtol=1e-6, atol=0)
    variance = exact.var(dim=(2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(gathered.squares / gathered.count, variance, rtol=1e-5, atol=0)
    assert torch.equal(gathered.maximum, exact.amax(dim=(2, 3), keepdim=True))


def test_the_peak_is_that_of_the_tensors_alive_at_once() -> None:
    alive = device_memory.AllocationCount()
    with alive:
        first = torch.zeros(1000)
        second = first + 1
        first.add_(1)
        view = second.view(10, 100)
        del second
        third = view * 2
        del view, first
        fourth = third + 1
    assert alive.peak == 3 * 4000
    assert fourth.numel() == 1000


def test_a_wider_network_needs_more_for_each_pixel_and_smaller_tiles() -> None:
    narrow, wide = (tiles.bytes_per_pixel(made("deblurgan", width=width), CPU) for width in (4, 8))
    assert narrow > 4 * 3 * 4  # the input, what is restored, and features between
    assert 1.4 * narrow < wide < 2.2 * narrow
    assert tiles.side_for(10**6, 100.0, 100, 100) == 0
    assert tiles.side_for(10**6, 101.0, 100, 100) == 96
    assert tiles.side_for(10, 100.0, 100, 100) == tiles.SMALLEST


# With limits


class Short(torch.nn.Module):
    """A generator on a machine whose memory holds `most` pixels."""

    def __init__(self, inner: torch.nn.Module, most: int) -> None:
        super().__init__()
        self.inner = inner
        self.most = most

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        if images_NCHW.shape[2] * images_NCHW.shape[3] > self.most:
            raise torch.OutOfMemoryError("no memory")
        found: torch.Tensor = self.inner(images_NCHW)
        return found


def short(most: int) -> Any:
    trained: Any = made("deblurgan", blocks=1)
    trained.generator = Short(trained.generator, most)
    trained.networks["generator"] = trained.generator
    return trained


def test_smaller_tiles_are_tried_where_memory_runs_out_and_then_it_is_said() -> None:
    image = texture(300, 420)
    expected = made("deblurgan", blocks=1).restore(image)
    restorer = restoring.Restorer(short(300 * 300), CPU, restoring.Limits())
    torch.testing.assert_close(restorer(image), expected, rtol=0, atol=1e-4)
    with pytest.raises(errors.InputError, match="Memory ran out"):
        restoring.Restorer(short(100), CPU, restoring.Limits(side=300))(image)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="size"):
        restoring.Restorer(made("deblurgan"), CPU, restoring.Limits(side=0))(torch.rand(1, 2, 16, 16))


def test_memory_decides_the_side() -> None:
    trained = made("deblurgan")
    per_pixel = tiles.bytes_per_pixel(trained, CPU)
    restorer = restoring.Restorer(trained, CPU, restoring.Limits(memory=int(per_pixel * 500 * 500)))
    assert restorer.side(500, 500) == 0
    assert 448 <= restorer.side(4000, 500) <= 500
    assert restoring.Restorer(trained, CPU, restoring.Limits(side=333)).side(10, 10) == 333


def test_what_torch_keeps_of_a_gpu_is_free_for_the_next_image(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, found in (("mem_get_info", (300, 1000)), ("memory_reserved", 500), ("memory_allocated", 100)):
        monkeypatch.setattr(torch.cuda, name, lambda _, found=found: found)
    restorer = restoring.Restorer(made("deblurgan"), torch.device("cuda"), restoring.Limits())
    assert restorer._memory() == int(0.7 * 700)


def test_the_u_net_is_not_cut() -> None:
    with pytest.raises(errors.InputError, match="leave --tile out"):
        restoring.Restorer(made("pix2pix"), CPU, restoring.Limits(side=256))
    assert restoring.Restorer(made("pix2pix"), CPU, restoring.Limits(memory=1)).side(999, 999) == 0


def test_the_ensemble_is_the_mean_over_flips_and_turns() -> None:
    trained = made("deepdeblur", width=2, blocks=1)
    image = texture(20, 28)
    found = restoring.Restorer(trained, CPU, restoring.Limits(ensemble=True))(image)
    views = []
    for turns, flip in itertools.product(range(4), (False, True)):
        given = torch.rot90(image, turns, (2, 3))
        restored = trained.restore(given.flip(3) if flip else given)
        views.append(torch.rot90(restored.flip(3) if flip else restored, -turns, (2, 3)))
    torch.testing.assert_close(found, torch.stack(views).mean(dim=0))
    mirrored = restoring.Restorer(trained, CPU, restoring.Limits(ensemble=True))(image.flip(3))
    torch.testing.assert_close(mirrored.flip(3), found, rtol=0, atol=1e-6)


def test_pools_are_the_mean_and_the_maximum() -> None:
    features = torch.randn(2, 3, 5, 6)
    mean, maximum = layers.GlobalPools()(features)
    assert torch.equal(maximum[:, :, 0, 0], features.flatten(2).max(dim=2).values)
    torch.testing.assert_close(mean[:, :, 0, 0], features.flatten(2).mean(dim=2))
