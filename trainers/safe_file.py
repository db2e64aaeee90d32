"""Safetensors files, read with nothing in them trusted: the header first, then only tensors that fit in the file."""

import pathlib
import struct
from typing import Any, NoReturn

import safetensors
import safetensors.torch
import torch

from blursynth import errors, records
from blursynth.media import listing

CONVERT = "Published weights (.pth, .pt) become one by `python -m trainers.convert`."
_LONGEST_HEADER = 100_000_000  # bytes, safetensors' own limit


def header(path: pathlib.Path) -> dict[str, str]:
    """The metadata in a file's header; InputError where it is no safetensors file, or is damaged."""
    metadata = _header(path).get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise errors.InputError(f"{path} is damaged: the metadata in its header are not texts by name.")
    return metadata


def declared(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """Every tensor in a file by its name, without content (on torch's device "meta")."""
    _header(path)
    found = {}
    with errors.boundary(path, "a checkpoint"), safetensors.safe_open(path, framework="pt") as opened:
        names: list[str] = opened.keys()
        for name in names:
            part: Any = opened.get_slice(name)
            found[name] = torch.empty(part.get_shape(), dtype=_DTYPES[part.get_dtype()], device="meta")
    return found


def read(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """Every tensor in a file by its name, on the CPU."""
    _header(path)
    with errors.boundary(path, "a checkpoint"):
        return dict(safetensors.torch.load_file(path))


def _header(path: pathlib.Path) -> dict[str, Any]:
    listing.require_file(path)
    with path.open("rb") as file:
        start = file.read(8)
        room = path.stat().st_size - 8
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(room, _LONGEST_HEADER):
            _refuse(path, file.read(1))
        text = file.read(length)
    if text[:1] != b"{":
        _refuse(path, b"")
    found: dict[str, Any] = records.parse(text, f"the header of {path}")
    ends = [entry["data_offsets"][1] for entry in found.values() if _has_offsets(entry)]
    if ends and max(ends) > room - length:
        _refuse(path, text[:1])
    return found


def _has_offsets(entry: Any) -> bool:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    return isinstance(offsets, list) and len(offsets) == 2 and type(offsets[1]) is int


def _refuse(path: pathlib.Path, first: bytes) -> NoReturn:
    """`first`: the first byte of the header."""
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
