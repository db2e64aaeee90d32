"""What comes at a position of the training stream depends on nothing but the seed and the position."""

import collections
import pathlib
from collections.abc import Callable
from typing import Any

import clip_files
import numpy as np
import pytest
import torch

from blursynth import errors
from blursynth.makers import average_frames_request
from blursynth.production import run as produce
from blursynth.storage import reader
from trainers import recipe
from trainers.training import augmentation, data, validation

CPU = torch.device("cpu")
MakePairs = Callable[..., pathlib.Path]


def section(*paths: pathlib.Path, **changes: Any) -> recipe.Data:
    entries = tuple(recipe.TrainingSet(path=str(path)) for path in paths)
    return recipe.Data(**{"train": entries, "crop": 0, **changes})


@pytest.fixture(scope="module")
def pairs(make_pairs: MakePairs, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_pairs(tmp_path_factory.mktemp("data") / "pairs.zarr")


def test_steps_are_the_pairs_of_the_order_and_continue_anywhere(pairs: pathlib.Path) -> None:
    training = data.TrainingData(section(pairs, rotate=True, crop=8, noise=2.0), seed=1)
    stream = training.steps(0, 4)
    whole = [next(stream) for _ in range(40)]
    again = data.TrainingData(section(pairs, rotate=True, crop=8, noise=2.0), seed=1).steps(17, 4)
    assert all(same(next(again), whole[17 + step]) for step in range(23))
    plain = data.TrainingData(section(pairs), seed=1).steps(0, 4)
    # The first pixel of `sharp` is the item's number; train items are 0, 1, 2 modulo 4.
    numbers = np.concatenate([next(plain).pairs[1, :, 0, 0, 0] for _ in whole])
    assert np.array_equal(numbers, training.patches.at(np.arange(160))["item"])
    assert set(numbers % 4) == {0, 1, 2}
    assert sorted(numbers[:18]) == sorted(training.parts[0].items)  # an epoch has every pair once


def same(ours: data.Drawn, theirs: data.Drawn) -> bool:
    ours_and_theirs = zip(ours.choices._tensors(), theirs.choices._tensors(), strict=True)
    return torch.equal(ours.pairs, theirs.pairs) and all(torch.equal(*both) for both in ours_and_theirs)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_every_step(pairs: pathlib.Path, ranks: int) -> None:
    asked = section(pairs, crop=8, flip_horizontal=True, rotate=True, saturation=(0.5, 1.5), noise=2.0)

    def made(drawn: data.Drawn) -> torch.Tensor:
        (batch,) = data.batches(asked, drawn, drawn.pairs.shape[1], CPU)
        return torch.stack([batch.blurred_NCHW, batch.sharp_NCHW])

    whole = data.TrainingData(asked, seed=1).steps(5, 6)
    shared = [data.TrainingData(asked, seed=1).steps(5, 6, rank, ranks) for rank in range(ranks)]
    for _ in range(9):
        step = made(next(whole))
        assert all(torch.equal(made(next(own)), step[:, rank::ranks]) for rank, own in enumerate(shared))


def test_without_options_patches_are_plain_crops(pairs: pathlib.Path) -> None:
    training = data.TrainingData(section(pairs, crop=8), seed=2)
    drawn = next(training.steps(2, 20))
    cut = training.patches.at(np.arange(40, 60))
    whole = training.parts[0].dataset.read("sharp", cut["item"])
    for place, (top, left) in enumerate(zip(cut["top"], cut["left"], strict=True)):
        assert np.array_equal(drawn.pairs[1, place], whole[place, top : top + 8, left : left + 8])
    assert np.array_equal(drawn.pairs[0], cut["blurred"])
    batches = data.batches(training.section, drawn, 5, CPU)
    assert torch.equal(batches[2].sharp_NCHW[1].permute(1, 2, 0), drawn.pairs[1, 11] / 255)


def test_batches_are_encoded_light_in_unit_range_channels_last(pairs: pathlib.Path) -> None:
    pairs_PNHWC = (
        torch.arange(2 * 6 * 4 * 5 * 3, dtype=torch.int32).remainder(256).to(torch.uint8).reshape(2, 6, 4, 5, 3)
    )
    asked = section(pairs)
    made = data.batches(asked, data.Drawn(pairs_PNHWC, augmentation.choose(asked, 0, np.arange(6))), 2, CPU)
    assert [batch.blurred_NCHW.shape for batch in made] == [(2, 3, 4, 5)] * 3
    assert made[1].sharp_NCHW.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made[1].sharp_NCHW[0, :, 3, 4], pairs_PNHWC[1, 2, 3, 4].float() / 255)
    assert torch.equal(made[2].blurred_NCHW[1, :, 0, 1], pairs_PNHWC[0, 5, 0, 1].float() / 255)


def test_prefetch_gives_the_stream_and_ends_with_its_block(pairs: pathlib.Path) -> None:
    training = data.TrainingData(section(pairs), seed=1)
    expected = training.steps(3, 4)
    with data.Prefetch(training.steps(3, 4), CPU) as prefetch:
        assert all(same(prefetch.get(), next(expected)) for _ in range(12))
    assert not prefetch._thread.is_alive()


