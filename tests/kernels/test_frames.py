"""Means of frames in linear light: against float64, by hand, and by laws."""

import numpy as np
import numpy.typing as npt
import pytest
import reference_frames as reference
from hypothesis import given
from hypothesis import strategies as st

from blursynth import errors
from blursynth.kernels import frames, linear_sum, response
from blursynth.kernels import yuv as rows

TRANSFERS = ("gamma2.2", "srgb", "linear")
FINE = 1 / 512  # grey levels: half a step of the encoded values that planes become


def mean_of(codes: npt.NDArray[np.uint8], transfer: str, rounding: str = "nearest") -> npt.NDArray[np.uint8]:
    table = linear_sum.tables(linear_sum.curve(transfer), len(codes), rounding)
    total = np.zeros(codes.shape[1:], np.int32)
    for frame in codes:
        linear_sum.accumulate(total, frame, table)
    return linear_sum.encode(total, table)


def random_codes(count: int, height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def random_planes(
    count: int, size: tuple[int, int], halved: tuple[bool, bool], bits: int, seed: int = 0
) -> tuple[npt.NDArray[np.unsignedinteger], ...]:
    height, width = size
    small = (-(-height // 2) if halved[0] else height, -(-width // 2) if halved[1] else width)
    draws = np.random.default_rng(seed)
    dtype = np.uint8 if bits == 8 else np.uint16
    return tuple(draws.integers(0, 2**bits, (count, *shape), dtype) for shape in (size, small, small))


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("count", [1, 2, 7, 11, 25, 255, 1025])
@pytest.mark.parametrize("rounding", ["nearest", "floor"])
def test_every_code_is_itself_however_often_it_is_averaged(transfer: str, count: int, rounding: str) -> None:
    table = linear_sum.tables(linear_sum.curve(transfer), count, rounding)
    codes = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 3))[None]
    total = np.zeros(codes.shape, np.int32)
    for _ in range(count):
        linear_sum.accumulate(total, codes, table)
    assert np.array_equal(linear_sum.encode(total, table), codes)
    assert np.array_equal(table.single[:, :: linear_sum.FINE], np.tile(np.arange(256, dtype=np.uint8), (3, 1)))


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("count", [2, 7, 11, 25])
def test_mean_is_at_most_half_a_level_off(transfer: str, count: int) -> None:
    codes = random_codes(count, 40, 50)
    codes[:, :8] //= 32  # dark ones, where a step of light is small
    exact = reference.mean_code(codes / 255, transfer)
    assert np.abs(mean_of(codes, transfer) - exact).max() <= 0.5 + 2e-4


def test_floor_of_the_plain_mean_is_whole_number_division() -> None:
    codes = random_codes(8, 60, 70)
    assert np.array_equal(mean_of(codes, "linear", "floor"), codes.sum(axis=0) // 8)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_encoding_agrees_with_the_other_kernels(transfer: str) -> None:
    codes = random_codes(11, 30, 31)
    linear = response.decode(codes, transfer).mean(axis=0, dtype=np.float64).astype(np.float32)
    theirs = response.encode(linear, transfer).astype(int)
    apart = np.abs(mean_of(codes, transfer) - theirs)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3  # a mean that falls on the border between two codes


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020", "smpte240m"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("halved", [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("size", [(12, 16), (13, 17), (1, 1), (2, 3)])
def test_planes_agree_with_float64(
    matrix: str, full: bool, bits: int, halved: tuple[bool, bool], size: tuple[int, int]
) -> None:
    centred = size[0] == 12
    planes = random_planes(3, size, halved, bits)
    weights = rows.coefficients(matrix, full, bits)
    found = frames.average_planes(
        rows.stack(planes, weights, halved, centred), 1, linear_sum.tables(linear_sum.curve("gamma2.2"), 3)
    )
    rgb = np.stack(
        [reference.planes_to_rgb(tuple(plane[k] for plane in planes), matrix, full, bits, centred) for k in range(3)]
    )
    assert np.abs(found.sharp - 255 * rgb[1]).max() <= 0.5 + 2 * FINE
    assert np.abs(found.blurred - reference.mean_code(rgb, "gamma2.2")).max() <= 0.5 + 2 * FINE


def test_primaries_by_hand() -> None:
    # BT.709, limited, 8 bits: white, black, and pure red (63, 102, 240) as the standard's tables give it.
    luma = np.array([[[235, 16, 63]]], np.uint8)
    blue, red = np.array([[[128, 128, 102]]], np.uint8), np.array([[[128, 128, 240]]], np.uint8)
    weights = rows.coefficients("bt709", False, 8)
    found = frames.average_planes(
        rows.stack((luma, blue, red), weights, (False, False), False),
        0,
        linear_sum.tables(linear_sum.curve("linear"), 1),
    )
    assert found.sharp[0].tolist() == [[255, 255, 255], [0, 0, 0], [255, 1, 0]]


@pytest.mark.parametrize("halved", [(True, True), (False, True), (False, False)])
def test_equal_frames_give_themselves(halved: tuple[bool, bool]) -> None:
    planes = tuple(np.repeat(plane, 11, axis=0) for plane in random_planes(1, (31, 33), halved, 10))
    weights = rows.coefficients("bt709", False, 10)
    for transfer in TRANSFERS:
        table = linear_sum.tables(linear_sum.curve(transfer), 11)
        found = frames.average_planes(rows.stack(planes, weights, halved, False), 5, table)
        assert np.array_equal(found.blurred, found.sharp)


def test_time_backwards_and_upside_down() -> None:
    planes = random_planes(7, (16, 18), (True, True), 8)
    weights = rows.coefficients("bt601", False, 8)
    table = linear_sum.tables(linear_sum.curve("gamma2.2"), 7)

    def average(planes: tuple[npt.NDArray[np.unsignedinteger], ...], target: int) -> frames.Mean:
        return frames.average_planes(rows.stack(planes, weights, (True, True), True), target, table)

    straight = average(planes, 2)
    backwards = average(tuple(plane[::-1] for plane in planes), 4)
    assert np.array_equal(straight.blurred, backwards.blurred)
    assert np.array_equal(straight.sharp, backwards.sharp)
    for axis in (0, 1):
        flipped = average(tuple(np.flip(plane, axis + 1) for plane in planes), 2)
        assert np.array_equal(np.flip(straight.blurred, axis), flipped.blurred)
        assert np.array_equal(np.flip(straight.sharp, axis), flipped.sharp)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_a_moving_bar_is_the_closed_form(transfer: str) -> None:
    count, width, speed, bar = 11, 80, 3, 9
    codes = np.full((count, 4, width, 3), 40, np.uint8)
    for m in range(count):
        codes[m, :, 10 + speed * m : 10 + speed * m + bar] = 220
    covered = np.array([sum(10 + speed * m <= x < 10 + speed * m + bar for m in range(count)) for x in range(width)])
    low, high = (reference.to_linear(np.array(code / 255), transfer) for code in (40, 220))
    exact = 255 * reference.to_encoded(low + covered / count * (high - low), transfer)
    found = mean_of(codes, transfer)
    assert np.array_equal(found, np.broadcast_to(np.rint(exact)[None, :, None], found.shape))


@given(st.lists(st.integers(0, 255), min_size=2, max_size=60), st.sampled_from(TRANSFERS))
def test_a_mean_lies_between_its_frames(values: list[int], transfer: str) -> None:
    codes = np.array(values, np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=3)
    found = int(mean_of(codes, transfer)[0, 0, 0])
    assert min(values) <= found <= max(values)


def test_measured_responses() -> None:
    codes = np.arange(256) / 255
    as_table = linear_sum.curve("table", codes**2.2)
    assert np.allclose(as_table[:, :: linear_sum.FINE], linear_sum.curve("gamma2.2")[:, :: linear_sum.FINE])
    by_channel = linear_sum.curve("table", np.stack([codes, codes**2, 3 + 2 * codes**3]))
    assert by_channel[:, 0].tolist() == [0, 0, 0]
    assert by_channel[:, -1].tolist() == [1, 1, 1]
    frame = random_codes(5, 9, 9)
    table = linear_sum.tables(by_channel, 5)
    total = np.zeros((9, 9, 3), np.int32)
    for each in frame:
        linear_sum.accumulate(total, each, table)
    powers = np.array([1, 2, 3])
    exact = 255 * ((frame / 255) ** powers).mean(axis=0) ** (1 / powers)
    apart = np.abs(linear_sum.encode(total, table) - exact)
    assert apart.max() < 0.75  # between two codes a table is a line, a power is not
    with pytest.raises(errors.InputError, match="grow"):
        linear_sum.curve("table", np.zeros(256))
    steep = np.cumsum(np.r_[0, np.full(254, 1e-12), 1])
    with pytest.raises(errors.InputError, match="apart"):
        linear_sum.tables(linear_sum.curve("table", steep), 5)
