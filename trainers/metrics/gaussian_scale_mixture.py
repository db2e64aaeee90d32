"""The Gaussian scale mixture that VIF and IFC fit to the bands of a steerable pyramid, and that pyramid.

Legend of tensor names: N images, H rows, W columns of a band; B blocks of 3x3 coefficients, K = 9 coefficients of one.
"""

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch.nn import functional

LEVELS = 4
BLOCK = 3
_SQUARE = 4
_TINY = 1e-15

# The filters of six orientations (Simoncelli and Freeman 1995; "sp5" in matlabPyrTools and pyrtools), of which symmetry
# leaves these numbers. The oriented one: rows above the middle, which is zero, from the left to the middle;
# below it the same with the other sign. The low-pass ones: from the corner to the middle, one triangle.
_ORIENTED = (
    (0.00277643, 0.00496194, 0.01026699, 0.01455399),
    (-0.00986904, -0.00893064, 0.01189859, 0.02755155),
    (-0.01021852, -0.03075356, -0.08226445, -0.11732297),
)
_FIRST_LOW = (
    (0.00341614,),
    (-0.01551246, 0.05586982),
    (-0.03848215, 0.15925570, 0.40304148),
)
_LOW = (
    (0.00085404,),
    (-0.00244917, -0.00523281),
    (-0.00387812, -0.00661117, 0.01396746),
    (-0.00944432, 0.00410600, 0.03277038, 0.06426333),
    (-0.00962054, 0.01002988, 0.03981393, 0.08169618, 0.10096540),
)


