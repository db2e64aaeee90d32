"""Sharp photo + masks of objects + paths of them and of the camera -> blurred photo.

At every moment of the exposure the objects are laid over the background, each where it is by then, and the light of
all moments is added up: so an object's edge blurs as its light does, and what it uncovers is seen for as long as it
is. What is behind an object is not in the photo; OpenCV's inpainting (after Bertalmio,
Bertozzi and Sapiro 2001) continues the background there.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.config import objects
from blursynth.kernels import layer_compositing, pose, random, rigid_motion, warp
from blursynth.media import opencv
from blursynth.synthesis import crop as crops
from blursynth.synthesis import shake

_CLEAR = 3  # px around a mask that the background is not continued from: they are the object's as often as not
RANKED = 256  # objects of a photo among which those that move are drawn; were there more, the rest would never be
_RADIUS = 2.0  # px that inpainting looks around

Floats32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is drawn for each item: count (N,), int64, objects that move; order (N, RANKED), draws that rank them."""

    count: npt.NDArray[np.int64]
    order: npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Moved:
    """shaken: the light, and how the camera moved. pivots_B2, boxes_B4: px from the crop's first pixel; x and y of what
    each object turns about, and of the first and the last pixel of the box around it. mask_HW: uint8, whose each pixel
    of the sharp crop is, 0 for the background, else 1 + the object's number. motions: px that the fastest corner of
    each object came, the camera's motion included."""

    shaken: shake.Shaken
    pivots_B2: Floats32
    boxes_B4: Floats32
    mask_HW: npt.NDArray[np.uint8]
    motions: tuple[float, ...]


def choice(request: objects.Objects, seed: int, items: npt.NDArray[np.int64]) -> Choice:
    """How many objects move in each item, and draws that say which."""
    drawn = random.uniforms(seed, random.Stream.OBJECT_CHOICE, items, 1 + RANKED)
    return Choice(1 + (drawn[:, 0] * request.objects).astype(np.int64), drawn[:, 1:])


def ranked(draws: npt.NDArray[np.float64], count: int) -> list[int]:
    """The first `count` numbers, or as many as there are draws, in an order that the draws decide."""
    order: list[int] = np.argsort(draws[:count], kind="stable").tolist()
    return order


def begin(there: npt.NDArray[np.intp], extent: int, size: int, uniform: float) -> int:
    """Where a crop of `extent` px begins along an axis of a photo of `size` px, so that it holds all of the object that
    is `there` (its first to its last place), or, where that is longer, nothing beside it. uniform: a draw in [0, 1).
    """
    ends = sorted((int(there[-1]) + 1 - extent, int(there[0])))
    low, high = max(ends[0], 0), min(ends[1], size - extent)
    return low + int(uniform * (high - low + 1))


def paths(request: objects.Objects, seed: int, items: npt.NDArray[np.int64]) -> Floats32:
    """Own motion of `request.objects` objects in each item, float32 (N, objects, knots, 3), see `kernels.bodies`.

    It is none at the knot of the sharp image.
    """
    many = request.objects
    each = (items[:, None] * objects.MOST + np.arange(many)).reshape(-1)
    drawn = random.uniforms(seed, random.Stream.OBJECT_PARAMETERS, each, 4)
    lengths, spins = request.object_motion.at(drawn[:, 0]), np.radians(request.spin.at(drawn[:, 1]))
    correlation = request.object_correlation.at(drawn[:, 2]) / (1 + request.readout)
    shift, turn = (
        shake.unit_path(request.object_path, seed, each, stream, request.knots, correlation, drawn[:, 3])
        for stream in (random.Stream.OBJECT_SHIFT, random.Stream.OBJECT_TURN)
    )
    shift = shift.astype(np.float64)
    steps = np.diff(shift, axis=1)
    arcs = np.sqrt((steps * steps).sum(axis=2)).sum(axis=1)
    own = np.empty((len(each), request.knots, 3))
    own[..., :2] = shift * (lengths / np.maximum(arcs, 1e-9))[:, None, None]
    own[..., 2] = turn[..., 0] * spins[:, None]
    own -= own[:, [shake.target(request)]]
    return own.reshape(len(items), many, request.knots, 3).astype(np.float32)


def blur(
    request: objects.Objects,
    crop: crops.Crop,
    masks: list[Mask],
    path_K6: Floats32,
    owns_BK3: Floats32,
    depth: float,
    motion_px: float | None,
    table: Floats32,
) -> Moved:
    """As `shake.blur`, with objects that move by themselves.

    masks: of each object, bool, of the photo's size, each with a pixel in the crop. owns_BK3: their paths. An object
    whose mask ends lower in the photo is laid over one whose mask ends higher.
    """
    inverse, frame = 1 / depth, shake.view(request, crop)
    path = path_K6 if motion_px is None else shake.scaled(path_K6, frame, [inverse], motion_px)
    reach = shake.reach_within(path, frame, [inverse])
    order = sorted(range(len(masks)), key=lambda k: int(np.flatnonzero(masks[k].any(axis=1))[-1]))
    around = reach + int(np.ceil(np.abs(owns_BK3[..., :2]).max(initial=0.0)))
    lines = [outlined(mask, crop, request.grow, around) for mask in masks]
    found = [part(owns_BK3[k], *lines[k], frame) for k in order]
    row_time = request.readout / max(frame.height - 1, 1)
    taken = rigid_motion.samples(path, found, frame, inverse, 1.0, row_time)
    reach = max([reach, *(int(np.ceil(rigid_motion.reach(path, body, frame, inverse))) for body in found)])
    margin = reach + 2
    alphas = [grown(crop.around(masks[k], margin), request.grow) for k in order]
    layers = stacked(crop.window(margin), alphas, table)
    poses = taken.camera.pose_T6
    maps = [pose.maps(poses, frame.focal, inverse)[1]]
    for body, own in zip(found, taken.own_BT3, strict=True):
        maps.append(rigid_motion.maps(poses, own, body.pivot, frame.focal, inverse)[1])
    light = layer_compositing.composite(layers, margin, np.stack(maps), taken.camera.weights_RT, frame)
    whose = np.zeros((frame.height, frame.width), np.uint8)
    for k, alpha in zip(order, alphas, strict=True):
        whose[alpha[margin : margin + frame.height, margin : margin + frame.width]] = k + 1
    motions = dict(zip(order, taken.motions, strict=True))
    return Moved(
        shake.Shaken(light, path, frame, taken.camera.motion, len(poses)),
        np.array([pivot for pivot, _ in lines], np.float32).reshape(-1, 2),
        np.array([box for _, box in lines], np.float32).reshape(-1, 4),
        whose,
        tuple(motions[k] for k in range(len(masks))),
    )


