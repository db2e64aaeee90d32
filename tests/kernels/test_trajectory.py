"""Trajectories: the public implementation's goldens, laws of the motion, and independence of grouping."""

import hypothesis
import numpy as np
import pytest
import reference
import scipy.stats
from hypothesis import strategies

from blursynth.kernels import random, trajectory, trajectory_steps

STRAIGHT = [0.0, 0.5, 0.2, 10.0, 0.3]
SHAKY = [0.05, 0.4, 0.2, 5.0, 4.0]


def simulate(parameters, items=None, seed=1, steps=2000, length=60.0, dynamics="boracchi-foi"):
    parameters = np.asarray(parameters, np.float32)
    items = np.arange(len(parameters)) if items is None else np.asarray(items)
    return trajectory.simulate(seed, items, parameters, steps=steps, length=length, dynamics=dynamics)


@pytest.mark.usefixtures("compiled")
def test_from_draws_equals_the_public_implementation(shared_data):
    golden = np.load(shared_data / "goldens" / "trajectory_reference.npz")
    for row in range(8):
        draws = (golden[name][row] for name in ("u_shake", "u_angle", "n_re", "n_im"))
        path = trajectory.from_draws(golden["params"][row], *draws, length=60.0, dynamics="boracchi-foi")
        np.testing.assert_allclose(path, golden["x"][row], rtol=0, atol=1e-9)


