"""What the commands share: errors as a sentence and an exit code, devices, argument types, tables."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

import torch

from blursynth import errors
from trainers import distributed

_log = logging.getLogger("trainers")
_MOST = 1e12
_MOST_THREADS = 4096


def exit_code(verb: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    A BlursynthError becomes a sentence on stderr and exit code 2; Ctrl-C 130; anything else keeps its traceback.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    before = signal.signal(signal.SIGTERM, _terminated) if _is_main() else None
    try:
        return verb(arguments)
    except distributed.StoppedElsewhereError:
        return 2
    except errors.BlursynthError as error:
        return _say(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}.")
    except torch.OutOfMemoryError:
        return _say("The device ran out of memory; a smaller data.batch or data.crop (or smaller photos) would fit.")
    except MemoryError:
        return _say("This machine ran out of memory; a smaller data.batch or data.crop (or smaller photos) would fit.")
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except _TerminatedError:
        print("Stopped by SIGTERM.", file=sys.stderr)
        return 128 + signal.SIGTERM
    finally:
        if _is_main():
            signal.signal(signal.SIGTERM, before)


def device(name: str) -> torch.device:
    """Return the device called "auto" (a GPU where there is one), "cpu" or "cuda"."""
    if name == "cuda" and not torch.cuda.is_available():
        raise errors.InputError(
            "There is no CUDA device that this PyTorch can use; take --device cpu, or install a PyTorch with CUDA."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu" or distributed.asked_for() == 1:
        return torch.device(name)
    if distributed.local() >= torch.cuda.device_count():
        raise errors.InputError(
            f"This machine has {torch.cuda.device_count()} CUDA devices, too few for process "
            f"{distributed.local() + 1}; start as many processes as there are devices (--nproc-per-node)."
        )
    torch.cuda.set_device(distributed.local())
    return torch.device("cuda", distributed.local())


def positive(text: str) -> int:
    """Parse a whole number from 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def threads(text: str) -> int:
    """Parse a number of CPU threads, for argparse."""
    number = positive(text)
    if number > _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_MOST_THREADS:,}, the most threads that can be used")
    return number


def above_zero(text: str) -> float:
    """Parse a number above 0 and up to 10^12, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number above 0 and up to {_MOST:g}")
    return number


def aligned(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    """Join the cells of each row into a line whose columns are aligned, left unless `right`."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    align = str.rjust if right else str.ljust
    return ["  ".join(map(align, row, widths)).rstrip() for row in rows]


class _TerminatedError(BaseException):
    """SIGTERM came: unfinished files are removed. `trainers.run` writes a checkpoint instead."""


def _terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise _TerminatedError


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _say(sentence: str) -> int:
    where = "" if distributed.first() else f" in process {distributed.number()}"
    print(f"Error{where}: {sentence}", file=sys.stderr)
    return 2
