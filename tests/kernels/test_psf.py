"""Point spread functions: hand-checked values, laws, the public code's kernels, and the rounding of paths."""

import hypothesis
import hypothesis.extra.numpy
import numpy as np
import pytest
import reference
from hypothesis import strategies

from blursynth import errors
from blursynth.kernels import psf, trajectory

WHOLE = [0.0, 1.0]

walks = hypothesis.extra.numpy.arrays(
    np.float32, (12, 2), elements=strategies.floats(-8, 8, width=32), unique=False
).map(lambda steps: np.cumsum(steps / 4, axis=0, dtype=np.float32))


def rasterise(path, exposure=WHOLE, size=9, centring="centroid"):
    return psf.rasterise(np.float32([path]), np.float32([exposure]), size, centring)[0]


def centroid(kernel):
    pixel = np.arange(len(kernel))
    kernel = kernel.astype(np.float64)
    return kernel.sum(axis=0) @ pixel, kernel.sum(axis=1) @ pixel


def test_a_resting_path_is_a_delta():
    for size in (1, 2, 5, 64):
        expected = np.zeros((size, size), np.float32)
        expected[size // 2, size // 2] = 1
        np.testing.assert_array_equal(rasterise([[7.3, -2.6]] * 4, size=size), expected)


def test_straight_line_by_hand():
    # Positions -1, 0, 1 about their mean, along x then along y.
    across = rasterise([[3.0, 0.0], [4.0, 0.0], [5.0, 0.0]], size=5)
    expected = np.zeros((5, 5), np.float32)
    expected[2, 1:4] = 1 / 3
    np.testing.assert_allclose(across, expected, atol=1e-7)
    down = rasterise([[0.0, 3.0], [0.0, 4.0], [0.0, 5.0]], size=5)
    np.testing.assert_array_equal(down, across.T)


def test_bilinear_shares_by_hand():
    # Two positions at -1/2 and +1/2 in x, and at -1/4 and +1/4 in y: rows weigh 1/8, 3/4, 1/8, columns 1/4, 1/2, 1/4.
    kernel = rasterise([[0.0, 0.0], [1.0, 0.5]], size=3)
    upper_left = np.outer([0.25, 0.75, 0], [0.5, 0.5, 0])
    lower_right = np.outer([0, 0.75, 0.25], [0, 0.5, 0.5])
    np.testing.assert_allclose(kernel, (upper_left + lower_right) / 2, atol=1e-7)


def test_partial_steps_by_hand():
    # Four positions; the exposure [1/8, 5/8) takes half of the first, all of the second, half of the third.
    kernel = rasterise([[0.0, 0], [1, 0], [2, 0], [9, 9]], exposure=[0.125, 0.625], size=3)
    np.testing.assert_allclose(kernel, [[0, 0, 0], [0.25, 0.5, 0.25], [0, 0, 0]], atol=1e-7)


def test_exposure_inside_one_position():
    kernel = rasterise([[0.0, 0], [5, 5]], exposure=[0.6, 0.7], size=1)
    np.testing.assert_array_equal(kernel, [[1.0]])


@hypothesis.given(path=walks, span=strategies.tuples(strategies.integers(0, 31), strategies.integers(1, 32)))
def test_laws(path, span):
    start, end = min(span[0], span[1] - 1) / 32, max(span[1], span[0] + 1) / 32
    kernel = rasterise(path, [start, end], size=51)
    assert kernel.dtype == np.float32
    assert kernel.min() >= 0
    assert abs(kernel.sum(dtype=np.float64) - 1) < 1e-6
    np.testing.assert_allclose(centroid(kernel), 25, atol=1e-5)
    np.testing.assert_allclose(kernel, reference.psf(path.astype(np.float64), start, end, 51), atol=2e-6)


@hypothesis.given(path=walks)
def test_mirrored_paths_have_mirrored_kernels(path):
    kernel = rasterise(path, size=51)
    np.testing.assert_allclose(rasterise(path * np.float32([-1, 1]), size=51), kernel[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(rasterise(path * np.float32([1, -1]), size=51), kernel[::-1], atol=1e-6)
    np.testing.assert_allclose(rasterise(path[:, ::-1], size=51), kernel.T, atol=1e-6)
    np.testing.assert_allclose(rasterise(path[::-1], size=51), kernel, atol=1e-6)


@pytest.mark.parametrize("exposure", [(0, 1), (0, 0.5), (0, 0.1), (0.37, 0.41), (0.1234, 0.98765)])
def test_real_paths_equal_the_reference(paths, exposure):
    spans = np.tile(np.float32(exposure), (len(paths.position), 1))
    size = psf.size_for(60.0)
    kernels = psf.rasterise(paths.position, spans, size)
    assert np.abs(kernels.sum(axis=(1, 2), dtype=np.float64) - 1).max() < 1e-6
    for path, kernel in zip(paths.position[:20], kernels, strict=False):
        start, end = spans[0].astype(np.float64)
        np.testing.assert_allclose(kernel, reference.psf(path.astype(np.float64), start, end, size), atol=1e-6)
        np.testing.assert_allclose(centroid(kernel), size // 2, atol=1e-5)


def test_rounded_paths_change_a_kernel_by_a_thousandth_of_its_peak(paths):
    scale = trajectory.scale_factor(60.0)
    rounded = np.rint(paths.position / scale).astype(np.int16).astype(np.float32) * np.float32(scale)
    for exposure in (WHOLE, [0.2, 0.3]):
        spans = np.tile(np.float32(exposure), (len(paths.position), 1))
        exact = psf.rasterise(paths.position, spans, 63)
        difference = np.abs(psf.rasterise(rounded, spans, 63) - exact).max(axis=(1, 2))
        assert (difference <= 1e-3 * exact.max(axis=(1, 2))).all()


def test_bounding_box_is_the_public_code(shared_data):
    """The public code's own kernels, normalised to sum one, within 2e-6 of their peak: float32 positions (4e-6 px).

    Two things cannot be equal and are put in its terms here. Its position m stands for the part (m - 1, m] / M of the
    exposure and the first has no weight, so an exposure [0, T] of its is [1 / M, min(T + 1 / M, 1)] of ours; and
    its kernels sum to T (0.9995 for the whole path).
    """
    golden = np.load(shared_data / "goldens" / "trajectory_reference.npz")
    path = np.stack([golden["x"].real, golden["x"].imag], axis=-1).astype(np.float32)
    for fraction, theirs in zip(golden["psf_fractions"], golden["psf_release"].swapaxes(0, 1), strict=True):
        spans = np.tile(np.float32([1 / 2000, min(fraction + 1 / 2000, 1)]), (8, 1))
        ours = psf.rasterise(path, spans, 64, "bounding-box")
        theirs = theirs / theirs.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
        peak = theirs.max(axis=(1, 2), keepdims=True)
        assert (np.abs(ours - theirs) <= 2e-6 * peak).all()
        # The centring is what differs from ours, not the drawing.
        centred = psf.rasterise(path, spans, 64)
        assert (np.abs(centred - theirs) > 0.05 * peak).any(axis=(1, 2)).all()


def test_bounding_box_is_off_centre(paths):
    spans = np.tile(np.float32(WHOLE), (len(paths.position), 1))
    kernels = psf.rasterise(paths.position, spans, 64, "bounding-box")
    offsets = [np.hypot(*(np.array(centroid(kernel)) - 32)) for kernel in kernels]
    assert 1 < np.mean(offsets) < 4


@pytest.mark.parametrize("size", [1, 2, 3, 30, 59, 60])
def test_a_canvas_too_small_names_a_size_that_holds(size):
    line = np.linspace(0, 60, 2000)[:, np.newaxis] * [1.0, 0.0]
    with pytest.raises(errors.InputError, match=r"a size of (\d+) would") as caught:
        rasterise(line, size=size)
    named = int(str(caught.value).split(" size of ")[1].split()[0])
    assert named in (61, 62, 63)
    assert rasterise(line, size=named).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("centring", psf.CENTRINGS)
def test_support_just_past_the_edge(centring):
    with pytest.raises(errors.InputError, match="cannot hold"):
        rasterise([[0.0, 0.0], [500.0, 1e9]], size=63, centring=centring)


@pytest.mark.parametrize("length", [0.0, 0.5, 1.0, 2.0, 59.9, 60.0, 61.0, 300.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2])
def test_size_for_holds_a_straight_line(length, angle):
    # The longest a path can reach from its mean; the exact multiple of pixels is where rounding could spill over.
    line = np.linspace(0, length, 500)[:, np.newaxis] * [np.cos(angle), np.sin(angle)]
    size = psf.size_for(length)
    assert size % 2 == 1
    rasterise(line, size=size)
    rasterise(line, [0.25, 0.5], size=size)


def test_size_for_default():
    assert psf.size_for(60.0) == 63


@pytest.mark.parametrize("exposure", [(0.5, 0.5), (0.6, 0.5), (-0.1, 1.0), (0.0, 1.1), (np.nan, 1.0)])
def test_exposure_out_of_range(exposure):
    with pytest.raises(errors.InputError, match="0 <= start < end <= 1"):
        rasterise([[0.0, 0.0]] * 3, exposure)


def test_read_only_and_strided_paths(paths):
    position = paths.position[:4].copy()
    position.setflags(write=False)
    spans = np.broadcast_to(np.float32(WHOLE), (4, 2))
    kernels = psf.rasterise(position, spans, 63)
    wide = np.repeat(position.astype(np.float64), 2, axis=0)[::2]
    np.testing.assert_array_equal(psf.rasterise(wide, spans, 63), kernels)


def test_no_paths():
    assert psf.rasterise(np.empty((0, 5, 2)), np.empty((0, 2)), 7).shape == (0, 7, 7)
