"""Slow, obvious float64 versions of metrics that no library has, from their papers. Images: (H, W), 0 to 255."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from trainers.metrics import gaussian_scale_mixture

Image = npt.NDArray[np.float64]


def luma(image: npt.NDArray[Any]) -> Image:
    """(H, W) of (H, W, 3)."""
    return image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def uiqi(x: Image, y: Image) -> float:
    """One 8x8 window after another."""
    found = []
    for top in range(x.shape[0] - 7):
        for left in range(x.shape[1] - 7):
            a, b = (image[top : top + 8, left : left + 8].ravel() for image in (x, y))
            covariance = np.cov(a, b)
            numerator = 4 * covariance[0, 1] * a.mean() * b.mean()
            found.append(numerator / ((covariance[0, 0] + covariance[1, 1]) * (a.mean() ** 2 + b.mean() ** 2)))
    return float(np.mean(found))


def fsim(x: Image, y: Image) -> float:
    """The authors' program: every F-th pixel of images smoothed by a square, zeros beyond all borders."""
    factor = max(1, math.floor(min(x.shape) / 256 + 0.5))
    x, y = (reduced(image, factor) for image in (x, y))
    congruencies = [phase_congruency(image) for image in (x, y)]
    gradients = [gradient(image) for image in (x, y)]
    similarity = np.ones_like(x)
    for (a, b), constant in ((congruencies, 0.85), (gradients, 160.0)):
        similarity *= (2 * a * b + constant) / (a**2 + b**2 + constant)
    weight = np.maximum(*congruencies)
    return float((similarity * weight).sum() / weight.sum())


