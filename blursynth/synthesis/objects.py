"""Sharp photo + masks of objects + paths of them and of the camera -> blurred photo.

At every moment of the exposure the objects are laid over the background, each where it is by then, and the light of
all moments is added up: so an object's edge blurs as its light does, and what it uncovers is seen for as long as it
is. What is behind an object is not in the photo; OpenCV's inpainting (after Bertalmio,
Bertozzi and Sapiro 2001) continues the background there.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.kernels import bodies, gaussian, pose, random, response, stack, trajectory, warp
from blursynth.media import opencv
from blursynth.synthesis import motion, objects_recipe, recipe, shake, uniform

_CLEAR = 3  # px around a mask that the background is not continued from: they are the object's as often as not
RANKED = 256  # objects of a photo among which those that move are drawn; were there more, the rest would never be
_RADIUS = 3.0  # px that inpainting looks around

Floats32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is drawn for each item: count (N,), int64, objects that move; order (N, RANKED), draws that rank them."""

    count: npt.NDArray[np.int64]
    order: npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Moved:
    """shaken: the image, and how the camera moved. pivots_B2: px from the crop's first pixel, x then y. mask_HW: uint8,
    whose each pixel of the sharp crop is, 0 for the background, else 1 + the object's number. motions: px that the
    fastest corner of each object came, the camera's motion included."""

    shaken: shake.Shaken
    pivots_B2: npt.NDArray[np.float64]
    mask_HW: npt.NDArray[np.uint8]
    motions: tuple[float, ...]


def choice(request: objects_recipe.Objects, seed: int, items: npt.NDArray[np.int64]) -> Choice:
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


def paths(request: objects_recipe.Objects, seed: int, items: npt.NDArray[np.int64]) -> Floats32:
    """Own motion of `request.objects` objects in each item, float32 (N, objects, knots, 3), see `kernels.bodies`.

    It is none at the knot of the sharp image.
    """
    many = request.objects
    each = (items[:, None] * objects_recipe.MOST + np.arange(many)).reshape(-1)
    drawn = random.uniforms(seed, random.Stream.OBJECT_PARAMETERS, each, 4)
    lengths, spins = request.object_motion.at(drawn[:, 0]), np.radians(request.spin.at(drawn[:, 1]))
    shift, turn = (_unit(request, seed, each, drawn, stream) for stream in _STREAMS)
    steps = np.diff(shift, axis=1)
    arcs = np.sqrt((steps * steps).sum(axis=2)).sum(axis=1)
    own = np.empty((len(each), request.knots, 3))
    own[..., :2] = shift * (lengths / np.maximum(arcs, 1e-9))[:, None, None]
    own[..., 2] = turn[..., 0] * spins[:, None]
    own -= own[:, [shake.target(request)]]
    return own.reshape(len(items), many, request.knots, 3).astype(np.float32)


_STREAMS = (random.Stream.OBJECT_SHIFT, random.Stream.OBJECT_TURN)


def _unit(
    request: objects_recipe.Objects,
    seed: int,
    each: npt.NDArray[np.int64],
    drawn: npt.NDArray[np.float64],
    stream: random.Stream,
) -> npt.NDArray[np.float64]:
    """Paths of any size, (N, knots, 2)."""
    if request.object_path == "gaussian":
        correlation = request.object_correlation.at(drawn[:, 2]) / (1 + request.readout)
        found = gaussian.paths(seed, each, stream, steps=request.knots, correlation=correlation)
        return found.astype(np.float64)
    parameters, _ = motion.parameters(recipe.Motion.model_validate({}), seed, each)
    parameters[:, trajectory.PARAMETERS.index("angle")] = 2 * np.pi * drawn[:, 3]
    followed = trajectory.simulate(
        seed,
        each,
        parameters,
        steps=request.knots,
        length=trajectory.LENGTH,
        dynamics="boracchi-foi",
        stream=stream,
    )
    return followed.position.astype(np.float64) / trajectory.LENGTH


