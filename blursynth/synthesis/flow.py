"""How far things move from frame to frame, frames in between, and where a scene ends.

The only part of averaging that needs OpenCV, which is imported when it is used.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from blursynth.kernels import displacement
from blursynth.media import opencv, picture

Grey = npt.NDArray[np.uint8]

_TEXTURED = 64  # Sobel response of a gradient of 8 grey levels a pixel: below, flow is a guess
_LARGEST = 0.999  # quantile of displacements that counts as the largest, so that single outliers do not
_FEWEST = 16  # textured pixels without which nothing is seen to move
_SMALLEST = 12  # px: OpenCV's DIS takes nothing smaller
_THUMBNAIL = (18, 32)
_MOVING = 0.25  # grey levels that two frames differ by on average: below, a scene counts as still
_HELD = 0.2  # share of the largest difference about a window below which a frame repeats the one before
_STILL = 1.0  # grey levels that two frames differ by at most where one may repeat the other, both coded with noise
_CLEAR = 3  # times as much as between a frame and its copy is between frames that differ, at least
_ABRUPT, _NEXT = 0.8, 4  # share of the largest of these next differences that is too much for what slows down
_LONGEST = 8  # intervals from a step to the next where 240 frames per second hold 30; key frames are further apart
AROUND = 2 * _LONGEST  # frames about a window that tell whether one is repeated in it
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
            seen = displacement.known(distance)
            if seen.size >= _FEWEST:
                place = math.ceil((seen.size - 1) * _LARGEST)
                largest[k] = np.partition(seen, place)[place]
        return largest


def load_opencv() -> Any:
    """OpenCV, or MissingPackageError in a sentence."""
    return opencv.load("Motion is measured and interpolated with it", ", or give --no-motion")


def luma(frame: picture.Picture) -> Grey:
    """8-bit luma of a stored frame, uint8 (H, W)."""
    if frame.coding is not None:
        return _eight_bits(frame.planes[0], frame.coding)
    cv2 = load_opencv()
    grey: Grey = cv2.cvtColor(np.ascontiguousarray(frame.planes[0]), cv2.COLOR_RGB2GRAY)
    return grey


@dataclasses.dataclass(frozen=True, eq=False)
class Shrunk:
    """8-bit luma of a window's frames at 1 / factor of their size. by_opencv: as means of blocks, else as samples."""

    greys: tuple[Grey, ...]
    factor: int
    by_opencv: bool


def shrink(frames: Iterable[picture.Picture], opencv: bool = True) -> Shrunk:
    """Luma at quarter size; of frames under 192 px at half, under 96 px as it is.

    Frames are taken one by one: one that has just been decoded is still in the processor's cache.
    """
    greys, factor = [], 1
    cv2 = load_opencv() if opencv else None
    for frame in frames:
        smallest = min(frame.size)
        factor = 4 if smallest >= 192 else 2 if smallest >= 96 else 1
        if cv2 is not None:
            greys.append(_halved(cv2, luma(frame), factor))
        else:
            greys.append(_eight_bits(frame.planes[0][::factor, ::factor], frame.coding))
    return Shrunk(tuple(greys), factor, opencv)


