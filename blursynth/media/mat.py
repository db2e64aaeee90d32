"""Numeric arrays and cells of MATLAB's .mat files, versions 5 to 7 (MathWorks, "MAT-File Format", level 5).

A reader of our own, because `scipy.io.loadmat` ends the process on some damaged files.
"""

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CELL, _NUMERIC, _COMPLEX = 1, range(6, 16), 0x800
_DEEPEST = 4


@dataclasses.dataclass(frozen=True)
class _Element:
    kind: int
    data: bytes


def read(name: object, data: bytes, most_bytes: int) -> dict[str, npt.NDArray[Any]]:
    """Return the variables of a file that are numeric arrays, or cells of such (arrays of objects).

    most_bytes: that compressed variables may unpack to. Raises InputError for all that is no such file.
    """
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[512:520] == b"\x89HDF\r\n\x1a\n":
        raise errors.InputError(f"{name} is of MATLAB's version 7.3; save it with -v7, or as .npy.")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise errors.InputError(f"{name} is not a .mat file of version 5 to 7; save it with -v7, or as .npy.")
    found: dict[str, npt.NDArray[Any]] = {}
    with errors.boundary(name, "a .mat file"):
        for element in _elements(data[_HEADER:], order):
            if element.kind == _COMPRESSED:
                unpacked = zlib.decompressobj().decompress(element.data, most_bytes)
                most_bytes -= len(unpacked)
                if most_bytes <= 0:
                    raise errors.InputError(f"{name} unpacks to too much for a file of kernels.")
                element = next(_elements(unpacked, order))
            if element.kind == _MATRIX:
                variable, values = _matrix(element.data, order)
                if values is not None and variable:
                    found[variable] = values
    return found


def _elements(data: bytes, order: str) -> Iterator[_Element]:
    """The elements in a part of a file. Raises ValueError for one that is cut short."""
    place = 0
    while place + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:  # small: up to four bytes beside the tag
            kind, length, begin, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            begin = place + 8
            end = begin + length + (0 if kind == _COMPRESSED else -length % 8)
        if begin + length > len(data) or (begin == place + 4 and length > 4):
            raise ValueError(f"an element of {length} bytes is cut short")
        yield _Element(kind, data[begin : begin + length])
        place = end


def _matrix(data: bytes, order: str, depth: int = 0) -> tuple[str, npt.NDArray[Any] | None]:
    """The name and the values of an array; None for texts, structures and all else that is no array of numbers."""
    flags, dimensions, name, *parts = _elements(data, order)
    (said,) = struct.unpack_from(f"{order}I", flags.data)
    shape = np.frombuffer(dimensions.data, f"{order}i4").tolist()
    count = 1
    for length in shape:
        count *= length
    if said & 0xFF == _CELL and depth < _DEEPEST:
        inner = [_matrix(part.data, order, depth + 1)[1] for part in parts]
        if len(inner) != count:
            raise ValueError(f"{len(inner)} cells instead of {count}")
        cells = np.empty(count, object)
        cells[:] = inner
        return name.data.decode("latin1"), cells
    if said & 0xFF not in _NUMERIC or said & _COMPLEX or not parts or parts[0].kind not in _TYPES:
        return name.data.decode("latin1"), None
    values = np.frombuffer(parts[0].data, order + _TYPES[parts[0].kind])
    if min(shape, default=0) < 0 or len(values) != count:
        raise ValueError(f"{len(values)} values instead of {shape}")
    return name.data.decode("latin1"), values.reshape(shape, order="F")
