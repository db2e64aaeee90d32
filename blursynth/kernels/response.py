"""Transfer functions: encoded 8-bit values to linear light and back, by tables that round exactly.

`gamma2.2` is the power 2.2 of the deblurring literature, `srgb` the curve of IEC 61966-2-1 (linear below 0.04045,
power 2.4 above), `linear` the identity. Encoded and linear values both run from 0 to 1.
"""

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.kernels import jit

TRANSFER_FUNCTIONS = ("gamma2.2", "srgb", "linear")

# Encoding looks up floor(BUCKETS * sqrt(linear)): the square root spreads the thresholds so that none of the three
# functions has two of them in one bucket, and IEEE 754 rounds it the same way everywhere.
BUCKETS = 1024
BUCKETS_F = np.float32(BUCKETS)
ZERO = np.float32(0.0)
ONE = np.float32(1.0)


@dataclasses.dataclass(frozen=True)
class EncodeTable:
    """code uint8 (1025,): the code at the lower end of a bucket; step float32 (1025,): where in it the next begins."""

    code: npt.NDArray[np.uint8]
    step: npt.NDArray[np.float32]


def decode_table(transfer: str) -> npt.NDArray[np.float32]:
    """Linear light of each 8-bit code: float32 (256,), increasing from 0 to 1. Read-only.

    Raises InputError for a transfer function that is not one of `TRANSFER_FUNCTIONS`.
    """
    return _decode_table(transfer)


def decode(codes: npt.NDArray[np.uint8], transfer: str) -> npt.NDArray[np.float32]:
    """Encoded uint8, any shape, to linear light, float32 in [0, 1], the same shape."""
    assert codes.dtype == np.uint8
    return decode_table(transfer)[codes]


def encode(linear: npt.NDArray[np.float32], transfer: str) -> npt.NDArray[np.uint8]:
    """Linear light, float32, any shape, to the nearest code, uint8, the same shape.

    "Nearest" is exact: code k is given from the linear value of the encoded (k - 1/2) / 255 up. Values outside [0, 1]
    are clipped; a NaN becomes 0.
    """
    assert linear.dtype == np.float32
    flat = np.require(linear, np.float32, ["C", "A", "W"]).reshape(-1)
    table = encode_table(transfer)
    codes = np.empty(flat.size, np.uint8)
    _encode(flat, table.code, table.step, codes)
    return codes.reshape(linear.shape)


@functools.cache
def encode_table(transfer: str) -> EncodeTable:
    """The tables behind `encode` and `encode_value`."""
    exact = to_linear((np.arange(1, 256) - 0.5) / 255, transfer)
    steps = exact.astype(np.float32)
    steps = np.where(steps < exact, np.nextafter(steps, ONE), steps)  # the first float32 that is not below
    bucket = _bucket_of(steps)
    assert np.all(np.diff(bucket) > 0), "two thresholds in one bucket"
    code = np.searchsorted(bucket, np.arange(BUCKETS + 1), side="left").astype(np.uint8)
    step = np.full(BUCKETS + 1, 2.0, np.float32)
    step[bucket] = steps
    return EncodeTable(code, step)


@functools.cache
def _decode_table(transfer: str) -> npt.NDArray[np.float32]:
    table = to_linear(np.arange(256) / 255, transfer).astype(np.float32)
    table.setflags(write=False)
    return table


def to_linear(encoded: npt.NDArray[np.float64], transfer: str) -> npt.NDArray[np.float64]:
    """Encoded values, float64 in [0, 1], any shape, to linear light: the curves themselves, without a table.

    Raises InputError for a transfer function that is not one of `TRANSFER_FUNCTIONS`.
    """
    if transfer == "gamma2.2":
        return encoded**2.2
    if transfer == "srgb":
        return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    if transfer == "linear":
        return encoded
    raise errors.InputError(
        f"There is no transfer function {transfer!r}: choose one of {', '.join(TRANSFER_FUNCTIONS)}."
    )


def _bucket_of(linear: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return (np.sqrt(linear) * BUCKETS_F).astype(np.int64)


@jit.inline
def encode_value(linear: np.float32, code: npt.NDArray[np.uint8], step: npt.NDArray[np.float32]) -> np.uint8:
    """One linear value to its code, by the tables of `encode_table`."""
    # The comparisons are in this order so that a NaN becomes 0.
    clipped = min(linear, ONE) if linear > ZERO else ZERO
    bucket = np.int32(np.sqrt(clipped) * BUCKETS_F)
    return np.uint8(code[bucket] + np.uint8(clipped >= step[bucket]))


@jit.kernel
def _encode(
    linear: npt.NDArray[np.float32],
    code: npt.NDArray[np.uint8],
    step: npt.NDArray[np.float32],
    codes: npt.NDArray[np.uint8],
) -> None:
    for i in range(linear.size):
        codes[i] = encode_value(linear[i], code, step)