def _halved(cv2: Any, grey: Grey, factor: int) -> Grey:
    """Means of blocks, halving by halving, which OpenCV does much faster than a quarter at once."""
    small = np.ascontiguousarray(grey)
    while factor > 1:
        half = (-(-small.shape[1] // 2), -(-small.shape[0] // 2))
        small = cv2.resize(small, half, interpolation=cv2.INTER_AREA)
        factor //= 2
    return small


def _eight_bits(plane: npt.NDArray[Any], coding: picture.Coding | None) -> Grey:
    if coding is None:
        grey: Grey = plane[..., 1]
        return grey
    return plane if plane.dtype == np.uint8 else (plane >> (coding.bits - 8)).astype(np.uint8)


def measure(shrunk: Shrunk) -> Steps:
    """Displacements between successive frames by dense inverse search (Kroeger et al. 2016)."""
    cv2 = load_opencv()
    greys, factor = shrunk.greys, shrunk.factor
    distance = np.full((len(greys) - 1, *greys[0].shape), np.nan, np.float32)
    if min(greys[0].shape) < _SMALLEST:
        return Steps(distance, factor)
    # A new one for each window: it keeps what it learnt of earlier images' sizes.
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    for k, (before, after) in enumerate(itertools.pairwise(greys)):
        flow = search.calc(before, after, None)
        across, down = cv2.spatialGradient(before)
        distance[k] = displacement.lengths(flow, across, down, _TEXTURED, factor)
    return Steps(distance, factor)


def has_cut(shrunk: Shrunk) -> bool:
    """Whether the scene changes between two of the frames."""
    return bool(_cuts(shrunk).any())


def _cuts(shrunk: Shrunk) -> npt.NDArray[np.bool_]:
    """Between which frames and the next the scene changes: bool (M - 1,).

    Thumbnails of successive frames at 200 per second or more are nearly equal whatever moves. A cut makes them
    uncorrelated, or, where both scenes are bright on the same side, at least very different. Where they are, the frames
    are compared again with the motion undone (by OpenCV), which can be fast for the size of a small frame.
    """
    cuts = _differ(np.stack([_thumbnail(grey) for grey in shrunk.greys]))
    for k in np.flatnonzero(cuts).tolist():
        cuts[k] = not (shrunk.by_opencv and _moved(*shrunk.greys[k : k + 2]))
    return cuts


def may_repeat(shrunk: Shrunk) -> bool:
    """Whether some frame is so near to the next that `repeats` should be asked, with the frames around the window."""
    apart = _intervals(shrunk)
    return bool(apart.size) and bool(apart.min() < max(_STILL, _HELD * apart.max()))


def repeats(shrunk: Shrunk, begin: int, stop: int) -> bool:
    """Whether frames begin to stop - 1, given with AROUND frames about them, hold a repeated frame.

    So it is where 240 frames per second hold 120 different ones. There, nothing moves from one frame to the next, and
    in the interval before or behind that everything moves as fast as it does at all; what comes to rest or turns is
    slow next to it. A single step may be a key frame of a still scene, which is coded anew. Where little changes at
    all, nothing can be told. A scene beyond a cut does not count.
    """
    cuts = np.flatnonzero(_cuts(shrunk))
    first = max([0, *(cuts[cuts < begin] + 1).tolist()])
    last = min([len(shrunk.greys) - 1, *cuts[cuts >= stop - 1].tolist()])
    apart = _intervals(shrunk)[first:last]
    inside = range(begin - first, stop - 1 - first)
    if not apart.size or apart.max() < _MOVING:
        return False
    held = apart < _HELD * apart.max()
    for k in np.flatnonzero(held[:-1] != held[1:]).tolist():
        step, still, side = (k + 1, k, apart[k + 1 :]) if held[k] else (k, k + 1, apart[: k + 1][::-1])
        abrupt = side[0] >= max(_ABRUPT * side[:_NEXT].max(), _CLEAR * apart[still])
        again = (apart[max(0, step - _LONGEST) : step + _LONGEST + 1] >= side[0] / 2).sum() > 1
        if abrupt and again and _run(held, still) & set(inside):
            return True
    return False


def _run(held: npt.NDArray[np.bool_], place: int) -> set[int]:
    """The intervals about one, without a gap, in which nothing moves."""
    moving = np.flatnonzero(~held)
    return set(range(max([-1, *moving[moving < place]]) + 1, min([len(held), *moving[moving > place]])))


def _intervals(shrunk: Shrunk) -> npt.NDArray[np.float64]:
    return np.array([_apart(a, b, shrunk.by_opencv) for a, b in itertools.pairwise(shrunk.greys)])


def _apart(a: Grey, b: Grey, by_opencv: bool) -> float:
    """Mean absolute difference in grey levels."""
    if by_opencv:
        return float(load_opencv().norm(a, b, 2)) / a.size  # 2: the sum of absolute differences
    return float(np.abs(a.astype(np.int16) - b).mean())


def _moved(a: Grey, b: Grey) -> bool:
    """Whether b, warped back along the flow between them, is a."""
    cv2 = load_opencv()
    if min(a.shape) < _SMALLEST:
        return False
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(a, b, None)
    warped = cv2.remap(b, flow + _grid(*a.shape), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(cv2.absdiff(a, warped).mean()) < _SAME


def _grid(height: int, width: int) -> npt.NDArray[np.float32]:
    """x and y of every pixel, (height, width, 2)."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def _thumbnail(grey: Grey) -> npt.NDArray[np.float32]:
    """Mean of up to 18 x 32 blocks, one after the other."""
    rows, columns = (min(extent, blocks) for extent, blocks in zip(grey.shape, _THUMBNAIL, strict=True))
    tall, wide = grey.shape[0] // rows, grey.shape[1] // columns
    cut = grey[: rows * tall, : columns * wide]
    by_row = cut.reshape(rows, tall, columns * wide).sum(axis=1, dtype=np.uint32)
    total = by_row.reshape(rows * columns, wide).sum(axis=1)
    mean: npt.NDArray[np.float32] = (total / (tall * wide)).astype(np.float32)
    return mean


def _differ(thumbnails: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which of M thumbnails, (M, N), differ from the next: bool (M - 1,)."""
    apart = np.abs(np.diff(thumbnails, axis=0)).mean(axis=1)
    from_mean = thumbnails - thumbnails.mean(axis=1, keepdims=True)
    deviation = from_mean.std(axis=1)
    spread = deviation[:-1] * deviation[1:]
    together = (from_mean[:-1] * from_mean[1:]).mean(axis=1)
    alike = together / np.maximum(spread, 4)
    textured = (alike < 0.35) | ((alike < 0.8) & (apart > 24))
    differ: npt.NDArray[np.bool_] = np.where(
        spread < 4, apart > 24, textured
    )  # < 4: black or white, nothing to correlate
    return differ


def between(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], count: int) -> list[npt.NDArray[np.uint8]]:
    """`count` frames at equal times between two, uint8 (H, W, 3), RGB, encoded.

    The flow from each time to a and to b is approximated from the flows between them, and both are warped and mixed
    (Jiang et al. 2018, "Super SloMo", equation 4, without its networks; occlusions are not treated).
    """
    cv2 = load_opencv()
    forward, backward = _flow(cv2, a, b), _flow(cv2, b, a)
    height, width = a.shape[:2]
    grid = _grid(height, width)
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
