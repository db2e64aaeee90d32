"""What the verbs share: errors as a sentence and an exit code, and the choice of a device."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

import torch

from blursynth import errors
from trainers import ranks

_log = logging.getLogger("trainers")
_MOST = 1e12
_MOST_THREADS = 4096


def exit_code(verb: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """Run a verb; what a user can mend becomes a sentence on stderr and exit code 2, Ctrl-C 130, else a traceback."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    before = signal.signal(signal.SIGTERM, _terminated) if _is_main() else None
    try:
        return verb(arguments)
    except ranks.StoppedElsewhereError:
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
    """The device called "auto" (a GPU where there is one), "cpu" or "cuda"."""
    if name == "cuda" and not torch.cuda.is_available():
        raise errors.InputError(
            "There is no CUDA device that this PyTorch can use; take --device cpu, or install a PyTorch with CUDA."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu" or ranks.asked_for() == 1:
        return torch.device(name)
    if ranks.local() >= torch.cuda.device_count():
        raise errors.InputError(
            f"This machine has {torch.cuda.device_count()} CUDA devices, too few for process {ranks.local() + 1}; "
            "start as many processes as there are devices (--nproc-per-node)."
        )
    torch.cuda.set_device(ranks.local())
    return torch.device("cuda", ranks.local())


def positive(text: str) -> int:
    """An argparse type: a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def threads(text: str) -> int:
    """An argparse type: a number of CPU threads."""
    number = positive(text)
    if number > _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_MOST_THREADS:,}, the most threads that can be used")
    return number


def above_zero(text: str) -> float:
    """An argparse type: a number above 0, and not beyond all machines."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number above 0 and up to {_MOST:g}")
    return number


class _TerminatedError(BaseException):
    """SIGTERM came: unfinished files are taken back on the way out. `trainers.run` makes a checkpoint instead."""


def _terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise _TerminatedError


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _say(sentence: str) -> int:
    where = "" if ranks.first() else f" in process {ranks.number()}"
    print(f"Error{where}: {sentence}", file=sys.stderr)
    return 2
