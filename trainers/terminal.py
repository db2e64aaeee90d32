"""What the verbs share: errors as a sentence and an exit code, and the choice of a device."""

import logging
import sys
from collections.abc import Callable, Sequence

import torch

from blursynth import errors
from trainers import ranks

_log = logging.getLogger("trainers")


def exit_code(verb: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """Run a verb; what a user can mend becomes a sentence on stderr and exit code 2, Ctrl-C 130, else a traceback."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
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
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


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
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def above_zero(text: str) -> float:
    """An argparse type: a number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def _say(sentence: str) -> int:
    where = "" if ranks.first() else f" in process {ranks.number()}"
    print(f"Error{where}: {sentence}", file=sys.stderr)
    return 2
