"""Eight real camera shakes in numbers: the kernels that Levin et al. measured, as a yardstick for synthetic ones.

A. Levin, Y. Weiss, F. Durand, W. T. Freeman: Understanding and evaluating blind deconvolution algorithms, CVPR 2009.
The kernels themselves are not part of this package. The numbers are `shapes.measure` of the eight in the file
Levin09.mat of the public repository cszn/KAIR, each of sum 1, sides 19, 17, 15, 27, 13, 21, 23 and 23 px, in that order
and to four digits; a test computes them again where the kernels are at hand. Directions are left out: they are of those
recordings, not of shaking hands.
"""

SOURCE = (
    "Levin, Weiss, Durand, Freeman: Understanding and evaluating blind deconvolution algorithms, CVPR 2009; the eight "
    "kernels in px of their own images"
)

SHAPES: dict[str, tuple[float, ...]] = {
    "support": (39, 43, 41, 68, 38, 48, 75, 71),
    "extent": (13, 12, 9, 22, 9, 16, 18, 18),
    "spread": (3.825, 4.142, 2.543, 9.360, 2.633, 5.169, 6.271, 6.623),
    "anisotropy": (0.6929, 0.7214, 0.4056, 0.8005, 0.2918, 0.7999, 0.6675, 0.7448),
    "peak": (0.1118, 0.1028, 0.07244, 0.09429, 0.1063, 0.1105, 0.08603, 0.07468),
}
