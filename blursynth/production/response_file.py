"""Measured camera responses in text files."""

import pathlib

import numpy as np

from blursynth import errors


def read(path: str | pathlib.Path) -> list[float]:
    """The measured light of each 8-bit code from a text file: 256 rows of one number, or of three (red, green, blue).

    Gives 256 numbers, or 3 x 256, one channel after the other. Raises InputError for anything else.
    """
    try:
        table = np.loadtxt(path, delimiter="," if "," in pathlib.Path(path).read_text() else None, ndmin=2)
    except UnicodeDecodeError:
        raise errors.InputError(
            f"{path} is not a text file; a response table is 256 lines of one number or three."
        ) from None
    except (OSError, ValueError) as error:
        reason = str(error.strerror if isinstance(error, OSError) else error)
        raise errors.InputError(f"{path} cannot be read as a response table: {reason.rstrip('.')}.") from None
    if table.shape not in ((256, 1), (256, 3)):
        raise errors.InputError(
            f"{path} has {table.shape[0]} rows of {table.shape[1]} numbers; a response table has 256 rows, one "
            "for each 8-bit code, of one number or three."
        )
    if not (np.isfinite(table).all() and (np.diff(table, axis=0) > 0).all()):
        raise errors.InputError(f"{path} does not grow from each code to the next; a response table has to.")
    return [float(value) for value in table.T.reshape(-1)]
