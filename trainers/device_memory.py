"""A device's memory: its size, whether it ran out, and what a piece of work allocates."""

import os
import pathlib
import weakref
from typing import Any

import torch
from torch.utils import _python_dispatch, _pytree, flop_counter

_CLEAR = pathlib.Path("/proc/self/clear_refs")
_STATUS = pathlib.Path("/proc/self/status")
_MEGA = 1e6


class Peak:
    """The peak from now on: a GPU's allocated tensors, or the process's resident memory (Linux only)."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._known = True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            _CLEAR.write_text("5", encoding="ascii")  # resets the high-water mark of this process
        except OSError:
            self._known = False

    def megabytes(self) -> float | None:
        """Return the peak in MB (10^6 bytes); None where the system does not tell."""
        peak = self.bytes()
        return None if peak is None else peak / _MEGA

    def bytes(self) -> int | None:
        """Return the peak in bytes; None where the system does not tell."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if not self._known:
            return None
        lines = _STATUS.read_text(encoding="ascii", errors="replace").split("\n")
        mark = next((line for line in lines if line.startswith("VmHWM:")), None)
        return None if mark is None else int(mark.split()[1]) * 1024


def room(device: torch.device) -> int:
    """Return the bytes of memory that a device has."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def ran_out(error: BaseException) -> bool:
    """Return whether this is what torch raises where memory runs out."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


class AllocationCount(_python_dispatch.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of storages alive at once, and the multiply-adds of products and convolutions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = self.multiply_adds = 0
        self._seen: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        arithmetic = flop_counter.flop_registry.get(function._overloadpacket)
        if arithmetic is not None:
            self.multiply_adds += arithmetic(*args, **(kwargs or {}), out_val=result) // 2
        for tensor in _pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.see(tensor)
        return result

    def see(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage from now until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._seen:
            self._seen[key] = storage.nbytes()
            self.alive += storage.nbytes()
            self.peak = max(self.peak, self.alive)
            weakref.finalize(storage, self._end, key)

    def _end(self, key: int) -> None:
        self.alive -= self._seen.pop(key)
