"""Each protocol on a case whose shift, scale, frame or homography is known."""

import math
import re

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import skimage.data
import skimage.metrics
import torch
from PIL import Image

from blursynth import errors
from trainers import protocols
from trainers.metrics import catalogue
from trainers.protocols import gopro, kohler, levin_lai, protocol, realblur
from trainers.training import validation

CPU = torch.device("cpu")
PHOTO = np.ascontiguousarray(skimage.data.astronaut())


def noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def luma(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    return 10 * math.log10(255**2 / np.square(x - y).mean())


def test_every_protocol_is_named_versioned_and_explained() -> None:
    for name, each in protocols.PROTOCOLS.items():
        assert each.name == name
        assert re.fullmatch(rf"{name} v[1-9]\d*", each.label)
        assert each.about
        assert each.score.__doc__
        assert set(each.metrics) <= set(catalogue.METRICS)
    assert protocols.find("gopro-rgb").label == validation.PROTOCOL
    with pytest.raises(errors.InputError, match="Did you mean 'gopro-rgb'"):
        protocols.find("gopro_rgb")


def test_gopro_rgb_is_scikit_image_on_8_bits() -> None:
    sharp = PHOTO[:200, :220]
    restored = noisy(sharp, 10)
    found = gopro.gopro_rgb(restored, [sharp], ("psnr", "ssim", "norm-nr"), CPU)
    assert found.values["psnr"] == pytest.approx(psnr(restored * 1.0, sharp * 1.0), abs=1e-4)
    expected = skimage.metrics.structural_similarity(
        sharp, restored, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert found.values["ssim"] == pytest.approx(expected, abs=1e-5)
    assert set(found.missing) == {"norm-nr"}


def test_gopro_y_is_the_same_on_luma() -> None:
    sharp = PHOTO[:200, :220]
    restored = noisy(sharp, 10)
    found = gopro.gopro_y(restored, [sharp], ("psnr",), CPU)
    assert found.values["psnr"] == pytest.approx(psnr(luma(restored), luma(sharp)), abs=1e-4)


def test_deblurgan_half_is_a_bicubic_half() -> None:
    half = protocols.find("deblurgan-half")
    assert half.prepare is not None
    made = half.prepare(PHOTO[:101, :200])
    assert made.shape == (50, 100, 3)
    assert np.array_equal(made, np.asarray(Image.fromarray(PHOTO[:101, :200]).resize((100, 50), Image.BICUBIC)))


def test_places_synthetic_has_one_size() -> None:
    image = PHOTO[:256, :256]
    assert gopro.places_synthetic(image, [image], ("psnr",), CPU).values == {"psnr": math.inf}
    with pytest.raises(errors.InputError, match=r"scores images of 256x256, this one is 200x256"):
        gopro.places_synthetic(image[:, :200], [image[:, :200]], ("psnr",), CPU)


def test_images_of_two_sizes_are_refused() -> None:
    with pytest.raises(errors.InputError, match="to score is 90x80 and the sharp one 80x80"):
        gopro.gopro_rgb(PHOTO[:80, :90], [PHOTO[:80, :80]], ("psnr",), CPU)


def test_metrics_that_need_more_pixels_say_so_and_the_others_are_there() -> None:
    image = PHOTO[:64, :64]
    found = gopro.gopro_rgb(noisy(image, 3), [image], ("psnr", "ms-ssim", "vif"), CPU)
    assert set(found.values) == {"psnr"}
    assert "at least 176x176" in found.missing["ms-ssim"]
    assert "at least 80x80" in found.missing["vif"]


def kohler_reference(restored: np.ndarray, truth: np.ndarray, reach: int) -> tuple[float, float, int, int]:
    """PSNR, scale and shift with the correlation taken shift by shift."""
    x, z = truth.astype(np.float64), restored.astype(np.float64)
    scale = (x * z).sum() / (z * z).sum()
    z = z * scale
    shifts = [(down, right) for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)]
    products = [(x.mean(axis=2) * np.roll(z.mean(axis=2), shift, (0, 1))).sum() for shift in shifts]
    down, right = shifts[int(np.argmax(products))]
    canvas, mask = np.zeros_like(z), np.zeros(z.shape[:2])
    for row in range(z.shape[0]):
        for column in range(z.shape[1]):
            if 0 <= row - down < z.shape[0] and 0 <= column - right < z.shape[1]:
                canvas[row, column] = z[row - down, column - right]
                mask[row, column] = 1
    return psnr(luma(canvas), luma(x * mask[..., None])), scale, down, right


def test_kohler_finds_the_shift_and_scale_of_a_known_case() -> None:
    """Content moved by whole pixels and darkened by a power of two: nothing is lost to rounding."""
    even = (PHOTO // 2) * 2
    truth = even[60:260, 100:340]
    restored = even[60 + 4 : 260 + 4, 100 - 7 : 340 - 7] // 2
    found = kohler.align(*(torch.from_numpy(image.copy()).permute(2, 0, 1).double() for image in (restored, truth)))
    expected = kohler_reference(restored, truth, 9)
    assert (found.down, found.right) == (4, -7) == expected[2:]
    assert found.scale == pytest.approx(expected[1], rel=1e-12)
    assert found.psnr == pytest.approx(expected[0], abs=1e-9)
    # The border that the shift leaves is zero in both: the frame's mean counts it as free of error.
    assert found.restored_HW[:4].abs().max() == 0
    assert found.sharp_HW[:, -7:].abs().max() == 0


def test_kohler_scale_is_exact_where_nothing_moved() -> None:
    truth = (PHOTO[:200, :200] // 2) * 2
    found = kohler.align(*(torch.from_numpy(image.copy()).permute(2, 0, 1).double() for image in (truth // 2, truth)))
    assert (found.scale, found.down, found.right) == (2.0, 0, 0)
    assert found.psnr == math.inf


def test_kohler_takes_the_best_of_all_frames() -> None:
    truth = PHOTO[100:300, 100:300]
    frames = [PHOTO[100 + k : 300 + k, 100:300] if k != 3 else truth for k in range(5)]
    frames = [noisy(frame, 12, seed=k) if k != 3 else frame for k, frame in enumerate(frames)]
    restored = noisy(truth, 3)
    found = kohler.kohler_2012(restored, iter(frames), ("psnr", "ssim", "ms-ssim"), CPU)
    expected = kohler_reference(restored, truth, 4)
    assert found.notes["frame"] == 3
    assert (found.notes["down"], found.notes["right"]) == (0, 0)
    assert found.values["psnr"] == pytest.approx(expected[0], abs=1e-9)
    assert set(found.values) == {"psnr", "ssim", "ms-ssim"}
    assert set(kohler.kohler_2012(restored, frames, ("psnr",), CPU).values) == {"psnr"}
    for name in ("ms-ssim", "ifc", "vif"):
        each = [kohler.kohler_2012(restored, [frame], (name,), CPU).values[name] for frame in frames]
        assert kohler.kohler_2012(restored, frames, (name,), CPU).values == {name: max(each)}
    assert list(kohler.kohler_2012(restored, frames, ("vif", "ssim", "psnr"), CPU).values) == ["vif", "ssim", "psnr"]
    with pytest.raises(errors.InputError, match="no ground truth"):
        kohler.kohler_2012(restored, [], ("psnr",), CPU)


def benchmark_ms_ssim(restored: np.ndarray, truth: np.ndarray) -> float:
    """The benchmark's MS-SSIM of two lumas (0 to 255), restated with SciPy: the 9/7 low-pass, separate means."""
    half = [0.037828455507260, -0.023849465019560, -0.110624404418440, 0.377402855612830]
    taps = np.array([*half, 0.852698679008890, *half[::-1]])
    low_pass = np.outer(taps, taps) / taps.sum() ** 2
    distance = np.arange(-5, 6)
    window = np.exp(-(distance[:, None] ** 2 + distance[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    score: complex = 1.0
    x, y = restored, truth
    for scale, weight in enumerate(weights):
        if scale:
            x, y = (scipy.ndimage.correlate(each, low_pass, mode="reflect")[::2, ::2] for each in (x, y))
        mean_x, mean_y, xx, yy, xy = (
            scipy.signal.correlate2d(each, window, mode="valid") for each in (x, y, x * x, y * y, x * y)
        )
        deviation_x = np.sqrt(np.maximum(xx - mean_x**2, 0))
        deviation_y = np.sqrt(np.maximum(yy - mean_y**2, 0))
        contrast = (2 * deviation_x * deviation_y + c2) / (deviation_x**2 + deviation_y**2 + c2)
        structure = (xy - mean_x * mean_y + c2 / 2) / (deviation_x * deviation_y + c2 / 2)
        score *= complex(contrast.mean()) ** weight * complex(structure.mean()) ** weight
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return abs(score * complex(luminance.mean()) ** weights[-1])


@pytest.mark.parametrize("kind", ["noise", "blur", "negative"])
def test_kohler_ms_ssim_is_the_benchmarks(kind: str) -> None:
    """An odd size, and content that is the opposite of the truth's, whose power is complex."""
    truth = PHOTO[100:301, 100:317]
    soft = scipy.ndimage.gaussian_filter(truth, (2.5, 2.5, 0))
    restored = {"noise": noisy(truth, 20), "blur": noisy(soft, 3), "negative": 255 - truth}[kind]
    found = kohler.kohler_2012(restored, [truth], ("ms-ssim",), CPU).values["ms-ssim"]
    pair = kohler.align(*(torch.from_numpy(image.copy()).permute(2, 0, 1).double() for image in (restored, truth)))
    assert found == pytest.approx(benchmark_ms_ssim(pair.restored_HW.numpy(), pair.sharp_HW.numpy()), abs=2e-6)
    gaussian = catalogue.METRICS["ms-ssim"].function(
        pair.restored_HW[None, None], pair.sharp_HW[None, None], data_range=255, dtype=torch.float64
    )
    assert abs(found - float(gaussian[0])) > 1e-3


def test_kohler_says_what_is_too_small_for_its_ms_ssim() -> None:
    names = ("psnr", "ms-ssim")
    least = kohler.kohler_2012(PHOTO[:161, :170], [PHOTO[:161, :170]], names, CPU)
    assert least.values == {"psnr": math.inf, "ms-ssim": pytest.approx(1.0, abs=1e-6)}
    below = kohler.kohler_2012(PHOTO[:160, :170], [PHOTO[:160, :170]], names, CPU)
    assert set(below.values) == {"psnr"}
    assert set(below.missing) == {"ms-ssim"}


def test_kohler_is_not_plain_psnr() -> None:
    truth, restored = PHOTO[100:300, 100:300], PHOTO[102:302, 97:297]
    plainly = gopro.gopro_rgb(restored, [truth], ("psnr",), CPU).values["psnr"]
    assert kohler.kohler_2012(restored, [truth], ("psnr",), CPU).values["psnr"] > plainly + 10


@pytest.mark.parametrize(("down", "right"), [(0.0, 0.0), (2.25, -3.5), (-10.0, 10.0), (9.75, 0.0)])
def test_levin_lai_finds_a_known_shift_of_quarter_pixels(down: float, right: float) -> None:
    photo = luma(PHOTO)
    sharp = torch.from_numpy(photo[100:200, 100:220].copy())
    # A linear ramp added to smooth content: bilinear reading of it is exact only at the true shift.
    rows, columns = np.arange(100) - down + 100, np.arange(120) - right + 100
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    a, b = (rows - top)[:, None], (columns - left)[None]
    corners = [photo[np.ix_(top + i, left + j)] for i in (0, 1) for j in (0, 1)]
    moved = (1 - a) * (1 - b) * corners[0] + (1 - a) * b * corners[1] + a * (1 - b) * corners[2] + a * b * corners[3]
    window, inner, *shift = levin_lai.align(torch.from_numpy(moved), sharp)
    assert tuple(shift) == (down, right)
    assert window.shape == inner.shape == (70, 90)
    if down % 1 == right % 1 == 0:
        torch.testing.assert_close(window, inner)


def test_levin_lai_equals_a_search_shift_by_shift() -> None:
    restored = torch.from_numpy(luma(noisy(PHOTO[100:150, 100:160], 5)))
    sharp = torch.from_numpy(luma(PHOTO[102:152, 97:157]))
    window, inner, down, right = levin_lai.align(restored, sharp)
    padded = np.pad(restored.numpy(), ((0, 1), (0, 1)), mode="edge")
    best = (math.inf, 0.0, 0.0)
    for y in np.arange(-10, 10.25, 0.25):
        for x in np.arange(-10, 10.25, 0.25):
            top, left = math.floor(15 + y), math.floor(15 + x)
            a, b = 15 + y - top, 15 + x - left
            parts = [padded[top + i : top + i + 20, left + j : left + j + 30] for i in (0, 1) for j in (0, 1)]
            read = (1 - a) * ((1 - b) * parts[0] + b * parts[1]) + a * ((1 - b) * parts[2] + b * parts[3])
            error = np.square(read - inner.numpy()).sum()
            best = min(best, (error, y, x))
    assert (down, right) == best[1:]
    assert (window - inner).square().sum().item() == pytest.approx(best[0], rel=1e-9)


def test_levin_lai_scores_in_names_and_sentences() -> None:
    sharp = PHOTO[100:300, 100:300]
    found = levin_lai.levin_lai_shift(PHOTO[103:303, 100:300], [sharp], ("psnr", "ssim"), CPU)
    assert found.notes == {"down": -3.0, "right": 0.0}
    assert found.values["ssim"] == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(errors.InputError, match="only 30x40"):
        levin_lai.levin_lai_shift(sharp[:40, :30], [sharp[:40, :30]], ("psnr",), CPU)


def test_ecc_undoes_a_small_homography_and_masks_what_left() -> None:
    matrix = np.array([[1.01, 0.004, 3.0], [-0.006, 0.995, -4.0], [1e-6, 2e-6, 1.0]], np.float32)
    size = PHOTO.shape[1], PHOTO.shape[0]
    restored = cv2.warpPerspective(PHOTO, matrix, size, flags=cv2.INTER_CUBIC)
    dark = (restored * 0.8).astype(np.uint8)
    found = realblur.realblur_ecc(dark, [PHOTO], ("psnr", "ssim", "vif"), CPU)
    plainly = gopro.gopro_rgb(dark, [PHOTO], ("psnr", "ssim"), CPU)
    assert found.notes["converged"] == 1
    assert 0.95 < found.notes["inside"] <= 1
    assert found.values["psnr"] > plainly.values["psnr"] + 10
    assert found.values["ssim"] > 0.9 > plainly.values["ssim"]
    assert "PSNR and SSIM alone" in found.missing["vif"]


def test_ecc_finds_the_homography_to_a_tenth_of_a_pixel_and_scores_as_published() -> None:
    """The alignment by its corners; then scores restated with scikit-image's map of SSIM."""
    matrix = np.array([[1.01, 0.004, 3.0], [-0.006, 0.995, -4.0], [1e-6, 2e-6, 1.0]], np.float64)
    sharp, size = PHOTO, PHOTO.shape[1::-1]
    restored = cv2.warpPerspective(sharp, matrix, size, flags=cv2.INTER_CUBIC)
    x, z = (image.astype(np.float32) / 255 for image in (sharp, restored))
    warped, inside, found = realblur.align(z, x)
    assert found
    undone = cv2.warpPerspective(z, np.linalg.inv(matrix), size, flags=cv2.INTER_CUBIC)
    inner = np.s_[20:-20, 20:-20]
    # A misplacement of a tenth of a pixel would differ by more: gradients have a root mean square of some 0.06 a pixel.
    scale = (x * z).sum() / (z * z).sum()
    assert np.sqrt(np.square(warped - scale * undone)[inner].mean()) < 0.006
    mask = np.repeat(inside[..., None], 3, axis=2)
    error = np.square((x - warped) * mask, dtype=np.float64).sum() / mask.sum()
    _, similarity = skimage.metrics.structural_similarity(
        x * mask, warped * mask, data_range=1.0, channel_axis=2, gaussian_weights=True, use_sample_covariance=False,
        full=True,
    )  # fmt: skip
    expected = (similarity * mask)[5:-5, 5:-5].sum() / mask[5:-5, 5:-5].sum()
    scored = realblur.realblur_ecc(restored, [sharp], ("psnr", "ssim"), CPU)
    assert scored.values["psnr"] == pytest.approx(10 * math.log10(1 / error), abs=1e-6)
    assert scored.values["ssim"] == pytest.approx(expected, abs=1e-5)


def test_ecc_leaves_an_aligned_image_alone() -> None:
    image = PHOTO[:200, :200]
    restored = noisy(image, 4)
    found = realblur.realblur_ecc(restored, [image], ("psnr", "ssim"), CPU)
    expected = gopro.gopro_rgb(restored, [image], ("psnr", "ssim"), CPU)
    assert found.values["psnr"] == pytest.approx(expected.values["psnr"], abs=0.3)
    assert found.values["ssim"] == pytest.approx(expected.values["ssim"], abs=0.02)


def test_ecc_without_texture_keeps_the_identity_and_says_so() -> None:
    flat = np.full((60, 60, 3), 90, np.uint8)
    found = realblur.realblur_ecc(flat, [flat], ("psnr",), CPU)
    assert found.notes["converged"] == 0
    assert found.values["psnr"] > 60


def test_only_one_ground_truth_where_a_protocol_knows_one() -> None:
    with pytest.raises(AssertionError, match="2 ground truths"):
        protocol.only([PHOTO, PHOTO], PHOTO)
