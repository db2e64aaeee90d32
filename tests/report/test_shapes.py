"""The shape of kernels: hand-checked ones, a slow reference, laws, and the eight real ones in numbers."""

import math
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from blursynth.report import levin, shapes

Kernel = npt.NDArray[Any]


def slow(psf: Kernel) -> dict[str, float]:
    """One kernel, pixel by pixel in float64, the axes from numpy's eigenvectors."""
    points = [(x, y, float(psf[y, x])) for y in range(psf.shape[0]) for x in range(psf.shape[1])]
    total = math.fsum(value for *_, value in points)
    mean_x = math.fsum(x * value for x, _, value in points) / total
    mean_y = math.fsum(y * value for _, y, value in points) / total
    offsets = [(x - mean_x, mean_y - y, value / total) for x, y, value in points]  # y upwards
    covariance = sum(value * np.outer((dx, dy), (dx, dy)) for dx, dy, value in offsets)
    (short, long), axes = np.linalg.eigh(covariance)
    seen = [(x, y) for x, y, value in points if value > 0.02 * psf.max()]
    columns, rows = zip(*seen, strict=True)
    return {
        "support": len(seen),
        "extent": max(max(columns) - min(columns), max(rows) - min(rows)) + 1,
        "spread": math.sqrt(max(short + long, 0)),
        "anisotropy": 1 - math.sqrt(max(short, 0) / long) if long > 1e-9 else 0.0,
        "direction": math.degrees(math.atan2(axes[1, 1], axes[0, 1])) % 180,
        "peak": psf.max(),
    }


def assert_equals_slow(psf_NKK: Kernel) -> None:
    found = shapes.measure(psf_NKK)
    for k, psf in enumerate(psf_NKK):
        expected = slow(psf)
        for name in ("support", "extent", "peak"):
            assert found[name][k] == expected[name], name
        assert found["spread"][k] == pytest.approx(expected["spread"], abs=1e-6)
        # A square root of what rounding leaves of a variance of 0 is of the order of 1e-7.
        assert found["anisotropy"][k] == pytest.approx(expected["anisotropy"], abs=1e-6)
        if found["anisotropy"][k] > 1e-3:
            apart = abs(found["direction"][k] - expected["direction"])
            assert min(apart, 180 - apart) < 1e-4


def kernel(size: int, *places: tuple[int, int]) -> Kernel:
    psf = np.zeros((1, size, size), np.float32)
    for row, column in places:
        psf[0, row, column] = 1 / len(places)
    return psf


def test_a_point() -> None:
    found = shapes.measure(kernel(5, (3, 1)))
    assert {name: float(values[0]) for name, values in found.items() if name != "direction"} == {
        "support": 1,
        "extent": 1,
        "spread": 0,
        "anisotropy": 0,
        "peak": 1,
    }
    assert np.isnan(found["direction"][0])


@pytest.mark.parametrize(
    ("places", "direction"),
    [
        ([(4, column) for column in range(2, 7)], 0),
        ([(row, 1) for row in range(2, 7)], 90),
        ([(6 - k, 2 + k) for k in range(5)], 45),  # up and to the right
        ([(2 + k, 2 + k) for k in range(5)], 135),
    ],
)
def test_lines(places: list[tuple[int, int]], direction: float) -> None:
    found = shapes.measure(kernel(9, *places))
    diagonal = direction % 90 != 0
    assert (found["support"][0], found["extent"][0]) == (5, 5)
    assert found["spread"][0] == pytest.approx(2 if diagonal else math.sqrt(2))
    assert found["anisotropy"][0] == pytest.approx(1)
    assert found["direction"][0] == pytest.approx(direction)


def test_a_square_is_round_and_an_oblong_of_two_to_one_is_half() -> None:
    square = shapes.measure(kernel(9, *((row, column) for row in range(1, 5) for column in range(4, 8))))
    assert square["anisotropy"][0] == pytest.approx(0)
    assert np.isnan(square["direction"][0])
    ends = kernel(9, (4, 0), (4, 8), (2, 4), (6, 4))  # variances of 8 along and 2 across
    assert shapes.measure(ends)["anisotropy"][0] == pytest.approx(0.5)
    assert shapes.measure(ends)["direction"][0] == pytest.approx(0)


def test_two_per_cent_of_the_peak_is_no_part_of_the_support() -> None:
    psf = np.array([[[1.0, 0.02, 0.0201, 0, 0]] * 1 + [[0.0] * 5] * 4])
    assert shapes.measure(psf)["support"][0] == 2
    assert shapes.measure(psf)["extent"][0] == 3


@given(
    hnp.arrays(np.float32, (3, 7, 5), elements=st.floats(0, 1, width=32)).filter(
        lambda psf: bool((psf.max(axis=(1, 2)) > 1e-3).all())
    )
)
def test_equals_the_slow_reference(psf_NKK: Kernel) -> None:
    assert_equals_slow(psf_NKK)


def test_laws_of_turning_and_scaling() -> None:
    draws = np.random.default_rng(1)
    psf = draws.random((40, 11, 11)) ** 4
    found, turned = shapes.measure(psf), shapes.measure(np.rot90(psf, axes=(1, 2)))
    for name in ("support", "extent", "spread", "anisotropy", "peak"):
        assert turned[name] == pytest.approx(found[name])
    assert (turned["direction"] - found["direction"]) % 180 == pytest.approx(90)
    scaled = shapes.measure(psf * 3)
    for name in ("support", "extent", "spread", "anisotropy", "direction"):
        assert scaled[name] == pytest.approx(found[name])
    assert (found["anisotropy"] >= 0).all()
    assert (found["anisotropy"] <= 1).all()


def test_shipped_numbers_are_those_of_the_eight_kernels(shared_data: pathlib.Path) -> None:
    stored = np.load(shared_data / "kernels" / "levin09.npz")
    names = [f"k{number}" for number in range(1, 9)]
    assert sorted(stored) == names
    measured = [slow(stored[name]) for name in names]
    for quantity, shipped in levin.SHAPES.items():
        assert shipped == tuple(float(f"{one[quantity]:.4g}") for one in measured), quantity
    for name in names:
        assert_equals_slow(stored[name][None])
    assert set(levin.SHAPES) == set(shapes.QUANTITIES) - {"direction"}