def blur(
    request: objects_recipe.Objects,
    photo_HWC: npt.NDArray[np.uint8],
    masks: list[Mask],
    path_K6: Floats32,
    owns_BK3: Floats32,
    depth: float,
    motion_px: float | None,
    frame: pose.View,
    top: int,
    left: int,
) -> Moved:
    """As `shake.blur`, with objects that move by themselves.

    masks: of each object, bool, of the photo's size, each with a pixel in the crop. owns_BK3: their paths. An object
    whose mask ends lower in the photo is laid over one whose mask ends higher.
    """
    inverse = 1 / depth
    path = path_K6
    if motion_px is not None:
        path = shake.scaled(path_K6, frame, [inverse], request.readout, motion_px)
    reach = shake.reach_within(path, frame, [inverse])
    order = sorted(range(len(masks)), key=lambda k: int(np.flatnonzero(masks[k].any(axis=1))[-1]))
    around = reach + int(np.ceil(np.abs(owns_BK3[..., :2]).max(initial=0.0)))
    found = [_body(masks[k], owns_BK3[k], frame, top, left, around) for k in order]
    row_time = request.readout / max(frame.height - 1, 1)
    taken = bodies.samples(path, found, frame, inverse, 1.0, row_time)
    reach = max([reach, *(int(np.ceil(bodies.reach(path, body, frame, inverse))) for body in found)])
    margin = reach + request.grow + 2
    window = (top, left, frame.height, frame.width, margin)
    alphas = [grown(uniform.with_margin(masks[k][..., None], *window)[..., 0], request.grow) for k in order]
    layers = stacked(uniform.with_margin(photo_HWC, *window), alphas, request.transfer)
    poses = taken.camera.pose_T6
    maps = [pose.maps(poses, frame.focal, inverse)[1]]
    for body, own in zip(found, taken.own_BT3, strict=True):
        maps.append(bodies.maps(poses, own, body.pivot, frame.focal, inverse)[1])
    light = stack.composite(layers, margin, np.stack(maps), taken.camera.weights_RT, frame)
    whose = np.zeros((frame.height, frame.width), np.uint8)
    for k, alpha in zip(order, alphas, strict=True):
        whose[alpha[margin : margin + frame.height, margin : margin + frame.width]] = k + 1
    blurred = response.encode(light, request.transfer)
    place = {k: at for at, k in enumerate(order)}
    bodies_found = [found[place[k]] for k in range(len(masks))]
    return Moved(
        shake.Shaken(blurred, path, frame, taken.camera.motion, len(poses)),
        np.array([[body.pivot[0] + frame.centre_x, body.pivot[1] + frame.centre_y] for body in bodies_found]),
        whose,
        tuple(taken.motions[place[k]] for k in range(len(masks))),
    )


def psfs(
    path_K6: Floats32,
    own_K3: Floats32,
    pivot: tuple[float, float],
    frame: pose.View,
    depth: float,
    readout: float,
    points: npt.NDArray[np.int64],
    size: int,
) -> Floats32:
    """What points of light on an object become: `shake.psfs` with the object's own motion. pivot: see `bodies.Body`."""
    corners = np.stack([points[:, 1] - frame.centre_x, points[:, 0] - frame.centre_y], axis=1)
    body = bodies.Body(own_K3, pivot, corners)
    taken = bodies.samples(path_K6, [body], frame, 1 / depth, 1.0, readout / max(frame.height - 1, 1))
    maps = bodies.maps(taken.camera.pose_T6, taken.own_BT3[0], pivot, frame.focal, 1 / depth)
    return warp.point(maps, taken.camera.weights_RT, frame, points, size)


def stacked(window_HWC: npt.NDArray[np.uint8], alphas: list[Mask], transfer: str) -> Floats32:
    """The background and the objects, from back to front, as layers for `stack.composite`.

    The outermost pixels of the window are no object's: what lies beyond the window repeats them.
    """
    height, width = window_HWC.shape[:2]
    within = np.zeros((height, width), bool)
    within[1:-1, 1:-1] = True
    inside = [alpha & within for alpha in alphas]
    anywhere = np.logical_or.reduce([np.zeros_like(within), *inside])
    light = response.decode(window_HWC, transfer).transpose(2, 0, 1)
    behind = response.decode(continued(window_HWC, anywhere), transfer).transpose(2, 0, 1)
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


def _body(mask: Mask, own_K3: Floats32, frame: pose.View, top: int, left: int, around: int) -> bodies.Body:
    """Pivot: the mean of the mask. Corners: of what of it can come near the crop, which it has a pixel in."""
    rows, columns = np.nonzero(mask)
    pivot = columns.mean() - left - frame.centre_x, rows.mean() - top - frame.centre_y
    low, high = np.clip([rows.min() - top, rows.max() - top], -around, frame.height - 1 + around) - frame.centre_y
    near, far = (
        np.clip([columns.min() - left, columns.max() - left], -around, frame.width - 1 + around) - frame.centre_x
    )
    corners = np.array([[near, low], [far, low], [near, high], [far, high]], np.float64)
    return bodies.Body(own_K3, (float(pivot[0]), float(pivot[1])), corners)
