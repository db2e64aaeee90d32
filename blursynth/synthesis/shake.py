"""Sharp photo + path of the camera -> blurred photo: every moment of the exposure, warped and added up as light."""

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.config import photo_pairs, shake
from blursynth.kernels import gaussian_process, pose, random, trajectory, warp
from blursynth.synthesis import crop as crops
from blursynth.synthesis import gyroscope, trajectories

# The length in px for which the parameters of Boracchi-Foi paths are given; their inertia is per px.
_LENGTH = trajectory.LENGTH
Depths: TypeAlias = Sequence[float]  # 1 / m
# Pitch and yaw, roll and forward, sideways.
_STREAMS = (random.Stream.CAMERA_TURN, random.Stream.CAMERA_ROLL, random.Stream.CAMERA_SHIFT)
_ROUNDS = 6  # of scaling a path to a length: displacements are nearly linear in the pose


@dataclasses.dataclass(frozen=True)
class Paths:
    """path_NK6: float32 poses (see `kernels.pose`) relative to the sharp image's camera, at equal steps in time over
    the exposure of all rows. depth: float32 (N,), metres; 0 where maps say it."""

    path_NK6: npt.NDArray[np.float32]
    depth: npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Shaken:
    """light_HWC: float32, linear light, not clipped. path_K6: the path as it was followed. view: the crop and its
    camera. motion: px that the crop's fastest point travelled. moments: how many views were added up."""

    light_HWC: npt.NDArray[np.float32]
    path_K6: npt.NDArray[np.float32]
    view: pose.View
    motion: float
    moments: int


def paths(request: shake.Shake, seed: int, items: npt.NDArray[np.int64], log: gyroscope.Log | None = None) -> Paths:
    """The camera's path of each item, not yet scaled to `motion`. log: the recording, where the recipe has one."""
    drawn = random.uniforms(seed, random.Stream.CAMERA_PARAMETERS, items, 12)
    depth = np.zeros(len(items)) if request.depth is None else request.depth.at(drawn[:, 0])
    rotation, roll = (np.radians(each.at(drawn[:, k])) for k, each in ((1, request.rotation), (2, request.roll)))
    translation, forward = request.translation.at(drawn[:, 3]), request.forward.at(drawn[:, 4])
    if log is not None:
        assert request.exposure is not None
        seconds = request.exposure.at(drawn[:, 5]) * (1 + request.readout)
        path = np.stack([_recorded(request, log, *each) for each in zip(seconds, drawn[:, 6], strict=True)])
    else:
        correlation = request.correlation.at(drawn[:, 7]) / (1 + request.readout)
        turn, twist, move = (
            unit_path(request.path, seed, items, stream, request.knots, correlation, drawn[:, 8 + k])
            for k, stream in enumerate(_STREAMS)
        )
        path = np.zeros((len(items), request.knots, len(pose.POSE)))
        path[..., 0:2] = turn * rotation[:, None, None]
        path[..., 2] = twist[..., 0] * roll[:, None]
        path[..., 3:5] = move * translation[:, None, None]
        path[..., 5] = twist[..., 1] * forward[:, None]
        path -= path[:, [target(request)]]
    return Paths(path.astype(np.float32), depth.astype(np.float32))


def _recorded(request: shake.Shake, log: gyroscope.Log, seconds: float, place: float) -> npt.NDArray[np.float64]:
    """Poses of the recording, float64 (knots, 6), relative to that of the sharp image."""
    knots, scale = request.knots, request.gyro_scale
    if request.convention == "lai":
        path = log.summed(seconds, place, knots, scale)
        path -= path[target(request)]
        return path
    reference = None if request.gyro_reference is None else target(request)
    return log.path(seconds, place, knots, scale, reference)


def view(request: shake.Shake, crop: crops.Crop) -> pose.View:
    """The crop as a frame, and the camera behind it, whose principal point is the photo's centre.

    Lai et al.'s code has it at half the number of rows and columns, counted from 1: half a pixel before the centre.
    """
    height, width = crop.photo_size
    lai = request.convention == "lai"
    if request.focal is not None:
        focal = request.focal
    else:
        assert request.field_of_view is not None
        seen = max(height, width) + 2 * shake.PADDING * lai
        focal = seen / 2 / float(np.tan(np.radians(request.field_of_view / 2)))
    before = 0.5 * lai
    centre_x, centre_y = (width - 1) / 2 - before - crop.left, (height - 1) / 2 - before - crop.top
    return pose.View(crop.height, crop.width, focal, centre_x, centre_y)