def test_prefetch_raises_in_the_training_thread(make_pairs: MakePairs, tmp_path: pathlib.Path) -> None:
    path = make_pairs(tmp_path / "pairs.zarr")
    training = data.TrainingData(section(path), seed=1)
    (shard,) = path.glob("sharp/c/1/0/0/0")
    shard.unlink()
    with data.Prefetch(training.steps(0, 4), CPU) as prefetch:
        numbers = iter(range(10))
        with pytest.raises(errors.DatasetError, match="sharp"):
            collections.deque((prefetch.get() for _ in numbers), maxlen=0)
        assert next(numbers, None) is not None  # it was not the end of the loop that stopped


def test_limit_takes_the_first_training_pairs(pairs: pathlib.Path) -> None:
    assert data.TrainingData(section(pairs, limit=4), seed=0).parts[0].items.tolist() == [0, 1, 2, 4]


def test_what_cannot_be_trained_on_is_one_sentence(make_pairs: MakePairs, tmp_path: pathlib.Path) -> None:
    good = make_pairs(tmp_path / "good.zarr")
    small = make_pairs(tmp_path / "small.zarr", size=(8, 12))
    other = make_pairs(tmp_path / "psfs.zarr", kind="psfs")
    begun = make_pairs(tmp_path / "begun.zarr", complete=False)
    for made, words in (
        (section(tmp_path / "none.zarr"), "no dataset"),
        (section(begun), "not finished"),
        (section(other), "holds psfs"),
        (section(good, small, crop=10), "12x8"),
        (section(good, small), "several sizes"),
        (section(good, crop=7), "multiples of 2"),
        (section(good, crop=4), "6x6 or more"),
    ):
        with pytest.raises(errors.DatasetError, match=words):
            data.TrainingData(made, seed=0, divisor=2, smallest=6)


def test_other_light_is_warned_of(
    make_pairs: MakePairs, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    gamma = make_pairs(tmp_path / "gamma.zarr")
    linear = make_pairs(tmp_path / "linear.zarr", transfer="linear")
    data.TrainingData(section(gamma), seed=0)
    assert not caplog.records
    data.TrainingData(section(gamma, linear), seed=0)
    assert "transfer functions" in caplog.text


def test_validation_takes_held_out_pairs_spread_evenly(pairs: pathlib.Path) -> None:
    training = data.TrainingData(section(pairs), seed=0)
    # Items 3, 7 and 11 are "val"; 15, 19 and 23 are "test" and never touched.
    found = [sharp[0, 0, 0] for _, sharp in validation.HeldOut(recipe.Validation(images=10), training)]
    assert found == [3, 7, 11]
    assert [sharp[0, 0, 0] for _, sharp in validation.HeldOut(recipe.Validation(images=2), training)] == [3, 11]


def test_validation_refuses_training_sources_and_empty_splits(make_pairs: MakePairs, tmp_path: pathlib.Path) -> None:
    training = data.TrainingData(section(make_pairs(tmp_path / "a.zarr")), seed=0)
    same_split = make_pairs(tmp_path / "b.zarr", seed=1)
    validation.HeldOut(recipe.Validation(path=str(same_split)), training)
    # Here item 3 is made from photo 4, which the other dataset trains on.
    shifted = make_pairs(tmp_path / "c.zarr", first_source=1)
    with pytest.raises(errors.DatasetError, match="3 of the source photos"):
        validation.HeldOut(recipe.Validation(path=str(shifted)), training)
    with pytest.raises(errors.DatasetError, match='no pairs in the split "holdout"'):
        validation.HeldOut(recipe.Validation(split="holdout"), training)


def test_pairs_of_one_clip_alone_are_trained_on_without_validation(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip_files.write(tmp_path / "a.mp4", clip_files.moving(30))
    asked = {"seed": 0, "frames": "3", "size": 32}
    produce.produce(average_frames_request.maker([str(tmp_path / "a.mp4")], asked), tmp_path / "pairs.zarr")
    training = data.TrainingData(section(tmp_path / "pairs.zarr"), seed=0)
    assert validation.held_out(recipe.Validation(), training) is None
    assert "none is held out" in caplog.text
    with pytest.raises(errors.DatasetError, match='in the split "val"'):  # what was asked for by name has to be there
        validation.held_out(recipe.Validation(path=str(tmp_path / "pairs.zarr")), training)


def test_an_exact_image_does_not_hide_the_others() -> None:
    flat = np.full((16, 16, 3), 90, np.uint8)
    off = flat.copy()
    off[3, 4, 1] += 1
    exact, nearly = (validation._score(each, flat, torch.device("cpu")) for each in (flat, off))
    assert exact[0] == pytest.approx(10 * np.log10(255**2 * flat.size))
    assert nearly[0] == pytest.approx(float(exact[0]))


def test_only_what_is_no_dataset_is_said_to_be_none(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(errors.NotADatasetError, match="blursynth import"):
        data.open_pairs(str(tmp_path))

    def damaged(_: str) -> None:
        raise errors.DatasetError("its record is not a blursynth dataset's")

    monkeypatch.setattr(reader, "open", damaged)
    with pytest.raises(errors.DatasetError) as caught:
        data.open_pairs(str(tmp_path))
    assert type(caught.value) is errors.DatasetError
    assert "blursynth import" not in str(caught.value)
