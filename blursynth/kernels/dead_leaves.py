"""Paint opaque, textured leaves front to back until nothing of the picture is left uncovered.

The dead leaves model: a picture of a world of opaque objects is what remains visible of leaves that fell at random
places on each other (sources in `sources.scenes`, where what leaves look like is drawn; here are the loops). Painted
from the top one down, a pixel is done once it is covered, and the picture once all are.

Additions, square roots, integer hashes and the polynomials of `elementary` alone, so that a scene is the same to the
bit on every processor.
"""

import numpy as np
import numpy.typing as npt

from blursynth.kernels import jit, portable_math, random

Floats = npt.NDArray[np.float32]

FIELDS = (
    "x", "y",  # centre, px
    "length", "breadth",  # half axes, px
    "turn",  # direction of the length, turns
    "shape",  # ELLIPSE ... BLOB
    "red", "green", "blue",  # linear light
    "red_2", "green_2", "blue_2",  # second colour of the patterns
    "pattern",  # PLAIN ... SPOTS
    "period",  # of the pattern, px
    "contrast", "roughness", "stretch", "wavelength",  # of the grain; wavelength of the coarsest octave, px
    "slope_along", "slope_across", "bulge",  # shading
    "depth",  # how far it floats above what lies below it, px: shift and softness of its shadow; 0 for none
    "identity",  # whole number below 2**24 that keys grain and polygon
)  # fmt: skip
(
    X, Y, LENGTH, BREADTH, TURN, SHAPE, RED, GREEN, BLUE, RED_2, GREEN_2, BLUE_2, PATTERN, PERIOD,
    CONTRAST, ROUGHNESS, STRETCH, WAVELENGTH, SLOPE_ALONG, SLOPE_ACROSS, BULGE, DEPTH, IDENTITY,
) = range(len(FIELDS))  # fmt: skip

ELLIPSE, BOX, POLYGON, BLOB = range(4)
PLAIN, STRIPES, CHECKS, SPOTS = range(4)

SIDES = 6
OPAQUE = np.float32(1 / 512)  # what shines through less than this counts as covered: far below one grey level

ZERO = np.float32(0)
HALF = np.float32(0.5)
ONE = np.float32(1)
TWO = np.float32(2)
THREE = np.float32(3)
WORD = np.uint64(0xFFFFFFFF)


def draws(seed: int, item: int, first: int, count: int, width: int) -> Floats:
    """Uniform draws of leaves `first` to `first + count` of scene `item`: float32 (count, width) in [0, 1).

    Row k depends on seed, item and first + k alone. `width` is a multiple of 4. Multiples of 2**-24.
    """
    assert width % 4 == 0
    out = np.empty((count, width), np.float32)
    words = (item & 0xFFFFFFFF, item >> 32, seed & 0xFFFFFFFF, seed >> 32)
    _draw(out, first, np.array(words, np.uint64))
    return out


def paint(leaves: Floats, light: Floats, clear: Floats, shade: Floats, shadow: Floats) -> int:
    """Paint leaves, first on top, behind what is there; returns how many pixels became covered.

    leaves: float32 (N, len(FIELDS)). light: (H, W, 3), linear light so far. clear: (H, W) in [0, 1], what still shines
    through, 1 at the start. shade: (H, W) in [0, 1], light that reaches what lies below, 1 at the start. All three are
    changed in place. shadow: (3,), its shift along x and y per unit of depth, and how much light it takes.
    """
    assert leaves.dtype == light.dtype == clear.dtype == shade.dtype == shadow.dtype == np.float32
    assert leaves.shape[1] == len(FIELDS)
    assert light.shape == (*clear.shape, 3)
    assert all(array.flags.c_contiguous for array in (leaves, light, clear, shade, shadow))
    return int(_paint(leaves, light, clear, shade, shadow))


@jit.kernel
def _draw(out: Floats, first: int, words: npt.NDArray[np.uint64]) -> None:
    blocks = out.shape[1] // 4
    scale = np.float32(2.0**-24)
    for row in range(out.shape[0]):
        for block in range(blocks):
            step = np.uint64((first + row) * blocks + block)
            a, b, c, d = random.philox_inline(
                step, np.uint64(random.Stream.SCENE), words[0], words[1], words[2], words[3]
            )
            out[row, 4 * block] = np.float32(a >> np.uint64(8)) * scale
            out[row, 4 * block + 1] = np.float32(b >> np.uint64(8)) * scale
            out[row, 4 * block + 2] = np.float32(c >> np.uint64(8)) * scale
            out[row, 4 * block + 3] = np.float32(d >> np.uint64(8)) * scale


