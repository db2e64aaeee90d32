"""Read safetensors files without trusting them: the header first, then tensors that fit the file."""

import contextlib
import pathlib
import struct
from collections.abc import Iterator
from typing import Any, NoReturn

import safetensors
import safetensors.torch
import torch

from blursynth import errors
from blursynth.config import records
from blursynth.media import source_file

CONVERT = "Published weights (.pth, .pt) become one by `python -m trainers.convert`."
_LONGEST_HEADER = 100_000_000  # bytes, safetensors' own limit


def header(path: pathlib.Path) -> dict[str, str]:
    """Read the metadata in a file's header; InputError where it is damaged or not a safetensors file."""
    metadata = _header(path).get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise errors.InputError(f"{path} is damaged: the metadata in its header are not texts by name.")
    return metadata


def declared(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """Read the names, shapes and types of a file's tensors, as tensors on torch's device "meta"."""
    _header(path)
    tensors = {}
    with _reading(path), safetensors.safe_open(path, framework="pt") as opened:
        names: list[str] = opened.keys()
        for name in names:
            part: Any = opened.get_slice(name)
            tensors[name] = torch.empty(part.get_shape(), dtype=_DTYPES[part.get_dtype()], device="meta")
    return tensors


def read(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """Read every tensor in a file by its name, on the CPU."""
    _header(path)
    with _reading(path):
        return dict(safetensors.torch.load_file(path))


@contextlib.contextmanager
def _reading(path: pathlib.Path) -> Iterator[None]:
    """Raise InputError for what safetensors finds wrong in a file, SourceError where the system refuses."""
    with errors.boundary(path, "a checkpoint"):
        try:
            yield
        except OSError as error:
            raise source_file.failure(path, error) from error


def _header(path: pathlib.Path) -> dict[str, Any]:
    source_file.require_file(path, "a checkpoint")
    room = source_file.status(path).st_size - 8
    length = struct.unpack("<Q", source_file.read(path, 0, 8))[0] if room >= 0 else 0
    if not 2 <= length <= min(room, _LONGEST_HEADER):
        _refuse(path, source_file.read(path, 8, 1) if room > 0 else b"")
    text = source_file.read(path, 8, length)
    if text[:1] != b"{":
        _refuse(path, b"")
    header: dict[str, Any] = records.parse(text, f"the header of {path}")
    ends = [entry["data_offsets"][1] for entry in header.values() if _has_offsets(entry)]
    if ends and max(ends) > room - length:
        _refuse(path, text[:1])
    return header


def _has_offsets(entry: Any) -> bool:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    return isinstance(offsets, list) and len(offsets) == 2 and type(offsets[1]) is int


def _refuse(path: pathlib.Path, first: bytes) -> NoReturn:
    """Raise InputError for a file whose header begins with `first`."""
    if first == b"{":
        raise errors.InputError(
            f"{path} is a checkpoint that was cut short; use another one of its run folder, or copy it again."
        )
    raise errors.InputError(
        f"{path} is not a checkpoint: a safetensors file written by trainers.run was expected, or its run folder. "
        f"{CONVERT}"
    )


_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
