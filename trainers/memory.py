"""The largest memory that a piece of work took."""

import pathlib

import torch

_CLEAR = pathlib.Path("/proc/self/clear_refs")
_STATUS = pathlib.Path("/proc/self/status")
_MEGA = 1e6


class Peak:
    """From its making on: a GPU's allocated tensors, or the whole process's resident memory (Linux alone)."""

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
        """Peak in MB (10^6 bytes); None where the system does not tell."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / _MEGA
        if not self._known:
            return None
        lines = _STATUS.read_text(encoding="ascii", errors="replace").split("\n")
        mark = next((line for line in lines if line.startswith("VmHWM:")), None)
        return None if mark is None else int(mark.split()[1]) * 1024 / _MEGA