@jit.inline
def _hash(column: np.int64, row: np.int64, key: np.uint64) -> np.float32:
    """A value in [-1, 1) for a lattice point: a 32-bit integer mixer (two multiply-xorshift rounds)."""
    word = (np.uint64(column & 0xFFFFFFFF) * np.uint64(0x9E3779B1) & WORD) ^ key
    word = (word ^ (word >> np.uint64(15))) + np.uint64(row & 0xFFFFFFFF)
    word = (word & WORD) * np.uint64(0x2C1B3C6D) & WORD
    word = (word ^ (word >> np.uint64(12))) * np.uint64(0x297A2D39) & WORD
    word = word ^ (word >> np.uint64(15))
    return np.float32(word >> np.uint64(8)) * np.float32(2.0**-23) - ONE


@jit.inline
def _noise(u: np.float32, v: np.float32, key: np.uint64) -> np.float32:
    """Smooth noise in [-1, 1]: hashed lattice values, cubic weights."""
    left = np.floor(u)
    top = np.floor(v)
    p = u - left
    q = v - top
    p = p * p * (THREE - TWO * p)
    q = q * q * (THREE - TWO * q)
    column = np.int64(left)
    row = np.int64(top)
    a = _hash(column, row, key)
    b = _hash(column + 1, row, key)
    c = _hash(column, row + 1, key)
    d = _hash(column + 1, row + 1, key)
    upper = a + p * (b - a)
    lower = c + p * (d - c)
    return np.float32(upper + q * (lower - upper))


@jit.inline
def _grain(
    u: np.float32, v: np.float32, wavelength: np.float32, roughness: np.float32, octaves: int, key: np.uint64
) -> np.float32:
    """Octaves of noise, each `roughness` times as strong as the next coarser; about unit variance for 3 to 6."""
    total = ZERO
    weight = ONE
    power = ZERO
    frequency = ONE / wavelength
    for octave in range(octaves):
        octave_key = (key + np.uint64(octave) * np.uint64(0x68E31DA4)) & WORD
        total += weight * _noise(u * frequency, v * frequency, octave_key)
        power += weight * weight
        weight *= roughness
        frequency *= TWO
    standardised = np.float32(2.5) * total / np.sqrt(power)  # smooth noise has a standard deviation of 0.4
    return np.float32(standardised)


@jit.inline
def _octaves(wavelength: np.float32) -> int:
    """How many octaves of grain: down to a wavelength of 2 to 4 px, at most 6."""
    octaves = 1
    while octaves < 6 and wavelength >= np.float32(2 << octaves):
        octaves += 1
    return octaves


@jit.inline
def _polygon(leaf: Floats, sides: Floats) -> None:
    """Random half planes (SIDES, 3): outward normal and distance from the centre, in directions all around."""
    key = np.uint64(leaf[IDENTITY])
    for side in range(SIDES):
        place = np.float32(side) + np.float32(0.4) * _hash(np.int64(side), np.int64(1), key)
        cosine, sine = portable_math.cos_sin_turns(place / np.float32(SIDES))
        sides[side, 0] = cosine
        sides[side, 1] = sine
        sides[side, 2] = leaf[LENGTH] * (np.float32(0.7) + np.float32(0.25) * _hash(np.int64(side), np.int64(2), key))


@jit.inline
def _distance(leaf: Floats, sides: Floats, shape: int, key: np.uint64, u: np.float32, v: np.float32) -> np.float32:
    """Signed distance in px from the outline, negative inside; near the outline exact or nearly so."""
    a = leaf[LENGTH]
    b = leaf[BREADTH]
    if shape == BOX:
        along = abs(u) - a
        across = abs(v) - b
        outside_along = max(along, ZERO)
        outside_across = max(across, ZERO)
        corner = np.sqrt(outside_along * outside_along + outside_across * outside_across)
        return np.float32(corner + min(max(along, across), ZERO))
    if shape == POLYGON:
        distance = np.sqrt(u * u + v * v) - np.float32(1.2) * a
        for side in range(SIDES):
            distance = max(distance, sides[side, 0] * u + sides[side, 1] * v - sides[side, 2])
        return np.float32(distance)
    p = u / a
    q = v / b
    level = np.sqrt(p * p + q * q)
    slope = np.sqrt((p / a) * (p / a) + (q / b) * (q / b))
    radius = level / slope if slope > ZERO else b
    distance = radius * (level - ONE)
    if shape == BLOB and abs(distance) < np.float32(0.65) * b:  # the noise reaches 0.61 b
        distance += np.float32(0.16) * b * _grain(u, v, np.float32(1.2) * b, HALF, 3, key)
    return np.float32(distance)


@jit.inline
def _wave(position: np.float32, period: np.float32) -> np.float32:
    """Stripes of value -1 and 1, half a period each, with edges one pixel wide."""
    phase = position / period
    triangle = abs(phase - np.floor(phase) - HALF) - np.float32(0.25)  # zero on the edges, slope 1 / period
    return min(max(TWO * period * triangle, -ONE), ONE)


