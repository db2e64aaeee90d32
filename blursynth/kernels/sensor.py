"""What a camera's sensor makes of light: one colour a pixel, shot noise and read noise; and back to three colours.

    raw = Poisson(x / beta1) * beta1 + beta2 * n        with x >= 0 the light of a pixel's colour, n standard normal

so that its mean is x and its variance beta1 * x + beta2^2 (Foi et al. 2008; the noise of Rim et al. 2022). A Bayer
pattern says which colour a pixel sees; it is named by the place of red, 0 to 3 as in PATTERNS, and blue lies
diagonally opposite.

The missing colours are found as Malvar, He and Cutler 2004 do ("High-quality linear interpolation for demosaicing of
Bayer-patterned color images", figure 2): bilinearly, corrected by the second differences of the colour that was seen.
"""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, random, trajectory_steps

PATTERNS = ("rggb", "grbg", "gbrg", "bggr")
REACH = 2  # px that demosaicing looks to each side

FEW = 12.0  # photons below which the Poisson distribution is summed up
MOST = 200  # that so few can become: the rest has a probability below 1e-100
PER_32 = 2.0**-32
HALF = 0.5
LARGEST_CODE = np.float32(255.0)
ROUND = np.float32(0.5)
ZERO = np.float32(0.0)
EIGHTH = np.float32(0.125)
ONE_HALF = np.float32(0.5)
TWO = np.float32(2.0)
FOUR = np.float32(4.0)
FIVE = np.float32(5.0)
SIX = np.float32(6.0)
THREE_HALVES = np.float32(1.5)


def mosaic(
    light_HWC: npt.NDArray[np.float32], matrix: npt.NDArray[np.float32], pattern: int
) -> npt.NDArray[np.float32]:
    """The light of the one colour that each pixel sees.

    light_HWC: float32 (H, W, 3), linear RGB. matrix: float32 (3, 3), from that RGB to the sensor's. pattern: of
    PATTERNS, by number. Returns float32 (H, W).
    """
    image = np.require(light_HWC, np.float32, ["C", "A", "W"])
    assert image.ndim == 3
    assert image.shape[2] == 3
    raw = np.empty(image.shape[:2], np.float32)
    _mosaic(image, np.require(matrix, np.float32, ["C", "A", "W"]), pattern >> 1, pattern & 1, raw)
    return raw


def add_noise(
    raw_HW: npt.NDArray[np.float32], shot: float, read: float, seed: int, item: int
) -> npt.NDArray[np.float32]:
    """Shot and read noise; see the top of this file.

    raw_HW: float32 (H, W), 1 = white; what is negative counts as dark. shot: beta1, the light of one photon, >= 0 (0:
    no shot noise). read: beta2, a standard deviation, >= 0. Returns float32 (H, W), not clipped: a pure function of
    seed, item and the place in the image.
    """
    raw = np.require(raw_HW, np.float32, ["C", "A", "W"])
    assert shot >= 0
    assert read >= 0
    made = np.empty(raw.shape, np.float32)
    _add_noise(raw.reshape(-1), shot, read, _key(seed, item), made.reshape(-1))
    return made


def demosaic(raw_HW: npt.NDArray[np.float32], pattern: int) -> npt.NDArray[np.float32]:
    """Three colours at every pixel: float32 (H, W, 3) in the sensor's RGB. The image is reflected at its borders.

    raw_HW: float32 (H, W), H and W >= 3.
    """
    assert min(raw_HW.shape) > REACH
    padded = np.pad(np.asarray(raw_HW, np.float32), REACH, mode="reflect")  # which keeps the pattern
    made = np.empty((*raw_HW.shape, 3), np.float32)
    _demosaic(padded, pattern >> 1, pattern & 1, made)
    return made


