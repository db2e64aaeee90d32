"""Sensor noise and mosaics: their statistics, closed forms and a slow reference."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats

from blursynth.kernels import sensor

IDENTITY = np.eye(3, dtype=np.float32)
SHOT, READ = 1e-4, 9.1504e-4
# Which colour a pixel sees, by pattern: 0 red, 1 green, 2 blue.
COLOURS = {"rggb": [[0, 1], [1, 2]], "grbg": [[1, 0], [2, 1]], "gbrg": [[1, 2], [0, 1]], "bggr": [[2, 1], [1, 0]]}


@pytest.mark.parametrize("light", [0.0, 1e-5, 3e-4, 0.002, 0.1, 0.8])
def test_mean_and_variance_of_a_flat_field(light: float) -> None:
    field = np.full((600, 500), light, np.float32)
    noisy = sensor.add_noise(field, SHOT, READ, seed=3, item=5).astype(np.float64)
    expected = SHOT * light + READ**2
    assert noisy.mean() == pytest.approx(light, abs=4.5 * np.sqrt(expected / field.size))
    # The variance of a sample's variance follows from the fourth moment: 3 var^2 + beta1^3 x for Poisson plus normal.
    spread = np.sqrt((2 * expected**2 + SHOT**3 * light) / field.size)
    assert noisy.var() == pytest.approx(expected, abs=4.5 * spread)


@pytest.mark.parametrize("mean", [0.05, 1.0, 4.5, 11.9, 12.1, 30.0, 1000.0])
def test_photons_are_poisson_distributed(mean: float) -> None:
    count = 400_000
    light = np.full((1, count), mean * SHOT, np.float64).astype(np.float32)
    photons = np.rint(sensor.add_noise(light, SHOT, 0.0, seed=1, item=0)[0] / SHOT).astype(int)
    truth = scipy.stats.poisson(float(light[0, 0]) / SHOT)
    edges = np.unique(truth.ppf(np.linspace(0.001, 0.999, 40)).astype(int))
    observed = np.histogram(photons, [-1, *(edges + 0.5), 10**9])[0]
    expected = count * np.diff([0, *truth.cdf(edges), 1])
    kept = expected > 5
    chi_square = ((observed - expected)[kept] ** 2 / expected[kept]).sum()
    assert chi_square < scipy.stats.chi2(kept.sum()).ppf(1 - 1e-4)


def test_noise_is_a_function_of_seed_item_and_place() -> None:
    field = np.random.default_rng(0).uniform(0, 1, (20, 30)).astype(np.float32)
    made = [sensor.add_noise(field, SHOT, READ, seed, item) for seed, item in ((1, 2), (1, 2), (1, 3), (2, 2))]
    assert np.array_equal(made[0], made[1])
    assert not np.isclose(made[0], made[2]).all()
    assert not np.isclose(made[0], made[3]).all()
    assert np.array_equal(sensor.add_noise(field[:7], SHOT, READ, 1, 2), made[0][:7])
    apart = (made[0] - field).ravel()
    assert abs(np.corrcoef(apart[1:], apart[:-1])[0, 1]) < 0.15  # neighbours know nothing of each other
    assert sensor.add_noise(field, 0.0, 0.0, 1, 2).tobytes() == field.tobytes()
    assert (sensor.add_noise(-field, SHOT, 0.0, 1, 2) == 0).all()


def test_an_item_number_beyond_32_bits_counts() -> None:
    field = np.full((8, 8), 0.5, np.float32)
    low, high = (sensor.add_noise(field, SHOT, READ, 1, item) for item in (7, 7 + 2**32))
    assert not np.array_equal(low, high)


@pytest.mark.parametrize("pattern", range(4))
def test_a_mosaic_takes_one_colour_a_pixel(pattern: int) -> None:
    image = np.random.default_rng(1).uniform(0, 1, (7, 9, 3)).astype(np.float32)
    matrix = np.random.default_rng(2).uniform(0, 1, (3, 3)).astype(np.float32)
    raw = sensor.mosaic(image, matrix, pattern)
    seen = np.array(COLOURS[sensor.PATTERNS[pattern]])
    colour = seen[np.arange(7)[:, None] % 2, np.arange(9)[None, :] % 2]
    expected = np.take_along_axis(image.astype(np.float64) @ matrix.T, colour[..., None], axis=2)[..., 0]
    assert raw == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("pattern", range(4))
def test_demosaicing_keeps_what_was_seen_and_is_exact_for_grey_ramps(pattern: int) -> None:
    y, x = np.mgrid[:12, :14]
    ramp = (0.1 + 0.02 * x + 0.03 * y).astype(np.float32)
    found = sensor.demosaic(ramp, pattern)
    inside = np.s_[2:-2, 2:-2]  # where nothing is reflected
    assert found[inside] == pytest.approx(np.repeat(ramp[..., None], 3, axis=2)[inside], abs=1e-6)
    assert sensor.demosaic(np.full((5, 6), 0.3, np.float32), pattern) == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("pattern", range(4))
def test_demosaicing_against_the_paper_s_filters(pattern: int) -> None:
    raw = np.random.default_rng(4).uniform(0, 1, (10, 11)).astype(np.float32)
    assert sensor.demosaic(raw, pattern) == pytest.approx(malvar(raw, sensor.PATTERNS[pattern]), abs=2e-6)


def test_recolour_is_a_matrix() -> None:
    image = np.random.default_rng(5).uniform(0, 1, (4, 5, 3)).astype(np.float32)
    matrix = np.random.default_rng(6).uniform(-1, 1, (3, 3)).astype(np.float32)
    assert sensor.recolour(image, matrix) == pytest.approx(image @ matrix.T, abs=1e-6)
    assert np.array_equal(sensor.recolour(image, IDENTITY), image)


def test_plain_noise_has_the_mean_and_spread_asked_for() -> None:
    codes = np.full((400, 500), 120, np.uint8)
    apart = sensor.add_plain_noise(codes, 0.02, 0.0, 1, 2).astype(float) - 120
    spread = np.sqrt((0.02 * 255) ** 2 + 1 / 12)  # rounding adds its own
    assert apart.mean() == pytest.approx(0, abs=4.5 * spread / np.sqrt(codes.size))
    assert apart.std() == pytest.approx(spread, rel=4.5 / np.sqrt(2 * codes.size))
    one_sided = sensor.add_plain_noise(codes, 0.0, 0.01, 1, 2).astype(int) - 120
    assert one_sided.min() == 0
    assert one_sided.max() == 3  # 2.55 rounded
    assert one_sided.mean() == pytest.approx((1 + 2 + 3 * 0.05) / 2.55, abs=0.01)  # [0, 0.5) rounds to 0, and so on
    assert np.array_equal(sensor.add_plain_noise(codes, 0.0, 0.0, 1, 2), codes)
    assert sensor.add_plain_noise(np.full((50, 50), 255, np.uint8), 0.1, 0.0, 1, 2).max() == 255


def malvar(raw: npt.NDArray[np.float32], pattern: str) -> npt.NDArray[np.float64]:
    """Every pixel by the 5x5 filters of Malvar et al. 2004, figure 2, in eighths."""
    at_other = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]])
    along_row = np.array(
        [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
    )
    crosswise = np.array(
        [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]
    )
    height, width = raw.shape
    padded = np.pad(raw.astype(np.float64), 2, mode="reflect")
    seen = COLOURS[pattern]
    made = np.empty((height, width, 3))
    for y in range(height):
        for x in range(width):
            window = padded[y : y + 5, x : x + 5]
            own = seen[y % 2][x % 2]
            for wanted in range(3):
                if wanted == own:
                    made[y, x, wanted] = raw[y, x]
                    continue
                if wanted == 1:
                    kernel = at_other
                elif own == 1:
                    in_row = wanted in seen[y % 2]
                    kernel = along_row if in_row else along_row.T
                else:
                    kernel = crosswise
                made[y, x, wanted] = (window * kernel).sum() / 8
    return made
