"""Procedural scenes: sharp pictures with the statistics of photos, where there are no photos.

The dead leaves model (Lee, Mumford and Huang, "Occlusion models for natural images: a statistical study of a
scale-invariant dead leaves model", IJCV 41, 2001; bounds on the sizes: Gousseau and Roueff, "Modeling occlusion and
scaling in natural images", SIAM Multiscale Modeling and Simulation 6, 2007). Opaque leaves with radii of density r^-3
fall at random places on each other; what remains visible has edges at all scales, a power spectrum near 1/f^2 and
heavy-tailed derivatives, as photos have. We differ from the papers' flat disks: leaves are ellipses, boxes, polygons
and blobs, with grain, two-colour patterns, shading and soft shadows, and some scenes leave a plain background free.
"""

import dataclasses
import functools
import hashlib

import numpy
import numpy.typing

from blursynth import errors
from blursynth.kernels import dead_leaves, random, response
from blursynth.sources import source

VERSION = 1  # part of a scene's hash: raise it with any change of what a seed gives
SMALLEST = 32  # px
MOST = 1_000_000  # scenes of one collection

_BATCH = 2048  # leaves drawn at a time
_DRAWS = 32  # of one leaf
_FIRST_LEAF = 16  # the draws before it, 512, belong to the scene as a whole
_MOST_LEAVES = 60_000
_UNCOVERED = 0.002  # of the picture, left to the background
_COLOURS = 8

Floats = numpy.typing.NDArray[numpy.float32]


@dataclasses.dataclass(frozen=True)
class Scenes:
    """`count` square scenes of `size` pixels; scene i is a function of (seed, i, size) alone."""

    count: int
    size: int
    seed: int
    skipped: tuple[source.Skipped, ...] = dataclasses.field(default=(), init=False)

    def __post_init__(self) -> None:
        """Raises InputError for no scenes, too many, or scenes too small to show anything."""
        if not 1 <= self.count <= MOST:
            raise errors.InputError(f"{self.count} scenes were asked for; expected 1 to {MOST:,}.")
        if self.size < SMALLEST:
            raise errors.InputError(f"Scenes of {self.size} pixels were asked for; expected at least {SMALLEST}.")

    @functools.cached_property
    def sources(self) -> tuple[source.Source, ...]:
        """Named scene-000000 and so on; the hash is of the text that determines the pixels."""
        return tuple(self._source(index) for index in range(self.count))

    @property
    def place(self) -> None:
        """Scenes lie nowhere."""

    def changed(self, index: int) -> None:
        """A scene is a function of its seed and number: nothing about it can change."""

    def read(self, index: int) -> numpy.typing.NDArray[numpy.uint8]:
        """Scene number `index`: uint8 (size, size, 3), RGB, encoded light (gamma 2.2)."""
        assert 0 <= index < self.count, index
        return response.encode(render(self.seed, index, self.size), "gamma2.2")

    def _source(self, index: int) -> source.Source:
        text = f"blursynth scene {VERSION}, seed {self.seed}, index {index}, size {self.size}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        return source.Source(f"scene-{index:06d}", digest, self.size, self.size, 0)


def render(seed: int, index: int, size: int) -> Floats:
    """Scene `index` of `seed`: float32 (size, size, 3), RGB, linear light, from 0; above 1 is overexposed."""
    look = _look(seed, index, size)
    light = numpy.zeros((size, size, 3), numpy.float32)
    clear = numpy.ones((size, size), numpy.float32)
    shade = numpy.ones((size, size), numpy.float32)
    uncovered = size * size
    for first in range(_FIRST_LEAF, _MOST_LEAVES, _BATCH):
        batch = _leaves(dead_leaves.draws(seed, index, first, _BATCH, _DRAWS), look, size)
        uncovered -= dead_leaves.paint(batch, light, clear, shade, look.shadow)
        if uncovered <= look.background * size * size:
            break
    dead_leaves.paint(_background(look, size), light, clear, shade, look.shadow)
    brightness = (light * 4096).astype(numpy.int64).sum() / (4096 * light.size)  # whole numbers add up exactly
    return light * numpy.float32(look.exposure / max(brightness, 1e-3))


@dataclasses.dataclass(frozen=True)
class _Look:
    """What the leaves of one scene have in common."""

    colours: Floats
    """(_COLOURS, 3), linear light."""
    smallest: float
    """Radii in px."""
    largest: float
    grain: float
    """Strength of the grain on leaves."""
    background: float
    """Share of the picture that stays uncovered by leaves: sky, or a wall."""
    shadow: Floats
    """(3,): see `leaves.paint`."""
    exposure: float
    """Mean of the linear light."""


def _look(seed: int, index: int, size: int) -> _Look:
    draws = random.uniforms(seed, random.Stream.SCENE, [index], 8 + 10 * _COLOURS)[0]
    clutter, reach, grain, sky, sun_x, sun_y, dark, exposure = draws[:8]
    return _Look(
        colours=_colours(draws[8:].reshape(_COLOURS, 10)),
        smallest=min(3 + 30 * clutter**2, size / 12),
        largest=size * (0.2 + 0.4 * reach),
        grain=0.5 + grain,
        background=max(_UNCOVERED, 0.8 * (sky - 0.6)),
        shadow=numpy.array([2 * sun_x - 1, 0.2 + 0.8 * sun_y, 0.3 + 0.4 * dark], numpy.float32),
        exposure=0.06 + 0.26 * exposure,
    )


