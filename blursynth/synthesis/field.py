"""Sharp photo + a field of PSFs -> blurred photo: motion that changes across the image, in linear light."""

import dataclasses

import numpy as np
import numpy.typing as npt

from blursynth.config import photo_pairs
from blursynth.kernels import field, psf, random, trajectory
from blursynth.synthesis import crop as crops
from blursynth.synthesis import trajectories

AT_ONCE = 16  # items whose paths at every grid point are in memory together


@dataclasses.dataclass(frozen=True)
class Kernels:
    """Fields of N items: psf_NYXKK float32 (N, GY, GX, K, K), each PSF centred and summing to 1; variation (N,)."""

    psf_NYXKK: npt.NDArray[np.float32]
    variation: npt.NDArray[np.float32]


def kernels(
    request: photo_pairs.Convolve,
    seed: int,
    items: npt.NDArray[np.int64],
    motions: trajectories.Motions,
    exposure_N2: npt.NDArray[np.float32],
) -> Kernels:
    """PSFs of paths that change across the image; see `recipe.Field`. motions: b of each item.

    Each PSF has its own centroid on the centre pixel: the pair is aligned everywhere, not only in the middle.
    """
    assert request.field is not None
    assert request.motion is not None
    uniform_N2 = random.uniforms(seed, random.Stream.FIELD_PARAMETERS, items, 2)
    variation = request.field.variation.at(uniform_N2[:, 0]).astype(np.float32)
    places = _places(request.field.rows, request.field.columns)
    size = request.psf_size
    result = np.empty((len(items), len(places), size, size), np.float32)
    for first in range(0, len(items), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        base = motions.pixels()[some]
        turned = _second_paths(request.motion, seed, items[some], motions, some, uniform_N2[some, 1])
        spread = _times(turned * variation[some, None, None], places)
        position = (base[:, None] + spread).reshape(-1, *base.shape[1:])
        spans = np.repeat(exposure_N2[some], len(places), axis=0)
        result[some] = psf.rasterise(position, spans, size).reshape(-1, len(places), size, size)
    shape = (len(items), request.field.rows, request.field.columns, size, size)
    return Kernels(result.reshape(shape), variation)


def light(
    crop: crops.Crop, psf_YXKK: npt.NDArray[np.float32], table: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """The crop, blurred by a field that reaches from edge to edge of it: float32 (height, width, 3), not clipped.

    table: the linear light of each code, float32 (256,). Beyond the photo's own edge it is reflected.
    """
    return field.blur(table[crop.window(psf_YXKK.shape[2] // 2)], psf_YXKK)


def _places(rows: int, columns: int) -> npt.NDArray[np.complex64]:
    """u of each grid point, row by row: 0 in the centre, 1 away from it in the corners."""
    down, across = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in (rows, columns))
    return np.asarray((across[None, :] + 1j * down[:, None]) / np.sqrt(2), np.complex64).ravel()


def _second_paths(
    request: photo_pairs.Motion,
    seed: int,
    items: npt.NDArray[np.int64],
    motions: trajectories.Motions,
    some: slice,
    turn: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    """q of each item: another path with the parameters of the first but for its direction, float32 (N, M, 2)."""
    drawn = [motions.parameters[name][some] for name in trajectory.PARAMETERS]
    drawn[trajectory.PARAMETERS.index("angle")] = (2 * np.pi * turn).astype(np.float32)
    paths = trajectory.simulate(
        seed,
        items,
        np.stack(drawn, axis=1),
        steps=request.steps,
        length=motions.length[some],
        dynamics=request.dynamics,
        stream=random.Stream.FIELD_MOTION,
    )
    return paths.position


def _times(path_NM2: npt.NDArray[np.float32], places: npt.NDArray[np.complex64]) -> npt.NDArray[np.float32]:
    """Complex products: float32 (N, P, M, 2)."""
    x, y = path_NM2[:, None, :, 0], path_NM2[:, None, :, 1]
    real, imaginary = places.real[None, :, None], places.imag[None, :, None]
    return np.stack([x * real - y * imaginary, x * imaginary + y * real], axis=-1)
