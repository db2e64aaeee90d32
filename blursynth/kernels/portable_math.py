"""Logarithm, sine and cosine in float32 from additions, multiplications and integer arithmetic.

The platform's own differ between processors and libraries in the last bit and keep a loop from being vectorised;
these do neither. The coefficients are minimax fits on the reduced interval (a linear programme over 1,500 to 2,000
Chebyshev nodes), rounded to float32.
"""

import numpy as np

from blursynth.kernels import jit

ONE = np.float32(1.0)
HALF = np.float32(0.5)
LN_2 = np.float32(0.6931471805599453)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
EXPONENT_BITS = np.int32(23)

# (log(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f < sqrt(2); relative error of the logarithm 3.2e-8
LOG_0 = np.float32(0.3333390951156616)
LOG_1 = np.float32(-0.2500133812427521)
LOG_2 = np.float32(0.19963063299655914)
LOG_3 = np.float32(-0.1657758504152298)
LOG_4 = np.float32(0.14914767444133759)
LOG_5 = np.float32(-0.14267484843730927)
LOG_6 = np.float32(0.08700437098741531)

# sin(2 pi r) / r and cos(2 pi r) - 1 in r^2 for |r| <= 1/8 turn; errors 4e-10 and 3.2e-8
SIN_0 = np.float32(6.2831854820251465)
SIN_1 = np.float32(-41.3416633605957)
SIN_2 = np.float32(81.5925521850586)
SIN_3 = np.float32(-75.40206909179688)
COS_1 = np.float32(-19.739168167114258)
COS_2 = np.float32(64.92322540283203)
COS_3 = np.float32(-83.66592407226562)

QUARTERS = np.float32(4.0)
QUARTER = np.float32(0.25)


@jit.inline
def log(value: np.float32) -> np.float32:
    """Natural logarithm of a normal, positive float32; relative error below 2e-7."""
    bits = np.float32(value).view(np.int32)
    exponent = (bits - SQRT_HALF_BITS) >> EXPONENT_BITS
    fraction = np.int32(bits - (exponent << EXPONENT_BITS)).view(np.float32) - ONE
    square = fraction * fraction
    series = LOG_5 + fraction * LOG_6
    series = LOG_4 + fraction * series
    series = LOG_3 + fraction * series
    series = LOG_2 + fraction * series
    series = LOG_1 + fraction * series
    series = LOG_0 + fraction * series
    tail = fraction * square * series - HALF * square
    return np.float32(exponent) * LN_2 + (fraction + tail)


@jit.inline
def cos_sin_turns(turns: np.float32) -> tuple[np.float32, np.float32]:
    """Cosine and sine of 2 pi times a float32 of at most a few thousand; absolute error below 2e-7."""
    quarter = np.floor(turns * QUARTERS + HALF)
    rest = turns - quarter * QUARTER
    square = rest * rest
    sine = rest * (SIN_0 + square * (SIN_1 + square * (SIN_2 + square * SIN_3)))
    cosine = ONE + square * (COS_1 + square * (COS_2 + square * COS_3))
    number = np.int32(quarter)
    odd = (number & np.int32(1)) != 0
    first = sine if odd else cosine
    second = cosine if odd else sine
    first = -first if ((number + np.int32(1)) & np.int32(2)) != 0 else first
    second = -second if (number & np.int32(2)) != 0 else second
    return first, second