@pytest.mark.parametrize("dynamics", trajectory.DYNAMICS)
@pytest.mark.parametrize("parameters", [STRAIGHT, SHAKY, [0.003, 0.7, 0.0, 0.5, 6.0]])
def test_from_draws_equals_complex_arithmetic(dynamics, parameters):
    draws = reference.motion_draws(7, 12, 100, random.Stream.MOTION, dynamics)
    path = trajectory.from_draws(parameters, *draws, length=30.0, dynamics=dynamics)
    np.testing.assert_allclose(path, reference.trajectory(parameters, draws, 30.0, dynamics), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dynamics", trajectory.DYNAMICS)
def test_simulate_equals_float64_with_the_same_draws(dynamics):
    seed, item, steps = 2**40 + 3, 2**35 + 11, 100
    paths = simulate([SHAKY], [item], seed, steps, 30.0, dynamics)
    draws = reference.motion_draws(seed, item, steps, random.Stream.MOTION, dynamics)
    parameters = np.float32(SHAKY).astype(np.float64)
    expected = reference.trajectory(parameters, draws, 30.0, dynamics)
    # Each float32 rounding turns the velocity by 1e-7 and the motion carries it on: 1e-4 px is a hundred such steps.
    np.testing.assert_allclose(paths.position[0, :, 0] + 1j * paths.position[0, :, 1], expected, rtol=0, atol=1e-4)
    assert paths.impulses[0] == np.sum(draws[0] < parameters[2] * parameters[0])


@pytest.mark.parametrize("preset", ["boracchi_foi", "deblurgan_release"])
@pytest.mark.usefixtures("compiled")
def test_population_equals_the_public_implementation(shared_data, preset):
    golden = np.load(shared_data / "goldens" / "trajectory_population.npz")
    parameters = reference.draw_parameters(preset, 4000, seed=2024)
    paths = simulate(parameters, seed=2024)
    columns = reference.path_statistics(paths.position, paths.impulses)
    pvalues = {
        str(name): scipy.stats.ks_2samp(ours, theirs).pvalue
        for name, ours, theirs in zip(golden["names"], columns.T, golden[preset].T, strict=True)
    }
    assert min(pvalues.values()) > 0.01 / len(pvalues), pvalues


@pytest.mark.usefixtures("compiled")
def test_draws_of_the_motion_are_normal_and_uniform():
    # With no impulses, no pull and one huge Gaussian factor, headings after a step are those of the normal pair.
    count = 20_000
    parameters = np.tile(np.float32([1.0, 0.0, 0.0, 1e6, 0.0]), (count, 1))
    paths = simulate(parameters, steps=3, length=2.0)
    headings = np.arctan2(paths.position[:, 1, 1], paths.position[:, 1, 0]) / (2 * np.pi) % 1
    assert scipy.stats.kstest(headings, "uniform").pvalue > 0.001
    words = (random.uniforms(4, random.Stream.SCENE, np.arange(count), 2) * 2**32).astype(np.uint64)
    normals = np.array([trajectory_steps.normals(first, second) for first, second in words])
    assert normals.dtype == np.float32 or normals.dtype == np.float64
    for column in normals.T:
        assert scipy.stats.kstest(column, "norm").pvalue > 0.001
    assert abs(np.corrcoef(normals.T)[0, 1]) < 5 / np.sqrt(count)


def test_largest_and_smallest_normals_are_finite():
    top = np.uint64(2**32 - 1)
    zero = np.uint64(0)
    extremes = [trajectory_steps.normals(first, second) for first in (zero, top) for second in (zero, top)]
    assert np.isfinite(extremes).all()
    assert 6.6 < np.abs(extremes).max() < 6.7


def test_zero_anxiety_is_a_straight_line():
    for dynamics in trajectory.DYNAMICS:
        position = simulate([STRAIGHT, [1e-30, 0.5, 0.2, 10, 0.3]], steps=200, dynamics=dynamics).position
        along = np.linspace(0, 60, 200)[:, np.newaxis] * [np.cos(np.float32(0.3)), np.sin(np.float32(0.3))]
        for path in position:
            np.testing.assert_allclose(path, along, rtol=0, atol=2e-5)


def test_path_length(paths):
    step = np.diff(paths.position.astype(np.float64), axis=1)
    length = np.hypot(step[..., 0], step[..., 1]).sum(axis=1)
    np.testing.assert_allclose(length, 60.0, rtol=1e-6)
    assert (paths.position[:, 0] == 0).all()


@pytest.mark.usefixtures("compiled")
def test_algorithm_1_hardly_moves():
    # Half of the steps reverse, so a path of 60 px stays within a few pixels of its start: offered for study.
    parameters = np.tile(np.float32([0.001, 0.35, 0.1, 0.35, 1.0]), (50, 1))
    paths = simulate(parameters, dynamics="algorithm-1")
    assert np.abs(paths.position).max() < 10
    assert abs(paths.impulses.mean() / 1999 - 0.5) < 0.01


@pytest.mark.usefixtures("compiled")
def test_impulses_fire_at_their_rate():
    parameters = np.tile(np.float32([0.1, 0.3, 0.2, 1.0, 0.0]), (500, 1))
    fired = simulate(parameters).impulses.sum()
    expected = 500 * 1999 * 0.02
    assert abs(fired - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("dynamics", trajectory.DYNAMICS)
@pytest.mark.usefixtures("compiled")
def test_bytes_do_not_depend_on_grouping(dynamics):
    parameters = reference.draw_parameters("boracchi_foi", 50, seed=8)
    together = simulate(parameters, steps=300, dynamics=dynamics)
    for size in (1, 7, 16, 17):
        for first in range(0, 50, size):
            part = slice(first, first + size)
            alone = simulate(parameters[part], np.arange(50)[part], steps=300, dynamics=dynamics)
            assert alone.position.tobytes() == together.position[part].tobytes()
            assert alone.impulses.tobytes() == together.impulses[part].tobytes()


@pytest.mark.usefixtures("compiled")
def test_seeds_and_items_differ():
    parameters = np.tile(np.float32(SHAKY), (4, 1))
    big = 2**32
    paths = simulate(parameters, [0, 1, big, big + 1], seed=1, steps=50).position
    other = simulate(parameters, [0, 1, big, big + 1], seed=1 + big, steps=50).position
    distinct = {path.tobytes() for path in [*paths, *other]}
    assert len(distinct) == 8


@pytest.mark.usefixtures("compiled")
def test_rounded_paths_are_the_same_paths():
    parameters = reference.draw_parameters("boracchi_foi", 33, seed=6)
    for length in (60.0, 0.5, 700.0):
        scale = trajectory.scale_factor(length)
        exact = simulate(parameters, length=length, steps=500)
        options = {"steps": 500, "length": length, "dynamics": "boracchi-foi", "scale": scale}
        rounded = trajectory.simulate_rounded(1, np.arange(33), parameters, **options)
        assert rounded.position.dtype == np.int16
        np.testing.assert_array_equal(rounded.position, np.rint(exact.position / np.float32(scale)))
        np.testing.assert_array_equal(rounded.impulses, exact.impulses)


@hypothesis.given(length=strategies.floats(1e-3, 1e6))
def test_scale_factor(length):
    scale = trajectory.scale_factor(length)
    assert np.log2(scale) == round(np.log2(scale))
    assert scale * 32767 >= length > scale / 2 * 32767


def test_scale_factor_by_hand():
    assert trajectory.scale_factor(60.0) == 1 / 512
    assert trajectory.scale_factor(32767.0) == 1.0
    assert trajectory.scale_factor(32768.0) == 2.0


def test_no_items():
    paths = simulate(np.empty((0, 5)), steps=10)
    assert paths.position.shape == (0, 10, 2)
    assert paths.impulses.shape == (0,)


def test_other_dtypes_and_read_only_inputs_give_the_same():
    parameters = np.array([SHAKY, STRAIGHT])
    parameters.setflags(write=False)
    wide = trajectory.simulate(1, [3, 4], parameters, steps=20, length=9.0, dynamics="boracchi-foi")
    single = trajectory.simulate(
        1,
        np.array([3, 4], np.uint8),
        parameters.astype(np.float32)[:, :],
        steps=20,
        length=9.0,
        dynamics="boracchi-foi",
    )
    assert wide.position.tobytes() == single.position.tobytes()
