"""Transfer functions: there and back, exact rounding, and tables that no mathematics library can change."""

import hypothesis
import numpy as np
import pytest
import reference
from hypothesis import strategies

from blursynth import errors
from blursynth.kernels import response

ALL_CODES = np.arange(256, dtype=np.uint8)

transfers = pytest.mark.parametrize("transfer", response.TRANSFER_FUNCTIONS)


@transfers
def test_there_and_back(transfer):
    np.testing.assert_array_equal(response.encode(response.decode(ALL_CODES, transfer), transfer), ALL_CODES)


def test_decode_by_hand():
    for transfer in response.TRANSFER_FUNCTIONS:
        table = response.decode_table(transfer)
        assert table.dtype == np.float32
        assert table[0] == 0
        assert table[255] == 1
        assert (np.diff(table) > 0).all()
    assert response.decode_table("linear")[51] == np.float32(0.2)
    assert response.decode_table("gamma2.2")[51] == pytest.approx(0.2**2.2, rel=1e-7)
    assert response.decode_table("srgb")[10] == pytest.approx(10 / 255 / 12.92, rel=1e-7)
    assert response.decode_table("srgb")[51] == pytest.approx((0.255 / 1.055) ** 2.4, rel=1e-7)


@transfers
def test_encode_rounds_exactly_around_every_threshold(transfer):
    steps = response.encode_table(transfer).step
    at = steps[steps <= 1]
    assert at.size == 255
    below = np.nextafter(at, np.float32(0))
    for values in (below, at, np.nextafter(at, np.float32(1))):
        expected = [reference.encode(float(value), transfer) for value in values]
        assert response.encode(values, transfer).tolist() == expected
    assert response.encode(below, transfer).tolist() == list(range(255))


@transfers
@hypothesis.given(value=strategies.floats(0, 1, width=32))
def test_encode_rounds_to_nearest(transfer, value):
    assert response.encode(np.float32([value]), transfer)[0] == reference.encode(value, transfer)


@transfers
def test_encode_clips(transfer):
    values = np.float32([-np.inf, -1, -1e-30, -0.0, 0, 1e-30, 1, 1 + 1e-6, 7, np.inf, np.nan])
    assert response.encode(values, transfer).tolist() == [0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0]


@transfers
def test_encode_increases(transfer):
    bits = np.arange(0, np.float32(1).view(np.int32), 4001, dtype=np.int32)
    codes = response.encode(bits.view(np.float32), transfer)
    assert (np.diff(codes.astype(int)) >= 0).all()
    assert set(codes.tolist()) == set(range(256))


@pytest.mark.parametrize("transfer", ["gamma2.2", "srgb"])
def test_tables_do_not_hang_on_the_last_bits_of_a_power(transfer):
    # A power differs between mathematics libraries in its last bit. No table entry is within 1e-13 of where float32
    # changes its mind, a thousand times as far, so the tables are the same everywhere.
    for encoded in (np.arange(1, 255) / 255, (np.arange(1, 256) - 0.5) / 255):
        exact = response.to_linear(encoded, transfer)
        for nudged in (exact * (1 - 1e-13), exact * (1 + 1e-13)):
            np.testing.assert_array_equal(nudged.astype(np.float32), exact.astype(np.float32))
            np.testing.assert_array_equal(nudged > exact.astype(np.float32), exact > exact.astype(np.float32))


@transfers
def test_shapes_and_layouts(transfer):
    codes = np.arange(240, dtype=np.uint8).reshape(4, 5, 12)[:, ::2, ::3]
    linear = response.decode(codes, transfer)
    assert linear.shape == codes.shape
    linear.setflags(write=False)
    np.testing.assert_array_equal(response.encode(linear, transfer), codes)
    assert response.encode(np.empty((0, 3), np.float32), transfer).shape == (0, 3)


def test_unknown_transfer_function():
    for call in (response.decode_table, response.encode_table):
        with pytest.raises(errors.InputError, match=r"'gama'.*gamma2\.2, srgb, linear"):
            call("gama")


def test_tables_cannot_be_changed_by_a_caller():
    with pytest.raises(ValueError, match="read-only"):
        response.decode_table("srgb")[0] = 1
