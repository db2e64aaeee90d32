"""OpenCV, loaded by what needs it alone: it takes a moment, and a system library that not every machine has."""

from typing import Any

from blursynth import errors


def load() -> Any:
    """The module cv2, or MissingPackageError in a sentence."""
    try:
        import cv2
    except ImportError as error:
        raise errors.MissingPackageError(
            f"OpenCV cannot be loaded ({error}). The protocol realblur-ecc and detection need it: install the system "
            "package libgl1 where there is no desktop, or use opencv-python-headless."
        ) from None
    return cv2
