"""How far things move from frame to frame, frames in between, and where a scene ends.

The only part of averaging that needs OpenCV, which is imported when it is used.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.media import picture

Grey = npt.NDArray[np.uint8]

_TEXTURED = 64  # Sobel response of a gradient of 8 grey levels a pixel: below, flow is a guess
_LARGEST = 99.9  # percentile of displacements that counts as the largest, so that single outliers do not
_FEWEST = 16  # textured pixels without which nothing is seen to move
_SMALLEST = 12  # px: OpenCV's DIS takes nothing smaller
_THUMBNAIL = (18, 32)
_SAME = 10  # grey levels that a frame may be off the next, motion undone


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """Displacements between successive frames of a window, on a grid of `shrink` px.

    distance: float32 (M - 1, h, w), px of the frame; NaN where there is too little texture to tell.
    """

    distance: npt.NDArray[np.float32]
    shrink: int

    def largest(self, top: int, left: int, height: int, width: int) -> npt.NDArray[np.float32]:
        """The largest displacement of each interval within a box of the stored frame: float32 (M - 1,), px."""
        rows = slice(top // self.shrink, -(-(top + height) // self.shrink))
        columns = slice(left // self.shrink, -(-(left + width) // self.shrink))
        largest = np.zeros(len(self.distance), np.float32)
        for k, distance in enumerate(self.distance[:, rows, columns]):
            seen = distance[~np.isnan(distance)]
            if seen.size >= _FEWEST:
                largest[k] = np.percentile(seen, _LARGEST)
        return largest


def load_opencv() -> Any:
    """OpenCV, or MissingPackageError in a sentence."""
    try:
        import cv2
    except ImportError as error:
        raise errors.MissingPackageError(
            f"OpenCV cannot be loaded ({error}). Motion is measured and interpolated with it: install the system "
            "package libgl1 (Debian, Ubuntu) or the Python package opencv-python-headless, or give --no-motion."
        ) from None
    cv2.setNumThreads(1)  # the caller's threads are the parallelism; OpenCV's own would wait for one another, busily
    return cv2


def luma(frame: picture.Picture) -> Grey:
    """8-bit luma of a stored frame, uint8 (H, W)."""
    if frame.coding is None:
        grey: Grey = load_opencv().cvtColor(np.ascontiguousarray(frame.planes[0]), load_opencv().COLOR_RGB2GRAY)
        return grey
    codes = frame.planes[0]
    return codes if codes.dtype == np.uint8 else (codes >> (frame.coding.bits - 8)).astype(np.uint8)


def measure(frames: Sequence[picture.Picture]) -> Steps:
    """Displacements between successive frames by dense inverse search (Kroeger et al. 2016), at quarter size.

    Frames under 192 px are halved, under 96 px taken as they are.
    """
    cv2 = load_opencv()
    height, width = frames[0].size
    shrink = _shrink((height, width))
    size = (-(-width // shrink), -(-height // shrink))
    distance = np.full((len(frames) - 1, size[1], size[0]), np.nan, np.float32)
    if min(size) < _SMALLEST:
        return Steps(distance, shrink)
    # A new one for each window: it keeps what it learnt of earlier images' sizes.
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    before = None
    for k, frame in enumerate(frames):
        grey = _small(cv2, frame, size)
        if before is not None:
            flow = search.calc(before, grey, None)
            across, down = cv2.spatialGradient(before)
            textured = np.abs(across) + np.abs(down) > _TEXTURED
            distance[k - 1][textured] = cv2.magnitude(flow[..., 0], flow[..., 1])[textured] * shrink
        before = grey
    return Steps(distance, shrink)


def _shrink(size: tuple[int, int]) -> int:
    return 4 if min(size) >= 192 else 2 if min(size) >= 96 else 1


def _small(cv2: Any, frame: picture.Picture, size: tuple[int, int]) -> Grey:
    grey: Grey = cv2.resize(np.ascontiguousarray(luma(frame)), size, interpolation=cv2.INTER_AREA)
    return grey


def has_cut(frames: Sequence[picture.Picture], compensate: bool = True) -> bool:
    """Whether the scene changes between two of the frames.

    Thumbnails of successive frames at 200 per second or more are nearly equal whatever moves. A cut makes them
    uncorrelated, or, where both scenes are bright on the same side, at least very different. compensate: where they
    are, and OpenCV is there, look again after undoing the motion, which can be fast for the size of a small frame.
    """
    before = _thumbnail(frames[0])
    for k in range(1, len(frames)):
        thumbnail = _thumbnail(frames[k])
        if _differ(before, thumbnail) and not (compensate and _moved(frames[k - 1], frames[k])):
            return True
        before = thumbnail
    return False


def _moved(a: picture.Picture, b: picture.Picture) -> bool:
    """Whether b, warped back along the flow between them, is like a."""
    cv2 = load_opencv()
    shrink = _shrink(a.size)
    size = (-(-a.size[1] // shrink), -(-a.size[0] // shrink))
    if min(size) < _SMALLEST:
        return False
    small_a, small_b = (_small(cv2, frame, size) for frame in (a, b))
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(small_a, small_b, None)
    at = flow + np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1])), axis=-1).astype(np.float32)
    warped = cv2.remap(small_b, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(cv2.absdiff(small_a, warped).mean()) < _SAME


def _thumbnail(frame: picture.Picture) -> npt.NDArray[np.float32]:
    """Mean luma of up to 18 x 32 blocks, in 8-bit levels, from every fourth pixel of large frames."""
    plane = frame.planes[0] if frame.coding is not None else frame.planes[0][..., 1]
    scale = 1.0 if frame.coding is None else 1 / (1 << (frame.coding.bits - 8))
    step = 4 if min(plane.shape) >= 4 * _THUMBNAIL[1] else 1
    return _blocks(plane[::step, ::step]) * np.float32(scale)


def _blocks(few: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    rows, columns = (min(extent, blocks) for extent, blocks in zip(few.shape, _THUMBNAIL, strict=True))
    cut = few[: few.shape[0] // rows * rows, : few.shape[1] // columns * columns]
    blocks = cut.reshape(rows, cut.shape[0] // rows, columns, cut.shape[1] // columns)
    mean: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return mean


def _differ(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> bool:
    apart = float(np.abs(a - b).mean())
    spread = float(a.std() * b.std())
    if spread < 4:  # nothing to correlate: a black or white frame
        return apart > 24
    alike = float(((a - a.mean()) * (b - b.mean())).mean()) / spread
    return alike < 0.35 or (alike < 0.8 and apart > 24)


def between(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], count: int) -> list[npt.NDArray[np.uint8]]:
    """`count` frames at equal times between two, uint8 (H, W, 3), RGB, encoded.

    The flow from each time to a and to b is approximated from the flows between them, and both are warped and mixed
    (Jiang et al. 2018, "Super SloMo", equation 4, without its networks; occlusions are not treated).
    """
    cv2 = load_opencv()
    forward, backward = _flow(cv2, a, b), _flow(cv2, b, a)
    height, width = a.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), axis=-1)
    made = []
    for k in range(1, count + 1):
        t = k / (count + 1)
        to_a = grid - (1 - t) * t * forward + t * t * backward
        to_b = grid + (1 - t) * (1 - t) * forward - t * (1 - t) * backward
        from_a, from_b = (
            cv2.remap(image, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for image, at in ((a, to_a), (b, to_b))
        )
        made.append(cv2.addWeighted(from_a, 1 - t, from_b, t, 0))
    return made


def _flow(cv2: Any, a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Dense flow from a to b in px, float32 (H, W, 2); half-size search for frames over 480 px."""
    height, width = a.shape[:2]
    shrink = 2 if min(height, width) > 480 else 1
    greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (a, b)]
    if shrink > 1:
        greys = [cv2.resize(grey, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA) for grey in greys]
    if min(greys[0].shape) < _SMALLEST:
        return np.zeros((height, width, 2), np.float32)
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*greys, None)
    if shrink > 1:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * np.float32(shrink)
    found: npt.NDArray[np.float32] = flow
    return found