def reduced(image: Image, factor: int) -> Image:
    """MATLAB's conv2(image, ones(factor) / factor^2, "same"), of which every `factor`-th pixel from the first."""
    padded = np.pad(image, ((factor - 1) // 2, factor // 2))
    rows, columns = (range(0, side, factor) for side in image.shape)
    return np.array([[padded[row : row + factor, left : left + factor].mean() for left in columns] for row in rows])


def gradient(image: Image) -> Image:
    """Scharr's operator, pixel by pixel."""
    kernel = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
    padded = np.pad(image, 1)
    found = np.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            window = padded[row : row + 3, column : column + 3]
            found[row, column] = math.hypot((window * kernel).sum(), (window * kernel.T).sum())
    return found


def phase_congruency(image: Image) -> Image:
    """Kovesi's measure with the noise of each orientation estimated from the impulse responses of its filters."""
    height, width = image.shape
    grids = [np.fft.ifftshift(np.arange(side) - side // 2) / (side - side % 2) for side in (height, width)]
    v, u = np.meshgrid(*grids, indexing="ij")
    radius, angle = np.hypot(u, v), np.arctan2(-v, u)
    radius[0, 0] = 1
    spectrum = np.fft.fft2(image)
    energy_total, amplitude_total = np.zeros_like(image), np.zeros_like(image)
    for orientation in range(4):
        turned = angle - orientation * np.pi / 4
        distance = np.abs(np.arctan2(np.sin(turned), np.cos(turned)))
        spread = np.exp(-(distance**2) / (2 * (np.pi / 4 / 1.2) ** 2))
        filters = []
        for scale in range(4):
            log_gabor = np.exp(-(np.log(radius * 6 * 2**scale) ** 2) / (2 * np.log(0.55) ** 2))
            log_gabor[0, 0] = 0
            filters.append(log_gabor / (1 + (np.hypot(u, v) / 0.45) ** 30) * spread)
        responses = [np.fft.ifft2(spectrum * each) for each in filters]
        mean = sum(responses)
        mean = mean / (np.abs(mean) + 1e-4)
        energy = sum(
            each.real * mean.real + each.imag * mean.imag - np.abs(each.real * mean.imag - each.imag * mean.real)
            for each in responses
        )
        impulses = [np.fft.ifft2(each).real * math.sqrt(height * width) for each in filters]
        power = np.median(np.abs(responses[0]) ** 2) / math.log(2) / (filters[0] ** 2).sum()
        squares = sum((each**2).sum() for each in impulses)
        products = sum((impulses[i] * impulses[j]).sum() for i in range(4) for j in range(i + 1, 4))
        tau = math.sqrt((2 * power * squares + 4 * power * products) / 2)
        threshold = (tau * math.sqrt(math.pi / 2) + 2 * math.sqrt((2 - math.pi / 2) * tau**2)) / 1.7
        energy_total += np.maximum(energy - threshold, 0)
        amplitude_total += sum(np.abs(each) for each in responses)
    return energy_total / (amplitude_total + 1e-4)


def vif_and_ifc(x: Image, y: Image) -> tuple[float, float]:
    """Both, band by band and block by block."""
    kept, whole, shared = 0.0, 0.0, 0.0
    for level in range(4):
        side = 2 ** (4 - level) + 1
        for turned in (False, True):
            a, b = (band(image, level, turned) for image in (x, y))
            blocks, eigenvalues, gains, rests = fit(a, b, side)
            for strength, gain, rest in zip(blocks, gains, rests, strict=True):
                for eigenvalue in eigenvalues:
                    kept += math.log2(1 + gain**2 * strength * eigenvalue / (rest + 0.4))
                    whole += math.log2(1 + strength * eigenvalue / 0.4)
                    shared += math.log2(1 + gain**2 * strength * eigenvalue / (rest + 1e-10))
    return kept / whole, shared / x.size


def band(image: Image, level: int, turned: bool) -> Image:
    """One band of the pyramid, correlated tap by tap, with the table of filters written out."""
    corner = {"low": gaussian_scale_mixture._LOW, "first": gaussian_scale_mixture._FIRST_LOW}
    low, first = (
        np.array([[table[max(r, c)][min(r, c)] for c in mirror(len(table))] for r in mirror(len(table))])
        for table in corner.values()
    )
    upper = np.array([[*row, *row[2::-1]] for row in gaussian_scale_mixture._ORIENTED])
    oriented = np.concatenate([upper, np.zeros((1, 7)), -upper[::-1]])
    image = correlated(image, first)
    for _ in range(level):
        image = 2 * correlated(image, low)[::2, ::2]
    return correlated(image, oriented.T if turned else oriented)


def mirror(size: int) -> list[int]:
    return [*range(size), *range(size - 2, -1, -1)]


def correlated(image: Image, kernel: Image) -> Image:
    """Borders mirrored about the outermost pixel."""
    return scipy.ndimage.correlate(image, kernel, mode="mirror")


def fit(x: Image, y: Image, side: int) -> tuple[list[float], npt.NDArray[np.float64], list[float], list[float]]:
    """Multipliers of the inner blocks, eigenvalues, gains, variances of the rest."""
    rows, columns = x.shape[0] // 3, x.shape[1] // 3
    x, y = x[: rows * 3, : columns * 3], y[: rows * 3, : columns * 3]
    every = [x[i : i + 3, j : j + 3].ravel() for i in range(x.shape[0] - 2) for j in range(x.shape[1] - 2)]
    covariance = np.cov(np.array(every).T, bias=True)
    inverse = np.linalg.inv(covariance)
    half, skipped = side // 2, math.ceil((side // 2) / 3)
    strengths, gains, rests = [], [], []
    for row in range(skipped, rows - skipped):
        for column in range(skipped, columns - skipped):
            block = x[row * 3 : row * 3 + 3, column * 3 : column * 3 + 3].ravel()
            strengths.append(float(block @ inverse @ block) / 9)
            window = np.s_[row * 3 + 1 - half : row * 3 + 2 + half, column * 3 + 1 - half : column * 3 + 2 + half]
            (var_x, cov), (_, var_y) = np.cov(x[window].ravel(), y[window].ravel(), bias=True)
            gain = cov / (var_x + 1e-15)
            gains.append(max(0.0, gain))
            rests.append(max(1e-15, var_y - gain * cov if gain >= 0 else var_y))
    return strengths, np.linalg.eigvalsh(covariance), gains, rests


def cw_ssim_band(x: npt.NDArray[np.complex128], y: npt.NDArray[np.complex128]) -> float:
    """One 7x7 window after another, weighted with a Gaussian of a quarter of the band's height."""
    total, weights = 0.0, 0.0
    rows, columns = x.shape[0] - 6, x.shape[1] - 6
    for top in range(rows):
        for left in range(columns):
            a, b = (each[top : top + 7, left : left + 7] for each in (x, y))
            powers = (np.abs(a) ** 2).sum() + (np.abs(b) ** 2).sum()
            distance = (top - (rows - 1) / 2) ** 2 + (left - (columns - 1) / 2) ** 2
            weight = math.exp(-distance / (2 * (x.shape[0] / 4) ** 2))
            total += weight * (2 * abs((a * b.conj()).sum()) + 0.01) / (powers + 0.01)
            weights += weight
    return total / weights


def hat_similarity(x: Image, y: Image) -> float:
    """`pyssim --cw`: Mexican hats of widths 1 to 30 along the flattened, rounded luma."""
    a, b = (np.rint(image).ravel() for image in (x, y))
    transforms: list[list[Image]] = [[], []]
    for width in range(1, 31):
        points = min(10 * width, a.size)
        place = np.arange(points) - (points - 1) / 2
        hat = (
            2
            / (math.sqrt(3 * width) * math.pi**0.25)
            * (1 - (place / width) ** 2)
            * np.exp(-((place / width) ** 2) / 2)
        )
        for found, signal in zip(transforms, (a, b), strict=True):
            found.append(np.convolve(signal, hat, mode="same"))
    p, q = (np.array(each) for each in transforms)
    magnitudes = np.abs(p * q).sum(axis=0)
    first = (2 * magnitudes + 0.01) / ((p**2).sum(axis=0) + (q**2).sum(axis=0) + 0.01)
    second = (2 * np.abs((p * q).sum(axis=0)) + 0.01) / (2 * magnitudes + 0.01)
    return float((first * second).mean())