def bands(images_NHW: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """The horizontal and the vertical band of each of four levels, finest first, as (level, (N, H / 2^level, ...)).

    Two of the six orientations of the pyramid that the authors of VIF take: short spatial filters, borders mirrored
    about the outermost pixel, every second pixel kept from level to level. The low-pass filter sums to 2, so that the
    signal doubles with each level, which the eye's noise in VIF does not.
    """
    oriented = _oriented().to(images_NHW)
    low, first_low = (_square(triangle).to(images_NHW) for triangle in (_LOW, _FIRST_LOW))
    left = _filtered(images_NHW[:, None], first_low)
    for level in range(LEVELS):
        if level:
            left = _filtered(left, 2 * low, stride=2)
        for band in _filtered(left, oriented).unbind(1):
            yield level, band


def _filtered(images_N1HW: torch.Tensor, filters_C1KK: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Correlation with each filter, borders mirrored, of every `stride`-th pixel: (N, C, H / stride, W / stride).

    Squares of pixels become channels first: libraries convolve many channels several times faster than one.
    """
    height, width = images_N1HW.shape[2:]
    side = filters_C1KK.shape[-1]
    blocks = -(-(side + _SQUARE - 1) // _SQUARE)
    spare = blocks * _SQUARE - side
    shifts = range(0, _SQUARE, stride)
    shifted = [functional.pad(filters_C1KK, (x, spare - x, y, spare - y)) for y in shifts for x in shifts]
    weights = torch.stack([functional.pixel_unshuffle(each, _SQUARE) for each in shifted], dim=1).flatten(0, 1)
    mirrored = functional.pad(images_N1HW, (side // 2,) * 4, mode="reflect")
    bottom, right = ((-size % _SQUARE) + (blocks - 1) * _SQUARE - side + 1 for size in (height, width))
    squares = functional.pixel_unshuffle(functional.pad(mirrored, (0, right, 0, bottom)), _SQUARE)
    found = functional.pixel_shuffle(functional.conv2d(squares, weights), _SQUARE // stride)
    return found[:, :, : -(-height // stride), : -(-width // stride)]


def _oriented() -> torch.Tensor:
    """One filter and the same turned by a right angle: (2, 1, 7, 7). Signs cancel in what is made of the bands."""
    upper = torch.tensor([[*row, *row[-2::-1]] for row in _ORIENTED], dtype=torch.float64)
    whole = torch.cat([upper, torch.zeros(1, upper.shape[1], dtype=torch.float64), -upper.flip(0)])
    return torch.stack([whole, whole.T])[:, None]


def _square(triangle: tuple[tuple[float, ...], ...]) -> torch.Tensor:
    """A filter that is equal under all turns and flips, (1, 1, K, K), from one eighth of it."""
    size = len(triangle)
    places = [min(place, 2 * size - 2 - place) for place in range(2 * size - 1)]
    rows = [[triangle[max(row, column)][min(row, column)] for column in places] for row in places]
    return torch.tensor(rows, dtype=torch.float64)[None, None]


@dataclasses.dataclass(frozen=True)
class Mixture:
    """A band as a Gaussian scale mixture seen through a distortion channel y = g x + v, on blocks of 3x3 coefficients.

    `strength` (N, B): the block's multiplier s^2 of the reference; `eigenvalues` (N, K) of the covariance that all
    blocks share, ascending, float64; `gain` (N, B) and `rest` (N, B): g and var(v), estimated in a window around the
    block. The others are of the bands' number type.
    """

    strength: torch.Tensor
    eigenvalues: torch.Tensor
    gain: torch.Tensor
    rest: torch.Tensor

    def bits(self, noise: float) -> torch.Tensor:
        """Information in bits that the distorted band has of the reference, summed: float64 (N,).

        Sheikh and Bovik 2006, equation 13; with `noise` = 0 Sheikh, Bovik and de Veciana 2005, equation 12.
        """
        quality = self.gain.square() * self.strength / (self.rest + noise)
        return _summed(quality, self.eigenvalues)

    def whole(self, noise: float) -> torch.Tensor:
        """The same for the undistorted band (equation 10): float64 (N,)."""
        return _summed(self.strength / noise, self.eigenvalues)


def _summed(quality_NB: torch.Tensor, eigenvalues_NK: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(len(quality_NB), dtype=torch.float64, device=quality_NB.device)
    for column in range(eigenvalues_NK.shape[1]):
        total += torch.log1p(quality_NB * eigenvalues_NK[:, column, None]).sum(dim=1, dtype=torch.float64)
    return total / math.log(2)


def fit(sharp_NHW: torch.Tensor, restored_NHW: torch.Tensor, side: int) -> Mixture:
    """Fit the mixture to a band; the channel's window has `side` coefficients a side, centred on each block.

    Blocks whose window would leave the band are left out.
    """
    height, width = (size - size % BLOCK for size in sharp_NHW.shape[1:])
    x, y = sharp_NHW[:, :height, :width], restored_NHW[:, :height, :width]
    skipped = -(-(side // 2) // BLOCK)
    strength, eigenvalues = _reference(x)
    inner = slice(skipped, -skipped)
    gain, rest = _distortion(x, y, side, skipped)
    return Mixture(strength[:, inner, inner].flatten(1), eigenvalues, gain.flatten(1), rest.flatten(1))


def _reference(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The multiplier of each block, (N, rows, columns), and the eigenvalues (N, K) of the blocks' covariance."""
    images, height, width = x.shape
    inner = height - BLOCK + 1, width - BLOCK + 1
    shifted = [
        x[:, row : row + inner[0], column : column + inner[1]].flatten(1)
        for row in range(BLOCK)
        for column in range(BLOCK)
    ]
    stack_NKP = torch.stack(shifted, dim=1)
    stack_NKP -= stack_NKP.mean(dim=2, keepdim=True)
    covariance_NKK = (stack_NKP @ stack_NKP.transpose(1, 2) / stack_NKP.shape[2]).double()
    eigenvalues, vectors = torch.linalg.eigh(covariance_NKK)
    usable = eigenvalues.clamp(min=0)
    # A flat band has no directions: it then says nothing, instead of dividing by nothing.
    inverse = torch.where(usable > usable[:, -1:] * 1e-12 + _TINY, 1 / usable.clamp(min=_TINY), 0.0)
    blocks = x.view(images, height // BLOCK, BLOCK, width // BLOCK, BLOCK).permute(0, 2, 4, 1, 3)
    blocks = blocks.reshape(images, BLOCK**2, -1)
    whitened = vectors.transpose(1, 2).to(x.dtype) @ blocks
    strength = (whitened.square() * inverse[:, :, None].to(x.dtype)).sum(dim=1) / BLOCK**2
    return strength.view(images, height // BLOCK, width // BLOCK), usable


def _distortion(x: torch.Tensor, y: torch.Tensor, side: int, skipped: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain and the variance of the rest in the window around each inner block, by least squares."""
    start = skipped * BLOCK + BLOCK // 2 - side // 2

    def mean(image: torch.Tensor) -> torch.Tensor:
        rows, columns = (size // BLOCK - 2 * skipped for size in image.shape[1:])
        # Rows first, then columns: the sums over whole windows would cost several times more.
        pooled = functional.avg_pool2d(image[:, None, start:, start:], (side, 1), (BLOCK, 1))[:, :, :rows]
        return functional.avg_pool2d(pooled, (1, side), (1, BLOCK))[:, 0, :, :columns]

    mean_x, mean_y = mean(x), mean(y)
    variance_x = (mean(x.square()) - mean_x.square()).clamp(min=0)
    variance_y = (mean(y.square()) - mean_y.square()).clamp(min=0)
    covariance = mean(x * y) - mean_x * mean_y
    gain = covariance / (variance_x + _TINY)
    rest = variance_y - gain * covariance
    flat_x, flat_y = variance_x < _TINY, variance_y < _TINY
    none = flat_x | flat_y | (gain < 0)
    rest = torch.where(flat_y, 0.0, torch.where(none, variance_y, rest)).clamp(min=_TINY)
    return torch.where(none, 0.0, gain), rest
