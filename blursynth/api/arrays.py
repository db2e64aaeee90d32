"""Blur images that are in memory: functions on arrays, without files and without randomness unless they say so."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from blursynth import errors
from blursynth.api import images
from blursynth.config import options, ranges
from blursynth.config import realism as realism_config
from blursynth.kernels import convolve, field, linear_sum, pose, warp
from blursynth.makers import realism_request
from blursynth.synthesis import crop as crops
from blursynth.synthesis import realism
from blursynth.synthesis import shake as shaking


def blur(
    image: npt.ArrayLike, psf: npt.ArrayLike, *, transfer: str = "gamma2.2", normalise: bool = False
) -> npt.NDArray[Any]:
    """Convolve an image with one point spread function, in linear intensity.

    ``out[y, x] = sum over v, u of psf[c + v, c + u] * image[y - v, x - u]``, with ``c = K // 2``: a point of light
    becomes the PSF. Beyond its edge the image is reflected; the edge itself is not repeated.

    Parameters
    ----------
    image : (H, W) or (H, W, 3)
        uint8: encoded values, which are decoded, blurred and encoded to the nearest value. float32: linear intensity,
        0 or more. At least as large as the PSF.
    psf : (K, K)
        Weights of 0 or more that sum to 1, axes y, x. Its centre is pixel (K // 2, K // 2): of an even side the one
        right of the middle and below it. Sides may differ.
    transfer : {"gamma2.2", "srgb", "linear"}
        How uint8 values relate to linear intensity; float32 is not touched by it.
    normalise
        Scale a PSF to the sum 1, instead of refusing one that has another sum.

    Returns
    -------
    ndarray
        Shape and dtype of the image; float32 is not clipped.

    Raises
    ------
    InputError
        An array has another shape, dtype or range, or the PSF does not sum to 1.

    Examples
    --------
    >>> import blursynth as bs
    >>> image = np.zeros((5, 5), np.uint8)
    >>> image[2, 2] = 255
    >>> bs.blur(image, [[0.5, 0, 0.5]], transfer="linear")[2]
    array([  0, 128,   0, 128,   0], dtype=uint8)
    """
    kernel_KK = images.kernels(psf, False, normalise)
    given = images.check(image, transfer, least=len(kernel_KK))
    window_HWC = _window(given.pixels_HWC, len(kernel_KK) // 2)
    if given.encoded:
        return given.with_axes(convolve.uniform_encoded(window_HWC, kernel_KK, transfer))
    return given.with_axes(convolve.uniform(window_HWC, kernel_KK))


def blur_field(
    image: npt.ArrayLike, psf_grid: npt.ArrayLike, *, transfer: str = "gamma2.2", normalise: bool = False
) -> npt.NDArray[Any]:
    """Convolve an image with a grid of PSFs, between which each pixel's PSF is interpolated bilinearly.

    Parameters
    ----------
    image : (H, W) or (H, W, 3)
        As of `blur`.
    psf_grid : (GY, GX, K, K)
        PSFs at places that are evenly spread from edge to edge of the image, or in its middle where there is one.
    transfer, normalise
        As of `blur`.

    Returns
    -------
    ndarray
        Shape and dtype of the image; float32 is not clipped.

    Raises
    ------
    InputError
        As `blur`.

    References
    ----------
    Nagy and O'Leary: Restoring images degraded by spatially variant blur, SIAM J. Sci. Comput. 19, 1998.

    Examples
    --------
    >>> import blursynth as bs
    >>> sharp, line = np.zeros((2, 3, 3), np.float32)
    >>> sharp[1, 1], line[1] = 1, 1 / 3
    >>> image = np.random.default_rng(0).random((16, 16), np.float32)
    >>> out = bs.blur_field(image, [[sharp, line]])
    >>> bool(np.abs(out[:, 0] - image[:, 0]).max() < 1e-6), bool(np.abs(out[:, -1] - image[:, -1]).max() < 1e-6)
    (True, False)
    """
    kernels_YXKK = images.kernels(psf_grid, True, normalise)
    side = kernels_YXKK.shape[-1]
    given = images.check(image, transfer, least=side)
    return given.like_input(field.blur(_window(given.linear, side // 2), kernels_YXKK))


def shake(
    image: npt.ArrayLike,
    poses: npt.ArrayLike,
    *,
    focal_px: float,
    depth_m: float = 1.0,
    readout: float = 0.0,
    transfer: str = "gamma2.2",
) -> npt.NDArray[Any]:
    """Blur an image of a plane as a camera does that moves in six dimensions during the exposure.

    The principal point is the image's centre, and the plane is parallel to the sensor. Beyond its edge the image is
    reflected. Poses are linear in between, and the image is added up at so many of them that no pixel moves by more
    than half a pixel from one to the next.

    Parameters
    ----------
    image : (H, W) or (H, W, 3)
        As of `blur`: what a camera at the pose 0 sees.
    poses : (T, 6), T >= 2
        Poses at equal steps in time over the exposure of all rows: rotation vector rx, ry, rz in radians, then
        translation tx, ty, tz in metres; x to the right, y down, z into the scene.
    focal_px
        Focal length in px.
    depth_m
        Distance of the plane in metres.
    readout
        Rolling shutter: time from the first row's start to the last row's, in exposures; 0 is a global shutter.
    transfer
        As of `blur`.

    Returns
    -------
    ndarray
        Shape and dtype of the image; float32 is not clipped.

    Raises
    ------
    InputError
        An array has another shape, dtype or range, or the poses move the image out of the frame.

    Examples
    --------
    >>> import blursynth as bs
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    >>> poses = np.zeros((2, 6))
    >>> poses[:, 1] = -0.005, 0.005  # pan by half a degree
    >>> bs.shake(image, poses, focal_px=600).shape
    (64, 64, 3)
    """
    given = images.check(image, transfer)
    path_T6 = images.numbers(poses, "poses", "(T, 6)")
    if path_T6.ndim != 2 or path_T6.shape[1] != len(pose.POSE) or len(path_T6) < 2:
        raise errors.InputError(f"poses have the shape {path_T6.shape}; expected (T, 6) with T of 2 or more.")
    for name, value, most in (("focal_px", focal_px, 1e9), ("depth_m", depth_m, 1e6)):
        if not 0 < value <= most:
            raise errors.InputError(f"{name} is {value}; expected a number above 0, at most {most:g}.")
    if not 0 <= readout <= 10:
        raise errors.InputError(f"readout is {readout}; expected 0 to 10 exposures.")
    height, width = given.pixels_HWC.shape[:2]
    frame = pose.View(height, width, float(focal_px), (width - 1) / 2, (height - 1) / 2)
    path, nearness = path_T6.astype(np.float32), 1 / depth_m
    margin = shaking.reach_within(path, frame, [nearness]) + 2
    taken = shaking.samples(path, frame, [nearness], readout)
    colours_HWC = np.broadcast_to(given.linear, (height, width, 3))
    planes_CHW = np.ascontiguousarray(_window(colours_HWC, margin).transpose(2, 0, 1))
    _, back = pose.maps(taken.pose_T6, frame.focal, nearness)
    return given.like_input(warp.accumulate(planes_CHW, margin, back, taken.weights_RT, frame))


@dataclasses.dataclass(frozen=True, eq=False)
class Averaged:
    """A pair from frames: blurred and sharp, of the shape and dtype of one frame."""

    blurred: npt.NDArray[Any]
    sharp: npt.NDArray[Any]


def average(
    frames: Sequence[npt.ArrayLike] | npt.NDArray[Any],
    *,
    transfer: str = "gamma2.2",
    target: int | Literal["middle"] = "middle",
) -> Averaged:
    """Average successive frames of a fast camera in linear intensity, as one long exposure sees them.

    Parameters
    ----------
    frames : (N, H, W) or (N, H, W, 3), 1 <= N <= 1025
        uint8: encoded values. float32: linear intensity.
    transfer
        As of `blur`.
    target
        The number of the sharp frame, from 0; an even number of frames has no middle one.

    Returns
    -------
    Averaged
        `blurred`, rounded to the nearest value where frames are uint8, and `sharp`.

    Raises
    ------
    InputError
        Frames differ, or have another shape, dtype or range, or there is no such target.

    References
    ----------
    Nah, Kim and Lee: Deep multi-scale convolutional neural network for dynamic scene deblurring, CVPR 2017.

    Examples
    --------
    >>> import blursynth as bs
    >>> frames = np.zeros((3, 8, 8), np.uint8)
    >>> frames[1] = 255
    >>> pair = bs.average(frames, transfer="linear")
    >>> int(pair.blurred[0, 0]), int(pair.sharp[0, 0])
    (85, 255)
    """
    given = [images.check(frame, transfer, f"Frame {k}", least=1) for k, frame in enumerate(frames)]
    if not 1 <= len(given) <= linear_sum.MOST_FRAMES:
        raise errors.InputError(f"There are {len(given)} frames; expected 1 to {linear_sum.MOST_FRAMES}.")
    kinds = {(frame.pixels_HWC.shape, frame.pixels_HWC.dtype) for frame in given}
    if len(kinds) > 1:
        raise errors.InputError("Frames differ in size, channels or dtype; expected all alike.")
    if target == "middle" and len(given) % 2 == 0:
        raise errors.InputError(f"{len(given)} frames have no middle one; give an odd number, or say target=NUMBER.")
    number = len(given) // 2 if target == "middle" else target
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < len(given):
        raise errors.InputError(f"target is {target!r:.80}; expected 0 to {len(given) - 1}, or middle.")
    sharp = given[number]
    if not sharp.encoded:
        stack_NHWC = np.stack([frame.pixels_HWC for frame in given])
        mean_HWC = np.asarray(stack_NHWC.mean(axis=0, dtype=np.float64), np.float32)
        return Averaged(sharp.with_axes(mean_HWC), sharp.with_axes(sharp.pixels_HWC))
    tables = linear_sum.tables(linear_sum.curve(transfer), len(given))
    shape = (*sharp.pixels_HWC.shape[:2], 3)
    total = np.zeros(shape, np.int32)
    for frame in given:
        linear_sum.accumulate(total, np.broadcast_to(frame.pixels_HWC, shape), tables)
    return Averaged(sharp.with_axes(linear_sum.encode(total, tables)), sharp.with_axes(sharp.pixels_HWC))


def camera(
    linear: npt.ArrayLike,
    preset: str = "rsblur",
    *,
    transfer: str = "gamma2.2",
    seed: int = 0,
    item: int = 0,
    **settings: Any,
) -> npt.NDArray[np.uint8]:
    """Turn linear intensity into a camera's 8-bit image: clipping, sensor noise, demosaicing, response, JPEG.

    Blur first: noise and clipping come after the light was gathered.

    Parameters
    ----------
    linear : (H, W, 3), float32
        Linear intensity, RGB, 1 = white; what is above is clipped.
    preset : {"rsblur", "realblur", "gaussian", "lai", "none"}
        As of `blursynth convolve --realism`. Its saturation, which raises white before the blur, has no part in this.
    transfer : {"gamma2.2", "srgb", "linear"}
        How intensity is encoded, unless a response is given.
    seed, item
        All that is random is a function of these two.
    **settings
        Single steps in place of the preset's, such as ``jpeg="70:95"``, ``jpeg=False`` or
        ``sensor={"read": 1e-3}``.

    Returns
    -------
    ndarray
        uint8 (H, W, 3), encoded.

    Raises
    ------
    InputError
        The array has another shape, dtype or range.
    RecipeError
        A preset or a setting is unknown or out of range.

    References
    ----------
    Rim et al.: Realistic blur synthesis for learning image deblurring, ECCV 2022.

    Examples
    --------
    >>> import blursynth as bs
    >>> grey = np.full((32, 32, 3), 0.2, np.float32)
    >>> image = bs.camera(grey, "rsblur", seed=1)
    >>> image.dtype, bool(image.std() > 0)
    (dtype('uint8'), True)
    """
    given = images.check(linear, transfer)
    if given.encoded or given.grey:
        raise errors.InputError("The image has to be float32 (H, W, 3): linear intensity in three colours.")
    for name, value in (("seed", seed), ("item", item)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise errors.RecipeError(f"{name} is {value!r:.80}; expected a whole number from 0 to 2**63 - 1.")
    words = {"preset": preset, **{name: ranges.text(value) for name, value in settings.items()}}
    table: Mapping[str, Any] = realism_request.table(words).get("realism", {"preset": "none"})
    config = options.build(table, realism_config.Realism)
    drawn = realism.of_item(realism.draw(config, seed, np.array([item], np.int64)), 0)
    return realism.Camera(config, transfer, values=drawn, seed=seed, item=item).blurred(given.pixels_HWC)


def _window(pixels_HWC: npt.NDArray[Any], margin: int) -> npt.NDArray[Any]:
    """The image with its reflection around it."""
    height, width = pixels_HWC.shape[:2]
    return crops.Crop(pixels_HWC, 0, 0, height, width).around(pixels_HWC, margin)
