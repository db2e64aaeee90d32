"""Shuffled batches: what is cut out of which item, how an epoch is shared, and that only what is needed is read."""

import itertools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import fake_maker
import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import blursynth
from blursynth import errors
from blursynth.loading import patches as patches_
from blursynth.production import run
from blursynth.storage import provenance, reader, writer
from blursynth.storage import schema as schemas

NAMES = ("blurred", "sharp")
FRAME = (40, 56)
TILE = 16


def write(
    path: pathlib.Path, items: int = 10, frame: tuple[int, int] = FRAME, dtype: str = "int32", tail: int = 3
) -> reader.Dataset:
    """Full frames in tiles, four items a shard; every number of `blurred` is another one, `sharp` is its negative."""
    shape, chunk = (*frame, tail), (TILE, TILE, tail)
    arrays = tuple(schemas.ArraySpec(name, dtype, shape, ("y", "x", "channel"), chunk) for name in NAMES)
    schema = schemas.Schema("pairs", items, 4, arrays)
    writer.create(str(path), schema, provenance.Record("", 0, ""))
    numbers = np.arange(items * np.prod(shape)).reshape(items, *shape).astype(dtype)
    for shard in range(schema.shards):
        some = numbers[schema.items_of(shard)]
        writer.write_shard(str(path), schema, shard, {"blurred": some, "sharp": -some})
    writer.finalise(str(path), schema, (), 0)
    return reader.open(path)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> reader.Dataset:
    return write(tmp_path_factory.mktemp("frames") / "frames.zarr")


