"""Tiny ONNX networks, written byte by byte (protocol buffers' wire format), so that tests need no package for it.

`write_detector` makes a detector of the YOLO family: it finds 8x8 blocks that are red or green in an image of 64x64.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIDE, CELL = 64, 8
CELLS = SIDE // CELL


def _varint(number: int) -> bytes:
    found = bytearray()
    while True:
        number, low = number >> 7, number & 127
        found.append(low | (128 if number else 0))
        if not number:
            return bytes(found)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _tensor(name: str, values: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> bytes:
    kind = 1 if values.dtype == np.float32 else 7
    dimensions = b"".join(_field(1, side) for side in values.shape)
    return dimensions + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _integers(name: str, values: Sequence[int]) -> bytes:
    return _field(5, _field(1, name) + b"".join(_field(8, value) for value in values) + _field(20, 7))


def _integer(name: str, value: int) -> bytes:
    return _field(5, _field(1, name) + _field(3, value) + _field(20, 2))


def _node(kind: str, inputs: Sequence[str], output: str, attributes: bytes = b"") -> bytes:
    names = b"".join(_field(1, name) for name in inputs)
    return _field(1, names + _field(2, output) + _field(3, f"{kind} {output}") + _field(4, kind) + attributes)


def _value(name: str, shape: Sequence[int]) -> bytes:
    dimensions = b"".join(_field(1, _field(1, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dimensions)))


def _write(
    path: pathlib.Path, nodes: Sequence[bytes], tensors: Sequence[bytes], shape: Sequence[int], output: Sequence[int]
) -> pathlib.Path:
    graph = b"".join(nodes) + _field(2, "test") + b"".join(_field(5, each) for each in tensors)
    graph += _field(11, _value("image", shape)) + _field(12, _value("output", output))
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path


def write_detector(path: pathlib.Path, head: str) -> pathlib.Path:
    """Classes: red, green. The score is how much the block's mean of that colour exceeds the other two's mean."""
    weights = np.full((2, 3, CELL, CELL), -0.5 / CELL**2, np.float32)
    for colour in range(2):
        weights[colour, colour] = 1 / CELL**2
    centres = np.arange(CELLS) * CELL + CELL / 2
    rows, columns = np.meshgrid(centres, centres, indexing="ij")
    boxes = np.stack([columns.ravel(), rows.ravel(), *[np.full(CELLS**2, CELL)] * 2])[None].astype(np.float32)
    tensors = [_tensor("weights", weights), _tensor("boxes", boxes), _tensor("shape", np.array([1, 2, CELLS**2]))]
    nodes = [
        _node(
            "Conv",
            ["image", "weights"],
            "map",
            _integers("kernel_shape", [CELL] * 2) + _integers("strides", [CELL] * 2),
        ),
        _node("Reshape", ["map", "shape"], "scores"),
    ]
    if head == "v8":
        nodes.append(_node("Concat", ["boxes", "scores"], "output", _integer("axis", 1)))
        return _write(path, nodes, tensors, (1, 3, SIDE, SIDE), (1, 6, CELLS**2))
    tensors.append(_tensor("objectness", np.full((1, 1, CELLS**2), 0.9, np.float32)))
    nodes.append(_node("Concat", ["boxes", "objectness", "scores"], "columns", _integer("axis", 1)))
    nodes.append(_node("Transpose", ["columns"], "output", _integers("perm", [0, 2, 1])))
    return _write(path, nodes, tensors, (1, 3, SIDE, SIDE), (1, CELLS**2, 7))


def write_classifier(path: pathlib.Path) -> pathlib.Path:
    """One number for each of two classes: not a detector."""
    weights = np.full((2, 3, SIDE, SIDE), 1 / SIDE**2, np.float32)
    nodes = [
        _node("Conv", ["image", "weights"], "map", _integers("kernel_shape", [SIDE] * 2)),
        _node("Reshape", ["map", "shape"], "output"),
    ]
    tensors = [_tensor("weights", weights), _tensor("shape", np.array([1, 2]))]
    return _write(path, nodes, tensors, (1, 3, SIDE, SIDE), (1, 2))