def psfs(
    path_K6: Floats32,
    parts: list[rigid_motion.Body],
    whose_P: npt.NDArray[np.uint8],
    frame: pose.View,
    depth: float,
    readout: float,
    points: npt.NDArray[np.int64],
    size: int,
) -> Floats32:
    """What points of light become: `shake.psfs` before a camera and objects that move.

    parts: the objects. whose_P: the one that each point is on, plus 1; 0 for the background.
    """
    taken = rigid_motion.samples(path_K6, parts, frame, 1 / depth, 1.0, readout / max(frame.height - 1, 1))
    poses, found = taken.camera.pose_T6, np.empty((len(points), size, size), np.float32)
    for which in np.unique(whose_P).tolist():
        if which == 0:
            maps = pose.maps(poses, frame.focal, 1 / depth)
        else:
            maps = rigid_motion.maps(poses, taken.own_BT3[which - 1], parts[which - 1].pivot, frame.focal, 1 / depth)
        here = whose_P == which
        found[here] = warp.point(maps, taken.camera.weights_RT, frame, points[here], size)
    return found


def part(own_K3: Floats32, pivot_2: Floats32, box_4: Floats32, frame: pose.View) -> rigid_motion.Body:
    """An object. pivot_2, box_4: px from the crop's first pixel, as `Moved` has them."""
    left, top, right, bottom = box_4.astype(np.float64)
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
    centre = frame.centre_x, frame.centre_y
    pivot = float(pivot_2[0]) - centre[0], float(pivot_2[1]) - centre[1]
    return rigid_motion.Body(own_K3, pivot, corners - centre)


def outlined(mask_HW: Mask, crop: crops.Crop, grow: int, around: int) -> tuple[Floats32, Floats32]:
    """(pivot, box) of the object with this mask, px from the first pixel of the crop.

    The pivot is the mask's mean. The box goes around it, grown; what is further than `around` px from the crop does
    not count.
    """
    down, across = np.nonzero(mask_HW)
    rows, columns = down - crop.top, across - crop.left
    y = np.clip([rows.min() - grow, rows.max() + grow], -around, crop.height - 1 + around)
    x = np.clip([columns.min() - grow, columns.max() + grow], -around, crop.width - 1 + around)
    pivot = np.array([across.mean() - crop.left, down.mean() - crop.top], np.float32)
    return pivot, np.array([x[0], y[0], x[1], y[1]], np.float32)


def stacked(window_HWC: npt.NDArray[np.uint8], alphas: list[Mask], table: Floats32) -> Floats32:
    """The background and the objects, from back to front, as layers for `stack.composite`.

    table: the linear light of each code, float32 (256,).

    The outermost pixels of the window are no object's: what lies beyond the window repeats them.
    """
    height, width = window_HWC.shape[:2]
    within = np.zeros((height, width), bool)
    within[1:-1, 1:-1] = True
    inside = [alpha & within for alpha in alphas]
    anywhere = np.logical_or.reduce([np.zeros_like(within), *inside])
    light = table[window_HWC].transpose(2, 0, 1)
    behind = table[continued(window_HWC, anywhere)].transpose(2, 0, 1)
    layers = np.zeros((1 + len(alphas), 4, height, width), np.float32)
    layers[0, :3], layers[0, 3] = np.where(anywhere, behind, light), 1
    for layer, alpha in zip(layers[1:], inside, strict=True):
        layer[:3], layer[3] = light * alpha, alpha
    return layers


def grown(mask_HW: Mask, px: int) -> Mask:
    """A mask with all pixels that are within so many px of it, and cracks of up to 2 px closed: what is in them would
    stay behind."""
    cv2 = opencv.load("Masks are grown with it")
    wide, narrow = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * each + 1, 2 * each + 1)) for each in (px + 1, 1))
    return np.asarray(cv2.erode(cv2.dilate(mask_HW.astype(np.uint8), wide), narrow), bool)


def continued(window_HWC: npt.NDArray[np.uint8], missing_HW: Mask) -> npt.NDArray[np.uint8]:
    """An encoded picture with its surroundings continued into what is missing; itself where nothing or all is.

    Of OpenCV's two ways, the one that keeps an even colour: Telea's is off by up to 7 codes there (OpenCV 5.0).
    """
    unsafe = grown(missing_HW, _CLEAR)
    if not missing_HW.any() or unsafe.all():
        return window_HWC
    cv2 = opencv.load("What objects uncover is filled with it")
    return np.asarray(cv2.inpaint(window_HWC, unsafe.astype(np.uint8), _RADIUS, cv2.INPAINT_NS))
