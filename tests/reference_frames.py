"""Slow and obvious references in float64 for averaging frames."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593), "smpte240m": (0.212, 0.087)}


def to_linear(encoded: Floats, transfer: str) -> Floats:
    """Encoded in [0, 1] to light."""
    if transfer == "gamma2.2":
        return encoded**2.2
    if transfer == "srgb":
        return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return encoded


def to_encoded(linear: Floats, transfer: str) -> Floats:
    """Light in [0, 1] to encoded."""
    if transfer == "gamma2.2":
        return linear ** (1 / 2.2)
    if transfer == "srgb":
        return np.where(linear <= 0.04045 / 12.92, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return linear


def planes_to_rgb(
    planes: tuple[npt.NDArray[np.generic], ...], matrix: str, full: bool, bits: int, centred: bool
) -> Floats:
    """Luma and two colour planes to encoded RGB in [0, 1], (H, W, 3): the inverse of the standard's forward equations.

    Colour samples lie on the left one of two columns (or between them: centred), and between two rows.
    """
    luma = planes[0].astype(np.float64)
    height, width = luma.shape
    colour = [_enlarged(plane.astype(np.float64), height, width, centred) for plane in planes[1:]]
    top = 2**bits - 1
    unit = 2 ** (bits - 8)
    if full:
        y, (u, v) = luma / top, ((plane - 128 * unit) / top for plane in colour)
    else:
        y, (u, v) = (luma - 16 * unit) / (219 * unit), ((plane - 128 * unit) / (224 * unit) for plane in colour)
    red, blue = WEIGHTS[matrix]
    gray = np.array([red, 1 - red - blue, blue])
    forward = np.stack([gray, (np.eye(3)[2] - gray) / (2 * (1 - blue)), (np.eye(3)[0] - gray) / (2 * (1 - red))])
    return np.clip(np.stack([y, u, v], axis=-1) @ np.linalg.inv(forward).T, 0, 1)


def _enlarged(plane: Floats, height: int, width: int, centred: bool) -> Floats:
    rows, columns = plane.shape
    row_at = np.arange(rows) * 2 + 0.5 if rows < height else np.arange(rows)
    column_at = (np.arange(columns) * 2 + (0.5 if centred else 0)) if columns < width else np.arange(columns)
    wide = np.stack([np.interp(np.arange(width), column_at, row) for row in plane])
    return np.stack([np.interp(np.arange(height), row_at, column) for column in wide.T]).T


def mean_code(frames: Floats, transfer: str) -> Floats:
    """The exact mean of encoded frames (M, ...), in grey levels, not rounded."""
    return 255 * to_encoded(to_linear(frames, transfer).mean(axis=0), transfer)