def blur(
    request: shake.Shake,
    crop: crops.Crop,
    path_K6: npt.NDArray[np.float32],
    depth: float,
    motion_px: float | None,
    table: npt.NDArray[np.float32],
) -> Shaken:
    """The crop, seen through a path. Beyond the photo's own edge it is reflected, or what `convention` says.

    table: the linear light of each code, float32 (256,). motion_px: scale the path until the crop's fastest point
    travels so far. Raises InputError for a path that moves the scene out of the frame.
    """
    frame = view(request, crop)
    path = path_K6 if motion_px is None else scaled(path_K6, frame, [1 / depth], motion_px)
    margin = reach_within(path, frame, [1 / depth]) + 2
    taken = samples(path, frame, [1 / depth], request.readout)
    window = crop.window(margin) if request.convention is None else crop.padded(margin, shake.PADDING)
    planes = np.ascontiguousarray(table[window].transpose(2, 0, 1))
    _, back = pose.maps(taken.pose_T6, frame.focal, 1 / depth)
    light = warp.accumulate(planes, margin, back, taken.weights_RT, frame)
    return Shaken(light, path, frame, taken.motion, len(taken.pose_T6))


def reach_within(path_K6: npt.NDArray[np.float32], frame: pose.View, inverse_depths: Depths) -> int:
    """Px, rounded up, that the path moves the scene at most. Raises InputError where that is out of the frame."""
    furthest = pose.reach(path_K6, frame, inverse_depths)
    if not furthest < min(frame.height, frame.width):
        moved = f"moves the scene by {furthest:.0f} px" if np.isfinite(furthest) else "turns away from the scene"
        raise errors.InputError(
            f"The camera's path {moved}, out of a frame of {frame.width}x{frame.height}. "
            "Give smaller angles and translations, a shorter exposure, or --motion PX to scale paths."
        )
    return int(np.ceil(furthest))


def samples(path_K6: npt.NDArray[np.float32], frame: pose.View, inverse_depths: Depths, readout: float) -> pose.Samples:
    """The moments at which the path is seen. readout: in exposures."""
    row_time = readout / max(frame.height - 1, 1)
    return pose.samples(path_K6, frame, inverse_depths, 1.0, row_time)


def scaled(
    path_K6: npt.NDArray[np.float32], frame: pose.View, inverse_depths: Depths, motion_px: float
) -> npt.NDArray[np.float32]:
    """The path times the factor for which the frame's fastest point travels `motion_px`, within 0.1 %."""
    if not path_K6.any():
        return path_K6
    # Begin small, where nothing leaves the frame.
    factor = 1e-3 / float(np.abs(path_K6).max())
    for _ in range(_ROUNDS):
        now = float(pose.arcs((path_K6 * np.float32(factor)).astype(np.float32), frame, inverse_depths)[-1])
        if now == 0 or not np.isfinite(now):
            break  # it cannot be scaled; `reach_within` says so where it leaves the frame
        factor *= min(motion_px / now, 1e4)
    result: npt.NDArray[np.float32] = (path_K6 * np.float32(factor)).astype(np.float32)
    return result


def psfs(
    path_K6: npt.NDArray[np.float32],
    frame: pose.View,
    depth: float,
    readout: float,
    points: npt.NDArray[np.int64],
    size: int,
) -> npt.NDArray[np.float32]:
    """What points of light at these pixels (P, 2), row then column, become: float32 (P, size, size).

    See `warp.point`.
    """
    taken = samples(path_K6, frame, [1 / depth], readout)
    return warp.point(pose.maps(taken.pose_T6, frame.focal, 1 / depth), taken.weights_RT, frame, points, size)


def grid(height: int, width: int, rows: int, columns: int) -> npt.NDArray[np.int64]:
    """Pixels in the middles of rows x columns equal parts of an image, int64 (points, 2), row then column."""
    down, across = (
        ((np.arange(count) + 0.5) * extent / count).astype(np.int64)
        for count, extent in ((rows, height), (columns, width))
    )
    return np.stack([np.repeat(down, columns), np.tile(across, rows)], axis=1)


def target(request: shake.Shake) -> int:
    """The knot at which the sharp image is taken: with a rolling shutter, the middle row's middle, or first moment."""
    start = 0.5 * request.readout / (1 + request.readout) if request.readout else 0.0
    place = start + (0.5 / (1 + request.readout) if request.target == "middle" else 0.0)
    return round(place * (request.knots - 1))


def unit_path(
    kind: str,
    seed: int,
    items: npt.NDArray[np.int64],
    stream: random.Stream,
    knots: int,
    correlation: npt.NDArray[np.float64],
    turn: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    """How two axes move, float32 (N, knots, 2), in units that the recipe gives a size.

    kind: "gaussian" (of unit variance; correlation: (N,), in durations of the path) or "boracchi-foi" (of unit length;
    turn: (N,), its first direction as a draw in [0, 1)).
    """
    if kind == "gaussian":
        return gaussian_process.paths(seed, items, stream, steps=knots, correlation=correlation)
    parameters, _ = trajectories.parameters(photo_pairs.Motion.model_validate({}), seed, items)
    parameters[:, trajectory.PARAMETERS.index("angle")] = 2 * np.pi * turn
    followed = trajectory.simulate(
        seed, items, parameters, steps=knots, length=_LENGTH, dynamics="boracchi-foi", stream=stream
    )
    return followed.position / np.float32(_LENGTH)
