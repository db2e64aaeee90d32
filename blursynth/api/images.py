"""Check arrays that users give, and turn images into linear intensity and back."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.kernels import response
from blursynth.synthesis import own_kernels

Image = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Checked:
    """An image that was given. pixels_HWC: as it was given, with a channel axis. grey: whether it had none. transfer:
    of 8-bit values."""

    pixels_HWC: npt.NDArray[Any]
    grey: bool
    transfer: str

    @property
    def encoded(self) -> bool:
        """Whether the image is of encoded 8-bit values rather than of linear intensity."""
        return self.pixels_HWC.dtype == np.uint8

    @property
    def linear(self) -> npt.NDArray[np.float32]:
        """Linear intensity, float32."""
        return response.decode(self.pixels_HWC, self.transfer) if self.encoded else self.pixels_HWC

    def like_input(self, linear_HWC: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return linear intensity in the form of the image that was given: encoded if it was, grey if it was."""
        result = response.encode(np.ascontiguousarray(linear_HWC), self.transfer) if self.encoded else linear_HWC
        return self.with_axes(result)

    def with_axes(self, pixels_HWC: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an image without its channel axis where the image that was given had none."""
        return pixels_HWC[..., 0] if self.grey else pixels_HWC


def check(image: npt.ArrayLike, transfer: str = "gamma2.2", name: str = "The image", least: int = 2) -> Checked:
    """Check an image: uint8 (encoded) or float32 (linear intensity, finite, 0 or more), (H, W) or (H, W, 3).

    least: px, of the shorter side. Raises InputError.
    """
    if transfer not in response.TRANSFER_FUNCTIONS:
        raise errors.InputError(
            f"transfer is {transfer!r:.80}; expected one of {', '.join(response.TRANSFER_FUNCTIONS)}."
        )
    pixels = array(image, name)
    if pixels.dtype not in (np.uint8, np.float32):
        raise errors.InputError(
            f"{name} is of {pixels.dtype}; expected uint8 (encoded values) or float32 (linear intensity, 1 = white). "
            "Convert it, such as by image.astype(np.float32)."
        )
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise errors.InputError(f"{name} has the shape {pixels.shape}; expected (height, width) or (height, width, 3).")
    if min(pixels.shape[:2]) < least:
        raise errors.InputError(
            f"{name} is of {pixels.shape[1]}x{pixels.shape[0]} px; expected at least {least} on each side."
        )
    if pixels.dtype == np.float32 and not ((pixels >= 0) & (pixels < np.inf)).all():
        raise errors.InputError(
            f"{name} has values that are negative or not finite; expected linear intensity, 0 or more."
        )
    return Checked(np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[..., None]), pixels.ndim == 2, transfer)


def array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return values as an array. Raises InputError for rows of different lengths."""
    try:
        return np.asarray(values)
    except ValueError:
        raise errors.InputError(f"{name} has rows of different lengths; expected an array.") from None


def numbers(values: npt.ArrayLike, name: str, shape: str) -> npt.NDArray[np.float64]:
    """Check that values are finite real numbers: float64. shape: expected, for the sentence. Raises InputError."""
    found = array(values, name)
    if found.dtype.kind not in "fiu":
        raise errors.InputError(f"{name} is of {found.dtype}; expected numbers, {shape}.")
    if not np.isfinite(found).all():
        raise errors.InputError(f"{name} has values that are not finite (NaN or infinite).")
    return found.astype(np.float64)


def kernels(psf: npt.ArrayLike, grid: bool, normalise: bool) -> npt.NDArray[np.float32]:
    """Check kernels, (K, K) or a grid (GY, GX, K, K): float32 of an odd side. Raises InputError."""
    values = array(psf, "psf")
    if values.ndim != (4 if grid else 2):
        expected = "(rows, columns, K, K)" if grid else "(K, K)"
        raise errors.InputError(f"psf has the shape {values.shape}; expected {expected}.")
    if not values.size:
        raise errors.InputError(f"psf has the shape {values.shape}: there is no kernel in it.")
    each = [
        own_kernels.checked(kernel, f"psf {k}" if grid else "psf", normalise=normalise)
        for k, kernel in enumerate(values.reshape(-1, *values.shape[-2:]))
    ]
    side = own_kernels.side(each)
    return own_kernels.on_canvas(np.stack(each), side).reshape(*values.shape[:-2], side, side)
