"""The painter of leaves."""

import os
import subprocess
import sys

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blursynth.kernels import dead_leaves, random

SHADOW = numpy.array([1.0, 1.0, 0.5], numpy.float32)


class Canvas:
    """What the painter changes."""

    def __init__(self, height: int, width: int) -> None:
        self.light = numpy.zeros((height, width, 3), numpy.float32)
        self.clear = numpy.ones((height, width), numpy.float32)
        self.shade = numpy.ones((height, width), numpy.float32)

    def paint(self, table: numpy.ndarray) -> int:
        return dead_leaves.paint(table, self.light, self.clear, self.shade, SHADOW)


def leaf(**fields: float) -> numpy.ndarray:
    """One plain white leaf without grain or shading, but for the fields given."""
    plain = {"red": 1, "green": 1, "blue": 1, "stretch": 1, "wavelength": 8, "roughness": 0.5, "period": 8}
    values = {"length": 5, "breadth": 5} | plain | fields
    return numpy.array([[values.get(name, 0) for name in dead_leaves.FIELDS]], numpy.float32)


def random_table(seed: int, count: int, size: int) -> numpy.ndarray:
    """Leaves of every shape and pattern."""
    rng = numpy.random.default_rng(seed)
    rows = []
    for _ in range(count):
        fields = {name: rng.random() for name in dead_leaves.FIELDS}
        fields |= {"x": size * rng.random(), "y": size * rng.random(), "identity": int(rng.integers(2**24))}
        fields |= {"length": 2 + 8 * rng.random(), "breadth": 1 + 5 * rng.random(), "depth": 3 * rng.random()}
        fields |= {"shape": int(rng.integers(4)), "pattern": int(rng.integers(4)), "bulge": 0.3 * rng.random()}
        fields |= {"period": 3 + 5 * rng.random(), "wavelength": 3 + 9 * rng.random(), "stretch": 1 + rng.random()}
        rows.append(leaf(**fields))
    return numpy.concatenate(rows)


@pytest.mark.parametrize(
    ("shape", "area"), [(dead_leaves.ELLIPSE, numpy.pi * 12 * 7), (dead_leaves.BOX, 24 * 14)], ids=["ellipse", "box"]
)
@pytest.mark.parametrize("turn", [0, 0.13, 0.6])
def test_a_leaf_covers_its_area(shape, area, turn):
    canvas = Canvas(48, 48)
    canvas.paint(leaf(x=23.3, y=24.1, length=12, breadth=7, turn=turn, shape=shape))
    assert canvas.light[..., 1].sum() == pytest.approx(area, rel=0.01)
    assert numpy.array_equal(canvas.light[..., 0], canvas.light[..., 2])
    assert numpy.allclose(canvas.light[..., 0] + canvas.clear, 1, atol=dead_leaves.OPAQUE)


def test_edges_of_a_box_by_hand():
    canvas = Canvas(5, 9)
    covered = canvas.paint(leaf(x=4, y=2, length=2.25, breadth=1, shape=dead_leaves.BOX))
    assert canvas.light[2, :, 0].tolist() == [0, 0, 0.75, 1, 1, 1, 0.75, 0, 0]
    assert canvas.light[:, 4, 0].tolist() == [0, 0.5, 1, 0.5, 0]
    assert covered == 3


def test_the_first_leaf_is_on_top():
    canvas = Canvas(11, 11)
    red = leaf(x=5, y=5, length=2, breadth=2, green=0, blue=0)
    canvas.paint(numpy.concatenate([red, leaf(x=5, y=5, length=30, breadth=30)]))
    assert canvas.light[5, 5].tolist() == [1, 0, 0]
    assert canvas.light[0, 0].tolist() == [1, 1, 1]
    assert canvas.clear.max() == 0


def test_a_slow_reference_for_flat_ellipses():
    """In float64, back to front, each leaf over the whole picture."""
    rng = numpy.random.default_rng(3)
    table = numpy.concatenate(
        [
            leaf(x=x, y=y, length=a, breadth=b, turn=t, red=r, green=g, blue=u)
            for x, y, a, b, t, r, g, u in rng.uniform([0, 0, 3, 3, 0, 0, 0, 0], [32, 32, 9, 9, 1, 1, 1, 1], (20, 8))
        ]
    )
    canvas = Canvas(32, 32)
    canvas.paint(table)
    expected = numpy.zeros((32, 32, 3))
    rows, columns = numpy.mgrid[:32, :32]
    for row in table[::-1].astype(float):
        x, y, a, b, turn = row[:5]
        direction = numpy.exp(-2j * numpy.pi * turn)
        place = ((columns - x) + 1j * (rows - y)) * direction
        u, v = place.real, place.imag
        level = numpy.hypot(u / a, v / b)
        distance = level * (level - 1) / numpy.hypot(u / a**2, v / b**2)
        cover = (0.5 - distance).clip(0, 1)[..., None]
        expected = expected * (1 - cover) + cover * row[dead_leaves.RED : dead_leaves.RED + 3]
    assert numpy.abs(canvas.light - expected).max() < 3 * dead_leaves.OPAQUE


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 30))
def test_laws(seed, cut):
    table = random_table(seed, 30, 24)
    whole, parts = Canvas(24, 24), Canvas(24, 24)
    covered = whole.paint(table)
    assert covered == (whole.clear == 0).sum()
    assert parts.paint(table[:cut]) + parts.paint(table[cut:]) == covered
    for name in ("light", "clear", "shade"):
        assert numpy.array_equal(getattr(whole, name), getattr(parts, name))
        assert getattr(whole, name).min() >= 0
        assert numpy.isfinite(getattr(whole, name)).all()
    assert max(whole.clear.max(), whole.shade.max()) <= 1
    double = Canvas(24, 24)
    colours = [dead_leaves.FIELDS.index(name) for name in ("red", "green", "blue", "red_2", "green_2", "blue_2")]
    table[:, colours] *= 2
    double.paint(table)
    assert numpy.array_equal(double.light, 2 * whole.light)  # light is linear, and 2 is a power of two


