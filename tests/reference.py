"""Slow and obvious references in float64 for the kernels' tests: NumPy, Python's integers, one formula a line."""

import decimal
import math

import numpy as np
import numpy.typing as npt

from blursynth.kernels import random

Floats = npt.NDArray[np.float64]

WORD = 2**32
ANXIETIES_RELEASE = np.array([0.003, 0.005, 0.007, 0.008, 0.009, 0.01])


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10 (Salmon et al. 2011, section 3.3) in Python's integers."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        low, high = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (high // WORD) ^ b ^ k, high % WORD, (low // WORD) ^ d ^ m, low % WORD
        k, m = (k + 0x9E3779B9) % WORD, (m + 0xBB67AE85) % WORD
    return a, b, c, d


def motion_draws(seed: int, item: int, steps: int, stream: int, dynamics: str) -> Floats:
    """The draws of one trajectory, (4, steps - 1): shake, angle, n1, n2."""
    rows = []
    key = (seed % WORD, seed // WORD)
    for step in range(steps - 1):
        words = philox((step, stream, item % WORD, item // WORD), key)
        shake, angle = words[0] / WORD, words[1] / WORD
        if dynamics == "algorithm-1":
            extra = philox((step + 2**31, stream, item % WORD, item // WORD), key)
            shake, angle = box_muller(extra[0], extra[1])
        rows.append([shake, angle, *box_muller(words[2], words[3])])
    return np.array(rows).T


def box_muller(first: int, second: int) -> tuple[float, float]:
    radius = math.sqrt(-2 * math.log((first // 2 + 0.5) / 2**31))
    angle = 2 * math.pi * (second // 2) / 2**31
    return radius * math.cos(angle), radius * math.sin(angle)


def trajectory(parameters: Floats, draws: Floats, length: float, dynamics: str) -> npt.NDArray[np.complex128]:
    """The motion by its definition, in complex pixels; no anxiety means no impulse."""
    anxiety, inertia, impulse, gaussian, angle = (float(value) for value in parameters)
    unit = length / draws.shape[1]
    direction = complex(math.cos(angle), math.sin(angle))
    v = direction * (anxiety if anxiety > 0 and dynamics == "boracchi-foi" else unit)
    x = [0j]
    for shake, turn, n1, n2 in draws.T:
        fires = anxiety > 0 and shake < impulse * anxiety
        kick = 2 * v * np.exp(1j * (np.pi + turn - 0.5)) if fires else 0
        if dynamics == "boracchi-foi":
            push = anxiety * (gaussian * complex(n1, n2) - inertia * x[-1]) * unit
        else:
            push = anxiety * (gaussian * complex(n1, n2) * inertia * x[-1]) * unit
        v = v + kick + push
        v = v / abs(v) * unit
        x.append(x[-1] + v)
    return np.array(x)


def draw_parameters(preset: str, count: int, seed: int) -> npt.NDArray[np.float32]:
    """Parameters of the two presets that have goldens, (count, 5)."""
    u = random.uniforms(seed, random.Stream.MOTION_PARAMETERS, np.arange(count), 5)
    parameters = u * [0.1, 0.7, 0.2, 10.0, 2 * np.pi]
    if preset == "deblurgan_release":
        parameters[:, 0] = ANXIETIES_RELEASE[(u[:, 0] * len(ANXIETIES_RELEASE)).astype(int)]
    return parameters.astype(np.float32)


def path_statistics(position: npt.NDArray[np.float32], impulses: npt.NDArray[np.int32]) -> Floats:
    """The nine columns of the population golden, (N, 9), for paths (N, M, 2)."""
    x = position[..., 0].astype(np.float64) + 1j * position[..., 1]
    heading = np.angle(np.diff(x, axis=1))
    turn = np.angle(np.exp(1j * np.diff(heading, axis=1)))
    mean = x.mean(axis=1)
    columns = [
        np.ptp(x.real, axis=1),
        np.ptp(x.imag, axis=1),
        np.abs(x[:, -1] - x[:, 0]),
        np.abs(x - x[:, :1]).max(axis=1),
        np.sqrt((np.abs(x - mean[:, None]) ** 2).mean(axis=1)),
        np.abs(turn).mean(axis=1),
        np.abs(np.exp(1j * heading).mean(axis=1)),
        impulses.astype(np.float64),
        np.abs(mean - x[:, 0]),
    ]
    return np.stack(columns, axis=1)


def psf(path: Floats, start: float, end: float, size: int) -> Floats:
    """Bilinear shares of the exposed positions about their centroid, (size, size), for one path (M, 2)."""
    steps = len(path)
    sample = np.arange(steps)
    weight = np.clip(np.minimum(sample + 1, end * steps) - np.maximum(sample, start * steps), 0, None)
    weight = weight / weight.sum()
    centred = path - weight @ path + size // 2
    pixel = np.arange(size)
    across = np.clip(1 - np.abs(centred[:, 0, None] - pixel), 0, None)
    down = np.clip(1 - np.abs(centred[:, 1, None] - pixel), 0, None)
    return np.einsum("m,my,mx->yx", weight, down, across)


def convolve(window: Floats, kernel: Floats) -> Floats:
    """out[y, x] = sum of window[y + K - 1 - ky, x + K - 1 - kx] kernel[ky, kx], by its definition."""
    size = len(kernel)
    height, width = window.shape[0] - size + 1, window.shape[1] - size + 1
    total = np.zeros((height, width, window.shape[2]))
    for ky in range(size):
        for kx in range(size):
            top, left = size - 1 - ky, size - 1 - kx
            total += kernel[ky, kx] * window[top : top + height, left : left + width]
    return total


def encode(linear: float, transfer: str) -> int:
    """The nearest 8-bit code of a value in [0, 1], in forty decimal digits; halves go up."""
    with decimal.localcontext() as context:
        context.prec = 40
        x = decimal.Decimal(linear)
        if x == 0 or transfer == "linear":
            encoded = x
        elif transfer == "gamma2.2":
            encoded = x ** (1 / decimal.Decimal("2.2"))
        elif x <= decimal.Decimal("0.04045") / decimal.Decimal("12.92"):
            encoded = x * decimal.Decimal("12.92")
        else:
            encoded = decimal.Decimal("1.055") * x ** (1 / decimal.Decimal("2.4")) - decimal.Decimal("0.055")
        return math.floor(255 * encoded + decimal.Decimal("0.5"))