@pytest.fixture(scope="module")
def both(frames: reader.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[patches_.Part]:
    """Six of the ten frames, and all of seven smaller ones, which are drawn three times as often."""
    small = write(tmp_path_factory.mktemp("small") / "small.zarr", items=7, frame=(20, 24))
    return [patches_.Part(frames, np.array([0, 1, 2, 5, 8, 9])), patches_.Part(small, np.arange(7), 3.0)]


def patches(parts: list[patches_.Part], **changes: Any) -> patches_.Patches:
    return patches_.Patches(**{"parts": parts, "names": NAMES, "seed": 4, "crop": (9, 12), **changes})


def assert_right(batch: patches_.Images, parts: list[patches_.Part], size: tuple[int, int]) -> None:
    """Every patch is what lies at its place in its item."""
    for place, (number, item, top, left) in enumerate(zip(*(batch[n] for n in ("part", "item", "top", "left")))):  # noqa: B905
        for name in NAMES:
            whole = parts[number].dataset.read(name, [item])[0]
            np.testing.assert_array_equal(batch[name][place], whole[top : top + size[0], left : left + size[1]])


class TestWindows:
    @hypothesis.given(data=st.data(), height=st.integers(1, FRAME[0]), width=st.integers(1, FRAME[1]))
    def test_crops_equal_slices(self, frames: reader.Dataset, data: st.DataObject, height: int, width: int) -> None:
        corner = st.tuples(st.integers(0, 9), st.integers(0, FRAME[0] - height), st.integers(0, FRAME[1] - width))
        items, tops, lefts = np.array(data.draw(st.lists(corner, min_size=1, max_size=6))).T
        found = frames.read_crops(NAMES, items, tops, lefts, height, width)
        for name in NAMES:
            whole = frames.read(name, items)
            wanted = [image[t : t + height, x : x + width] for image, t, x in zip(whole, tops, lefts, strict=True)]
            np.testing.assert_array_equal(found[name], np.stack(wanted), strict=True)

    def test_items_that_were_left_out_are_not_counted(self, tmp_path: pathlib.Path) -> None:
        run.produce(fake_maker.Fake(broken=3), tmp_path / "fake.zarr")
        dataset = reader.open(tmp_path / "fake.zarr")
        found = dataset.read_crops(["picture", "frame"], [7, 0, 12], 1, [0, 1, 2], 4, 2)
        for name in ("picture", "frame"):
            whole = dataset.read(name, [7, 0, 12])
            wanted = [image[1:5, left : left + 2] for left, image in enumerate(whole)]
            np.testing.assert_array_equal(found[name], np.stack(wanted), strict=True)

    def test_none_asked_for_is_none_given(self, frames: reader.Dataset) -> None:
        assert frames.read_crops(["sharp"], [], 0, 0, 4, 5)["sharp"].shape == (0, 4, 5, 3)

    def test_windows_outside_are_errors(self, frames: reader.Dataset) -> None:
        for corner in ((-1, 0), (0, -1), (FRAME[0] - 7, 0), (0, FRAME[1] - 7)):
            with pytest.raises(IndexError, match=r"window of 8x8 leaves the items of 40x56"):
                frames.read_crops(["sharp"], [3, 4], [0, corner[0]], [0, corner[1]], 8, 8)
        with pytest.raises(IndexError, match="10 items"):
            frames.read_crops(["sharp"], [10], 0, 0, 8, 8)
        with pytest.raises(errors.DatasetError, match="no array psf"):
            frames.read_crops(["psf"], [0], 0, 0, 8, 8)

    def test_only_the_inner_chunks_of_the_window_are_read(self, tmp_path: pathlib.Path) -> None:
        """All of a shard is overwritten with junk but its index and the two tiles that the window touches."""
        dataset = write(tmp_path / "frames.zarr")
        wanted = dataset.read("sharp", [5])[0]
        stored = tmp_path / "frames.zarr" / "sharp" / "c" / "1" / "0" / "0" / "0"
        content = np.frombuffer(stored.read_bytes(), np.uint8)
        rows, columns = 3, 4  # tiles of a frame
        index = content[-(4 * rows * columns * 16 + 4) : -4].view(np.uint64).reshape(4, rows, columns, 2).astype(int)
        junk = np.full_like(content, 0xAA)
        junk[-(index.nbytes + 4) :] = content[-(index.nbytes + 4) :]
        for start, length in index[1, 1, 1:3]:  # item 5 is the shard's second
            junk[start : start + length] = content[start : start + length]
        stored.write_bytes(junk.tobytes())
        again = reader.open(tmp_path / "frames.zarr")
        found = again.read_crops(["sharp"], [5], TILE, TILE + 3, TILE, 2 * TILE - 3)["sharp"][0]
        np.testing.assert_array_equal(found, wanted[TILE : 2 * TILE, TILE + 3 : 3 * TILE])
        for top, left in ((TILE - 1, TILE), (TILE, TILE - 1), (TILE + 1, TILE), (TILE, 2 * TILE + 1)):
            with pytest.raises(errors.DatasetError, match="Could not read sharp"):
                again.read_crops(["sharp"], [5], top, left, TILE, TILE)


class TestPatches:
    def test_patches_are_where_they_say(self, both: list[patches_.Part]) -> None:
        stream = patches(both)
        assert stream.epoch_length == 13
        batch = stream.at(np.arange(60))
        assert_right(batch, both, (9, 12))
        assert batch["blurred"].shape == (60, 9, 12, 3)
        assert set(batch["item"][batch["part"] == 0]) == {0, 1, 2, 5, 8, 9}
        assert np.array_equal(batch["position"], np.arange(60))

    def test_every_place_is_drawn_and_all_follow_from_the_seed(self, frames: reader.Dataset) -> None:
        parts = [patches_.Part(frames, np.arange(10))]
        some = patches(parts, crop=(38, 53)).at(np.arange(400))
        assert set(zip(some["top"], some["left"], strict=True)) == set(itertools.product(range(3), range(4)))
        again, other = (patches(parts, crop=(38, 53), seed=seed).at(np.arange(400)) for seed in (4, 5))
        assert all(np.array_equal(some[name], again[name]) for name in some)
        assert not np.array_equal(some["item"], other["item"])
        assert not np.array_equal(some["top"], other["top"])

    def test_without_a_crop_images_are_whole(self, frames: reader.Dataset) -> None:
        batch = patches([patches_.Part(frames, np.arange(10))], crop=None).at([3, 4])
        np.testing.assert_array_equal(batch["sharp"], frames.read("sharp", batch["item"]))

    @pytest.mark.parametrize("batch", [1, 3, 50, 3000])
    def test_stream_is_what_lies_at_its_positions(self, both: list[patches_.Part], batch: int) -> None:
        stream = patches(both, crop=(2, 2))
        positions = range(5, 2500, 2)
        found = list(stream.stream(positions, batch))
        assert [len(each["item"]) for each in found[:-1]] == [batch] * ((len(positions) - 1) // batch)
        whole = stream.at(np.array(positions))
        for name in whole:
            np.testing.assert_array_equal(np.concatenate([each[name] for each in found]), whole[name], strict=True)

    def test_little_is_read_ahead(self, frames: reader.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        begun: list[int] = []
        begin = reader.Dataset.begin_crops

        def counted(self: reader.Dataset, names: Any, indices: Any, *rest: Any) -> Callable[[], Any]:
            begun.append(len(indices))
            return begin(self, names, indices, *rest)

        monkeypatch.setattr(reader.Dataset, "begin_crops", counted)
        for batch, bytes_ahead, most in (
            (1, 2**30, 65),
            (4, 2**30, 17),
            (4, 2 * 2 * 4 * 9 * 12 * 3 * 4, 3),
            (90, 1, 2),
        ):
            begun.clear()
            monkeypatch.setattr(patches_, "AHEAD_BYTES", bytes_ahead)
            stream = patches([patches_.Part(frames, np.arange(10))]).stream(range(2**40), batch)
            for used in range(1, 5):
                next(stream)
                assert len(begun) == used - 1 + most

    def test_damage_is_an_error_where_it_is_met(self, tmp_path: pathlib.Path) -> None:
        dataset = write(tmp_path / "frames.zarr")
        (tmp_path / "frames.zarr" / "sharp" / "c" / "1" / "0" / "0" / "0").unlink()
        batches = patches_.Batches(patches([patches_.Part(dataset, np.arange(10))]), 1)
        order = [int(batch) for batch in batches.patches.order.at(np.arange(10))[1]]
        whole = next(place for place, item in enumerate(order) if 4 <= item < 8)
        found = iter(batches)
        for _ in range(whole):
            next(found)
        with pytest.raises(errors.DatasetError, match="Could not read sharp"):
            next(found)


class TestBatches:
    @hypothesis.settings(max_examples=40)
    @hypothesis.given(
        ranks=st.integers(1, 6), batch=st.integers(1, 8), epoch=st.integers(0, 3), start=st.integers(0, 4)
    )
    def test_ranks_share_an_epoch(
        self, both: list[patches_.Part], ranks: int, batch: int, epoch: int, start: int
    ) -> None:
        stream = patches(both)
        alone = [entry for each in patches_.Batches(stream, batch, epoch=epoch) for entry in each["position"]]
        assert alone == list(range(13 * epoch, 13 * (epoch + 1)))
        shared = [list(patches_.Batches(stream, batch, epoch=epoch, rank=rank, ranks=ranks)) for rank in range(ranks)]
        for rank, own in enumerate(shared):
            assert [entry for each in own for entry in each["position"]] == alone[rank::ranks]
            rest = list(patches_.Batches(stream, batch, epoch=epoch, start=start, rank=rank, ranks=ranks))
            assert [each["item"].tolist() for each in rest] == [each["item"].tolist() for each in own[start:]]

    @hypothesis.given(ranks=st.integers(1, 6), batch=st.integers(1, 8))
    def test_whole_batches_are_as_many_on_every_rank(self, both: list[patches_.Part], ranks: int, batch: int) -> None:
        stream = patches(both, crop=(1, 1))
        shared = [list(patches_.Batches(stream, batch, rank=rank, ranks=ranks, whole=True)) for rank in range(ranks)]
        assert {len(each["item"]) for own in shared for each in own} <= {batch}
        assert {len(own) for own in shared} == {13 // (batch * ranks)}
        used = sorted(entry for own in shared for each in own for entry in each["position"])
        assert used == list(range(len(used)))

    def test_a_sequence_of_batches(self, both: list[patches_.Part]) -> None:
        batches = patches_.Batches(patches(both), 4, epoch=2)
        iterated = list(batches)
        assert len(batches) == len(iterated) == 4
        for number in (*range(4), -1):
            for name, values in iterated[number].items():
                np.testing.assert_array_equal(batches[number][name], values, strict=True)
        with pytest.raises(IndexError):
            batches[4]
        assert len(patches_.Batches(patches(both), 4, start=9)) == 0

    @pytest.mark.parametrize("workers", [0, 2])
    def test_torch_loads_the_same_batches(self, both: list[patches_.Part], workers: int) -> None:
        batches = blursynth.Batches(patches(both), 4, epoch=1)
        context = "spawn" if workers else None
        loader = torch.utils.data.DataLoader(
            batches, batch_size=None, num_workers=workers, multiprocessing_context=context
        )
        for loaded, own in zip(loader, batches, strict=True):
            assert set(loaded) == set(own)
            assert all(torch.equal(loaded[name], torch.from_numpy(own[name])) for name in own)

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_forked_processes_are_told_what_to_do(self, both: list[patches_.Part]) -> None:
        batches = patches_.Batches(patches(both), 4)
        receive, send = os.pipe()
        child = os.fork()
        if not child:  # what torch's workers are by default; it must not run into the parent's tests
            try:
                list(batches)
            except errors.DatasetError as error:
                os.write(send, str(error).encode())
            finally:
                os._exit(0)
        os.close(send)
        os.waitpid(child, 0)
        with os.fdopen(receive) as said:
            assert 'multiprocessing_context="spawn"' in said.read()


def test_what_cannot_be_read_in_batches_is_one_sentence(frames: reader.Dataset, tmp_path: pathlib.Path) -> None:
    whole = patches_.Part(frames, np.arange(10))
    small = patches_.Part(write(tmp_path / "small.zarr", 1, (8, 12)), np.arange(1))
    grey = patches_.Part(write(tmp_path / "grey.zarr", 1, FRAME, tail=1), np.arange(1))
    short = patches_.Part(write(tmp_path / "short.zarr", 1, FRAME, dtype="int16"), np.arange(1))
    for parts, changes, words in (
        ([], {}, "give at least one"),
        ([whole, patches_.Part(frames, np.arange(0))], {}, "No items of"),
        ([whole, patches_.Part(frames, np.arange(2), 1e-6)], {}, "1e-06 .* so small that none of the 12"),
        ([whole, small], {"crop": None}, r"several sizes \(12x8, 56x40\)"),
        ([whole, small], {}, "small.zarr are 12x8 pixels, too small for a crop of 12x9"),
        ([whole, grey], {}, "not of one kind"),
        ([whole, short], {}, "not of one kind"),
        ([whole], {"names": ("psf",)}, "no array psf"),
    ):
        with pytest.raises(errors.DatasetError, match=words):
            patches(parts, **changes)
    for wrong in ({"batch": 0}, {"rank": 2, "ranks": 2}, {"rank": -1}, {"start": -1}, {"epoch": -1}):
        with pytest.raises(errors.InputError, match="cannot be"):
            patches_.Batches(patches([whole]), **{"batch": 1, **wrong})


def test_arrays_without_a_common_frame_cannot_be_cut(tmp_path: pathlib.Path) -> None:
    run.produce(fake_maker.Fake(), tmp_path / "fake.zarr")
    part = patches_.Part(reader.open(tmp_path / "fake.zarr"), np.arange(5))
    for names in (("picture", "frame"), ("weight",)):
        with pytest.raises(errors.DatasetError, match="cannot be cut alike"):
            patches([part], names=names, crop=(2, 2))


@pytest.mark.parametrize("weights", [(0.0, 1.0), (-1.0, 2.0), (np.nan, 1.0), (np.inf, 1.0), (1e308, 1e308), (0, 0)])
def test_weights_that_are_no_shares_are_refused(tmp_path: pathlib.Path, weights: tuple[float, float]) -> None:
    dataset = write(tmp_path / "frames.zarr")
    parts = [patches_.Part(dataset, np.arange(3), weight) for weight in weights]
    with pytest.raises(errors.DatasetError):
        patches_.Patches(parts, ["sharp"], 0)