@pytest.mark.parametrize("shape", range(4))
def test_a_shadow_falls_on_what_lies_below_alone(shape):
    top = leaf(x=12, y=12, length=6, breadth=6, shape=shape, depth=2)
    canvas = Canvas(32, 32)
    canvas.paint(numpy.concatenate([top, leaf(x=16, y=16, length=90, breadth=90)]))
    assert canvas.light[12, 12].tolist() == [1, 1, 1]
    assert canvas.light[14:24, 14:24].min() < 0.8  # the shift is (2, 2)
    assert canvas.light.min() >= 0.5  # SHADOW takes half
    assert canvas.light[0:4].min() > 0.999
    assert canvas.light[:, 28:].min() > 0.999


def test_stripes_have_their_period():
    canvas = Canvas(64, 64)
    striped = leaf(x=32, y=32, length=200, breadth=200, shape=dead_leaves.BOX, pattern=dead_leaves.CHECKS, period=16)
    canvas.paint(striped)
    row = canvas.light[33, :, 0]
    assert numpy.array_equal(row[:48], row[16:])
    assert sorted(set(row.round(3))) == [0, 0.5, 1]


@pytest.mark.parametrize("shape", range(4))
def test_no_leaf_is_cut_off_before_its_outline(shape):
    """Against the distance at every pixel of the picture."""
    table = random_table(shape, 12, 40)
    table[:, dead_leaves.SHAPE] = shape
    table[:, dead_leaves.BREADTH] = table[:, dead_leaves.LENGTH]
    table[:, dead_leaves.DEPTH] = 0  # a shadow would widen what is painted
    for row in table:
        canvas = Canvas(40, 40)
        canvas.paint(row[None])
        sides = numpy.empty((dead_leaves.SIDES, 3), numpy.float32)
        dead_leaves._polygon(row, sides)
        cosine, sine = dead_leaves.portable_math.cos_sin_turns(row[dead_leaves.TURN])
        for y, x in numpy.ndindex(40, 40):
            dx, dy = numpy.float32(x) - row[dead_leaves.X], numpy.float32(y) - row[dead_leaves.Y]
            place = (cosine * dx + sine * dy, cosine * dy - sine * dx)
            distance = dead_leaves._distance(row, sides, shape, numpy.uint64(row[dead_leaves.IDENTITY]), *place)
            assert abs(canvas.clear[y, x] - min(max(0.5 + distance, 0), 1)) < 2 * dead_leaves.OPAQUE


@pytest.mark.parametrize("pattern", [dead_leaves.PLAIN, dead_leaves.STRIPES, dead_leaves.SPOTS])
def test_patterns_mix_two_colours(pattern):
    canvas = Canvas(128, 128)
    canvas.paint(leaf(x=64, y=64, length=400, breadth=400, pattern=pattern, period=8, identity=99))
    share = canvas.light[..., 0].mean()  # the second colour is black
    assert share == 1 if pattern == dead_leaves.PLAIN else 0.3 < share < 0.7


def test_grain_has_its_contrast():
    canvas = Canvas(128, 128)
    canvas.paint(
        leaf(x=64, y=64, length=9999, breadth=9999, contrast=0.1, wavelength=16, roughness=0.8, identity=12345)
    )
    assert canvas.light[..., 0].mean() == pytest.approx(1, abs=0.05)
    assert canvas.light[..., 0].std() == pytest.approx(0.1, rel=0.3)


def test_draws_are_those_of_the_counter():
    seed, item, first = 2**62 + 12345, 2**33 + 7, 5
    drawn = dead_leaves.draws(seed, item, first, 3, 8)
    words = [numpy.uint64(word) for word in (item & 0xFFFFFFFF, item >> 32, seed & 0xFFFFFFFF, seed >> 32)]
    for row in range(3):
        for block in range(2):
            step = numpy.uint64((first + row) * 2 + block)
            expected = random.philox(step, numpy.uint64(random.Stream.SCENE), *words)
            assert drawn[row, 4 * block : 4 * block + 4].tolist() == [(int(word) >> 8) / 2**24 for word in expected]
    assert numpy.array_equal(dead_leaves.draws(seed, item, first + 1, 2, 8), drawn[1:])


PLAIN_PYTHON = """
import hashlib
from blursynth.sources import scenes
print(hashlib.sha256(scenes.Scenes(3, 40, 8).read(2).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("switch", ["NUMBA_DISABLE_JIT", pytest.param("NUMBA_BOUNDSCHECK", marks=pytest.mark.slow)])
def test_plain_python_and_checked_bounds_give_the_same_scene(switch, tmp_path):
    def run(**environment: str) -> str:
        settings = os.environ | environment
        command = [sys.executable, "-W", "error", "-c", PLAIN_PYTHON]
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout

    assert run(**{switch: "1", "NUMBA_CACHE_DIR": str(tmp_path)}) == run()