def recolour(image_HWC: npt.NDArray[np.float32], matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """matrix times each pixel's colour: float32 (H, W, 3)."""
    image = np.require(image_HWC, np.float32, ["C", "A", "W"])
    made = np.empty(image.shape, np.float32)
    _recolour(image, np.require(matrix, np.float32, ["C", "A", "W"]), made)
    return made


def add_plain_noise(
    codes: npt.NDArray[np.uint8], sigma: float, width: float, seed: int, item: int
) -> npt.NDArray[np.uint8]:
    """Noise that knows nothing of light: normal of deviation sigma plus uniform in [0, width), both in parts of white.

    codes: uint8, any shape. Returns uint8, rounded and clipped: a pure function of seed, item and the place.
    """
    flat = np.require(codes, np.uint8, ["C", "A", "W"])
    made = np.empty(flat.shape, np.uint8)
    deviation, spread = np.float32(255 * sigma), np.float32(255 * width)
    _add_plain_noise(flat.reshape(-1), deviation, spread, _key(seed, item), made.reshape(-1))
    return made


def _key(seed: int, item: int) -> npt.NDArray[np.uint64]:
    """Stream, item and seed as five words."""
    assert 0 <= seed < 2**63
    assert item >= 0
    return np.array([random.Stream.NOISE, item & 0xFFFFFFFF, item >> 32, seed & 0xFFFFFFFF, seed >> 32], np.uint64)


@jit.inline
def exp_minus(value: float) -> float:
    """exp(-value) for 0 <= value < FEW, from additions and multiplications alone; relative error below 1e-10."""
    small = -value / 16.0
    series = 1.0
    for k in range(13, 0, -1):
        series = 1.0 + small / k * series
    series *= series
    series *= series
    series *= series
    return series * series


@jit.inline
def poisson(mean: float, normal: float, uniform: float) -> float:
    """A Poisson draw: from few photons by summing up its probabilities, else from a normal draw.

    The latter is the Cornish-Fisher expansion of its quantiles up to 1 / sqrt(mean) (Giles 2016, "Algorithm 955",
    equation 4), which is the wrong whole number less than once in a thousand draws, and then by one.
    """
    if mean < FEW:
        probability = exp_minus(mean)
        total = probability
        count = 0
        while uniform >= total and count < MOST:
            count += 1
            probability *= mean / count
            total += probability
        return float(count)
    root = np.sqrt(mean)
    square = normal * normal
    quantile = mean + root * normal + (2.0 + square) / 6.0 - normal * (2.0 + square) / (72.0 * root)
    return max(float(np.floor(quantile)), 0.0)


@jit.kernel
def _mosaic(
    light: npt.NDArray[np.float32],
    matrix: npt.NDArray[np.float32],
    red_row: int,
    red_column: int,
    raw: npt.NDArray[np.float32],
) -> None:
    for y in range(light.shape[0]):
        for x in range(light.shape[1]):
            # 0 on red, 1 on green, 2 on blue
            c = ((y ^ red_row) & 1) + ((x ^ red_column) & 1)
            raw[y, x] = matrix[c, 0] * light[y, x, 0] + matrix[c, 1] * light[y, x, 1] + matrix[c, 2] * light[y, x, 2]


@jit.kernel
def _add_noise(
    raw: npt.NDArray[np.float32],
    shot: float,
    read: float,
    key: npt.NDArray[np.uint64],
    made: npt.NDArray[np.float32],
) -> None:
    for i in range(raw.size):
        words = random.philox_inline(np.uint64(i), key[0], key[1], key[2], key[3], key[4])
        of_photons, of_reading = trajectory_steps.normals(words[0], words[1])
        light = max(np.float64(raw[i]), 0.0)
        if shot > 0.0:
            light = shot * poisson(light / shot, np.float64(of_photons), np.float64(words[2]) * PER_32)
        made[i] = np.float32(light + read * np.float64(of_reading))


@jit.kernel
def _demosaic(p: npt.NDArray[np.float32], red_row: int, red_column: int, made: npt.NDArray[np.float32]) -> None:
    for row in range(made.shape[0]):
        for column in range(made.shape[1]):
            y, x = row + REACH, column + REACH
            odd_row, odd_column = (row ^ red_row) & 1, (column ^ red_column) & 1
            here = p[y, x]
            up_down, left_right = p[y - 1, x] + p[y + 1, x], p[y, x - 1] + p[y, x + 1]
            far_down, far_right = p[y - 2, x] + p[y + 2, x], p[y, x - 2] + p[y, x + 2]
            corners = p[y - 1, x - 1] + p[y - 1, x + 1] + p[y + 1, x - 1] + p[y + 1, x + 1]
            if odd_row == odd_column:  # on red or blue
                far = far_down + far_right
                green = EIGHTH * (FOUR * here + TWO * (up_down + left_right) - far)
                other = EIGHTH * (SIX * here + TWO * corners - THREE_HALVES * far)
                made[row, column, 1] = green
                made[row, column, 0] = other if odd_row else here
                made[row, column, 2] = here if odd_row else other
            else:
                in_row = EIGHTH * (FIVE * here + FOUR * left_right - far_right - corners + ONE_HALF * far_down)
                in_column = EIGHTH * (FIVE * here + FOUR * up_down - far_down - corners + ONE_HALF * far_right)
                made[row, column, 1] = here
                # In a row of red, red lies to the left and right, and blue above and below.
                made[row, column, 0] = in_column if odd_row else in_row
                made[row, column, 2] = in_row if odd_row else in_column


@jit.kernel
def _recolour(image: npt.NDArray[np.float32], matrix: npt.NDArray[np.float32], made: npt.NDArray[np.float32]) -> None:
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            r, g, b = image[y, x, 0], image[y, x, 1], image[y, x, 2]
            for c in range(3):
                made[y, x, c] = matrix[c, 0] * r + matrix[c, 1] * g + matrix[c, 2] * b


@jit.kernel
def _add_plain_noise(
    codes: npt.NDArray[np.uint8],
    sigma: np.float32,
    width: np.float32,
    key: npt.NDArray[np.uint64],
    made: npt.NDArray[np.uint8],
) -> None:
    for i in range(codes.size):
        # The other half of the counter: both kinds of noise may be asked for at once.
        words = random.philox_inline(
            np.uint64(i) | trajectory_steps.EXTRA_DRAWS, key[0], key[1], key[2], key[3], key[4]
        )
        normal, _ = trajectory_steps.normals(words[0], words[1])
        uniform = np.float32(np.float64(words[2]) * PER_32)
        value = np.floor(np.float32(codes[i]) + sigma * normal + width * uniform + ROUND)
        made[i] = np.uint8(min(max(value, ZERO), LARGEST_CODE))