def _colours(draws: numpy.typing.NDArray[numpy.float64]) -> Floats:
    """Reflectances, linear: greys spread over the encoded range, hues mostly dull and along blue to yellow.

    Photos vary most in lightness, less from blue to yellow and least from red to green (Ruderman, Cronin and Chiao,
    JOSA A 15, 1998).
    """
    grey = 0.1 + 0.85 * draws[:, 0]
    vivid = numpy.where(draws[:, 1] < 0.3, 2.0, 0.9)
    yellow = 0.15 + vivid * 0.35 * (draws[:, 2:6].sum(axis=1) - 2) * numpy.sqrt(
        3
    )  # sums of four: near enough to Gaussian
    red = vivid * 0.12 * (draws[:, 6:10].sum(axis=1) - 2) * numpy.sqrt(3)
    tint = numpy.stack([1 + 0.5 * yellow + red, 1 + 0.1 * yellow - 0.6 * red, 1 - yellow], axis=1).clip(0.06)
    luminance = 0.2126 * tint[:, 0] + 0.7152 * tint[:, 1] + 0.0722 * tint[:, 2]  # not a BLAS product: those differ
    colours: Floats = (tint * (grey**2 / luminance)[:, None]).astype(numpy.float32)
    return colours


def _leaves(draws: Floats, look: _Look, size: int) -> Floats:
    """One leaf from each row of draws (N, _DRAWS), as `leaves.paint` takes them.

    Radii have the density r^-3 between the look's bounds; centres are uniform on the picture widened by the radius, so
    that leaves much larger than the picture are rarer than in the papers' unbounded plane.
    """
    draw = iter(draws.T)
    table = numpy.zeros((len(draws), len(dead_leaves.FIELDS)), numpy.float32)
    field = table.T
    ratio = numpy.float32((look.smallest / look.largest) ** 2)
    radius = numpy.float32(look.smallest) / numpy.sqrt(1 - next(draw) * (1 - ratio))
    field[dead_leaves.X] = next(draw) * (size + 2 * radius) - radius
    field[dead_leaves.Y] = next(draw) * (size + 2 * radius) - radius
    field[dead_leaves.LENGTH] = radius

    shape = numpy.searchsorted([0.3, 0.55, 0.75], next(draw), side="right")
    slender = next(draw)
    slenderness = numpy.where(shape == dead_leaves.BOX, 0.04 + 0.96 * slender**2, 0.35 + 0.65 * slender)
    field[dead_leaves.SHAPE] = shape
    field[dead_leaves.BREADTH] = (radius * slenderness).clip(0.7)
    turn, upright = next(draw), next(draw) < 0.4  # what people build stands upright
    field[dead_leaves.TURN] = numpy.where(upright, numpy.rint(4 * turn) / 4 + 0.02 * (next(draw) - 0.5), turn)

    for channel in (dead_leaves.RED, dead_leaves.RED_2):
        colour = look.colours[(next(draw) * _COLOURS).astype(numpy.int64)]
        field[channel : channel + 3] = colour.T * (0.6 + 0.8 * next(draw))
    pattern = numpy.searchsorted([0.7, 0.8, 0.86], next(draw), side="right")
    field[dead_leaves.PATTERN] = pattern
    field[dead_leaves.PERIOD] = numpy.minimum(3 + 40 * next(draw) ** 2, radius.clip(4))
    field[dead_leaves.CONTRAST] = look.grain * (0.02 + 0.3 * next(draw) ** 2)
    field[dead_leaves.ROUGHNESS] = 0.6 + 0.4 * next(draw)
    field[dead_leaves.STRETCH] = 1 + 30 * (next(draw) - 0.75).clip(0)
    field[dead_leaves.WAVELENGTH] = 4 + next(draw) * radius.clip(0, 96)
    field[dead_leaves.SLOPE_ALONG] = 0.8 * (next(draw) - 0.5)
    field[dead_leaves.SLOPE_ACROSS] = 0.8 * (next(draw) - 0.5)
    field[dead_leaves.BULGE] = 0.45 * next(draw) ** 2
    field[dead_leaves.DEPTH] = numpy.where(
        next(draw) < 0.5, (0.3 * field[dead_leaves.BREADTH]).clip(0, 16) * next(draw), 0
    )
    field[dead_leaves.IDENTITY] = next(draw) * 2**24
    return table


def _background(look: _Look, size: int) -> Floats:
    """One leaf behind all others that fills the picture: plain, with grain and a slope of brightness."""
    leaf = numpy.zeros((1, len(dead_leaves.FIELDS)), numpy.float32)
    leaf[0, [dead_leaves.X, dead_leaves.Y]] = size / 2
    leaf[0, [dead_leaves.LENGTH, dead_leaves.BREADTH]] = 2 * size
    leaf[0, dead_leaves.RED : dead_leaves.RED + 3] = look.colours[0]
    leaf[0, dead_leaves.CONTRAST] = 0.06 * look.grain
    leaf[0, dead_leaves.ROUGHNESS] = 0.7
    leaf[0, dead_leaves.STRETCH] = 1
    leaf[0, dead_leaves.WAVELENGTH] = size / 4
    leaf[0, [dead_leaves.SLOPE_ALONG, dead_leaves.SLOPE_ACROSS]] = look.shadow[:2]
    return leaf
