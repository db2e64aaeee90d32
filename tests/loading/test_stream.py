"""Streams: item i is what a stored dataset holds at i, in any order, in threads, and everything follows from seeds."""

import dataclasses
import itertools
import logging
import os
import pathlib
import pickle

import kinds
import numpy as np
import pytest

from blursynth import errors
from blursynth.loading import patches, stream
from blursynth.makers import convolve, photo_pairs
from blursynth.production import run
from blursynth.sources import cache as caches
from blursynth.storage import reader

STREAMED = tuple(kind for kind in kinds.KINDS if kind.startswith(("photos", "scenes")))


def opened(maker: photo_pairs.PhotoPairsMaker, cache: int = 2**26, threads: int = 2) -> stream.Stream:
    return stream.Stream(dataclasses.replace(maker, cache=caches.Cache(cache)), threads=threads)


def scenes(seed: int = 4, per_photo: int = 2**20, count: int = 8, **changes: object) -> stream.Stream:
    options = {"seed": seed, "size": 16, "per_photo": per_photo, "steps": 100, "length": "2:5", **changes}
    return opened(convolve.maker(f"scenes:{count}", options))


def assert_equal_to_stored(maker: photo_pairs.PhotoPairsMaker, folder: pathlib.Path, count: int | None = None) -> int:
    """Compare all arrays and columns of all items (or `count`) in a random order, in several groups."""
    run.produce(maker, folder / "stored.zarr")
    stored, flow = reader.open(folder / "stored.zarr"), opened(maker)
    assert (stored.names, tuple(stored.columns)) == (flow.names, flow.columns)
    numbers = np.random.default_rng(0).permutation(stored.items)[:count]
    for some in np.array_split(numbers, max(1, len(numbers) // 7)):
        made = flow.read(stored.item_numbers[some])
        for name in stored.names:
            assert np.array_equal(made[name], stored.read(name, some)), name
        for name, column in stored.columns.items():
            assert np.array_equal(made[name], column[some], equal_nan=column.dtype.kind == "f"), name
    for name in (*stored.names, *stored.columns):
        assert flow.dtype_of(name) == made[name].dtype
        assert flow.shape_of(name) == made[name].shape[1:]
    assert flow.transfer_function == stored.transfer_function
    return len(numbers)


@pytest.mark.parametrize("kind", STREAMED)
def test_items_equal_those_of_a_stored_dataset(kind: str, tmp_path: pathlib.Path) -> None:
    maker = kinds.make(kind, tmp_path)
    assert isinstance(maker, photo_pairs.PhotoPairsMaker)
    assert assert_equal_to_stored(maker, tmp_path) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", STREAMED)
def test_thousands_of_items_equal_those_of_a_stored_dataset(kind: str, tmp_path: pathlib.Path) -> None:
    maker = kinds.make(kind, tmp_path)
    assert isinstance(maker, photo_pairs.PhotoPairsMaker)
    many = dataclasses.replace(maker, recipe=maker.recipe.model_copy(update={"per_photo": 200}), shard_length=None)
    assert assert_equal_to_stored(many, tmp_path) >= 1000


def test_indexing_takes_numbers_slices_and_sequences() -> None:
    flow = scenes()
    one = flow[5]
    assert one["blurred"].shape == (16, 16, 3)
    assert one["length"].shape == ()
    assert np.array_equal(flow[3:6]["blurred"][2], one["blurred"])
    assert np.array_equal(flow[[7, 5]]["psf"][1], one["psf"])
    assert np.array_equal(flow[-1]["sharp"], flow[len(flow) - 1]["sharp"])
    for wrong in (len(flow), -len(flow) - 1, [0, len(flow)]):
        with pytest.raises(IndexError):
            flow[wrong]
    with pytest.raises(IndexError):
        flow[[0.5]]
    with pytest.raises(errors.DatasetError):
        flow.shape_of("depth")


def test_every_epoch_draws_each_photo_and_never_the_same_item() -> None:
    flow = scenes(per_photo=64)
    seen: set[int] = set()
    for epoch in range(2):
        batches = list(flow.batches(3, epoch=epoch, repeat=2))
        items = np.concatenate([batch["item"] for batch in batches])
        assert sorted(items // 64) == sorted(np.repeat(flow.in_split("train"), 2))
        assert not seen & set(items.tolist())
        seen |= set(items.tolist())
        again = np.concatenate([batch["item"] for batch in flow.batches(5, epoch=epoch, repeat=2)])
        assert np.array_equal(again, items)
    for batch in batches:
        made = flow.read(batch["item"])
        assert np.array_equal(batch["blurred"], made["blurred"])
        assert np.array_equal(batch["sharp"], made["sharp"])


def test_items_come_again_only_after_all_of_a_photo() -> None:
    flow = scenes(per_photo=4)
    (part,) = (flow.part(),)
    drawn = patches.Patches([part], stream.IMAGES, 0).items(range(5 * len(part)))
    first = drawn[drawn // 4 == drawn[0] // 4]
    assert sorted(first[:4] % 4) == [0, 1, 2, 3]
    assert first[4] == first[0]


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_an_epoch_and_continue_anywhere(ranks: int) -> None:
    flow = scenes()
    alone = np.concatenate([batch["item"] for batch in flow.batches(1, epoch=2, repeat=3)])
    shared = [
        np.concatenate([batch["item"] for batch in flow.batches(2, epoch=2, repeat=3, rank=rank, ranks=ranks)])
        for rank in range(ranks)
    ]
    for rank, items in enumerate(shared):
        assert np.array_equal(items, alone[rank::ranks])
    rest = np.concatenate([batch["item"] for batch in flow.batches(2, epoch=2, repeat=3, start=3)])
    assert np.array_equal(rest, alone[6:])


def test_batches_do_not_depend_on_threads_or_cache() -> None:
    made = []
    for threads, cache in ((1, 0), (3, 2**20)):
        maker = convolve.maker("scenes:8", {"seed": 1, "size": 16, "per_photo": 9, "steps": 100, "length": "2:5"})
        made.append(list(opened(maker, cache, threads).batches(4, crop=(9, 12))))
    for ours, theirs in zip(*made, strict=True):
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_windows_are_cut_out_of_the_item() -> None:
    flow = scenes()
    for batch in flow.batches(4, crop=(9, 12)):
        whole = flow.read(batch["item"])
        for k, (top, left) in enumerate(zip(batch["top"], batch["left"], strict=True)):
            for name in stream.IMAGES:
                assert np.array_equal(batch[name][k], whole[name][k, top : top + 9, left : left + 12])


def test_streams_mix_with_stored_parts(tmp_path: pathlib.Path) -> None:
    maker = convolve.maker("scenes:4", {"seed": 9, "size": 16, "per_photo": 6, "steps": 100, "length": "2:5"})
    run.produce(maker, tmp_path / "stored.zarr")
    stored, flow = reader.open(tmp_path / "stored.zarr"), scenes()
    parts = [patches.Part(stored, np.arange(24), 1.0), flow.part(weight=3.0, repeat=4)]
    for ordered in (parts, parts[::-1]):
        both = patches.Patches(ordered, stream.IMAGES, 0)
        streamed = ordered.index(parts[1])
        batch = next(iter(patches.Batches(both, 40)))
        mine = batch["part"] == streamed
        assert mine.sum() == 30  # three quarters
        assert np.array_equal(batch["blurred"][mine], flow.read(batch["item"][mine])["blurred"])
        assert np.array_equal(batch["blurred"][~mine], stored.read("blurred", batch["item"][~mine]))
    with pytest.raises(errors.DatasetError):
        patches.Patches([patches.Part(stored, np.arange(24), repeat=2)], stream.IMAGES, 0).at([0])


def test_damaged_photos_are_replaced_in_batches_and_named_once(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    maker = convolve.maker(str(kinds.photos(tmp_path / "photos")), {**kinds.PAIRS, "splits": "train=1"})
    cut = [source.name for source in maker.photos.sources].index("cut.png")
    flow = opened(maker)
    with pytest.raises(errors.InputError):
        flow[cut * 3]
    with caplog.at_level(logging.WARNING):
        first = [batch["item"] for epoch in range(3) for batch in flow.batches(3, epoch=epoch)]
    assert [record.message.split()[0] for record in caplog.records] == ["cut.png"]
    items = np.concatenate(first)
    assert len(items) == 3 * 8
    assert cut not in items // 3
    anew = [batch["item"] for epoch in range(3) for batch in opened(maker, threads=1).batches(3, epoch=epoch)]
    assert all(np.array_equal(*both) for both in itertools.zip_longest(first, anew))
    only = dataclasses.replace(maker, used=(cut,), generations=(1,))
    with pytest.raises(errors.InputError):
        list(opened(only).batches(1, split=None))


def test_a_photo_that_is_gone_or_changed_is_an_error(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blursynth.media.source_file.WAITS", (0.0,))
    folder = kinds.photos(tmp_path / "photos")
    flow = opened(convolve.maker(str(folder), {**kinds.PAIRS, "splits": "train=1"}), cache=0)
    (folder / "3.png").write_bytes((folder / "2.png").read_bytes())
    with pytest.raises(errors.SourceError, match=r"3\.png"):
        list(flow.batches(4))
    (folder / "3.png").unlink()
    with pytest.raises(errors.SourceError, match=r"3\.png"):
        list(flow.batches(4))


def test_fingerprints_tell_recipes_seeds_and_photos_apart() -> None:
    same, others = scenes(), [scenes(seed=5), scenes(length="2:6"), scenes(count=9), scenes(per_photo=7)]
    assert same.fingerprint == scenes().fingerprint
    assert len({same.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_a_pickled_stream_makes_the_same_items() -> None:
    flow = scenes()
    copy = pickle.loads(pickle.dumps(flow))
    assert copy.fingerprint == flow.fingerprint
    assert np.array_equal(copy[77]["blurred"], flow[77]["blurred"])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_is_refused() -> None:
    flow = scenes()
    next(iter(flow.batches(2)))
    child = os.fork()
    if not child:  # it must not run into the parent's tests
        try:
            next(iter(flow.batches(2)))
        except errors.DatasetError:
            os._exit(3)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_validation_items_are_fixed_and_of_their_split() -> None:
    flow = scenes(count=40)
    items = flow.fixed_items("val")
    assert set(items // flow.items_per_source) == set(flow.in_split("val"))
    assert not set(flow.in_split("val")) & set(flow.in_split("train"))
    assert not flow.source_digests("val") & flow.source_digests("train")
    assert flow.in_split("other").size == 0
    with pytest.raises(errors.DatasetError):
        flow.part("other")
