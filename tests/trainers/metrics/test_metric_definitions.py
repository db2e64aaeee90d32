"""Each metric against an independent implementation, closed forms, and the order that blur and noise must give."""

import math
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
import reference_metrics as reference
import skimage.data
import torch

from blursynth import errors
from blursynth.media import photos
from trainers.metrics import (
    catalogue,
    cw_ssim,
    fsim,
    gaussian_scale_mixture,
    ifc,
    ms_ssim,
    steerable_pyramid,
    uiqi,
    vif,
    vif_pixel,
)

NAMES = sorted(catalogue.METRICS)


def tensor(*images_HWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images_HWC)).permute(0, 3, 1, 2)


def blurred(image: np.ndarray, width: int) -> np.ndarray:
    """A horizontal streak of `width` pixels (odd), 8 bits."""
    half = width // 2
    padded = np.pad(image.astype(np.float64), ((0, 0), (half, half), (0, 0)), mode="reflect")
    mean = np.mean([padded[:, shift : shift + image.shape[1]] for shift in range(width)], axis=0)
    return np.rint(mean).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(skimage.data.astronaut()[100:340, 120:376])


@pytest.fixture(scope="module")
def small(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sharp and restored, of odd sizes: uint8 (101, 91, 3)."""
    sharp = photo[:101, :91]
    return sharp, noisy(blurred(sharp, 5), 3)


def test_uiqi_equals_a_loop_over_windows(small: tuple[np.ndarray, np.ndarray]) -> None:
    sharp, restored = small
    expected = np.mean([reference.uiqi(restored[..., c] * 1.0, sharp[..., c] * 1.0) for c in range(3)])
    assert uiqi.uiqi(tensor(restored), tensor(sharp), data_range=255).item() == pytest.approx(expected, abs=1e-9)


def test_fsim_equals_a_loop_over_pixels(small: tuple[np.ndarray, np.ndarray]) -> None:
    sharp, restored = small
    expected = reference.fsim(reference.luma(sharp), reference.luma(restored))
    assert fsim.fsim(tensor(restored), tensor(sharp), data_range=255).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("height", "width"), [(384, 391), (645, 640)])
def test_fsim_reduces_large_images_as_its_authors_do(photo: np.ndarray, height: int, width: int) -> None:
    """By 2, and by 3, where the first of the blocks lies half outside; sides that the factor does not divide."""
    sharp = np.tile(photo[:240, :240], (3, 3, 1))[:height, :width]
    restored = blurred(sharp, 9)
    expected = reference.fsim(reference.luma(sharp), reference.luma(restored))
    assert fsim.fsim(tensor(restored), tensor(sharp), data_range=255).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "program", "expected", "tolerance"),
    [
        ("psnr", "scikit-image 0.26", 25.147581549837263, 1e-9),
        ("ssim", "scikit-image 0.26 and piq 0.8", 0.7060483968463028, 1e-9),
        ("fsim", "piq 0.8, whose small constants differ", 0.8468240036914482, 1e-6),
        ("vif", "vifvec restated over pyrtools 1.1's space-domain pyramid", 0.34937629251276947, 1e-9),
        ("ifc", "the same", 2.3461860726039205, 1e-6),
        ("vifp", "torchmetrics 1.9 and sewar 0.4", 0.31101344072856546, 1e-9),
        ("cw-ssim", "cwssim_index restated over pyrtools 1.1's complex pyramid", 0.9999647440026878, 1e-9),
        ("uiqi", "uniform_filter of SciPy 1.17", 0.4856608583878132, 1e-9),
    ],
)
def test_values_are_those_of_other_programs(name: str, program: str, expected: float, tolerance: float) -> None:
    """Written down once, because most of these programs are not among what the tests install."""
    sharp = np.ascontiguousarray(skimage.data.astronaut()[:360, :402])
    restored = noisy(blurred(sharp, 9), 4)
    found = catalogue.METRICS[name].function(tensor(restored), tensor(sharp), data_range=255).item()
    assert found == pytest.approx(expected, abs=tolerance), program


def test_vif_and_ifc_equal_a_loop_over_blocks(small: tuple[np.ndarray, np.ndarray]) -> None:
    sharp, restored = small
    expected = reference.vif_and_ifc(reference.luma(sharp), reference.luma(restored))
    pair = tensor(restored), tensor(sharp)
    assert vif.vif(*pair, data_range=255).item() == pytest.approx(expected[0], abs=1e-6)
    assert ifc.ifc(*pair, data_range=255).item() == pytest.approx(expected[1], abs=1e-6)


def test_ms_ssim_and_pixel_vif_equal_torchmetrics(photo: np.ndarray) -> None:
    image = pytest.importorskip("torchmetrics.functional.image", reason="an independent implementation, not installed")
    photo = photo[:177, :183]
    pair = tensor(noisy(blurred(photo, 7), 4), blurred(photo, 3)).double(), tensor(photo, photo).double()
    each = [slice(index, index + 1) for index in range(2)]
    expected = [
        image.multiscale_structural_similarity_index_measure(pair[0][i], pair[1][i], data_range=255.0, normalize="relu")
        for i in each
    ]
    torch.testing.assert_close(
        ms_ssim.ms_ssim(*pair, data_range=255), torch.stack(expected).double(), rtol=0, atol=1e-4
    )
    expected = image.visual_information_fidelity(*pair, reduction="none")
    torch.testing.assert_close(vif_pixel.vif_pixel(*pair, data_range=255), expected, rtol=0, atol=1e-6)


def test_cw_ssim_windows_equal_a_loop(photo: np.ndarray) -> None:
    sharp = photo[:64, :80]
    lumas = [torch.from_numpy(reference.luma(image))[None] for image in (sharp, blurred(sharp, 5))]
    for x, y in zip(*(steerable_pyramid.coarsest(each, levels=2, orientations=4) for each in lumas), strict=True):
        expected = reference.cw_ssim_band(x[0].numpy(), y[0].numpy())
        assert cw_ssim._similarity(x, y).item() == pytest.approx(expected, abs=1e-9)


def test_the_public_program_of_cw_ssim_is_one_dimensional(photo: np.ndarray) -> None:
    sharp, restored = photo[:31, :40], blurred(photo, 5)[:31, :40]
    expected = reference.hat_similarity(reference.luma(sharp), reference.luma(restored))
    found = cw_ssim.cw_ssim_pyssim(tensor(restored), tensor(sharp), data_range=255)
    assert found.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("size", [(96, 128), (131, 97)])
def test_a_pyramid_keeps_the_energy_of_its_octaves(size: tuple[int, int]) -> None:
    """Squares of all filters sum to 1: a sine wave in the pass band keeps its energy, summed over levels and bands."""
    rows, columns = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing="ij")
    # Whole periods, so that it is one frequency also where borders wrap around.
    wave = torch.from_numpy(np.sin(2 * np.pi * (20 * rows / size[0] + 14 * columns / size[1])))[None]
    energy = 0.0
    for levels in (1, 2, 3):
        found = steerable_pyramid.coarsest(wave, levels=levels, orientations=6) / 4 ** (levels - 1)
        smaller = np.prod(size) / np.prod(found.shape[2:]) / 4 ** (levels - 1)
        energy += (found.abs().square().mean(dim=(1, 2, 3)).sum() / smaller**2).item()
    # A complex band holds the same energy twice: once in each of its two parts.
    assert energy == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(80, 91), (103, 82)])
def test_filters_are_correlated_with_mirrored_borders(size: tuple[int, int], stride: int) -> None:
    image = np.random.default_rng(0).normal(size=size)
    for kernel in (
        gaussian_scale_mixture._oriented(),
        gaussian_scale_mixture._square(gaussian_scale_mixture._LOW),
        gaussian_scale_mixture._square(gaussian_scale_mixture._FIRST_LOW),
    ):
        found = gaussian_scale_mixture._filtered(torch.from_numpy(image)[None, None], kernel, stride)
        for each, taps in zip(found[0], kernel[:, 0], strict=True):
            expected = reference.correlated(image, taps.numpy())[::stride, ::stride]
            np.testing.assert_allclose(each.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_equal_images_are_perfect_and_batches_are_images(name: str, photo: np.ndarray) -> None:
    metric = catalogue.METRICS[name].function
    sharp, restored = tensor(photo, photo[::-1].copy()), tensor(blurred(photo, 5), noisy(photo[::-1], 9))
    perfect = metric(sharp, sharp, data_range=255)
    found = metric(restored, sharp, data_range=255)
    assert found.dtype == torch.float64
    assert found.shape == (2,)
    if name not in ("psnr", "ifc"):
        torch.testing.assert_close(perfect, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-6)
    assert bool((found < perfect).all())
    alone = torch.cat([metric(restored[i : i + 1], sharp[i : i + 1], data_range=255) for i in range(2)])
    torch.testing.assert_close(found, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_range_is_given_and_layout_and_precision_do_not_matter(name: str, photo: np.ndarray) -> None:
    metric = catalogue.METRICS[name].function
    pair = tensor(noisy(blurred(photo, 5), 3)), tensor(photo)
    found = metric(*pair, data_range=255)
    with pytest.raises(TypeError, match="data_range"):
        metric(*pair)  # type: ignore[call-arg]
    in_units = metric(*(each.double() / 255 for each in pair), data_range=1.0)
    torch.testing.assert_close(in_units, found, rtol=1e-6, atol=1e-6)
    last = metric(*(each.contiguous(memory_format=torch.channels_last) for each in pair), data_range=255)
    torch.testing.assert_close(last, found, rtol=0, atol=1e-9)
    single = metric(*pair, data_range=255, dtype=torch.float32)
    torch.testing.assert_close(single, found, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_flat_images_have_finite_scores(name: str) -> None:
    metric = catalogue.METRICS[name].function
    flat = torch.full((1, 3, 240, 240), 100, dtype=torch.uint8)
    for dtype in (torch.float32, torch.float64):
        found = metric(flat, flat, data_range=255, dtype=dtype)
        assert not bool(found.isnan().any())
        if name not in ("psnr", "ifc"):
            assert found.item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", ["white", "sky", "stripes"])
def test_smooth_and_regular_images_are_scored_alike_in_both_precisions(name: str, content: str) -> None:
    """Overexposed walls and skies, of which crops of photos are full; 8 bits, restored with noise."""
    rows, columns = np.mgrid[0:240, 0:240]
    level = {"white": 0 * rows + 255, "sky": 200 + rows // 60, "stripes": columns // 2}[content]
    sharp = np.repeat(level[..., None], 3, axis=2).astype(np.uint8)
    pair = tensor(noisy(sharp, 1)), tensor(sharp)
    double, single = (
        catalogue.METRICS[name].function(*pair, data_range=255, dtype=dtype).item()
        for dtype in (torch.float64, torch.float32)
    )
    assert single == pytest.approx(double, abs=1e-3)
    assert name in ("psnr", "ifc") or double < 1 + 1e-9


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("psnr", "cw-ssim-pyssim")])
def test_images_too_small_are_refused_in_a_sentence(name: str) -> None:
    image = torch.rand(1, 3, 7, 300)
    with pytest.raises(errors.InputError, match=r"needs images of at least (\d+)x\1 pixels, these are 300x7"):
        catalogue.METRICS[name].function(image, image, data_range=1.0)


def test_uiqi_of_scaled_images_is_a_closed_form(photo: np.ndarray) -> None:
    """y = a x: covariance and means scale with a, so Q = (2 a / (1 + a^2))^2 in every window."""
    sharp = tensor(photo).double()
    for scale in (0.5, 0.9, 1.3):
        expected = (2 * scale / (1 + scale**2)) ** 2
        found = uiqi.uiqi(scale * sharp, sharp, data_range=255)
        # Flat windows have one factor alone; this crop has nearly none.
        assert found.item() == pytest.approx(expected, abs=2e-3)


def test_ssim_of_an_offset_has_only_the_luminance_term() -> None:
    sharp = torch.full((1, 1, 32, 32), 0.5, dtype=torch.float64)
    expected = (2 * 0.5 * 0.6 + 1e-4) / (0.25 + 0.36 + 1e-4)
    assert catalogue.METRICS["ssim"].function(sharp + 0.1, sharp, data_range=1.0).item() == pytest.approx(expected)


def test_vif_rises_above_one_with_contrast_and_ifc_does_not_care(photo: np.ndarray) -> None:
    sharp = tensor(photo).double() / 2 + 60
    raised = 1.2 * (sharp - 120) + 120
    lowered = 0.8 * (sharp - 120) + 120
    for metric in (vif.vif, vif_pixel.vif_pixel):
        values = [metric(each, sharp, data_range=255).item() for each in (lowered, sharp, raised)]
        assert values[0] < 1 - 1e-3 < values[1] < 1 + 1e-6 < values[2]


def test_vif_and_ifc_under_known_noise(photo: np.ndarray) -> None:
    """The noise is known in every band, and with it the channel that has to be found."""
    sharp = tensor(photo).double()[:, :1].clone()
    sigma = 8.0
    noise = torch.randn(sharp.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * sigma
    expected_kept, expected_whole, expected_shared = 0.0, 0.0, 0.0
    for (level, band), (_, response) in zip(
        gaussian_scale_mixture.bands(sharp[:, 0]), gaussian_scale_mixture.bands(noise[:, 0]), strict=True
    ):
        samples = (2 ** (4 - level) + 1) ** 2
        # Gain and mean are fitted in the window, which takes two of its degrees of freedom from the rest.
        variance = response.var().item() * (samples - 2) / samples
        fitted = gaussian_scale_mixture.fit(band, band, 2 ** (4 - level) + 1)
        quality = fitted.strength[..., None] * fitted.eigenvalues[:, None]
        expected_kept += torch.log2(1 + quality / (variance + 0.4)).sum().item()
        expected_shared += torch.log2(1 + quality / variance).sum().item()
        expected_whole += fitted.whole(0.4).sum().item()
    found = vif.vif(sharp + noise, sharp, data_range=255).item()
    assert found == pytest.approx(expected_kept / expected_whole, rel=0.05)
    shared = ifc.ifc(sharp + noise, sharp, data_range=255).item()
    assert shared == pytest.approx(expected_shared / sharp[0, 0].numel(), rel=0.05)


def test_ifc_of_an_image_with_itself_is_limited_by_its_tolerance_alone(photo: np.ndarray) -> None:
    sharp = tensor(photo).double()[:, :1]
    expected = 0.0
    for level, band in gaussian_scale_mixture.bands(sharp[:, 0]):
        fitted = gaussian_scale_mixture.fit(band, band, 2 ** (4 - level) + 1)
        quality = fitted.strength[..., None] * fitted.eigenvalues[:, None]
        expected += torch.log2(1 + quality / (ifc.TOLERANCE + 1e-15)).sum().item()
    # Least squares leave a rest of rounding size, which 1e-10 mostly covers.
    assert ifc.ifc(sharp, sharp, data_range=255).item() == pytest.approx(expected / sharp[0, 0].numel(), rel=0.01)


def test_cw_ssim_forgives_a_small_shift_where_ssim_does_not(photo: np.ndarray) -> None:
    sharp, shifted = tensor(photo[:, 2:]), tensor(photo[:, :-2].copy())
    assert cw_ssim.cw_ssim(shifted, sharp, data_range=255).item() > 0.95
    assert catalogue.METRICS["ssim"].function(shifted, sharp, data_range=255).item() < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("damage", [blurred, noisy])
def test_more_damage_is_a_lower_score_on_every_photo(
    shared_data: pathlib.Path, damage: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    paths = sorted((shared_data / "photos" / "kodak").glob("*.png"))
    assert len(paths) == 12
    for path in paths:
        # The smallest that every metric takes, out of the middle of the photo.
        sharp = photos.read(path)[144:368, 272:496]
        steps = tensor(*(damage(sharp, amount) for amount in (3, 7, 13, 25)))
        truth = tensor(sharp).expand(len(steps), -1, -1, -1)
        for name, metric in catalogue.METRICS.items():
            values = metric.function(steps, truth, data_range=255, dtype=torch.float32).tolist()
            assert values == sorted(values, reverse=True), f"{name} of {path.name}: {values}"
            assert all(map(math.isfinite, values))
