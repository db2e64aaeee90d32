"""Read state dicts that `torch.save` wrote, without executing anything in them."""

import io
import pathlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from blursynth import errors
from blursynth.media import source_file


def read(path: pathlib.Path) -> Mapping[str, Any]:
    """Read the mapping in a file, its tensors on the CPU; InputError where it is damaged or anything else.

    Every tensor in it, or in a mapping in it, is an ordinary one that is stored in full in the file.
    """
    source_file.require_file(path, "a file of weights")
    content = source_file.read(path, 0, source_file.status(path).st_size)  # weights may have any size
    try:
        with errors.boundary(path, "weights"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old or odd pickles; what they mean for us is decided below
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except errors.InputError as error:
        raise errors.InputError(
            f"{path} cannot be read as a file of weights: it is none that torch.save wrote, is damaged, or holds more "
            "than tensors and plain values, which is not loaded. Fetch it again, or name another."
        ) from error
    if not isinstance(state, Mapping):
        raise errors.InputError(f"{path} holds a {type(state).__name__}, expected a state dict of name -> tensor.")
    for name, tensor in _tensors(state):
        if not _is_plain(tensor) or tensor.numel() * tensor.element_size() > len(content):
            raise errors.InputError(
                f"{path} is damaged: its tensor {name[:200]} is larger than the file, or of a kind that is no weight."
            )
    return state


def weight(path: pathlib.Path, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Convert a tensor to float32 weights; InputError where it is not floating-point or not finite."""
    if not tensor.is_floating_point():
        raise errors.InputError(
            f"{path} has {str(tensor.dtype).removeprefix('torch.')} numbers in {name[:200]}, expected floating-point "
            "weights: it is damaged, or quantised, which cannot be converted."
        )
    weights = tensor.float()
    if not torch.isfinite(weights).all():
        raise errors.InputError(
            f"{path} has values that are no finite numbers in {name[:200]}: its training diverged, or it is damaged. "
            "Take another file."
        )
    return weights


def _tensors(state: Mapping[Any, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            yield str(name), value
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{key}", each) for key, each in value.items() if isinstance(each, torch.Tensor))


def _is_plain(tensor: torch.Tensor) -> bool:
    return tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