@jit.inline
def _mixture(leaf: Floats, pattern: int, key: np.uint64, u: np.float32, v: np.float32) -> np.float32:
    """How much of the second colour, 0 to 1."""
    period = leaf[PERIOD]
    if pattern == STRIPES:
        bend = _noise(u / (np.float32(4) * period), v / (np.float32(4) * period), key)
        return HALF + HALF * _wave(v + HALF * period * bend, period)
    if pattern == CHECKS:
        return HALF + HALF * _wave(u, period) * _wave(v, period)
    if pattern == SPOTS:
        return min(max(HALF + TWO * _grain(u, v, period, HALF, 2, key), ZERO), ONE)
    return ZERO


@jit.inline
def _brightness(leaf: Floats, octaves: int, key: np.uint64, u: np.float32, v: np.float32) -> np.float32:
    """Shading times grain; reflected light is a product, so both multiply."""
    p = u / leaf[LENGTH]
    q = v / leaf[BREADTH]
    shading = ONE + leaf[SLOPE_ALONG] * p + leaf[SLOPE_ACROSS] * q - leaf[BULGE] * (p * p + q * q)
    grain = _grain(u / leaf[STRETCH], v, leaf[WAVELENGTH], leaf[ROUGHNESS], octaves, key)
    return np.float32(max(shading, np.float32(0.15)) * max(ONE + leaf[CONTRAST] * grain, np.float32(0.1)))


@jit.inline
def _box(leaf: Floats, shadow: Floats, height: int, width: int) -> tuple[int, int, int, int]:
    """Rows and columns (first, past the last, each) that the leaf or its shadow may touch."""
    # Far enough for each shape: a box's corner, a polygon's limit of 1.2 lengths, a blob's noise of 0.61 breadths.
    reach = max(leaf[LENGTH], leaf[BREADTH]) + max(leaf[BREADTH], np.float32(0.2) * leaf[LENGTH]) + TWO
    depth = leaf[DEPTH]
    first_row = max(int(leaf[Y] - reach + min(shadow[1] * depth, ZERO) - depth), 0)
    last_row = min(int(leaf[Y] + reach + max(shadow[1] * depth, ZERO) + depth) + 1, height)
    first_column = max(int(leaf[X] - reach + min(shadow[0] * depth, ZERO) - depth), 0)
    last_column = min(int(leaf[X] + reach + max(shadow[0] * depth, ZERO) + depth) + 1, width)
    return first_row, last_row, first_column, last_column


@jit.kernel
def _paint(leaves: Floats, light: Floats, clear: Floats, shade: Floats, shadow: Floats) -> int:
    height, width = clear.shape
    sides = np.empty((SIDES, 3), np.float32)
    covered = 0
    for number in range(leaves.shape[0]):
        leaf = leaves[number]
        shape = int(leaf[SHAPE])
        blurred_shape = ELLIPSE if shape == BLOB else shape  # its shadow needs no noise
        pattern = int(leaf[PATTERN])
        key = np.uint64(leaf[IDENTITY])
        depth = leaf[DEPTH]
        cosine, sine = portable_math.cos_sin_turns(leaf[TURN])
        octaves = _octaves(leaf[WAVELENGTH])
        if shape == POLYGON:
            _polygon(leaf, sides)
        first_row, last_row, first_column, last_column = _box(leaf, shadow, height, width)
        for row in range(first_row, last_row):
            for column in range(first_column, last_column):
                through = clear[row, column]
                if through == ZERO:
                    continue
                dx = np.float32(column) - leaf[X]
                dy = np.float32(row) - leaf[Y]
                u = cosine * dx + sine * dy
                v = cosine * dy - sine * dx
                cover = min(HALF - _distance(leaf, sides, shape, key, u, v), ONE)
                if cover > ZERO:
                    mixture = _mixture(leaf, pattern, key, u, v)
                    strength = through * cover * shade[row, column] * _brightness(leaf, octaves, key, u, v)
                    for channel in range(3):
                        first = leaf[RED + channel]
                        light[row, column, channel] += strength * (first + mixture * (leaf[RED_2 + channel] - first))
                    through *= ONE - cover
                    if through < OPAQUE:
                        through = ZERO
                        covered += 1
                    clear[row, column] = through
                if depth > ZERO and through > ZERO:
                    dx -= shadow[0] * depth
                    dy -= shadow[1] * depth
                    u = cosine * dx + sine * dy
                    v = cosine * dy - sine * dx
                    outside = _distance(leaf, sides, blurred_shape, key, u, v)
                    dark = min(max(HALF - HALF * outside / depth, ZERO), ONE)
                    shade[row, column] = min(shade[row, column], ONE - shadow[2] * dark)
    return covered
