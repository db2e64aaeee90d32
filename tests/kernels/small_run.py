"""A little of every kernel, for comparing ways of running them: `python small_run.py out.npz`."""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import reference

from blursynth.kernels import convolve, displacement, frames, linear_sum, png, psf, random, response, trajectory
from blursynth.kernels import yuv as rows

# What a fused multiply-add may change in its last bits; everything else is the same to the bit.
FUSED = ("uniform",)
# Float64 cosines of the platform.
PLATFORM = ("from_draws",)


def outputs() -> dict[str, npt.NDArray[Any]]:
    result: dict[str, npt.NDArray[Any]] = {}
    parameters = reference.draw_parameters("boracchi_foi", 17, seed=4)
    for dynamics in trajectory.DYNAMICS:
        paths = trajectory.simulate(4, np.arange(17), parameters, steps=12, length=6.0, dynamics=dynamics)
        result[f"position {dynamics}"], result[f"impulses {dynamics}"] = paths.position, paths.impulses
    rounded = trajectory.simulate_rounded(
        4, [2**40], parameters[:1], steps=12, length=6.0, dynamics="boracchi-foi", scale=2.0**-12
    )
    result["rounded"] = rounded.position
    draws = reference.motion_draws(4, 0, 12, random.Stream.MOTION, "boracchi-foi")
    result["from_draws"] = trajectory.from_draws(parameters[0], *draws, length=6.0, dynamics="boracchi-foi")
    path = paths.position[:2] + np.float32(0.3)
    for centring in psf.CENTRINGS:
        result[f"psf {centring}"] = psf.rasterise(path, [[0, 1], [0.21, 0.43]], 13, centring)
    window = random.uniforms(4, random.Stream.SCENE, [0], 22 * 23 * 3).reshape(22, 23, 3).astype(np.float32)
    result["uniform"] = convolve.uniform(window, result["psf centroid"][0])
    codes = (window * 256).astype(np.uint8)
    result["uniform_encoded"] = convolve.uniform_encoded(codes, result["psf centroid"][1], "srgb")
    planes = [(window[:, :, c] * 256).astype(np.uint8).reshape(1, 22, 23) for c in range(3)]
    weights = rows.coefficients("bt709", False, 8)
    table = linear_sum.tables(linear_sum.curve("srgb"), 1)
    mean = frames.average_planes(rows.stack(tuple(planes), weights, (False, False), False), 0, table)
    result["planes"] = mean.blurred
    small = (planes[0], planes[1][:, :11, :12], planes[2][:, :11, :12])
    result["small planes"] = frames.average_planes(rows.stack(small, weights, (True, True), True), 0, table).sharp
    total = np.zeros(codes.shape, np.int32)
    linear_sum.accumulate(total, codes, table)
    result["total"] = linear_sum.encode(total, table)
    gradient = codes[..., 0].astype(np.int16) - 128
    lengths = displacement.lengths(window[:, :, :2], gradient, gradient[::-1], 90, 4)
    result["lengths"] = np.nan_to_num(lengths, nan=-1)
    result["known"] = displacement.known(lengths)
    result["paeth"] = png.paeth(codes)
    filtered = codes.reshape(22, -1)[:, 2:].copy()  # 1 + 3 x 22 bytes a row
    filtered[:, 0] %= png.PAETH + 1
    filtered[3:, 0] = png.PAETH  # several side by side
    result["restored"] = np.zeros((22, 22, 3), np.uint8)
    assert png.restore(filtered, result["restored"], 0)
    result["encode"] = response.encode(window, "gamma2.2")
    return result


if __name__ == "__main__":
    np.savez(sys.argv[1], **outputs())
