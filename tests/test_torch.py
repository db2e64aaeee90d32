"""`blursynth.torch`: the same pairs as the reader and the stream give, whoever loads them."""

import dataclasses
import pathlib

import numpy as np
import pytest
import torch
from torch.utils import data

import blursynth
import blursynth.torch as door
from blursynth import errors
from blursynth.loading import stream
from blursynth.makers import convolve
from blursynth.production import run
from blursynth.sources import cache as caches
from blursynth.synthesis import convolve_pair

OPTIONS = {"seed": 2, "size": 16, "per_photo": 8, "steps": 100, "length": "2:5"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("torch") / "pairs.zarr"
    run.produce(convolve.maker("scenes:10", OPTIONS), out)
    return str(out)


@pytest.fixture(scope="module")
def flow() -> stream.Stream:
    maker = dataclasses.replace(convolve.maker("scenes:10", OPTIONS), cache=caches.Cache(2**26))
    return stream.Stream(maker, threads=2)


def test_pairs_of_a_dataset_are_its_items(stored: str) -> None:
    pairs, dataset = door.Pairs(stored, "val", arrays=["psf", "length"]), blursynth.open(stored)
    items = dataset.in_split("val")
    assert len(pairs) == len(items) > 0
    last = pairs[-1]
    assert last["blurred"].shape == (3, 16, 16)
    assert last["blurred"].dtype == torch.float32
    expected = dataset.read("blurred", [items[-1]])[0]
    assert np.array_equal((last["blurred"] * 255).round().byte().permute(1, 2, 0), expected)
    assert np.array_equal(last["psf"], dataset.read("psf", [items[-1]])[0])
    assert last["length"] == dataset.columns["length"][items[-1]]
    whole = door.Pairs(stored, None, form="uint8")
    assert len(whole) == 80
    assert whole[0]["sharp"].dtype == torch.uint8
    with pytest.raises(IndexError):
        whole[80]


def test_pairs_of_a_stream_change_with_the_epoch(flow: stream.Stream) -> None:
    first, second = (door.Pairs(flow, epoch=epoch, form="uint8") for epoch in (0, 1))
    assert len(first) == len(flow.in_split("train"))
    for k in (0, len(first) - 1):
        item = flow.in_split("train")[k] * 8
        assert np.array_equal(first[k]["blurred"].permute(1, 2, 0), flow[item]["blurred"])
        assert np.array_equal(second[k]["blurred"].permute(1, 2, 0), flow[item + 1]["blurred"])


def test_a_transform_gets_every_item(stored: str) -> None:
    pairs = door.Pairs(stored, transform=lambda item: item["blurred"].mean())
    assert pairs[3] == door.Pairs(stored)[3]["blurred"].mean()


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_data_loader_gives_every_pair_once(stored: str, flow: stream.Stream, workers: int) -> None:
    context = "spawn" if workers else None
    for pairs in (door.Pairs(stored), door.Pairs(flow)):
        loader = data.DataLoader(pairs, batch_size=3, num_workers=workers, multiprocessing_context=context)
        blurred = torch.cat([batch["blurred"] for batch in loader])
        assert torch.equal(blurred, torch.stack([pairs[k]["blurred"] for k in range(len(pairs))]))


def items_of(batches: door.Stream | data.DataLoader) -> list[int]:  # type: ignore[type-arg]
    return torch.cat([batch["item"] for batch in batches]).tolist()


def test_each_iteration_of_a_stream_is_the_next_epoch(flow: stream.Stream) -> None:
    batches = door.Stream(flow, batch=3, form="uint8")
    for epoch in range(2):
        theirs = list(flow.batches(3, epoch=epoch))
        ours = list(batches)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert np.array_equal(one["blurred"].permute(0, 2, 3, 1), other["blurred"])
            assert np.array_equal(one["item"], other["item"])
    assert batches.epoch == 2


def test_a_stream_goes_on_after_the_last_batch_given(flow: stream.Stream) -> None:
    whole = items_of(door.Stream(flow, batch=2, repeat=2))
    begun = door.Stream(flow, batch=2, repeat=2)
    before = []
    for _, batch in zip(range(3), begun, strict=False):
        before += batch["item"].tolist()
    again = door.Stream(flow, batch=2, repeat=2)
    again.load_state_dict(begun.state_dict())
    assert before + items_of(again) == whole
    assert again.state_dict() == {"epoch": 1, "batches": 0}


@pytest.mark.slow
def test_spawned_workers_share_an_epoch(flow: stream.Stream) -> None:
    batches = door.Stream(flow, batch=2, repeat=3)
    alone = items_of(batches)
    batches.set_epoch(0)
    loader = data.DataLoader(batches, batch_size=None, num_workers=2, multiprocessing_context="spawn")
    assert sorted(items_of(loader)) == sorted(alone)


def test_parts_may_be_mixed(stored: str, flow: stream.Stream) -> None:
    dataset = blursynth.open(stored)
    parts = [blursynth.Part(dataset, dataset.in_split("train")), flow.part(weight=2.0)]
    batches = list(door.Stream(parts, batch=8, crop=8, seed=1, whole=True))
    assert {batch["blurred"].shape for batch in batches} == {(8, 3, 8, 8)}
    assert set(torch.cat([batch["part"] for batch in batches]).tolist()) == {0, 1}
    with pytest.raises(errors.InputError):
        door.Stream(parts, batch=8, repeat=2)


def test_wrong_arguments_are_named(stored: str, flow: stream.Stream, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.DatasetError, match="depth"):
        door.Pairs(stored, arrays=["depth"])
    with pytest.raises(errors.DatasetError, match="other"):
        door.Pairs(flow, "other")
    with pytest.raises(errors.InputError, match="float16"):
        door.Pairs(stored, form="float16")  # type: ignore[arg-type]
    with pytest.raises(errors.DatasetError):
        door.Pairs(str(tmp_path / "none.zarr"))


class TestMotionBlur:
    def test_every_image_of_a_batch_has_a_kernel_of_its_own(self) -> None:
        torch.manual_seed(0)
        image = torch.rand(1, 3, 24, 20).repeat(3, 1, 1, 1)
        blurred = door.MotionBlur(length="6:9")(image)
        assert blurred.shape == image.shape
        assert blurred.dtype == image.dtype
        assert not torch.equal(blurred[0], blurred[1])
        assert not torch.equal(blurred[1], blurred[2])
        assert all(float((one - other).abs().mean()) > 0.02 for one, other in zip(blurred, image, strict=True))

    def test_torchs_seed_decides(self) -> None:
        image, blur = torch.rand(3, 24, 20), door.MotionBlur(length="6:9")
        torch.manual_seed(3)
        first = blur(image)
        assert not torch.equal(blur(image), first)
        torch.manual_seed(3)
        assert torch.equal(blur(image), first)

    def test_uint8_is_what_a_dataset_would_hold(self) -> None:
        image = torch.randint(256, (3, 24, 20), dtype=torch.uint8)
        torch.manual_seed(5)
        item = int(torch.randint(2**62, ()))
        torch.manual_seed(5)
        blurred = door.MotionBlur(length="6:9", transfer="srgb")(image)
        config = convolve.request({"seed": 0, "length": "6:9", "transfer": "srgb"})
        expected = convolve_pair.make(image.permute(1, 2, 0).contiguous().numpy(), config, item=item).blurred
        assert np.array_equal(blurred.permute(1, 2, 0), expected)

    def test_grey_images_and_probability(self) -> None:
        grey = torch.rand(2, 1, 16, 16)
        assert door.MotionBlur(length="4:6")(grey).shape == grey.shape
        assert torch.equal(door.MotionBlur(p=0.0)(grey), grey)

    @pytest.mark.parametrize(
        "image",
        [
            torch.zeros(24, 20),
            torch.zeros(2, 24, 20),
            torch.zeros(3, 24, 20, dtype=torch.int64),
            torch.full((3, 24, 20), 1.5),
            torch.full((3, 24, 20), float("nan")),
            np.zeros((3, 24, 20)),
        ],
    )
    def test_other_inputs_are_refused(self, image: torch.Tensor) -> None:
        with pytest.raises(errors.InputError):
            door.MotionBlur()(image)

    @pytest.mark.parametrize("options", [{"p": 2}, {"size": 32}, {"lenght": "3:4"}, {"length": "9:2"}])
    def test_other_options_are_refused(self, options: dict[str, object]) -> None:
        with pytest.raises(errors.RecipeError):
            door.MotionBlur(**options)
