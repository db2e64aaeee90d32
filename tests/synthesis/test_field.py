"""Fields of PSFs: the paths of a family, and pairs blurred by them."""

import numpy as np
import numpy.typing as npt
import pytest

from blursynth import errors
from blursynth.config import photo_pairs, toml
from blursynth.kernels import psf, response
from blursynth.makers import convolve
from blursynth.synthesis import crop, field, trajectories, uniform

ITEMS = np.arange(3, dtype=np.int64)
WHOLE = np.tile(np.array([[0, 1]], np.float32), (3, 1))
PHOTO = np.random.default_rng(5).integers(0, 256, (150, 180, 3), dtype=np.uint8)


def blur(
    photo: npt.NDArray[np.uint8], psf_YXKK: npt.NDArray[np.float32], transfer: str, top: int, left: int
) -> npt.NDArray[np.uint8]:
    light = field.light(crop.Crop(photo, top, left, 64, 64), psf_YXKK, response.decode_table(transfer))
    return response.encode(light, transfer)


def request(rows: int, columns: int, variation: float | str) -> photo_pairs.Convolve:
    values = {
        "size": 64,
        "psf_size": 41,
        "motion": {"steps": 300, "length": 12},
        "field": {"rows": rows, "columns": columns, "variation": variation},
    }
    return toml.build(values, photo_pairs.Convolve)


def made(rows: int, columns: int, variation: float | str, seed: int = 4) -> tuple[field.Kernels, trajectories.Motions]:
    asked = request(rows, columns, variation)
    assert asked.motion is not None
    motions = trajectories.simulate(asked.motion, seed, ITEMS)
    return field.kernels(asked, seed, ITEMS, motions, WHOLE), motions


def slow_paths(path: npt.NDArray[np.float32], second: npt.NDArray[np.float32], u: complex) -> npt.NDArray[np.float32]:
    found = path[:, 0] + 1j * path[:, 1] + (second[:, 0] + 1j * second[:, 1]) * u
    return np.stack([found.real, found.imag], axis=1).astype(np.float32)


def test_no_variation_is_the_uniform_kernel_everywhere() -> None:
    found, motions = made(3, 2, 0)
    everywhere = psf.rasterise(motions.pixels(), WHOLE, 41)
    assert np.abs(found.psf_NYXKK - everywhere[:, None, None]).max() < 1e-6


def test_the_middle_of_a_field_is_the_base_path() -> None:
    found, motions = made(3, 3, 0.8)
    assert np.abs(found.psf_NYXKK[:, 1, 1] - psf.rasterise(motions.pixels(), WHOLE, 41)).max() < 1e-6
    assert not np.allclose(found.psf_NYXKK[:, 0, 0], found.psf_NYXKK[:, 1, 1], atol=1e-3)


def test_kernels_are_those_of_paths_that_change_linearly() -> None:
    """The corner's path less the centre's gives q; every other grid point follows from it."""
    asked = request(3, 5, 0.5)
    assert asked.motion is not None
    motions = trajectories.simulate(asked.motion, 4, ITEMS)
    second = field._second_paths(
        asked.motion,
        4,
        ITEMS,
        motions,
        slice(0, 3),
        field.random.uniforms(4, field.random.Stream.FIELD_PARAMETERS, ITEMS, 2)[:, 1],
    )
    found = field.kernels(asked, 4, ITEMS, motions, WHOLE)
    for row, down in enumerate((-1, 0, 1)):
        for column, across in enumerate((-1, -0.5, 0, 0.5, 1)):
            u = 0.5 * (across + 1j * down) / np.sqrt(2)
            paths = np.stack([slow_paths(motions.pixels()[k], second[k], u) for k in range(3)])
            assert np.abs(found.psf_NYXKK[:, row, column] - psf.rasterise(paths, WHOLE, 41)).max() < 1e-4


@pytest.mark.parametrize("variation", ["0:1", "0.2,0.7"])
def test_every_kernel_keeps_the_contract(variation: str) -> None:
    found, _ = made(4, 3, variation)
    kernels = found.psf_NYXKK.astype(np.float64).reshape(-1, 41, 41)
    assert np.abs(kernels.sum(axis=(1, 2)) - 1).max() <= 1e-6
    grid = np.arange(41) - 20
    assert np.abs(kernels.sum(axis=1) @ grid).max() <= 1e-4
    assert np.abs(kernels.sum(axis=2) @ grid).max() <= 1e-4
    assert ((found.variation >= 0) & (found.variation < 1)).all()


def test_items_alone_equal_items_together() -> None:
    asked = request(2, 2, "0:1")
    assert asked.motion is not None
    together, _ = made(2, 2, "0:1")
    alone = field.kernels(asked, 4, ITEMS[1:2], trajectories.simulate(asked.motion, 4, ITEMS[1:2]), WHOLE[:1])
    assert np.array_equal(alone.psf_NYXKK[0], together.psf_NYXKK[1])


@pytest.mark.parametrize("transfer", ["gamma2.2", "srgb", "linear"])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (30, 50), (86, 116)])
def test_an_even_field_blurs_as_one_kernel(transfer: str, top: int, left: int) -> None:
    kernel = made(1, 1, 0)[0].psf_NYXKK[0, 0, 0]
    even = np.broadcast_to(kernel, (4, 3, 41, 41))
    blurred = blur(PHOTO, np.ascontiguousarray(even), transfer, top, left)
    expected = uniform.blur(crop.Crop(PHOTO, top, left, 64, 64), kernel, transfer)
    difference = np.abs(blurred.astype(int) - expected)
    assert difference.max() <= 1  # where the linear value lies on the border between two codes
    assert (difference > 0).mean() < 1e-3


def test_flat_photos_stay_flat() -> None:
    flat = np.full((150, 180, 3), 119, np.uint8)
    for psf_YXKK in made(4, 4, 1)[0].psf_NYXKK:
        assert (blur(flat, psf_YXKK, "gamma2.2", 3, 100) == 119).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field": "4by4"}, "give rows and columns such as 4x4"),
        ({"field": "0x4"}, "--field: Input should be greater than or equal to 1"),
        ({"variation": "0.5"}, "give --field too"),
        ({"field": "4x4", "variation": "-1"}, "variation"),
        ({"field": "4x4", "psf_size": 19, "length": "12"}, "A PSF of 19 px cannot hold every path of up to 18 px"),
    ],
)
def test_requests_that_cannot_be(options: dict[str, str | int], message: str) -> None:
    with pytest.raises(errors.RecipeError, match=message):
        convolve.maker("scenes:2", {"seed": 0, "size": 64} | options)
