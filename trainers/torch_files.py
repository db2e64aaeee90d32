"""State dicts in files that `torch.save` wrote, read without executing anything in them."""

import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import torch

from blursynth import errors


def read(path: pathlib.Path) -> Mapping[str, Any]:
    """The mapping in a file, its tensors on the CPU; InputError where it is damaged, or holds anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError):
        raise errors.InputError(
            f"{path} cannot be read as a file of weights: it is none that torch.save wrote, is damaged, or holds more "
            "than tensors and plain values, which is not loaded. Fetch it again, or name another."
        ) from None
    if not isinstance(state, Mapping):
        raise errors.InputError(f"{path} holds a {type(state).__name__}, expected a state dict of name -> tensor.")
    return state
